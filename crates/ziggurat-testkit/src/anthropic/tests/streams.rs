use serde_json::{Value, json};

use super::{chat, says, tools};
use crate::{After, script::End, testing::Told};

fn stream(text: &str, more: Value) -> Told {
    let mut body = json!({"stream": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let told = chat(text, body);
    assert_eq!(told.status, 200, "{}", told.events[0]);
    for (event, data) in told.events.iter().zip(told.data()) {
        let name = event.lines().next().unwrap().strip_prefix("event: ").unwrap();
        assert_eq!(data["type"], name, "data repeat the event's name");
    }
    told
}

fn deltas(told: &Told) -> Vec<Value> {
    let data = told.data();
    data.iter()
        .filter(|it| it["type"] == "content_block_delta")
        .map(|it| it["delta"].clone())
        .collect()
}

#[test]
fn text_comes_word_by_word_in_named_events() {
    let told = stream("hi", json!({}));
    let data = told.data();
    let start = &data[0]["message"];
    assert_eq!((&start["content"], &start["stop_reason"]), (&json!([]), &Value::Null));
    assert_eq!(
        (&start["usage"]["input_tokens"], &start["usage"]["output_tokens"]),
        (&json!(1), &json!(1))
    );
    let word = |word: &str| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": word}})
    };
    let block = json!({"type": "text", "text": ""});
    let expected = [
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
        word("You"),
        word(" said:"),
        word(" hi"),
        json!({"type": "content_block_stop", "index": 0}),
    ];
    assert_eq!(data[1..7], expected);
    assert_eq!(data[7]["type"], "message_delta");
    assert_eq!(data[7]["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!(
        (&data[7]["usage"]["input_tokens"], &data[7]["usage"]["output_tokens"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(data[8..], [json!({"type": "message_stop"})]);
    assert!(told.events[8].starts_with("event: message_stop\ndata: {\"type\":"));
}

#[test]
fn calls_stream_as_json_text_and_empty_ones_as_nothing() {
    let told = stream("[tools2] city=Oslo", json!({"tools": tools()}));
    let opened: Vec<_> =
        told.data().into_iter().filter(|it| it["type"] == "content_block_start").collect();
    assert_eq!(opened[0]["content_block"]["input"], json!({}));
    assert_eq!(
        (&opened[1]["index"], &opened[1]["content_block"]["name"]),
        (&json!(1), &json!("get_time"))
    );
    let json = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    assert_eq!(deltas(&told), [json(""), json("{\"city\""), json(":\"Oslo\"}"), json("")]);
    let whole = super::answer("[tools2] city=Oslo", json!({"tools": tools()}));
    assert_eq!(whole["content"][0]["id"], opened[0]["content_block"]["id"]);
    let told = stream("[length] [tool] city=Oslo", json!({"tools": tools()}));
    let broken: String = deltas(&told)
        .iter()
        .map(|delta| delta["partial_json"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(broken, "{\"city\"");
}

#[test]
fn thinking_ends_with_its_signature() {
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let told = stream("hi", thinking.clone());
    let all = deltas(&told);
    assert_eq!(all[0], json!({"type": "thinking_delta", "thinking": "The"}));
    assert_eq!(all[7]["type"], "signature_delta");
    let whole = super::answer("hi", thinking);
    assert_eq!(all[7]["signature"], whole["content"][0]["signature"]);
    assert_eq!(all[8], json!({"type": "text_delta", "text": "You"}));
    let told = stream("hi", json!({"model": "claude-opus-5", "thinking": {"type": "adaptive"}}));
    assert_eq!(deltas(&told)[0]["type"], "signature_delta");
    let told = stream("[think] [redacted]", json!({}));
    let opened = told.data()[1]["content_block"].clone();
    assert!(opened["type"] == "redacted_thinking" && opened["data"].is_string());
}

#[test]
fn stops_and_refusals_are_told_at_the_end() {
    let end = |text: &str, more: Value| {
        let data = stream(text, more).data();
        data[data.len() - 2]["delta"].clone()
    };
    let stop = end("a [stop:END]", json!({"stop_sequences": ["END"]}));
    assert_eq!(stop, json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}));
    let refusal = end("[refuse]", json!({}));
    assert_eq!(
        (&refusal["stop_reason"], &refusal["stop_details"]["type"]),
        (&json!("refusal"), &json!("refusal"))
    );
    let names: Vec<_> =
        stream("[refuse]", json!({})).data().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(names, ["message_start", "ping", "message_delta", "message_stop"]);
}

#[test]
fn streams_break_down_when_asked_to() {
    let told = stream("[midstream-error] hi", json!({}));
    assert!(matches!(told.manner.end, Some(End::ErrorEvent(5))), "{:?}", told.manner);
    let told = stream("[cut] hi", json!({}));
    assert!(matches!(told.manner.end, Some(End::Cut(After::Events(5)))), "{:?}", told.manner);
    assert_eq!(chat("[midstream-error]", json!({})).status, 500);
    assert_eq!(stream("[slow:20]", json!({})).manner.delay_between.unwrap().as_millis(), 20);
    assert_eq!(
        super::post(&says("[slow:20]", json!({}))).manner.delay_head.unwrap().as_millis(),
        20
    );
}
