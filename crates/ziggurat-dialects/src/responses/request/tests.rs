//! Requests there and back.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Capabilities, Chat, Content, Dialect, Error, LossPolicy, Losses, Members, Operation, Part,
    Role, Str, Target, ToolChoice, ToolKind, Typed,
};

use super::*;
use crate::{ANTHROPIC, OPENAI, RESPONSES};

fn try_read(body: &Value) -> Result<Arc<Chat>, Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    match decode(Operation::Chat, &members)? {
        Typed::Chat(chat) => Ok(chat),
        other => panic!("{other:?}"),
    }
}

fn read(body: &Value) -> Arc<Chat> {
    try_read(body).unwrap()
}

fn write(chat: &Arc<Chat>, source: Option<Dialect>) -> (Value, Vec<String>) {
    let capabilities = Capabilities::default();
    write_to(chat, &Target::new("m", &capabilities, source)).unwrap()
}

fn write_to(chat: &Arc<Chat>, target: &Target<'_>) -> Result<(Value, Vec<String>), Error> {
    let mut losses = Losses::default();
    let sent = encode(&Typed::Chat(Arc::clone(chat)), target, &mut losses)?;
    let losses = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&sent.body).unwrap(), losses))
}

fn input(items: Value) -> Value {
    json!({"model": "x", "input": items})
}

// === reading ===

#[test]
fn a_fault_is_named_where_it_stands() {
    for (body, param, code) in [
        (json!({"model": "x"}), "input", "missing_required_parameter"),
        (input(json!([])), "input", "empty_array"),
        (input(json!(5)), "input", "invalid_type"),
        (input(json!([5])), "input[0]", "invalid_type"),
        (input(json!([{}])), "input[0].type", "missing_required_parameter"),
        (input(json!([{"role": "robot", "content": "x"}])), "input[0].role", "invalid_value"),
        (input(json!([{"role": "user"}])), "input[0].content", "missing_required_parameter"),
        (
            input(json!([{"role": "user", "content": [{"type": "input_text"}]}])),
            "input[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            input(json!([{"type": "function_call", "name": "f", "arguments": "{}"}])),
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            input(json!([{"type": "function_call_output", "output": "x"}])),
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function"}]}),
            "tools[0].name",
            "missing_required_parameter",
        ),
        (json!({"input": "x", "tool_choice": "some"}), "tool_choice", "invalid_value"),
        (
            json!({"input": "x", "text": {"format": {"type": "xml"}}}),
            "text.format.type",
            "invalid_value",
        ),
        (
            json!({"input": "x", "reasoning": {"effort": "huge"}}),
            "reasoning.effort",
            "invalid_value",
        ),
        (json!({"input": "x", "temperature": "hot"}), "temperature", "invalid_type"),
        (json!({"input": "x", "include": "all"}), "include", "invalid_type"),
        (json!({"input": "x", "background": 1}), "background", "invalid_type"),
    ] {
        let error = try_read(&body).unwrap_err();
        assert_eq!((error.param(), error.code()), (Some(param), Some(code)), "{body}: {error}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn null_is_absent() {
    let names = [
        "instructions",
        "tools",
        "tool_choice",
        "temperature",
        "text",
        "reasoning",
        "metadata",
        "previous_response_id",
        "include",
        "background",
    ];
    let mut body = json!({"model": "x", "input": "Hi"});
    for name in names {
        body[name] = Value::Null;
    }
    assert_eq!(read(&body), read(&json!({"model": "x", "input": "Hi"})));
}

#[test]
fn a_turn_of_the_assistant_is_one_message() {
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let call = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"});
    let thought = json!({"type": "reasoning", "summary": [], "encrypted_content": "g"});
    let answer = json!({"type": "function_call_output", "call_id": "a", "output": "x"});
    let user = json!({"role": "user", "content": "Go."});
    let roles = |items: Value| {
        let chat = read(&input(items));
        let messages = chat.messages.iter();
        messages.map(|message| (message.role, message.parts.len())).collect::<Vec<_>>()
    };
    use Role::{Assistant, Tool, User};
    assert_eq!(
        roles(json!([user, thought, said("a"), call, answer])),
        [(User, 1), (Assistant, 3), (Tool, 1)]
    );
    // A call before the words belongs to the same turn, or its result would not follow it.
    assert_eq!(
        roles(json!([user, call, said("a"), answer])),
        [(User, 1), (Assistant, 2), (Tool, 1)]
    );
    assert_eq!(
        roles(json!([user, said("a"), said("b")])),
        [(User, 1), (Assistant, 1), (Assistant, 1)]
    );
}

#[test]
fn what_the_operator_says_first_is_the_system_prompt() {
    let chat = read(&json!({"input": [{"role": "developer", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "system", "content": "d"}], "instructions": "a"}));
    let system: Vec<_> = chat.system.iter().filter_map(Part::as_text).collect();
    assert_eq!(system, ["a", "b"]);
    assert_eq!(chat.messages.len(), 2);
    assert_eq!(chat.messages[1].role, Role::System);
}

#[test]
fn what_the_provider_keeps_may_stand_for_the_input() {
    for name in ["previous_response_id", "conversation", "prompt"] {
        let mut body = json!({"model": "x"});
        body[name] = json!("x");
        assert!(try_read(&body).is_ok(), "{name}");
    }
}

#[test]
fn tools_of_every_kind_are_read() {
    let chat = read(&json!({"input": "x", "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true, "x": 1},
        {"type": "custom", "name": "c", "format": {"type": "text"}},
        {"type": "web_search", "filters": {}},
        {"type": "mcp", "server_label": "s"}],
        "tool_choice": {"type": "function", "name": "f"}}));
    assert!(matches!(&chat.tools[0].kind, ToolKind::Function { parameters: Some(_) }));
    assert_eq!(chat.tools[0].strict, Some(true));
    assert_eq!(chat.tools[0].extras.get("x").unwrap().get(), "1");
    assert!(matches!(&chat.tools[1].kind, ToolKind::Custom { format: Some(_) }));
    assert_eq!(chat.tools[2].name, "web_search");
    assert!(matches!(&chat.tools[3].kind, ToolKind::Server { .. }));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Tool { name: "f".into() }));
}

// === writing ===

#[test]
fn nothing_is_kept_unless_the_caller_says_so() {
    let chat = read(&json!({"input": "x"}));
    assert_eq!(write(&chat, Some(RESPONSES)).0.get("store"), None);
    assert_eq!(write(&chat, Some(ANTHROPIC)).0["store"], false);
    assert_eq!(write(&chat, None).0["store"], false);
    let kept = read(&json!({"input": "x", "store": true}));
    assert_eq!(write(&kept, Some(OPENAI)).0["store"], true);
}

#[test]
fn reasoning_goes_back_to_the_model_that_it_came_from_and_to_no_other() {
    let thought = |made: &str| {
        input(json!([{"role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "encrypted_content": made,
             "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"role": "assistant", "content": "So."}]))
    };
    let sent = |made: &str, source| {
        let (body, losses) = write(&read(&thought(made)), source);
        let item =
            body["input"].as_array().unwrap().iter().find(|i| i["type"] == "reasoning").cloned();
        (item.map(|item| item["encrypted_content"].clone()), losses)
    };
    // The model is called `m`.
    assert_eq!(sent("gAAA", Some(RESPONSES)).0, Some(json!("gAAA")));
    assert_eq!(sent("zig1.bQ==.gAAA", Some(RESPONSES)).0, Some(json!("gAAA")));
    assert_eq!(sent("zig1.bQ==.gAAA", Some(OPENAI)).0, Some(json!("gAAA")));
    for (made, source) in
        [("gAAA", OPENAI), ("zig1.b3RoZXI=.gAAA", RESPONSES), ("zig1.bQ==", RESPONSES)]
    {
        let (item, losses) = sent(made, Some(source));
        assert_eq!(item, None, "{made} {source}");
        assert_eq!(
            losses,
            ["input[1]=dropped"].map(|loss| match source == OPENAI {
                true => loss.replace("input", "messages"),
                false => loss.to_owned(),
            })
        );
    }
}

#[test]
fn a_model_that_reasons_is_asked_for_what_can_be_sent_back() {
    let chat = read(&json!({"input": "x", "temperature": 0.5}));
    let mut capabilities = Capabilities::default();
    capabilities.reasoning_model = true;
    let (body, losses) = write_to(&chat, &Target::new("m", &capabilities, Some(OPENAI))).unwrap();
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(losses, ["temperature=dropped"]);
    // Who speaks this dialect asks for it.
    let (body, _) = write_to(&chat, &Target::new("m", &capabilities, Some(RESPONSES))).unwrap();
    assert_eq!(body.get("include"), None);
    // What cannot be sent back is not asked for where the provider keeps it.
    let kept = read(&json!({"input": "x", "store": true}));
    let (body, _) = write_to(&kept, &Target::new("m", &capabilities, Some(OPENAI))).unwrap();
    assert_eq!(body.get("include"), None);
}

#[test]
fn too_few_tokens_are_as_few_as_can_be() {
    let chat = read(&json!({"input": "x", "max_output_tokens": 5}));
    let (body, losses) = write(&chat, Some(ANTHROPIC));
    assert_eq!(body["max_output_tokens"], 16);
    assert_eq!(losses, ["max_tokens=clamped"]);
    assert_eq!(write(&chat, Some(RESPONSES)).0["max_output_tokens"], 5);
}

#[test]
fn only_what_is_counted_is_sent_to_be_counted() {
    let chat = read(&json!({"input": "x", "instructions": "s", "temperature": 0.5, "stream": true,
        "max_output_tokens": 50, "tools": [{"type": "function", "name": "f", "parameters": {}}]}));
    let capabilities = Capabilities::default();
    let target = Target::new("m", &capabilities, Some(ANTHROPIC));
    let sent = encode(&Typed::CountTokens(chat), &target, &mut Losses::default()).unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let mut names: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["input", "instructions", "model", "tools"]);
}

#[test]
fn harmless_losses_are_refused_where_nothing_may_be_lost() {
    let chat = read(&json!({"input": "x"}));
    let mut chat = Arc::unwrap_or_clone(chat);
    chat.sampling.seed = Some(1);
    let capabilities = Capabilities::default();
    let target = Target::new("m", &capabilities, Some(OPENAI));
    let mut losses = Losses::under(LossPolicy::Refuse);
    let error = encode(&Typed::Chat(Arc::new(chat)), &target, &mut losses).unwrap_err();
    assert_eq!(error.param(), Some("seed"));
}

// === there and back ===

fn any_part() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zä\"]{1,6}".prop_map(|text| json!({"type": "input_text", "text": text})),
        Just(json!({"type": "input_image", "image_url": "https://a.test/b.png", "detail": "low"})),
        Just(
            json!({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"})
        ),
        Just(json!({"type": "input_image", "file_id": "file-1", "detail": "auto"})),
        Just(
            json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="})
        ),
        Just(json!({"type": "input_file", "file_url": "https://a.test/a.pdf"})),
        Just(
            json!({"type": "input_audio", "input_audio": {"data": "UklGRgAAAABXQVZF", "format": "wav"}})
        ),
        Just(json!({"type": "novel", "x": 1.50})),
    ]
}

fn any_item() -> impl Strategy<Value = Value> {
    let parts = || prop::collection::vec(any_part(), 1..3);
    prop_oneof![
        parts().prop_map(|parts| json!({"type": "message", "role": "user", "content": parts})),
        "[a-z]{1,6}".prop_map(|text| json!({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": text, "annotations": [
                {"type": "file_citation", "file_id": "f", "filename": "a", "index": 0}]}]})),
        Just(json!({"type": "message", "role": "assistant", "phase": "commentary",
            "content": [{"type": "refusal", "refusal": "No."}]})),
        Just(
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go."}]})
        ),
        "[ab]".prop_map(|id| json!({"type": "function_call", "call_id": id, "name": "f",
            "arguments": "{\"z\":1152921504606846977,\"a\":1.50}"})),
        Just(
            json!({"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"})
        ),
        "[ab]".prop_map(|id| json!({"type": "function_call_output", "call_id": id, "output": "x"})),
        parts().prop_map(
            |parts| json!({"type": "function_call_output", "call_id": "a", "output": parts})
        ),
        Just(json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "g",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]})),
        Just(json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "h"})),
        Just(json!({"type": "reasoning", "id": "rs_3", "summary": []})),
        Just(json!({"type": "web_search_call", "id": "ws_1", "status": "completed"})),
        Just(json!({"type": "item_reference", "id": "msg_0"})),
    ]
}

proptest! {
    #[test]
    fn what_is_understood_goes_there_and_back(items in prop::collection::vec(any_item(), 1..8)) {
        let body = input(Value::Array(items));
        let chat = read(&body);
        let (written, losses) = write(&chat, Some(RESPONSES));
        prop_assert_eq!(losses, Vec::<String>::new());
        // Places in a list are places of items: what is written anew has the same.
        prop_assert_eq!(&read(&written), &chat);
    }

    #[test]
    fn what_others_can_say_comes_back(
        text in "[a-z]{1,6}",
        arguments in prop::sample::select(vec!["{}", "{\"z\":1152921504606846977,\"a\":[1.50]}"]),
        by in prop::sample::select(vec![OPENAI, ANTHROPIC]),
    ) {
        let items = json!([
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "So.", "annotations": []}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": arguments},
            {"type": "function_call_output", "call_id": "a", "output": "x"}]);
        let body = json!({"model": "m", "instructions": "Be terse.", "input": items,
            "max_output_tokens": 50, "temperature": 0.5, "store": false, "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}},
                 "strict": false}], "tool_choice": "auto"});
        let capabilities = Capabilities::default();
        let there = by.encode_request(&Typed::Chat(read(&body)),
            &Target::new("m", &capabilities, Some(RESPONSES)), &mut Losses::default()).unwrap();
        let members = Members::parse(Str::from_utf8(there.body).unwrap()).unwrap();
        let typed = by.decode_request(Operation::Chat, &members).unwrap();
        let (back, _) = write(typed.chat().unwrap(), Some(by));
        prop_assert_eq!(back, body);
    }
}

#[test]
fn parts_that_nobody_knows_stay_where_they_stood() {
    let items = json!([{"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "a", "annotations": []}, {"type": "novel", "x": 1.50}]}]);
    let chat = read(&input(items.clone()));
    assert!(matches!(&chat.messages[0].parts[1].content, Content::Opaque { .. }));
    assert_eq!(write(&chat, Some(RESPONSES)).0["input"], items);
}
