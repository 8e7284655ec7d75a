//! The requests that callers send, serialised once.

use crate::{
    answer::{Dialect, WORDS_IN_WHOLE},
    script::Script,
};

/// Bodies from this size on are a short question about a large image, as they are in practice.
const VISION_FROM: usize = 1 << 20;

/// Prose with what real prompts have: escapes, punctuation and letters beyond ASCII.
const PROSE: &str = r#"The committee met on Tuesday to weigh the two proposals. Its minutes, \"as adopted\", run to nine pages:\n\n1. Costs are given in euro (€), rounded up.\n2. Deliveries start in April; the depot at Tromsø follows in May.\n3. Where a figure is disputed, both are kept.\n\nSummarise what follows for a reader who was not there, and keep every name. "#;

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The request's wire format.
    pub dialect: Dialect,
    /// The model's name.
    pub model: String,
    /// Size of the body in bytes; short ones grow to hold what they must.
    pub size: usize,
    /// The answer to ask for; `None` for one that is not streamed.
    pub stream: Option<Script>,
    /// The caller's key.
    pub key: String,
}

/// A request ready to be written, and what its answer must hold.
#[derive(Debug, Clone)]
pub struct Request {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// How often the answer holds [`crate::answer::WORD`].
    pub words: u32,
    /// What the answer ends with.
    pub terminator: &'static str,
    /// Whether the answer is a stream of events.
    pub is_stream: bool,
    /// Where in `bytes` 16 digits stand that may be changed, so that no two requests are equal.
    pub nonce: usize,
}

/// What stands in a request until [`Request::numbered`] changes it.
const NONCE: &str = "0000000000000000";

impl Request {
    /// The same request with another number in it.
    pub fn numbered(&self, number: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[self.nonce..self.nonce + NONCE.len()]
            .copy_from_slice(format!("{number:016x}").as_bytes());
        bytes
    }
}

impl Prompt {
    /// The request as a client library would send it to `host`.
    pub fn request(&self, host: &str) -> Request {
        let body = self.body();
        let (dialect, key) = (self.dialect, &self.key);
        let credentials = match dialect {
            Dialect::Openai => format!("authorization: Bearer {key}\r\n"),
            Dialect::Anthropic => {
                format!("x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n")
            }
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\ncontent-type: application/json\r\nuser-agent: bench/1.0\r\nx-stainless-lang: rust\r\nx-stainless-retry-count: 0\r\n{credentials}content-length: {}\r\n\r\n",
            dialect.path(),
            body.len()
        );
        let nonce = head.len() + body.find(NONCE).unwrap_or_default();
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        Request {
            bytes,
            words: self.stream.map_or(WORDS_IN_WHOLE, |script| script.chunks),
            terminator: dialect.terminator(self.stream.is_some()),
            is_stream: self.stream.is_some(),
            nonce,
        }
    }

    /// The JSON body, padded with prose or with an image to its size.
    fn body(&self) -> String {
        let (before, after) = self.around();
        let room = self.size.saturating_sub(before.len() + after.len());
        let mut body = before;
        if self.is_vision() {
            // Base64 of pixels has no runs, and letters of every kind.
            body.extend((0..room / 4 * 4).map(|at| pixel(at as u64)));
        } else {
            push_prose(&mut body, room);
        }
        body + &after
    }

    fn is_vision(&self) -> bool {
        self.size >= VISION_FROM
    }

    /// What stands before and behind the padding.
    fn around(&self) -> (String, String) {
        let model = &self.model;
        let stream = if self.stream.is_some() { r#","stream":true"# } else { "" };
        let script = self.stream.map(Script::to_text).unwrap_or_default();
        let head = match self.dialect {
            Dialect::Openai => format!(
                r#"{{"model":"{model}","temperature":0.2,"max_completion_tokens":512{stream},"messages":[{{"role":"system","content":"You are a careful assistant. {NONCE}"}},{{"role":"user","content":"#
            ),
            Dialect::Anthropic => format!(
                r#"{{"model":"{model}","temperature":0.2,"max_tokens":512{stream},"system":"You are a careful assistant. {NONCE}","messages":[{{"role":"user","content":"#
            ),
        };
        let question = format!(r#"[{{"type":"text","text":"{script}What is on this picture?"}},"#);
        let (open, close) = match (self.is_vision(), self.dialect) {
            (false, _) => (format!("\"{script}"), "\""),
            (true, Dialect::Openai) => (
                question + r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,"#,
                r#""}}]"#,
            ),
            (true, Dialect::Anthropic) => (
                question
                    + r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":""#,
                r#""}}]"#,
            ),
        };
        (head + &open, format!("{close}}}]}}"))
    }
}

/// Appends exactly `room` bytes of prose, without cutting an escape or a letter.
fn push_prose(out: &mut String, room: usize) {
    let end = out.len() + room;
    while out.len() + PROSE.len() <= end {
        out.push_str(PROSE);
    }
    out.extend(std::iter::repeat_n('.', end - out.len()));
}

/// A letter of base64 that looks random and is the same on every run.
fn pixel(at: u64) -> char {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    char::from(LETTERS[usize::from(mixed.to_be_bytes()[0] >> 2)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::{http1::Head, script::Scan};

    fn prompt(dialect: Dialect, size: usize, stream: Option<Script>) -> Prompt {
        Prompt { dialect, model: "gpt-4o".to_owned(), size, stream, key: "sk-x".to_owned() }
    }

    #[test]
    fn a_body_is_json_of_the_size_asked_for() {
        for dialect in [Dialect::Openai, Dialect::Anthropic] {
            for (size, slack) in [(2 << 10, 0), (64 << 10, 0), (10 << 20, 4)] {
                let request = prompt(dialect, size, None).request("localhost");
                let head = Head::request(&request.bytes).unwrap().unwrap();
                assert_eq!(Dialect::of_path(&head.path), Some(dialect));
                let body = &request.bytes[head.len..];
                serde_json::from_slice::<Value>(body).unwrap();
                assert!(size - body.len() <= slack, "{} bytes for {size}", body.len());
            }
        }
    }

    #[test]
    fn numbered_requests_differ_and_are_json_of_one_size() {
        let request = prompt(Dialect::Openai, 2 << 10, None).request("localhost");
        let (one, two) = (request.numbered(1), request.numbered(u64::MAX));
        assert_ne!(one, two);
        assert_eq!(one.len(), request.bytes.len());
        let head = Head::request(&one).unwrap().unwrap();
        serde_json::from_slice::<Value>(&one[head.len..]).unwrap();
    }

    #[test]
    fn the_upstream_finds_in_a_request_what_was_put_there() {
        let script = Script::paced(9, Duration::from_millis(2));
        for dialect in [Dialect::Openai, Dialect::Anthropic] {
            for size in [2 << 10, 2 << 20] {
                let request = prompt(dialect, size, Some(script)).request("localhost");
                let mut scan = Scan::default();
                scan.feed(&request.bytes);
                assert!(scan.is_stream());
                assert_eq!(scan.script(Script::paced(0, Duration::ZERO)), script);
                assert_eq!(request.words, 9);
            }
        }
    }
}
