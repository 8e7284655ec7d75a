//! A call to every provider that is built in, against a server of this machine's.
//!
//! What leaves is compared with `tests/golden/providers.txt`: method, path, credential, headers and body, whole and streamed.
//! The table in `docs/providers.md` is written from the same rows. With `BLESS=1` both are written anew.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;

use http::Uri;
use ziggurat::client::{Client, Providers};
use ziggurat::providers::{Provider, providers};
use ziggurat::{Call, LossPolicy, Secret};
use ziggurat_testkit::{FakeProvider, Recorded, Script, golden};

const KEY: &str = "sk-of-this-provider";

/// The address below which a provider would be called, moved to this machine.
fn moved(provider: &Provider, server: &str) -> Uri {
    let published = provider.base_url().unwrap_or("https://h").replace(['{', '}'], "");
    let published: Uri = published.parse().unwrap();
    format!("{server}{}", published.path().trim_end_matches('/')).parse().unwrap()
}

fn call(model: &str) -> Call {
    let mut call = Call::chat(model).system("Be brief.").user("Hello!").max_output_tokens(64);
    call = call.with_chat(|chat| {
        chat.sampling.temperature = Some(1.75);
        chat.sampling.seed = Some(7);
        chat.user = Some("u-1".into());
        chat.stop = vec!["END".into(), "STOP".into()];
    });
    call.set_loss_policy(LossPolicy::Allow);
    call
}

/// What arrived, but for what every request has.
fn told(request: &Recorded) -> String {
    const USUAL: [&str; 4] = ["host", "content-length", "content-type", "accept"];
    let query = request.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
    let mut text = format!("{} {}{query}\n", request.method, request.path);
    let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    for name in names.into_iter().filter(|name| !USUAL.contains(name)) {
        writeln!(text, "{name}: {}", request.header(name).unwrap_or_default()).unwrap();
    }
    writeln!(text, "{}", request.json()).unwrap();
    text
}

#[tokio::test]
async fn every_provider_is_called_where_and_as_its_row_says() {
    let server = FakeProvider::bare().spawn().await;
    server.always(Script::reply(503, &[("content-type", "application/json")], "{}"));
    let mut all = String::new();
    for provider in providers() {
        let prefix = provider.prefix();
        let address = moved(provider, &server.url());
        let table = Providers::from_env()
            // What fills a gap is the name of the variable.
            .variables(|name| Some(name.to_ascii_lowercase()))
            .key(prefix, Secret::new(KEY))
            .and_then(|table| table.base_url(prefix, address.clone()));
        let client = Client::new(table.unwrap());
        let name = format!("{prefix}/some-model");
        drop(client.ask(call(&name)).await);
        let whole = server.last_request();
        drop(client.stream(call(&name)).await);
        let streamed = server.last_request();
        for request in [&whole, &streamed] {
            assert!(request.path.starts_with(address.path()), "{prefix}: {}", request.path);
            let is_key = |value: &http::HeaderValue| value.to_str().unwrap().ends_with(KEY);
            let keys = request.headers.values().filter(|value| is_key(value)).count();
            assert_eq!(keys, 1, "{prefix}: the key is sent once");
            assert!(!format!("{:?}", request.query).contains(KEY));
        }
        writeln!(all, "--- {prefix}\n{}{}", told(&whole), told(&streamed)).unwrap();
    }
    golden::check("tests/golden/providers.txt", &all);
    assert_eq!(server.request_count(), 2 * providers().len() as u64);
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_rows() {
    let mut table = String::from(
        "# Providers\n\n\
         What stands before the slash in `provider/model`, and what each needs. The table is written by a test from\n\
         `crates/ziggurat-providers/data/providers.json`; rows of one's own go into the configuration under `ziggurat.providers`, or to\n\
         `Providers::and` in code.\n\n",
    );
    writeln!(table, "There are {} of them.\n", providers().len()).unwrap();
    table.push_str("| prefix | provider | dialect | address | key | address from |\n");
    table.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for provider in providers() {
        let names = |names: &[ziggurat::Str]| {
            let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(", ")
        };
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} | {} |",
            provider.prefix(),
            provider.name(),
            provider.dialect(),
            provider.base_url().map_or_else(|| "one's own".to_owned(), |url| format!("`{url}`")),
            names(provider.key_names()),
            names(provider.base_names()),
        )
        .unwrap();
    }
    golden::check("../../docs/providers.md", &table);
    let readme = std::fs::read_to_string("../../README.md").unwrap();
    let count = format!("{} providers", providers().len());
    assert!(readme.contains(&count), "the README does not say that there are {count}");
}
