use serde_json::{Value, json};

use super::{chat, merge, post, says, tools};
use crate::{After, openai::OpenAi, script::End, testing::Told};

fn stream(text: &str, more: Value) -> Told {
    let mut body = json!({"stream": true});
    merge(&mut body, more);
    let told = chat(text, body);
    assert_eq!(told.status, 200, "{}", told.events[0]);
    assert!(told.header("content-type").starts_with("text/event-stream"));
    told
}

/// The deltas of one choice.
fn deltas(told: &Told, choice: u64) -> Vec<Value> {
    let mut data = told.data();
    data.retain(|chunk| chunk["choices"][0]["index"] == choice);
    data.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect()
}

/// What the deltas of one choice say together.
fn said(told: &Told, choice: u64, name: &str) -> String {
    deltas(told, choice).iter().filter_map(|delta| delta[name].as_str()).collect()
}

/// A chunk without the members that all share.
fn own(chunk: &Value) -> Value {
    let mut chunk = chunk.clone();
    let members = chunk.as_object_mut().unwrap();
    for name in ["id", "object", "created", "model", "service_tier", "system_fingerprint"] {
        assert!(members.remove(name).is_some(), "{name} is on every chunk");
    }
    chunk
}

#[test]
fn text_comes_word_by_word_between_role_and_reason() {
    let told = stream("hi", json!({"stream_options": {"include_usage": true}}));
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let word = |word: &str| {
        let choices = choice(json!({"content": word}), Value::Null);
        json!({"choices": choices, "usage": null, "obfuscation": "x1"})
    };
    let role = json!({"role": "assistant", "content": "", "refusal": null});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}});
    let expected = [
        json!({"choices": choice(role, Value::Null), "usage": null}),
        word("You"),
        word(" said:"),
        word(" hi"),
        json!({"choices": choice(json!({}), json!("stop")), "usage": null}),
        json!({"choices": [], "usage": usage}),
    ];
    assert_eq!(told.data().iter().map(own).collect::<Vec<_>>(), expected);
    assert_eq!(told.events.last().unwrap(), "data: [DONE]\n\n");
    let ids: Vec<_> = told.data().iter().map(|chunk| chunk["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn usage_and_padding_are_left_out_when_not_wanted() {
    let told = stream("hi", json!({}));
    assert!(told.data().iter().all(|chunk| chunk.get("usage").is_none()));
    assert!(told.data().iter().any(|chunk| chunk.get("obfuscation").is_some()));
    let told = stream("hi", json!({"stream_options": {"include_obfuscation": false}}));
    assert!(told.data().iter().all(|chunk| chunk.get("obfuscation").is_none()));
}

#[test]
fn calls_open_with_a_name_and_go_on_with_arguments() {
    let told = stream("[tools2] city=Oslo", json!({"tools": tools()}));
    let deltas = deltas(&told, 0);
    assert_eq!(deltas[0]["content"], Value::Null);
    let first = &deltas[1]["tool_calls"][0];
    assert_eq!((&first["index"], &first["type"]), (&json!(0), &json!("function")));
    assert_eq!(first["function"], json!({"name": "get_weather", "arguments": ""}));
    assert!(first["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(
        deltas[2]["tool_calls"],
        json!([{"index": 0, "function": {"arguments": "{\"city\""}}])
    );
    assert_eq!(
        deltas[3]["tool_calls"],
        json!([{"index": 0, "function": {"arguments": ":\"Oslo\"}"}}])
    );
    assert_eq!(deltas[4]["tool_calls"][0]["index"], 1);
    assert_eq!(deltas[4]["tool_calls"][0]["function"]["name"], "get_time");
    let reasons: Vec<_> =
        told.data().iter().map(|chunk| chunk["choices"][0]["finish_reason"].clone()).collect();
    assert_eq!(reasons.last().unwrap(), "tool_calls");
    let whole = super::answer("[tools2] city=Oslo", json!({"tools": tools()}));
    assert_eq!(whole["choices"][0]["message"]["tool_calls"][0]["id"], first["id"]);
}

#[test]
fn fragments_of_calls_may_interleave() {
    let told = stream("[tools2] [interleave]", json!({"tools": tools()}));
    let indexes: Vec<_> = deltas(&told, 0)
        .iter()
        .filter_map(|delta| delta["tool_calls"][0]["index"].as_u64())
        .collect();
    assert_eq!(indexes, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn custom_and_legacy_calls_stream_in_their_own_shape() {
    let custom = json!([{"type": "custom", "custom": {"name": "run_sql"}}]);
    let told = stream("[tool]", json!({"tools": custom}));
    let input: String = deltas(&told, 0)
        .iter()
        .filter_map(|delta| delta["tool_calls"][0]["custom"]["input"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(input, "free text for run_sql");
    let told = stream("[tool]", json!({"functions": [{"name": "f"}]}));
    let all = deltas(&told, 0);
    assert_eq!(all[1], json!({"function_call": {"name": "f", "arguments": ""}}));
    assert_eq!(all[2], json!({"function_call": {"arguments": "{"}}));
}

#[test]
fn refusals_reasoning_and_probabilities_stream() {
    let told = stream("[refuse]", json!({}));
    assert!(said(&told, 0, "refusal").contains("can't help"));
    assert_eq!(deltas(&told, 0)[0]["content"], Value::Null);
    let body = says("[think] hi", json!({"stream": true}));
    let told = post(&OpenAi::default().reasoning_content(), &body);
    assert!(said(&told, 0, "reasoning_content").ends_with("so I answer."));
    let told = stream("hi", json!({"logprobs": true}));
    assert_eq!(told.data()[1]["choices"][0]["logprobs"]["content"][0]["token"], "You");
}

#[test]
fn several_answers_interleave() {
    let told = stream("hi", json!({"n": 2}));
    assert_eq!(said(&told, 0, "content"), "You said: hi");
    assert_eq!(said(&told, 1, "content"), "You said: hi\n(choice 1)");
    let order: Vec<_> =
        told.data().iter().map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap()).collect();
    assert_eq!(order[..6], [0, 1, 0, 1, 0, 1]);
}

#[test]
fn streams_break_down_when_asked_to() {
    let told = stream("[midstream-error] hi", json!({}));
    assert!(matches!(told.manner.end, Some(End::ErrorEvent(3))), "{:?}", told.manner);
    let told = stream("[cut] hi", json!({}));
    assert!(matches!(told.manner.end, Some(End::Cut(After::Events(3)))), "{:?}", told.manner);
    assert_eq!(chat("[midstream-error]", json!({})).status, 500);
    let told = chat("[cut]", json!({}));
    assert!(matches!(told.manner.end, Some(End::Cut(After::Bytes(_)))), "{:?}", told.manner);
    let pace = stream("[slow:20]", json!({})).manner.delay_between.unwrap();
    assert_eq!(pace.as_millis(), 20);
}
