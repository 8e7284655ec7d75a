//! The answer, whole and in chunks.

use sha2::{Digest as _, Sha256};

use super::{behave::Asked, models::Model, signature::sign};
use crate::{
    json::{Json, obj},
    prompt::{Call, End, Speech, word_by_word, words},
};

/// What an answer needs to know beside what the model says.
pub(super) struct Context {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) model: Model,
    pub(super) asked: Asked,
}

impl Context {
    /// An id that looks like the vendor's and is the same in every run.
    fn id(&self, of: &str) -> String {
        let digest = Sha256::digest(format!("{} {of}", self.number));
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        digest.iter().take(20).map(|byte| char::from(letters[usize::from(*byte) % 62])).collect()
    }

    fn response(&self, candidates: Vec<Json>, usage: Json) -> Json {
        let mut response = obj! {};
        if !candidates.is_empty() {
            response = response.with("candidates", Json::Array(candidates));
        }
        response
            .with("usageMetadata", usage)
            .with("modelVersion", self.name.as_str())
            .with("responseId", self.id("response"))
    }
}

pub(super) fn response(context: &Context, candidates: &[Speech]) -> Json {
    if is_blocked(candidates) {
        return blocked(context);
    }
    let whole = |(at, speech): (usize, &Speech)| {
        let parts = whole_parts(context, at, speech);
        let candidate = candidate(parts, Some(finish_reason(speech)), at);
        match context.asked.logprobs {
            Some(top) => logprobs(candidate, &speech.text, top),
            None => candidate,
        }
    };
    let all = candidates.iter().enumerate().map(whole).collect();
    context.response(all, usage(candidates))
}

/// The answers one after another, each in pieces that end with why it ended.
pub(super) fn chunks(context: &Context, candidates: &[Speech]) -> Vec<Json> {
    if is_blocked(candidates) {
        return vec![blocked(context)];
    }
    let prompt = candidates[0].usage.prompt;
    let early = obj! { "promptTokenCount": prompt, "totalTokenCount": prompt };
    let mut chunks = Vec::new();
    for (at, speech) in candidates.iter().enumerate() {
        let mut pieces: Vec<_> =
            pieces(context, at, speech).into_iter().map(|it| vec![it]).collect();
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let last = pieces.len() - 1;
        for (piece, parts) in pieces.into_iter().enumerate() {
            let ends = piece == last;
            let mut made = candidate(parts, ends.then(|| finish_reason(speech)), at);
            if let Some(top) = context.asked.logprobs.filter(|_| ends) {
                made = logprobs(made, &speech.text, top);
            }
            let done = ends && at + 1 == candidates.len();
            let usage = if done { usage(candidates) } else { early.clone() };
            chunks.push(context.response(vec![made], usage));
        }
    }
    chunks
}

/// A prompt that is refused before any answer.
fn is_blocked(candidates: &[Speech]) -> bool {
    let first = &candidates[0];
    first.end == End::Refused && first.text.is_empty()
}

pub(super) fn blocked(context: &Context) -> Json {
    let prompt = context.asked.prompt.tokens;
    let usage = obj! { "promptTokenCount": prompt, "totalTokenCount": prompt };
    let feedback = obj! { "blockReason": "PROHIBITED_CONTENT" };
    obj! { "promptFeedback": feedback }
        .with("usageMetadata", usage)
        .with("modelVersion", context.name.as_str())
        .with("responseId", context.id("response"))
}

fn candidate(parts: Vec<Json>, reason: Option<&'static str>, at: usize) -> Json {
    let mut candidate = obj! {};
    if !parts.is_empty() {
        candidate =
            candidate.with("content", obj! { "parts": Json::Array(parts), "role": "model" });
    }
    if let Some(reason) = reason {
        candidate = candidate.with("finishReason", reason);
    }
    candidate.with("index", at)
}

fn thought(text: &str) -> Json {
    obj! { "text": text, "thought": true }
}

fn whole_parts(context: &Context, at: usize, speech: &Speech) -> Vec<Json> {
    let mut parts: Vec<_> = shown(context, speech).map(thought).into_iter().collect();
    if !speech.text.is_empty() {
        let part = obj! { "text": speech.text.as_str() };
        let signed = context.model.signs && speech.calls.is_empty() && speech.reasoning.is_some();
        parts.push(if signed {
            part.with("thoughtSignature", signature(context, at))
        } else {
            part
        });
    }
    parts.extend(calls(context, at, speech));
    parts
}

/// Text comes word by word, calls come whole, and a text's signature comes in a part of its own.
fn pieces(context: &Context, at: usize, speech: &Speech) -> Vec<Json> {
    let thoughts = shown(context, speech).map(word_by_word).unwrap_or_default();
    let mut parts: Vec<_> = thoughts.into_iter().map(thought).collect();
    parts.extend(word_by_word(&speech.text).into_iter().map(|word| obj! { "text": word }));
    if context.model.signs && speech.calls.is_empty() && speech.reasoning.is_some() {
        parts.push(obj! { "text": "", "thoughtSignature": signature(context, at) });
    }
    parts.extend(calls(context, at, speech));
    parts
}

fn shown<'a>(context: &Context, speech: &'a Speech) -> Option<&'a str> {
    speech.reasoning.as_deref().filter(|_| context.asked.thoughts)
}

fn signature(context: &Context, at: usize) -> String {
    sign(&format!("{} {at}", context.number))
}

/// Calls that came to their end; the first is signed.
fn calls(context: &Context, at: usize, speech: &Speech) -> Vec<Json> {
    let part = |(index, call): (usize, &Call)| {
        let args: serde_json::Value = serde_json::from_str(&call.arguments).ok()?;
        let mut made = obj! {};
        if context.model.signs {
            made = made.with("id", context.id(&format!("call {at} {index}")));
        }
        let part =
            obj! { "functionCall": made.with("name", call.name.as_str()).with("args", args) };
        let first = context.model.signs && index == 0;
        Some(if first { part.with("thoughtSignature", signature(context, at)) } else { part })
    };
    speech.calls.iter().enumerate().filter_map(part).collect()
}

/// A call is no reason of its own to end.
fn finish_reason(speech: &Speech) -> &'static str {
    match speech.end {
        End::Done | End::Calls | End::Stop(_) => "STOP",
        End::Length => "MAX_TOKENS",
        End::Refused | End::Filtered => "SAFETY",
    }
}

fn usage(candidates: &[Speech]) -> Json {
    let of = candidates[0].usage;
    let output: u64 = candidates.iter().map(|speech| speech.usage.output).sum();
    let thoughts: u64 = candidates.iter().map(|speech| speech.usage.reasoning).sum();
    let mut usage = obj! {
        "promptTokenCount": of.prompt,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": of.prompt + output,
    };
    if of.cache_read > 0 {
        usage = usage.with("cachedContentTokenCount", of.cache_read);
    }
    if thoughts > 0 {
        usage = usage.with("thoughtsTokenCount", thoughts);
    }
    usage.with("promptTokensDetails", details(of.prompt))
}

pub(super) fn details(tokens: u64) -> Json {
    Json::Array(vec![obj! { "modality": "TEXT", "tokenCount": tokens }])
}

fn logprobs(candidate: Json, text: &str, top: usize) -> Json {
    let token = |word: &str, probability: f64| {
        obj! { "token": word, "tokenId": words(word), "logProbability": probability }
    };
    let chosen = word_by_word(text).into_iter().map(|word| token(word, -0.5)).collect();
    let others = |word: &str| {
        let all = (0..top).map(|at| {
            if at == 0 { token(word, -0.5) } else { token(&format!("{word}{at}"), -2.0) }
        });
        obj! { "candidates": Json::Array(all.collect()) }
    };
    let result = obj! { "chosenCandidates": Json::Array(chosen) };
    let tops = word_by_word(text).into_iter().map(others).collect();
    let result = if top > 0 { result.with("topCandidates", Json::Array(tops)) } else { result };
    candidate.with("avgLogprobs", -0.5).with("logprobsResult", result)
}
