//! The edits of a request that leaves as it came: usage is asked for, and what a model of another dialect thought goes.

use memchr::memmem;
use serde_json::value::RawValue;
use ziggurat_core::{Error, Members, Operation, Payload, Prepared, RawJson, Str};

use crate::json::{self, Array, At, Fields, Object};
use crate::node::Node;
use crate::origin::MARK;

/// Asks for usage at the end of a stream, and says whether it is to be withheld since the caller did not ask. Takes out the
/// thoughts that the gateway showed to the caller in members that this dialect's vendor does not know, and refuses.
pub(super) fn prepare(payload: &mut Payload, stream: bool) -> Result<Prepared, Error> {
    if payload.operation() != Operation::Chat {
        return Ok(Prepared::default());
    }
    if payload.dialect().is_some()
        && let Some(messages) = payload.member("messages")
        && memmem::find(messages.as_bytes(), MARK.as_bytes()).is_some()
        && let Some(stripped) = strip(&messages)?
    {
        payload.set("messages", stripped);
    }
    if !stream {
        return Ok(Prepared::default());
    }
    if payload.dialect().is_none() {
        // Written anew, and then usage is always asked for.
        let asked = payload.chat()?.stream_usage == Some(true);
        return Ok(Prepared::withholding_usage(!asked));
    }
    let options = payload.member("stream_options").filter(|options| *options != "null");
    let asked = match &options {
        None => false,
        Some(options) => {
            let node = Node::root("stream_options", options);
            let [usage] = node.pick(["include_usage"])?;
            usage.map(|usage| usage.flag()).transpose()?.unwrap_or(false)
        }
    };
    if !asked {
        payload.set("stream_options", with_usage(options)?);
    }
    Ok(Prepared::withholding_usage(!asked))
}

/// The messages without thoughts that bear the gateway's mark; `None` if there were none.
fn strip(messages: &Str) -> Result<Option<RawJson>, Error> {
    let at = At::root("messages");
    let items: Vec<&RawValue> = json::read(messages, at, "a list of messages")?;
    let mut found = false;
    let mut out = Vec::with_capacity(messages.len());
    let mut array = Array::begin(&mut out);
    for (index, raw) in items.into_iter().enumerate() {
        let fields: Fields<'_> = json::read(raw.get(), at.index(index), "an object")?;
        let thought = fields.get("thinking_blocks").is_some_and(is_marked);
        let signed = fields.get("tool_calls").is_some_and(mentions_mark);
        if !thought && !signed {
            array.item().extend_from_slice(raw.get().as_bytes());
            continue;
        }
        found = true;
        let mut message = array.object();
        for (name, value) in fields.iter() {
            match name {
                "thinking_blocks" | "reasoning_content" if thought => {}
                "tool_calls" if signed => calls(value, message.member_named(name)),
                _ => message.raw_named(name, value),
            }
        }
        message.end();
    }
    array.end();
    Ok(found.then(|| json::raw_json(out)).flatten())
}

/// Whether one of these blocks has a signature, or data, with the gateway's mark.
fn is_marked(blocks: &str) -> bool {
    let blocks: Vec<Fields<'_>> = serde_json::from_str(blocks).unwrap_or_default();
    let marked = |text: &str| text.strip_prefix('"').is_some_and(|text| text.starts_with(MARK));
    blocks
        .iter()
        .any(|block| ["signature", "data"].iter().any(|name| block.get(name).is_some_and(marked)))
}

/// Whether a mark begins some string in this value.
fn mentions_mark(value: &str) -> bool {
    memmem::find_iter(value.as_bytes(), MARK.as_bytes())
        .any(|at| value.as_bytes()[..at].last() == Some(&b'"'))
}

/// Writes calls without the signatures of another dialect's model.
fn calls(calls: &str, out: &mut Vec<u8>) {
    let Ok(calls) = serde_json::from_str::<Vec<Fields<'_>>>(calls) else {
        out.extend_from_slice(calls.as_bytes());
        return;
    };
    let mut array = Array::begin(out);
    for call in &calls {
        let mut object = array.object();
        for (name, value) in call.iter() {
            let signature = ["extra_content", "thought_signature"].contains(&name);
            if !(signature && mentions_mark(value)) {
                object.raw_named(name, value);
            }
        }
        object.end();
    }
    array.end();
}

/// The caller's options and `include_usage`.
fn with_usage(options: Option<Str>) -> Result<RawJson, Error> {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    if let Some(options) = options {
        let members = Members::parse(options)?;
        for (name, value) in members.iter().filter(|(name, _)| *name != "include_usage") {
            object.raw_named(name, value);
        }
    }
    object.flag("include_usage", true);
    object.end();
    json::raw_json(out).ok_or_else(|| {
        Error::invalid("`stream_options` is not valid JSON").with_param("stream_options")
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::openai::OPENAI;

    fn prepared(body: &'static str) -> (String, bool) {
        let bytes = Bytes::from_static(body.as_bytes());
        let mut payload = Payload::wire(OPENAI, Operation::Chat, bytes).unwrap();
        let prepared = prepare(&mut payload, true).unwrap();
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        (String::from_utf8(sent).unwrap(), prepared.withhold_usage)
    }

    #[test]
    fn usage_is_asked_for_and_withheld_from_those_who_did_not_ask() {
        let asking = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(prepared(r#"{"model":"m","stream":true}"#), (asking.into(), true));
        let null = r#"{"model":"m","stream":true,"stream_options":null}"#;
        assert_eq!(prepared(null), (asking.into(), true));
        let no = r#"{"model":"m","stream":true,"stream_options":{"include_usage":false}}"#;
        assert_eq!(prepared(no), (asking.into(), true));
    }

    #[test]
    fn a_caller_who_asks_is_left_alone() {
        let body = r#"{"stream_options": {"include_usage": true }, "x":1.0}"#;
        assert_eq!(prepared(body), (body.into(), false));
    }

    #[test]
    fn other_options_stay() {
        let (sent, withhold) = prepared(r#"{"stream_options":{"include_obfuscation":false}}"#);
        assert_eq!(
            sent,
            r#"{"stream_options":{"include_obfuscation":false,"include_usage":true}}"#
        );
        assert!(withhold);
    }

    fn without_stream(body: &str) -> String {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let mut payload = Payload::wire(OPENAI, Operation::Chat, bytes).unwrap();
        prepare(&mut payload, false).unwrap();
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn thoughts_of_another_dialects_model_stay_here() {
        // OpenAI refused the members by which its own clients had been told of Claude's thoughts.
        let body = |thoughts: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"zig1. \u00e9"}},{{"role":"assistant","content":"a",{thoughts}"x":1.0}}]}}"#
            )
        };
        for block in [
            r#"{"type":"thinking","thinking":"t","signature":"zig1.bQ==.EqQB"}"#,
            r#"{"type":"redacted_thinking","data":"zig1.bQ==.x"}"#,
        ] {
            let thoughts = format!(r#""reasoning_content":"t","thinking_blocks":[{block}],"#);
            assert_eq!(without_stream(&body(&thoughts)), body(""));
        }
        // A server's own are its own.
        let own = body(
            r#""reasoning_content":"t","thinking_blocks":[{"type":"thinking","signature":"EqQB"}],"#,
        );
        assert_eq!(without_stream(&own), own);
        assert_eq!(without_stream(&body("")), body(""));
    }

    #[test]
    fn signatures_of_another_dialects_model_stay_here() {
        // A call of Gemini's bears its signature in an extension, which another provider refuses.
        let body = |signature: &str| {
            format!(
                r#"{{"messages":[{{"role":"assistant","tool_calls":[{{"id":"a","type":"function","function":{{"name":"f","arguments":"zig1."}}{signature}}}]}}]}}"#
            )
        };
        for signature in [
            r#","extra_content":{"google":{"thought_signature":"zig1.bQ==.Q2"}}"#,
            r#","thought_signature":"zig1.bQ==.Q2""#,
        ] {
            assert_eq!(without_stream(&body(signature)), body(""));
        }
        let own = body(r#","extra_content":{"google":{"thought_signature":"Q2"}}"#);
        assert_eq!(without_stream(&own), own);
    }

    #[test]
    fn what_is_no_stream_is_not_touched() {
        let bytes = Bytes::from_static(br#"{"model":"m"}"#);
        let mut payload = Payload::wire(OPENAI, Operation::Chat, bytes.clone()).unwrap();
        assert_eq!(prepare(&mut payload, false).unwrap(), Prepared::default());
        assert_eq!(payload.segments().unwrap().into_iter().flatten().collect::<Vec<u8>>(), bytes);
    }

    #[test]
    fn options_of_the_wrong_type_are_refused_by_name() {
        let bytes = Bytes::from_static(br#"{"stream_options":[]}"#);
        let mut payload = Payload::wire(OPENAI, Operation::Chat, bytes).unwrap();
        let error = prepare(&mut payload, true).unwrap_err();
        assert_eq!(error.param(), Some("stream_options"));
    }
}
