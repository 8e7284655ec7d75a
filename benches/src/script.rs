//! How the upstream is told what to answer.
//!
//! A gateway may drop headers, rename the model and rebuild the body, but it never touches the text of
//! a prompt: so that is where the instructions travel, as `chunks=200;delay_us=1000;per_write=1;hold=0;`. The
//! other two facts the upstream reads, `"stream"` and `"include_usage"`, are the request's own.

use std::time::Duration;

use crate::needle::Capture;

/// The member that begins a script inside a prompt.
const MARK: &str = "chunks=";
/// Longest script that is read, after [`MARK`], in bytes.
const LONGEST: usize = 64;

/// The shape of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// Events that carry text.
    pub chunks: u32,
    /// Pause before each write of such events. Zero writes as fast as the connection takes it.
    pub delay: Duration,
    /// Events per write.
    pub per_write: u32,
    /// Whether the stream falls silent after its last event of text and stays open.
    pub hold: bool,
}

impl Script {
    /// `chunks` events, one per write, `delay` apart.
    pub const fn paced(chunks: u32, delay: Duration) -> Self {
        Self { chunks, delay, per_write: 1, hold: false }
    }

    /// One event at once, and then silence.
    pub const fn held() -> Self {
        Self { chunks: 1, delay: Duration::ZERO, per_write: 1, hold: true }
    }

    /// The script as it stands in a prompt.
    pub fn to_text(self) -> String {
        let Self { chunks, delay, per_write, hold } = self;
        let (delay, hold) = (delay.as_micros(), u8::from(hold));
        format!("{MARK}{chunks};delay_us={delay};per_write={per_write};hold={hold};")
    }

    /// Reads what follows [`MARK`]; what is not said stays as it is in `self`.
    fn amended(mut self, text: &[u8]) -> Self {
        let text = text.split(|byte| !byte.is_ascii()).next().unwrap_or_default();
        let Ok(text) = std::str::from_utf8(text) else { return self };
        let mut parts = text.split(';');
        if let Some(chunks) = parts.next().and_then(|number| number.parse().ok()) {
            self.chunks = chunks;
        }
        for part in parts {
            match part.split_once('=') {
                Some(("delay_us", number)) => {
                    self.delay = number.parse().map_or(self.delay, Duration::from_micros);
                }
                Some(("per_write", number)) => {
                    self.per_write = number.parse().map_or(self.per_write, |n: u32| n.max(1));
                }
                Some(("hold", flag)) => self.hold = flag == "1",
                // The script is over; what follows is prose.
                _ => break,
            }
        }
        self
    }
}

/// Reads a request's body as it arrives.
#[derive(Debug)]
pub struct Scan {
    stream: Capture,
    usage: Capture,
    script: Capture,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            stream: Capture::new("\"stream\":", 6),
            usage: Capture::new("\"include_usage\":", 6),
            script: Capture::new(MARK, LONGEST),
        }
    }
}

impl Scan {
    /// Makes ready for the next body.
    pub fn reset(&mut self) {
        for capture in [&mut self.stream, &mut self.usage, &mut self.script] {
            capture.reset();
        }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        for capture in [&mut self.stream, &mut self.usage, &mut self.script] {
            capture.feed(piece);
        }
    }

    /// Whether the caller wants a stream.
    pub fn is_stream(&self) -> bool {
        self.stream.value().is_some_and(is_true)
    }

    /// Whether the caller wants the usage at the stream's end.
    pub fn wants_usage(&self) -> bool {
        self.usage.value().is_some_and(is_true)
    }

    /// The script in the prompt, over `defaults`.
    pub fn script(&self, defaults: Script) -> Script {
        self.script.value().map_or(defaults, |text| defaults.amended(text))
    }
}

/// Serialisers differ in whether a space follows the colon.
fn is_true(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"true")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Script = Script::paced(7, Duration::ZERO);

    fn scanned(body: &str) -> Scan {
        let mut scan = Scan::default();
        for piece in body.as_bytes().chunks(5) {
            scan.feed(piece);
        }
        scan
    }

    #[test]
    fn a_script_survives_being_written_into_a_prompt() {
        let script =
            Script { chunks: 200, delay: Duration::from_micros(1500), per_write: 4, hold: true };
        let body =
            format!(r#"{{"messages":[{{"content":"{} Dear model; a=b;"}}]}}"#, script.to_text());
        assert_eq!(scanned(&body).script(DEFAULTS), script);
    }

    #[test]
    fn what_a_script_does_not_say_stays() {
        assert_eq!(scanned("no script").script(DEFAULTS), DEFAULTS);
        assert_eq!(scanned("chunks=9\"}").script(DEFAULTS).chunks, 7, "no separator, no number");
        assert_eq!(scanned("chunks=9;").script(DEFAULTS), Script { chunks: 9, ..DEFAULTS });
        assert_eq!(scanned("chunks=9;per_write=0;").script(DEFAULTS).per_write, 1);
    }

    #[test]
    fn a_stream_is_told_from_its_options() {
        let scan = scanned(r#"{"stream_options":{"include_usage": true},"stream": true}"#);
        assert!(scan.is_stream() && scan.wants_usage());
        assert!(!scanned(r#"{"stream_options":{},"stream":false}"#).is_stream());
        assert!(!scanned("{}").is_stream());
    }
}
