//! What requests, answers and streams have in common: ids, why an answer ended, probabilities, grammars of free text.

use ziggurat_core::{Ask, RawJson, Stop, StopReason, Str};

use crate::json::{self, Object};
use crate::node::Node;
use crate::openai_api::LONGEST_NAME;

/// The id of an answer: the provider's if it has this dialect's form, else one made of the call's.
pub(super) fn reply_id(id: &Str, ask: &Ask) -> Str {
    if is_own(id) {
        return id.clone();
    }
    Str::from(format!("resp_{}", ask.call_id))
}

/// Whether a provider of this dialect gave an answer its id.
pub(super) fn is_own(id: &str) -> bool {
    id.starts_with("resp_") && id.len() <= LONGEST_NAME
}

/// The id of an item of the answer: what it is, the call, the place.
pub(super) fn item_id(prefix: &str, ask: &Ask, index: u32) -> Str {
    Str::from(format!("{prefix}_{}{index:02x}", ask.call_id))
}

// === why an answer ended ===

/// Reads why an answer ended, which no word says here: what was delivered does.
pub(super) fn decode_stop(
    status: Option<&str>,
    reason: Option<&Str>,
    calls: bool,
    refused: bool,
) -> Stop {
    if status == Some("incomplete") {
        return match reason.map(Str::as_str) {
            Some("max_output_tokens") => Stop::new(StopReason::Length),
            Some("content_filter") => Stop::new(StopReason::ContentFilter),
            Some(word) => Stop::other(word),
            None => Stop::other("incomplete"),
        };
    }
    Stop::new(match (calls, refused) {
        (true, _) => StopReason::ToolCalls,
        (false, true) => StopReason::Refusal,
        (false, false) => StopReason::Stop,
    })
}

/// Status, and what an incomplete answer lacks. Refusals are told by their words, or not at all.
pub(super) fn encode_stop(stop: &Stop, refused: bool) -> (&'static str, Option<&str>) {
    match stop.reason {
        StopReason::Length | StopReason::ContextWindow => ("incomplete", Some("max_output_tokens")),
        StopReason::ContentFilter => ("incomplete", Some("content_filter")),
        StopReason::Refusal if !refused => ("incomplete", Some("content_filter")),
        StopReason::Error => ("failed", None),
        StopReason::Other => match stop.word.as_deref() {
            Some(word @ ("max_messages" | "steered")) => ("incomplete", Some(word)),
            _ => ("completed", None),
        },
        _ => ("completed", None),
    }
}

// === probabilities ===

/// The list of probabilities that stands with a text, without its brackets; `None` if it is empty or no list.
pub(super) fn listed<'a>(node: &Node<'a>) -> Option<&'a str> {
    let inner = node.text().strip_prefix('[')?.strip_suffix(']')?.trim();
    (!inner.is_empty()).then_some(inner)
}

/// Probabilities in the form that all dialects share, of lists that [`listed`] found.
pub(super) fn logprobs(lists: &[Str]) -> Option<RawJson> {
    if lists.is_empty() {
        return None;
    }
    let content = lists.iter().map(Str::as_str).collect::<Vec<_>>().join(",");
    json::raw_json(format!("{{\"content\":[{content}],\"refusal\":null}}").into_bytes())
}

/// The list that stands with a text here, without its brackets, of probabilities in the form that all dialects share.
pub(super) fn of_logprobs(logprobs: &RawJson) -> Option<Str> {
    let body = logprobs.clone().into_text();
    let root = Node::root("logprobs", &body);
    let content = root.get("content")?;
    listed(&content).map(|list| body.slice_ref(list))
}

// === grammars ===

/// A format of free text in the form of Chat Completions, where a grammar stands in an object of its own.
pub(super) fn nested_format(format: &Node<'_>) -> Option<RawJson> {
    let [kind, syntax, definition] = format.pick(["type", "syntax", "definition"]).ok()?;
    if kind?.as_string()? != "grammar" {
        return None;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.text("type", "grammar");
    let mut inner = Object::begin(object.member("grammar"));
    for (name, value) in [("syntax", syntax), ("definition", definition)] {
        inner.raw(name, value?.text());
    }
    inner.end();
    object.end();
    json::raw_json(out)
}

/// A format of free text as it is written here.
pub(super) fn flat_format(format: &RawJson) -> RawJson {
    let body = format.clone().into_text();
    let root = Node::root("format", &body);
    let flat = || {
        let grammar = root.get("grammar").filter(Node::is_object)?;
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("type", "grammar");
        object.members_of(&grammar.raw().ok()?);
        object.end();
        json::raw_json(out)
    };
    flat().unwrap_or_else(|| format.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_decides_why_an_answer_ended() {
        let stop = |status, reason: &str, calls, refused| {
            decode_stop(Some(status), Some(&Str::from(reason)), calls, refused)
        };
        assert_eq!(stop("completed", "", true, false).reason, StopReason::ToolCalls);
        assert_eq!(stop("completed", "", false, true).reason, StopReason::Refusal);
        assert_eq!(stop("completed", "", false, false).reason, StopReason::Stop);
        let length = stop("incomplete", "max_output_tokens", true, false);
        assert_eq!(length.reason, StopReason::Length);
        let filtered = stop("incomplete", "content_filter", false, false);
        assert_eq!(filtered.reason, StopReason::ContentFilter);
        assert_eq!(stop("incomplete", "steered", false, false), Stop::other("steered"));
    }

    #[test]
    fn every_reason_has_a_status() {
        for (reason, expected) in [
            (StopReason::Stop, ("completed", None)),
            (StopReason::StopSequence, ("completed", None)),
            (StopReason::Length, ("incomplete", Some("max_output_tokens"))),
            (StopReason::ToolCalls, ("completed", None)),
            (StopReason::ContentFilter, ("incomplete", Some("content_filter"))),
            (StopReason::Refusal, ("incomplete", Some("content_filter"))),
            (StopReason::Pause, ("completed", None)),
            (StopReason::ContextWindow, ("incomplete", Some("max_output_tokens"))),
            (StopReason::Error, ("failed", None)),
            (StopReason::Other, ("completed", None)),
        ] {
            assert_eq!(encode_stop(&Stop::new(reason), false), expected, "{reason:?}");
        }
        assert_eq!(encode_stop(&Stop::new(StopReason::Refusal), true), ("completed", None));
        let steered = Stop::other("steered");
        assert_eq!(encode_stop(&steered, false), ("incomplete", Some("steered")));
    }

    #[test]
    fn probabilities_have_one_form() {
        let lists = [Str::from("{\"token\":\"a\"}"), Str::from("{\"token\":\"b\"}")];
        let shared = logprobs(&lists).unwrap();
        assert_eq!(shared.get(), r#"{"content":[{"token":"a"},{"token":"b"}],"refusal":null}"#);
        assert_eq!(of_logprobs(&shared).unwrap(), r#"{"token":"a"},{"token":"b"}"#);
        assert_eq!(logprobs(&[]), None);
        let none = RawJson::parse(Str::from(r#"{"content":null}"#)).unwrap();
        assert_eq!(of_logprobs(&none), None);
    }

    #[test]
    fn a_grammar_has_two_forms() {
        let flat = Str::from(r#"{"type":"grammar","syntax":"lark","definition":"start: /.+/"}"#);
        let nested = nested_format(&Node::root("format", &flat)).unwrap();
        assert_eq!(
            nested.get(),
            r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /.+/"}}"#
        );
        assert_eq!(flat_format(&nested).get(), flat.as_str());
        let text = Str::from(r#"{"type":"text"}"#);
        assert_eq!(nested_format(&Node::root("format", &text)), None);
        let text = RawJson::parse(text).unwrap();
        assert_eq!(flat_format(&text), text);
    }
}
