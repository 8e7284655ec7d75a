use proptest::prelude::*;
use ziggurat_core::{CutOptions, Cutter, Error, Facts, Frame};

use super::*;

const MESSAGE_START: &str = "00000081000000526cc176930b3a6576656e742d7479706507000c6d65737361676553746172740d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22726f6c65223a22617373697374616e74222c2270223a2261626364227d9170592b";
const DELTA: &str = "000000a300000057a7aafe780b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74426c6f636b496e646578223a302c2264656c7461223a7b2274657874223a224869227d2c2270223a226162636465666768227d0bca37be";
const MESSAGE_STOP: &str = "00000083000000518f0874490b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2270223a226162222c2273746f70526561736f6e223a22656e645f7475726e227d9056e9a4";
const EXCEPTION: &str = "000000b0000000614f5086b30f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a22546f6f206d616e7920746f6b656e732c20706c656173652077616974206265666f726520747279696e6720616761696e2e227df70ae57f";
const EMPTY: &str = "000000100000000005c248eb7d98c8ff";

fn bytes(hex: &str) -> Bytes {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digits).collect()
}

fn event(kind: &str, payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let headers =
        [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    write(&headers, payload.as_bytes(), &mut out);
    out
}

/// Marks content in every message, and the end at one of the type `end`.
#[derive(Default)]
struct Reader {
    ended: bool,
}

impl SideReader for Reader {
    fn read(&mut self, message: &Message, frame: &mut Frame) -> Result<(), Error> {
        frame.mark(Facts::CONTENT);
        frame.set_contents(frame.contents() + 1);
        self.ended |= message.header(":event-type") == Some("end");
        Ok(())
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Error> {
        frame.mark(Facts::TERMINATOR);
        if self.ended { Ok(()) } else { Err(Error::invalid("no end")) }
    }
}

/// All that comes out of a stream in these pieces: its bytes, how many messages, and how it ended.
fn cut<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, most: usize) -> (Vec<u8>, u16, String) {
    let mut cutter =
        EventStreamCutter::new(Reader::default(), &CutOptions::default().max_event(most));
    let (mut out, mut count) = (Vec::new(), 0);
    for piece in pieces {
        cutter.push(Bytes::copy_from_slice(piece));
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => {
                    out.extend_from_slice(frame.bytes());
                    count += frame.contents();
                }
                Ok(None) => break,
                Err(error) => return (out, count, error.to_string()),
            }
        }
    }
    let end = match cutter.finish() {
        Ok(Some(frame)) => format!("{:?}", frame.facts()),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };
    (out, count, end)
}

#[test]
fn published_messages_are_read_and_written_to_the_byte() {
    for (hex, kind, payload) in [
        (MESSAGE_START, "messageStart", r#"{"role":"assistant","p":"abcd"}"#),
        (
            DELTA,
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"abcdefgh"}"#,
        ),
        (MESSAGE_STOP, "messageStop", r#"{"p":"ab","stopReason":"end_turn"}"#),
    ] {
        let whole = bytes(hex);
        let message = Message::read(&whole, 1 << 20).unwrap().unwrap();
        assert_eq!(message.header(":event-type"), Some(kind));
        assert_eq!(message.header(":message-type"), Some("event"));
        assert_eq!(message.payload(), payload);
        assert_eq!(event(kind, payload), whole);
    }
    let message = Message::read(&bytes(EXCEPTION), 1 << 20).unwrap().unwrap();
    assert_eq!(message.header(":exception-type"), Some("throttlingException"));
    let empty = Message::read(&bytes(EMPTY), 1 << 20).unwrap().unwrap();
    assert_eq!((empty.headers().count(), empty.payload().len()), (0, 0));
    let mut out = Vec::new();
    write(&[], b"", &mut out);
    assert_eq!(out, bytes(EMPTY));
}

#[test]
fn every_type_of_header_is_read() {
    let mut headers = Vec::new();
    let mut header = |name: &str, kind: u8, value: &[u8]| {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(kind);
        headers.extend_from_slice(value);
    };
    header("a", 0, &[]);
    header("b", 1, &[]);
    header("c", 2, &[0xff]);
    header("d", 3, &[0xff, 0xfe]);
    header("e", 4, &[0, 0, 1, 0]);
    header("f", 5, &[0, 0, 0, 0, 0, 0, 1, 0]);
    header("g", 6, &[0, 2, 9, 8]);
    header("h", 7, &[0, 2, b'o', b'k']);
    header("i", 8, &[0, 0, 0, 0, 0, 0, 0, 5]);
    header("j", 9, &[7; 16]);
    let read: Vec<_> = Headers::new(&headers).map(|(_, value)| value).collect();
    assert_eq!(
        read,
        [
            Value::Flag(true),
            Value::Flag(false),
            Value::Number(-1),
            Value::Number(-2),
            Value::Number(256),
            Value::Number(256),
            Value::Bytes(&[9, 8]),
            Value::Text("ok"),
            Value::Timestamp(5),
            Value::Uuid([7; 16]),
        ]
    );
    for cut in 1..headers.len() {
        let whole = Headers::new(&headers[..cut]).count() < 10;
        assert!(whole, "{cut}");
    }
    assert_eq!(Headers::new(&[1, b'x', 10]).check(), Err(Damage::Headers));
    assert_eq!(Headers::new(&[1, b'x', 0, 1, b'x', 1]).check(), Err(Damage::Headers), "twice");
}

/// MAPPING 27: frames cut at every byte, two in one read, a wrong checksum, a truncated tail.
#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let whole = bytes(DELTA);
    for at in 0..whole.len() {
        let mut wrong = whole.to_vec();
        wrong[at] ^= 1;
        let (out, _, end) = cut([&wrong[..]], 1 << 20);
        assert!(out.is_empty(), "{at}");
        assert!(end.contains("checksum"), "{at}: {end}");
    }
}

#[test]
fn what_came_before_a_damaged_message_goes_out_first() {
    let mut stream = [bytes(MESSAGE_START), bytes(DELTA)].concat();
    *stream.last_mut().unwrap() ^= 1;
    let (out, count, end) = cut([&stream[..]], 1 << 20);
    assert_eq!((out, count), (bytes(MESSAGE_START).to_vec(), 1));
    assert!(end.contains("checksum"));
}

#[test]
fn a_message_that_is_too_large_is_refused_by_its_prelude() {
    let whole = bytes(DELTA);
    let (_, _, end) = cut([&whole[..PRELUDE]], 100);
    assert_eq!(end, "a message of the stream is larger than 100 bytes");
    let (_, _, end) = cut([&whole[..5], &whole[5..20]], 100);
    assert_eq!(end, "a message of the stream is larger than 100 bytes");
}

#[test]
fn lengths_that_do_not_fit_together_are_refused() {
    for (total, headers) in [(15_u32, 0_u32), (16, 1), (40, 25), (0, 0)] {
        let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());
        let (_, _, end) = cut([&prelude[..]], 1 << 20);
        assert!(end.contains("do not fit together"), "{total} {headers}: {end}");
    }
}

#[test]
fn a_stream_that_ends_within_a_message_is_broken_off() {
    let stream = [bytes(MESSAGE_START), bytes(DELTA)].concat();
    for end in 130..stream.len() {
        let (out, _, told) = cut([&stream[..end]], 1 << 20);
        assert_eq!(out, bytes(MESSAGE_START));
        assert_eq!(told, "the stream ended in the middle of a message", "{end}");
    }
}

#[test]
fn texts_of_headers_are_cut_where_the_format_ends() {
    let mut out = Vec::new();
    write(&[(&"ä".repeat(200), &"ö".repeat(40_000))], b"{}", &mut out);
    let message = Message::read(&Bytes::from(out), 1 << 20).unwrap().unwrap();
    let (name, value) = message.headers().next().unwrap();
    assert_eq!(name.len(), 254);
    assert!(matches!(value, Value::Text(text) if text.len() == 65_534));
    assert_eq!(message.payload(), "{}");
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        kinds in proptest::collection::vec("[a-zA-Z]{0,9}", 0..6),
        payloads in proptest::collection::vec(".{0,40}", 6),
        sizes in proptest::collection::vec(1usize..60, 1..8),
    ) {
        let mut stream = Vec::new();
        for (kind, payload) in kinds.iter().map(String::as_str).chain(["end"]).zip(&payloads) {
            stream.extend(event(kind, payload));
        }
        let whole = cut([&stream[..]], 1 << 20);
        let mut rest = &stream[..];
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, next) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = next;
        }
        prop_assert_eq!(cut(pieces, 1 << 20), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(stream in proptest::collection::vec(any::<u8>(), 0..200)) {
        cut([&stream[..]], 1 << 10);
        messages(&Bytes::from(stream)).for_each(drop);
    }
}
