//! The answer as `chat.completion.chunk`s.

use bytes::Bytes;

use super::{
    Context,
    reply::{CREATED, FINGERPRINT, call_id, call_of, finish_reason, has_content, tokens, usage},
};
use crate::{
    json::{Json, obj},
    prompt::{Speech, halves, word_by_word},
};

pub(super) struct Events {
    pub(super) events: Vec<Bytes>,
    /// How many events there are up to the second delta, or up to the last of fewer.
    pub(super) two_deltas: usize,
}

/// What a chunk says beside its delta.
struct Chunk {
    choice: usize,
    delta: Json,
    logprobs: Json,
    /// It carries text, and padding against those who watch its size.
    padded: bool,
    finish: Option<&'static str>,
}

pub(super) fn events(context: &Context, choices: &[Speech]) -> Events {
    let mut chunks: Vec<Chunk> =
        choices.iter().enumerate().map(|(choice, speech)| role(choice, speech)).collect();
    let mut deltas: Vec<_> = choices
        .iter()
        .enumerate()
        .map(|(choice, speech)| deltas(context, choice, speech).into_iter())
        .collect();
    let heads = chunks.len();
    // Several answers grow together.
    loop {
        let before = chunks.len();
        chunks.extend(deltas.iter_mut().filter_map(Iterator::next));
        if chunks.len() == before {
            break;
        }
    }
    let two_deltas = chunks.len().min(heads + 2);
    chunks.extend(choices.iter().enumerate().map(|(choice, speech)| Chunk {
        finish: Some(finish_reason(context, speech)),
        ..plain(choice, obj! {})
    }));
    let mut events: Vec<_> = chunks.into_iter().map(|chunk| event(context, chunk)).collect();
    if context.asked.include_usage {
        let last = frame(context).with("choices", Vec::<Json>::new()).with("usage", usage(choices));
        events.push(data(&last));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Events { events, two_deltas }
}

fn role(choice: usize, speech: &Speech) -> Chunk {
    let content = (has_content(speech)).then_some("");
    plain(choice, obj! { "role": "assistant", "content": content, "refusal": Json::NULL })
}

fn deltas(context: &Context, choice: usize, speech: &Speech) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    if let Some(reasoning) = speech.reasoning.as_deref().filter(|_| context.reasoning) {
        let words = word_by_word(reasoning).into_iter();
        chunks.extend(words.map(|word| plain(choice, obj! { "reasoning_content": word })));
    }
    let logprobs = |word: &str, of: &'static str| {
        let Some(top) = context.asked.logprobs else { return Json::NULL };
        let (content, refusal) = match of {
            "content" => (Some(tokens(word, top)), None),
            _ => (None, Some(tokens(word, top))),
        };
        obj! { "content": content, "refusal": refusal }
    };
    for (name, text) in [("content", Some(&speech.text)), ("refusal", speech.refusal.as_ref())] {
        for word in word_by_word(text.map_or("", String::as_str)) {
            chunks.push(Chunk {
                logprobs: logprobs(word, name),
                padded: true,
                ..plain(choice, obj! {}.with(name, word))
            });
        }
    }
    chunks.extend(calls(context, choice, speech));
    chunks
}

/// Every call opens with its name and no arguments; these follow in two fragments.
fn calls(context: &Context, choice: usize, speech: &Speech) -> Vec<Chunk> {
    let mut by_call: Vec<Vec<Json>> = Vec::new();
    for (at, call) in speech.calls.iter().enumerate() {
        let (kind, opening) = call_of(call, "");
        let input = if call.free { "input" } else { "arguments" };
        let (first, second) = halves(&call.arguments);
        let fragments = [first, second].into_iter().filter(|text| !text.is_empty());
        if context.asked.legacy {
            let rest = fragments.map(|text| obj! { "function_call": obj! { "arguments": text } });
            by_call.push([obj! { "function_call": opening }].into_iter().chain(rest).collect());
            continue;
        }
        let id = call_id(context, choice, at);
        let opening = obj! { "index": at, "id": id, "type": kind }.with(kind, opening);
        let rest = fragments.map(|text| obj! { "index": at }.with(kind, obj! {}.with(input, text)));
        let fragments = [opening].into_iter().chain(rest);
        by_call.push(fragments.map(|call| obj! { "tool_calls": vec![call] }).collect());
    }
    let deltas: Vec<Json> = if speech.interleave {
        let most = by_call.iter().map(Vec::len).max().unwrap_or(0);
        (0..most)
            .flat_map(|at| by_call.iter().filter_map(move |call| call.get(at)))
            .cloned()
            .collect()
    } else {
        by_call.into_iter().flatten().collect()
    };
    deltas.into_iter().map(|delta| plain(choice, delta)).collect()
}

fn plain(choice: usize, delta: Json) -> Chunk {
    Chunk { choice, delta, logprobs: Json::NULL, padded: false, finish: None }
}

fn event(context: &Context, chunk: Chunk) -> Bytes {
    let choice = obj! {
        "index": chunk.choice,
        "delta": chunk.delta,
        "logprobs": chunk.logprobs,
        "finish_reason": chunk.finish,
    };
    let mut frame = frame(context).with("choices", vec![choice]);
    if context.asked.include_usage {
        frame = frame.with("usage", Json::NULL);
    }
    if chunk.padded && context.asked.obfuscate {
        frame = frame.with("obfuscation", "x1");
    }
    data(&frame)
}

fn frame(context: &Context) -> Json {
    obj! {
        "id": context.id("chatcmpl-", ""),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": context.name.as_str(),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
}

fn data(json: &Json) -> Bytes {
    format!("data: {json}\n\n").into()
}
