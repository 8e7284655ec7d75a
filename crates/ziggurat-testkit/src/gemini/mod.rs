//! Gemini: generateContent, whole and streamed, token counting and the list of models, as strict as
//! AI Studio.
//!
//! What is no field is refused as protocol buffers refuse it, and what a model does not take is
//! refused by the model's name. A call's `thoughtSignature` must come back, and only as this fake
//! made it.

mod behave;
mod declare;
mod embed;
mod error;
mod fields;
mod models;
mod proto;
mod reply;
mod signature;
#[cfg(test)]
mod tests;
mod turns;
mod validate;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use self::{behave::Asked, error::Fault, models::Model, proto::Kind, reply::Context};
use crate::{
    After, Recorded, Script, Vendor,
    json::{Json, obj},
    model,
    prompt::{BreakDown, Speech},
    script::Reply,
};

/// The most a request's body may take, in bytes.
const MOST_BODY: usize = 20 << 20;

/// Gemini as a [`Vendor`].
///
/// Without settings it knows every model whose name is built like Google's, and takes every key.
#[derive(Clone, Debug, Default)]
pub struct Gemini {
    keys: Vec<String>,
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Generate,
    /// Events, or the elements of an array.
    Stream {
        sse: bool,
    },
    Count,
    /// One content.
    Embed,
    /// A list of contents.
    EmbedAll,
}

impl Gemini {
    /// Takes this key, in `x-goog-api-key` or as `?key=`, and no longer just any.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    fn route(&self, request: &Recorded, number: u64) -> Result<Script, Fault> {
        let query = request.query.as_deref().unwrap_or_default();
        let path = request.path.strip_prefix("/v1beta/").or(request.path.strip_prefix("/v1/"));
        let path = path.ok_or_else(Fault::no_such_path)?;
        let (allowed, asked) = match path.split_once(':') {
            Some((name, task)) => (Method::POST, Some((name, task_of(task, query)?))),
            None if path == "models" || path.starts_with("models/") => (Method::GET, None),
            None => return Err(Fault::no_such_path()),
        };
        if request.method != allowed {
            return Err(Fault::no_such_path());
        }
        self.authenticate(&request.headers, query)?;
        let name = path.split(':').next().and_then(|name| name.strip_prefix("models/"));
        let Some((_, task)) = asked else {
            return match name {
                Some(name) => {
                    let known = Model::of(name).ok_or_else(|| Fault::no_such_model(name))?;
                    Ok(plain(&models::entry(name, &known)))
                }
                None => Ok(plain(&models::list())),
            };
        };
        let name = name.ok_or_else(Fault::no_such_path)?;
        if matches!(task, Task::Embed | Task::EmbedAll) {
            if name != "gemini-embedding-001" {
                return Err(Fault::no_such_model(name));
            }
            let body = body(request)?;
            return Ok(plain(&match task {
                Task::Embed => embed::one(&body)?,
                _ => embed::batch(&body, name)?,
            }));
        }
        let model = Model::of(name).ok_or_else(|| Fault::no_such_model(name))?;
        let body = body(request)?;
        if task == Task::Count {
            return count(&body, name, &model);
        }
        let body = Kind::One(&fields::REQUEST).read(&body, "")?;
        validate::check(&body, name, &model)?;
        let asked = Asked::read(&body, &model);
        let candidates: Result<Vec<_>, _> =
            (0..asked.candidates).map(|at| model::respond(&asked.prompt, at)).collect();
        let context = Context { name: name.to_owned(), number, model, asked };
        let candidates = match candidates {
            Ok(candidates) => candidates,
            Err(failure) if failure.kind == "policy" => {
                return Ok(answer(task, vec![reply::blocked(&context)]));
            }
            Err(failure) => return Err(Fault::asked(&failure.kind, failure.retry_after)),
        };
        if task == Task::Generate {
            whole(&context, &candidates)
        } else {
            Ok(streamed(&context, task, &candidates))
        }
    }

    fn authenticate(&self, headers: &HeaderMap, query: &str) -> Result<(), Fault> {
        let header = headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
        let queried = query.split('&').find_map(|pair| pair.strip_prefix("key="));
        let Some(key) = header.or(queried).filter(|key| !key.is_empty()) else {
            return Err(if headers.contains_key("authorization") {
                Fault::wrong_token()
            } else {
                Fault::no_key()
            });
        };
        if !self.keys.is_empty() && !self.keys.iter().any(|known| known == key) {
            return Err(Fault::wrong_key());
        }
        Ok(())
    }
}

fn task_of(task: &str, query: &str) -> Result<Task, Fault> {
    Ok(match task {
        "generateContent" => Task::Generate,
        "streamGenerateContent" => Task::Stream { sse: query.split('&').any(|it| it == "alt=sse") },
        "countTokens" => Task::Count,
        "embedContent" => Task::Embed,
        "batchEmbedContents" => Task::EmbedAll,
        _ => return Err(Fault::no_such_path()),
    })
}

fn body(request: &Recorded) -> Result<Value, Fault> {
    if request.body.len() > MOST_BODY {
        return Err(Fault::asked("large", None));
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Fault::invalid(format!("Invalid JSON payload received. {error}")))
}

fn count(body: &Value, name: &str, model: &Model) -> Result<Script, Fault> {
    let body = Kind::One(&fields::COUNTING).read(body, "")?;
    let request = match (body.get("contents"), body.get("generateContentRequest")) {
        (Some(_), Some(_)) => {
            let what = "contents and generate_content_request are mutually exclusive";
            return Err(Fault::field("CountTokensRequest", what));
        }
        (_, Some(request)) => {
            if request["model"] != format!("models/{name}") {
                let what = "model must be the one of the request";
                return Err(Fault::field("CountTokensRequest.generate_content_request", what));
            }
            request
        }
        _ => &body,
    };
    validate::check(request, name, model)?;
    let tokens = Asked::read(request, model).prompt.tokens;
    Ok(plain(&obj! { "totalTokens": tokens, "promptTokensDetails": reply::details(tokens) }))
}

fn plain(body: &Json) -> Script {
    Script::of(Reply::json(StatusCode::OK, body.to_string()))
}

/// These responses, in the form that was asked for.
fn answer(task: Task, mut responses: Vec<Json>) -> Script {
    match task {
        Task::Stream { sse: true } => {
            Script::sse(responses.iter().map(|response| format!("data: {response}\r\n\r\n")))
        }
        Task::Stream { sse: false } => in_array(&responses),
        _ => plain(&responses.remove(0)),
    }
}

/// An array whose elements come one after another.
fn in_array(responses: &[Json]) -> Script {
    let mut reply = Reply::json(StatusCode::OK, String::new());
    let begun = |at| if at == 0 { "[" } else { ",\r\n" };
    let events = responses.iter().enumerate().map(|(at, it)| format!("{}{it}", begun(at)).into());
    reply.events = events.chain([Bytes::from_static(b"]")]).collect();
    reply.streamed = true;
    Script::of(reply)
}

fn whole(context: &Context, candidates: &[Speech]) -> Result<Script, Fault> {
    let mut script = plain(&reply::response(context, candidates));
    let first = &candidates[0];
    match first.break_down {
        Some(BreakDown::Error) => return Err(Fault::asked("500", None)),
        Some(BreakDown::Cut) => script = script.cut_after(After::Bytes(64)),
        None => {}
    }
    Ok(match first.pace {
        Some(pace) => script.delay_head(pace),
        None => script,
    })
}

fn streamed(context: &Context, task: Task, candidates: &[Speech]) -> Script {
    let mut chunks = reply::chunks(context, candidates);
    let two = chunks.len().min(2);
    let first = &candidates[0];
    let script = match (first.break_down, task) {
        // An element of the array tells of an error there.
        (Some(BreakDown::Error), Task::Stream { sse: false }) => {
            chunks.truncate(two);
            chunks.push(Fault::asked("503", None).body());
            answer(task, chunks)
        }
        (Some(BreakDown::Error), _) => answer(task, chunks).error_event_after(two),
        (Some(BreakDown::Cut), _) => answer(task, chunks).cut_after(After::Events(two)),
        (None, _) => answer(task, chunks),
    };
    match first.pace {
        Some(pace) => script.delay_between(pace),
        None => script,
    }
}

impl Vendor for Gemini {
    fn answer(&self, request: &Recorded, number: u64) -> Script {
        let in_array = request.path.ends_with(":streamGenerateContent")
            && !request.query.as_deref().unwrap_or_default().contains("alt=sse");
        self.route(request, number).unwrap_or_else(|fault| fault.into_script(in_array))
    }

    fn error(&self, status: StatusCode, _number: u64) -> Script {
        Fault::asked(status.as_str(), None).into_script(false)
    }

    fn error_event(&self, _number: u64) -> Bytes {
        format!("data: {}\r\n\r\n", Fault::asked("503", None).body()).into()
    }

    fn base_path(&self) -> &'static str {
        "/v1beta"
    }
}
