//! Streams that are not text, as text: one event a line, its type and its payload.

use bytes::Bytes;
use ziggurat_core::Dialect;
use ziggurat_dialects::CONVERSE;
use ziggurat_dialects::framing::event_stream::{messages, write};

/// A stream as its provider sends it.
pub(crate) fn sent(dialect: Dialect, text: &str) -> Vec<u8> {
    if dialect != CONVERSE {
        return text.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (kind, payload) = line.split_once(' ').unwrap();
        let is_event = !kind.ends_with("Exception");
        let headers = [
            (if is_event { ":event-type" } else { ":exception-type" }, kind),
            (":content-type", "application/json"),
            (":message-type", if is_event { "event" } else { "exception" }),
        ];
        write(&headers, payload.as_bytes(), &mut out);
    }
    out
}

/// A stream as one can read it.
pub(crate) fn readable(dialect: Dialect, stream: Vec<u8>) -> String {
    if dialect != CONVERSE {
        return String::from_utf8(stream).unwrap();
    }
    let stream = Bytes::from(stream);
    let line = |message: ziggurat_dialects::framing::event_stream::Message| {
        let kind = message.header(":event-type").or_else(|| message.header(":exception-type"));
        format!("{} {}\n", kind.unwrap(), std::str::from_utf8(&message.payload()).unwrap())
    };
    messages(&stream).map(|message| line(message.unwrap())).collect()
}
