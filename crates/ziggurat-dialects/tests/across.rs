//! One conversation, one answer and one stream, from dialect to dialect.
// Helpers outside of test functions: they fail a test by panicking, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{
    Answer, Ask, Capabilities, CutOptions, Dialect, Event, Losses, Members, Operation, Restore,
    Str, Target, Typed,
};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

fn openai_request() -> Value {
    json!({
        "model": "gpt-4.1", "max_completion_tokens": 512, "temperature": 0.5, "stop": ["END"],
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": "Weather and time in Oslo?"},
            {"role": "assistant", "content": "Checking.", "tool_calls": [
                {"id": "call_A1", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
                {"id": "call_B2", "type": "function",
                 "function": {"name": "get_time", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_A1", "content": "4 C, rain"},
            {"role": "tool", "tool_call_id": "call_B2", "content": "Error: timeout"},
            {"role": "user", "content": "Go on."}],
        "tools": [
            {"type": "function", "function": {
                "name": "get_weather", "description": "Weather now",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                               "required": ["city"]}}},
            {"type": "function", "function": {"name": "get_time", "description": "Clock"}}],
        "tool_choice": "auto"
    })
}

fn anthropic_request() -> Value {
    json!({
        "model": "claude-sonnet-4-6", "max_tokens": 512, "temperature": 0.5,
        "stop_sequences": ["END"], "system": "You are terse.",
        "messages": [
            {"role": "user", "content": "Weather and time in Oslo?"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Checking."},
                {"type": "tool_use", "id": "call_A1", "name": "get_weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "call_B2", "name": "get_time", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_A1", "content": "4 C, rain"},
                {"type": "tool_result", "tool_use_id": "call_B2", "is_error": true, "content": "timeout"},
                {"type": "text", "text": "Go on."}]}],
        "tools": [
            {"name": "get_weather", "description": "Weather now", "input_schema": {
                "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
            {"name": "get_time", "description": "Clock",
             "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto"}
    })
}

fn carry(body: &Value, from: Dialect, to: Dialect, model: &str) -> (Value, Vec<String>) {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let typed = from.decode_request(Operation::Chat, &members).unwrap();
    let capabilities = Capabilities::default();
    let target = Target::new(model, &capabilities, Some(from));
    let mut losses = Losses::default();
    let request = to.encode_request(&typed, &target, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&request.body).unwrap(), losses)
}

#[test]
fn a_conversation_means_the_same_in_either_dialect() {
    let (mut sent, losses) = carry(&anthropic_request(), ANTHROPIC, OPENAI, "gpt-4.1");
    // A tool without arguments is spelled out there.
    let parameters = sent["tools"][1]["function"].as_object_mut().unwrap().remove("parameters");
    assert!(parameters.is_none_or(|schema| schema == json!({"type": "object", "properties": {}})));
    assert_eq!(sent, openai_request());
    assert_eq!(losses, [""; 0]);
    let (sent, losses) = carry(&openai_request(), OPENAI, ANTHROPIC, "claude-sonnet-4-6");
    assert_eq!(sent["messages"][1], anthropic_request()["messages"][1]);
    assert_eq!(sent["tools"], anthropic_request()["tools"]);
    assert_eq!(sent["max_tokens"], 512);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3);
    assert_eq!(losses, [""; 0]);
}

#[test]
fn what_a_model_thought_comes_back_to_it_through_a_client_of_the_other_dialect() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "stop_reason": "tool_use", "stop_sequence": null,
        "content": [
            {"type": "thinking", "thinking": "Time failed.", "signature": "EqQB"},
            {"type": "text", "text": "Retrying."},
            {"type": "tool_use", "id": "call_C3", "name": "get_time", "input": {}}],
        "usage": {"input_tokens": 100, "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 900, "output_tokens": 100,
            "output_tokens_details": {"thinking_tokens": 60}}
    });
    let body = Bytes::from(answer.to_string());
    let decoded = ANTHROPIC.decode_reply(Operation::Chat, &body, &Restore::default()).unwrap();
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.created = 1_767_323_045;
    ask.call_id = Str::from("1");
    let body = OPENAI.encode_reply(&decoded, &ask, &mut Losses::default()).unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let thinking = json!([{"type": "thinking", "thinking": "Time failed.", "signature": "EqQB"}]);
    assert_eq!(
        sent,
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_767_323_045, "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
                "role": "assistant", "content": "Retrying.", "refusal": null,
                "reasoning_content": "Time failed.", "thinking_blocks": thinking,
                "tool_calls": [{"id": "call_C3", "type": "function",
                    "function": {"name": "get_time", "arguments": "{}"}}]}}],
            "usage": {"prompt_tokens": 1200, "completion_tokens": 100, "total_tokens": 1300,
                "prompt_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 200},
                "completion_tokens_details": {"reasoning_tokens": 60}}
        })
    );
    // The client sends the message back, and with it what it does not understand.
    let history = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}, sent["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "call_C3", "content": "12:00"}]});
    let members = Members::parse(Str::from(history.to_string())).unwrap();
    let typed = OPENAI.decode_request(Operation::Chat, &members).unwrap();
    let Typed::Chat(chat) = &typed else { panic!("{typed:?}") };
    let Answer::Chat(reply) = &decoded else { panic!("{decoded:?}") };
    assert_eq!(chat.messages[1].parts, reply.choices[0].parts);
}

/// Cuts, decodes and encodes a stream, as a gateway between the two dialects does.
fn translate(stream: &str, from: Dialect, to: Dialect, usage: bool) -> String {
    let mut ask = Ask::new(Operation::Chat, "m");
    ask.created = 1_767_323_045;
    ask.call_id = Str::from("1");
    ask.stream_usage = usage;
    let mut cutter = from.cutter(&CutOptions::default());
    let mut decoder = from.decoder(&Restore::default());
    let mut encoder = to.encoder(&ask);
    let mut out = Vec::new();
    let mut events: Vec<Event> = Vec::new();
    cutter.push(Bytes::copy_from_slice(stream.as_bytes()));
    while let Some(frame) = cutter.next_frame().unwrap() {
        decoder.decode(frame.bytes(), &mut events).unwrap();
    }
    decoder.finish(&mut events);
    for event in &events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn anthropic_event(data: &str) -> String {
    let value: Value = serde_json::from_str(data).unwrap();
    format!("event: {}\ndata: {data}\n\n", value["type"].as_str().unwrap())
}

#[test]
fn an_anthropic_stream_reads_as_an_openai_stream() {
    let stream: String = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":30,"cache_read_input_tokens":50,"cache_creation_input_tokens":0,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hmm."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Checking."}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Oslo\"}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}}"#,
        r#"{"type":"content_block_stop","index":3}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":30}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .into_iter()
    .map(anthropic_event)
    .collect();
    let expected = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"reasoning_content":"Hmm."}"#, "null"),
        chunk(
            r#"{"thinking_blocks":[{"type":"thinking","thinking":"Hmm.","signature":"EqQB"}]}"#,
            "null",
        ),
        chunk(r#"{"content":"Checking."}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"get_weather","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Oslo\"}"}}]}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"get_time","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#, "null"),
        chunk("{}", r#""tool_calls""#),
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767323045,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":80,\"completion_tokens\":30,\"total_tokens\":110,\"prompt_tokens_details\":{\"cached_tokens\":50,\"cache_write_tokens\":0}}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    assert_eq!(translate(&stream, ANTHROPIC, OPENAI, true), expected);
}

#[test]
fn interleaved_calls_become_blocks_in_a_row() {
    let stream = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"Checking."}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"call_A","type":"function","function":{"name":"get_weather","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"call_B","type":"function","function":{"name":"get_time","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#, "null"),
        chunk("{}", r#""tool_calls""#),
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":80,\"completion_tokens\":30,\"total_tokens\":110,\"prompt_tokens_details\":{\"cached_tokens\":50},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let out = translate(&stream, OPENAI, ANTHROPIC, true);
    let data: Vec<Value> = out
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let blocks: Vec<(u64, String)> = data
        .iter()
        .filter(|event| event["type"].as_str().unwrap().starts_with("content_block"))
        .map(|event| {
            let what = event["delta"]["partial_json"]
                .as_str()
                .or(event["content_block"]["id"].as_str())
                .or(event["delta"]["text"].as_str())
                .or(event["content_block"]["type"].as_str());
            (event["index"].as_u64().unwrap(), what.unwrap_or("stop").to_owned())
        })
        .collect();
    let expected = [
        (0, "text"),
        (0, "Checking."),
        (0, "stop"),
        (1, "call_A"),
        (1, r#"{"city":"#),
        (1, r#""Oslo"}"#),
        (1, "stop"),
        (2, "call_B"),
        (2, "{}"),
        (2, "stop"),
    ];
    assert_eq!(blocks, expected.map(|(index, what)| (index, what.to_owned())));
    let ended = &data[data.len() - 2];
    assert_eq!(ended["delta"]["stop_reason"], "tool_use");
    assert_eq!(ended["usage"]["input_tokens"], 30);
    assert_eq!(ended["usage"]["cache_read_input_tokens"], 50);
    assert_eq!(data.last().unwrap()["type"], "message_stop");
}
