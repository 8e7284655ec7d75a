use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Capabilities, Chat, Content, Effort, Error, LossPolicy, Losses, Members, Operation, Part,
    ReasoningMode, Role, Source, Str, Target, Typed,
};

use crate::{ANTHROPIC, OLLAMA, OPENAI};

fn decode(body: &Value) -> Result<Typed, Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    OLLAMA.decode_request(Operation::Chat, &members)
}

fn chat(body: &Value) -> Chat {
    Chat::clone(decode(body).unwrap().chat().unwrap())
}

/// A request as an Ollama server gets it from a caller of `source`, and what was lost.
fn sent(
    request: &Typed,
    source: ziggurat_core::Dialect,
    capabilities: &Capabilities,
) -> Result<(Value, Vec<String>), Error> {
    let target = Target::new("m", capabilities, Some(source));
    let mut losses = Losses::under(LossPolicy::Default);
    let encoded = OLLAMA.encode_request(request, &target, &mut losses)?;
    let losses = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), losses))
}

/// What comes out for its own dialect.
fn again(body: &Value) -> Value {
    let (sent, losses) = sent(&decode(body).unwrap(), OLLAMA, &Capabilities::default()).unwrap();
    assert_eq!(losses, [""; 0]);
    sent
}

fn from_openai(body: &Value) -> Result<(Value, Vec<String>), Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let request = OPENAI.decode_request(Operation::Chat, &members).unwrap();
    sent(&request, OPENAI, &Capabilities::default())
}

fn ask(members: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let body_members = body.as_object_mut().unwrap();
    body_members.extend(members.as_object().unwrap().clone());
    body
}

fn everything() -> Value {
    json!({
        "model": "m", "stream": false, "think": "medium", "keep_alive": "5m",
        "format": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "system", "content": "And polite.", "note": 1},
            {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo="]},
            {"role": "assistant", "content": "", "thinking": "Call it.", "tool_calls": [
                {"id": "call_1", "function":
                    {"index": 0, "name": "get_weather", "arguments": {"city": "Oslo"}}}]},
            {"role": "tool", "content": "4 C", "tool_name": "get_weather", "tool_call_id": "call_1"},
            {"role": "system", "content": "Hurry."},
            {"role": "user", "content": "Well?", "seen": true}],
        "tools": [{"type": "function", "hint": 7, "function": {"name": "get_weather",
            "description": "Weather", "x": [1], "parameters": {"type": "object",
                "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
        "options": {"temperature": 0.8, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": 7,
            "num_predict": 256, "num_ctx": 8192, "stop": ["END"], "repeat_penalty": 1.1,
            "presence_penalty": 0.5, "frequency_penalty": 0.25},
        "logprobs": true, "top_logprobs": 3, "truncate": true, "shift": false
    })
}

#[test]
fn what_is_said_goes_out_as_it_came() {
    assert_eq!(again(&everything()), everything());
}

#[test]
fn what_is_said_is_understood() {
    let chat = chat(&everything());
    assert_eq!(chat.system.len(), 2);
    assert_eq!(
        chat.messages[0].parts[0].content,
        Content::Image {
            source: Source::Base64 { media_type: "image/png".into(), data: "iVBORw0KGgo=".into() },
            detail: None,
        }
    );
    assert_eq!(chat.max_output_tokens, Some(256));
    assert_eq!(chat.sampling.repetition_penalty, Some(1.1));
    assert_eq!(chat.reasoning.effort, Some(Effort::Medium));
    assert_eq!(chat.logprobs, Some(3));
    assert_eq!(chat.messages[3].role, Role::System);
    let mut extras: Vec<&str> = chat.extras.members.iter().map(|(name, _)| name.as_str()).collect();
    extras.sort_unstable();
    assert_eq!(extras, ["keep_alive", "options.num_ctx", "shift", "truncate"]);
}

#[test]
fn an_answer_comes_in_pieces_unless_its_caller_says_otherwise() {
    assert!(chat(&ask(&json!({}))).stream);
    assert!(chat(&ask(&json!({"stream": null}))).stream);
    assert!(!chat(&ask(&json!({"stream": false}))).stream);
    // And a provider is always told.
    assert_eq!(again(&ask(&json!({})))["stream"], true);
}

#[test]
fn thinking_has_a_switch_and_words() {
    for (think, mode, effort) in [
        (json!(true), Some(ReasoningMode::On), None),
        (json!(false), Some(ReasoningMode::Off), None),
        (json!("max"), None, Some(Effort::Max)),
        (json!(null), None, None),
    ] {
        let chat = chat(&ask(&json!({"think": think})));
        assert_eq!((chat.reasoning.mode, chat.reasoning.effort), (mode, effort), "{think}");
        assert_eq!(again(&ask(&json!({"think": think})))["think"], think);
    }
}

#[test]
fn a_fault_is_named_by_its_place() {
    for (members, field) in [
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"content": "hi"}]}), "messages.0.role"),
        (json!({"messages": [{"role": "robot"}]}), "messages.0.role"),
        (json!({"messages": [{"role": "user", "content": ["hi"]}]}), "messages.0.content"),
        (json!({"messages": [{"role": "user", "images": [7]}]}), "messages.0.images.0"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}),
            "messages.0.tool_calls.0.function.name",
        ),
        (json!({"stream": "yes"}), "stream"),
        (json!({"think": "hard"}), "think"),
        (json!({"think": 3}), "think"),
        (json!({"format": "xml"}), "format"),
        (json!({"options": {"seed": 1.5}}), "options.seed"),
        (json!({"options": {"stop": [1]}}), "options.stop.0"),
        (json!({"tools": [{"type": "function"}]}), "tools.0.function"),
        (
            json!({"tools": [{"function": {"name": "f", "parameters": 1}}]}),
            "tools.0.function.parameters",
        ),
    ] {
        let error = decode(&ask(&members)).unwrap_err();
        assert_eq!(error.param(), Some(field), "{members}");
        assert_eq!(error.status(), 400);
    }
    let members = Members::parse(Str::from(r#"{"model":"m"}"#)).unwrap();
    let error = OLLAMA.decode_request(Operation::Chat, &members).unwrap_err();
    assert_eq!(error.param(), Some("messages"));
}

#[test]
fn a_number_that_is_none_of_tokens_stays_as_it_is() {
    let body = ask(&json!({"stream": true, "options": {"num_predict": -1}}));
    assert_eq!(chat(&body).max_output_tokens, None);
    assert_eq!(again(&body), body);
    let whole = ask(&json!({"options": {"num_predict": 256.0, "stop": "END"}}));
    assert_eq!(chat(&whole).max_output_tokens, Some(256));
    assert_eq!(chat(&whole).stop, ["END"]);
}

fn ids(chat: &Chat) -> (Vec<&str>, Vec<&str>) {
    let parts = || chat.messages.iter().flat_map(|message| &message.parts);
    let calls = parts().filter_map(|part| match &part.content {
        Content::ToolCall { id, .. } => Some(id.as_str()),
        _ => None,
    });
    let results = parts().filter_map(|part| match &part.content {
        Content::ToolResult { call_id, .. } => Some(call_id.as_str()),
        _ => None,
    });
    (calls.collect(), results.collect())
}

#[test]
fn calls_without_ids_are_given_some_and_results_find_them() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let result = |name: Option<&str>| match name {
        Some(name) => json!({"role": "tool", "content": "x", "tool_name": name}),
        None => json!({"role": "tool", "content": "x"}),
    };
    let turns = |results: &[Value]| {
        let mut messages = vec![
            json!({"role": "user", "content": "hi"}),
            json!({"role": "assistant", "tool_calls": [call("a"), call("b"), call("a")]}),
        ];
        messages.extend_from_slice(results);
        json!({"model": "m", "messages": messages})
    };
    // By order, by tool, and two calls of one tool by their order.
    for (results, order) in [
        ([None, None, None], [0, 1, 2]),
        ([Some("b"), Some("a"), Some("a")], [1, 0, 2]),
        ([Some("a"), Some("b"), Some("a")], [0, 1, 2]),
    ] {
        let chat = chat(&turns(&results.map(result)));
        let (calls, answered) = ids(&chat);
        assert_eq!(answered, order.map(|at| calls[at]));
        let distinct: std::collections::BTreeSet<_> = calls.iter().collect();
        assert_eq!(distinct.len(), 3);
    }
    // The same conversation gives the same ids, one turn later too.
    let body = turns(&[result(None), result(None), result(None)]);
    let mut longer = body.clone();
    longer["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": "and?"}));
    let (before, after) = (chat(&body), chat(&longer));
    assert_eq!(ids(&before), ids(&after));
}

#[test]
fn a_result_of_an_earlier_turn_does_not_take_a_later_call() {
    let turn = |arguments: Value| {
        json!({"role": "assistant", "tool_calls": [
        {"function": {"name": "f", "arguments": arguments}}]})
    };
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "hi"}, turn(json!({"n": 1})), {"role": "user", "content": "no"},
        turn(json!({"n": 2})), {"role": "tool", "content": "x", "tool_name": "f"}]});
    let chat = chat(&body);
    let (calls, answered) = ids(&chat);
    assert_eq!(answered, [calls[1]], "the first call was never answered");
}

#[test]
fn a_failed_tool_says_so_at_the_beginning_of_its_answer() {
    let body = json!({"model": "m", "stream": false, "messages": [
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c", "function": {"index": 0, "name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "Error: timeout", "tool_call_id": "c"}]});
    let chat = chat(&body);
    let Content::ToolResult { is_error, parts, .. } = &chat.messages[1].parts[0].content else {
        panic!("it is a result");
    };
    assert!(is_error);
    assert_eq!(parts, &[Part::text("timeout")]);
    assert_eq!(again(&body), body);
}

// === from other dialects ===

fn openai(members: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn a_picture_must_be_in_the_request() {
    let shows = |url: &str| {
        openai(&json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
            {"type": "text", "text": "What is it?"}]}]}))
    };
    let (sent, _) = from_openai(&shows("data:image/png;base64,iVBORw0KGgo=")).unwrap();
    assert_eq!(
        sent["messages"][0],
        json!({"role": "user", "content": "What is it?", "images": ["iVBORw0KGgo="]})
    );
    let error = from_openai(&shows("https://a.test/b.png")).unwrap_err();
    assert_eq!(error.param(), Some("messages[0].content[0]"));
}

#[test]
fn there_is_no_choice_among_tools() {
    let with = |choice: Value| {
        from_openai(&openai(&json!({"tools": [tool("a"), tool("b")], "tool_choice": choice})))
    };
    let names = |sent: &Value| -> Vec<String> {
        let tools = sent["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (sent, losses) = with(json!("auto")).unwrap();
    assert_eq!((names(&sent).len(), losses.len()), (2, 0));
    let (sent, losses) = with(json!("none")).unwrap();
    assert_eq!((names(&sent).len(), losses), (0, vec!["tool_choice=emulated".to_owned()]));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto",
        "tools": [{"type": "function", "function": {"name": "b"}}]}});
    assert_eq!(names(&with(allowed).unwrap().0), ["b"]);
    let named = json!({"type": "function", "function": {"name": "b"}});
    for forced in [json!("required"), named.clone()] {
        assert_eq!(with(forced).unwrap_err().param(), Some("tool_choice"));
    }
    // Who allows it gets the next best.
    let body = openai(&json!({"tools": [tool("a"), tool("b")], "tool_choice": named}));
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let request = OPENAI.decode_request(Operation::Chat, &members).unwrap();
    let capabilities = Capabilities::default();
    let target = Target::new("m", &capabilities, Some(OPENAI));
    let mut losses = Losses::under(LossPolicy::Allow);
    let encoded = OLLAMA.encode_request(&request, &target, &mut losses).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(names(&sent), ["b"]);
    assert_eq!(sent["messages"][0]["content"], "Answer by calling the tool `b`.");
    assert_eq!(losses.found()[0].to_string(), "tool_choice=dropped");
}

#[test]
fn what_has_no_field_is_told_in_the_callers_words() {
    let (sent, losses) = from_openai(&openai(&json!({
        "user": "u", "logit_bias": {"1": 2}, "parallel_tool_calls": false, "tools": [tool("a")],
        "service_tier": "flex", "verbosity": "low", "store": true, "metadata": {"a": "b"}
    })))
    .unwrap();
    assert_eq!(
        losses,
        [
            "logit_bias=dropped",
            "verbosity=dropped",
            "metadata=dropped",
            "store=dropped",
            "user=dropped",
            "service_tier=dropped",
            "parallel_tool_calls=dropped"
        ]
    );
    let members: Vec<&String> = sent.as_object().unwrap().keys().collect();
    assert_eq!(members, ["messages", "model", "stream", "tools"]);
    let error = from_openai(&openai(&json!({"n": 2}))).unwrap_err();
    assert_eq!(error.param(), Some("n"));
}

#[test]
fn a_budget_becomes_a_word() {
    let with = |members: Value, capabilities: &Capabilities| {
        let members = Members::parse(Str::from(openai(&members).to_string())).unwrap();
        let request = OPENAI.decode_request(Operation::Chat, &members).unwrap();
        let (sent, losses) = sent(&request, OPENAI, capabilities).unwrap();
        (sent["think"].clone(), losses)
    };
    let able = Capabilities::default();
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    for (members, think, loss) in [
        (json!({"reasoning_effort": "none"}), json!(false), None),
        (json!({"reasoning_effort": "minimal"}), json!("low"), Some("reasoning_effort=clamped")),
        (json!({"reasoning_effort": "high"}), json!("high"), None),
        (json!({"reasoning_effort": "xhigh"}), json!("high"), Some("reasoning_effort=clamped")),
        (budget(4000), json!("medium"), Some("reasoning_effort=emulated")),
        (json!({"thinking": {"type": "disabled"}}), json!(false), None),
        (json!({"thinking": {"type": "adaptive"}}), json!(null), None),
    ] {
        let (sent, losses) = with(members.clone(), &able);
        assert_eq!(sent, think, "{members}");
        assert_eq!(losses.first().map(String::as_str), loss, "{members}");
    }
    let mut dull = Capabilities::default();
    dull.reasoning = false;
    let (sent, losses) = with(json!({"reasoning_effort": "high"}), &dull);
    assert_eq!((sent, losses), (json!(null), vec!["reasoning_effort=dropped".to_owned()]));
    assert_eq!(with(json!({"reasoning_effort": "none"}), &dull).1, [""; 0]);
}

#[test]
fn what_only_this_dialect_has_is_lost_elsewhere_and_told() {
    let body = ask(&json!({"keep_alive": "5m", "options": {"num_ctx": 1}}));
    let capabilities = Capabilities::default();
    for dialect in [OPENAI, ANTHROPIC] {
        let target = Target::new("m", &capabilities, Some(OLLAMA));
        let mut losses = Losses::default();
        dialect.encode_request(&decode(&body).unwrap(), &target, &mut losses).unwrap();
        let told: Vec<String> = losses.found().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["keep_alive=dropped", "options.num_ctx=dropped"], "{dialect}");
    }
}

#[test]
fn a_tool_that_takes_free_text_is_a_function_there() {
    let body = openai(&json!({
        "tools": [{"type": "custom", "custom": {"name": "sql"}}],
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [
            {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]},
            {"role": "tool", "tool_call_id": "c", "content": ""}]
    }));
    let (sent, losses) = from_openai(&body).unwrap();
    assert_eq!(sent["tools"][0]["function"]["parameters"]["required"], json!(["input"]));
    let call = &sent["messages"][1]["tool_calls"][0]["function"];
    assert_eq!(call["arguments"], json!({"input": "select 1"}));
    assert_eq!(
        sent["messages"][2],
        json!({"role": "tool", "content": "(empty)",
        "tool_name": "sql", "tool_call_id": "c"})
    );
    assert_eq!(losses, ["tools[0]=emulated"]);
}

#[test]
fn what_a_tool_shows_is_shown_by_the_user() {
    let members = Members::parse(Str::from(
        json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c", "name": "shot", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
                {"type": "text", "text": "Well?"}]}]})
        .to_string(),
    ))
    .unwrap();
    let request = ANTHROPIC.decode_request(Operation::Chat, &members).unwrap();
    let (sent, losses) = sent(&request, ANTHROPIC, &Capabilities::default()).unwrap();
    assert_eq!(
        sent["messages"].as_array().unwrap()[2..],
        [
            json!({"role": "tool", "content": "[image 1 below]", "tool_name": "shot",
                "tool_call_id": "c"}),
            json!({"role": "user", "content": "[image 1]\nWell?", "images": ["iVBORw0KGgo="]})
        ]
    );
    assert_eq!(losses, ["messages.2.content.0=emulated"]);
}

#[test]
fn documents_are_text_or_refused() {
    let file = |data: &str, name: &str| {
        openai(&json!({"messages": [{"role": "user", "content": [
            {"type": "file", "file": {"filename": name, "file_data": data}}]}]}))
    };
    let (sent, losses) = from_openai(&file("data:text/csv;base64,YSxi", "t.csv")).unwrap();
    assert_eq!(sent["messages"][0]["content"], "t.csv\na,b");
    assert_eq!(losses, ["messages[0].content[0]=emulated"]);
    let error = from_openai(&file("data:application/pdf;base64,JVBERi0=", "t.pdf")).unwrap_err();
    assert_eq!(error.param(), Some("messages[0].content[0]"));
}

// === properties ===

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z \u{2028}\"\\\\é]{1,12}"
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        text().prop_map(|text| json!({"a": text})),
        any::<i64>().prop_map(|number| json!({"n": number, "list": [1, null]})),
    ]
}

fn message() -> impl Strategy<Value = Vec<Value>> {
    let user = (text(), any::<bool>()).prop_map(|(text, shows)| {
        let mut message = json!({"role": "user", "content": text});
        if shows {
            message["images"] = json!(["iVBORw0KGgo="]);
        }
        vec![message]
    });
    let system = text().prop_map(|text| vec![json!({"role": "system", "content": text})]);
    let assistant = (text(), proptest::option::of(text())).prop_map(|(text, thought)| {
        let mut message = json!({"role": "assistant", "content": text});
        if let Some(thought) = thought {
            message["thinking"] = json!(thought);
        }
        vec![message]
    });
    let calls = (text(), proptest::collection::vec((arguments(), text()), 1..4)).prop_map(
        |(text, calls)| {
            let list: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(at, (arguments, _))| {
                    json!({"id": format!("c{at}"), "function":
                        {"index": at, "name": "f", "arguments": arguments}})
                })
                .collect();
            let mut turn = vec![json!({"role": "assistant", "content": text, "tool_calls": list})];
            turn.extend(calls.iter().enumerate().map(|(at, (_, result))| {
                json!({"role": "tool", "content": result, "tool_name": "f",
                    "tool_call_id": format!("c{at}")})
            }));
            turn
        },
    );
    prop_oneof![user, system, assistant, calls]
}

fn request() -> impl Strategy<Value = Value> {
    let messages = proptest::collection::vec(message(), 1..6).prop_map(|turns| turns.concat());
    let think = prop_oneof![Just(json!(null)), Just(json!(true)), Just(json!("low"))];
    let format =
        prop_oneof![Just(json!(null)), Just(json!("json")), Just(json!({"type": "object"}))];
    // Numbers whose shortest text every parser reads alike.
    let eighths = (0_u8..16).prop_map(|eighths| f64::from(eighths) / 8.0);
    let options = (proptest::option::of(eighths), proptest::option::of(any::<i64>()));
    (messages, any::<bool>(), think, format, options).prop_map(
        |(messages, stream, think, format, (temperature, seed))| {
            let mut body = json!({"model": "m", "stream": stream, "messages": messages});
            for (name, value) in [("think", think), ("format", format)] {
                if !value.is_null() {
                    body[name] = value;
                }
            }
            if let Some(temperature) = temperature {
                body["options"]["temperature"] = json!(temperature);
            }
            if let Some(seed) = seed {
                body["options"]["seed"] = json!(seed);
            }
            body
        },
    )
}

proptest! {
    #[test]
    fn decoding_and_encoding_loses_nothing(body in request()) {
        prop_assert_eq!(again(&body), body);
    }

    #[test]
    fn there_and_back_through_openai_keeps_the_conversation(body in request()) {
        let capabilities = Capabilities::default();
        let request = decode(&body).unwrap();
        let target = Target::new("m", &capabilities, Some(OLLAMA));
        let there = OPENAI.encode_request(&request, &target, &mut Losses::under(LossPolicy::Allow));
        let members = Members::parse(Str::from_utf8(there.unwrap().body).unwrap()).unwrap();
        let request = OPENAI.decode_request(Operation::Chat, &members).unwrap();
        let (back, _) = sent(&request, OPENAI, &capabilities).unwrap();
        // Thoughts stay with their provider, and an operator speaks before all others at once.
        let said = |body: &Value| -> Vec<Value> {
            let messages = body["messages"].as_array().unwrap().iter();
            messages
                .filter(|message| message["role"] != "system")
                .map(|message| {
                    let mut message = message.clone();
                    message.as_object_mut().unwrap().remove("thinking");
                    message
                })
                .collect()
        };
        prop_assert_eq!(said(&back), said(&body));
        prop_assert_eq!(&back["options"], &body["options"]);
    }
}
