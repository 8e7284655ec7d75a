//! The binary event stream of AWS: cutting loses nothing, and does not depend on how the bytes arrive.

use bytes::Bytes;
use ziggurat_core::{CutOptions, Cutter, Error, Facts, Frame};
use ziggurat_dialects::framing::event_stream::{
    EventStreamCutter, Message, SideReader, messages, write,
};

use crate::chunks::choppings;

/// Small enough for the fuzzer to reach it.
const MAX_EVENT: usize = 512;

/// Any bytes are cut into whole messages, whose bytes are those that came, up to what is none; what is written is read again.
pub fn event_stream(data: &[u8]) {
    cut(data);
    let stream = framed(data);
    cut(&stream);
    let read: Vec<_> = messages(&Bytes::from(stream)).map_while(Result::ok).collect();
    let lines = lines(data).take_while(|line| line.first() != Some(&RAW)).count();
    assert!(read.len() >= lines, "{} of {lines} messages were read", read.len());
}

fn cut(data: &[u8]) {
    let said = choppings(data).map(|chunks| {
        let options = CutOptions::default().max_event(MAX_EVENT);
        let mut cutter = EventStreamCutter::new(Indifferent, &options);
        let (mut out, mut error) = (Vec::new(), None);
        let mut take = |frame: Frame| {
            assert!(!frame.bytes().is_empty() || !frame.facts().is_empty());
            let whole: usize = messages(frame.bytes())
                .map(|message| {
                    let message = message.expect("a frame holds whole messages");
                    assert!(message.length() <= MAX_EVENT);
                    message.length()
                })
                .sum();
            assert_eq!(whole, frame.bytes().len());
            out.extend_from_slice(frame.bytes());
        };
        'cut: {
            for chunk in chunks {
                cutter.push(chunk);
                loop {
                    match cutter.next_frame() {
                        Ok(Some(frame)) => take(frame),
                        Ok(None) => break,
                        Err(failed) => {
                            error = Some(failed.to_string());
                            break 'cut;
                        }
                    }
                }
            }
            match cutter.finish() {
                Ok(frame) => frame.into_iter().for_each(&mut take),
                Err(failed) => error = Some(failed.to_string()),
            }
        }
        assert!(data.starts_with(&out), "what comes out came in");
        assert!(error.is_some() || out.len() == data.len(), "bytes are lost and nobody says so");
        (out, error)
    });
    assert_eq!(said[0], said[1], "single bytes");
    assert_eq!(said[0], said[2], "pieces");
}

/// What a line begins with that is no message, but bytes as they are.
const RAW: u8 = b'@';

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// A stream of messages, one a line: its type, a space, its payload. A checksum is no thing to be found by chance.
pub(crate) fn framed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * 2);
    for line in lines(data) {
        if let Some(raw) = line.strip_prefix(&[RAW]) {
            out.extend_from_slice(raw);
            continue;
        }
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let kind = String::from_utf8_lossy(&line[..space]);
        let payload = line.get(space + 1..).unwrap_or_default();
        let fails = kind.ends_with("Exception");
        let headers = [
            (if fails { ":exception-type" } else { ":event-type" }, kind.as_ref()),
            (":content-type", "application/json"),
            (":message-type", if fails { "exception" } else { "event" }),
        ];
        write(&headers, payload, &mut out);
    }
    out
}

/// Sees nothing.
struct Indifferent;

impl SideReader for Indifferent {
    fn read(&mut self, message: &Message, frame: &mut Frame) -> Result<(), Error> {
        assert!(message.headers().count() < 256);
        frame.mark(Facts::CONTENT);
        Ok(())
    }

    fn finish(&mut self, _: &mut Frame) -> Result<(), Error> {
        Ok(())
    }
}
