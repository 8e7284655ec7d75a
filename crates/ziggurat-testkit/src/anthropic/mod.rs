//! Anthropic: Messages, token counting and the list of models, as strict as the vendor.
//!
//! Both versions of the API, `2023-06-01` and `2026-10-21`. What a model takes is decided by its
//! name; thinking blocks are only taken back with the signature that this fake gave them. Threads
//! (in beta) are held for as long as the vendor lives.

mod behave;
mod blocks;
mod caching;
mod error;
mod fields;
mod models;
mod reply;
mod schema;
mod signature;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod threads;
mod tools;
mod turns;
mod validate;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use self::{
    behave::Asked,
    error::{Fault, vendor_headers},
    models::Model,
    threads::{Threads, Turn},
};
use crate::{
    After, Recorded, Script, Vendor,
    json::{Json, obj},
    model,
    prompt::{BreakDown, Speech},
    script::Reply,
};

/// The most a request's body may take, in bytes.
const MOST_BODY: usize = 32 << 20;

/// Anthropic as a [`Vendor`].
///
/// Without settings it knows every model whose name is built like Anthropic's, and takes every
/// key.
#[derive(Clone, Debug, Default)]
pub struct Anthropic {
    keys: Vec<String>,
    threads: Arc<Threads>,
}

/// The versions of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// `2023-06-01`.
    Old,
    /// `2026-10-21`: no sampling parameters, and stricter with documents and citations.
    New,
}

/// What a request says besides its body.
struct Manners {
    version: Version,
    /// The features named in `anthropic-beta`.
    betas: Vec<String>,
    /// Tokens are to be counted only.
    counting: bool,
}

impl Anthropic {
    /// Takes this key, as `x-api-key` or as a bearer token, and no longer just any.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    fn route(&self, request: &Recorded, number: u64) -> Result<Script, Fault> {
        let path = request.path.as_str();
        let name = path.strip_prefix("/v1/models/");
        let counting = path == "/v1/messages/count_tokens";
        let allowed = match path {
            "/v1/messages" | "/v1/messages/count_tokens" => Method::POST,
            "/v1/models" => Method::GET,
            _ if name.is_some() => Method::GET,
            _ => return Err(Fault::not_found("Not found")),
        };
        if request.method != allowed {
            return Err(Fault::wrong_method());
        }
        self.authenticate(&request.headers)?;
        let version = version(&request.headers)?;
        if let Some(name) = name {
            let known = Model::of(name).ok_or_else(|| Fault::no_such_model(name))?;
            return Ok(plain(&models::entry(name, &known)));
        }
        if allowed == Method::GET {
            return Ok(plain(&models::list()));
        }
        let betas = betas(&request.headers);
        let mut body = body(request)?;
        let turn = if counting { None } else { self.threads.resume(&mut body, &betas)? };
        let (model, name) = validate::check(&body, &Manners { version, betas, counting })?;
        let asked = Asked::read(&body, &model);
        if counting {
            return Ok(plain(&obj! { "input_tokens": asked.prompt.tokens }));
        }
        let speech = model::respond(&asked.prompt, 0)
            .map_err(|failure| Fault::asked(&failure.kind, failure.retry_after))?;
        let context = Context { name, number, omitted: asked.omitted };
        if let Some(turn) = turn {
            self.hold(turn, &context, &speech);
        }
        if asked.stream { Ok(streamed(&context, &speech)) } else { whole(&context, &speech) }
    }

    /// Holds a conversation. One whose answer broke off or was refused is not held.
    fn hold(&self, turn: Turn, context: &Context, speech: &Speech) {
        if speech.break_down.is_none() && speech.refusal.is_none() {
            let message = serde_json::to_value(reply::message(context, speech));
            let mut message = message.expect("JSON is JSON");
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            self.threads.hold(turn, id, message["content"].take());
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let api_key = text(header::HeaderName::from_static("x-api-key"));
        let (key, wrong) = match (api_key, bearer) {
            (Some(key), _) => (key, "invalid x-api-key"),
            (None, Some(token)) => (token, "Invalid bearer token"),
            (None, None) => return Err(Fault::unauthenticated("x-api-key header is required")),
        };
        // OAuth tokens are no API keys.
        let misplaced = api_key.is_some_and(|key| key.starts_with("sk-ant-oat"));
        let known = self.keys.is_empty() || self.keys.iter().any(|known| known == key);
        if key.trim().is_empty() || misplaced || !known {
            return Err(Fault::unauthenticated(wrong));
        }
        Ok(())
    }
}

fn version(headers: &HeaderMap) -> Result<Version, Fault> {
    match headers.get("anthropic-version").map(|value| value.as_bytes()) {
        Some(b"2023-06-01") => Ok(Version::Old),
        Some(b"2026-10-21") => Ok(Version::New),
        Some(other) => {
            let given = String::from_utf8_lossy(other);
            Err(Fault::invalid(format!("anthropic-version: \"{given}\" is not a valid version")))
        }
        None => Err(Fault::at("anthropic-version", "header is required")),
    }
}

fn betas(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("anthropic-beta").iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn body(request: &Recorded) -> Result<Map<String, Value>, Fault> {
    if request.body.len() > MOST_BODY {
        return Err(Fault::asked("large", None));
    }
    if !request.header("content-type").unwrap_or_default().starts_with("application/json") {
        return Err(Fault::at("content-type", "must be application/json"));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Fault::invalid("Input should be a valid dictionary".to_owned())),
        Err(error) => Err(Fault::invalid(format!("The request body is not valid JSON: {error}"))),
    }
}

/// What an answer needs to know beside what the model says.
struct Context {
    name: String,
    number: u64,
    /// Thinking is signed, but not shown.
    omitted: bool,
}

impl Context {
    /// An id that looks like the vendor's and is the same in every run.
    fn id(&self, prefix: &str, of: usize) -> String {
        id(prefix, &format!("{} {of}", self.number))
    }
}

fn id(prefix: &str, seed: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(seed);
    digest.iter().take(11).fold(prefix.to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes all text");
        id
    })
}

fn request_id(number: u64) -> String {
    id("req_01", &number.to_string())
}

fn plain(body: &Json) -> Script {
    Script::of(Reply::json(StatusCode::OK, body.to_string()))
}

fn whole(context: &Context, speech: &Speech) -> Result<Script, Fault> {
    let mut script = plain(&reply::message(context, speech));
    match speech.break_down {
        Some(BreakDown::Error) => return Err(Fault::asked("500", None)),
        Some(BreakDown::Cut) => script = script.cut_after(After::Bytes(64)),
        None => {}
    }
    Ok(match speech.pace {
        Some(pace) => script.delay_head(pace),
        None => script,
    })
}

fn streamed(context: &Context, speech: &Speech) -> Script {
    let stream::Events { events, two_deltas } = stream::events(context, speech);
    let script = Script::sse(events);
    let script = match speech.break_down {
        Some(BreakDown::Error) => script.error_event_after(two_deltas),
        Some(BreakDown::Cut) => script.cut_after(After::Events(two_deltas)),
        None => script,
    };
    match speech.pace {
        Some(pace) => script.delay_between(pace),
        None => script,
    }
}

impl Vendor for Anthropic {
    fn answer(&self, request: &Recorded, number: u64) -> Script {
        let script = self.route(request, number).unwrap_or_else(|fault| fault.into_script(number));
        vendor_headers(script, number)
    }

    fn error(&self, status: StatusCode, number: u64) -> Script {
        vendor_headers(Fault::asked(status.as_str(), None).into_script(number), number)
    }

    fn error_event(&self, number: u64) -> Bytes {
        let error = obj! { "type": "overloaded_error", "message": "Overloaded" };
        let event = obj! { "type": "error", "error": error, "request_id": request_id(number) };
        format!("event: error\ndata: {event}\n\n").into()
    }
}
