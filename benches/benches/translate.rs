//! What a translation costs, beside a bare parse of the same bytes into a tree.
//!
//! Requests, whole answers and streamed events of every pair, and a request with its answer from OpenAI's callers. Where both ends speak the same dialect nothing is translated: the
//! numbers are those of what happens instead. What is "rewritten" was changed by a layer, and is decoded and encoded as any other.

mod support;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use ziggurat_benches::answer;
use ziggurat_benches::prompt::Prompt;
use ziggurat_benches::rewritten::Rewritten;
use ziggurat_core::{
    Ask, Capabilities, CutOptions, Dialect, Losses, Operation, Payload, RawJson, Restore, Segments,
    Str, Target,
};
use ziggurat_dialects::{ANTHROPIC, OPENAI, all};

use support::{measure, measure_events};

/// Who asks whom.
fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    all().iter().flat_map(|one| all().iter().map(|other| (*one, *other)))
}

/// Events of a stream that is measured.
const EVENTS: usize = 1000;

// === requests ===

fn requests(criterion: &mut Criterion) {
    for (size, turns, image) in [("1 KB", 1, 0), ("100 KB", 160, 0), ("10 MB", 1, 10 << 20)] {
        for &caller in all() {
            let body = request_body(caller, turns, image);
            let name = format!("request, {size}, {caller}: bare parse");
            measure(criterion, &name, || body.clone(), |body| parsed(&body));
        }
        for (caller, provider) in pairs() {
            let body = request_body(caller, turns, image);
            let name = format!("request, {size}, {caller} to {provider}");
            if caller == provider {
                measure(criterion, &name, || body.clone(), |body| forwarded(caller, body));
                let name = format!("{name}, rewritten");
                measure(
                    criterion,
                    &name,
                    || body.clone(),
                    |body| translated(caller, provider, body),
                );
            } else {
                measure(
                    criterion,
                    &name,
                    || body.clone(),
                    |body| translated(caller, provider, body),
                );
            }
        }
    }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("the body is JSON")
}

/// What happens to a request that leaves in the dialect it came in: the outline, the usage, the model's name.
fn forwarded(dialect: Dialect, body: Bytes) -> Segments {
    let mut payload = Payload::wire(dialect, Operation::Chat, body).expect("the body is an object");
    dialect.prepare(&mut payload, true).expect("the body is a request");
    let model = RawJson::string("model-at-provider");
    payload.segments_setting(&Str::from_static("model"), &model).expect("it is on the wire")
}

fn translated(caller: Dialect, provider: Dialect, body: Bytes) -> Bytes {
    let payload = Payload::wire(caller, Operation::Chat, body).expect("the body is an object");
    let typed = payload.decode().expect("the body is a request");
    let capabilities = Capabilities::default();
    let target = Target::new("model-at-provider", &capabilities, Some(caller));
    let encoded = provider.encode_request(typed, &target, &mut Losses::default());
    encoded.expect("the request can be said").body
}

/// A conversation with tools: turns of about 600 bytes, and an image of so many bytes of base64.
fn request_body(dialect: Dialect, turns: usize, image: usize) -> Bytes {
    if ![OPENAI, ANTHROPIC].contains(&dialect) {
        // The same conversation, in this dialect's words.
        return translated(OPENAI, dialect, request_body(OPENAI, turns, image));
    }
    let schema =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let data = "iVBORw0KGgoAAAANSUhE".repeat(image.div_ceil(20));
    let says = "Tell me, \"in short\", what the committee decided on Tuesday.\n".repeat(5);
    let mut messages = Vec::new();
    for turn in 0..turns {
        let id = format!("call_{turn}");
        if dialect == OPENAI {
            let arguments = json!({"city": "Oslo"}).to_string();
            let function = json!({"name": "get_weather", "arguments": arguments});
            messages.extend([
                json!({"role": "user", "content": says}),
                json!({"role": "assistant", "content": "Checking.", "tool_calls": [{"id": id, "type": "function", "function": function}]}),
                json!({"role": "tool", "tool_call_id": id, "content": "4 C, rain"}),
                json!({"role": "assistant", "content": "It rains."}),
            ]);
        } else {
            messages.extend([
                json!({"role": "user", "content": says}),
                json!({"role": "assistant", "content": [{"type": "text", "text": "Checking."}, {"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": "Oslo"}}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "4 C, rain"}]}),
                json!({"role": "assistant", "content": "It rains."}),
            ]);
        }
    }
    let picture = if dialect == OPENAI {
        json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}})
    } else {
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
    };
    let mut last = vec![json!({"type": "text", "text": "Go on."})];
    if image > 0 {
        last.push(picture);
    }
    messages.push(json!({"role": "user", "content": last}));
    let body = if dialect == OPENAI {
        messages.insert(0, json!({"role": "system", "content": "You are terse."}));
        let function =
            json!({"name": "get_weather", "description": "Weather now", "parameters": schema});
        json!({"model": "asked", "temperature": 0.5, "max_completion_tokens": 512, "stream": true,
            "tools": [{"type": "function", "function": function}], "messages": messages})
    } else {
        let tool =
            json!({"name": "get_weather", "description": "Weather now", "input_schema": schema});
        json!({"model": "asked", "temperature": 0.5, "max_tokens": 512, "stream": true,
            "system": "You are terse.", "tools": [tool], "messages": messages})
    };
    body.to_string().into()
}

// === whole answers ===

fn replies(criterion: &mut Criterion) {
    for (size, words) in [("1 KB", 90), ("100 KB", 16_000)] {
        for &provider in all() {
            let body = reply_body(provider, words);
            let name = format!("reply, {size}, {provider}: bare parse");
            measure(criterion, &name, || body.clone(), |body| parsed(&body));
        }
        for (provider, caller) in pairs() {
            let body = reply_body(provider, words);
            let name = format!("reply, {size}, {provider} to {caller}");
            let run = |body| answered(provider, caller, &body);
            measure(criterion, &name, || body.clone(), run);
        }
    }
}

/// What happens to a whole answer: a glance at its usage where it is passed through, else its translation, which tells that as well.
fn answered(provider: Dialect, caller: Dialect, body: &Bytes) -> Bytes {
    if provider == caller {
        let glance = provider.glance(Operation::Chat, body);
        assert!(glance.error.is_none() && glance.usage.is_some());
        return body.clone();
    }
    let answer = provider.decode_reply(Operation::Chat, body, &Restore::default());
    let answer = answer.expect("the body is an answer");
    assert!(answer.usage().is_some());
    let written = caller.encode_reply(&answer, &ask(), &mut Losses::default());
    written.expect("the answer can be said")
}

fn ask() -> Ask {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.stream_usage = true;
    ask
}

fn reply_body(dialect: Dialect, words: usize) -> Bytes {
    if ![OPENAI, ANTHROPIC].contains(&dialect) {
        return answered(OPENAI, dialect, &reply_body(OPENAI, words));
    }
    let text = "tower ".repeat(words);
    let body = if dialect == OPENAI {
        let function = json!({"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"});
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_767_323_045, "model": "gpt-4.1",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {"role": "assistant",
                "content": text, "refusal": null, "annotations": [], "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
                "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}})
    } else {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "tool_use",
            "stop_sequence": null, "content": [{"type": "text", "text": text},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}],
            "usage": {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9}})
    };
    body.to_string().into()
}

// === both ===

/// The call that `compare` sends to measure throughput: a 2 KiB prompt, answered at once. Beside its translation stands what it
/// takes to read both bodies into trees, and to write those again.
fn calls(criterion: &mut Criterion) {
    let prompt = Prompt {
        dialect: answer::Dialect::Openai,
        model: "asked".to_owned(),
        size: 2048,
        stream: None,
        key: String::new(),
    };
    let request = body_of(&prompt.request("provider").bytes);
    let rewritten = Rewritten::all();
    let answers = [(ANTHROPIC, answer::whole(answer::Dialect::Anthropic))].into_iter();
    let answers = answers.chain(rewritten.iter().map(|one| (one.dialect(), one.whole.clone())));
    for (provider, answer) in answers {
        let reply = body_of(&answer);
        let input = || (request.clone(), reply.clone());
        let name = format!("call, {provider}: read and written");
        let both = |(request, reply): (Bytes, Bytes)| {
            [request, reply].map(|body| parsed(&body).to_string())
        };
        measure(criterion, &name, input, both);
        let name = format!("call, openai to {provider}");
        let there_and_back = |(request, reply)| {
            let sent = translated(OPENAI, provider, request);
            let answer = provider.decode_reply(Operation::Chat, &reply, &Restore::default());
            let answer = answer.expect("the body is an answer");
            let written = OPENAI.encode_reply(&answer, &ask(), &mut Losses::default());
            (sent, written.expect("the answer can be said"))
        };
        measure(criterion, &name, input, there_and_back);
    }
}

/// What stands behind the head of a message.
fn body_of(message: &[u8]) -> Bytes {
    let head = message.windows(4).position(|end| end == b"\r\n\r\n");
    Bytes::copy_from_slice(&message[head.expect("it has a head") + 4..])
}

// === streamed events ===

fn events(criterion: &mut Criterion) {
    for &provider in all() {
        let name = format!("event, {provider}: bare parse");
        // The one before the last is one of many pieces of text.
        let chunks = chunks(provider, 2);
        let chunk = &chunks[chunks.len() - 2];
        let at = |byte: u8| chunk.iter().position(|other| *other == byte);
        let end = chunk.iter().rposition(|byte| *byte == b'}').map_or(0, |at| at + 1);
        let data = chunk.slice(at(b'{').unwrap_or(0).min(end)..end);
        let input = |events| vec![data.clone(); events];
        let run = |all: Vec<Bytes>| all.iter().all(|data| parsed(data).is_object());
        measure_events(criterion, &name, EVENTS, input, run);
    }
    for (provider, caller) in pairs() {
        let input = |events| chunks(provider, events);
        let run = |chunks| streamed(provider, caller, chunks);
        let name = format!("event, {provider} to {caller}");
        measure_events(criterion, &name, EVENTS, input, run);
    }
}

/// A stream of so many pieces of text, each in a read of its own.
fn chunks(dialect: Dialect, events: usize) -> Vec<Bytes> {
    if ![OPENAI, ANTHROPIC].contains(&dialect) {
        return rewritten(dialect, chunks(OPENAI, events));
    }
    let (first, last) = if dialect == OPENAI {
        let last = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767323045,"model":"gpt-4.1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;
        (text_event(dialect), format!("{last}\n\ndata: [DONE]\n\n"))
    } else {
        let start = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}}"#;
        let block =
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let last = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#;
        let first = format!(
            "event: message_start\ndata: {start}\n\nevent: content_block_start\ndata: {block}\n\n"
        );
        let stop =
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
        let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        (first, format!("{stop}event: message_delta\ndata: {last}\n\n{end}"))
    };
    let text = Bytes::from(text_event(dialect));
    let mut chunks = vec![Bytes::from(first)];
    chunks.extend(std::iter::repeat_n(text, events));
    chunks.push(last.into());
    chunks
}

/// The same stream in another dialect, each event in a read of its own.
fn rewritten(dialect: Dialect, chunks: Vec<Bytes>) -> Vec<Bytes> {
    let mut decoder = OPENAI.decoder(&Restore::default());
    let mut encoder = dialect.encoder(&ask());
    let mut written = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let mut events = Vec::new();
        decoder.decode(&chunk, &mut events).expect("the stream is well formed");
        let mut out = Vec::new();
        for event in &events {
            encoder.encode(event, &mut out);
        }
        if !out.is_empty() {
            written.push(Bytes::from(out));
        }
    }
    written
}

fn text_event(dialect: Dialect) -> String {
    if dialect == OPENAI {
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767323045,"model":"gpt-4.1","choices":[{"index":0,"delta":{"content":" tower"},"logprobs":null,"finish_reason":null}],"usage":null}"#.to_owned() + "\n\n"
    } else {
        let data = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" tower"}}"#;
        format!("event: content_block_delta\ndata: {data}\n\n")
    }
}

/// What happens to a stream: it is cut, with its facts; where it is translated it is decoded and encoded, too.
fn streamed(provider: Dialect, caller: Dialect, chunks: Vec<Bytes>) -> usize {
    let mut cutter = provider.cutter(&CutOptions::default());
    let restore = Restore::default();
    let carried = provider != caller && cutter.carry_events(&restore);
    let mut decoder = provider.decoder(&restore);
    let mut encoder = caller.encoder(&ask());
    let mut sent = 0;
    for chunk in chunks {
        cutter.push(chunk);
        while let Some(frame) = cutter.next_frame().expect("the stream is well formed") {
            if provider == caller {
                sent += frame.bytes().len();
                continue;
            }
            let mut events = Vec::new();
            if !carried {
                decoder.decode(frame.bytes(), &mut events).expect("the stream is well formed");
            }
            let mut out = Vec::new();
            for event in frame.events().unwrap_or(&events) {
                encoder.encode(event, &mut out);
            }
            sent += Bytes::from(out).len();
        }
    }
    assert!(sent > 0);
    sent
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(100)).measurement_time(std::time::Duration::from_millis(400));
    targets = requests, replies, calls, events
}
criterion_main!(benches);
