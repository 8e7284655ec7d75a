//! What the stack adds to a call in process: front door, peek, timeout, translate, no sockets.
//!
//! Time is criterion's; allocations are counted exactly and printed beside it.

#![allow(clippy::print_stdout, reason = "a bench speaks to whoever runs it")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Body, Secret};
use ziggurat_dialects::{ANTHROPIC, OPENAI};
use ziggurat_http::{Deployment, FrontDoorLayer, TranslateLayer};
use ziggurat_layers::{peek::PeekLayer, timeout::TimeoutLayer};

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767323045,"model":"gpt-4.1","choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","content":"Hello! How can I help you today?","refusal":null,"annotations":[]}}],"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#;
const CLAUDE_ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","stop_reason":"end_turn","stop_sequence":null,"content":[{"type":"text","text":"Hello! How can I help you today?"}],"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":9}}"#;

/// A transport that answers at once.
#[derive(Clone)]
struct Canned {
    content_type: &'static str,
    body: Bytes,
}

impl Service<Request<Body>> for Canned {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        let mut response = Response::new(Body::from(self.body.clone()));
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(self.content_type));
        ready(Ok(response))
    }
}

fn request(body: &Bytes) -> Request<Body> {
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-caller")
        .body(Body::from(body.clone()))
        .expect("the request is well formed")
}

fn small_body(stream: bool) -> Bytes {
    let text = "Tell me about towers. ".repeat(90);
    Bytes::from(format!(
        r#"{{"model":"asked","stream":{stream},"temperature":0.5,"messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"{text}"}}]}}"#
    ))
}

/// Drives a service that never waits.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a canned answer never waits"),
    }
}

fn read<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) -> usize {
    let mut length = 0;
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        match now(frame) {
            Some(Ok(frame)) => length += frame.data_ref().map_or(0, Bytes::len),
            _ => return length,
        }
    }
}

fn deployment(dialect: ziggurat_core::Dialect) -> Deployment {
    let base = "http://provider.test/v1".parse().expect("the address is well formed");
    Deployment::new("d", dialect, base).key(Secret::new("sk-provider")).model("model-at-provider")
}

macro_rules! gateway {
    ($deployment:expr, $canned:expr) => {
        FrontDoorLayer::new().layer(
            PeekLayer::new().layer(
                TimeoutLayer::new()
                    .first_content(Duration::from_secs(60))
                    .idle(Duration::from_secs(60))
                    .layer(TranslateLayer::new($deployment).layer($canned)),
            ),
        )
    };
}

fn ask<S, B>(service: &mut S, request: Request<Body>) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    let Ok(response) = now(service.call(request));
    assert_eq!(response.status(), 200);
    read(response.into_body())
}

fn measure<S, B>(criterion: &mut Criterion, name: &str, mut service: S, body: &Bytes)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Unpin,
{
    for _ in 0..3 {
        ask(&mut service, request(body));
    }
    let ready = request(body);
    let counted = allocation_counter::measure(|| {
        std::hint::black_box(ask(&mut service, ready));
    });
    println!("{name}: {} allocations, {} bytes", counted.count_total, counted.bytes_total);
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request(body),
            |request| ask(&mut service, request),
            BatchSize::SmallInput,
        );
    });
}

fn stream(events: usize) -> Bytes {
    let mut stream = String::new();
    for _ in 0..events {
        stream.push_str("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tower\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
    }
    stream.push_str("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: [DONE]\n\n");
    stream.into()
}

fn whole(criterion: &mut Criterion) {
    // The timers of the timeout layer need a runtime around them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _inside = runtime.enter();
    let json = "application/json";
    let openai = Canned { content_type: json, body: Bytes::from_static(ANSWER.as_bytes()) };
    let claude = Canned { content_type: json, body: Bytes::from_static(CLAUDE_ANSWER.as_bytes()) };
    let body = small_body(false);
    measure(criterion, "whole/bare service", openai.clone(), &body);
    measure(criterion, "whole/same dialect", gateway!(deployment(OPENAI), openai), &body);
    measure(criterion, "whole/openai to anthropic", gateway!(deployment(ANTHROPIC), claude), &body);
}

fn streamed(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _inside = runtime.enter();
    let body = small_body(true);
    for events in [10, 110] {
        let canned = Canned { content_type: "text/event-stream", body: stream(events) };
        let name = format!("streamed/same dialect, {events} events in one read");
        measure(criterion, &name, gateway!(deployment(OPENAI), canned), &body);
    }
}

criterion_group!(benches, whole, streamed);
criterion_main!(benches);
