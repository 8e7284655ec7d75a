use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{
    Capabilities, Chat, Content, Dialect, Error, LossPolicy, Losses, Members, Operation, Part,
    ReasoningMode, Role, Source, Str, Target, ToolChoice, Typed,
};

use crate::{ANTHROPIC, COHERE, OPENAI};

fn read(dialect: Dialect, body: &Value) -> Result<Typed, Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    dialect.decode_request(Operation::Chat, &members)
}

fn chat(body: &Value) -> Chat {
    Chat::clone(read(COHERE, body).unwrap().chat().unwrap())
}

/// A request as Cohere gets it from a caller of `source`, and what was lost.
fn sent(
    source: Dialect,
    body: &Value,
    capabilities: &Capabilities,
    policy: LossPolicy,
) -> Result<(Value, Vec<String>), Error> {
    let target = Target::new("m", capabilities, Some(source));
    let mut losses = Losses::under(policy);
    let encoded = COHERE.encode_request(&read(source, body).unwrap(), &target, &mut losses)?;
    let losses = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), losses))
}

/// What comes out for its own dialect.
fn again(body: &Value) -> Value {
    let able = Capabilities::default();
    let (sent, losses) = sent(COHERE, body, &able, LossPolicy::Default).unwrap();
    assert_eq!(losses, [""; 0]);
    sent
}

fn from_openai(members: &Value) -> Result<(Value, Vec<String>), Error> {
    sent(OPENAI, &ask(members), &Capabilities::default(), LossPolicy::Default)
}

fn ask(members: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

fn everything() -> Value {
    json!({
        "model": "m", "stream": true,
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "system", "content": "And polite.", "note": 1},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"},
                {"type": "image_url", "x": 1, "image_url":
                    {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}}]},
            {"role": "assistant", "tool_plan": "I will call the weather tool.",
                "content": [{"type": "thinking", "thinking": "Hm"}], "tool_calls": [
                    {"id": "get_weather_0", "type": "function", "function":
                        {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}}]},
            {"role": "tool", "tool_call_id": "get_weather_0", "content": [
                {"type": "document", "document": {"id": "w1", "data": {"temp": "4 C"}}}]},
            {"role": "assistant", "content": "4 C.", "citations": [
                {"start": 0, "end": 3, "text": "4 C", "sources": [{"type": "tool", "id": "w1"}]}]},
            {"role": "user", "content": "Sure?"}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                "required": ["city"]}}}],
        "tool_choice": "REQUIRED", "strict_tools": true,
        "max_tokens": 256, "temperature": 0.25, "p": 0.75, "k": 3, "seed": 7,
        "stop_sequences": ["END"], "frequency_penalty": 0.5, "presence_penalty": 0.25,
        "logprobs": true,
        "response_format": {"type": "json_object", "json_schema": {"type": "object",
            "properties": {"a": {"type": "string"}}, "required": ["a"]}},
        "thinking": {"type": "enabled", "token_budget": 1024},
        "documents": ["It rains.", {"id": "d1", "data": {"title": "T", "snippet": "S"}}],
        "citation_options": {"mode": "ACCURATE"}, "safety_mode": "CONTEXTUAL", "priority": 0
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
    assert_eq!(chat.max_output_tokens, Some(256));
    assert_eq!((chat.sampling.top_p, chat.sampling.top_k), (Some(0.75), Some(3)));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Any));
    assert_eq!(chat.tools[0].strict, Some(true));
    assert_eq!(chat.reasoning.mode, Some(ReasoningMode::On));
    assert_eq!(chat.reasoning.budget_tokens, Some(1024));
    assert_eq!(chat.logprobs, Some(0));
    // The plan is what is said before the call.
    let turn = &chat.messages[1].parts;
    assert!(matches!(turn[0].content, Content::Reasoning { .. }));
    assert_eq!(turn[1].as_text(), Some("I will call the weather tool."));
    assert!(matches!(turn[2].content, Content::ToolCall { .. }));
    // Documents are parts of what is asked last.
    let asked = &chat.messages.last().unwrap().parts;
    let Content::Document { source: Source::Text { text, .. }, .. } = &asked[1].content else {
        panic!("{asked:?}");
    };
    assert_eq!(text, r#"{"snippet":"S","title":"T"}"#);
    assert_eq!(asked[2].as_text(), Some("Sure?"));
    let mut extras: Vec<&str> = chat.extras.members.iter().map(|(name, _)| name.as_str()).collect();
    extras.sort_unstable();
    assert_eq!(extras, ["citation_options", "priority", "safety_mode"]);
}

#[test]
fn documents_that_nobody_asks_about_are_kept() {
    let body = json!({"model": "m", "documents": ["It rains."],
        "messages": [{"role": "system", "content": "Tell."}]});
    assert_eq!(again(&body), body);
    assert_eq!(chat(&body).messages[0].role, Role::User);
}

#[test]
fn a_fault_is_named_by_its_place() {
    for (members, field) in [
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"content": "hi"}]}), "messages.0.role"),
        (json!({"messages": [{"role": "robot"}]}), "messages.0.role"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages.0.content"),
        (json!({"messages": [{"role": "user", "content": [{}]}]}), "messages.0.content.0.type"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages.0.content.0.image_url",
        ),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages.0.tool_call_id"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}),
            "messages.0.tool_calls.0.function",
        ),
        (json!({"documents": [{"id": "d"}]}), "documents.0.data"),
        (json!({"tool_choice": "get_weather"}), "tool_choice"),
        (json!({"max_tokens": -1}), "max_tokens"),
        (json!({"p": "much"}), "p"),
        (json!({"stop_sequences": "END"}), "stop_sequences"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"thinking": {"type": "hard"}}), "thinking.type"),
        (json!({"tools": [{}]}), "tools.0.function"),
    ] {
        let error = read(COHERE, &ask(&members)).unwrap_err();
        assert_eq!(error.param(), Some(field), "{members}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn a_failed_tool_says_so_at_the_beginning_of_its_answer() {
    let body = json!({"model": "m", "messages": [
        {"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "Error: timeout"}]});
    let chat = chat(&body);
    let Content::ToolResult { is_error, parts, .. } = &chat.messages[1].parts[0].content else {
        panic!("it is a result");
    };
    assert!(is_error);
    assert_eq!(parts, &[Part::text("timeout")]);
    assert_eq!(again(&body), body);
}

#[test]
fn documents_are_carried_to_who_can_cite_them() {
    let body = ask(&json!({"documents": [{"id": "d1", "data": {"text": "It rains."}}]}));
    let capabilities = Capabilities::default();
    let target = Target::new("m", &capabilities, Some(COHERE));
    let mut losses = Losses::default();
    let encoded =
        ANTHROPIC.encode_request(&read(COHERE, &body).unwrap(), &target, &mut losses).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
    let block = &sent["messages"][0]["content"][0];
    assert_eq!((&block["type"], &block["title"]), (&json!("document"), &json!("d1")));
    assert_eq!(block["citations"], json!({"enabled": true}));
}

// === from other dialects ===

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

#[test]
fn numbers_are_brought_into_their_ranges_and_told() {
    let (sent, losses) =
        from_openai(&json!({"temperature": 1.5, "top_p": 1, "frequency_penalty": -1,
        "presence_penalty": 0.5, "seed": -3, "stop": ["a", "b"], "logprobs": true,
        "top_logprobs": 2}))
        .unwrap();
    assert_eq!(
        sent,
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 1.0,
            "p": 0.99, "frequency_penalty": 0.0, "presence_penalty": 0.5,
            "stop_sequences": ["a", "b"], "logprobs": true})
    );
    assert_eq!(
        losses,
        [
            "temperature=clamped",
            "top_p=clamped",
            "frequency_penalty=clamped",
            "seed=dropped",
            "logprobs=clamped"
        ]
    );
    // Its own caller's are its own business.
    let own = ask(
        &json!({"temperature": 1.5, "p": 1.0, "stop_sequences": ["1", "2", "3", "4", "5", "6"]}),
    );
    assert_eq!(again(&own), own);
}

#[test]
fn stop_texts_are_five_at_most() {
    let able = Capabilities::default();
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "stop_sequences": ["1", "2", "3", "4", "5", "6"], "top_k": 900});
    let (sent, losses) = sent(ANTHROPIC, &body, &able, LossPolicy::Default).unwrap();
    assert_eq!(sent["stop_sequences"].as_array().unwrap().len(), 5);
    assert_eq!(sent["k"], 500);
    assert_eq!(losses, ["top_k=clamped", "stop_sequences=clamped"]);
}

#[test]
fn a_tool_is_chosen_by_sending_no_other() {
    let with = |choice: Value| {
        from_openai(&json!({"tools": [tool("a"), tool("b")], "tool_choice": choice})).unwrap()
    };
    let (sent, losses) = with(json!({"type": "function", "function": {"name": "b"}}));
    assert_eq!(sent["tools"][0]["function"]["name"], "b");
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1);
    assert_eq!(sent["tool_choice"], "REQUIRED");
    assert_eq!(losses, ["tool_choice=emulated"]);
    assert_eq!(with(json!("required")).0["tool_choice"], "REQUIRED");
    assert_eq!(with(json!("none")).0["tool_choice"], "NONE");
    let (sent, losses) = with(json!("auto"));
    assert_eq!((sent.get("tool_choice"), losses.len()), (None, 0));
    // A schema is required.
    assert_eq!(
        sent["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {}})
    );
}

#[test]
fn text_beside_calls_is_the_plan() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let (sent, _) = from_openai(&json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Checking.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"}]}))
    .unwrap();
    assert_eq!(
        sent["messages"][1],
        json!({"role": "assistant", "tool_plan": "Checking.", "tool_calls": [call]})
    );
}

#[test]
fn a_budget_is_made_of_a_word() {
    let with = |members: Value| {
        let (sent, losses) = from_openai(&members).unwrap();
        (sent["thinking"].clone(), losses)
    };
    let enabled = |budget: u64| json!({"type": "enabled", "token_budget": budget});
    for (members, thinking, loss) in [
        (json!({"reasoning_effort": "none"}), json!({"type": "disabled"}), None),
        (json!({"reasoning_effort": "minimal"}), enabled(512), Some("reasoning_effort=emulated")),
        (json!({"reasoning_effort": "medium"}), enabled(8192), Some("reasoning_effort=emulated")),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 99}}), enabled(99), None),
        (json!({"thinking": {"type": "disabled"}}), json!({"type": "disabled"}), None),
        (json!({"thinking": {"type": "adaptive"}}), json!(null), None),
    ] {
        let (sent, losses) = with(members.clone());
        assert_eq!(sent, thinking, "{members}");
        assert_eq!(losses.first().map(String::as_str), loss, "{members}");
    }
}

#[test]
fn an_answer_is_bound_to_a_schema_unless_there_are_tools() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema":
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}}});
    let (sent, losses) = from_openai(&json!({"response_format": format})).unwrap();
    assert_eq!(sent["response_format"]["type"], "json_object");
    assert_eq!(
        sent["response_format"]["json_schema"]["properties"]["a"]["description"],
        "minLength: 1"
    );
    assert!(losses.iter().all(|loss| loss == "response_format=emulated"), "{losses:?}");
    let busy = json!({"response_format": format, "tools": [tool("f")]});
    assert_eq!(from_openai(&busy).unwrap_err().param(), Some("response_format"));
    let able = Capabilities::default();
    let (sent, losses) = self::sent(OPENAI, &ask(&busy), &able, LossPolicy::Allow).unwrap();
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"));
    assert_eq!(
        (sent.get("response_format"), losses),
        (None, vec!["response_format=dropped".to_owned()])
    );
    let (sent, _) = from_openai(&json!({"response_format": {"type": "json_object"}})).unwrap();
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
}

#[test]
fn documents_to_be_cited_stand_beside_the_conversation() {
    let document = |citations: Value| {
        json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": [
            {"type": "document", "title": "Notes", "citations": citations,
                "source": {"type": "text", "media_type": "text/plain", "data": "It rains."}},
            {"type": "text", "text": "Weather?"}]}]})
    };
    let able = Capabilities::default();
    let asked = document(json!({"enabled": true}));
    let (cited, losses) = sent(ANTHROPIC, &asked, &able, LossPolicy::Default).unwrap();
    assert_eq!(
        cited["documents"],
        json!([{"id": "Notes", "data": {"title": "Notes", "text": "It rains."}}])
    );
    assert_eq!(cited["messages"], json!([{"role": "user", "content": "Weather?"}]));
    assert_eq!(losses, [""; 0]);
    let plain = document(json!({"enabled": false}));
    let (told, losses) = sent(ANTHROPIC, &plain, &able, LossPolicy::Default).unwrap();
    assert_eq!(told["messages"][0]["content"][0]["text"], "Notes\nIt rains.");
    assert_eq!(losses, ["messages.0.content.0=emulated"]);
}

#[test]
fn what_has_no_field_is_told_in_the_callers_words() {
    let (sent, losses) = from_openai(&json!({
        "user": "u", "logit_bias": {"1": 2}, "parallel_tool_calls": false, "tools": [tool("a")],
        "service_tier": "flex", "n": 1, "store": true
    }))
    .unwrap();
    assert_eq!(
        losses,
        [
            "logit_bias=dropped",
            "store=dropped",
            "user=dropped",
            "service_tier=dropped",
            "parallel_tool_calls=dropped"
        ]
    );
    let members: Vec<&String> = sent.as_object().unwrap().keys().collect();
    assert_eq!(members, ["messages", "model", "tools"]);
    let sound = json!({"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}]}]});
    assert_eq!(from_openai(&sound).unwrap_err().param(), Some("messages[0].content[0]"));
}

#[test]
fn pictures_go_by_their_address() {
    let url = json!({"url": "https://a.test/b.png", "detail": "high"});
    let (sent, losses) = from_openai(&json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": url}]}]}))
    .unwrap();
    assert_eq!(sent["messages"][0]["content"], json!([{"type": "image_url", "image_url": url}]));
    assert_eq!(losses, [""; 0]);
}

// === properties ===

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z\"\\\\é]{1,12}"
}

fn message() -> impl Strategy<Value = Vec<Value>> {
    let user = (text(), any::<bool>()).prop_map(|(text, shows)| {
        let content = match shows {
            false => json!(text),
            true => json!([{"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]),
        };
        vec![json!({"role": "user", "content": content})]
    });
    let system = text().prop_map(|text| vec![json!({"role": "system", "content": text})]);
    let assistant = (text(), proptest::option::of(text())).prop_map(|(text, thought)| {
        let content = match thought {
            None => json!(text),
            Some(thought) => json!([{"type": "thinking", "thinking": thought},
                {"type": "text", "text": text}]),
        };
        vec![json!({"role": "assistant", "content": content})]
    });
    let calls = (proptest::option::of(text()), proptest::collection::vec((text(), text()), 1..4))
        .prop_map(|(plan, calls)| {
            let list: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(at, (argument, _))| {
                    json!({"id": format!("c{at}"), "type": "function", "function":
                        {"name": "f", "arguments": json!({"a": argument}).to_string()}})
                })
                .collect();
            let mut said = json!({"role": "assistant", "tool_calls": list});
            if let Some(plan) = plan {
                said["tool_plan"] = json!(plan);
            }
            let mut turn = vec![said];
            turn.extend(calls.iter().enumerate().map(|(at, (_, result))| {
                json!({"role": "tool", "tool_call_id": format!("c{at}"), "content": result})
            }));
            turn
        });
    prop_oneof![user, system, assistant, calls]
}

fn request() -> impl Strategy<Value = Value> {
    let messages = proptest::collection::vec(message(), 1..6).prop_map(|turns| turns.concat());
    let documents = proptest::collection::vec(text(), 0..3);
    let eighths = proptest::option::of((0_u8..8).prop_map(|eighths| f64::from(eighths) / 8.0));
    (messages, documents, eighths, any::<u32>()).prop_map(
        |(messages, documents, temperature, seed)| {
            let mut body = json!({"model": "m", "messages": messages, "seed": seed});
            if !documents.is_empty() {
                body["documents"] = json!(documents);
            }
            if let Some(temperature) = temperature {
                body["temperature"] = json!(temperature);
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
        let able = Capabilities::default();
        let mut body = body;
        // Documents become text on the way.
        body.as_object_mut().unwrap().remove("documents");
        let target = Target::new("m", &able, Some(COHERE));
        let mut losses = Losses::under(LossPolicy::Allow);
        let there = OPENAI.encode_request(&read(COHERE, &body).unwrap(), &target, &mut losses);
        let there: Value = serde_json::from_slice(&there.unwrap().body).unwrap();
        let (back, _) = sent(OPENAI, &there, &able, LossPolicy::Allow).unwrap();
        // Thoughts stay with their provider, and an operator speaks before all others at once.
        let said = |body: &Value| -> Vec<Value> {
            let messages = body["messages"].as_array().unwrap().iter();
            messages
                .filter(|message| message["role"] != "system")
                .map(|message| {
                    let mut message = message.clone();
                    if let Some([thought, text]) = message["content"].as_array().map(Vec::as_slice)
                        && thought["type"] == "thinking"
                    {
                        message["content"] = text["text"].clone();
                    }
                    message
                })
                .collect()
        };
        prop_assert_eq!(said(&back), said(&body));
        prop_assert_eq!(&back["seed"], &body["seed"]);
        prop_assert_eq!(&back["temperature"], &body["temperature"]);
    }
}
