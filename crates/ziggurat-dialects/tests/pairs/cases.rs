//! Bugs that gateways are known for, each under its own name.

use serde_json::{Value, json};
use ziggurat_core::{LossPolicy, Operation};
use ziggurat_dialects::{ANTHROPIC, CONVERSE, GEMINI, OLLAMA, OPENAI, RESPONSES};

use crate::harness::{Setting, data, error};

// === helpers ===

/// A client of OpenAI's dialect, a provider of Anthropic's.
fn openai_client() -> Setting {
    Setting::new(OPENAI, ANTHROPIC)
}

/// A client of Anthropic's dialect, a provider of OpenAI's.
fn anthropic_client() -> Setting {
    Setting::new(ANTHROPIC, OPENAI)
}

fn request(setting: &Setting, body: &Value) -> Value {
    setting.request(Operation::Chat, &body.to_string()).unwrap().json()
}

fn reply(setting: &Setting, body: &Value) -> Value {
    setting.reply(Operation::Chat, &body.to_string()).unwrap().json()
}

fn events(events: &[Value]) -> String {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

/// A stream of Anthropic's with this in the middle.
fn anthropic(middle: &[Value], stop: &str) -> String {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "model": "m",
        "usage": {"input_tokens": 5, "output_tokens": 1}}});
    let end = [
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    events(&[&[start], middle, &end[..]].concat())
}

fn block(index: u32, block: Value, deltas: &[Value]) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "content_block_start", "index": index, "content_block": block})];
    events.extend(
        deltas
            .iter()
            .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
    );
    events.push(json!({"type": "content_block_stop", "index": index}));
    events
}

fn text_block(index: u32, text: &str) -> Vec<Value> {
    block(
        index,
        json!({"type": "text", "text": ""}),
        &[json!({"type": "text_delta", "text": text})],
    )
}

fn call_block(index: u32, id: &str, fragments: &[&str]) -> Vec<Value> {
    let deltas: Vec<_> = fragments
        .iter()
        .map(|json| json!({"type": "input_json_delta", "partial_json": json}))
        .collect();
    block(index, json!({"type": "tool_use", "id": id, "name": "f", "input": {}}), &deltas)
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// A stream of OpenAI's of these chunks.
fn openai(chunks: &[Value]) -> String {
    let chunks = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    chunks.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn fragment(index: u32, id: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["function"]["name"] = json!("f");
    }
    chunk(json!({"tool_calls": [call]}), Value::Null)
}

fn run(setting: &Setting, stream: &str) -> Vec<Value> {
    data(&setting.stream(stream, usize::MAX))
}

/// The tool-call deltas of chunks.
fn call_deltas(chunks: &[Value]) -> Vec<Value> {
    let deltas =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array());
    deltas.flatten().cloned().collect()
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

// === 1 to 5: tool calls in streams ===

#[test]
fn parallel_calls_have_indexes_of_their_own() {
    let stream =
        anthropic(&[call_block(0, "a", &["{}"]), call_block(1, "b", &["{}"])].concat(), "tool_use");
    let deltas = call_deltas(&run(&openai_client(), &stream));
    let starts: Vec<_> = deltas.iter().filter(|delta| delta["id"].is_string()).collect();
    assert_eq!((&starts[0]["id"], &starts[0]["index"]), (&json!("a"), &json!(0)));
    assert_eq!((&starts[1]["id"], &starts[1]["index"]), (&json!("b"), &json!(1)));
}

#[test]
fn text_before_a_call_does_not_shift_its_index() {
    let stream =
        anthropic(&[text_block(0, "Hm."), call_block(1, "a", &["{}"])].concat(), "tool_use");
    let deltas = call_deltas(&run(&openai_client(), &stream));
    assert!(deltas.iter().all(|delta| delta["index"] == 0), "{deltas:?}");
}

#[test]
fn interleaved_fragments_stay_in_their_own_block() {
    let out = run(
        &anthropic_client(),
        &openai(&[
            fragment(0, Some("a"), "{\"x\""),
            fragment(1, Some("b"), "{\"y\""),
            fragment(0, None, ":1}"),
            fragment(1, None, ":2}"),
            chunk(json!({}), json!("tool_calls")),
        ]),
    );
    let mut joined = [String::new(), String::new()];
    let mut closed = [false; 2];
    for event in &out {
        let Some(index) = event["index"].as_u64().map(|index| usize::try_from(index).unwrap())
        else {
            continue;
        };
        match event["type"].as_str().unwrap() {
            "content_block_delta" => {
                assert!(!closed[index], "a delta after the end of block {index}");
                joined[index].push_str(event["delta"]["partial_json"].as_str().unwrap());
            }
            "content_block_stop" => closed[index] = true,
            _ => {}
        }
    }
    assert_eq!(joined, ["{\"x\":1}", "{\"y\":2}"]);
    assert_eq!(closed, [true, true]);
}

#[test]
fn the_placeholder_of_arguments_is_no_prefix() {
    let stream = anthropic(&call_block(0, "a", &["{\"city\":\"Oslo\"}"]), "tool_use");
    let deltas = call_deltas(&run(&openai_client(), &stream));
    let arguments: String =
        deltas.iter().filter_map(|delta| delta["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{\"city\":\"Oslo\"}");
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let deltas =
        call_deltas(&run(&openai_client(), &anthropic(&call_block(0, "a", &[]), "tool_use")));
    let arguments: String =
        deltas.iter().filter_map(|delta| delta["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{}");

    let out = run(
        &anthropic_client(),
        &openai(&[fragment(0, Some("a"), ""), chunk(json!({}), json!("tool_calls"))]),
    );
    assert_eq!(of_type(&out, "content_block_start")[0]["content_block"]["input"], json!({}));
    assert!(of_type(&out, "content_block_delta").is_empty());

    let whole = reply(
        &openai_client(),
        &json!({"id": "msg_1", "model": "m", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}),
    );
    assert_eq!(whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    let whole = reply(
        &anthropic_client(),
        &json!({"choices": [{"index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]}),
    );
    assert_eq!(whole["content"][0]["input"], json!({}));
}

// === 10 to 14: usage ===

fn usage_last() -> String {
    openai(&[
        chunk(json!({"content": "Hi"}), Value::Null),
        chunk(json!({}), json!("stop")),
        json!({"id": "chatcmpl-9", "choices": [], "usage": {"prompt_tokens": 80, "completion_tokens": 30,
            "total_tokens": 110, "prompt_tokens_details": {"cached_tokens": 50}}}),
    ])
}

#[test]
fn usage_after_the_reason_to_stop_is_told_once_and_right() {
    let out = run(&anthropic_client(), &usage_last());
    let deltas = of_type(&out, "message_delta");
    assert_eq!(deltas.len(), 1);
    assert_eq!(deltas[0]["usage"]["input_tokens"], 30);
    assert_eq!(deltas[0]["usage"]["output_tokens"], 30);
    assert_eq!(of_type(&out, "message_stop").len(), 1);
}

#[test]
fn the_last_event_does_not_zero_the_usage() {
    let stream = anthropic(&text_block(0, "Hi"), "end_turn");
    for caller in [OPENAI, ANTHROPIC] {
        let out = run(&Setting::new(caller, ANTHROPIC), &stream);
        let usage = out.iter().rev().find_map(|event| event.get("usage")).unwrap();
        let output = usage.get("completion_tokens").or(usage.get("output_tokens")).unwrap();
        assert_eq!(*output, 9);
    }
}

#[test]
fn the_first_event_tells_the_usage_that_the_provider_told() {
    let stream = anthropic(&text_block(0, "Hi"), "end_turn");
    let out = run(&Setting::new(ANTHROPIC, ANTHROPIC), &stream);
    assert_eq!(out[0]["message"]["usage"]["input_tokens"], 5);
}

#[test]
fn cached_tokens_of_anthropic_are_part_of_the_prompt_and_counted_once() {
    let whole = reply(
        &openai_client(),
        &json!({"id": "msg_1", "model": "m", "content": [],
        "stop_reason": "end_turn", "usage": {"input_tokens": 100, "cache_read_input_tokens": 900,
            "cache_creation_input_tokens": 200, "output_tokens": 100}}),
    );
    assert_eq!(whole["usage"]["prompt_tokens"], 1200);
    assert_eq!(whole["usage"]["total_tokens"], 1300);
    assert_eq!(whole["usage"]["prompt_tokens_details"]["cached_tokens"], 900);
}

#[test]
fn cached_tokens_of_openai_are_taken_off_and_never_below_nothing() {
    for (prompt, cached, input) in [(80, 50, 30), (100, 120, 0)] {
        let whole = reply(
            &anthropic_client(),
            &json!({
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x"}}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1,
                "prompt_tokens_details": {"cached_tokens": cached}}}),
        );
        assert_eq!(whole["usage"]["input_tokens"], input);
        assert_eq!(whole["usage"]["cache_read_input_tokens"], cached);
    }
}

#[test]
fn usage_is_the_same_on_both_sides() {
    // Input uncached, read, written; output visible, reasoning.
    for [input, read, write, output, reasoning] in
        [[100, 900, 200, 40, 60], [80, 0, 0, 30, 0], [0, 75, 0, 1, 0], [7, 0, 0, 0, 512]]
    {
        let anthropic = json!({"input_tokens": input, "cache_read_input_tokens": read,
            "cache_creation_input_tokens": write, "output_tokens": output + reasoning,
            "output_tokens_details": {"thinking_tokens": reasoning}});
        let prompt = input + read + write;
        let openai = json!({"prompt_tokens": prompt, "completion_tokens": output + reasoning,
            "total_tokens": prompt + output + reasoning,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
            "completion_tokens_details": {"reasoning_tokens": reasoning}});
        let there = reply(&openai_client(), &json!({"content": [], "usage": anthropic}));
        assert_eq!(there["usage"], openai);
        let back = reply(
            &anthropic_client(),
            &json!({"usage": openai, "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"content": "x"}}]}),
        );
        let counts = [
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens",
        ];
        for name in counts {
            assert_eq!(back["usage"][name], anthropic[name], "{name}");
        }
    }
}

// === 16, 21, 22, 33, 36, 37: history ===

#[test]
fn tool_messages_in_a_row_are_one_user_message() {
    let calls = json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let body = request(
        &openai_client(),
        &json!({"model": "x", "tools": [tool("f")], "messages": [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
        {"role": "tool", "tool_call_id": "b", "content": "B"}]}),
    );
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2]["content"].as_array().unwrap().len(), 2);
}

#[test]
fn a_missing_result_is_repaired_even_if_the_turns_text_is_empty() {
    let calls =
        json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let body = request(
        &openai_client(),
        &json!({"model": "x", "tools": [tool("f")], "messages": [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": [{"type": "text", "text": " "}], "tool_calls": calls},
        {"role": "user", "content": "Well?"}]}),
    );
    assert_eq!(body["messages"][1]["content"].as_array().unwrap().len(), 1);
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "a");
    assert_eq!(body["messages"][2]["content"][0]["is_error"], true);
}

#[test]
fn a_result_keeps_the_id_of_its_call() {
    let body = request(
        &anthropic_client(),
        &json!({"max_tokens": 1,
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_9", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9", "content": "x"}]}]}),
    );
    assert_eq!(body["messages"][1]["tool_calls"][0]["id"], "toolu_9");
    assert_eq!(body["messages"][2]["tool_call_id"], "toolu_9");
}

#[test]
fn thinking_of_others_is_really_gone_from_the_body() {
    let setting = openai_client();
    let body = setting
        .request(
            Operation::Chat,
            &json!({"model": "x", "messages": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "So.", "reasoning_content": "a secret thought",
                 "thinking_blocks": [{"type": "thinking", "thinking": "a secret thought", "signature": "zig1.bQ=="}]},
                {"role": "user", "content": "And?"}]})
            .to_string(),
        )
        .unwrap();
    let body = String::from_utf8(body.body.to_vec()).unwrap();
    assert!(!body.contains("thought") && !body.contains("zig1."), "{body}");
}

#[test]
fn a_system_message_in_the_middle_survives_towards_either() {
    let talk = json!([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "So?"}]);
    let there = request(&openai_client(), &json!({"model": "x", "messages": talk}));
    assert_eq!(there["messages"][1]["role"], "system");
    let back = request(&anthropic_client(), &json!({"max_tokens": 1, "messages": talk}));
    assert_eq!(back["messages"], talk);
    let older = openai_client().capabilities(&json!({"mid_system": false}));
    let older = request(&older, &json!({"model": "x", "messages": talk}));
    assert!(older["messages"][0]["content"][1]["text"].as_str().unwrap().contains("Be kind."));
}

#[test]
fn large_numbers_and_key_order_survive_there_and_back() {
    let arguments = r#"{"z":1152921504606846977,"a":1.50,"m":{"y":0.1,"b":[]}}"#;
    let there = openai_client()
        .request(
            Operation::Chat,
            &json!({"model": "x", "tools": [tool("f")], "messages": [
                {"role": "user", "content": "Go."},
                {"role": "assistant", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
                {"role": "tool", "tool_call_id": "a", "content": "x"}]})
            .to_string(),
        )
        .unwrap();
    let there = String::from_utf8(there.body.to_vec()).unwrap();
    assert!(there.contains(&format!("\"input\":{arguments}")), "{there}");
    let back = anthropic_client().request(Operation::Chat, &there).unwrap().json();
    assert_eq!(back["messages"][1]["tool_calls"][0]["function"]["arguments"], arguments);
}

#[test]
fn names_that_would_fall_together_stay_apart() {
    let body = openai_client()
        .request(
            Operation::Chat,
            &json!({"model": "x", "tools": [tool("a.b"), tool("a:b")], "messages": [
                {"role": "user", "content": "Go."},
                {"role": "assistant", "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "a:b", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "x"}]})
            .to_string(),
        )
        .unwrap();
    let json = body.json();
    let names: Vec<_> = json["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_ne!(names[0], names[1]);
    assert_eq!(json["messages"][1]["content"][0]["name"], names[1]);
    assert_eq!(body.restore.tool_name(names[0]).unwrap(), "a.b");
    assert_eq!(body.restore.tool_name(names[1]).unwrap(), "a:b");
}

// === 24, 25: what models take ===

#[test]
fn sampling_goes_where_the_model_takes_none_and_one_of_two_where_it_takes_one() {
    let body = json!({"model": "x", "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.3, "top_p": 0.9});
    let none = openai_client().capabilities(&json!({"sampling": false}));
    let out = none.request(Operation::Chat, &body.to_string()).unwrap();
    assert_eq!((out.json().get("temperature"), out.json().get("top_p")), (None, None));
    assert_eq!(out.losses.len(), 2);
    let one = openai_client().capabilities(&json!({"temperature_with_top_p": false}));
    let out = request(&one, &body);
    assert_eq!((&out["temperature"], out.get("top_p")), (&json!(0.3), None));
}

#[test]
fn a_forced_tool_and_thinking_do_not_meet_and_a_budget_fits_below_its_bound() {
    let mut body = json!({"model": "x", "reasoning_effort": "high", "max_tokens": 5000,
        "messages": [{"role": "user", "content": "Hi"}], "tools": [tool("f")]});
    let free = request(&openai_client(), &body);
    assert_eq!(free["thinking"]["budget_tokens"], 4999);
    body["tool_choice"] = json!("required");
    let forced = request(&openai_client(), &body);
    assert_eq!((forced.get("thinking"), &forced["tool_choice"]["type"]), (None, &json!("any")));
}

// === 26, 28 to 31, 34, 38, 40: streams ===

#[test]
fn a_stream_may_be_cut_anywhere_and_spelled_in_any_way() {
    let text = "Grüße, 世界 🌍";
    let own = anthropic(&text_block(0, text), "end_turn");
    let other =
        openai(&[chunk(json!({"content": text}), Value::Null), chunk(json!({}), json!("stop"))]);
    for (setting, stream) in [(openai_client(), own), (anthropic_client(), other)] {
        let whole = setting.stream(&stream, usize::MAX);
        assert!(whole.contains(text));
        let spellings = [
            stream.clone(),
            stream.replace('\n', "\r\n"),
            stream.replace(": ", ":"),
            stream.replace('\n', "\r"),
        ];
        for spelling in &spellings {
            for piece in 1..=spelling.len().min(40) {
                assert_eq!(setting.stream(spelling, piece), whole, "pieces of {piece}");
            }
        }
    }
}

#[test]
fn an_error_in_the_middle_is_no_normal_end() {
    let broken = events(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m"}}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ]);
    let out = openai_client().stream(&broken, usize::MAX);
    assert!(!out.contains("[DONE]") && !out.contains("\"finish_reason\":\"stop\""), "{out}");
    assert_eq!(data(&out).last().unwrap()["error"]["code"], "server_is_overloaded");

    let broken = format!(
        "data: {}\n\ndata: {}\n\n",
        chunk(json!({"content": "Hi"}), Value::Null),
        json!({"error": {"message": "The engine is overloaded", "code": "server_is_overloaded"}})
    );
    let out = run(&anthropic_client(), &broken);
    assert_eq!(out.last().unwrap()["error"]["type"], "overloaded_error");
    assert!(of_type(&out, "message_stop").is_empty());
}

#[test]
fn a_first_chunk_without_choices_is_harmless() {
    let azure = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []});
    let out = run(
        &anthropic_client(),
        &openai(&[
            azure,
            chunk(json!({"content": "Hi"}), Value::Null),
            chunk(json!({}), json!("stop")),
        ]),
    );
    assert_eq!(out[0]["message"]["id"], "msg_1");
    assert_eq!(of_type(&out, "content_block_delta").len(), 1);
}

#[test]
fn reasoning_and_text_in_one_chunk_are_two_blocks() {
    let both = chunk(json!({"reasoning_content": "Hm.", "content": "So."}), Value::Null);
    let out = run(&anthropic_client(), &openai(&[both, chunk(json!({}), json!("stop"))]));
    let starts = of_type(&out, "content_block_start");
    assert_eq!(starts[0]["content_block"]["type"], "thinking");
    assert_eq!(starts[1]["content_block"]["type"], "text");
}

#[test]
fn calls_without_a_reason_to_stop_are_still_calls() {
    let out = run(&anthropic_client(), &openai(&[fragment(0, Some("a"), "{}")]));
    assert_eq!(of_type(&out, "message_delta")[0]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn what_is_unknown_does_not_lose_the_stream() {
    let mut middle = vec![json!({"type": "novelty"})];
    middle.extend(block(
        0,
        json!({"type": "novel_block", "x": 1}),
        &[json!({"type": "novel_delta"})],
    ));
    middle.extend(text_block(1, "Hi"));
    let out = run(&openai_client(), &anthropic(&middle, "end_turn"));
    let text: String =
        out.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Hi");
    assert_eq!(out[out.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn several_answers_do_not_run_into_each_other() {
    let mut second = chunk(json!({"content": "Two"}), Value::Null);
    second["choices"][0]["index"] = json!(1);
    let stream = openai(&[
        chunk(json!({"content": "One"}), Value::Null),
        second,
        chunk(json!({}), json!("stop")),
    ]);
    let out = run(&anthropic_client(), &stream);
    assert_eq!(of_type(&out, "content_block_delta").len(), 1);
    let out = run(&Setting::new(OPENAI, OPENAI), &stream);
    let of_second: Vec<_> = out.iter().filter(|chunk| chunk["choices"][0]["index"] == 1).collect();
    assert!(of_second.iter().all(|chunk| chunk["choices"][0]["delta"]["content"] != "One"));
}

#[test]
fn a_refusal_after_text_keeps_the_text() {
    let out = run(&openai_client(), &anthropic(&text_block(0, "Well"), "refusal"));
    assert_eq!(out[1]["choices"][0]["delta"]["content"], "Well");
    assert_eq!(out[2]["choices"][0]["finish_reason"], "content_filter");
}

// === 35: structured answers ===

#[test]
fn an_emulated_structured_answer_reports_an_ordinary_stop() {
    let old = openai_client().capabilities(&json!({"structured_output": false}));
    let asked = old
        .request(
            Operation::Chat,
            &json!({"model": "x", "messages": [{"role": "user", "content": "Hi"}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}})
            .to_string(),
        )
        .unwrap();
    let name = asked.json()["tool_choice"]["name"].clone();
    let mut back = openai_client();
    back.restore = asked.restore;
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": name, "input": {"a": 1}}],
        "stop_reason": "tool_use"});
    let whole = reply(&back, &answer);
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole["choices"][0]["message"]["content"], "{\"a\":1}");
    let deltas = [json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})];
    let block =
        block(0, json!({"type": "tool_use", "id": "t", "name": name, "input": {}}), &deltas);
    let out = run(&back, &anthropic(&block, "tool_use"));
    assert_eq!(out[1]["choices"][0]["delta"]["content"], "{\"a\":1}");
    assert_eq!(out[2]["choices"][0]["finish_reason"], "stop");
    assert!(call_deltas(&out).is_empty());
}

// === 39: what was counted is not lost ===

#[test]
fn usage_is_seen_before_the_stream_ends() {
    use ziggurat_core::CutOptions;
    let stream = anthropic(&text_block(0, "Hi"), "end_turn");
    let cut = stream.find("event: message_stop").unwrap();
    let mut cutter = ANTHROPIC.cutter(&CutOptions::default());
    cutter.push(bytes::Bytes::copy_from_slice(&stream.as_bytes()[..cut]));
    let frame = cutter.next_frame().unwrap().unwrap();
    assert_eq!(frame.usage().unwrap().total(), 14);
}

// === every reason to stop ===

#[test]
fn every_reason_to_stop_crosses() {
    for (anthropic, openai) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "stop"),
        ("novel_reason", "novel_reason"),
    ] {
        let whole = reply(
            &openai_client(),
            &json!({"content": [{"type": "text", "text": "x"}],
            "stop_reason": anthropic, "stop_sequence": "END"}),
        );
        assert_eq!(whole["choices"][0]["finish_reason"], openai, "{anthropic}");
    }
    for (openai, anthropic) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "end_turn"),
        ("eos", "eos"),
    ] {
        let whole = reply(
            &anthropic_client(),
            &json!({"choices": [
            {"index": 0, "finish_reason": openai, "message": {"content": "x"}}]}),
        );
        assert_eq!(whole["stop_reason"], anthropic, "{openai}");
    }
    let failed =
        json!({"choices": [{"index": 0, "finish_reason": "error", "message": {"content": "x"}}]});
    let error = anthropic_client().reply(Operation::Chat, &failed.to_string()).unwrap_err();
    assert_eq!(error.status(), 502);
}

// === errors ===

#[test]
fn errors_of_anthropic_read_as_openais() {
    for (status, kind, message, code, expected) in [
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 > 8",
            "",
            (400, "invalid_request_error", "context_length_exceeded"),
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low",
            "",
            (429, "insufficient_quota", "insufficient_quota"),
        ),
        (400, "invalid_request_error", "no", "", (400, "invalid_request_error", "invalid_value")),
        (401, "authentication_error", "no", "", (502, "server_error", "upstream_auth")),
        (402, "billing_error", "no", "", (429, "insufficient_quota", "insufficient_quota")),
        (403, "permission_error", "no", "", (502, "server_error", "upstream_auth")),
        (404, "not_found_error", "no", "", (404, "invalid_request_error", "model_not_found")),
        (409, "conflict_error", "no", "", (409, "invalid_request_error", "conflict")),
        (413, "request_too_large", "no", "", (413, "invalid_request_error", "request_too_large")),
        (
            429,
            "rate_limit_error",
            "no",
            "ramp_limit_exceeded",
            (429, "rate_limit_error", "rate_limit_exceeded"),
        ),
        (
            429,
            "rate_limit_error",
            "no",
            "enforced_spend_limit_reached",
            (429, "insufficient_quota", "insufficient_quota"),
        ),
        (503, "api_error", "no", "", (503, "service_unavailable_error", "server_is_overloaded")),
        (504, "timeout_error", "no", "", (504, "server_error", "timeout")),
        (
            529,
            "overloaded_error",
            "no",
            "",
            (503, "service_unavailable_error", "server_is_overloaded"),
        ),
    ] {
        let body = json!({"type": "error", "error": {"type": kind, "message": message, "details": {"error_code": code}}});
        let (got, body) = error(ANTHROPIC, OPENAI, status, &body.to_string());
        let body = &body["error"];
        assert_eq!(
            (got, body["type"].as_str().unwrap(), body["code"].as_str().unwrap()),
            expected,
            "{status} {kind} {message} {code}"
        );
    }
    let server = json!({"type": "error", "error": {"type": "api_error", "message": "no"}});
    let (status, body) = error(ANTHROPIC, OPENAI, 500, &server.to_string());
    assert_eq!(
        (status, &body["error"]["type"], &body["error"]["code"]),
        (500, &json!("server_error"), &Value::Null)
    );
}

#[test]
fn errors_of_openai_read_as_anthropics() {
    for (status, code, expected) in [
        (400, "context_length_exceeded", (400, "invalid_request_error")),
        (400, "content_policy_violation", (400, "invalid_request_error")),
        (400, "unsupported_parameter", (400, "invalid_request_error")),
        (401, "invalid_api_key", (502, "api_error")),
        (402, "", (402, "billing_error")),
        (403, "", (502, "api_error")),
        (404, "model_not_found", (404, "not_found_error")),
        (408, "", (504, "timeout_error")),
        (409, "", (409, "conflict_error")),
        (413, "", (413, "request_too_large")),
        (424, "", (502, "api_error")),
        (429, "insufficient_quota", (429, "rate_limit_error")),
        (429, "rate_limit_exceeded", (429, "rate_limit_error")),
        (500, "", (500, "api_error")),
        (502, "", (502, "api_error")),
        (503, "server_is_overloaded", (529, "overloaded_error")),
        (504, "", (504, "timeout_error")),
    ] {
        let body = json!({"error": {"message": "no", "type": "x", "code": code}});
        let (got, body) = error(OPENAI, ANTHROPIC, status, &body.to_string());
        assert_eq!((got, body["error"]["type"].as_str().unwrap()), expected, "{status} {code}");
        assert_eq!(body["request_id"], "req_1");
    }
    let long = json!({"error": {"message": "This model's maximum context length is 8", "code": "context_length_exceeded"}});
    let (_, body) = error(OPENAI, ANTHROPIC, 400, &long.to_string());
    assert!(body["error"]["message"].as_str().unwrap().starts_with("prompt is too long: "));
}

#[test]
fn a_provider_of_the_callers_dialect_speaks_for_itself() {
    let own =
        r#"{"type":"error","error":{"type":"novel_error","message":"hm"},"request_id":"req_9"}"#;
    let (status, body) = error(ANTHROPIC, ANTHROPIC, 418, own);
    assert_eq!(
        (status, body.to_string()),
        (418, serde_json::from_str::<Value>(own).unwrap().to_string())
    );
}

// === policies ===

#[test]
fn the_loss_policy_has_the_last_word() {
    let body = json!({"model": "x", "messages": [{"role": "user", "content": "Hi"}], "seed": 1});
    let mut setting = openai_client();
    assert_eq!(setting.request(Operation::Chat, &body.to_string()).unwrap().losses.len(), 1);
    setting.policy = LossPolicy::Refuse;
    let refused = setting.request(Operation::Chat, &body.to_string()).unwrap_err();
    assert_eq!(refused.param(), Some("seed"));
    let (status, body) = OPENAI.encode_error(&refused, None);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status.as_u16(), &body["error"]["param"]), (400, &json!("seed")));
}

/// A model that indents the arguments of its calls, and a server that spreads an event over lines: neither may end the caller's event.
#[test]
fn line_breaks_between_tokens_do_not_end_an_event() {
    let chunk = |delta: &str, more: &str| {
        format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"created\":1,\ndata: \"choices\":[{{\"index\":0,\"delta\":{delta},\ndata: \"logprobs\":{more}}}]}}\n\n"
        )
    };
    let logprobs = "{\"content\":[{\"token\":\"a\",\ndata: \"logprob\":-1,\ndata: \"bytes\":[97],\"top_logprobs\":[]}]}";
    let cited = "{\"content\":\"b\",\"annotations\":[{\"type\":\"url_citation\",\ndata: \"url_citation\":{\"url\":\"https://a.example\",\ndata: \"title\":\"t\",\"start_index\":0,\"end_index\":1}}]}";
    let call = |name: &str, piece: &str| {
        let piece = Value::from(piece);
        format!(
            "{{\"tool_calls\":[{{\"index\":0,{name}\"function\":{{\"name\":\"f\",\"arguments\":{piece}}}}}]}}"
        )
    };
    let stream = [
        chunk("{\"role\":\"assistant\",\"content\":\"a\"}", logprobs),
        chunk(cited, "null"),
        chunk(&call("\"id\":\"call_1\",\"type\":\"function\",", "{\n  \"a\": [1,\r\n"), "null"),
        chunk(&call("", "    2]\n}"), "null"),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
            .to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    // Messages of Converse are framed by their length.
    for caller in ziggurat_dialects::all().iter().filter(|caller| **caller != CONVERSE) {
        let out = Setting::new(*caller, OPENAI).stream(&stream, usize::MAX);
        let mut arguments = String::new();
        for line in out.split(['\n', '\r']) {
            let is_framing = line.is_empty() || line == "data: [DONE]";
            if is_framing || line.starts_with("event: ") || line.starts_with(':') {
                continue;
            }
            let json = line.strip_prefix("data: ").unwrap_or(line);
            let value: Value = serde_json::from_str(json).unwrap_or_else(|error| {
                panic!("{caller}: {error}: {line:?}");
            });
            arguments.push_str(&value.to_string().replace("\\n", "").replace([' ', '\\'], ""));
        }
        assert!(arguments.contains("[1,"), "{caller}: {arguments}");
    }
}

/// It would be taken for what stands within another member, past whoever looks at that.
#[test]
fn a_member_that_is_called_like_a_path_is_refused() {
    let [openai, responses, gemini, ollama] = [
        json!({"model": "m", "stream_options.x": 1, "messages": [{"role": "user", "content": "Hi"}]}),
        json!({"model": "m", "reasoning.summary": "auto", "input": "Hi"}),
        json!({"generationConfig.x": 1, "contents": [{"parts": [{"text": "Hi"}]}]}),
        json!({"model": "m", "options.x": 1, "messages": [{"role": "user", "content": "Hi"}]}),
    ];
    for (caller, body) in
        [(OPENAI, openai), (RESPONSES, responses), (GEMINI, gemini), (OLLAMA, ollama)]
    {
        let setting = Setting::new(caller, ANTHROPIC);
        let error = setting.request(Operation::Chat, &body.to_string()).unwrap_err();
        assert_eq!(error.code(), Some("unknown_parameter"), "{caller}: {error:?}");
        assert!(error.param().is_some_and(|param| param.contains('.')), "{caller}");
    }
}

/// In a whole answer as in a stream.
#[test]
fn a_call_without_a_name_is_malformed() {
    for provider in ziggurat_dialects::all() {
        let body = match provider.name() {
            "openai" => {
                json!({"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "", "arguments": "{}"}}]}}]})
            }
            "responses" => {
                json!({"id": "resp_1", "object": "response", "status": "completed", "output":
                [{"type": "function_call", "id": "fc_1", "call_id": "1", "name": "", "arguments": "{}"}]})
            }
            "anthropic" => {
                json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
                "content": [{"type": "tool_use", "id": "1", "name": "", "input": {}}]})
            }
            "gemini" => json!({"candidates": [{"index": 0, "finishReason": "STOP",
                "content": {"role": "model", "parts": [{"functionCall": {"name": "", "args": {}}}]}}]}),
            "converse" => {
                json!({"stopReason": "tool_use", "output": {"message": {"role": "assistant",
                "content": [{"toolUse": {"toolUseId": "1", "name": "", "input": {}}}]}}})
            }
            "cohere" => {
                json!({"id": "c", "finish_reason": "TOOL_CALL", "message": {"role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "", "arguments": "{}"}}]}})
            }
            "ollama" => {
                json!({"model": "m", "done": true, "done_reason": "stop", "message": {"role": "assistant", "content": "",
                "tool_calls": [{"function": {"name": "", "arguments": {}}}]}})
            }
            other => panic!("{other} has no such call here"),
        };
        let setting = Setting::new(OPENAI, *provider);
        let error = setting.reply(Operation::Chat, &body.to_string()).unwrap_err();
        assert_eq!(error.status(), 502, "{provider}: {error:?}");
        assert!(error.message().contains("name"), "{provider}: {error:?}");
    }
}
