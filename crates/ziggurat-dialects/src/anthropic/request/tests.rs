//! What Anthropic's own requests mean, and what requests of others become.

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{
    CacheMark, Capabilities, Content, Dialect, Effort, Expose, LossPolicy, Members, Message,
    Operation, OutputFormat, OutputSchema, Part, Payload, ReasoningMode, Restore, Role, Source,
    Str, Tool, ToolCallKind, ToolChoice, ToolKind,
};

use super::*;
use crate::OPENAI;

mod identity;

// === helpers ===

fn parse(body: &Value) -> Chat {
    try_parse(body).unwrap()
}

fn try_parse(body: &Value) -> Result<Chat, Error> {
    let members = Members::parse(Str::from(body.to_string())).unwrap();
    let typed = decode(Operation::Chat, &members)?;
    Ok((**typed.chat().unwrap()).clone())
}

struct Sent {
    body: Value,
    losses: Vec<String>,
    restore: Restore,
}

struct To {
    capabilities: Capabilities,
    source: Option<Dialect>,
    policy: LossPolicy,
    pass: Vec<Str>,
}

/// To a model that can do everything, from a caller of OpenAI's dialect.
fn to() -> To {
    To {
        capabilities: Capabilities::default(),
        source: Some(OPENAI),
        policy: LossPolicy::Default,
        pass: Vec::new(),
    }
}

impl To {
    fn model(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.capabilities);
        self
    }

    fn own(mut self) -> Self {
        self.source = Some(ANTHROPIC);
        self
    }

    fn policy(mut self, policy: LossPolicy) -> Self {
        self.policy = policy;
        self
    }

    fn passing(mut self, name: &'static str) -> Self {
        self.pass.push(Str::from_static(name));
        self
    }

    fn encode(&self, typed: &Typed) -> Result<Sent, Error> {
        let target = Target::new("m", &self.capabilities, self.source);
        let mut losses = Losses::under(self.policy).passing(&self.pass);
        let request = encode(typed, &target, &mut losses)?;
        let body = serde_json::from_slice(&request.body).unwrap();
        let losses = losses.found().iter().map(ToString::to_string).collect();
        Ok(Sent { body, losses, restore: request.restore })
    }

    fn try_send(&self, chat: &Chat) -> Result<Sent, Error> {
        self.encode(&Typed::Chat(Arc::new(chat.clone())))
    }

    fn send(&self, chat: &Chat) -> Sent {
        self.try_send(chat).unwrap()
    }

    /// The field that a refusal names.
    fn refuses(&self, chat: &Chat) -> String {
        let error = self.try_send(chat).err().expect("it is refused");
        assert_eq!(error.status(), 400);
        error.param().unwrap_or_default().to_owned()
    }
}

fn hello() -> Chat {
    let mut chat = Chat::new();
    chat.messages.push(Message::text(Role::User, "Hello").at(0));
    chat
}

fn raw(value: &Value) -> RawJson {
    RawJson::parse(Str::from(value.to_string())).unwrap()
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall {
        id: Str::from(id),
        name: Str::from(name),
        arguments: Str::from(arguments),
        kind: ToolCallKind::Function,
        signature: None,
    })
}

fn result(id: &str, text: &str) -> Part {
    let parts = vec![Part::text(text)];
    Part::new(Content::ToolResult { call_id: Str::from(id), name: None, parts, is_error: false })
}

fn thought(signature: Option<&str>) -> Part {
    Part::new(Content::Reasoning {
        text: Str::from("Hm."),
        signature: signature.map(Str::from),
        redacted: None,
    })
}

fn weather() -> Tool {
    Tool::function("get_weather", Some(raw(&json!({"type": "object", "properties": {}}))))
}

/// The conversation in which a tool was called and answered.
fn tool_turn(arguments: &str) -> Chat {
    let mut chat = hello();
    chat.tools.push(weather());
    chat.messages
        .push(Message::new(Role::Assistant, vec![call("call_1", "get_weather", arguments)]).at(1));
    chat.messages.push(Message::new(Role::Tool, vec![result("call_1", "4 C")]).at(2));
    chat
}

// === reading ===

#[test]
fn the_golden_request_is_read() {
    let chat = parse(&json!({
        "model": "claude-sonnet-4-6", "max_tokens": 512, "temperature": 0.5, "stop_sequences": ["END"],
        "system": "You are terse.",
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
            {"name": "get_weather", "description": "Weather now", "input_schema": {"type": "object"}},
            {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}
    }));
    assert_eq!(chat.max_output_tokens, Some(512));
    assert_eq!(chat.sampling.temperature, Some(0.5));
    assert_eq!(chat.stop, ["END"]);
    assert_eq!(chat.system, [Part::text("You are terse.")]);
    assert_eq!(chat.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(chat.parallel_tools, Some(false));
    assert_eq!(chat.tools[0].description.as_deref(), Some("Weather now"));
    let calls: Vec<_> = chat.messages[1].parts[1..].to_vec();
    assert_eq!(
        calls,
        [call("call_A1", "get_weather", r#"{"city":"Oslo"}"#), call("call_B2", "get_time", "{}")]
    );
    assert_eq!(chat.messages[2].at, Some(2));
    let Content::ToolResult { is_error, parts, .. } = &chat.messages[2].parts[1].content else {
        panic!()
    };
    assert!(is_error);
    assert_eq!(*parts, [Part::text("timeout")]);
    assert_eq!(chat.extras, Default::default());
}

#[test]
fn big_media_share_the_buffer_of_the_body() {
    let data = "A".repeat(1 << 16);
    let body = Str::from(format!(
        r#"{{"max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}"#
    ));
    let members = Members::parse(body.clone()).unwrap();
    let typed = decode(Operation::Chat, &members).unwrap();
    let part = &typed.chat().unwrap().messages[0].parts[0];
    let Content::Image { source: Source::Base64 { data: read, .. }, .. } = &part.content else {
        panic!()
    };
    let body = body.as_bytes().as_ptr_range();
    assert!(body.contains(&read.as_ptr()));
}

#[test]
fn blocks_of_every_kind_are_read() {
    let chat = parse(&json!({"max_tokens": 1, "messages": [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "title": "T", "context": "C", "citations": {"enabled": true},
             "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
            {"type": "search_result", "source": "s", "title": "t", "content": []},
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "zzz"},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "text", "text": "y", "citations": [{"type": "char_location", "cited_text": "w"}]}]},
        {"role": "system", "content": "Be kind."}
    ]}));
    let user = &chat.messages[0].parts;
    assert_eq!(
        user[0].content,
        Content::Image { source: Source::Url(Str::from("https://a.test/b.png")), detail: None }
    );
    assert_eq!(
        user[1].content,
        Content::Image { source: Source::File(Str::from("file_1")), detail: None }
    );
    let Content::Document { source, title, context, citations } = &user[2].content else {
        panic!()
    };
    assert_eq!(
        *source,
        Source::Text { media_type: Str::from("text/plain"), text: Str::from("words") }
    );
    assert_eq!(
        (title.as_deref(), context.as_deref(), *citations),
        (Some("T"), Some("C"), Some(true))
    );
    assert!(matches!(&user[3].content, Content::Document { source: Source::Parts(_), .. }));
    assert!(matches!(&user[4].content, Content::Opaque { kind, .. } if kind == "search_result"));
    assert_eq!(user[5].cache, Some(CacheMark::OneHour));
    let assistant = &chat.messages[1].parts;
    assert_eq!(assistant[0], thought(Some("EqQB")));
    assert!(matches!(&assistant[1].content, Content::Reasoning { redacted: Some(_), .. }));
    assert!(matches!(&assistant[2].content, Content::Opaque { .. }));
    assert_eq!(assistant[2].extras.dialect, Some(ANTHROPIC));
    assert!(
        matches!(&assistant[3].content, Content::Text { citations, .. } if citations.len() == 1)
    );
    assert_eq!(chat.messages[2].role, Role::System);
}

#[test]
fn steering_is_read() {
    let chat = parse(&json!({"max_tokens": 4000, "stream": true,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "u1"}, "service_tier": "standard_only", "top_k": 5, "top_p": 0.9,
        "cache_control": {"type": "ephemeral"}, "container": {"id": "c"}, "speed": null,
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        "tool_choice": {"type": "tool", "name": "web_search"}
    }));
    assert_eq!(chat.reasoning.mode, Some(ReasoningMode::On));
    assert_eq!(chat.reasoning.budget_tokens, Some(2048));
    assert_eq!(chat.reasoning.expose, Some(Expose::Nothing));
    assert_eq!(chat.reasoning.effort, Some(Effort::High));
    assert!(matches!(&chat.output, OutputFormat::Schema(_)));
    assert_eq!(chat.user.as_deref(), Some("u1"));
    assert_eq!(chat.cache.auto, Some(CacheMark::Default));
    assert!(chat.stream);
    assert_eq!(chat.extras.members.len(), 1, "{:?}", chat.extras);
    assert!(
        matches!(&chat.tools[0].kind, ToolKind::Server { server_type, .. } if server_type == "web_search_20250305")
    );
    assert_eq!(chat.tool_choice, Some(ToolChoice::Tool { name: Str::from("web_search") }));
}

#[test]
fn a_wrong_request_is_refused_with_the_place_of_its_fault() {
    for (body, param) in [
        (json!({"max_tokens": 1, "messages": []}), "messages"),
        (json!({"messages": [{"role": "user", "content": "hi"}]}), "max_tokens"),
        (json!({"max_tokens": 1}), "messages"),
        (json!({"max_tokens": 1, "messages": null}), "messages"),
        (json!({"max_tokens": -1, "messages": []}), "max_tokens"),
        (json!({"max_tokens": "1", "messages": []}), "max_tokens"),
        (json!({"max_tokens": 1, "messages": {}}), "messages"),
        (json!({"max_tokens": 1, "messages": [{"role": "user"}]}), "messages.0.content"),
        (json!({"max_tokens": 1, "messages": [{"content": "x"}]}), "messages.0.role"),
        (
            json!({"max_tokens": 1, "messages": [{"role": "tool", "content": "x"}]}),
            "messages.0.role",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": 5}]}),
            "messages.0.content",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [5]}]}),
            "messages.0.content.0",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [{"text": "x"}]}]}),
            "messages.0.content.0.type",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages.0.content.0.text",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]}),
            "messages.0.content.0.source.media_type",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_result", "tool_use_id": "b"}]}]}]}),
            "messages.0.content.0.content.0",
        ),
        (json!({"max_tokens": 1, "messages": [], "temperature": "hot"}), "temperature"),
        (json!({"max_tokens": 1, "messages": [], "stop_sequences": [1]}), "stop_sequences.0"),
        (
            json!({"max_tokens": 1, "messages": [], "thinking": {"type": "enabled"}}),
            "thinking.budget_tokens",
        ),
        (
            json!({"max_tokens": 1, "messages": [], "tool_choice": {"type": "maybe"}}),
            "tool_choice.type",
        ),
        (json!({"max_tokens": 1, "messages": [], "tools": [{"description": "x"}]}), "tools.0.name"),
        (
            json!({"max_tokens": 1, "messages": [], "tools": [{"name": "x", "input_schema": []}]}),
            "tools.0.input_schema",
        ),
        (
            json!({"max_tokens": 1, "messages": [], "output_config": {"format": {"type": "json_schema"}}}),
            "output_config.format.schema",
        ),
    ] {
        let error = try_parse(&body).err().unwrap_or_else(|| panic!("{body} is taken"));
        assert_eq!(error.param(), Some(param), "{body}");
        assert!(error.message().starts_with(param), "{}", error.message());
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn nested_text_that_is_no_json_is_refused() {
    let members =
        Members::parse(Str::from(r#"{"max_tokens":1,"messages":[{"role":tru}]}"#)).unwrap();
    let error = decode(Operation::Chat, &members).unwrap_err();
    assert_eq!(error.message(), "messages: this is not valid JSON");
}

#[test]
fn counting_tokens_needs_no_bound() {
    let members =
        Members::parse(Str::from(r#"{"messages":[{"role":"user","content":"x"}]}"#)).unwrap();
    assert!(matches!(decode(Operation::CountTokens, &members), Ok(Typed::CountTokens(_))));
}

// === what is said ===

#[test]
fn the_bound_on_output_is_always_sent() {
    let max = |to: To, chat: &Chat| to.send(chat).body["max_tokens"].clone();
    let mut chat = hello();
    assert_eq!(max(to(), &chat), 4096);
    assert_eq!(max(to().model(|m| m.max_output = Some(64_000)), &chat), 64_000);
    chat.max_output_tokens = Some(100_000);
    let sent = to().model(|m| m.max_output = Some(64_000)).send(&chat);
    assert_eq!(sent.body["max_tokens"], 64_000);
    assert_eq!(sent.losses, ["max_completion_tokens=clamped"]);
    let strict = to().model(|m| m.max_output = Some(64_000)).policy(LossPolicy::Refuse);
    assert_eq!(strict.refuses(&chat), "max_completion_tokens");
}

#[test]
fn arguments_become_objects_as_they_stand() {
    for (arguments, input) in [
        (r#"{"z":1152921504606846977,"a":1.50}"#, r#"{"z":1152921504606846977,"a":1.50}"#),
        ("", "{}"),
        ("  ", "{}"),
        ("[1]", r#"{"value":[1]}"#),
        (r#"{"city":"Os"#, r#"{"_raw":"{\"city\":\"Os"}"#),
    ] {
        let target = Capabilities::default();
        let target = Target::new("m", &target, Some(OPENAI));
        let typed = Typed::Chat(Arc::new(tool_turn(arguments)));
        let request = encode(&typed, &target, &mut Losses::default()).unwrap();
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(text.contains(&format!(r#""input":{input}"#)), "{text}");
    }
}

#[test]
fn results_and_what_follows_share_one_message() {
    let mut chat = tool_turn("{}");
    chat.messages.push(Message::text(Role::User, "Go on.").at(3));
    let body = to().send(&chat).body;
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "4 C"},
            {"type": "text", "text": "Go on."}]})
    );
}

#[test]
fn names_and_ids_are_fitted_alike_in_calls_and_results() {
    let mut chat = hello();
    chat.tools.push(Tool::function("files.read", None));
    chat.messages.push(Message::new(Role::Assistant, vec![call("fc:1", "files.read", "{}")]));
    chat.messages.push(Message::new(Role::Tool, vec![result("fc:1", "x")]));
    chat.tool_choice = Some(ToolChoice::Tool { name: Str::from("files.read") });
    let sent = to().send(&chat);
    let name = sent.body["tools"][0]["name"].as_str().unwrap();
    assert_ne!(name, "files.read");
    assert_eq!(sent.body["messages"][1]["content"][0]["name"], name);
    assert_eq!(sent.body["tool_choice"]["name"], name);
    let id = &sent.body["messages"][1]["content"][0]["id"];
    assert_ne!(id, "fc:1");
    assert_eq!(sent.body["messages"][2]["content"][0]["tool_use_id"], *id);
    assert_eq!(sent.restore.tool_name(name).unwrap(), "files.read");
    assert_eq!(sent.losses, ["tools[0]=emulated"]);
}

#[test]
fn two_tools_of_one_name_are_refused() {
    let mut chat = hello();
    chat.tools = vec![weather(), weather()];
    assert_eq!(to().refuses(&chat), "tools[1]");
}

#[test]
fn a_history_with_calls_declares_their_tools() {
    let mut chat = tool_turn("{}");
    chat.tools.clear();
    let sent = to().send(&chat);
    assert_eq!(
        sent.body["tools"],
        json!([{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}])
    );
    assert_eq!(sent.body["tool_choice"], json!({"type": "none"}));
}

#[test]
fn tools_that_take_free_text_are_sent_as_functions() {
    let mut chat = hello();
    let format = Some(raw(&json!({"type": "grammar"})));
    chat.tools.push(Tool::new("shell", ToolKind::Custom { format }));
    let mut custom = call("c1", "shell", "ls -l");
    let Content::ToolCall { kind, .. } = &mut custom.content else { panic!() };
    *kind = ToolCallKind::Custom;
    chat.messages.push(Message::new(Role::Assistant, vec![custom]));
    chat.messages.push(Message::new(Role::Tool, vec![result("c1", "x")]));
    let sent = to().send(&chat);
    assert_eq!(sent.body["tools"][0]["input_schema"]["required"], json!(["input"]));
    assert_eq!(sent.body["messages"][1]["content"][0]["input"], json!({"input": "ls -l"}));
    assert!(sent.restore.is_custom("shell"));
    assert_eq!(sent.losses, ["tools[0]=emulated"]);
}

#[test]
fn which_tool_to_call_is_said() {
    let mut chat = hello();
    chat.tools.push(weather());
    let mut choice = |choice, parallel| {
        chat.tool_choice = choice;
        chat.parallel_tools = parallel;
        to().send(&chat).body.get("tool_choice").cloned()
    };
    assert_eq!(choice(None, None), None);
    assert_eq!(choice(None, Some(true)), None);
    assert_eq!(
        choice(None, Some(false)),
        Some(json!({"type": "auto", "disable_parallel_tool_use": true}))
    );
    assert_eq!(choice(Some(ToolChoice::Auto), None), Some(json!({"type": "auto"})));
    assert_eq!(choice(Some(ToolChoice::None), Some(false)), Some(json!({"type": "none"})));
    assert_eq!(
        choice(Some(ToolChoice::Any), Some(false)),
        Some(json!({"type": "any", "disable_parallel_tool_use": true}))
    );
    let one = ToolChoice::Tool { name: Str::from("get_weather") };
    assert_eq!(choice(Some(one), None), Some(json!({"type": "tool", "name": "get_weather"})));
}

#[test]
fn allowed_tools_are_the_only_ones_sent() {
    let mut chat = hello();
    chat.tools = vec![weather(), Tool::function("get_time", None)];
    let names = vec![Str::from("get_time")];
    chat.tool_choice = Some(ToolChoice::Allowed { required: true, names });
    let sent = to().send(&chat);
    assert_eq!(sent.body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(sent.body["tool_choice"], json!({"type": "any"}));
    assert_eq!(sent.losses, ["tool_choice=emulated"]);
}

/// The rest of a member whose type was not sent went alone, and was refused for want of a type.
#[test]
fn what_belongs_to_thinking_that_is_left_out_is_left_out_too() {
    let chat = parse(&json!({
        "model": "m", "max_tokens": 2048, "messages": [{"role": "user", "content": "Hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 1024, "new": 1},
    }));
    assert_eq!(to().own().send(&chat).body["thinking"]["new"], 1);
    let body = to().own().model(|caps| caps.reasoning = false).send(&chat).body;
    assert_eq!(body.get("thinking"), None);
}

#[test]
fn a_tool_that_does_not_exist_cannot_be_forced() {
    let mut chat = hello();
    chat.tool_choice = Some(ToolChoice::Any);
    assert_eq!(to().refuses(&chat), "tool_choice");
    chat.tools.push(weather());
    chat.tool_choice = Some(ToolChoice::Tool { name: Str::from("other") });
    assert_eq!(to().refuses(&chat), "tool_choice");
}

#[test]
fn a_model_that_cannot_be_forced_is_asked() {
    let mut chat = hello();
    chat.tools.push(weather());
    chat.tool_choice = Some(ToolChoice::Any);
    let model = || to().model(|m| m.forced_tools = false);
    assert_eq!(model().refuses(&chat), "tool_choice");
    let sent = model().policy(LossPolicy::Allow).send(&chat);
    assert_eq!(sent.body["tool_choice"], json!({"type": "auto"}));
    assert_eq!(sent.body["system"], "Answer by calling one of the tools.");
    assert_eq!(sent.losses, ["tool_choice=dropped"]);
}

#[test]
fn server_tools_and_opaque_blocks_stay_with_their_provider() {
    let body = json!({"max_tokens": 1,
        "messages": [{"role": "user", "content": [{"type": "search_result", "source": "s", "title": "t", "content": []}]}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    let own = to().own().send(&parse(&body)).body;
    assert_eq!(own["tools"], body["tools"]);
    assert_eq!(own["messages"], body["messages"]);
    let mut chat = hello();
    let mut tool = Tool::new(
        "s",
        ToolKind::Server { server_type: Str::from("s_1"), value: RawJson::EMPTY_OBJECT },
    );
    tool.extras.dialect = Some(OPENAI);
    chat.tools.push(tool);
    assert_eq!(to().policy(LossPolicy::Allow).refuses(&chat), "tools[0]");
    let mut chat = hello();
    let opaque = Content::Opaque { kind: Str::from("x"), value: RawJson::EMPTY_OBJECT };
    chat.messages[0].parts.push(Part::new(opaque));
    assert_eq!(to().policy(LossPolicy::Allow).refuses(&chat), "messages[0].content[1]");
}

// === media ===

fn with(content: Content) -> Chat {
    let mut chat = hello();
    chat.messages[0].parts.push(Part::new(content));
    chat
}

fn image(source: Source) -> Chat {
    with(Content::Image { source, detail: None })
}

fn document(source: Source) -> Chat {
    with(Content::Document { source, title: Some(Str::from("T")), context: None, citations: None })
}

fn base64(media_type: &str, data: &str) -> Source {
    Source::Base64 { media_type: Str::from(media_type), data: Str::from(data) }
}

#[test]
fn pictures_are_sent_by_what_they_are() {
    let source =
        |source| to().send(&image(source)).body["messages"][0]["content"][1]["source"].clone();
    let png = "iVBORw0KGgoAAAAN";
    assert_eq!(
        source(base64("image/jpeg", png)),
        json!({"type": "base64", "media_type": "image/png", "data": png})
    );
    assert_eq!(
        source(Source::Url(Str::from("https://a.test/b"))),
        json!({"type": "url", "url": "https://a.test/b"})
    );
    assert_eq!(to().refuses(&image(base64("image/tiff", "AAAA"))), "messages[0].content[1]");
    assert_eq!(to().refuses(&image(Source::File(Str::from("f")))), "messages[0].content[1]");
    let data = Source::Url(Str::from("data:image/svg+xml,<svg/>"));
    assert_eq!(to().refuses(&image(data)), "messages[0].content[1]");
    let own = to().own().send(&image(Source::File(Str::from("f")))).body;
    assert_eq!(own["messages"][0]["content"][1]["source"]["file_id"], "f");
    let detail = Some(Str::from("high"));
    let sent = to().send(&with(Content::Image { source: base64("image/png", png), detail }));
    assert_eq!(sent.losses, ["messages[0].content[1].detail=dropped"]);
}

#[test]
fn documents_are_pdf_or_text() {
    let sent = |source| to().send(&document(source));
    let pdf = sent(base64("application/pdf", "JVBERi0xLjcK"));
    let block = &pdf.body["messages"][0]["content"][1];
    assert_eq!(block["source"]["media_type"], "application/pdf");
    assert_eq!(block["title"], "T");
    assert!(pdf.losses.is_empty());
    let csv = sent(base64("text/csv", "YSxi"));
    assert_eq!(
        csv.body["messages"][0]["content"][1]["source"],
        json!({"type": "text", "media_type": "text/plain", "data": "a,b"})
    );
    assert_eq!(csv.losses, ["messages[0].content[1]=emulated"]);
    assert_eq!(
        to().refuses(&document(base64("application/msword", "AAAA"))),
        "messages[0].content[1]"
    );
}

#[test]
fn what_nobody_hears_or_sees_is_refused() {
    let source = base64("audio/wav", "AAAA");
    for content in [Content::Audio { source: source.clone() }, Content::Video { source }] {
        let to = to().policy(LossPolicy::Allow);
        assert_eq!(to.refuses(&with(content)), "messages[0].content[1]");
    }
}

// === parameters ===

#[test]
fn what_has_no_field_is_lost_by_rule() {
    let sent = |change: fn(&mut Chat)| {
        let mut chat = hello();
        change(&mut chat);
        to().send(&chat).losses
    };
    assert_eq!(sent(|c| c.sampling.seed = Some(1)), ["seed=dropped"]);
    assert_eq!(sent(|c| c.sampling.frequency_penalty = Some(0.5)), ["frequency_penalty=dropped"]);
    assert_eq!(sent(|c| c.sampling.presence_penalty = Some(0.5)), ["presence_penalty=dropped"]);
    assert_eq!(sent(|c| c.logit_bias = Some(raw(&json!({"1": 2})))), ["logit_bias=dropped"]);
    assert_eq!(sent(|c| c.verbosity = Some(Str::from("low"))), ["verbosity=dropped"]);
    assert_eq!(sent(|c| c.store = Some(true)), ["store=dropped"]);
    assert_eq!(sent(|c| c.metadata = Some(raw(&json!({"a": "b"})))), ["metadata=dropped"]);
    assert_eq!(sent(|c| c.cache.key = Some(Str::from("k"))), ["prompt_cache_key=dropped"]);
    assert_eq!(sent(|c| c.messages[0].name = Some(Str::from("Ann"))), ["messages[0].name=dropped"]);
    // What would happen anyway is no loss.
    for change in [
        (|c| c.n = Some(1)) as fn(&mut Chat),
        |c| c.sampling.frequency_penalty = Some(0.0),
        |c| c.sampling.repetition_penalty = Some(1.0),
        |c| c.store = Some(false),
        |c| c.modalities = vec![Str::from("text")],
        |c| c.logit_bias = Some(RawJson::EMPTY_OBJECT),
    ] {
        assert_eq!(sent(change), Vec::<String>::new());
    }
}

#[test]
fn what_changes_the_meaning_is_refused_by_the_callers_name() {
    let refused = |policy, change: fn(&mut Chat)| {
        let mut chat = hello();
        change(&mut chat);
        to().policy(policy).refuses(&chat)
    };
    assert_eq!(refused(LossPolicy::Allow, |c| c.n = Some(2)), "n");
    assert_eq!(
        refused(LossPolicy::Allow, |c| c.modalities = vec![Str::from("audio")]),
        "modalities"
    );
    assert_eq!(refused(LossPolicy::Default, |c| c.logprobs = Some(3)), "logprobs");
    assert_eq!(
        refused(LossPolicy::Default, |c| c.web_search = Some(RawJson::EMPTY_OBJECT)),
        "web_search_options"
    );
    assert_eq!(refused(LossPolicy::Refuse, |c| c.sampling.seed = Some(1)), "seed");
}

#[test]
fn what_the_operator_lets_pass_is_sent() {
    let mut chat = hello();
    chat.sampling.seed = Some(7);
    chat.extras = ziggurat_core::Extras::of(OPENAI);
    chat.extras.push(Str::from("new_thing"), raw(&json!([1])));
    let sent = to().passing("seed").send(&chat);
    assert_eq!(sent.body["seed"], 7);
    assert_eq!(sent.losses, ["new_thing=dropped"]);
    let sent = to().passing("seed").passing("new_thing").send(&chat);
    assert_eq!(sent.body["new_thing"], json!([1]));
    assert!(sent.losses.is_empty());
}

#[test]
fn sampling_is_clamped_or_stripped_by_model() {
    let mut chat = hello();
    chat.sampling.temperature = Some(1.7);
    chat.sampling.top_p = Some(0.9);
    chat.sampling.top_k = Some(40);
    let sent = to().send(&chat);
    assert_eq!(sent.body["temperature"], 1.0);
    assert_eq!(sent.body["top_p"], 0.9);
    assert_eq!(sent.body["top_k"], 40);
    assert_eq!(sent.losses, ["temperature=clamped"]);

    let sent = to().model(|m| m.temperature_with_top_p = false).send(&chat);
    assert_eq!(sent.body.get("top_p"), None);
    assert_eq!(sent.losses, ["temperature=clamped", "top_p=dropped"]);

    chat.sampling.temperature = Some(0.2);
    let none = to().model(|m| m.sampling = false);
    let sent = none.send(&chat);
    for name in ["temperature", "top_p", "top_k"] {
        assert_eq!(sent.body.get(name), None);
    }
    assert_eq!(sent.losses, ["temperature=dropped", "top_p=dropped", "top_k=dropped"]);

    chat.sampling = Default::default();
    chat.sampling.temperature = Some(1.0);
    let sent = none.policy(LossPolicy::Refuse).send(&chat);
    assert_eq!(sent.body.get("temperature"), None);
}

#[test]
fn stop_texts_of_white_space_go() {
    let mut chat = hello();
    chat.stop = vec![Str::from("END"), Str::from("\n")];
    let sent = to().send(&chat);
    assert_eq!(sent.body["stop_sequences"], json!(["END"]));
    assert_eq!(sent.losses, ["stop=dropped"]);
}

#[test]
fn tiers_and_users_have_other_names() {
    let mut chat = hello();
    chat.user = Some(Str::from("u"));
    let mut tier = |tier: &str| {
        chat.service_tier = Some(Str::from(tier));
        let sent = to().send(&chat);
        (sent.body.get("service_tier").cloned(), sent.losses)
    };
    assert_eq!(tier("default"), (Some(json!("standard_only")), vec![]));
    assert_eq!(tier("auto"), (Some(json!("auto")), vec![]));
    assert_eq!(tier("priority"), (Some(json!("auto")), vec!["service_tier=clamped".to_owned()]));
    assert_eq!(tier("flex"), (None, vec!["service_tier=dropped".to_owned()]));
    assert_eq!(to().send(&chat).body["metadata"], json!({"user_id": "u"}));
}

#[test]
fn four_cache_marks_stay_the_last_ones() {
    let mut chat = hello();
    chat.system = vec![Part::text("a"), Part::text("b")];
    chat.tools.push(weather());
    chat.tools[0].cache = Some(CacheMark::Default);
    chat.system[0].cache = Some(CacheMark::Default);
    chat.system[1].cache = Some(CacheMark::OneHour);
    for _ in 0..3 {
        chat.messages[0].parts.push(Part::text("c"));
        chat.messages[0].parts.last_mut().unwrap().cache = Some(CacheMark::FiveMinutes);
    }
    let sent = to().send(&chat);
    assert_eq!(sent.body["tools"][0].get("cache_control"), None);
    assert_eq!(sent.body["system"][0].get("cache_control"), None);
    assert_eq!(sent.body["system"][1]["cache_control"], json!({"type": "ephemeral", "ttl": "1h"}));
    let marks = sent.body.to_string().matches("ephemeral").count();
    assert_eq!(marks, 4);
    assert_eq!(sent.losses, ["cache_control=dropped"]);
}

// === structured answers ===

fn schema_of(schema: &Value) -> Chat {
    let mut chat = hello();
    chat.output = OutputFormat::Schema(OutputSchema::new(raw(schema)));
    chat
}

fn answer_schema() -> Chat {
    schema_of(&json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}},
        "required": ["a"], "additionalProperties": false}))
}

#[test]
fn a_schema_is_bound_where_the_model_can() {
    let sent = to().send(&answer_schema());
    assert_eq!(
        sent.body["output_config"]["format"],
        json!({"type": "json_schema", "schema": {"type": "object",
            "properties": {"a": {"type": "integer", "description": "minimum: 1"}},
            "required": ["a"], "additionalProperties": false}})
    );
    assert_eq!(sent.losses, ["response_format=emulated"]);
    let own = to().own().send(&answer_schema());
    assert_eq!(own.body["output_config"]["format"]["schema"]["properties"]["a"]["minimum"], 1);
}

#[test]
fn a_schema_becomes_a_tool_where_the_model_cannot() {
    let sent = to().model(|m| m.structured_output = false).send(&answer_schema());
    assert_eq!(sent.body["tools"][0]["name"], "respond_json");
    assert_eq!(sent.body["tools"][0]["input_schema"]["properties"]["a"]["minimum"], 1);
    assert_eq!(sent.body["tool_choice"], json!({"type": "tool", "name": "respond_json"}));
    assert!(sent.restore.is_answer("respond_json"));
    assert_eq!(sent.body.get("output_config"), None);
}

#[test]
fn a_schema_beside_tools_is_only_asked_for() {
    let mut chat = answer_schema();
    chat.tools.push(weather());
    let old = || to().model(|m| m.structured_output = false);
    assert_eq!(old().refuses(&chat), "response_format");
    let sent = old().policy(LossPolicy::Allow).send(&chat);
    assert!(sent.body["system"].as_str().unwrap().contains("\"minimum\":1"));
    assert!(sent.restore.strips_fence());
}

#[test]
fn json_without_a_schema_is_asked_for_in_words() {
    let mut chat = hello();
    chat.output = OutputFormat::Json;
    chat.system.push(Part::text("Be brief."));
    let sent = to().send(&chat);
    assert_eq!(sent.body["system"][1]["text"], "Answer with one JSON object and nothing else.");
    assert!(sent.restore.strips_fence());
    assert_eq!(sent.losses, ["response_format=emulated"]);
}

// === thinking ===

fn effort(effort: Effort) -> Chat {
    let mut chat = hello();
    chat.reasoning.effort = Some(effort);
    chat
}

fn adaptive() -> To {
    to().model(|m| {
        m.thinking_adaptive = true;
        m.thinking_budget = false;
    })
}

#[test]
fn an_effort_becomes_a_budget() {
    for (word, budget, max) in [
        (Effort::Minimal, 1024, 5120),
        (Effort::Low, 1024, 5120),
        (Effort::Medium, 8192, 12_288),
        (Effort::High, 24_576, 28_672),
        (Effort::XHigh, 32_768, 36_864),
        (Effort::Max, 65_536, 69_632),
    ] {
        let body = to().send(&effort(word)).body;
        assert_eq!(
            body["thinking"],
            json!({"type": "enabled", "budget_tokens": budget}),
            "{word:?}"
        );
        assert_eq!(body["max_tokens"], max, "{word:?}");
    }
    let body = to().model(|m| m.max_output = Some(32_000)).send(&effort(Effort::Max)).body;
    assert_eq!(body["max_tokens"], 32_000);
    assert_eq!(body["thinking"]["budget_tokens"], 27_904);
}

#[test]
fn a_budget_stays_below_the_callers_bound() {
    let mut chat = effort(Effort::High);
    chat.max_output_tokens = Some(2000);
    let body = to().send(&chat).body;
    assert_eq!(
        (&body["max_tokens"], &body["thinking"]["budget_tokens"]),
        (&json!(2000), &json!(1999))
    );
    chat.max_output_tokens = Some(1024);
    let sent = to().send(&chat);
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.losses, ["reasoning_effort=clamped"]);
}

#[test]
fn newer_models_take_an_effort_and_decide_themselves() {
    let body = adaptive().send(&effort(Effort::High)).body;
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(body["output_config"], json!({"effort": "high"}));
    let sent = adaptive().send(&effort(Effort::Minimal));
    assert_eq!(sent.body["output_config"], json!({"effort": "low"}));
    assert_eq!(sent.losses, ["reasoning_effort=clamped"]);
    let sent = adaptive()
        .model(|m| m.efforts = vec![Effort::Low, Effort::Medium, Effort::High, Effort::Max])
        .send(&effort(Effort::XHigh));
    assert_eq!(sent.body["output_config"], json!({"effort": "high"}));
    let mut chat = hello();
    chat.reasoning.budget_tokens = Some(10_000);
    let sent = adaptive().send(&chat);
    assert_eq!(sent.body["output_config"], json!({"effort": "high"}));
    assert_eq!(sent.losses, ["reasoning_effort=emulated"]);
}

#[test]
fn thinking_is_switched_off_as_the_model_knows_it() {
    let off = effort(Effort::None);
    assert_eq!(to().send(&off).body["thinking"], json!({"type": "disabled"}));
    let sent = adaptive()
        .model(|m| {
            m.thinking_off = false;
            m.thinking_between_tools = true;
        })
        .send(&off);
    assert_eq!(sent.body["thinking"], json!({"type": "between_tools"}));
    assert_eq!(sent.losses, ["reasoning_effort=clamped"]);
    let sent = adaptive().model(|m| m.thinking_off = false).send(&off);
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.body["output_config"], json!({"effort": "low"}));
}

#[test]
fn a_model_that_does_not_think_is_not_asked_to() {
    let to = to().model(|m| m.reasoning = false);
    let sent = to.send(&effort(Effort::High));
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.losses, ["reasoning_effort=dropped"]);
    assert!(to.send(&effort(Effort::None)).losses.is_empty());
}

#[test]
fn its_own_callers_say_how_to_think_themselves() {
    let body = |thinking: Value, config: Value| {
        parse(&json!({"max_tokens": 1500, "messages": [{"role": "user", "content": "x"}],
            "thinking": thinking, "output_config": config}))
    };
    let sent =
        to().own().send(&body(json!({"type": "enabled", "budget_tokens": 2048}), Value::Null));
    assert_eq!(sent.body["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
    let sent = to().own().send(&body(Value::Null, json!({"effort": "low"})));
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.body["output_config"], json!({"effort": "low"}));
    // A model that knows no budget gets what is nearest.
    let sent = adaptive()
        .own()
        .send(&body(json!({"type": "enabled", "budget_tokens": 2048}), Value::Null));
    assert_eq!(sent.body["thinking"], json!({"type": "adaptive"}));
    assert_eq!(sent.body["output_config"], json!({"effort": "medium"}));
    assert_eq!(sent.losses, ["thinking=emulated"]);
    // A model that knows nothing else gets a budget.
    let sent = to().own().send(&body(json!({"type": "adaptive"}), Value::Null));
    assert_eq!(sent.body["thinking"], json!({"type": "enabled", "budget_tokens": 1499}));
    let new = json!({"type": "dreaming", "x": 1});
    assert_eq!(to().own().send(&body(new.clone(), Value::Null)).body["thinking"], new);
}

#[test]
fn thinking_gives_way_to_a_forced_tool() {
    let mut chat = effort(Effort::High);
    chat.tools.push(weather());
    chat.tool_choice = Some(ToolChoice::Any);
    let sent = to().send(&chat);
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.body["tool_choice"], json!({"type": "any"}));
    assert_eq!(sent.losses, ["reasoning_effort=clamped"]);
    // A model that decides itself can do both.
    let sent = adaptive().send(&chat);
    assert_eq!(sent.body["thinking"]["type"], "adaptive");
    assert_eq!(sent.body["tool_choice"], json!({"type": "any"}));
}

#[test]
fn thinking_narrows_the_sampling() {
    let mut chat = effort(Effort::Low);
    chat.sampling.temperature = Some(0.5);
    chat.sampling.top_p = Some(0.97);
    chat.sampling.top_k = Some(3);
    let sent = to().send(&chat);
    assert_eq!(sent.body.get("temperature"), None);
    assert_eq!(sent.body["top_p"], 0.97);
    assert_eq!(sent.losses, ["temperature=dropped", "top_k=dropped"]);
}

#[test]
fn only_thinking_that_this_provider_signed_is_sent_back() {
    for (signature, sent_back) in
        [(Some("EqQB"), true), (None, false), (Some(""), false), (Some("zig1.bQ=="), false)]
    {
        let mut chat = tool_turn("{}");
        chat.messages[1].parts.insert(0, thought(signature));
        for to in [to(), to().own()] {
            let sent = to.send(&chat);
            let first = &sent.body["messages"][1]["content"][0];
            assert_eq!(first["type"] == "thinking", sent_back, "{signature:?}");
            assert_eq!(sent.losses.is_empty(), sent_back);
        }
    }
    let mut chat = tool_turn("{}");
    let mut foreign = thought(Some("sig"));
    foreign.extras = ziggurat_core::Extras::of(OPENAI);
    chat.messages[1].parts.insert(0, foreign);
    assert_eq!(to().send(&chat).body["messages"][1]["content"][0]["type"], "tool_use");
}

#[test]
fn what_a_model_thought_goes_back_to_that_model_alone() {
    let sent = |part: Part| {
        let mut chat = tool_turn("{}");
        chat.messages[1].parts.insert(0, part);
        let sent = to().send(&chat);
        (sent.body["messages"][1]["content"][0].clone(), sent.losses)
    };
    let own = crate::origin::mark(Some("m"), "EqQB").into_owned();
    let (block, losses) = sent(thought(Some(&own)));
    assert_eq!(block["signature"], "EqQB");
    assert_eq!(losses, Vec::<String>::new());
    let redacted = |data: &str| {
        let redacted = Some(Str::from(data));
        Part::new(Content::Reasoning { text: Str::new(), signature: None, redacted })
    };
    assert_eq!(sent(redacted(&own)).0["data"], "EqQB");
    // A caller of OpenAI's dialect that asked another Claude next was told of an invalid signature.
    let other = crate::origin::mark(Some("claude-y"), "EqQB").into_owned();
    for part in [thought(Some(&other)), redacted(&other)] {
        let (block, losses) = sent(part);
        assert_eq!(block["type"], "tool_use");
        assert_eq!(losses, ["messages[1]=dropped"]);
    }
}

#[test]
fn thinking_is_off_where_the_history_lacks_the_thought_before_a_call() {
    let mut chat = tool_turn("{}");
    chat.reasoning.effort = Some(Effort::High);
    let sent = to().send(&chat);
    assert_eq!(sent.body.get("thinking"), None);
    assert_eq!(sent.losses, ["reasoning_effort=clamped"]);
    chat.messages[1].parts.insert(0, thought(Some("zig1.bQ==")));
    assert_eq!(to().send(&chat).body.get("thinking"), None);
    chat.messages[1].parts[0] = thought(Some("EqQB"));
    assert_eq!(to().send(&chat).body["thinking"]["type"], "enabled");
    chat.messages[1].parts[0] = Part::new(Content::Reasoning {
        text: Str::new(),
        signature: None,
        redacted: Some(Str::from("zzz")),
    });
    assert_eq!(to().send(&chat).body["thinking"]["type"], "enabled");
}

// === turns ===

#[test]
fn a_prefill_is_sent_where_the_model_continues_it() {
    let mut chat = hello();
    chat.messages.push(Message::text(Role::Assistant, "Once ").at(1));
    assert_eq!(to().send(&chat).body["messages"][1]["content"], "Once");
    let cannot = || to().model(|m| m.prefill = false);
    assert_eq!(cannot().refuses(&chat), "messages[1]");
    let sent = cannot().policy(LossPolicy::Allow).send(&chat);
    assert_eq!(sent.body["messages"][2]["content"], "Continue.");
    chat.reasoning.effort = Some(Effort::High);
    assert_eq!(to().refuses(&chat), "messages[1]");
}

#[test]
fn system_messages_in_the_middle_go_where_the_model_takes_them() {
    let mut chat = hello();
    chat.messages.push(Message::text(Role::System, "Be kind.").at(1));
    chat.messages.push(Message::text(Role::Assistant, "Hi.").at(2));
    chat.messages.push(Message::text(Role::User, "So?").at(3));
    let body = to().send(&chat).body;
    assert_eq!(body["messages"][1], json!({"role": "system", "content": "Be kind."}));
    let sent = to().model(|m| m.mid_system = false).send(&chat);
    assert_eq!(sent.body["messages"][0]["content"][1]["text"], "[system]\nBe kind.\n[/system]");
    assert_eq!(sent.losses, ["messages[1]=emulated"]);
}

#[test]
fn system_and_developer_prompts_become_one() {
    let mut chat = hello();
    chat.system.push(Part::text("a"));
    chat.messages.insert(0, Message::text(Role::Developer, "b"));
    let body = to().send(&chat).body;
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    );
}

#[test]
fn a_refusal_in_the_history_is_sent_as_text() {
    let mut chat = hello();
    let refusal = Part::new(Content::Refusal { text: Str::from("No.") });
    chat.messages.push(Message::new(Role::Assistant, vec![refusal]).at(1));
    chat.messages.push(Message::text(Role::User, "Why?").at(2));
    let sent = to().send(&chat);
    assert_eq!(sent.body["messages"][1]["content"], json!([{"type": "text", "text": "No."}]));
    assert_eq!(sent.losses, ["messages[1].content[0]=emulated"]);
}

// === other operations ===

#[test]
fn only_what_counts_is_sent_to_be_counted() {
    let mut chat = tool_turn("{}");
    chat.sampling.temperature = Some(0.3);
    chat.n = Some(3);
    chat.user = Some(Str::from("u"));
    let sent = to().encode(&Typed::CountTokens(Arc::new(chat))).unwrap();
    let mut names: Vec<_> = sent.body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["messages", "model", "tools"]);
}

#[test]
fn thinking_that_the_gateway_signed_leaves_a_request_that_passes_through() {
    let body = json!({"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": [
        {"role": "user", "content": "a zig1. b"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "zig1.bQ=="}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "x", "signature": "zig1.bQ==.EqQB"},
            {"type": "redacted_thinking", "data": "zig1.bQ==.zzz"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"z": 1, "a": 2}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "zig1."}]}]});
    let wire = |body: &Value| {
        Payload::wire(ANTHROPIC, Operation::Chat, Bytes::from(body.to_string())).unwrap()
    };
    let mut payload = wire(&body);
    prepare(&mut payload).unwrap();
    let sent: Value = serde_json::from_slice(&payload.segments().unwrap().concat()).unwrap();
    assert_eq!(sent.get("thinking"), None);
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1]["content"], json!([body["messages"][2]["content"][2]]));
    assert_eq!(messages[2], body["messages"][3]);

    let plain = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "zig1."}]});
    let mut payload = wire(&plain);
    prepare(&mut payload).unwrap();
    assert_eq!(payload.segments().unwrap().concat(), plain.to_string().into_bytes());
}
