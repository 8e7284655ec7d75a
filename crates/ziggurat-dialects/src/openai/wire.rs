//! What requests, answers and streams have in common: usage, words for why an answer ended, citations, reasoning blocks.

use ziggurat_core::{Error, RawJson, Stop, StopReason, Str, Usage};

use super::node::Node;
use crate::json::{self, Object};
use crate::origin;

/// Reads usage. `prompt_tokens` and `completion_tokens` include everything; what does not add up is clamped.
///
/// Some servers (xAI) count reasoning beside the completion: they are known by their total.
pub(super) fn decode_usage(node: &Node<'_>) -> Option<Usage> {
    fn counts<const N: usize>(node: Option<&Node<'_>>, names: [&str; N]) -> [Option<u64>; N] {
        let picked = node.and_then(|node| node.pick(names).ok().map(|p| p.map(|n| n?.as_count())));
        picked.unwrap_or([None; N])
    }

    // One pass for the objects, one for what stands in each: this is read from every answer.
    let [prompt, completion, total, prompt_details, completion_details, hit, cached] = node
        .pick([
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            // DeepSeek and Moonshot say it on this level.
            "prompt_cache_hit_tokens",
            "cached_tokens",
        ])
        .ok()?;
    let count = |node: Option<Node<'_>>| node.and_then(|node| node.as_count());
    let (prompt, completion) = (count(prompt), count(completion));
    let [read, write, audio_input] =
        counts(prompt_details.as_ref(), ["cached_tokens", "cache_write_tokens", "audio_tokens"]);
    let [reasoning, audio_output] =
        counts(completion_details.as_ref(), ["reasoning_tokens", "audio_tokens"]);
    let read = read.or_else(|| count(hit)).or_else(|| count(cached));
    if prompt.is_none() && completion.is_none() {
        return None;
    }

    let mut usage = Usage::default();
    usage.cache_read = read;
    // A server that says more was written than there was besides what it read is wrong about the writing.
    let unread = prompt.unwrap_or(0).saturating_sub(read.unwrap_or(0));
    usage.cache_write = write.map(|write| write.min(unread));
    usage.input = prompt.map(|_| unread.saturating_sub(usage.cache_write.unwrap_or(0)));

    let beside = reasoning.filter(|reasoning| {
        let sum = [prompt, completion, Some(*reasoning)].into_iter().flatten();
        *reasoning > 0 && count(total) == Some(sum.fold(0, u64::saturating_add))
    });
    usage.reasoning = match completion {
        Some(completion) if beside.is_none() => reasoning.map(|tokens| tokens.min(completion)),
        _ => reasoning,
    };
    usage.output = completion.map(|completion| match beside {
        Some(_) => completion,
        None => completion - usage.reasoning.unwrap_or(0),
    });
    usage.audio_input = audio_input;
    usage.audio_output = audio_output;
    Some(usage)
}

/// Writes usage. What nobody told is left out.
pub(super) fn encode_usage(out: &mut Vec<u8>, usage: &Usage) {
    let details = |out: &mut Vec<u8>, counts: &[(&str, Option<u64>)]| {
        let mut object = Object::begin(out);
        for (name, count) in counts {
            if let Some(count) = count {
                object.number(name, *count);
            }
        }
        object.end();
    };
    let mut object = Object::begin(out);
    object.number("prompt_tokens", usage.total_input());
    object.number("completion_tokens", usage.total_output());
    object.number("total_tokens", usage.total());
    let prompt = [
        ("cached_tokens", usage.cache_read),
        ("cache_write_tokens", usage.cache_write),
        ("audio_tokens", usage.audio_input),
    ];
    if prompt.iter().any(|(_, count)| count.is_some()) {
        details(object.member("prompt_tokens_details"), &prompt);
    }
    let completion = [("reasoning_tokens", usage.reasoning), ("audio_tokens", usage.audio_output)];
    if completion.iter().any(|(_, count)| count.is_some()) {
        details(object.member("completion_tokens_details"), &completion);
    }
    object.end();
}

/// Reads why an answer ended. What was delivered has the last word: servers differ in what they say.
pub(super) fn decode_stop(word: Option<&Str>, calls: bool, refused: bool) -> Stop {
    let stop = match word.map(Str::as_str) {
        None | Some("stop") => Stop::new(StopReason::Stop),
        Some("length") => Stop::new(StopReason::Length),
        Some("tool_calls" | "function_call") => Stop::new(StopReason::ToolCalls),
        Some("content_filter") => Stop::new(StopReason::ContentFilter),
        Some("model_length") => Stop::new(StopReason::ContextWindow),
        Some("error") => Stop::new(StopReason::Error),
        Some(word) => Stop::other(word),
    };
    match stop.reason {
        StopReason::Stop | StopReason::Other if calls => Stop::new(StopReason::ToolCalls),
        StopReason::ToolCalls if !calls => Stop::new(StopReason::Stop),
        StopReason::Stop if refused => Stop::new(StopReason::Refusal),
        _ => stop,
    }
}

/// The word for why an answer ended. Strict clients know only a few; a word that came from a provider stays as it is.
pub(super) fn stop_word(stop: &Stop, calls: bool, refused: bool) -> &str {
    match stop.reason {
        StopReason::Stop | StopReason::StopSequence | StopReason::Pause | StopReason::Other
            if calls =>
        {
            "tool_calls"
        }
        StopReason::ToolCalls if calls => "tool_calls",
        StopReason::Length | StopReason::ContextWindow => "length",
        StopReason::ContentFilter => "content_filter",
        StopReason::Refusal if !refused => "content_filter",
        StopReason::Other => stop.word.as_deref().unwrap_or("stop"),
        _ => "stop",
    }
}

/// The tier that served, by a name that this dialect's clients know. Anthropic's `standard` is `default`; its `batch` is
/// nothing here.
pub(super) fn service_tier(tier: &str) -> Option<&str> {
    match tier {
        "standard" => Some("default"),
        "auto" | "default" | "flex" | "scale" | "priority" | "fast" => Some(tier),
        _ => None,
    }
}

/// A citation as an annotation, if it has an address. `span` is where the cited text stands, in characters.
pub(super) fn annotation(citation: &RawJson, span: (usize, usize)) -> Option<RawJson> {
    let body = citation.clone().into_text();
    let node = Node::root("citation", &body);
    if node.get("url_citation").is_some() {
        return Some(citation.clone());
    }
    let url = node.get("url").and_then(|url| url.as_string())?;
    let title = node.get("title").and_then(|title| title.as_string()).unwrap_or_default();
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.text("type", "url_citation");
    let mut inner = Object::begin(object.member("url_citation"));
    inner.number("start_index", span.0);
    inner.number("end_index", span.1);
    inner.text("title", &title);
    inner.text("url", &url);
    inner.end();
    object.end();
    json::raw_json(out)
}

/// One entry of `thinking_blocks`.
#[derive(Debug, PartialEq)]
pub(super) enum ThinkingBlock {
    Thinking { text: Str, signature: Option<Str> },
    Redacted(Str),
}

/// Reads LiteLLM's `thinking_blocks`. What is not understood is left out.
pub(super) fn thinking_blocks(node: &Node<'_>) -> Result<Vec<ThinkingBlock>, Error> {
    let mut blocks = Vec::new();
    node.items(|_, block| {
        let text = |name| block.get(name).and_then(|text| text.as_string());
        match text("type").as_deref() {
            Some("redacted_thinking") => {
                blocks.extend(text("data").map(ThinkingBlock::Redacted));
            }
            Some("thinking") => blocks.push(ThinkingBlock::Thinking {
                text: text("thinking").unwrap_or_default(),
                signature: text("signature").filter(|signature| !signature.is_empty()),
            }),
            _ => {}
        }
        Ok(())
    })?;
    Ok(blocks)
}

/// Writes one entry of `thinking_blocks`, with the mark of the model that it comes from, if one is named.
pub(super) fn encode_thinking(
    out: &mut Vec<u8>,
    text: &str,
    signature: Option<&str>,
    model: Option<&str>,
) {
    let mut block = Object::begin(out);
    block.text("type", "thinking");
    block.text("thinking", text);
    if let Some(signature) = signature {
        block.text("signature", &origin::mark(model, signature));
    }
    block.end();
}

/// Writes one entry of `thinking_blocks` that only the provider can read.
pub(super) fn encode_redacted(out: &mut Vec<u8>, data: &str, model: Option<&str>) {
    let mut block = Object::begin(out);
    block.text("type", "redacted_thinking");
    block.text("data", &origin::mark(model, data));
    block.end();
}

/// The signature that a tool call must be sent back with, in Google's extension of the format or flat.
pub(super) fn call_signature(call: &Node<'_>) -> Option<Str> {
    let nested = call.get("extra_content");
    let nested = nested.as_ref().and_then(|extra| extra.get("google"));
    let nested = nested.as_ref().and_then(|google| google.get("thought_signature"));
    let flat = call.get("thought_signature");
    nested.and_then(|node| node.as_string()).or_else(|| flat.and_then(|node| node.as_string()))
}

/// Writes the signature of a tool call as Google's own compatible endpoint does.
pub(super) fn encode_call_signature(call: &mut Object<'_>, signature: &str) {
    let mut extra = Object::begin(call.member("extra_content"));
    let mut google = Object::begin(extra.member("google"));
    google.text("thought_signature", signature);
    google.end();
    extra.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        let body = Str::from(json);
        decode_usage(&Node::root("usage", &body)).unwrap()
    }

    fn written(usage: &Usage) -> serde_json::Value {
        let mut out = Vec::new();
        encode_usage(&mut out, usage);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn usage_goes_there_and_back() {
        // Input uncached, read, written; output visible, reasoning; then as OpenAI counts.
        for ([input, read, write, output, reasoning], [prompt, completion, total]) in [
            ([100, 900, 200, 40, 60], [1200, 100, 1300]),
            ([80, 0, 0, 30, 0], [80, 30, 110]),
            ([0, 75, 0, 1, 0], [75, 1, 76]),
            ([7, 0, 0, 0, 512], [7, 512, 519]),
        ] {
            let canonical =
                Usage::new(input, output).cache_read(read).cache_write(write).reasoning(reasoning);
            let json = written(&canonical);
            assert_eq!(json["prompt_tokens"], prompt);
            assert_eq!(json["completion_tokens"], completion);
            assert_eq!(json["total_tokens"], total);
            assert_eq!(json["prompt_tokens_details"]["cached_tokens"], read);
            assert_eq!(usage(&json.to_string()), canonical);
        }
    }

    #[test]
    fn usage_that_does_not_add_up_is_clamped() {
        let clamped = usage(
            r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,
                "prompt_tokens_details":{"cached_tokens":120,"cache_write_tokens":7}}"#,
        );
        assert_eq!(clamped, Usage::new(0, 5).cache_read(120).cache_write(0));
        let clamped = usage(
            r#"{"prompt_tokens":1,"completion_tokens":5,
                "completion_tokens_details":{"reasoning_tokens":9}}"#,
        );
        assert_eq!(clamped, Usage::new(1, 0).reasoning(5));
    }

    #[test]
    fn reasoning_beside_the_completion_is_known_by_the_total() {
        let xai = usage(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,
                "completion_tokens_details":{"reasoning_tokens":20}}"#,
        );
        assert_eq!(xai, Usage::new(10, 5).reasoning(20));
        assert_eq!(written(&xai)["completion_tokens"], 25);
    }

    #[test]
    fn what_nobody_told_is_not_zero() {
        let usage = usage(r#"{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}"#);
        assert_eq!(usage, Usage::new(8, 2));
        let json = written(&usage);
        assert_eq!(json.as_object().unwrap().len(), 3, "{json}");
    }

    #[test]
    fn what_was_delivered_decides_why_an_answer_ended() {
        let stop =
            |word: &str, calls, refused| decode_stop(Some(&Str::from(word)), calls, refused).reason;
        assert_eq!(stop("stop", true, false), StopReason::ToolCalls);
        assert_eq!(stop("tool_calls", false, false), StopReason::Stop);
        assert_eq!(stop("function_call", true, false), StopReason::ToolCalls);
        assert_eq!(stop("length", true, false), StopReason::Length);
        assert_eq!(stop("stop", false, true), StopReason::Refusal);
        assert_eq!(decode_stop(Some(&Str::from("eos")), false, false), Stop::other("eos"));
    }

    #[test]
    fn every_reason_has_a_word_that_strict_clients_know() {
        let word = |reason, calls, refused| {
            let stop = Stop::new(reason);
            stop_word(&stop, calls, refused).to_owned()
        };
        for (reason, expected) in [
            (StopReason::Stop, "stop"),
            (StopReason::StopSequence, "stop"),
            (StopReason::Length, "length"),
            (StopReason::ToolCalls, "stop"),
            (StopReason::ContentFilter, "content_filter"),
            (StopReason::Refusal, "content_filter"),
            (StopReason::Pause, "stop"),
            (StopReason::ContextWindow, "length"),
            (StopReason::Other, "stop"),
        ] {
            assert_eq!(word(reason, false, false), expected, "{reason:?}");
        }
        assert_eq!(word(StopReason::ToolCalls, true, false), "tool_calls");
        assert_eq!(word(StopReason::Stop, true, false), "tool_calls");
        assert_eq!(word(StopReason::Length, true, false), "length");
        assert_eq!(word(StopReason::Refusal, false, true), "stop");
        assert_eq!(stop_word(&Stop::other("eos"), false, false), "eos");
    }

    #[test]
    fn citations_with_an_address_become_annotations() {
        let anthropic = RawJson::parse(Str::from(
            r#"{"type":"web_search_result_location","url":"https://a.test/","title":"A","cited_text":"x"}"#,
        ))
        .unwrap();
        assert_eq!(
            annotation(&anthropic, (3, 7)).unwrap().get(),
            r#"{"type":"url_citation","url_citation":{"start_index":3,"end_index":7,"title":"A","url":"https://a.test/"}}"#
        );
        let own = annotation(&anthropic, (3, 7)).unwrap();
        assert_eq!(annotation(&own, (0, 0)).unwrap(), own);
        let no_address = RawJson::parse(Str::from(r#"{"type":"char_location"}"#)).unwrap();
        assert_eq!(annotation(&no_address, (0, 1)), None);
    }
}
