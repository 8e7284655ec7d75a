//! Server-sent events: cutting loses nothing, and does not depend on how the bytes arrive.

use bytes::Bytes;
use ziggurat_core::{CutOptions, Cutter, Dialect, Error, Facts, Frame, Usage};
use ziggurat_dialects::framing::sse::{self, SideReader, SseCutter, SseEvent, Verdict};

use ziggurat_dialects::OPENAI;

use crate::chunks::choppings;
use crate::world::DIALECTS;

/// Small enough for the fuzzer to reach it.
const MAX_EVENT: usize = 96;

/// Any bytes are cut into whole events, whose bytes are those that came; each dialect reads the same facts from them however
/// they arrive.
pub fn sse(data: &[u8]) {
    framing(data);
    bound(data);
    for dialect in DIALECTS {
        for withhold in [false, true] {
            let options = CutOptions::default().withhold_usage(withhold);
            let cuts = choppings(data).map(|chunks| Cut::of(dialect, &options, chunks));
            for other in &cuts[1..] {
                assert_eq!(cuts[0].said(), other.said(), "{dialect}: other pieces, another stream");
            }
            cuts[0].holds(dialect, data, withhold);
        }
    }
}

/// Without a dialect every byte comes out, in order, and the blank line that the last event may lack; but for a last event that
/// ends before its data.
fn framing(data: &[u8]) {
    let mut said = Vec::new();
    for chunks in choppings(data) {
        let mut cutter = SseCutter::new(Indifferent, &CutOptions::default());
        let (frames, error) = cut(&mut cutter, chunks);
        assert!(error.is_none());
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        match bytes.strip_prefix(data) {
            Some(more) => assert!(matches!(more, b"" | b"\n" | b"\n\n"), "{}", more.escape_ascii()),
            None => assert!(is_hollow(lost(data, &bytes)), "what came goes out"),
        }
        let events: Vec<String> = frames
            .iter()
            .flat_map(|frame| sse::events(frame.bytes()).map(text).collect::<Vec<_>>())
            .collect();
        said.push((bytes, events));
    }
    assert_eq!(said[0], said[1], "single bytes");
    assert_eq!(said[0], said[2], "pieces");
}

/// What did not come out of `data`, at its end.
fn lost<'a>(data: &'a [u8], out: &[u8]) -> &'a [u8] {
    data.strip_prefix(out).expect("what comes out came in")
}

/// Whether this is the beginning of an event, without any data.
fn is_hollow(rest: &[u8]) -> bool {
    let rest = Bytes::from([rest, b"\n\n"].concat());
    sse::events(&rest).all(|event| event.data.unwrap_or_default().trim_ascii().is_empty())
}

/// No event is larger than allowed, nothing is refused that is not, and what comes before one that is gets through.
fn bound(data: &[u8]) {
    for chunks in choppings(data) {
        let options = CutOptions::default().max_event(MAX_EVENT);
        let (frames, error) = cut(&mut SseCutter::new(Measure, &options), chunks);
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        let out = bytes.len();
        // The blank line that the end of the input puts in is not the stream's.
        assert!(out <= data.len() + 2);
        if error.is_none() {
            let all = out >= data.len() || is_hollow(lost(data, &bytes));
            assert!(all, "bytes are lost and nobody says so");
        } else {
            assert!(data.len() > MAX_EVENT, "refused: {} bytes", data.len());
            assert!(out < data.len());
        }
    }
}

fn text(event: SseEvent<'_>) -> String {
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let data = event.data.as_deref().map(show);
    assert_eq!(event.share(), event.data.as_deref().unwrap_or_default());
    format!("{:?} {data:?} {}", event.name.map(show), event.comment)
}

/// All frames of a stream, and why it ended where it failed.
pub(crate) fn cut(
    cutter: &mut dyn Cutter,
    chunks: impl IntoIterator<Item = Bytes>,
) -> (Vec<Frame>, Option<Error>) {
    let mut frames = Vec::new();
    for chunk in chunks {
        cutter.push(chunk);
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    match cutter.finish() {
        Ok(frame) => {
            frames.extend(frame);
            (frames, None)
        }
        Err(error) => (frames, Some(error)),
    }
}

/// What a dialect's cutter says of a stream.
struct Cut {
    bytes: Vec<u8>,
    facts: Facts,
    contents: u64,
    usage: Option<Usage>,
    failure: Option<String>,
    error: Option<String>,
}

impl Cut {
    fn of(dialect: Dialect, options: &CutOptions, chunks: Vec<Bytes>) -> Self {
        let (frames, error) = cut(dialect.cutter(options).as_mut(), chunks);
        let mut cut = Self {
            bytes: Vec::new(),
            facts: Facts::NONE,
            contents: 0,
            usage: None,
            failure: None,
            error: error.map(|error| format!("{error:?}")),
        };
        for frame in frames {
            cut.bytes.extend_from_slice(frame.bytes());
            cut.facts |= frame.facts();
            cut.contents += u64::from(frame.contents());
            if let Some(usage) = frame.usage() {
                cut.usage.get_or_insert_default().update(usage);
            }
            if let Some(error) = frame.failure() {
                cut.failure.get_or_insert_with(|| format!("{error:?}"));
            }
        }
        cut
    }

    fn said(&self) -> impl PartialEq + std::fmt::Debug {
        let bytes = self.bytes.escape_ascii().to_string();
        (bytes, self.facts, self.contents, self.usage, &self.failure, &self.error)
    }

    /// Whatever arrives goes out as it came; only an event that was cut short, or is withheld, is missing.
    fn holds(&self, dialect: Dialect, data: &[u8], withhold: bool) {
        assert!(self.bytes.len() <= data.len() + 2);
        if withhold && dialect == OPENAI {
            return;
        }
        let kept = self.bytes.len().min(data.len());
        assert_eq!(self.bytes[..kept], data[..kept], "{dialect}");
        let all = kept == data.len() || self.error.is_some() || is_hollow(&data[kept..]);
        assert!(all, "{dialect}: bytes are lost");
    }
}

/// Lets everything through.
struct Indifferent;

impl SideReader for Indifferent {
    fn read(&mut self, _: &SseEvent<'_>, _: &mut Frame) -> Verdict {
        Verdict::Pass
    }

    fn finish(&mut self, _: &mut Frame) -> Result<(), Error> {
        Ok(())
    }
}

/// Refuses to see an event that is larger than allowed.
struct Measure;

impl SideReader for Measure {
    fn read(&mut self, event: &SseEvent<'_>, _: &mut Frame) -> Verdict {
        let said =
            event.name.map_or(0, <[u8]>::len) + event.data.as_ref().map_or(0, |data| data.len());
        assert!(said <= MAX_EVENT, "an event with {said} bytes of data");
        Verdict::Pass
    }

    fn finish(&mut self, _: &mut Frame) -> Result<(), Error> {
        Ok(())
    }
}
