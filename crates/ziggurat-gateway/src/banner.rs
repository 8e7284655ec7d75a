//! What is said on standard output once the gateway listens.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::gateway::Gateway;
use crate::mock;

/// More names than these are counted.
const MOST: usize = 40;

/// Where the gateway is, what it serves, whether a key is needed, and a line to try.
#[must_use]
pub fn banner(gateway: &Gateway, address: SocketAddr) -> String {
    let url = url(address);
    let mut text = format!("Ziggurat {} listens on {url}\n", env!("CARGO_PKG_VERSION"));
    let served: Vec<_> = gateway.listed().collect();
    let width = served.iter().take(MOST).map(|listed| listed.name.chars().count()).max();
    let width = width.unwrap_or(0).min(48);
    text.push_str(if served.is_empty() { "\nIt serves no model.\n" } else { "\n" });
    for listed in served.iter().take(MOST) {
        let turns = match listed.deployments {
            1 => String::new(),
            many => format!(" ({many} deployments)"),
        };
        put(&mut text, format_args!("  {:width$}  {}{turns}\n", listed.name, listed.provider));
    }
    if served.len() > MOST {
        put(&mut text, format_args!("  and {} more\n", served.len() - MOST));
    }
    let key = gateway.config().general.master_key.is_some();
    text.push_str(if key {
        "\nCallers need the master key.\n"
    } else {
        "\nCallers need no key: set LITELLM_MASTER_KEY to change that.\n"
    });
    if let Some(model) =
        example(&served.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>())
    {
        let authorization =
            if key { " -H \"authorization: Bearer $LITELLM_MASTER_KEY\"" } else { "" };
        let body = format!(
            r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}"#
        );
        put(
            &mut text,
            format_args!(
                "\nTry it:\n\n  curl {url}/v1/chat/completions -H 'content-type: \
                 application/json'{authorization} \\\n    -d '{body}'\n"
            ),
        );
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = text.write_fmt(line);
}

/// A model to try: one that needs no provider, else one that has a name of its own.
fn example(names: &[&str]) -> Option<String> {
    let mocks = format!("{}/*", mock::PROVIDER);
    if names.contains(&mocks.as_str()) {
        return Some(format!("{}/{}", mock::PROVIDER, mock::ECHO));
    }
    let plain = |name: &&&str| !name.contains('*') && !name.contains(['"', '\'', '\\']);
    names.iter().find(plain).map(|name| (*name).to_owned())
}

/// An address as it is typed into a client on this machine.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config;

    fn banner_of(text: &str, address: &str) -> String {
        let env = HashMap::from([("OPENAI_API_KEY".to_owned(), "sk-secret".to_owned())]);
        let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env).unwrap();
        let (gateway, _) = Gateway::new(config, &env).unwrap();
        banner(&gateway, address.parse().unwrap())
    }

    #[test]
    fn it_tells_where_what_and_how() {
        let text = "model_list:\n\
            - {model_name: mock/*, litellm_params: {model: mock/*}}\n\
            - {model_name: gpt, litellm_params: {model: openai/gpt-4o}}\n\
            - {model_name: gpt, litellm_params: {model: openai/gpt-4o-mini}}\n";
        let expected = format!(
            r#"Ziggurat {} listens on http://127.0.0.1:4000

  mock/*  no provider
  gpt     OpenAI (2 deployments)

Callers need no key: set LITELLM_MASTER_KEY to change that.

Try it:

  curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "mock/echo", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
"#,
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner_of(text, "127.0.0.1:4000"), expected);
    }

    #[test]
    fn it_shows_that_a_key_is_needed_and_no_key() {
        let text = "model_list: [{model_name: gpt, litellm_params: {model: openai/gpt-4o}}]\n\
                    general_settings: {master_key: sk-1234}\n";
        let banner = banner_of(text, "0.0.0.0:80");
        assert!(banner.contains("http://127.0.0.1:80/v1/chat/completions"), "{banner}");
        assert!(banner.contains("Callers need the master key."));
        assert!(banner.contains("$LITELLM_MASTER_KEY"));
        assert!(banner.contains(r#""model": "gpt""#));
        assert!(!banner.contains("sk-"), "{banner}");
    }

    #[test]
    fn where_nothing_is_served_nothing_is_to_be_tried() {
        let banner = banner_of("model_list: []", "[::]:4000");
        assert!(banner.contains("http://[::1]:4000") && banner.contains("It serves no model."));
        assert!(!banner.contains("curl"));
    }
}
