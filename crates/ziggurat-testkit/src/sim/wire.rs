//! What providers send, as bytes: OpenAI's Chat Completions and Anthropic's Messages.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chance::Chance;
use super::fault::Fault;

/// A dialect that simulated callers and providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// Chat Completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

impl Wire {
    /// The dialect that a path belongs to.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else {
            None
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }
}

/// What a provider is going to say.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) attempt: u64,
    pub(super) model: String,
    pub(super) words: Vec<String>,
    pub(super) input: u64,
}

/// What an event is, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Plain,
    /// It carries one word.
    Word,
    /// It tells the usage: input, output.
    Usage(u64, u64),
    Terminator,
}

/// Whole events, in order.
pub(super) type Events = Vec<(String, Sort)>;

impl Answer {
    pub(super) fn text(&self) -> String {
        self.words.concat()
    }

    pub(super) fn output(&self) -> u64 {
        self.words.len() as u64
    }

    /// The answer in one piece.
    pub(super) fn whole(&self, wire: Wire) -> Bytes {
        let (input, output) = (self.input, self.output());
        let body = match wire {
            Wire::OpenAi => json!({
                "id": format!("chatcmpl-{}", self.attempt), "object": "chat.completion", "created": 1_767_323_045_u64,
                "model": self.model,
                "choices": [{
                    "index": 0,
                    "message": { "role": "assistant", "content": self.text(), "refusal": null },
                    "logprobs": null, "finish_reason": "stop",
                }],
                "usage": openai_usage(input, output),
            }),
            Wire::Anthropic => json!({
                "id": format!("msg_{}", self.attempt), "type": "message", "role": "assistant", "model": self.model,
                "content": [{ "type": "text", "text": self.text() }],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": { "input_tokens": input, "output_tokens": output },
            }),
        };
        body.to_string().into()
    }

    /// The answer as a stream. `usage`: whether an OpenAI client asked for it.
    pub(super) fn events(&self, wire: Wire, usage: bool, chance: &Chance) -> Events {
        let mut events = match wire {
            Wire::OpenAi => self.openai_events(usage),
            Wire::Anthropic => self.anthropic_events(),
        };
        // Signs of life between them.
        for _ in 0..chance.below(3) {
            let at = chance.index(events.len());
            let sign = match wire {
                Wire::Anthropic if at > 0 => named("ping", json!({})),
                _ => ": keep-alive\n\n".to_owned(),
            };
            events.insert(at, (sign, Sort::Plain));
        }
        if chance.percent(20) {
            for (event, _) in &mut events {
                *event = event.replace('\n', "\r\n");
            }
        }
        events
    }

    fn openai_events(&self, usage: bool) -> Events {
        let chunk = |delta: Value, finish: Option<&str>| {
            let mut chunk = self.chunk();
            chunk["choices"] =
                json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
            if usage {
                chunk["usage"] = Value::Null;
            }
            format!("data: {chunk}\n\n")
        };
        let mut events =
            vec![(chunk(json!({ "role": "assistant", "content": "" }), None), Sort::Plain)];
        events.extend(
            self.words.iter().map(|word| (chunk(json!({ "content": word }), None), Sort::Word)),
        );
        events.push((chunk(json!({}), Some("stop")), Sort::Plain));
        if usage {
            let (input, output) = (self.input, self.output());
            let mut last = self.chunk();
            last["choices"] = json!([]);
            last["usage"] = openai_usage(input, output);
            events.push((format!("data: {last}\n\n"), Sort::Usage(input, output)));
        }
        events.push(("data: [DONE]\n\n".to_owned(), Sort::Terminator));
        events
    }

    fn chunk(&self) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.attempt), "object": "chat.completion.chunk", "created": 1_767_323_045_u64,
            "model": self.model,
        })
    }

    fn anthropic_events(&self) -> Events {
        let (input, output) = (self.input, self.output());
        let message = json!({
            "id": format!("msg_{}", self.attempt), "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": input, "output_tokens": 1 },
        });
        let block = json!({ "type": "text", "text": "" });
        let mut events = vec![
            (named("message_start", json!({ "message": message })), Sort::Usage(input, 1)),
            (
                named("content_block_start", json!({ "index": 0, "content_block": block })),
                Sort::Plain,
            ),
        ];
        events.extend(self.words.iter().map(|word| {
            let delta = json!({ "index": 0, "delta": { "type": "text_delta", "text": word } });
            (named("content_block_delta", delta), Sort::Word)
        }));
        events.push((named("content_block_stop", json!({ "index": 0 })), Sort::Plain));
        let delta = json!({
            "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": output },
        });
        events.push((named("message_delta", delta), Sort::Usage(input, output)));
        events.push((named("message_stop", json!({})), Sort::Terminator));
        events
    }
}

fn openai_usage(input: u64, output: u64) -> Value {
    json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
}

/// An event of Anthropic's: the type stands in its data, too.
fn named(name: &str, mut data: Value) -> String {
    data["type"] = Value::from(name);
    format!("event: {name}\ndata: {data}\n\n")
}

/// An error that comes inside a stream.
pub(super) fn error_event(wire: Wire) -> String {
    match wire {
        Wire::OpenAi => {
            let error = json!({
                "message": "The server had an error while processing your request.", "type": "server_error",
                "param": null, "code": null,
            });
            format!("data: {}\n\n", json!({ "error": error }))
        }
        Wire::Anthropic => {
            let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
            named("error", json!({ "error": error }))
        }
    }
}

/// A refusal: its status and body.
pub(super) fn refusal(wire: Wire, fault: Fault, chance: &Chance) -> (u16, String) {
    let status = match fault {
        Fault::RateLimit => 429,
        Fault::ServerError => [500, 502, 503, 529][chance.index(4)],
        _ => 400,
    };
    let (kind, code, message) = match (wire, fault) {
        (Wire::OpenAi, Fault::RateLimit) => {
            ("requests", Some("rate_limit_exceeded"), "Rate limit reached for this model.")
        }
        (Wire::OpenAi, Fault::ContextLength) => (
            "invalid_request_error",
            Some("context_length_exceeded"),
            "This model's maximum context length is 128000 tokens.",
        ),
        (Wire::OpenAi, Fault::ContentPolicy) => (
            "invalid_request_error",
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.",
        ),
        (Wire::OpenAi, Fault::Invalid) => {
            ("invalid_request_error", Some("invalid_value"), "The request was invalid.")
        }
        (Wire::OpenAi, _) => ("server_error", None, "The server had an error."),
        (Wire::Anthropic, Fault::RateLimit) => {
            ("rate_limit_error", None, "This request would exceed your rate limit.")
        }
        (Wire::Anthropic, Fault::ContextLength) => {
            ("invalid_request_error", None, "prompt is too long: 210000 tokens > 200000 maximum")
        }
        (Wire::Anthropic, Fault::ContentPolicy) => {
            ("invalid_request_error", None, "Output blocked by content filtering policy")
        }
        (Wire::Anthropic, Fault::Invalid) => {
            ("invalid_request_error", None, "The request was invalid.")
        }
        (Wire::Anthropic, _) if status == 529 => ("overloaded_error", None, "Overloaded"),
        (Wire::Anthropic, _) => ("api_error", None, "Internal server error"),
    };
    let body = match wire {
        // A proxy in front of the vendor answers, as often as the vendor itself.
        _ if status == 502 => "<html><body><h1>502 Bad Gateway</h1></body></html>".to_owned(),
        Wire::OpenAi => {
            let error = json!({ "message": message, "type": kind, "param": null, "code": code });
            json!({ "error": error }).to_string()
        }
        Wire::Anthropic => {
            let error = json!({ "type": kind, "message": message });
            json!({ "type": "error", "error": error, "request_id": "req_sim" }).to_string()
        }
    };
    (status, body)
}
