//! The fixed answers of the fake upstream, serialised once, and what a caller must find in them.

/// The text of every delta. Callers count it: a stream is whole when it came as often as it was asked
/// for, however a gateway renames, regroups or reframes the events around it.
pub const WORD: &str = " lattice";

/// How often [`WORD`] is in an answer that is not streamed.
pub const WORDS_IN_WHOLE: u32 = 24;

/// The wire format of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// `POST /v1/chat/completions`
    Openai,
    /// `POST /v1/messages`
    Anthropic,
}

impl Dialect {
    /// Where requests of this dialect go.
    pub fn path(self) -> &'static str {
        match self {
            Self::Openai => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    /// The dialect of a request to `path`, whatever base it was put under.
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        if path.ends_with("/chat/completions") {
            Some(Self::Openai)
        } else {
            path.ends_with("/messages").then_some(Self::Anthropic)
        }
    }

    /// What stands at the end of a complete answer, and only there.
    pub fn terminator(self, stream: bool) -> &'static str {
        match (self, stream) {
            (Self::Openai, false) => "\"finish_reason\":\"stop\"",
            (Self::Openai, true) => "data: [DONE]",
            (Self::Anthropic, false) => "\"stop_reason\":\"end_turn\"",
            (Self::Anthropic, true) => "\"type\":\"message_stop\"",
        }
    }
}

/// An answer that is written at once, head and body.
pub fn whole(dialect: Dialect) -> Vec<u8> {
    at_once(provider_headers(dialect), body(dialect).as_bytes())
}

pub(crate) fn at_once(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The body of an answer that is written at once.
pub(crate) fn body(dialect: Dialect) -> String {
    let text = WORD.repeat(WORDS_IN_WHOLE as usize);
    match dialect {
        Dialect::Openai => format!(
            r#"{{"id":"chatcmpl-CkVQyzJ3mXhWqfR7bT2sN9aLdEoPu","object":"chat.completion","created":1767323045,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"Certainly:{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":412,"completion_tokens":26,"total_tokens":438,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_a2b4c6d8e0"}}"#
        ),
        Dialect::Anthropic => format!(
            r#"{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{{"type":"text","text":"Certainly:{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":412,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":26,"service_tier":"standard"}}}}"#
        ),
    }
}

/// An answer to a request that the upstream does not know.
pub fn not_found() -> Vec<u8> {
    let body = r#"{"error":{"message":"no such path","type":"invalid_request_error","param":null,"code":null}}"#;
    format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A streamed answer in the parts it is written in, each already framed as an HTTP chunk.
#[derive(Debug)]
pub struct Stream {
    /// The head and the events that come before any text, as one write.
    pub opening: Vec<u8>,
    /// One event of text, framed.
    pub single: Vec<u8>,
    /// Every event behind the text, and the end of the body, as one write.
    pub closing: Vec<u8>,
    /// One event of text, without a frame.
    event: Vec<u8>,
}

impl Stream {
    /// The stream of a dialect; `usage` as OpenAI's `stream_options.include_usage`.
    pub fn new(dialect: Dialect, usage: bool) -> Self {
        let (first, event, last) = match dialect {
            Dialect::Openai => openai_events(usage),
            Dialect::Anthropic => anthropic_events(),
        };
        let media_type = "text/event-stream; charset=utf-8";
        let parts = [first.as_bytes(), event.as_bytes(), last.as_bytes()];
        Self::framed(media_type, provider_headers(dialect), parts)
    }

    /// The stream of these events: those before any text, one of text, and those behind it.
    pub(crate) fn framed(media_type: &str, headers: &str, parts: [&[u8]; 3]) -> Self {
        let [first, event, last] = parts;
        let mut opening = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncache-control: no-cache\r\n{headers}transfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        push_chunk(&mut opening, first);
        let mut single = Vec::new();
        push_chunk(&mut single, event);
        let mut closing = Vec::new();
        push_chunk(&mut closing, last);
        closing.extend_from_slice(b"0\r\n\r\n");
        Self { opening, single, closing, event: event.to_vec() }
    }

    /// `count` events of text as one HTTP chunk.
    pub fn several(&self, count: u32) -> Vec<u8> {
        let mut framed = Vec::new();
        push_chunk(&mut framed, &self.event.repeat(count as usize));
        framed
    }
}

fn push_chunk(out: &mut Vec<u8>, contents: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", contents.len()).as_bytes());
    out.extend_from_slice(contents);
    out.extend_from_slice(b"\r\n");
}

/// Headers that providers send and gateways read or pass on.
pub(crate) fn provider_headers(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Openai => {
            "x-request-id: req_8f14e45fceea167a5a36dedd4bea2543\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
        }
        Dialect::Anthropic => {
            "request-id: req_011CQGyVNEJzmEKUD5cTtAoX\r\nanthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\nanthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-remaining: 9999\r\n"
        }
    }
}

/// The events before the text, one event of text, and those behind it.
pub(crate) fn openai_events(usage: bool) -> (String, String, String) {
    let no_usage = if usage { r#","usage":null"# } else { "" };
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-CkVQyzJ3mXhWqfR7bT2sN9aLdEoPu\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_a2b4c6d8e0\",\"choices\":[{choices}]{usage}}}\n\n"
        )
    };
    let choice = |delta: &str, finish: &str| {
        let choice =
            format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
        chunk(&choice, no_usage)
    };
    let first = choice(r#"{"role":"assistant","content":"","refusal":null}"#, "null");
    let event = choice(&format!(r#"{{"content":"{WORD}"}}"#), "null");
    let mut last = choice("{}", r#""stop""#);
    if usage {
        last += &chunk(
            "",
            r#","usage":{"prompt_tokens":412,"completion_tokens":26,"total_tokens":438,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#,
        );
    }
    last += "data: [DONE]\n\n";
    (first, event, last)
}

fn anthropic_events() -> (String, String, String) {
    let first = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":412,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    );
    let event = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{WORD}\"}}}}\n\n"
    );
    let last = concat!(
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":26}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    (first.to_owned(), event, last.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http1::{Decoder, Head};

    fn body(answer: &[u8]) -> String {
        let head = Head::response(answer).unwrap().unwrap();
        assert_eq!(head.status, 200);
        let mut decoder = Decoder::new(head.framing);
        let mut body = Vec::new();
        let used = decoder.feed(&answer[head.len..], |part| body.extend_from_slice(part)).unwrap();
        assert!(decoder.is_done());
        assert_eq!(head.len + used, answer.len(), "nothing behind the answer");
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_whole_answer_is_json_with_every_word_and_its_terminator() {
        for dialect in [Dialect::Openai, Dialect::Anthropic] {
            let body = body(&whole(dialect));
            serde_json::from_str::<Value>(&body).unwrap();
            assert_eq!(body.matches(WORD).count(), WORDS_IN_WHOLE as usize);
            assert_eq!(body.matches(dialect.terminator(false)).count(), 1);
            assert!((500..1000).contains(&body.len()), "{} bytes", body.len());
        }
    }

    #[test]
    fn a_stream_is_events_of_json_with_every_word_and_its_terminator() {
        for (dialect, usage) in
            [(Dialect::Openai, false), (Dialect::Openai, true), (Dialect::Anthropic, false)]
        {
            let stream = Stream::new(dialect, usage);
            let mut answer = stream.opening.clone();
            answer.extend_from_slice(&stream.single);
            answer.extend_from_slice(&stream.several(3));
            answer.extend_from_slice(&stream.closing);
            let body = body(&answer);
            assert_eq!(body.matches(WORD).count(), 4);
            assert_eq!(body.matches(dialect.terminator(true)).count(), 1);
            assert!(body.ends_with("\n\n"));
            let mut with_usage = 0;
            for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
                if data != "[DONE]" {
                    let event: Value = serde_json::from_str(data).unwrap();
                    with_usage += usize::from(event["usage"].is_object());
                }
            }
            let expected = usize::from(usage || dialect == Dialect::Anthropic);
            assert_eq!(with_usage, expected, "{dialect:?}, usage asked for: {usage}");
        }
    }

    #[test]
    fn a_path_names_its_dialect_under_any_base() {
        assert_eq!(Dialect::of_path("/x/v1/chat/completions?a=b"), Some(Dialect::Openai));
        assert_eq!(Dialect::of_path("/v1/messages"), Some(Dialect::Anthropic));
        assert_eq!(Dialect::of_path("/v1/models"), None);
    }
}
