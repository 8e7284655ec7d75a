//! What a cache costs: when it is off for a call, when it has to ask, and when it knows the answer. The service below answers at
//! once, and its own row is what every other row contains.

mod support;

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, Uri};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Call, CallHead, CallService, Caller, CutOptions, Error, Frame, Frames, Operation, Payload,
    RawJson, Reply, ReplyBody, ReplyHead, Settlement, Str,
};
use ziggurat_dialects::OPENAI;
use ziggurat_layers::CacheLayer;
use ziggurat_layers::cache::Caches;

use support::{measure, measure_events, now};

const EVENTS: usize = 1000;
const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"A ziggurat is a terraced tower of Mesopotamia."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":12,"total_tokens":19}}"#;
const PIECE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tower\"},\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Answers at once: whole, or with a stream.
#[derive(Clone)]
struct Canned(Option<Arc<[Frame]>>);

impl Service<Call> for Canned {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        drop(call);
        let mut head = ReplyHead::default();
        head.dialect = Some(OPENAI);
        let body = match &self.0 {
            None => ReplyBody::Whole(Bytes::from_static(WHOLE.as_bytes())),
            Some(frames) => ReplyBody::Frames(Box::new(Pieces(Arc::clone(frames), 0))),
        };
        ready(Ok(Reply::new(head, body)))
    }
}

struct Pieces(Arc<[Frame]>, usize);

impl Frames for Pieces {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let frame = self.0.get(self.1).cloned();
        self.1 += 1;
        Poll::Ready(frame.map(Ok))
    }
}

fn stream(events: usize) -> Canned {
    let mut cutter = OPENAI.cutter(&CutOptions::default());
    let mut frames = Vec::new();
    let pieces = std::iter::repeat_n(PIECE, events).chain([END]);
    for piece in pieces {
        cutter.push(Bytes::from_static(piece.as_bytes()));
        while let Ok(Some(frame)) = cutter.next_frame() {
            frames.push(frame);
        }
    }
    Canned(Some(frames.into()))
}

/// A conversation of some kilobytes, or with a picture of this size.
fn body(picture: usize, streamed: bool) -> Bytes {
    let turns: Vec<String> = (0..12)
        .map(|turn| {
            let role = if turn % 2 == 0 { "user" } else { "assistant" };
            let said = "Tell me more about the terraces and who climbed them. ".repeat(2);
            format!(r#"{{"role":"{role}","content":"{said}{turn}"}}"#)
        })
        .collect();
    let turns = turns.join(",");
    let picture = match picture {
        0 => String::new(),
        bytes => format!(
            r#",{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}"#,
            "iVBORw0KGgoA".repeat(bytes / 12)
        ),
    };
    let temperature = r#""max_completion_tokens":500,"temperature":0.5"#;
    let messages = format!(r#""messages":[{turns}{picture}]"#);
    Bytes::from(format!(r#"{{"model":"gpt",{temperature},"stream":{streamed},{messages}}}"#))
}

/// The call as a front door makes it of these bytes: not decoded.
fn call(body: &Bytes, streamed: bool) -> Call {
    let id = Str::from_static("call");
    let uri = Uri::from_static("/v1/chat/completions");
    let head = CallHead::new(Method::POST, uri, HeaderMap::new(), Some(OPENAI), id.clone(), id);
    let payload = Payload::wire(OPENAI, Operation::Chat, body.clone());
    let payload = payload.expect("the body is an object");
    let mut call = Call::new(Arc::new(head), Str::from_static("gpt"), streamed, payload);
    call.set_caller(Caller::new("key-1"));
    call
}

fn ask(mut service: impl CallService, mut call: Call) -> usize {
    let guard = Settlement::open();
    call.set_scope(guard.scope());
    let Ok(mut reply) = now(service.call(call)) else { return 0 };
    reply.hold(guard);
    if !reply.is_streamed() {
        return match reply.take_body() {
            ReplyBody::Whole(bytes) => bytes.len(),
            _ => 0,
        };
    }
    let mut length = 0;
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = reply.poll_frame(&mut cx) {
        length += frame.bytes().len();
    }
    length
}

fn cache(criterion: &mut Criterion) {
    let caches = || Arc::new(Caches::new().local(256 << 20));
    let run = |(service, call)| ask(service, call);
    let small = body(0, false);

    measure(criterion, "no cache, a whole call", || (Canned(None), call(&small, false)), run);
    let off = CacheLayer::new(caches()).only_when_asked().layer(Canned(None));
    measure(
        criterion,
        "cache off, a whole call",
        || (off.clone(), call(&small, false)),
        |(service, call)| ask(service, call),
    );

    // Each asks something else: what is kept of it is part of the price.
    let missing = CacheLayer::new(caches()).layer(Canned(None));
    let fresh = || {
        let mut call = call(&small, false);
        call.payload_mut().set("seed", RawJson::of(&fastrand::u32(..)).unwrap_or(RawJson::NULL));
        (missing.clone(), call)
    };
    measure(criterion, "cache miss, a whole call of 2 KiB", fresh, |(service, call)| {
        ask(service, call)
    });

    let hitting = CacheLayer::new(caches()).layer(Canned(None));
    ask(hitting.clone(), call(&small, false));
    measure(
        criterion,
        "cache hit, a whole call of 2 KiB",
        || (hitting.clone(), call(&small, false)),
        |(service, call)| ask(service, call),
    );
    // The same conversation in other bytes each time: decoded, and found by what it says.
    let spelled = |count: u32| {
        let space = " ".repeat(1 + count as usize % 64);
        let text = String::from_utf8_lossy(&small).replacen(',', &format!(",{space}"), 1);
        let unique = format!("{text}{}", "\n".repeat(count as usize / 64));
        Bytes::from(unique)
    };
    let count = std::cell::Cell::new(0);
    measure(
        criterion,
        "cache hit, a whole call of 2 KiB in other words",
        || {
            count.set(count.get() + 1);
            (hitting.clone(), call(&spelled(count.get() % (64 * 200)), false))
        },
        |(service, call)| ask(service, call),
    );
    let large = body(10 << 20, false);
    ask(hitting.clone(), call(&large, false));
    measure(
        criterion,
        "cache hit, a whole call of 10 MB",
        || (hitting.clone(), call(&large, false)),
        |(service, call)| ask(service, call),
    );

    let asks = body(0, true);
    let bare = |events| (stream(events), call(&asks, true));
    measure_events(criterion, "no cache, an event", EVENTS, bare, |(service, call)| {
        ask(service, call)
    });
    let missed = |events| {
        let layer = CacheLayer::new(caches());
        (layer.layer(stream(events)), call(&asks, true))
    };
    measure_events(criterion, "cache miss, an event", EVENTS, missed, |(service, call)| {
        ask(service, call)
    });
    let hit = |events| {
        let service = CacheLayer::new(caches()).layer(stream(events));
        ask(service.clone(), call(&asks, true));
        (service, call(&asks, true))
    };
    measure_events(criterion, "cache hit, an event", EVENTS, hit, |(service, call)| {
        ask(service, call)
    });
    let one = CacheLayer::new(caches()).layer(stream(1));
    ask(one.clone(), call(&asks, true));
    measure(
        criterion,
        "cache hit, a stream of one event",
        || (one.clone(), call(&asks, true)),
        |(service, call)| ask(service, call),
    );
}

criterion_group!(benches, cache);
criterion_main!(benches);
