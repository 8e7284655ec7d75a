use proptest::prelude::*;

use super::*;

/// Knows three words: `content`, `usage` (withheld if asked) and `end`.
#[derive(Debug)]
struct Words {
    withhold: bool,
    ended: bool,
}

impl SideReader for Words {
    fn read(&mut self, event: &SseEvent<'_>, frame: &mut Frame) -> Verdict {
        if event.is_comment() {
            frame.mark(Facts::KEEP_ALIVE);
        }
        match event.data.as_deref() {
            Some(b"content") => {
                frame.mark(Facts::CONTENT);
                frame.set_contents(frame.contents() + 1);
            }
            Some(b"usage") => {
                frame.set_usage(&ziggurat_core::Usage::new(1, 2));
                if self.withhold {
                    return Verdict::Withhold;
                }
            }
            Some(b"end") => {
                self.ended = true;
                frame.mark(Facts::TERMINATOR);
            }
            Some(b"broken") => return Verdict::Malformed,
            _ => {}
        }
        Verdict::Pass
    }

    fn finish(&mut self, _frame: &mut Frame) -> Result<(), Error> {
        if self.ended { Ok(()) } else { Err(Error::new(ErrorKind::BadUpstream, "no end")) }
    }
}

fn cutter(withhold: bool) -> SseCutter<Words> {
    let options = CutOptions::default().max_event(1 << 16);
    SseCutter::new(Words { withhold, ended: false }, &options)
}

/// All frames and how the stream ended.
fn cut(pieces: &[&[u8]], withhold: bool) -> (Vec<Frame>, Result<(), Error>) {
    let mut cutter = cutter(withhold);
    let mut frames = Vec::new();
    for piece in pieces {
        cutter.push(Bytes::copy_from_slice(piece));
        loop {
            match cutter.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    match cutter.finish() {
        Ok(last) => {
            frames.extend(last);
            (frames, Ok(()))
        }
        Err(error) => (frames, Err(error)),
    }
}

fn together(frames: &[Frame]) -> (Vec<u8>, Facts, u64) {
    let bytes = frames.iter().flat_map(|frame| frame.bytes().iter().copied()).collect();
    let facts = frames.iter().fold(Facts::NONE, |all, frame| all | frame.facts());
    let contents = frames.iter().map(|frame| u64::from(frame.contents())).sum();
    (bytes, facts, contents)
}

/// Name and data of the events in the frames.
fn read(frames: &[Frame]) -> Vec<(Option<String>, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let event = |event: SseEvent<'_>| (event.name.map(text), event.data.as_deref().map(text));
    frames.iter().flat_map(|frame| events(frame.bytes()).map(event).collect::<Vec<_>>()).collect()
}

fn data(stream: &str) -> Vec<String> {
    let (frames, _) = cut(&[stream.as_bytes()], false);
    read(&frames).into_iter().filter_map(|(_, data)| data).collect()
}

#[test]
fn the_whole_events_of_one_read_are_one_slice() {
    let mut cutter = cutter(false);
    let read = Bytes::from_static(b"data: content\n\ndata: content\n\ndata: x\n\n");
    cutter.push(read.clone());
    let frame = cutter.next_frame().unwrap().unwrap();
    assert_eq!(frame.bytes().as_ptr(), read.as_ptr());
    assert_eq!(frame.bytes(), &read);
    assert_eq!(frame.facts(), Facts::CONTENT);
    assert_eq!(frame.contents(), 2);
    assert!(cutter.next_frame().unwrap().is_none());
}

#[test]
fn only_the_event_that_straddles_two_reads_is_copied() {
    let mut cutter = cutter(false);
    let first = Bytes::from_static(b"data: a\n\nda");
    let second = Bytes::from_static(b"ta: b\n\ndata: c\n\ndata: d\n\n");
    cutter.push(first.clone());
    assert_eq!(cutter.next_frame().unwrap().unwrap().bytes().as_ptr(), first.as_ptr());
    assert!(cutter.next_frame().unwrap().is_none());
    cutter.push(second.clone());
    assert_eq!(cutter.next_frame().unwrap().unwrap().bytes(), "data: b\n\n");
    let run = cutter.next_frame().unwrap().unwrap();
    assert_eq!(run.bytes(), "data: c\n\ndata: d\n\n");
    assert_eq!(run.bytes().as_ptr(), second[7..].as_ptr());
}

#[test]
fn a_withheld_event_splits_the_run_and_its_facts_count() {
    let stream = b"data: a\n\ndata: usage\n\ndata: end\n\n";
    let (frames, ended) = cut(&[stream], true);
    assert!(ended.is_ok());
    assert_eq!(together(&frames).0, b"data: a\n\ndata: end\n\n");
    assert!(frames[0].usage().is_some());
    assert_eq!(frames[0].bytes(), "data: a\n\n");
    assert_eq!(frames[1].bytes(), "data: end\n\n");
    // Alone in its read it leaves a frame without bytes.
    let (frames, _) = cut(&[b"data: usage\n\n", b"data: end\n\n"], true);
    assert!(frames[0].bytes().is_empty());
    assert!(frames[0].usage().is_some());
}

#[test]
fn lines_may_end_in_any_way() {
    for (stream, expected) in [
        ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
        ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
        ("data: a\n\r\ndata: b\r\n\ndata: c\r\n\r", vec!["a", "b", "c"]),
        ("data:a\n\ndata:  b\n\n", vec!["a", " b"]),
        ("data: a\ndata: b\ndata:\n\n", vec!["a\nb\n"]),
        ("data\n\n", vec![""]),
        (": comment\n\n:\n\ndata: a\n\n", vec!["a"]),
        ("id: 1\nretry: 5\ndata: a\nunknown\n\n", vec!["a"]),
        ("\u{feff}data: a\n\n", vec!["a"]),
        ("\n\n\ndata: a\n\n\n\ndata: b\n\n", vec!["a", "b"]),
        ("data: a\n: comment within\ndata: b\n\n", vec!["a\nb"]),
        ("data: end", vec!["end"]),
        ("data: a\n\ndata: end\n", vec!["a", "end"]),
        ("data: ä€😀\n\n", vec!["ä€😀"]),
    ] {
        assert_eq!(data(stream), expected, "{stream:?}");
    }
}

#[test]
fn an_event_has_a_name() {
    let (frames, _) = cut(&[b"event: message_start\ndata: {}\n\nevent:x\n\n"], false);
    assert_eq!(
        read(&frames),
        [(Some("message_start".to_owned()), Some("{}".to_owned())), (Some("x".to_owned()), None)]
    );
}

#[test]
fn a_comment_goes_out_at_once() {
    let mut cutter = cutter(false);
    cutter.push(Bytes::from_static(b": processing\n"));
    let frame = cutter.next_frame().unwrap().unwrap();
    assert_eq!(frame.facts(), Facts::KEEP_ALIVE);
    assert_eq!(frame.bytes(), ": processing\n");
}

#[test]
fn the_last_event_gets_the_blank_line_that_it_lacks() {
    // The LF that was put after a CR belonged to it, and ended no line.
    for stream in ["data: end", "data: end\n", "data: end\r\n", "data: end\r"] {
        let (frames, ended) = cut(&[stream.as_bytes()], false);
        assert!(ended.is_ok(), "{stream:?}");
        let followed = [&together(&frames).0[..], b"data: more\n\n"].concat();
        assert_eq!(events(&followed.into()).count(), 2, "{stream:?}");
        assert_eq!(together(&frames).1, Facts::TERMINATOR);
        assert_eq!(events(frames[0].bytes()).count(), 1);
    }
}

/// A ping that was cut before its data, behind the reason why the answer ends, went out as an event that is no JSON: callers failed
/// on an answer that was booked as a success.
#[test]
fn an_event_that_was_cut_before_its_data_is_none() {
    for rest in
        ["event: ping", "event: ping\r\n", "event: ping\ndata", "event: ping\ndata: ", "data:\n"]
    {
        let (frames, ended) = cut(&[b"data: end\n\n", rest.as_bytes()], false);
        assert!(ended.is_ok(), "{rest:?}");
        assert_eq!(together(&frames).0, b"data: end\n\n", "{rest:?}");
        // It says nothing about the end either.
        assert!(cut(&[rest.as_bytes()], false).1.is_err());
    }
}

#[test]
fn the_end_of_input_before_the_end_is_an_error() {
    assert!(cut(&[b"data: a\n\n"], false).1.is_err());
    let (frames, ended) = cut(&[b"data: end\n\ndata: broken"], false);
    assert_eq!(ended.unwrap_err().message(), "the stream ended in the middle of an event");
    assert_eq!(together(&frames).0, b"data: end\n\n");
}

#[test]
fn an_event_that_is_too_large_is_refused_and_what_came_before_is_not() {
    let mut stream = b"data: content\n\ndata: ".to_vec();
    stream.resize(1 << 17, b'x');
    stream.extend_from_slice(b"\n\n");
    for size in [stream.len(), 1 << 10, 1 << 16] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (frames, ended) = cut(&pieces, false);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::BadUpstream, "{size}");
        assert_eq!(together(&frames).0, b"data: content\n\n");
    }
}

#[test]
fn nothing_is_looked_at_twice() {
    // A megabyte byte by byte: with a search from the beginning each time this takes minutes.
    let options = CutOptions::default();
    let mut cutter = SseCutter::new(Words { withhold: false, ended: false }, &options);
    let mut stream = b"data: ".to_vec();
    stream.resize(1 << 20, b'x');
    stream.extend_from_slice(b"\r\n\r\n");
    let mut frames = Vec::new();
    for byte in &stream {
        cutter.push(Bytes::copy_from_slice(&[*byte]));
        while let Some(frame) = cutter.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    assert_eq!(together(&frames).0, stream);
    assert_eq!(read(&frames).len(), 1);
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("data: content".to_owned()),
        Just("data: usage".to_owned()),
        Just("data:x".to_owned()),
        Just("data: end".to_owned()),
        Just("event: e".to_owned()),
        Just(": comment".to_owned()),
        Just(String::new()),
        Just(String::new()),
        Just(String::new()),
        "data: [a-zä€😀:]{0,5}",
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let ending = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    let lines = prop::collection::vec((line(), ending), 0..24);
    (any::<bool>(), lines).prop_map(|(mark, lines)| {
        let mut stream = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (line, ending) in lines {
            stream.push_str(&line);
            stream.push_str(ending);
        }
        stream.into_bytes()
    })
}

proptest! {
    #[test]
    fn chunking_changes_nothing(
        stream in stream(),
        sizes in prop::collection::vec(1..12_usize, 1..8),
        withhold: bool,
    ) {
        let (whole, ended) = cut(&[&stream], withhold);
        let mut rest = &stream[..];
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        let (parts, parts_ended) = cut(&pieces, withhold);
        prop_assert_eq!(together(&whole), together(&parts));
        prop_assert_eq!(read(&whole), read(&parts));
        prop_assert_eq!(ended.is_ok(), parts_ended.is_ok());
        if !withhold && ended.is_ok() {
            let out = together(&whole).0;
            // All of it, and a blank line perhaps; but not an event that has no data yet.
            let lost = stream.get(out.len()..).unwrap_or_default();
            let lost = Bytes::copy_from_slice(lost);
            prop_assert!(out.starts_with(&stream) || stream.starts_with(&out));
            prop_assert!(events(&lost).all(|event| event.is_hollow()));
        }
    }
}
