//! Those who call.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, header};
use http_body::Body as HttpBody;
use serde_json::json;
use tokio::time::{sleep, timeout};
use ziggurat_core::{Body, Caller};

use super::chance::Chance;
use super::reader::Reader;
use super::report::{CallEnd, CallRecord, Moment};
use super::stack::Stack;
use super::wire::Wire;
use super::world::World;

/// What one call is going to be.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) question: u64,
    pub(super) wire: Wire,
    pub(super) streamed: bool,
    pub(super) usage: bool,
    pub(super) model: String,
    pub(super) key: String,
    pub(super) leave: Option<Leave>,
    /// Between two reads.
    pub(super) slow: Option<Duration>,
    pub(super) recovery: bool,
}

/// When a caller leaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    After(Duration),
    /// Anywhere: after so many polls that were not the last.
    Polls(u64),
    /// As soon as the terminator was read, as many clients do.
    AtTerminator,
}

impl Plan {
    /// The request of this call.
    fn request(&self, id: u64) -> Request<Body> {
        let mut body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": format!("question {}", self.question) }],
        });
        if self.streamed {
            body["stream"] = true.into();
        }
        // The same question in both dialects: Anthropic's demands a bound.
        match self.wire {
            Wire::Anthropic => body["max_tokens"] = 1000.into(),
            Wire::OpenAi => {
                body["max_completion_tokens"] = 1000.into();
                if self.streamed && self.usage {
                    body["stream_options"] = json!({ "include_usage": true });
                }
            }
        }
        let request = Request::post(self.wire.path())
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-request-id", format!("call-{id}"))
            .extension(Caller::new(self.key.as_str()));
        let request = match self.wire {
            Wire::Anthropic => request.header("anthropic-version", "2023-06-01"),
            Wire::OpenAi => request,
        };
        request.body(Body::from(body.to_string())).unwrap_or_default()
    }
}

/// Whatever else is to be done to a request.
pub(super) type Dress = Arc<dyn Fn(&mut Request<Body>, &Chance) + Send + Sync>;

/// Makes one call, and writes down how it went.
pub(super) async fn call(
    world: &World,
    stack: &Stack,
    plan: Plan,
    chance: &Chance,
    dress: Option<&Dress>,
    patience: Duration,
) {
    let (id, began) = begin(world, &plan);
    let mut request = plan.request(id);
    if let Some(dress) = dress {
        dress(&mut request, chance);
    }
    let seen = Arc::new(Mutex::new(Seen {
        reader: Reader::new(plan.wire, plan.streamed),
        first_text: None,
        status: None,
        headers: Vec::new(),
    }));
    let end = {
        let mut reading = Box::pin(read(world, stack, &plan, request, id, Arc::clone(&seen)));
        let mut crashed = pin!(world.instance.crashed());
        let mut polls = match plan.leave {
            Some(Leave::Polls(polls)) => Some(polls),
            _ => None,
        };
        let racing = poll_fn(|cx| {
            if crashed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(CallEnd::Crashed);
            }
            match catch_unwind(AssertUnwindSafe(|| reading.as_mut().poll(cx))) {
                Ok(Poll::Ready(end)) => return Poll::Ready(end),
                Ok(Poll::Pending) => {}
                Err(_) => return Poll::Ready(CallEnd::Panicked),
            }
            match &mut polls {
                Some(0) => Poll::Ready(CallEnd::Left),
                Some(left) => {
                    *left -= 1;
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        });
        let end = match plan.leave {
            Some(Leave::After(time)) => timeout(time, racing).await.unwrap_or(CallEnd::Left),
            _ => timeout(patience, racing).await.unwrap_or(CallEnd::Unanswered),
        };
        if end == CallEnd::Panicked {
            // As a server does: the connection goes with its task. What is dropped may panic again.
            drop(catch_unwind(AssertUnwindSafe(move || drop(reading))));
        }
        end
    };
    finish(world, id, plan, began, end, &seen);
}

/// What a caller has seen of its answer.
struct Seen {
    reader: Reader,
    first_text: Option<Moment>,
    status: Option<u16>,
    headers: Vec<(String, String)>,
}

impl Seen {
    /// Takes what came. Whether nothing more can be wanted.
    fn data(&mut self, data: &[u8], world: &World, id: u64) -> bool {
        if self.reader.data(data) && self.first_text.is_none() {
            let mut state = world.inner.lock();
            let now = world.inner.note(&mut state, format_args!("call {id}: the first text"));
            self.first_text = Some(now);
        }
        self.reader.is_over()
    }
}

fn begin(world: &World, plan: &Plan) -> (u64, Moment) {
    let mut state = world.inner.lock();
    // A place is taken now, so that calls are listed in the order in which they began.
    let id = state.report.calls.len() as u64;
    let Plan { question, wire, streamed, model, key, leave, .. } = plan;
    let how = if *streamed { "streamed" } else { "whole" };
    let instance = world.instance();
    let leave = leave.map(|leave| format!(", leaves: {leave:?}")).unwrap_or_default();
    let began = world.inner.note(
        &mut state,
        format_args!(
            "call {id}: {key} asks {question} of {model} at instance {instance}, {wire:?}, {how}{leave}"
        ),
    );
    state.report.calls.push(CallRecord {
        id,
        question: *question,
        wire: *wire,
        streamed: *streamed,
        model: model.clone(),
        key: key.clone(),
        instance,
        recovery: plan.recovery,
        began,
        ended: began,
        end: CallEnd::Unanswered,
        status: None,
        headers: Vec::new(),
        text: String::new(),
        first_text: None,
        told: None,
    });
    (id, began)
}

async fn read(
    world: &World,
    stack: &Stack,
    plan: &Plan,
    request: Request<Body>,
    id: u64,
    seen: Arc<Mutex<Seen>>,
) -> CallEnd {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (parts, body) = stack.send(request).await.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    {
        let mut seen = lock();
        seen.reader.head(parts.status, content_type);
        seen.status = Some(parts.status.as_u16());
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter();
        seen.headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    }
    world.note(format_args!("call {id}: status {}", parts.status));
    let mut body = Box::pin(body);
    // As a server does, which asks nothing of a body that says it is over.
    while !body.is_end_stream() {
        match poll_fn(|cx| Pin::new(&mut body).as_mut().poll_frame(cx)).await {
            None => break,
            Some(Err(_)) => {
                lock().reader.broke();
                break;
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                let is_over = lock().data(&data, world, id);
                if is_over && matches!(plan.leave, Some(Leave::AtTerminator)) {
                    break;
                }
                if let Some(slow) = plan.slow {
                    sleep(slow).await;
                }
            }
        }
    }
    let mut seen = lock();
    seen.reader.end()
}

fn finish(world: &World, id: u64, plan: Plan, began: Moment, end: CallEnd, seen: &Mutex<Seen>) {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = world.inner.lock();
    let line = format!("call {id}: {end:?}, {} bytes of text", seen.reader.text.len());
    let ended = world.inner.note(&mut state, format_args!("{line}"));
    let index = usize::try_from(id).unwrap_or(usize::MAX);
    if let Some(record) = state.report.calls.get_mut(index) {
        record.began = began;
        record.ended = ended;
        record.end = end;
        record.status = seen.status;
        record.headers.clone_from(&seen.headers);
        record.text.clone_from(&seen.reader.text);
        record.first_text = seen.first_text;
        record.told = seen.reader.told;
    }
    drop(state);
    drop(plan);
}
