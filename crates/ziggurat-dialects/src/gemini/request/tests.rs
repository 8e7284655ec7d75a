//! What Gemini's own requests mean, what requests of others become, and what survives both.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Capabilities, Chat, Content, Dialect, Effort, Error, Expose, Extras, LossPolicy, Losses,
    Members, Message, Operation, OutputFormat, OutputSchema, Part, RawJson, ReasoningMode, Role,
    Source, Str, Target, Tool, ToolCallKind, ToolChoice, ToolKind, Typed,
};

use super::*;
use crate::gemini::GEMINI;
use crate::{ANTHROPIC, OPENAI};

fn try_parse(body: &str) -> Result<Chat, Error> {
    let members = Members::parse(Str::from(body))?;
    match decode(Operation::Chat, &members)? {
        Typed::Chat(chat) => Ok(Arc::unwrap_or_clone(chat)),
        other => panic!("{other:?}"),
    }
}

fn parse(body: &Value) -> Chat {
    try_parse(&body.to_string()).unwrap()
}

fn with(parts: &Value) -> Value {
    json!({"contents": [{"role": "user", "parts": parts}]})
}

fn written(chat: &Chat, source: Option<Dialect>, caps: &Capabilities) -> (Value, Vec<String>) {
    let typed = Typed::Chat(Arc::new(chat.clone()));
    let target = Target::new("gemini-x", caps, source);
    let mut losses = Losses::under(LossPolicy::Allow);
    let sent = encode(&typed, &target, &mut losses).unwrap();
    let losses = losses.found().iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&sent.body).unwrap(), losses)
}

fn newer() -> Capabilities {
    let mut caps = Capabilities::default();
    caps.signed_calls = true;
    caps
}

fn raw(value: &Value) -> RawJson {
    RawJson::parse(Str::from(value.to_string())).unwrap()
}

fn call(id: &str, signature: Option<&str>) -> Part {
    Part::new(Content::ToolCall {
        id: Str::from(id),
        name: Str::from("f"),
        arguments: Str::from("{\"z\":1152921504606846977,\"a\":1.50}"),
        kind: ToolCallKind::Function,
        signature: signature.map(Str::from),
    })
}

fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
    let name = Some(Str::from("f"));
    Part::new(Content::ToolResult { call_id: Str::from(id), name, parts, is_error })
}

// === reading ===

#[test]
fn big_media_share_the_buffer_of_the_body() {
    let body = Str::from(
        r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"iVBORw0KGgo="}}]}]}"#,
    );
    let members = Members::parse(body.clone()).unwrap();
    let Typed::Chat(chat) = decode(Operation::Chat, &members).unwrap() else { panic!() };
    let Content::Image { source: Source::Base64 { data, .. }, .. } =
        &chat.messages[0].parts[0].content
    else {
        panic!()
    };
    assert!(body.as_bytes().as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn what_is_wrong_is_named_as_its_caller_would() {
    for (body, param) in [
        ("{}", "contents"),
        (r#"{"contents":[]}"#, "contents"),
        (r#"{"contents":{}}"#, "contents"),
        (r#"{"contents":[{"role":"system","parts":[]}]}"#, "contents[0].role"),
        (r#"{"contents":[{"parts":[{"text":1}]}]}"#, "contents[0].parts[0].text"),
        (r#"{"contents":[{"parts":[{"inlineData":{}}]}]}"#, "contents[0].parts[0].inlineData.data"),
        (
            r#"{"contents":[{"parts":[{"function_call":{"args":{}}}]}]}"#,
            "contents[0].parts[0].functionCall.name",
        ),
        (
            r#"{"contents":[{"parts":[{"functionResponse":{"name":"f","response":"x"}}]}]}"#,
            "contents[0].parts[0].functionResponse.response",
        ),
        (r#"{"contents":[{}],"generationConfig":{"topK":1.5}}"#, "generationConfig.topK"),
        (
            r#"{"contents":[{}],"generationConfig":{"maxOutputTokens":-1}}"#,
            "generationConfig.maxOutputTokens",
        ),
        (
            r#"{"contents":[{}],"generationConfig":{"responseSchema":{},"responseJsonSchema":{}}}"#,
            "generationConfig.responseJsonSchema",
        ),
        (
            r#"{"contents":[{}],"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (r#"{"contents":[{}],"generationConfig":{},"generation_config":{}}"#, "generationConfig"),
    ] {
        let error = try_parse(body).unwrap_err();
        assert_eq!(error.param(), Some(param), "{body}: {error}");
    }
}

#[test]
fn results_find_their_calls_by_id_by_name_and_by_order() {
    let chat = parse(&json!({"contents": [
        {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": {}}},
            {"functionCall": {"name": "g", "args": {}}},
            {"functionCall": {"name": "f", "args": {}}},
            {"functionCall": {"id": "x", "name": "f"}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "g", "response": {}}},
            {"functionResponse": {"id": "x", "name": "f", "response": {}}},
            {"functionResponse": {"name": "f", "response": {}}},
            {"functionResponse": {"name": "stranger", "response": {}}},
            {"functionResponse": {"name": "f", "response": {}}}]}]}));
    let ids = |message: usize| -> Vec<Str> {
        let parts = &chat.messages[message].parts;
        let id = |part: &Part| match &part.content {
            Content::ToolCall { id, .. } | Content::ToolResult { call_id: id, .. } => id.clone(),
            other => panic!("{other:?}"),
        };
        parts.iter().map(id).collect()
    };
    let (calls, results) = (ids(0), ids(1));
    assert_eq!(results[..4], [&calls[1], &calls[3], &calls[0], &calls[2]].map(Clone::clone));
    assert!(!calls.contains(&results[4]), "it answers no call");
    assert_eq!(calls.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn what_a_tool_answered_is_a_text_or_an_object() {
    let said = |response: Value| {
        let part = json!([{"functionResponse": {"name": "f", "response": response}}]);
        match &parse(&with(&part)).messages[0].parts[0].content {
            Content::ToolResult { parts, is_error, .. } => {
                (parts.iter().filter_map(Part::as_text).collect::<String>(), *is_error)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(json!({"output": "4 C"})), ("4 C".into(), false));
    assert_eq!(said(json!({"error": "timeout"})), ("timeout".into(), true));
    assert_eq!(said(json!({"result": [1, 2]})), (r#"{"result":[1,2]}"#.into(), false));
    assert_eq!(said(json!({"output": {"a": 1}})), (r#"{"output":{"a":1}}"#.into(), false));
    assert_eq!(said(json!({})), (String::new(), false));
}

#[test]
fn thinking_that_came_in_pieces_is_put_together_up_to_its_signature() {
    let chat = parse(&json!({"contents": [{"role": "model", "parts": [
        {"text": "H", "thought": true}, {"text": "m.", "thought": true},
        {"text": "", "thoughtSignature": "RXFRQg=="}, {"text": "Next", "thought": true},
        {"text": "So."}]}]}));
    let texts: Vec<_> = chat.messages[0]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::Reasoning { text, signature, .. } => (text.to_string(), signature.is_some()),
            content => (format!("{content:?}"), false),
        })
        .collect();
    assert_eq!(texts[0], ("Hm.".to_owned(), true));
    assert_eq!(texts[1], ("Next".to_owned(), false));
    assert_eq!(chat.messages[0].parts[2].as_text(), Some("So."));
}

#[test]
fn an_answer_that_was_kept_in_chunks_is_one_turn() {
    // Google's own client keeps each chunk of a stream as a content.
    let model = |part: Value| json!({"role": "model", "parts": [part]});
    let chat = parse(&json!({"contents": [
        {"role": "user", "parts": [{"text": "Hi"}]},
        model(json!({"text": "H", "thought": true})), model(json!({"text": "m", "thought": true})),
        model(json!({"text": "", "thoughtSignature": "RXFRQg=="})),
        model(json!({"text": "Hello"})), model(json!({"text": " "})), model(json!({"text": "you"})),
        model(json!({"text": ""})),
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]}));
    assert_eq!(chat.messages.len(), 3);
    let parts = &chat.messages[1].parts;
    assert_eq!(parts.len(), 2);
    let Content::Reasoning { text, signature: Some(_), .. } = &parts[0].content else { panic!() };
    assert_eq!(text, "Hm");
    assert_eq!(parts[1].as_text(), Some("Hello you"));
    assert_eq!(chat.messages[2].at, Some(8));
    assert_eq!(chat.messages[2].parts.len(), 2);
}

#[test]
fn a_token_count_may_be_wrapped() {
    let inner = json!({"model": "models/x", "contents": [{"parts": [{"text": "Hi"}]}],
        "system_instruction": {"parts": [{"text": "S"}]}});
    for body in [
        inner.clone(),
        json!({"generateContentRequest": inner}),
        json!({"generate_content_request": inner}),
    ] {
        let members = Members::parse(Str::from(body.to_string())).unwrap();
        let typed = decode(Operation::CountTokens, &members).unwrap();
        assert_eq!(typed.chat().unwrap().system.len(), 1);
        let caps = Capabilities::default();
        let target = Target::new("gemini-x", &caps, Some(GEMINI));
        let sent = encode(&typed, &target, &mut Losses::default()).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(sent["generateContentRequest"]["model"], "models/gemini-x");
    }
}

// === writing ===

#[test]
fn signatures_go_to_the_model_that_made_them_and_to_no_other() {
    let mine = crate::origin::mark(Some("gemini-x"), "TWluZQ==").into_owned();
    let other = crate::origin::mark(Some("claude-opus-5"), "RXFRQg==").into_owned();
    let thought = |signature: &str| {
        let signature = Some(Str::from(signature));
        Part::new(Content::Reasoning { text: Str::from("Hm."), signature, redacted: None })
    };
    let mut chat = Chat::new();
    chat.messages = vec![
        Message::text(Role::User, "Go."),
        Message::new(
            Role::Assistant,
            vec![
                thought(&mine),
                thought(&other),
                thought("AAAA"),
                call("a", Some(&mine)),
                call("b", Some(&other)),
            ],
        ),
        Message::new(Role::Tool, vec![result("a", vec![], false), result("b", vec![], false)]),
    ];
    let (sent, losses) = written(&chat, Some(OPENAI), &newer());
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["thoughtSignature"], "TWluZQ==");
    assert_eq!(parts[1]["thoughtSignature"], "TWluZQ==");
    assert!(parts[2].get("thoughtSignature").is_none());
    assert!(!sent.to_string().contains("zig1."), "{sent}");
    assert_eq!(losses, ["messages=dropped"]);
    // The first call of a step needs one: where none is left, the check is skipped.
    chat.messages[1].parts = vec![call("a", Some(&other)), call("b", None)];
    let (sent, _) = written(&chat, Some(OPENAI), &newer());
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    assert_eq!(parts[0]["thoughtSignature"], crate::gemini::signature::SKIP);
    assert!(parts[1].get("thoughtSignature").is_none());
}

#[test]
fn what_tools_show_stands_where_the_model_takes_it() {
    let picture = Part::new(Content::Image {
        source: Source::Base64 {
            media_type: Str::from("image/png"),
            data: Str::from("iVBORw0KGgo="),
        },
        detail: None,
    });
    let mut chat = Chat::new();
    chat.messages = vec![
        Message::text(Role::User, "Go."),
        Message::new(Role::Assistant, vec![call("a", None)]),
        Message::new(
            Role::User,
            vec![result("a", vec![Part::text("Here."), picture], false), Part::text("So?")],
        ),
    ];
    let (sent, _) = written(&chat, Some(ANTHROPIC), &newer());
    let response = &sent["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(response["response"], json!({"output": "Here."}));
    assert_eq!(response["parts"][0]["inlineData"]["mimeType"], "image/png");
    assert_eq!(sent["contents"].as_array().unwrap().len(), 4);

    let (sent, losses) = written(&chat, Some(ANTHROPIC), &Capabilities::default());
    let contents = sent["contents"].as_array().unwrap();
    assert_eq!(contents.len(), 5);
    // As many results as there were calls stand in one content, and nothing else.
    assert_eq!(contents[2]["parts"].as_array().unwrap().len(), 1);
    assert_eq!(contents[3]["parts"][1]["inlineData"]["mimeType"], "image/png");
    assert_eq!(contents[4]["parts"][0]["text"], "So?");
    assert_eq!(losses, ["messages=emulated"]);
}

#[test]
fn a_call_without_a_wish_to_think_says_nothing_of_it() {
    let mut chat = Chat::new();
    chat.messages = vec![Message::text(Role::User, "Hi")];
    let (sent, losses) = written(&chat, Some(OPENAI), &Capabilities::default());
    assert_eq!(sent, json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}));
    assert!(losses.is_empty());
}

#[test]
fn budgets_fit_between_the_bounds_of_the_model() {
    let mut caps = Capabilities::default();
    caps.least_budget = Some(512);
    caps.most_budget = Some(24_576);
    for (budget, sent) in [(100, 512), (4096, 4096), (50_000, 24_576)] {
        let mut chat = Chat::new();
        chat.messages = vec![Message::text(Role::User, "Hi")];
        chat.reasoning.mode = Some(ReasoningMode::On);
        chat.reasoning.budget_tokens = Some(budget);
        let (body, losses) = written(&chat, Some(ANTHROPIC), &caps);
        let config = &body["generationConfig"]["thinkingConfig"];
        assert_eq!(config["thinkingBudget"], sent);
        assert_eq!(losses.is_empty(), budget == sent);
    }
}

#[test]
fn a_message_that_holds_nothing_for_this_dialect_is_refused_if_it_is_the_only_one() {
    let mut chat = Chat::new();
    chat.messages = vec![Message::new(Role::User, vec![Part::text("")])];
    let typed = Typed::Chat(Arc::new(chat));
    let caps = Capabilities::default();
    let target = Target::new("gemini-x", &caps, Some(GEMINI));
    let error = encode(&typed, &target, &mut Losses::default()).unwrap_err();
    assert_eq!(error.param(), Some("contents"));
}

// === what survives ===

fn word() -> impl Strategy<Value = Str> {
    "[a-zA-Z][a-zA-Z0-9 \"\\\\é\n]{0,12}[a-z]".prop_map(Str::from)
}

fn name() -> impl Strategy<Value = Str> {
    "[a-z][a-z0-9_]{0,8}".prop_map(Str::from)
}

fn own(mut part: Part, extra: bool) -> Part {
    if extra {
        part.extras = Extras::of(GEMINI);
        part.extras.push(Str::from("videoMetadata"), RawJson::EMPTY_OBJECT);
    }
    part
}

fn media() -> impl Strategy<Value = Part> {
    let base64 = |media_type: &'static str, data: &'static str| Source::Base64 {
        media_type: Str::from_static(media_type),
        data: Str::from_static(data),
    };
    let content = prop_oneof![
        Just(Content::Image { source: base64("image/png", "iVBORw0KGgoAAAAN"), detail: None }),
        Just(Content::Audio { source: base64("audio/wav", "UklGRgAAAABXQVZF") }),
        Just(Content::Video { source: Source::Url(Str::from("https://youtu.be/x")) }),
        name().prop_map(|name| Content::Image {
            source: Source::Url(format!("https://a.test/{name}.png").into()),
            detail: None
        }),
        (name(), option::of(word())).prop_map(move |(name, title)| match title {
            Some(title) => Content::Document {
                source: base64("application/pdf", "JVBERi0xLjcK"),
                title: Some(title),
                context: None,
                citations: None
            },
            None => Content::Document {
                source: Source::File(format!("gs://b/{name}").into()),
                title: None,
                context: None,
                citations: None
            },
        }),
    ];
    (content, any::<bool>()).prop_map(|(content, extra)| own(Part::new(content), extra))
}

fn thought() -> impl Strategy<Value = Part> {
    (word(), "[A-D]{4}").prop_map(|(text, signature)| {
        let signature = Some(Str::from(signature));
        let mut part = Part::new(Content::Reasoning { text, signature, redacted: None });
        part.extras.dialect = Some(GEMINI);
        part
    })
}

fn opaque() -> impl Strategy<Value = Part> {
    word().prop_map(|code| {
        let value = raw(&json!({"executableCode": {"code": code.as_str()}}));
        let mut part = Part::new(Content::Opaque { kind: Str::from("executableCode"), value });
        part.extras = Extras::of(GEMINI);
        part
    })
}

fn user() -> impl Strategy<Value = Message> {
    let part = prop_oneof![word().prop_map(Part::text), media()];
    vec(part, 1..4).prop_map(|parts| Message::new(Role::User, parts))
}

/// A turn with calls, and their results.
fn turn() -> impl Strategy<Value = Vec<Message>> {
    let said = prop_oneof![word().prop_map(Part::text), thought(), opaque()];
    let answer = prop_oneof![
        word().prop_map(|text| (vec![Part::text(text)], false)),
        word().prop_map(|text| (vec![Part::text(text)], true)),
        Just((vec![Part::text(r#"{"temp":4}"#)], false)),
        Just((vec![], false)),
    ];
    let calls = vec((option::of("[A-D]{4}"), answer), 0..3);
    (vec(said, 1..3), calls).prop_map(|(mut parts, calls)| {
        let mut results = Vec::new();
        for (at, (signature, (answer, is_error))) in calls.into_iter().enumerate() {
            let id = format!("fc-{at}");
            parts.push(call(&id, signature.as_deref()));
            results.push(result(&id, answer, is_error));
        }
        let mut messages = vec![Message::new(Role::Assistant, parts)];
        if !results.is_empty() {
            messages.push(Message::new(Role::User, results));
        }
        messages
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    let function =
        (name(), option::of(word()), any::<bool>()).prop_map(|(name, description, takes)| {
            let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
            let mut tool = Tool::function(name, takes.then(|| raw(&schema)));
            tool.description = description;
            tool
        });
    let server = Just({
        let name = Str::from("googleSearch");
        let value = raw(&json!({"googleSearch": {}}));
        let mut tool = Tool::new(name.clone(), ToolKind::Server { server_type: name, value });
        tool.extras = Extras::of(GEMINI);
        tool
    });
    prop_oneof![4 => function, 1 => server]
}

fn chat() -> impl Strategy<Value = Chat> {
    let numbers = (
        option::of(0u32..20),
        option::of(1u64..100),
        option::of(any::<i32>()),
        option::of(1u32..8),
        option::of(0u8..20),
    );
    let thinking = (0..5u8, option::of(any::<bool>()));
    let form = 0..3u8;
    (
        vec(word(), 0..2),
        user(),
        vec(turn(), 0..3),
        vec(tool(), 0..4),
        numbers,
        thinking,
        form,
        any::<bool>(),
    )
        .prop_map(|(system, first, turns, mut tools, numbers, (mode, shown), form, extra)| {
            let mut chat = Chat::new();
            chat.system = system.into_iter().map(Part::text).collect();
            // A turn that called nothing is answered by the user: two in a row are one.
            let turns = turns.into_iter().flat_map(|mut turn| {
                if turn.len() == 1 {
                    turn.push(Message::text(Role::User, "Go on."));
                }
                turn
            });
            chat.messages = std::iter::once(first).chain(turns).collect();
            for (at, message) in chat.messages.iter_mut().enumerate() {
                *message = message.clone().at(at);
            }
            // Two tools have two names, and the provider's own stand last.
            tools.sort_by_key(|tool| matches!(tool.kind, ToolKind::Server { .. }));
            let mut seen = std::collections::BTreeSet::new();
            tools.retain(|tool| seen.insert(tool.name.clone()));
            let named: Vec<Str> = tools
                .iter()
                .filter(|tool| matches!(tool.kind, ToolKind::Function { .. }))
                .map(|tool| tool.name.clone())
                .collect();
            chat.tool_choice = match named.len() {
                0 => None,
                1 => Some(ToolChoice::Tool { name: named[0].clone() }),
                2 => Some(ToolChoice::Any),
                _ => Some(ToolChoice::Allowed { required: true, names: named }),
            };
            chat.tools = tools;
            let (warm, top_k, seed, n, logprobs) = numbers;
            chat.sampling.temperature = warm.map(|tenths| f64::from(tenths) / 10.0);
            chat.sampling.top_k = top_k;
            chat.sampling.seed = seed.map(i64::from);
            chat.max_output_tokens = top_k;
            chat.n = n.filter(|n| *n > 1);
            chat.logprobs = logprobs;
            chat.stop = warm.map(|_| vec![Str::from("END")]).unwrap_or_default();
            chat.reasoning.expose =
                shown.map(|shown| if shown { Expose::Summary } else { Expose::Nothing });
            match mode {
                0 => chat.reasoning.mode = Some(ReasoningMode::Off),
                1 => chat.reasoning.mode = Some(ReasoningMode::Auto),
                2 => {
                    chat.reasoning.mode = Some(ReasoningMode::On);
                    chat.reasoning.budget_tokens = Some(2048);
                }
                3 => chat.reasoning.effort = Some(Effort::High),
                _ => {}
            }
            chat.output = match form {
                0 => OutputFormat::Json,
                1 => OutputFormat::Schema(OutputSchema::new(raw(&json!({"type": "object"})))),
                _ => OutputFormat::Text,
            };
            if extra {
                chat.extras = Extras::of(GEMINI);
                chat.extras.push(Str::from("safetySettings"), raw(&json!([])));
                chat.service_tier = Some(Str::from("flex"));
                chat.store = Some(false);
            }
            chat
        })
}

proptest! {
    #[test]
    fn whatever_this_dialect_can_say_survives_being_written_and_read(chat in chat()) {
        let typed = Typed::Chat(Arc::new(chat.clone()));
        let caps = newer();
        let target = Target::new("gemini-x", &caps, Some(GEMINI));
        let mut losses = Losses::under(LossPolicy::Refuse);
        let sent = encode(&typed, &target, &mut losses).unwrap();
        let body = Str::from_utf8(sent.body).unwrap();
        let back = try_parse(&body).unwrap();
        prop_assert_eq!(back, chat, "{}", body);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z{}\\[\\]\":,0-9 _]{0,60}") {
        for body in [text.clone(), format!("{{\"contents\":[{{\"parts\":[{{{text}}}]}}]}}")] {
            if let Ok(members) = Members::parse(Str::from(body)) {
                for operation in [Operation::Chat, Operation::CountTokens, Operation::Models] {
                    drop(decode(operation, &members));
                }
            }
        }
    }
}
