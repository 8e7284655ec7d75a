use bytes::Bytes;
use proptest::prelude::*;
use ziggurat_core::{
    Ask, Changes, CutOptions, ErrorKind, Event, Facts, Frame, Operation, PartId, PartKind, RawJson,
    Restore, Start, Stop, StopReason, Str, ToolCallKind, Usage,
};

use crate::OPENAI;

// === decoding ===

fn decode_with(stream: &str, restore: &Restore) -> Vec<Event> {
    let mut decoder = OPENAI.decoder(restore);
    let mut events = Vec::new();
    decoder.decode(&Bytes::copy_from_slice(stream.as_bytes()), &mut events).unwrap();
    decoder.finish(&mut events);
    events
}

fn decode(stream: &str) -> Vec<String> {
    decode_with(stream, &Restore::default()).iter().map(sketch).collect()
}

/// One line for an event.
fn sketch(event: &Event) -> String {
    let at = |part: &PartId| format!("{}.{}", part.choice, part.index);
    match event {
        Event::Start(start) => format!("start {} {}", start.id, start.model),
        Event::PartStart { part, kind } => match &**kind {
            PartKind::ToolCall { id, name, kind } => {
                let custom = if *kind == ToolCallKind::Custom { "custom " } else { "" };
                format!("{} {custom}call {id} {name}", at(part))
            }
            PartKind::Redacted(data) => format!("{} redacted {data}", at(part)),
            PartKind::Opaque { kind, value } => format!("{} {kind} {value:?}", at(part)),
            kind => format!("{} {kind:?}", at(part)),
        },
        Event::Text { part, text } | Event::Refusal { part, text } => {
            format!("{} {text:?}", at(part))
        }
        Event::Thinking { part, text } => format!("{} thinks {text:?}", at(part)),
        Event::Signature { part, signature } => format!("{} signed {signature}", at(part)),
        Event::Arguments { part, fragment } => format!("{} += {fragment}", at(part)),
        Event::Citation { part, citation } => format!("{} cites {citation:?}", at(part)),
        Event::Logprobs { choice, logprobs } => format!("{choice} logprobs {logprobs:?}"),
        Event::PartEnd { part } => format!("{} end", at(part)),
        Event::Usage(usage) => format!("usage {} {}", usage.total_input(), usage.total_output()),
        Event::Stop { choice, stop } => format!("{choice} stop {:?}", stop.reason),
        Event::Error(error) => format!("error {:?} {error}", error.kind()),
        Event::End => "end".to_owned(),
        Event::Ping => "ping".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A chunk of the first choice.
fn chunk(delta: &str) -> String {
    chunk_of(0, delta, "null")
}

fn chunk_of(index: u16, delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"m\",\"choices\":[{{\"index\":{index},\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn finish(word: &str) -> String {
    chunk_of(0, "{}", &format!("{word:?}"))
}

const USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":80,\"completion_tokens\":30,\"total_tokens\":110,\"prompt_tokens_details\":{\"cached_tokens\":50},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ROLE: &str = r#"{"role":"assistant","content":""}"#;

fn stream(chunks: &[String]) -> String {
    chunks.concat()
}

#[test]
fn interleaved_calls_stay_apart() {
    let calls = stream(&[
        chunk(ROLE),
        chunk(r#"{"content":"Checking."}"#),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"call_A","type":"function","function":{"name":"get_weather","arguments":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}"#),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"call_B","type":"function","function":{"name":"get_time","arguments":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#),
        finish("tool_calls"),
        USAGE.to_owned(),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&calls),
        [
            "start chatcmpl-1 m",
            "0.0 Text",
            "0.0 \"Checking.\"",
            "0.0 end",
            "0.1 call call_A get_weather",
            "0.1 += {\"city\":",
            "0.2 call call_B get_time",
            "0.1 += \"Oslo\"}",
            "0.2 += {}",
            "0.1 end",
            "0.2 end",
            "0 stop ToolCalls",
            "usage 80 30",
            "end",
        ]
    );
}

#[test]
fn reasoning_comes_before_content_of_the_same_chunk() {
    for name in ["reasoning_content", "reasoning"] {
        let both = stream(&[
            chunk(&format!(r#"{{"content":"Hi","{name}":"Hmm."}}"#)),
            finish("stop"),
            DONE.to_owned(),
        ]);
        assert_eq!(
            decode(&both)[1..6],
            ["0.0 Reasoning", "0.0 thinks \"Hmm.\"", "0.0 end", "0.1 Text", "0.1 \"Hi\""],
            "{name}"
        );
    }
}

#[test]
fn thinking_blocks_carry_signatures() {
    // As LiteLLM streams them: beside the text, then the signature alone.
    let litellm = stream(&[
        chunk(
            r#"{"reasoning_content":"Hm","thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":null}]}"#,
        ),
        chunk(
            r#"{"reasoning_content":"","thinking_blocks":[{"type":"thinking","thinking":"","signature":"EqQB"}]}"#,
        ),
        chunk(r#"{"thinking_blocks":[{"type":"redacted_thinking","data":"x=="}]}"#),
        chunk(r#"{"content":"Hi"}"#),
        finish("stop"),
        DONE.to_owned(),
    ]);
    let expected = [
        "0.0 Reasoning",
        "0.0 thinks \"Hm\"",
        "0.0 signed EqQB",
        "0.0 end",
        "0.1 redacted x==",
        "0.1 end",
        "0.2 Text",
        "0.2 \"Hi\"",
        "0.2 end",
    ];
    assert_eq!(decode(&litellm)[1..10], expected);
    // As we do: text first, then a whole block with text and signature.
    let ours = stream(&[
        chunk(r#"{"reasoning_content":"H"}"#),
        chunk(r#"{"reasoning_content":"m"}"#),
        chunk(r#"{"thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":"EqQB"}]}"#),
        finish("stop"),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&ours)[1..6],
        ["0.0 Reasoning", "0.0 thinks \"H\"", "0.0 thinks \"m\"", "0.0 signed EqQB", "0.0 end"]
    );
}

#[test]
fn thinking_after_a_signature_is_another_block() {
    let two = stream(&[
        chunk(r#"{"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"A"}]}"#),
        chunk(r#"{"thinking_blocks":[{"type":"thinking","thinking":"b","signature":"B"}]}"#),
        chunk(r#"{"reasoning_content":"c"}"#),
        finish("stop"),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&two)[1..12],
        [
            "0.0 Reasoning",
            "0.0 thinks \"a\"",
            "0.0 signed A",
            "0.0 end",
            "0.1 Reasoning",
            "0.1 thinks \"b\"",
            "0.1 signed B",
            "0.1 end",
            "0.2 Reasoning",
            "0.2 thinks \"c\"",
            "0.2 end"
        ]
    );
}

#[test]
fn an_azure_stream_begins_with_its_first_choice() {
    let azure = format!(
        "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"prompt_filter_results\":[{{}}]}}\n\n{}{}{DONE}",
        chunk(r#"{"content":"Hi"}"#),
        finish("stop")
    );
    assert_eq!(decode(&azure)[0], "start chatcmpl-1 m");
}

#[test]
fn a_call_waits_for_its_name_and_is_given_an_id() {
    let unnamed = stream(&[
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":":1}"}}]}"#),
        finish("tool_calls"),
        DONE.to_owned(),
    ]);
    let events = decode(&unnamed);
    assert!(events[1].starts_with("0.0 call call_"), "{events:?}");
    assert_eq!(events[2..5], ["0.0 += {\"a\"", "0.0 += :1}", "0.0 end"]);
    assert_eq!(decode(&unnamed), events, "the id is the same each time");
}

#[test]
fn calls_that_all_have_number_zero_stay_apart() {
    let zeros = stream(&[
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"id":"c","function":{"name":"g","arguments":"{\"x\":1}"}}]}"#),
        finish("stop"),
        DONE.to_owned(),
    ]);
    let events = decode(&zeros);
    assert_eq!(
        events[1..7],
        [
            "0.0 call a f",
            "0.0 += {}",
            "0.1 call b f",
            "0.1 += {}",
            "0.2 call c g",
            "0.2 += {\"x\":1}"
        ]
    );
    assert_eq!(events[10], "0 stop ToolCalls");
}

#[test]
fn googles_signature_belongs_to_the_call_even_without_a_number() {
    let signed = stream(&[
        chunk(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        chunk(r#"{"tool_calls":[{"extra_content":{"google":{"thought_signature":"Q2"}}}]}"#),
        finish("tool_calls"),
        DONE.to_owned(),
    ]);
    assert_eq!(decode(&signed)[3], "0.0 signed Q2");
}

#[test]
fn choices_stay_apart() {
    let two = stream(&[
        chunk_of(0, r#"{"content":"a"}"#, "null"),
        chunk_of(1, r#"{"content":"b"}"#, "null"),
        chunk_of(1, "{}", "\"length\""),
        chunk_of(0, r#"{"content":"c"}"#, "\"stop\""),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&two)[1..],
        [
            "0.0 Text",
            "0.0 \"a\"",
            "1.0 Text",
            "1.0 \"b\"",
            "1.0 end",
            "1 stop Length",
            "0.0 \"c\"",
            "0.0 end",
            "0 stop Stop",
            "end"
        ]
    );
}

#[test]
fn refusals_audio_logprobs_and_citations_are_read() {
    let rich = stream(&[
        "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"annotations\":[{\"type\":\"url_citation\"}]},\"logprobs\":{\"content\":[]}}]}\n\n".to_owned(),
        chunk(r#"{"audio":{"id":"au"}}"#),
        chunk(r#"{"refusal":"No"}"#),
        finish("stop"),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&rich)[1..],
        [
            "0 logprobs {\"content\":[]}",
            "0.0 Text",
            "0.0 \"a\"",
            "0.0 cites {\"type\":\"url_citation\"}",
            "0.0 end",
            "0.1 audio {\"id\":\"au\"}",
            "0.1 end",
            "0.2 Refusal",
            "0.2 \"No\"",
            "0.2 end",
            "0 stop Refusal",
            "end"
        ]
    );
}

#[test]
fn custom_and_deprecated_calls_are_read() {
    let custom = stream(&[
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"sql","input":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":0,"custom":{"input":"select 1"}}]}"#),
        finish("tool_calls"),
        DONE.to_owned(),
    ]);
    assert_eq!(decode(&custom)[1..3], ["0.0 custom call a sql", "0.0 += select 1"]);
    let legacy = stream(&[
        chunk(r#"{"function_call":{"name":"f","arguments":""}}"#),
        chunk(r#"{"function_call":{"arguments":"{}"}}"#),
        finish("function_call"),
        DONE.to_owned(),
    ]);
    let events = decode(&legacy);
    assert!(events[1].ends_with(" f"), "{events:?}");
    assert_eq!(events[2..5], ["0.0 += {}", "0.0 end", "0 stop ToolCalls"]);
}

#[test]
fn mistrals_lists_of_thoughts_are_read() {
    let list = stream(&[
        chunk(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"Hi"}]}"#,
        ),
        finish("stop"),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&list)[1..6],
        ["0.0 Reasoning", "0.0 thinks \"Hm\"", "0.0 end", "0.1 Text", "0.1 \"Hi\""]
    );
}

#[test]
fn a_tool_goes_by_the_callers_name() {
    let mut changes = Changes::default();
    changes.tool_names.push((Str::from("a_b_12345678"), Str::from("a.b")));
    let call = stream(&[
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"a_b_12345678","arguments":"{}"}}]}"#,
        ),
        finish("tool_calls"),
        DONE.to_owned(),
    ]);
    let events = decode_with(&call, &Restore::new(changes));
    assert_eq!(sketch(&events[1]), "0.0 call x a.b");
}

#[test]
fn a_stream_without_reasons_to_stop_is_told_one() {
    let calls = stream(&[
        chunk(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        DONE.to_owned(),
    ]);
    assert_eq!(decode(&calls)[3..], ["0.0 end", "0 stop ToolCalls", "end"]);
    let text = chunk(r#"{"content":"a"}"#) + DONE;
    assert_eq!(decode(&text)[4..], ["0 stop Stop", "end"]);
    assert_eq!(decode(DONE), ["start  ", "end"]);
}

#[test]
fn the_end_of_input_is_an_end_only_if_every_choice_has_ended() {
    let whole = chunk(r#"{"content":"a"}"#) + &finish("stop");
    assert_eq!(decode(&whole).last().unwrap(), "end");
    let cut = decode(&chunk(r#"{"content":"a"}"#));
    assert_eq!(cut[3..], ["0.0 end", "error BadUpstream the stream ended before its end marker"]);
    let one_of_two = chunk_of(1, r#"{"content":"b"}"#, "null") + &whole;
    assert!(decode(&one_of_two).last().unwrap().starts_with("error"));
}

#[test]
fn an_error_in_the_stream_ends_it() {
    for event in [
        r#"{"error":{"message":"busy","type":"server_error","code":503}}"#,
        r#"{"error":{"message":"busy","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#,
    ] {
        let failed = format!("{}data: {event}\n\n{DONE}", chunk(r#"{"content":"a"}"#));
        assert_eq!(decode(&failed)[3..], ["0.0 end", "error Overloaded busy"]);
    }
    let named = "event: error\ndata: {\"message\":\"busy\",\"type\":\"rate_limit_error\"}\n\n";
    assert_eq!(decode(named), ["start  ", "error RateLimit busy"]);
    let null = format!(
        "data: {{\"error\":null,\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]}}\n\n{DONE}"
    );
    assert_eq!(decode(&null)[2], "0.0 \"a\"");
}

#[test]
fn events_that_are_none_of_ours_are_skipped() {
    let odd = format!(
        ": processing\n\nevent: ping\n\ndata: \"ping\"\n\ndata: [1]\n\ndata: {{\"type\":\"new\"}}\n\n{}{}{DONE}",
        chunk(r#"{"content":"a","new":{"x":[1]}}"#),
        finish("stop")
    );
    assert_eq!(decode(&odd)[..4], ["ping", "start chatcmpl-1 m", "0.0 Text", "0.0 \"a\""]);
    let mut decoder = OPENAI.decoder(&Restore::default());
    let error = decoder.decode(&Bytes::from_static(b"data: {oops\n\n"), &mut Vec::new());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::BadUpstream);
}

/// Choices and calls are looked for one by one: without a bound one event could cost minutes.
#[test]
fn a_chunk_without_end_is_refused() {
    let many = |item: fn(u32) -> String| (0..70_000).map(item).collect::<Vec<_>>().join(",");
    for chunk in [
        format!(
            r#"{{"choices":[{}]}}"#,
            many(|n| format!(r#"{{"index":{n},"delta":{{"content":"a"}}}}"#))
        ),
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{}]}}}}]}}"#,
            many(|n| format!(r#"{{"index":{n},"function":{{"name":"f"}}}}"#))
        ),
        format!(
            r#"{{"choices":[{{"delta":{{"content":[{}]}}}}]}}"#,
            many(|_| r#"{"thinking":"a","text":"b"}"#.to_owned())
        ),
    ] {
        let bytes = Bytes::from(format!("data: {chunk}\n\n"));
        let read = OPENAI.decoder(&Restore::default()).decode(&bytes, &mut Vec::new());
        assert_eq!(
            read.map_err(|error| error.kind()),
            Err(ErrorKind::BadUpstream),
            "{}",
            &chunk[..60]
        );
    }
}

/// A text with a control character in it is no JSON string. It was taken for no text at all, and was missing from the answer.
#[test]
fn a_text_that_cannot_be_read_is_not_silently_lost() {
    for delta in [
        "\"content\":\"a\u{0}b\"",
        "\"reasoning_content\":\"a\tb\"",
        "\"refusal\":\"\\ud800\"",
        "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\\x\"}}]",
    ] {
        let bytes = Bytes::from(chunk(delta));
        let read = OPENAI.decoder(&Restore::default()).decode(&bytes, &mut Vec::new());
        assert_eq!(read.unwrap_err().kind(), ErrorKind::BadUpstream, "{delta}");
    }
}

#[test]
fn empty_pieces_of_calls_and_choices_after_them_are_nothing() {
    let empty = stream(&[
        chunk(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        chunk(r#"{"tool_calls":[{}]}"#),
        chunk(r#"{"tool_calls":[]}"#),
        chunk(r#"{"content":"","tool_calls":[{"index":0,"function":{"arguments":""}}]}"#),
        finish("tool_calls"),
        chunk(r#"{"content":""}"#),
        DONE.to_owned(),
    ]);
    assert_eq!(
        decode(&empty)[1..],
        ["0.0 call a f", "0.0 += {}", "0.0 end", "0 stop ToolCalls", "end"]
    );
}

#[test]
fn a_stream_may_be_cut_at_any_byte() {
    let body = stream(&[
        chunk(ROLE),
        chunk(r#"{"content":"ä€😀\u00e4"}"#),
        chunk(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        finish("tool_calls"),
        USAGE.to_owned(),
        DONE.to_owned(),
    ]);
    for body in [body.clone(), body.replace('\n', "\r\n"), body.replace("data: ", "data:")] {
        let whole = decode(&body);
        for at in 0..body.len() {
            let (first, second) = body.as_bytes().split_at(at);
            let mut cutter = OPENAI.cutter(&CutOptions::default());
            let mut decoder = OPENAI.decoder(&Restore::default());
            let mut events = Vec::new();
            for piece in [first, second] {
                cutter.push(Bytes::copy_from_slice(piece));
                while let Some(frame) = cutter.next_frame().unwrap() {
                    decoder.decode(frame.bytes(), &mut events).unwrap();
                }
            }
            assert!(cutter.finish().unwrap().is_none());
            decoder.finish(&mut events);
            assert_eq!(events.iter().map(sketch).collect::<Vec<_>>(), whole, "cut at {at}");
        }
    }
}

#[test]
fn text_without_escapes_shares_the_frames_buffer() {
    let bytes = Bytes::from(chunk(r#"{"content":"plain"}"#));
    let mut events = Vec::new();
    OPENAI.decoder(&Restore::default()).decode(&bytes, &mut events).unwrap();
    let Event::Text { text, .. } = &events[2] else { panic!("{events:?}") };
    assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
}

// === encoding ===

fn ask(usage: bool) -> Ask {
    let mut ask = Ask::new(Operation::Chat, "asked");
    ask.created = 1_767_323_045;
    ask.call_id = Str::from("1");
    ask.stream_usage = usage;
    ask
}

fn encode(events: &[Event], ask: &Ask) -> String {
    let mut encoder = OPENAI.encoder(ask);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn start() -> Event {
    Event::Start(Box::new(Start::new("msg_1", "m")))
}

fn part(index: u16, kind: PartKind) -> Event {
    Event::PartStart { part: PartId::first(index), kind: Box::new(kind) }
}

fn call(index: u16, id: &str, name: &str) -> Event {
    let (id, name) = (Str::from(id), Str::from(name));
    part(index, PartKind::ToolCall { id, name, kind: ToolCallKind::Function })
}

fn end(index: u16) -> Event {
    Event::PartEnd { part: PartId::first(index) }
}

fn stop(reason: StopReason) -> Event {
    Event::Stop { choice: 0, stop: Box::new(Stop::new(reason)) }
}

fn text(index: u16, text: &str) -> Event {
    Event::Text { part: PartId::first(index), text: text.into() }
}

#[test]
fn an_anthropic_answer_reads_as_an_openai_stream() {
    let thinking = || Event::Thinking { part: PartId::first(0), text: "Hmm.".into() };
    let arguments = |index, fragment: &str| Event::Arguments {
        part: PartId::first(index),
        fragment: fragment.into(),
    };
    let usage = Usage::new(30, 30).cache_read(50).cache_write(0);
    let events = [
        start(),
        Event::Ping,
        part(0, PartKind::Reasoning),
        thinking(),
        end(0),
        part(1, PartKind::Text),
        text(1, "Checking."),
        end(1),
        call(2, "toolu_1", "get_weather"),
        arguments(2, ""),
        arguments(2, r#"{"city":"Oslo"}"#),
        end(2),
        call(3, "toolu_2", "get_time"),
        end(3),
        stop(StopReason::ToolCalls),
        Event::Usage(Box::new(usage)),
        Event::End,
    ];
    let expected = stream(&[
        chunk(ROLE),
        ": keep-alive\n\n".to_owned(),
        chunk(r#"{"reasoning_content":"Hmm."}"#),
        chunk(r#"{"content":"Checking."}"#),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"get_weather","arguments":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Oslo\"}"}}]}"#),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"get_time","arguments":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#),
        finish("tool_calls"),
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":80,\"completion_tokens\":30,\"total_tokens\":110,\"prompt_tokens_details\":{\"cached_tokens\":50,\"cache_write_tokens\":0}}}\n\n".to_owned(),
        DONE.to_owned(),
    ]);
    assert_eq!(encode(&events, &ask(true)), expected);
    let without = encode(&events, &ask(false));
    assert!(!without.contains("prompt_tokens"), "{without}");
}

/// The provider's names stand in every chunk: a few kilobytes of them made gigabytes of a stream.
#[test]
fn long_names_are_not_repeated_in_every_chunk() {
    let long = "x".repeat(5000);
    let begin = Event::Start(Box::new(Start::new(format!("chatcmpl-{long}"), long.clone())));
    let written = encode(&[begin, Event::End], &ask(false));
    assert!(!written.contains(&long), "{written}");
    assert!(written.contains("\"model\":\"asked\""), "{written}");
}

#[test]
fn only_tiers_that_the_client_knows_are_named() {
    for (tier, written) in
        [("standard", Some("default")), ("priority", Some("priority")), ("batch", None)]
    {
        let mut start = Start::new("msg_1", "m");
        start.service_tier = Some(tier.into());
        let stream = encode(&[Event::Start(Box::new(start))], &ask(false));
        let chunk = stream.strip_prefix("data: ").unwrap();
        let chunk: serde_json::Value = serde_json::from_str(chunk).unwrap();
        assert_eq!(chunk.get("service_tier").and_then(|tier| tier.as_str()), written, "{tier}");
    }
}

#[test]
fn a_signature_goes_out_with_the_whole_thought() {
    let events = [
        start(),
        part(0, PartKind::Reasoning),
        Event::Thinking { part: PartId::first(0), text: "H".into() },
        Event::Thinking { part: PartId::first(0), text: "m".into() },
        Event::Signature { part: PartId::first(0), signature: "EqQB".into() },
        end(0),
        part(1, PartKind::Redacted("x==".into())),
        end(1),
        stop(StopReason::Stop),
        Event::End,
    ];
    let shown = encode(&events, &ask(false));
    assert!(
        shown.contains(
            r#"{"thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":"EqQB"}]}"#
        ),
        "{shown}"
    );
    assert!(shown.contains(r#"{"thinking_blocks":[{"type":"redacted_thinking","data":"x=="}]}"#));
    let mut of_another = ask(false);
    of_another.origin = Some("claude".into());
    let marked = encode(&events, &of_another);
    assert!(marked.contains(r#""signature":"zig1.Y2xhdWRl.EqQB"}"#), "{marked}");
    assert!(marked.contains(r#""data":"zig1.Y2xhdWRl.x=="}"#), "{marked}");
    let mut hidden = ask(false);
    hidden.show_reasoning = false;
    let hidden = encode(&events, &hidden);
    assert!(!hidden.contains("thinking") && !hidden.contains("reasoning"), "{hidden}");
}

#[test]
fn an_error_ends_the_stream_without_its_marker() {
    let error =
        ziggurat_core::Error::new(ErrorKind::Overloaded, "The upstream model is overloaded.");
    let events = [start(), part(0, PartKind::Text), text(0, "Hi"), Event::Error(error), Event::End];
    let expected = stream(&[
        chunk(ROLE),
        chunk(r#"{"content":"Hi"}"#),
        "data: {\"error\":{\"message\":\"The upstream model is overloaded.\",\"type\":\"service_unavailable_error\",\"param\":null,\"code\":\"server_is_overloaded\"}}\n\n".to_owned(),
    ]);
    assert_eq!(encode(&events, &ask(true)), expected);
}

#[test]
fn a_failed_answer_is_never_a_normal_finish() {
    let events = [start(), stop(StopReason::Error), Event::End];
    let failed = encode(&events, &ask(false));
    assert!(failed.contains("\"error\""), "{failed}");
    assert!(!failed.contains("[DONE]") && !failed.contains("\"finish_reason\":\"stop\""));
}

#[test]
fn a_refusal_after_text_is_a_filtered_answer() {
    let events = [
        start(),
        part(0, PartKind::Text),
        text(0, "So"),
        end(0),
        stop(StopReason::Refusal),
        Event::End,
    ];
    let refused = encode(&events, &ask(false));
    assert!(refused.contains("\"content\":\"So\""));
    assert!(refused.contains("\"finish_reason\":\"content_filter\""), "{refused}");
}

#[test]
fn an_empty_answer_has_a_beginning_and_an_end() {
    assert_eq!(
        encode(&[start(), Event::End], &ask(false)),
        stream(&[chunk(ROLE), finish("stop"), DONE.to_owned()])
    );
}

#[test]
fn citations_say_where_the_cited_text_stands() {
    let cited = RawJson::parse(Str::from(r#"{"url":"https://a.test","title":"A"}"#)).unwrap();
    let events = [
        start(),
        part(0, PartKind::Text),
        text(0, "äb "),
        end(0),
        part(1, PartKind::Text),
        text(1, "cited"),
        Event::Citation { part: PartId::first(1), citation: Box::new(cited) },
        end(1),
        stop(StopReason::Stop),
        Event::End,
    ];
    let out = encode(&events, &ask(false));
    assert!(out.contains(r#""start_index":3,"end_index":8"#), "{out}");
}

#[test]
fn logprobs_travel_with_their_text() {
    let logprobs = || Box::new(RawJson::parse(Str::from(r#"{"content":[]}"#)).unwrap());
    let events = [
        start(),
        part(0, PartKind::Text),
        Event::Logprobs { choice: 0, logprobs: logprobs() },
        text(0, "a"),
        Event::Logprobs { choice: 0, logprobs: logprobs() },
        end(0),
        stop(StopReason::Stop),
        Event::End,
    ];
    let out = encode(&events, &ask(false));
    assert!(
        out.contains(r#""delta":{"content":"a"},"logprobs":{"content":[]},"finish_reason":null"#),
        "{out}"
    );
    assert!(out.contains(r#""delta":{},"logprobs":{"content":[]},"finish_reason":null"#), "{out}");
}

#[test]
fn what_was_decoded_encodes_to_the_same_events() {
    let original = stream(&[
        chunk(ROLE),
        chunk(r#"{"reasoning_content":"Hm"}"#),
        chunk(r#"{"content":"a"}"#),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"x","type":"custom","custom":{"name":"sql","input":""}}]}"#,
        ),
        chunk(r#"{"tool_calls":[{"index":0,"custom":{"input":"select"}}]}"#),
        chunk_of(0, "{}", "\"tool_calls\""),
        USAGE.to_owned(),
        DONE.to_owned(),
    ]);
    let events = decode_with(&original, &Restore::default());
    assert_eq!(encode(&events, &ask(true)), original);
}

// === facts ===

/// What a frame says, as far as it does not depend on where frames are cut.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    facts: Option<Facts>,
    contents: u64,
    usage: Option<Usage>,
    error: Option<String>,
}

impl Sum {
    fn add(&mut self, frame: &Frame) {
        self.facts = Some(self.facts.unwrap_or_default() | frame.facts());
        self.contents += u64::from(frame.contents());
        if let Some(usage) = frame.usage() {
            self.usage.get_or_insert_default().update(usage);
        }
        self.error = self.error.take().or_else(|| frame.error().map(ToString::to_string));
    }
}

fn facts_of_cutter(pieces: &[&[u8]], withhold: bool) -> (Sum, Vec<u8>, bool) {
    let options = CutOptions::default().withhold_usage(withhold);
    let mut cutter = OPENAI.cutter(&options);
    let mut sum = Sum::default();
    let mut bytes = Vec::new();
    let mut take = |frame: Frame| {
        sum.add(&frame);
        bytes.extend_from_slice(frame.bytes());
    };
    for piece in pieces {
        cutter.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = cutter.next_frame().unwrap() {
            take(frame);
        }
    }
    let last = cutter.finish();
    let complete = last.is_ok();
    if let Ok(Some(frame)) = last {
        take(frame);
    }
    (sum, bytes, complete)
}

fn facts_of_decoder(stream: &[u8]) -> (Sum, bool) {
    let mut decoder = OPENAI.decoder(&Restore::default());
    let mut events = Vec::new();
    decoder.decode(&Bytes::copy_from_slice(stream), &mut events).unwrap();
    let before = events.len();
    decoder.finish(&mut events);
    let complete = !matches!(events.get(before), Some(Event::Error(_)))
        && !events[before..].iter().any(|event| matches!(event, Event::Error(_)));
    let mut frame = Frame::new(Bytes::new(), Facts::NONE);
    let learnt = if complete { &events[..] } else { &events[..before] };
    for event in learnt {
        frame.learn(event);
    }
    let mut sum = Sum::default();
    sum.add(&frame);
    (sum, complete)
}

/// A cache keeps the answer, and gives it to callers who did ask for usage, too.
#[test]
fn usage_that_is_withheld_comes_beside_the_bytes_however_they_are_chopped() {
    let text = chunk(r#""content":"Hi""#);
    let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
    let stream = format!("{text}{}{usage}data: [DONE]\n\n", chunk_of(0, "", "\"stop\""));
    for size in 1..=stream.len() {
        let mut cutter = OPENAI.cutter(&CutOptions::default().withhold_usage(true));
        let (mut shown, mut all) = (Vec::new(), Vec::new());
        for piece in stream.as_bytes().chunks(size) {
            cutter.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = cutter.next_frame().unwrap() {
                shown.extend_from_slice(frame.bytes());
                all.extend_from_slice(frame.bytes());
                all.extend_from_slice(frame.withheld().unwrap_or(&Bytes::new()));
            }
        }
        assert_eq!(String::from_utf8(shown).unwrap(), stream.replace(usage, ""), "{size}");
        assert_eq!(String::from_utf8(all).unwrap(), stream, "{size}");
    }
}

#[test]
fn content_that_looks_like_members_fools_nobody() {
    for content in [
        r#"\"usage\":{\"prompt_tokens\":5}"#,
        r#"\"finish_reason\":\"stop\"}]}"#,
        r#"usage"#,
        r#"error"#,
        r#"\\"#,
        r#"\\\""#,
        r#"}],\"error\":{\"message\":\"x\"}"#,
        r#"\n\ndata: [DONE]\n\n"#,
    ] {
        let body = chunk(&format!("{{\"content\":\"{content}\"}}")) + DONE;
        let (cut, bytes, complete) = facts_of_cutter(&[body.as_bytes()], true);
        assert!(complete);
        assert_eq!(bytes, body.as_bytes());
        assert_eq!(cut.contents, 1, "{content}");
        assert_eq!(cut.usage, None);
        assert_eq!(cut.error, None);
        assert_eq!(facts_of_decoder(body.as_bytes()).0, cut, "{content}");
    }
}

/// They were taken for content that had come: the commit point of a stream that had said nothing.
#[test]
fn choices_within_another_member_are_none() {
    let nested = r#"{"a":{"choices":[{"index":0,"delta":{"content":"x"}}]}}"#;
    let body =
        format!("data: {nested}\n\n{}{}", chunk(r#"{"content":"a"}"#), finish("stop")) + DONE;
    let (cut, _, complete) = facts_of_cutter(&[body.as_bytes()], true);
    assert!(complete);
    assert_eq!(cut.contents, 1);
    assert_eq!(facts_of_decoder(body.as_bytes()).0, cut);
}

#[test]
fn usage_that_was_not_asked_for_is_withheld_and_counts() {
    let body = stream(&[chunk(ROLE), chunk(r#"{"content":"a"}"#), finish("stop")]) + USAGE + DONE;
    let (sum, bytes, complete) = facts_of_cutter(&[body.as_bytes()], true);
    assert!(complete);
    assert_eq!(String::from_utf8(bytes).unwrap(), body.replace(USAGE, ""));
    assert_eq!(sum.usage.unwrap().total(), 110);
    // Usage beside content cannot be withheld without losing the content.
    let beside = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let (sum, bytes, _) = facts_of_cutter(&[beside.as_bytes()], true);
    assert_eq!(bytes, beside.as_bytes());
    assert!(sum.usage.is_some());
}

#[test]
fn a_stream_without_its_marker_is_complete_if_every_choice_has_ended() {
    let whole = chunk(r#"{"content":"a"}"#) + &finish("stop");
    let (sum, bytes, complete) = facts_of_cutter(&[whole.as_bytes()], false);
    assert!(complete && sum.facts.unwrap().has(Facts::TERMINATOR));
    assert_eq!(bytes, whole.as_bytes());
    let cut = chunk(r#"{"content":"a"}"#);
    assert!(!facts_of_cutter(&[cut.as_bytes()], false).2);
    // The last event was cut short.
    let (_, _, complete) = facts_of_cutter(&[&whole.as_bytes()[..whole.len() - 20]], false);
    assert!(!complete);
}

/// Frames of a cutter that has everything.
struct Cut(Box<dyn ziggurat_core::Cutter>, bool);

impl ziggurat_core::Frames for Cut {
    fn poll_frame(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame, ziggurat_core::Error>>> {
        let mut next = self.0.next_frame();
        if matches!(next, Ok(None)) && !std::mem::replace(&mut self.1, true) {
            next = self.0.finish();
        }
        std::task::Poll::Ready(next.transpose())
    }
}

#[test]
fn events_of_a_stream_without_its_marker_have_an_end() {
    let mut cutter = OPENAI.cutter(&CutOptions::default());
    let stream = chunk(r#"{"content":"a"}"#) + &finish("stop");
    cutter.push(Bytes::from(stream));
    let mut reply = ziggurat_core::Reply::frames(Cut(cutter, false));
    reply.head_mut().dialect = Some(OPENAI);
    reply.events();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut events = Vec::new();
    while let std::task::Poll::Ready(Some(frame)) = reply.poll_frame(&mut cx) {
        events.extend(frame.unwrap().events().unwrap().iter().map(sketch));
    }
    // The decoder was not told that the frame with the terminator's mark was the last: nothing closed what was open.
    assert_eq!(events[3..], ["0.0 end", "0 stop Stop", "end"]);
}

/// Chunks as servers write them, usual and unusual.
fn any_chunk() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just(String::new()),
        "[a-z ]{1,6}",
        Just(r#""usage":{"prompt_tokens":1}"#.to_owned()),
        Just(r#"","finish_reason":"stop""#.to_owned()),
        Just("\\\"error\"\n\r ä€😀".to_owned()),
    ];
    let number = 0..3_u16;
    let delta = (text, number, 0..16_u8).prop_map(|(text, number, kind)| {
        let text = serde_json::to_string(&text).unwrap();
        match kind {
            0..=3 => format!(r#"{{"content":{text}}}"#),
            4 => format!(r#"{{"role":"assistant","content":{text},"refusal":null}}"#),
            5 => format!(r#"{{"reasoning_content":{text}}}"#),
            6 => format!(r#"{{"reasoning_content":{text},"content":{text}}}"#),
            7 => format!(r#"{{"content":null,"reasoning":{text}}}"#),
            8 => format!(
                r#"{{"tool_calls":[{{"index":{number},"id":"c{number}","type":"function","function":{{"name":"f","arguments":{text}}}}}]}}"#
            ),
            9 | 10 => format!(
                r#"{{"tool_calls":[{{"index":{number},"function":{{"arguments":{text}}}}}]}}"#
            ),
            11 => format!(r#"{{"refusal":{text}}}"#),
            12 => r#"{"thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"}]}"#
                .to_owned(),
            13 => r#"{"thinking_blocks":[{"type":"redacted_thinking","data":"d"}]}"#.to_owned(),
            14 => format!(r#"{{"content":{text},"annotations":[{{"type":"url_citation"}}]}}"#),
            _ => "{}".to_owned(),
        }
    });
    let finish = prop_oneof![
        8 => Just("null"),
        1 => Just(r#""stop""#),
        1 => Just(r#""tool_calls""#),
    ];
    let usage = prop_oneof![
        4 => Just(""),
        4 => Just(r#","usage":null"#),
        1 => Just(r#","usage":{"prompt_tokens":3,"completion_tokens":2}"#),
    ];
    let choice = prop_oneof![5 => Just(0_u16), 1 => Just(1_u16)];
    let style = 0..6_u8;
    (delta, finish, usage, choice, style).prop_map(|(delta, finish, usage, choice, style)| {
        let body = match style {
            0..=2 => format!(
                r#"{{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{{"index":{choice},"delta":{delta},"finish_reason":{finish}}}]{usage}}}"#
            ),
            3 => format!(
                r#"{{"id":"x","choices":[{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]{usage},"obfuscation":"a\"b"}}"#
            ),
            4 => format!(
                r#"{{"choices" : [ {{ "delta": {delta} , "finish_reason": {finish}, "index" : {choice} }} ] {usage} , "id": "x"}}"#
            ),
            _ => format!(
                r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}},{{"index":1,"delta":{delta},"finish_reason":{finish}}}]{usage}}}"#
            ),
        };
        format!("data: {body}\n\n")
    })
}

fn any_event() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => any_chunk(),
        1 => Just(USAGE.to_owned()),
        1 => Just(DONE.to_owned()),
        1 => Just(": comment\n\n".to_owned()),
        1 => Just("data:{\"choices\":[]}\r\n\r\n".to_owned()),
        1 => Just("data: {\"error\":{\"message\":\"broke\"}}\n\n".to_owned()),
        1 => Just("event: error\ndata: {\"message\":\"broke\"}\n\n".to_owned()),
        1 => Just("data: {\"choices\":[],\ndata: \"usage\":null}\n\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn facts_read_on_the_side_are_those_of_the_events(
        events in prop::collection::vec(any_event(), 0..12),
        sizes in prop::collection::vec(1..200_usize, 1..6),
    ) {
        let body = events.concat();
        let (decoded, complete) = facts_of_decoder(body.as_bytes());
        let mut rest = body.as_bytes();
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        let (cut, bytes, cut_complete) = facts_of_cutter(&pieces, false);
        prop_assert_eq!(complete, cut_complete);
        prop_assert_eq!(
            Sum { facts: cut.facts.or(Some(Facts::NONE)), ..cut },
            decoded
        );
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), body);
    }

    #[test]
    fn every_decoder_keeps_its_promises(events in prop::collection::vec(any_event(), 0..12)) {
        let events = decode_with(&events.concat(), &Restore::default());
        let mut open: Vec<PartId> = Vec::new();
        let mut stopped = Vec::new();
        let mut started = false;
        for (at, event) in events.iter().enumerate() {
            let last = at + 1 == events.len();
            match event {
                Event::Start(_) => prop_assert!(!std::mem::replace(&mut started, true)),
                Event::PartStart { part, kind } => {
                    prop_assert!(started && !open.contains(part));
                    if let PartKind::ToolCall { id, name, .. } = &**kind {
                        prop_assert!(!id.is_empty() && !name.is_empty());
                    }
                    open.push(*part);
                }
                Event::PartEnd { part } => {
                    prop_assert!(open.contains(part));
                    open.retain(|other| other != part);
                }
                Event::Text { part, .. }
                | Event::Thinking { part, .. }
                | Event::Refusal { part, .. }
                | Event::Signature { part, .. }
                | Event::Citation { part, .. }
                | Event::Arguments { part, .. } => prop_assert!(open.contains(part)),
                Event::Stop { choice, .. } => {
                    prop_assert!(!stopped.contains(choice));
                    stopped.push(*choice);
                }
                Event::End | Event::Error(_) => {
                    prop_assert!(started && last && open.is_empty());
                }
                _ => {}
            }
        }
        prop_assert!(matches!(events.last(), Some(Event::End | Event::Error(_))));
    }

    #[test]
    fn whatever_is_encoded_can_be_read_again(
        events in prop::collection::vec(any_event(), 0..12),
    ) {
        let events = decode_with(&events.concat(), &Restore::default());
        let again = decode_with(&encode(&events, &ask(true)), &Restore::default());
        let says = |events: &[Event]| {
            let mut text = std::collections::BTreeMap::<(u16, &str), String>::new();
            for event in events {
                let (part, kind, piece) = match event {
                    Event::Text { part, text } => (part, "text", text),
                    Event::Thinking { part, text } => (part, "thinking", text),
                    Event::Refusal { part, text } => (part, "refusal", text),
                    _ => continue,
                };
                text.entry((part.choice, kind)).or_default().push_str(piece);
            }
            text
        };
        prop_assert_eq!(says(&events), says(&again));
    }
}
