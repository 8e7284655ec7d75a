//! The same answers in the dialects that nobody wrote them in: OpenAI's, rewritten.

use bytes::Bytes;
use ziggurat_core::{Ask, Losses, Operation, Restore, Str};
use ziggurat_dialects::{COHERE, CONVERSE, GEMINI, OLLAMA, OPENAI, RESPONSES};

use crate::answer::{self, Stream, at_once};

/// What a provider of one more dialect answers.
#[derive(Debug)]
pub struct Rewritten {
    dialect: ziggurat_core::Dialect,
    /// An answer that is written at once.
    pub whole: Vec<u8>,
    /// A streamed one.
    pub stream: Stream,
}

/// A request's dialect by the end of its path, and whether it asks for a stream, if the path says.
const PATHS: [(&str, ziggurat_core::Dialect, Option<bool>); 7] = [
    ("/responses", RESPONSES, None),
    (":generateContent", GEMINI, Some(false)),
    (":streamGenerateContent", GEMINI, Some(true)),
    ("/converse", CONVERSE, Some(false)),
    ("/converse-stream", CONVERSE, Some(true)),
    ("/v2/chat", COHERE, None),
    ("/api/chat", OLLAMA, None),
];

/// The dialects, and headers as a provider of each sends them.
fn providers() -> [(ziggurat_core::Dialect, &'static str); 5] {
    [
        (RESPONSES, answer::provider_headers(answer::Dialect::Openai)),
        (
            GEMINI,
            "vary: Origin\r\nx-frame-options: SAMEORIGIN\r\nx-content-type-options: nosniff\r\nserver-timing: gfet4t7; dur=412\r\n",
        ),
        (
            CONVERSE,
            "date: Fri, 02 Jan 2026 03:04:05 GMT\r\nx-amzn-requestid: 8f14e45f-ceea-467a-9a36-dedd4bea2543\r\n",
        ),
        (
            COHERE,
            "date: Fri, 02 Jan 2026 03:04:05 GMT\r\nserver: envoy\r\nx-debug-trace-id: 8f14e45fceea167a5a36dedd4bea2543\r\nx-envoy-upstream-service-time: 412\r\n",
        ),
        (OLLAMA, "date: Fri, 02 Jan 2026 03:04:05 GMT\r\n"),
    ]
}

impl Rewritten {
    /// The answers in every dialect that there is a path of.
    pub fn all() -> Vec<Self> {
        providers().map(Self::new).into()
    }

    /// The dialect that it is written in.
    pub fn dialect(&self) -> ziggurat_core::Dialect {
        self.dialect
    }

    fn new((dialect, headers): (ziggurat_core::Dialect, &str)) -> Self {
        let mut ask = Ask::new(Operation::Chat, "model-at-provider");
        ask.call_id = Str::from("8f14e45fceea167a5a36dedd4bea2543");
        ask.created = 1_767_323_045;
        ask.stream_usage = true;

        let body = Bytes::from(answer::body(answer::Dialect::Openai));
        let answer = OPENAI
            .decode_reply(Operation::Chat, &body, &Restore::default())
            .expect("it is an answer of OpenAI's");
        let body = dialect
            .encode_reply(&answer, &ask, &mut Losses::default())
            .expect("every dialect can say a text");

        let mut decoder = OPENAI.decoder(&Restore::default());
        let mut encoder = dialect.encoder(&ask);
        let mut written = |events: &str| {
            let mut read = Vec::new();
            decoder.decode(&Bytes::from(events.to_owned()), &mut read).expect("they are OpenAI's");
            let mut out = Vec::new();
            read.iter().for_each(|event| encoder.encode(event, &mut out));
            out
        };
        let (first, event, last) = answer::openai_events(true);
        // The first piece of text opens what the others go on with. It is none that is counted.
        let opened = event.replace(answer::WORD, "So:");
        let first = [written(&first), written(&opened)].concat();
        let (event, last) = (written(&event), written(&last));
        let media_type = dialect.stream_type();
        let media_type = media_type.to_str().expect("a media type is ASCII");
        let stream = Stream::framed(media_type, headers, [&first, &event, &last]);
        Self { dialect, whole: at_once(headers, &body), stream }
    }

    /// Those that belong to a path, and whether it asks for a stream, if it says.
    pub fn of_path<'a>(all: &'a [Self], path: &str) -> Option<(&'a Self, Option<bool>)> {
        let path = path.split('?').next().unwrap_or_default();
        let (_, dialect, streamed) = PATHS.iter().find(|(end, ..)| path.ends_with(end))?;
        let found = all.iter().find(|rewritten| rewritten.dialect == *dialect)?;
        Some((found, *streamed))
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Event;

    use super::*;
    use crate::http1::{Decoder, Head};

    #[test]
    fn every_path_has_an_answer_with_every_word() {
        let all = Rewritten::all();
        for (end, dialect, streamed) in PATHS {
            let (found, says) = Rewritten::of_path(&all, &format!("/any{end}?a=b")).unwrap();
            assert_eq!((found.dialect, says), (dialect, streamed));
        }
        assert!(Rewritten::of_path(&all, "/v1/chat/completions").is_none());
        for rewritten in &all {
            let text = String::from_utf8_lossy(&rewritten.whole).into_owned();
            let words = text.matches(answer::WORD).count();
            assert_eq!(words, answer::WORDS_IN_WHOLE as usize, "{text}");
            let stream = &rewritten.stream;
            let all = [&stream.opening, &stream.single, &stream.several(3), &stream.closing];
            let answer = all.map(Vec::as_slice).concat();
            let head = Head::response(&answer).unwrap().unwrap();
            let mut decoder = Decoder::new(head.framing);
            let mut body = Vec::new();
            decoder.feed(&answer[head.len..], |part| body.extend_from_slice(part)).unwrap();
            assert!(decoder.is_done());
            // What repeats the text at its end knows only of the words that were there when it was written.
            let mut decoder = rewritten.dialect.decoder(&Restore::default());
            let mut events = Vec::new();
            decoder.decode(&Bytes::from(body), &mut events).unwrap();
            decoder.finish(&mut events);
            let said = |event: &Event| match event {
                Event::Text { text, .. } => text.matches(answer::WORD).count(),
                _ => 0,
            };
            assert_eq!(events.iter().map(said).sum::<usize>(), 4, "{}", rewritten.dialect);
            assert!(matches!(events.last(), Some(Event::End)));
        }
    }
}
