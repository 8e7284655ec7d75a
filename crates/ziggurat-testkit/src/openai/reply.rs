//! The answer as one `chat.completion`.

use super::Context;
use crate::{
    json::{Json, obj},
    prompt::{Call, End, Speech, word_by_word},
};

/// When everything here was made, in seconds since 1970.
pub(super) const CREATED: u64 = 1_767_323_045;
pub(super) const FINGERPRINT: &str = "fp_fake";

pub(super) fn completion(context: &Context, choices: &[Speech]) -> Json {
    let answers = choices.iter().enumerate().map(|(at, speech)| {
        obj! {
            "index": at,
            "message": message(context, at, speech),
            "logprobs": context.asked.logprobs.map(|top| logprobs(speech, top)),
            "finish_reason": finish_reason(context, speech),
        }
    });
    obj! {
        "id": context.id("chatcmpl-", ""),
        "object": "chat.completion",
        "created": CREATED,
        "model": context.name.as_str(),
        "choices": answers.collect::<Vec<_>>(),
        "usage": usage(choices),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
}

fn message(context: &Context, choice: usize, speech: &Speech) -> Json {
    let content = has_content(speech).then_some(speech.text.as_str());
    let mut message = obj! {
        "role": "assistant",
        "content": content,
        "refusal": speech.refusal.as_deref(),
        "annotations": Vec::<Json>::new(),
    };
    if let Some(reasoning) = speech.reasoning.as_deref().filter(|_| context.reasoning) {
        message = message.with("reasoning_content", reasoning);
    }
    match speech.calls.as_slice() {
        [] => message,
        [call, ..] if context.asked.legacy => {
            let arguments = call.arguments.as_str();
            message
                .with("function_call", obj! { "name": call.name.as_str(), "arguments": arguments })
        }
        calls => {
            let calls = calls.iter().enumerate().map(|(at, call)| {
                let (kind, inner) = call_of(call, &call.arguments);
                obj! { "id": call_id(context, choice, at), "type": kind }.with(kind, inner)
            });
            message.with("tool_calls", calls.collect::<Vec<_>>())
        }
    }
}

/// Whether there is a text, though it be empty: neither a call nor a refusal stands in its place.
pub(super) fn has_content(speech: &Speech) -> bool {
    !speech.text.is_empty() || (speech.calls.is_empty() && speech.refusal.is_none())
}

/// A call's kind, and what stands under it, with these arguments.
pub(super) fn call_of(call: &Call, arguments: &str) -> (&'static str, Json) {
    let name = call.name.as_str();
    if call.free {
        ("custom", obj! { "name": name, "input": arguments })
    } else {
        ("function", obj! { "name": name, "arguments": arguments })
    }
}

pub(super) fn call_id(context: &Context, choice: usize, at: usize) -> String {
    context.id("call_", &format!("{choice} {at}"))
}

pub(super) fn finish_reason(context: &Context, speech: &Speech) -> &'static str {
    match speech.end {
        End::Done | End::Stop(_) | End::Refused => "stop",
        End::Calls if context.asked.legacy => "function_call",
        End::Calls => "tool_calls",
        End::Length => "length",
        End::Filtered => "content_filter",
    }
}

/// The prompt once, the answers together.
pub(super) fn usage(choices: &[Speech]) -> Json {
    let first = choices[0].usage;
    let output: u64 = choices.iter().map(|speech| speech.usage.output).sum();
    let reasoning: u64 = choices.iter().map(|speech| speech.usage.reasoning).sum();
    obj! {
        "prompt_tokens": first.prompt,
        "completion_tokens": output,
        "total_tokens": first.prompt + output,
        "prompt_tokens_details": obj! {
            "cached_tokens": first.cache_read,
            "cache_write_tokens": first.cache_write,
            "audio_tokens": 0_u64,
        },
        "completion_tokens_details": obj! {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0_u64,
            "accepted_prediction_tokens": 0_u64,
            "rejected_prediction_tokens": 0_u64,
        },
    }
}

fn logprobs(speech: &Speech, top: usize) -> Json {
    let refusal = speech.refusal.as_deref().map(|text| tokens(text, top));
    let content = has_content(speech).then(|| tokens(&speech.text, top));
    obj! { "content": content, "refusal": refusal }
}

/// The log probabilities of a text, token by token.
pub(super) fn tokens(text: &str, top: usize) -> Vec<Json> {
    word_by_word(text).into_iter().map(|word| token(word, top)).collect()
}

fn token(word: &str, top: usize) -> Json {
    let alternatives = (0..top).map(|rank| {
        let text = if rank == 0 { word.to_owned() } else { format!("{word}{rank}") };
        with_bytes(&text, rank)
    });
    let alternatives: Vec<_> = alternatives.collect();
    with_bytes(word, 0).with("top_logprobs", alternatives)
}

fn with_bytes(text: &str, rank: usize) -> Json {
    let bytes: Vec<u64> = text.bytes().map(u64::from).collect();
    let logprob = -0.25 - f64::from(u8::try_from(rank).unwrap_or(u8::MAX));
    obj! { "token": text, "logprob": logprob, "bytes": bytes }
}
