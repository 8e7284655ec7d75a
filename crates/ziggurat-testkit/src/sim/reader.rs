//! Reads answers as a vendor's client would, and more strictly.

use http::StatusCode;
use serde_json::Value;

use super::report::CallEnd;
use super::wire::Wire;

/// Reads one answer. It is told what comes, and says at the end what it was.
#[derive(Debug)]
pub(super) struct Reader {
    wire: Wire,
    streamed: bool,
    status: Option<StatusCode>,
    events: bool,
    buffer: Vec<u8>,
    after_cr: bool,
    pub(super) text: String,
    pub(super) told: Option<(u64, u64)>,
    finished: bool,
    terminated: bool,
    failed: bool,
    broke: bool,
    /// An event could not be read: a client gives up there, and hears no more.
    deaf: bool,
    wrong: Option<String>,
}

impl Reader {
    pub(super) fn new(wire: Wire, streamed: bool) -> Self {
        Self {
            wire,
            streamed,
            status: None,
            events: false,
            buffer: Vec::new(),
            after_cr: false,
            text: String::new(),
            told: None,
            finished: false,
            terminated: false,
            failed: false,
            broke: false,
            deaf: false,
            wrong: None,
        }
    }

    pub(super) fn head(&mut self, status: StatusCode, content_type: &str) {
        self.status = Some(status);
        self.events = content_type.starts_with("text/event-stream");
        if status.is_success() && self.events != self.streamed {
            self.wrong(format!("a successful answer is {content_type}"));
        }
    }

    /// Bytes have come. Whether they brought text.
    pub(super) fn data(&mut self, data: &[u8]) -> bool {
        let before = self.text.len();
        if !self.events {
            self.buffer.extend_from_slice(data);
        } else {
            // Lines end in LF, CR or both: one spelling is enough from here on.
            for byte in data {
                let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
                match byte {
                    b'\n' if after_cr => {}
                    b'\r' => self.buffer.push(b'\n'),
                    _ => self.buffer.push(*byte),
                }
            }
            while let Some((event, rest)) = self.next_event() {
                self.buffer.drain(..rest);
                self.event(&event);
            }
        }
        self.text.len() > before
    }

    /// The body broke off with an error of the line itself.
    pub(super) fn broke(&mut self) {
        self.broke = true;
    }

    /// The answer has ended: what it was.
    pub(super) fn end(&mut self) -> CallEnd {
        let Some(status) = self.status else { return CallEnd::Unanswered };
        if !self.events {
            self.whole(status);
        } else if !self.broke && !self.failed && !self.buffer.is_empty() {
            self.wrong("it ends within an event".to_owned());
        }
        if let Some(wrong) = &self.wrong {
            return CallEnd::Garbled(wrong.clone());
        }
        match () {
            () if !status.is_success() => CallEnd::Refused,
            () if self.failed => CallEnd::Broken,
            () if self.terminated && self.finished => CallEnd::Answered,
            () if self.broke => CallEnd::Broken,
            // Some servers leave their terminator out, and clients do not miss it where the reason came: nothing is missing then.
            () if self.finished => CallEnd::Answered,
            () if self.terminated => CallEnd::Garbled("it does not say why it ends".to_owned()),
            () => CallEnd::Cut,
        }
    }

    /// Whether nothing more can be wanted of the answer.
    pub(super) fn is_over(&self) -> bool {
        self.terminated || (self.failed && !self.deaf)
    }

    fn wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// The next whole event, and where the rest begins.
    fn next_event(&self) -> Option<(String, usize)> {
        let mut line_start = 0;
        for (at, byte) in self.buffer.iter().enumerate() {
            if *byte != b'\n' {
                continue;
            }
            let line = &self.buffer[line_start..at];
            line_start = at + 1;
            if line.is_empty() {
                let event = String::from_utf8_lossy(&self.buffer[..=at]).into_owned();
                return Some((event, at + 1));
            }
        }
        None
    }

    fn event(&mut self, event: &str) {
        let lines = || event.lines();
        let data: Vec<_> = lines().filter_map(|line| line.strip_prefix("data:")).collect();
        let named = lines().find_map(|line| line.strip_prefix("event:")).map(str::trim);
        if data.is_empty() || self.deaf {
            // A comment, or nobody who listens.
            return;
        }
        let data = data.join("\n");
        let data = data.trim();
        let ends = self.terminated || self.failed;
        if data == "[DONE]" {
            if self.terminated {
                self.wrong("it ends twice".to_owned());
            }
            self.terminated = true;
            return;
        }
        let Ok(data) = serde_json::from_str::<Value>(data) else {
            // As good as an error, and as bad.
            self.failed = true;
            self.deaf = true;
            return;
        };
        if named == Some("ping") || data["type"] == "ping" {
            return;
        }
        if ends {
            self.wrong(format!("more comes after its end: {data}"));
        }
        match self.wire {
            Wire::OpenAi => self.openai_event(&data),
            Wire::Anthropic => self.anthropic_event(&data),
        }
    }

    fn openai_event(&mut self, data: &Value) {
        if data.get("error").is_some_and(|error| !error.is_null()) {
            self.failed = true;
            return;
        }
        if let Some(text) = data["choices"][0]["delta"]["content"].as_str() {
            self.said(text);
        }
        if data["choices"][0]["finish_reason"].is_string() {
            self.finished = true;
        }
        self.usage(&data["usage"], "prompt_tokens", "completion_tokens");
    }

    fn anthropic_event(&mut self, data: &Value) {
        match data["type"].as_str() {
            Some("error") => self.failed = true,
            Some("content_block_delta") => {
                self.said(data["delta"]["text"].as_str().unwrap_or_default());
            }
            Some("message_delta") => {
                self.finished |= data["delta"]["stop_reason"].is_string();
                self.usage(&data["usage"], "input_tokens", "output_tokens");
            }
            Some("message_start") => {
                self.usage(&data["message"]["usage"], "input_tokens", "output_tokens");
            }
            Some("message_stop") => self.terminated = true,
            _ => {}
        }
    }

    fn said(&mut self, text: &str) {
        if self.finished && !text.is_empty() {
            self.wrong("text comes after the reason why it ends".to_owned());
        }
        self.text.push_str(text);
    }

    fn usage(&mut self, usage: &Value, input: &str, output: &str) {
        let (said_input, said_output) = (usage[input].as_u64(), usage[output].as_u64());
        if said_input.is_some() || said_output.is_some() {
            let (before_input, before_output) = self.told.unwrap_or_default();
            self.told =
                Some((said_input.unwrap_or(before_input), said_output.unwrap_or(before_output)));
        }
    }

    fn whole(&mut self, status: StatusCode) {
        let body = serde_json::from_slice::<Value>(&self.buffer);
        if self.broke {
            return;
        }
        let Ok(body) = body else {
            self.wrong(format!("a body that is no JSON, with status {status}"));
            return;
        };
        if !status.is_success() {
            let right = match self.wire {
                Wire::OpenAi => body["error"]["message"].is_string(),
                Wire::Anthropic => body["type"] == "error" && body["error"]["type"].is_string(),
            };
            if !right {
                self.wrong(format!("an error that is not the dialect's: {body}"));
            }
            return;
        }
        let text = match self.wire {
            Wire::OpenAi => {
                self.usage(&body["usage"], "prompt_tokens", "completion_tokens");
                self.finished = body["choices"][0]["finish_reason"].is_string();
                body["choices"][0]["message"]["content"].as_str()
            }
            Wire::Anthropic => {
                self.usage(&body["usage"], "input_tokens", "output_tokens");
                self.finished = body["stop_reason"].is_string();
                body["content"][0]["text"].as_str()
            }
        };
        match text {
            Some(text) => {
                self.text = text.to_owned();
                self.terminated = true;
            }
            None => self.wrong(format!("an answer without text: {body}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: Wire, pieces: &[&str]) -> (CallEnd, String) {
        let mut reader = Reader::new(wire, true);
        reader.head(StatusCode::OK, "text/event-stream; charset=utf-8");
        for piece in pieces {
            reader.data(piece.as_bytes());
        }
        (reader.end(), reader.text)
    }

    const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a \"}}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

    #[test]
    fn a_stream_is_answered_by_its_end_alone() {
        let done = "data: [DONE]\n\n";
        assert_eq!(
            read(Wire::OpenAi, &[WORD, WORD, STOP, done]),
            (CallEnd::Answered, "a a ".to_owned())
        );
        // A CR alone ends a line, and an LF may still follow.
        let stream = [WORD, WORD, STOP, done].concat().replace('\n', "\r\n");
        assert_eq!(read(Wire::OpenAi, &[stream.trim_end_matches('\n')]).0, CallEnd::Answered);
        assert_eq!(read(Wire::OpenAi, &[WORD, STOP]).0, CallEnd::Answered);
        assert_eq!(read(Wire::OpenAi, &[WORD]).0, CallEnd::Cut);
        assert!(matches!(read(Wire::OpenAi, &[WORD, done]).0, CallEnd::Garbled(_)));
        let error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        assert_eq!(read(Wire::OpenAi, &[WORD, error]).0, CallEnd::Broken);
        assert_eq!(read(Wire::OpenAi, &[WORD, error, done]).0, CallEnd::Broken);
        assert!(matches!(read(Wire::OpenAi, &[WORD, error, WORD]).0, CallEnd::Garbled(_)));
        assert!(matches!(read(Wire::OpenAi, &[WORD, STOP, done, WORD]).0, CallEnd::Garbled(_)));
        assert!(matches!(read(Wire::OpenAi, &[WORD, STOP, WORD, done]).0, CallEnd::Garbled(_)));
    }

    #[test]
    fn a_stream_of_messages_is_read() {
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a \"}}\n\n";
        let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
        let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let whole = [delta, stop, end].concat();
        let bytes: Vec<_> = whole.split_inclusive('e').collect();
        assert_eq!(read(Wire::Anthropic, &bytes), (CallEnd::Answered, "a ".to_owned()));
        assert_eq!(read(Wire::Anthropic, &[delta, stop]).0, CallEnd::Answered);
        assert_eq!(read(Wire::Anthropic, &[delta]).0, CallEnd::Cut);
    }

    #[test]
    fn an_error_speaks_the_callers_dialect() {
        let read = |wire, body: &str| {
            let mut reader = Reader::new(wire, false);
            reader.head(StatusCode::BAD_GATEWAY, "application/json");
            reader.data(body.as_bytes());
            reader.end()
        };
        let openai = r#"{"error":{"message":"no","type":"server_error"}}"#;
        let anthropic = r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#;
        assert_eq!(read(Wire::OpenAi, openai), CallEnd::Refused);
        assert_eq!(read(Wire::Anthropic, anthropic), CallEnd::Refused);
        assert!(matches!(read(Wire::Anthropic, openai), CallEnd::Garbled(_)));
        assert!(matches!(read(Wire::OpenAi, "<html>"), CallEnd::Garbled(_)));
    }
}
