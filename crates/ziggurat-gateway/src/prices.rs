//! `litellm_settings.model_cost_map_url`: a list of models and prices in LiteLLM's schema, over the built-in catalogue.
//!
//! It is a URL, or a file, whose place is taken from the directory of the configuration. It is read with the configuration, and again with
//! it. A list that cannot be had changes nothing: the one that was read before holds, else the built-in catalogue, and a warning says so.
//! Prices in `model_info` and `litellm_params` win over all of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use tower_service::Service;
use ziggurat_core::{Body, BoxError};
use ziggurat_http::Transport;
use ziggurat_providers::{Catalogue, PriceMap};

use crate::config::{Config, Problem};

const KEY: &str = "litellm_settings.model_cost_map_url";
/// The longest list, in bytes. LiteLLM's own has some three million.
const MOST_BYTES: u64 = 32 << 20;
/// How long it may take to come.
const LONGEST: Duration = Duration::from_secs(10);
/// How many of the models that were left out are named.
const NAMED: usize = 3;

/// Reads the list that is configured, and what is to be said about it. Blocks.
pub(crate) fn read(config: &Config) -> (Option<Arc<Catalogue>>, Vec<Problem>) {
    let Some(source) = &config.litellm.model_cost_map_url else { return (None, Vec::new()) };
    let read = fetched(config, source)
        .and_then(|json| PriceMap::read(&json).map_err(|error| with_cause(&error)));
    match read {
        Ok(map) => {
            let catalogue = Some(Arc::new(map.models.over_builtin()));
            (
                catalogue,
                left_out(&map.left_out).map(|m| config.problem(KEY, m)).into_iter().collect(),
            )
        }
        Err(why) => {
            let message =
                format!("the list cannot be read, and what was known of prices holds: {why}");
            (None, vec![config.problem(KEY, message)])
        }
    }
}

fn left_out(notes: &[String]) -> Option<String> {
    let named = notes.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match notes.len() {
        0 => None,
        count if count > NAMED => Some(format!("left out: {named}; and {} more", count - NAMED)),
        _ => Some(format!("left out: {named}")),
    }
}

fn fetched(config: &Config, source: &str) -> Result<Bytes, String> {
    if source.starts_with("http://") || source.starts_with("https://") {
        let uri: Uri = source.parse().map_err(|_| "it is no URL".to_owned())?;
        // A thread of its own: nobody knows whether this one drives a runtime.
        let thread = std::thread::spawn(move || download(uri));
        return thread.join().map_err(|_| "it could not be fetched".to_owned())?;
    }
    let path = Path::new(source.strip_prefix("file://").unwrap_or(source));
    let directory = config.files.first().and_then(|file| file.parent());
    let path = directory.unwrap_or(Path::new("")).join(path);
    let mut json = Vec::new();
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(said)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut json).map_err(said)?;
    if json.len() as u64 > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    Ok(json.into())
}

fn download(uri: Uri) -> Result<Bytes, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(LONGEST, get(uri)).await;
        answer.map_err(|_| format!("it did not come within {} s", LONGEST.as_secs()))?
    })
}

async fn get(uri: Uri) -> Result<Bytes, String> {
    let request = Request::get(uri).body(Body::empty()).map_err(|error| error.to_string())?;
    let answer = Transport::new().call(request).await.map_err(|error| with_cause(&*error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("its server answers {}", answer.status()));
    }
    let most = usize::try_from(MOST_BYTES).unwrap_or(usize::MAX);
    let body = Limited::new(answer.into_body(), most).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error: BoxError| with_cause(&*error))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use super::*;
    use crate::config;

    fn config(url: &str, directory: &Path) -> Config {
        let file = directory.join("config.yaml");
        fs::write(&file, format!("litellm_settings: {{model_cost_map_url: {url:?}}}")).unwrap();
        let (config, problems) = config::load(&file, &HashMap::new()).unwrap();
        assert_eq!(problems, []);
        config
    }

    #[test]
    fn a_file_beside_the_configuration_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let list = r#"{"openai/my-own": {"litellm_provider": "openai", "input_cost_per_token": 1e-6}, "?": 5}"#;
        fs::write(directory.path().join("prices.json"), list).unwrap();
        for url in ["prices.json", "file://prices.json"] {
            let (catalogue, problems) = read(&config(url, directory.path()));
            assert!(catalogue.unwrap().is_listed("openai", "my-own"));
            assert!(problems[0].message.starts_with("left out: ?"), "{}", problems[0].message);
        }
    }

    #[test]
    fn a_list_that_cannot_be_had_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bad.json"), "[]").unwrap();
        // Nobody listens on port 1.
        for url in ["missing.json", "bad.json", "http://127.0.0.1:1/prices.json", "http://"] {
            let (catalogue, problems) = read(&config(url, directory.path()));
            assert!(catalogue.is_none() && problems.len() == 1, "{url}");
            assert!(problems[0].message.contains("what was known of prices holds"), "{url}");
        }
    }
}
