//! The answer around its items: who, when, how it ended; and what of the request it repeats.

use ziggurat_core::{Ask, Payload, RawJson, Start, Str, Usage};

use super::wire;
use crate::json::{self, Object};
use crate::node::Node;
use crate::openai_api::{LONGEST_NAME, service_tier, usage};

/// What of a request an answer repeats, with what stands there where the request says nothing: clients look for these.
const REPEATED: [(&str, &str); 12] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
];

/// What of a request an answer repeats where it was said.
const REPEATED_IF_SAID: [&str; 6] = [
    "max_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "top_logprobs",
    "user",
];

/// Reads what of a request its answer repeats.
pub(super) fn echo(payload: &Payload) -> Option<RawJson> {
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    for (name, otherwise) in REPEATED {
        match payload.member(name).filter(|value| *value != "null") {
            Some(value) => object.raw(name, &value),
            None => object.raw(name, otherwise),
        }
    }
    for name in REPEATED_IF_SAID {
        if let Some(value) = payload.member(name).filter(|value| *value != "null") {
            object.raw(name, &value);
        }
    }
    object.end();
    // A value that is no JSON is refused where it is read.
    json::raw_json(out)
}

/// What is the same in every event about an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// From the beginning up to the status.
    begin: Vec<u8>,
    /// What is repeated of the request, and the tier.
    repeated: Vec<u8>,
}

/// How far an answer is.
#[derive(Debug, Default)]
pub(super) struct State<'a> {
    /// `in_progress`, `completed`, `incomplete`, `failed`.
    pub(super) status: &'a str,
    /// What an incomplete one lacks.
    pub(super) reason: Option<&'a str>,
    /// Its items, as a list without brackets.
    pub(super) output: &'a [u8],
    /// Code and message of what failed.
    pub(super) error: Option<(&'a str, &'a str)>,
    pub(super) usage: Option<&'a Usage>,
}

impl Head {
    pub(super) fn new(start: &Start, ask: &Ask) -> Self {
        // It stands in several events: a long name would make much of little.
        let named = (1..=LONGEST_NAME).contains(&start.model.len());
        let model = if named { &start.model } else { &ask.model };
        let mut begin = Vec::with_capacity(160);
        let mut object = Object::begin(&mut begin);
        object.text("id", &wire::reply_id(&start.id, ask));
        object.text("object", "response");
        object.number("created_at", start.created.unwrap_or(ask.created));
        object.text("model", model);
        object.flag("background", false);

        let mut repeated = Vec::new();
        let mut object = Object::begin(&mut repeated);
        let mut store = false;
        match &ask.echo {
            Some(echo) => {
                let body: Str = echo.clone().into_text();
                store = Node::root("echo", &body).get("store").is_some();
                object.members_of(echo);
            }
            None => {
                for (name, value) in REPEATED {
                    object.raw(name, value);
                }
            }
        }
        if !store {
            // Nothing is kept, unless whoever keeps it says so.
            object.flag("store", false);
        }
        if let Some(tier) = start.service_tier.as_deref().and_then(service_tier) {
            object.text("service_tier", tier);
        }
        object.end();
        // Without the braces: they stand in the middle.
        repeated.pop();
        repeated.remove(0);
        Self { begin, repeated }
    }

    /// Writes the answer as it is by now.
    pub(super) fn write(&self, out: &mut Vec<u8>, state: &State<'_>) {
        out.extend_from_slice(&self.begin);
        out.extend_from_slice(b",\"status\":");
        json::string(out, state.status);
        out.extend_from_slice(b",\"error\":");
        match state.error {
            None => out.extend_from_slice(b"null"),
            Some((code, message)) => {
                let mut error = Object::begin(out);
                error.text("code", code);
                error.text("message", message);
                error.end();
            }
        }
        out.extend_from_slice(b",\"incomplete_details\":");
        match state.reason {
            None => out.extend_from_slice(b"null"),
            Some(reason) => {
                let mut details = Object::begin(out);
                details.text("reason", reason);
                details.end();
            }
        }
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(state.output);
        out.extend_from_slice(b"],");
        out.extend_from_slice(&self.repeated);
        out.extend_from_slice(b",\"usage\":");
        match state.usage {
            None => out.extend_from_slice(b"null"),
            Some(counts) => usage::encode(out, counts, &usage::RESPONSES),
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};
    use ziggurat_core::Operation;

    use super::*;
    use crate::RESPONSES;

    fn head(echo: Option<RawJson>) -> Value {
        let mut ask = Ask::new(Operation::Chat, "asked");
        ask.call_id = "1".into();
        ask.echo = echo;
        let mut out = Vec::new();
        let state = State { status: "in_progress", ..State::default() };
        Head::new(&Start::default(), &ask).write(&mut out, &state);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_was_asked_is_repeated() {
        let body = json!({"model": "m", "input": "Hi", "temperature": 0.5, "user": "u",
            "tools": [{"type": "custom", "name": "f"}], "max_output_tokens": null});
        let body = Bytes::from(body.to_string());
        let payload = Payload::wire(RESPONSES, Operation::Chat, body).unwrap();
        let head = head(RESPONSES.echo(&payload));
        assert_eq!(head["temperature"], 0.5);
        assert_eq!(head["tools"][0]["name"], "f");
        assert_eq!(head["user"], "u");
        assert_eq!(head["max_output_tokens"], Value::Null);
        assert_eq!(head["tool_choice"], "auto");
        assert_eq!(head["store"], false);
        assert_eq!(head.get("input"), None);
    }

    #[test]
    fn an_answer_to_nobody_in_particular_has_all_that_clients_look_for() {
        let head = head(None);
        assert_eq!(head["id"], "resp_1");
        assert_eq!(head["model"], "asked");
        for name in ["metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools"] {
            assert!(!head[name].is_null(), "{name}");
        }
        for name in ["error", "incomplete_details", "instructions", "usage"] {
            assert_eq!(head[name], Value::Null, "{name}");
        }
    }
}
