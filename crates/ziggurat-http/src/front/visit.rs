//! One request on its way in, and its answer on the way out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Uri, header, request};
use http_body::Body as HttpBody;

use ziggurat_core::{
    Ask, Call, CallHead, Caller, End, Error, ErrorKind, Guard, Operation, Payload, RawJson, Reply,
    ReplyBody, ReplyHead, Stored, Str, Typed,
};

use super::body::{ResponseBody, Waiting};
use super::disconnect::Leave;
use super::headers::{self, Facts};
use super::layer::Settings;
use super::read::ReadBody;
use super::respond;
use super::routes::{Route, Streaming};
use crate::admission::Permit;

/// What is known of a request from its path on.
#[derive(Clone)]
pub(super) struct Visit {
    settings: Arc<Settings>,
    route: Route,
}

impl Visit {
    pub(super) fn new(settings: Arc<Settings>, route: Route) -> Self {
        Self { settings, route }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a streamed call may be silent before its caller is told that we are still here.
    pub(super) fn keepalive_after(&self) -> Option<Duration> {
        self.settings.keepalive_after.filter(|_| !self.route.dialect.keep_alive().is_empty())
    }

    /// Keeps the head as it came, and who sent it; and its place in admission, if it may be needed longer than the answer.
    pub(super) fn head(
        &self,
        mut parts: request::Parts,
    ) -> (Arc<CallHead>, Caller, Option<Arc<Permit>>) {
        let id = respond::call_id(&*self.settings.ambient);
        let request_id = headers::request_id(&parts.headers).unwrap_or_else(|| id.clone());
        let caller = parts.extensions.remove::<Caller>().unwrap_or_default();
        let admitted = match self.settings.disconnect.is_set() {
            true => parts.extensions.remove::<Arc<Permit>>(),
            false => None,
        };
        let uri = std::mem::replace(&mut parts.uri, Uri::from_static("/"));
        let dialect = Some(self.route.dialect);
        let head = CallHead::new(parts.method, uri, parts.headers, dialect, id, request_id);
        (Arc::new(head), caller, admitted)
    }

    fn stream_type(&self) -> HeaderValue {
        match self.route.array {
            true => HeaderValue::from_static("application/json"),
            false => self.route.dialect.stream_type(),
        }
    }

    pub(super) fn reading<B: HttpBody>(&self, body: B) -> ReadBody<B> {
        ReadBody::new(body, self.settings.max_body, self.settings.body_timeout)
    }

    pub(super) fn needs_body(&self) -> bool {
        self.route.posts
    }

    /// Makes a call of a body.
    pub(super) fn call(&self, bytes: Bytes, head: &Arc<CallHead>) -> Result<Call, Error> {
        let (dialect, operation) = (self.route.dialect, self.route.operation);
        if let (Some(action), Some(id)) = (self.route.stored, &self.route.model) {
            let payload = Payload::typed(Typed::Stored(Stored::new(id.clone(), action)));
            return Ok(Call::new(Arc::clone(head), Str::new(), false, payload));
        }
        if operation == Operation::Models {
            let model = match self.route.posts {
                true => Some(self.model(&Payload::wire(dialect, operation, bytes)?)?),
                false => self.route.model.clone(),
            };
            let payload = Payload::typed(Typed::Models(model.clone()));
            return Ok(Call::new(Arc::clone(head), model.unwrap_or_default(), false, payload));
        }
        let mut payload = Payload::wire(dialect, operation, bytes)?;
        let stream = is_streamed(self.route.streaming, &payload)?;
        let model = self.model(&payload)?;
        if self.route.rewritten {
            payload = Payload::typed(payload.decode()?.clone());
        }
        // The name lives as long as the answer. As a slice it would keep the body for all of a stream.
        let model = if stream { Str::from(model.as_str()) } else { model };
        Ok(Call::new(Arc::clone(head), model, stream && operation == Operation::Chat, payload))
    }

    /// The model that is asked for: in the path, or in the body.
    fn model(&self, payload: &Payload) -> Result<Str, Error> {
        match (&self.route.model, payload.member("model")) {
            (Some(model), _) => Ok(model.clone()),
            (None, Some(json)) => model_name(&json),
            // OpenAI's default, which clients leave to it.
            (None, None) if self.route.operation == Operation::Moderation => {
                Ok(Str::from_static("omni-moderation-latest"))
            }
            (None, None) => Err(Error::invalid("`model` is missing").with_param("model")),
        }
    }

    /// Opens the call's books and sets its deadline.
    pub(super) fn open(&self, call: &mut Call) -> (Ask, Option<Guard>) {
        let head = Arc::clone(call.head());
        if let Some(deadline) = self.settings.deadline {
            call.set_deadline(head.received + deadline);
        }
        let (_, guard) = call.open_scope();
        let mut ask = Ask::new(self.route.operation, call.model().clone());
        ask.stream_usage = call.is_streamed() && wants_usage(call.payload());
        ask.show_reasoning = self.settings.show_reasoning;
        ask.created = self.settings.ambient.unix_time().as_secs();
        ask.call_id = head.id.clone();
        ask.echo = self.route.dialect.echo(call.payload());
        (ask, guard)
    }

    /// What the call needs to go on should its client leave, if it shall.
    pub(super) fn leave(&self, call: &Call, admitted: Option<Arc<Permit>>) -> Option<Box<Leave>> {
        let Settings { disconnect, drains, shutdown, .. } = &*self.settings;
        Leave::of(call, disconnect, drains, shutdown.as_ref(), admitted)
    }

    /// Begins an answer before there is one.
    pub(super) fn begin(&self, head: &CallHead, waiting: Waiting) -> Response<ResponseBody> {
        let mut response = respond::stream_head(self.stream_type());
        self.facts(head, &waiting.ask.model).write(response.headers_mut(), None);
        let deadline = self.settings.deadline.map(|deadline| head.received + deadline);
        let request_id = head.request_id.clone();
        let dialect = self.route.dialect;
        let body = ResponseBody::waiting(waiting, dialect, &self.settings, deadline, request_id);
        response.map(|()| body.in_array(self.route.array))
    }

    /// Turns what the layers say into an answer.
    pub(super) fn answer(
        &self,
        head: &CallHead,
        ask: &Ask,
        result: Result<Reply, Error>,
        guard: Option<Guard>,
        leave: Option<Box<Leave>>,
    ) -> Response<ResponseBody> {
        match result {
            Ok(mut reply) => {
                if let Some(guard) = guard {
                    reply.hold(guard);
                }
                self.deliver(head, ask, reply, leave)
            }
            Err(error) => {
                if let Some(guard) = guard {
                    guard.close(End::Failure(error.clone()));
                }
                self.refuse(head, &ask.model, &error)
            }
        }
    }

    fn deliver(
        &self,
        head: &CallHead,
        ask: &Ask,
        mut reply: Reply,
        leave: Option<Box<Leave>>,
    ) -> Response<ResponseBody> {
        let facts = self.facts(head, &ask.model);
        let dialect = self.route.dialect;
        match reply.body() {
            ReplyBody::Frames(_) => {
                let mut response = respond::stream_head(self.stream_type());
                write_head(response.headers_mut(), &facts, reply.head_mut());
                let deadline = self.settings.deadline.map(|deadline| head.received + deadline);
                let request_id = head.request_id.clone();
                let settings = &*self.settings;
                let body = ResponseBody::stream(
                    reply, dialect, ask, settings, deadline, request_id, leave,
                );
                response.map(|()| body.in_array(self.route.array))
            }
            ReplyBody::Raw(_) => {
                let mut response = Response::new(());
                *response.status_mut() = reply.head().status;
                write_head(response.headers_mut(), &facts, reply.head_mut());
                match reply.take_body() {
                    ReplyBody::Raw(body) => response.map(|()| ResponseBody::plain(body)),
                    _ => self.refuse(head, &ask.model, &Error::closed()),
                }
            }
            _ => match respond::whole(dialect, ask, &mut reply) {
                Ok(bytes) => {
                    let mut response = Response::new(());
                    *response.status_mut() = reply.head().status;
                    let headers = response.headers_mut();
                    headers.reserve(respond::EXPECTED_HEADERS);
                    let json = HeaderValue::from_static("application/json");
                    headers.insert(header::CONTENT_TYPE, json);
                    write_head(headers, &facts, reply.head_mut());
                    response.map(|()| ResponseBody::whole(bytes, reply, leave.is_some()))
                }
                Err(error) => {
                    reply.end(&End::Failure(error.clone()));
                    self.refuse(head, &ask.model, &error)
                }
            },
        }
    }

    pub(super) fn refuse(
        &self,
        head: &CallHead,
        model: &Str,
        error: &Error,
    ) -> Response<ResponseBody> {
        respond::error(self.route.dialect, error, &self.facts(head, model))
    }

    fn facts<'a>(&self, head: &'a CallHead, model: &'a Str) -> Facts<'a> {
        Facts {
            dialect: self.route.dialect,
            call_id: &head.id,
            request_id: &head.request_id,
            model,
            elapsed: head.received.elapsed(),
            litellm: self.settings.litellm_headers,
        }
    }
}

fn write_head(headers: &mut HeaderMap, facts: &Facts<'_>, head: &mut ReplyHead) {
    // The provider's first: ours stand where both have one. They are taken, since they are slices of the buffer of the
    // provider's connection, which would otherwise live as long as the answer.
    let mut last = None;
    for (name, value) in std::mem::take(&mut head.headers) {
        last = name.or(last);
        if let Some(name) = &last {
            headers.append(name, value);
        }
    }
    facts.write(headers, head.provider_time);
    facts.write_reply(headers, head);
    headers::write_losses(headers, &head.losses);
}

/// Whether the answer is to be streamed, as the path says or the body.
fn is_streamed(streaming: Streaming, payload: &Payload) -> Result<bool, Error> {
    let default = match streaming {
        Streaming::Always => return Ok(true),
        Streaming::Never => return Ok(false),
        Streaming::Default => true,
        Streaming::Asked => false,
    };
    match payload.member("stream").as_deref() {
        None | Some("null") => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(Error::invalid("`stream` must be true or false").with_param("stream")),
    }
}

fn model_name(json: &Str) -> Result<Str, Error> {
    let refused =
        || Error::invalid("`model` must be a string that is not empty").with_param("model");
    // Without escapes, which is the rule, the name is a slice of the body.
    let plain = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = match plain.filter(|plain| !plain.contains('\\')) {
        Some(plain) => json.slice_ref(plain),
        None => RawJson::parse(json.clone())
            .and_then(|raw| raw.read::<String>())
            .map_err(|_| refused())?
            .into(),
    };
    if name.is_empty() { Err(refused()) } else { Ok(name) }
}

/// Whether the caller asked for usage at the end of a stream, in a dialect where that is asked for.
fn wants_usage(payload: &Payload) -> bool {
    #[derive(serde::Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let Some(options) = payload.member("stream_options") else { return false };
    RawJson::parse(options)
        .and_then(|raw| raw.read::<Option<Options>>())
        .is_ok_and(|options| options.and_then(|o| o.include_usage).unwrap_or(false))
}

pub(super) fn past_deadline() -> Error {
    Error::new(ErrorKind::Timeout, "the call took longer than its deadline allows")
}

pub(super) fn shutting_down() -> Error {
    Error::new(ErrorKind::Overloaded, "the gateway is shutting down")
        .with_retry_after(std::time::Duration::from_secs(1))
}
