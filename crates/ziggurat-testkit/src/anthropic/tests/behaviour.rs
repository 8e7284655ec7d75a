use http::Method;
use serde_json::{Value, json};

use super::{HEADERS, PNG, answer, assistant, chat, result, text, tool_use, tools, user};
use crate::{
    Vendor,
    anthropic::Anthropic,
    testing::{ask, take_apart},
};

#[test]
fn plain_text_is_answered_in_the_vendors_shape() {
    let told = chat("hello there", json!({}));
    let expected = concat!(
        r#""type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"#,
        r#""type":"text","text":"You said: hello there"}],"#,
        r#""stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null,"#,
        r#""usage":{"input_tokens":2,"cache_creation_input_tokens":0,"#,
        r#""cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"#,
        r#""ephemeral_1h_input_tokens":0},"output_tokens":4,"#,
        r#""output_tokens_details":{"thinking_tokens":0},"server_tool_use":null,"#,
        r#""service_tier":"standard"}}"#,
    );
    assert!(told.events[0].ends_with(expected), "{}", told.events[0]);
    assert!(told.events[0].starts_with(r#"{"id":"msg_01"#));
}

#[test]
fn every_answer_has_the_vendors_headers() {
    for told in [chat("hi", json!({})), chat("hi", json!({"n": 1})), chat("[error:500]", json!({}))]
    {
        assert!(told.header("request-id").starts_with("req_01"));
        assert!(!told.header("anthropic-organization-id").is_empty());
        assert_eq!(told.header("anthropic-ratelimit-requests-remaining"), "49");
        assert_eq!(told.header("anthropic-ratelimit-output-tokens-limit"), "10000");
        let reset = told.header("anthropic-ratelimit-input-tokens-reset");
        assert!(reset.ends_with('Z') && reset.len() == 20, "{reset}");
    }
}

#[test]
fn tools_are_called_when_the_text_or_the_choice_says_so() {
    let said = answer("[tool] city=Oslo", json!({"tools": tools()}));
    assert_eq!(said["stop_reason"], "tool_use");
    let call = &said["content"][0];
    assert_eq!((&call["name"], &call["input"]), (&json!("get_weather"), &json!({"city": "Oslo"})));
    assert!(call["id"].as_str().unwrap().starts_with("toolu_01"));
    let said = answer("[tools2] [preface]", json!({"tools": tools()}));
    let kinds: Vec<_> =
        said["content"].as_array().unwrap().iter().map(|b| b["type"].clone()).collect();
    assert_eq!(kinds, ["text", "tool_use", "tool_use"]);
    assert_ne!(said["content"][1]["id"], said["content"][2]["id"]);
    for (choice, names) in [
        (json!({"type": "any"}), vec!["get_weather"]),
        (json!({"type": "tool", "name": "get_time"}), vec!["get_time"]),
        (json!({"type": "none"}), vec![]),
        (json!({"type": "auto"}), vec!["get_weather", "get_time"]),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), vec!["get_weather"]),
    ] {
        let said = answer("[tools2]", json!({"tools": tools(), "tool_choice": choice}));
        let blocks = said["content"].as_array().unwrap();
        let called: Vec<_> = blocks.iter().filter_map(|block| block["name"].as_str()).collect();
        let names = if choice["type"] == "any" { vec!["get_weather", "get_time"] } else { names };
        assert_eq!(called, names, "{choice}");
    }
    let server = json!([{"type": "web_search_20250305", "name": "web_search"}, tools()[1]]);
    let said = answer("[tool]", json!({"tools": server}));
    assert_eq!(said["content"][0]["name"], "get_time", "the vendor's own tools are not called");
}

#[test]
fn results_and_media_are_told() {
    let mut failed = result("b");
    failed["is_error"] = json!(true);
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let mut shown = result("a");
    shown["content"] = json!([text("4 C"), image]);
    let messages = json!([
        user(json!("[tools2]")),
        assistant(json!([tool_use("a"), tool_use("b")])),
        user(json!([shown, failed]))
    ]);
    let said = answer("", json!({"messages": messages, "tools": tools()}));
    let expected = "The tool said: 4 C\nThe tool failed: noon\nimage image/png 70 bytes";
    assert_eq!(said["content"][0]["text"], expected);

    let document = |source: Value| json!({"type": "document", "source": source});
    let content = json!([
        text("see"),
        {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        document(json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="})),
        document(json!({"type": "text", "media_type": "text/plain", "data": "hello"})),
        document(json!({"type": "file", "file_id": "file_1"})),
    ]);
    let said = answer("", json!({"messages": [user(content)]}));
    let expected = "You said: see\nimage url https://a.test/b.png\ndocument application/pdf 5 bytes\n\
                    document text/plain 5 bytes\ndocument file file_1";
    assert_eq!(said["content"][0]["text"], expected);
}

#[test]
fn user_messages_in_a_row_are_one() {
    let said = answer("", json!({"messages": [user(json!("a")), user(json!("b"))]}));
    assert_eq!(said["content"][0]["text"], "You said: a\nb");
}

#[test]
fn the_system_text_is_told_when_asked_for() {
    let system =
        json!([{"type": "text", "text": "Be terse."}, {"type": "text", "text": "Be kind."}]);
    let said = answer("[system?]", json!({"system": system}));
    assert_eq!(said["content"][0]["text"], "System: Be terse.\nBe kind.");
}

#[test]
fn thinking_is_shown_signed_or_omitted() {
    let said =
        |model: &str, thinking: Value| answer("hi", json!({"model": model, "thinking": thinking}));
    let shown = said("claude-sonnet-4-5", json!({"type": "enabled", "budget_tokens": 1024}));
    assert!(shown["content"][0]["thinking"].as_str().unwrap().ends_with("so I answer."));
    assert!(shown["content"][0]["signature"].as_str().unwrap().len() > 20);
    assert_eq!(shown["content"][1]["text"], "You said: hi");
    assert_eq!(shown["usage"]["output_tokens_details"]["thinking_tokens"], 7);
    assert_eq!(shown["usage"]["output_tokens"], 10);
    for (display, empty) in
        [(json!(null), true), (json!("omitted"), true), (json!("summarized"), false)]
    {
        let shown = said("claude-opus-5", json!({"type": "adaptive", "display": display}));
        assert_eq!(shown["content"][0]["thinking"] == "", empty, "{display}");
        assert!(!shown["content"][0]["signature"].as_str().unwrap().is_empty());
    }
    assert_eq!(answer("[think] hi", json!({}))["content"][0]["type"], "thinking");
}

#[test]
fn answers_end_in_all_the_ways_there_are() {
    let said = answer("[length] a b c", json!({}));
    assert_eq!(
        (&said["stop_reason"], &said["content"][0]["text"]),
        (&json!("max_tokens"), &json!("You said: [length]"))
    );
    let said = answer("[length] [tool] city=Oslo", json!({"tools": tools()}));
    assert_eq!(
        (&said["stop_reason"], &said["content"][0]["input"]),
        (&json!("max_tokens"), &json!({}))
    );
    let said = answer("a b c", json!({"max_tokens": 3}));
    assert_eq!(said["content"][0]["text"], "You said: a");
    let said = answer("a [stop:END] b", json!({"stop_sequences": ["END"]}));
    assert_eq!(
        (&said["stop_reason"], &said["stop_sequence"]),
        (&json!("stop_sequence"), &json!("END"))
    );
    assert_eq!(said["content"][0]["text"], "You said: a");
    let said = answer("[refuse]", json!({}));
    assert_eq!((&said["stop_reason"], &said["content"]), (&json!("refusal"), &json!([])));
    assert_eq!(said["stop_details"]["type"], "refusal");
    assert_eq!(said["stop_details"]["category"], "general_harms");
    let said = answer("[refuse:late]", json!({}));
    assert_eq!(said["content"][0]["text"], "Let me look.");
    let said = answer("hi", json!({"max_tokens": 0}));
    assert_eq!((&said["content"], &said["usage"]["output_tokens"]), (&json!([]), &json!(0)));
}

#[test]
fn cached_tokens_stand_beside_the_others() {
    let usage = answer("[cached] two three four five", json!({}))["usage"].clone();
    assert_eq!(usage["input_tokens"], 2);
    assert_eq!(usage["cache_read_input_tokens"], 2);
    assert_eq!(usage["cache_creation_input_tokens"], 1);
    assert_eq!(usage["cache_creation"]["ephemeral_5m_input_tokens"], 1);
}

#[test]
fn structured_output_is_an_instance_of_the_schema() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}},
        "required": ["city"], "additionalProperties": false});
    let config = json!({"format": {"type": "json_schema", "schema": schema}});
    let said = answer("city=Oslo", json!({"output_config": config}));
    assert_eq!(said["content"][0]["text"], r#"{"city":"Oslo"}"#);
}

#[test]
fn a_prefill_is_the_beginning_of_the_answer_not_a_turn() {
    let said = answer("", json!({"messages": [user(json!("hi")), assistant(json!("Sure:"))]}));
    assert_eq!(said["content"][0]["text"], "You said: hi");
}

#[test]
fn errors_come_when_asked_for() {
    for (mark, status, kind) in [
        ("429", 429, "rate_limit_error"),
        ("quota", 429, "rate_limit_error"),
        ("500", 500, "api_error"),
        ("503", 503, "api_error"),
        ("529", 529, "overloaded_error"),
        ("overloaded", 529, "overloaded_error"),
        ("timeout", 504, "timeout_error"),
        ("auth", 401, "authentication_error"),
        ("billing", 402, "billing_error"),
        ("permission", 403, "permission_error"),
        ("model", 404, "not_found_error"),
        ("large", 413, "request_too_large"),
        ("context", 400, "invalid_request_error"),
        ("policy", 400, "invalid_request_error"),
    ] {
        let told = chat(&format!("[error:{mark}]"), json!({"stream": true}));
        assert_eq!((told.status, &told.json()["error"]["type"]), (status, &json!(kind)));
    }
    let told = chat("[error:429:7]", json!({}));
    assert_eq!(told.header("retry-after"), "7");
    assert_eq!(told.header("anthropic-ratelimit-requests-remaining"), "0");
    let told = chat("[error:quota]", json!({}));
    assert_eq!(told.json()["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    assert_eq!(told.header("x-should-retry"), "false");
    let told = chat("[error:context]", json!({}));
    assert!(told.events[0].contains("prompt is too long"));
    let status = http::StatusCode::from_u16(529).unwrap();
    let told = take_apart(Anthropic::default().error(status, 1));
    assert_eq!((told.status, told.header("retry-after")), (529, "1"));
}

#[test]
fn models_are_listed() {
    let get = |path: &str| ask(&Anthropic::default(), Method::GET, path, &HEADERS, "");
    let list = get("/v1/models").json();
    assert_eq!(list["has_more"], false);
    assert_eq!(list["first_id"], list["data"][0]["id"]);
    assert_eq!(list["data"][0]["type"], "model");
    let one = get("/v1/models/claude-haiku-4-5").json();
    assert_eq!((&one["id"], &one["max_tokens"]), (&json!("claude-haiku-4-5"), &json!(64000)));
    assert_eq!(get("/v1/models/nothing").status, 404);
}
