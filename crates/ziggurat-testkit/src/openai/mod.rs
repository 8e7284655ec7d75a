//! OpenAI: Chat Completions, embeddings and the list of models, as strict as the vendor.
//!
//! What is refused, and with which words, follows the vendor's API as observed; parameters that a
//! model does not take are refused by the model's name (see [`OpenAi::model`] for other names).

mod behave;
mod embed;
mod error;
mod fields;
mod messages;
mod models;
mod reply;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod validate;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use self::{
    behave::Asked,
    error::{Fault, vendor_headers},
    models::Model,
};
use crate::{
    After, Recorded, Script, Vendor,
    json::{Json, obj},
    model,
    prompt::{BreakDown, Speech},
    script::Reply,
};

/// OpenAI as a [`Vendor`].
///
/// Without settings it knows every model whose name looks like one of OpenAI's, and takes every
/// key.
#[derive(Clone, Debug, Default)]
pub struct OpenAi {
    models: Vec<String>,
    keys: Vec<String>,
    reasoning_content: bool,
}

impl OpenAi {
    /// Also serves a model of this name, as a compatible server might: it takes every parameter.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.models.push(name.to_owned());
        self
    }

    /// Takes this key, and no longer just any.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    /// Shows its reasoning as `reasoning_content`, which is not OpenAI's but what many compatible
    /// servers do.
    #[must_use]
    pub fn reasoning_content(mut self) -> Self {
        self.reasoning_content = true;
        self
    }

    fn route(&self, request: &Recorded, number: u64) -> Result<Script, Fault> {
        let path = request.path.as_str();
        let model = path.strip_prefix("/v1/models/");
        let allowed = match path {
            "/v1/chat/completions" | "/v1/embeddings" => Method::POST,
            "/v1/models" => Method::GET,
            _ if model.is_some() => Method::GET,
            _ => return Err(Fault::no_such_url(&request.method, path)),
        };
        if request.method != allowed {
            return Err(Fault::no_such_method(&request.method, &allowed));
        }
        self.authenticate(&request.headers)?;
        match (path, model) {
            ("/v1/chat/completions", _) => self.chat(request, number),
            ("/v1/embeddings", _) => Ok(plain(&embed::answer(&validate::body(request)?)?)),
            (_, Some(name)) => self.known(name).map(|_| plain(&models::entry(name))),
            _ => Ok(plain(&models::list(&self.models))),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(key) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(Fault::no_key());
        };
        let key = key.trim();
        if key.is_empty() {
            return Err(Fault::no_key());
        }
        if !self.keys.is_empty() && !self.keys.iter().any(|known| known == key) {
            return Err(Fault::wrong_key(key));
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Model, Fault> {
        if self.models.iter().any(|known| known == name) {
            return Ok(Model::compatible());
        }
        Model::of(name).ok_or_else(|| Fault::no_such_model(name))
    }

    fn chat(&self, request: &Recorded, number: u64) -> Result<Script, Fault> {
        let body = validate::body(request)?;
        let (name, model) = validate::model(&body, |name| self.known(name))?;
        validate::chat(&body, &model)?;
        let asked = Asked::read(&body);
        let choices = (0..asked.choices)
            .map(|choice| model::respond(&asked.prompt, choice))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|failure| Fault::asked(&failure.kind, failure.retry_after))?;
        let context = Context { name, number, asked, reasoning: self.reasoning_content };
        if context.asked.stream {
            return Ok(streamed(&context, &choices));
        }
        whole(&context, &choices)
    }
}

/// What an answer needs to know beside what the model says.
struct Context {
    name: String,
    number: u64,
    asked: Asked,
    /// Whether reasoning is shown.
    reasoning: bool,
}

impl Context {
    /// An id that looks like the vendor's and is the same in every run.
    fn id(&self, prefix: &str, of: &str) -> String {
        id(prefix, &format!("{} {of}", self.number))
    }
}

fn id(prefix: &str, seed: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(seed);
    digest.iter().take(12).fold(prefix.to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes all text");
        id
    })
}

fn plain(body: &Json) -> Script {
    Script::of(Reply::json(StatusCode::OK, body.to_string()))
}

fn whole(context: &Context, choices: &[Speech]) -> Result<Script, Fault> {
    let mut script = plain(&reply::completion(context, choices));
    let first = &choices[0];
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

fn streamed(context: &Context, choices: &[Speech]) -> Script {
    let stream::Events { events, two_deltas } = stream::events(context, choices);
    let script = Script::sse(events);
    let script = match choices[0].break_down {
        Some(BreakDown::Error) => script.error_event_after(two_deltas),
        Some(BreakDown::Cut) => script.cut_after(After::Events(two_deltas)),
        None => script,
    };
    match choices[0].pace {
        Some(pace) => script.delay_between(pace),
        None => script,
    }
}

impl Vendor for OpenAi {
    fn answer(&self, request: &Recorded, number: u64) -> Script {
        let script = self.route(request, number).unwrap_or_else(Fault::into_script);
        vendor_headers(script, number)
    }

    fn error(&self, status: StatusCode, number: u64) -> Script {
        let fault = Fault::asked(status.as_str(), None);
        vendor_headers(fault.into_script(), number)
    }

    fn error_event(&self, _number: u64) -> Bytes {
        let error = obj! {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error", "param": Json::NULL, "code": Json::NULL,
        };
        format!("data: {}\n\n", obj! { "error": error }).into()
    }

    fn base_path(&self) -> &'static str {
        "/v1"
    }
}
