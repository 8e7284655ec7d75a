//! Whatever this dialect can say survives being read and written again.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ziggurat_core::{CacheMark, Extras, Tool, ToolCallKind};

use super::*;
use crate::converse::block::{GUARDED, JSON, OWNER};

fn word() -> impl Strategy<Value = Str> {
    "[a-zA-Z][a-zA-Z0-9 \"\\\\é\n]{0,12}[a-z]".prop_map(Str::from)
}

fn name() -> impl Strategy<Value = Str> {
    "[a-z][a-z0-9_-]{0,8}".prop_map(Str::from)
}

fn raw(value: &Value) -> RawJson {
    RawJson::parse(Str::from(value.to_string())).unwrap()
}

fn mark() -> impl Strategy<Value = Option<CacheMark>> {
    prop_oneof![
        9 => Just(None),
        1 => Just(Some(CacheMark::Default)),
        1 => Just(Some(CacheMark::FiveMinutes)),
        1 => Just(Some(CacheMark::OneHour)),
    ]
}

fn object() -> impl Strategy<Value = RawJson> {
    vec((name(), any::<u64>()), 0..3).prop_map(|members| {
        let members: Vec<_> =
            members.iter().enumerate().map(|(n, (k, v))| format!("\"{k}{n}\":{v}")).collect();
        RawJson::parse(Str::from(format!("{{{}}}", members.join(",")))).unwrap()
    })
}

fn with(mut part: Part, name: &'static str, value: RawJson) -> Part {
    part.extras = Extras::of(CONVERSE);
    part.extras.push(Str::from(name), value);
    part
}

fn text() -> impl Strategy<Value = Part> {
    let citation = raw(&json!({"type": "page_location", "cited_text": "x", "document_index": 0,
        "start_page_number": 1, "end_page_number": 2, "document_title": "t"}));
    let citation =
        crate::converse::citation::read(&crate::converse::citation::adopt(&citation, "").unwrap());
    (word(), vec(Just(citation), 0..2), 0..8u8).prop_map(|(text, citations, guarded)| match guarded
    {
        0 => with(Part::text(text), GUARDED, raw(&json!({"qualifiers": ["query"]}))),
        _ => Part::new(Content::Text { text, citations }),
    })
}

fn base64(media_type: &'static str, data: &'static str) -> Source {
    Source::Base64 { media_type: Str::from(media_type), data: Str::from(data) }
}

fn media() -> impl Strategy<Value = Part> {
    let plain = prop_oneof![
        Just(Content::Image { source: base64("image/png", "iVBORw0KGgoAAAAN"), detail: None }),
        Just(Content::Video { source: base64("video/3gpp", "AAAA") }),
        Just(Content::Audio { source: base64("audio/opus", "AAAA") }),
    ];
    let paper = prop_oneof![
        Just(base64("application/pdf", "JVBERi0xLjcK")),
        word().prop_map(|text| Source::Text { media_type: Str::from("text/csv"), text }),
        Just(Source::Parts(crate::json::constant(r#"[{"type":"text","text":"x"}]"#))),
    ];
    let paper = (paper, option::of(word()), option::of(word()), option::of(any::<bool>()));
    let paper = paper.prop_map(|(source, title, context, citations)| Content::Document {
        source,
        title,
        context,
        citations,
    });
    let stored = name().prop_map(|name| {
        let source = Source::File(Str::from(format!("s3://bucket/{name}")));
        let mut part = with(Part::new(Content::Video { source }), OWNER, RawJson::string("1"));
        part.extras.push(Str::from("format"), RawJson::string("mov"));
        part
    });
    let new = plain.clone().prop_map(|content| with(Part::new(content), "new", raw(&json!({}))));
    prop_oneof![
        3 => plain.prop_map(Part::new),
        3 => paper.prop_map(Part::new),
        1 => stored,
        1 => new,
    ]
}

fn opaque() -> impl Strategy<Value = Part> {
    name().prop_map(|name| {
        let kind = Str::from(format!("x{name}"));
        let value = raw(&json!({kind.as_str(): {"content": [1, 2]}}));
        let mut part = Part::new(Content::Opaque { kind, value });
        part.extras = Extras::of(CONVERSE);
        part
    })
}

fn marked(parts: impl Strategy<Value = Part>) -> impl Strategy<Value = Part> {
    (parts, mark()).prop_map(|(mut part, cache)| {
        part.cache = cache;
        part
    })
}

fn user_part() -> impl Strategy<Value = Part> {
    let value =
        object().prop_map(|value| with(Part::text(value.into_text()), JSON, raw(&json!(true))));
    let answer = vec(prop_oneof![text(), media(), value], 0..3);
    let answer = (name(), answer, any::<bool>()).prop_map(|(call_id, parts, is_error)| {
        Part::new(Content::ToolResult { call_id, name: None, parts, is_error })
    });
    marked(prop_oneof![3 => text(), 1 => media(), 1 => answer, 1 => opaque()])
}

fn assistant_part() -> impl Strategy<Value = Part> {
    let thought = (word(), word()).prop_map(|(text, signature)| {
        Part::new(Content::Reasoning { text, signature: Some(signature), redacted: None })
    });
    let redacted = Just(Part::new(Content::Reasoning {
        text: Str::new(),
        signature: None,
        redacted: Some(Str::from("EqQB")),
    }));
    let call = (name(), name(), object()).prop_map(|(id, name, input)| {
        Part::new(Content::ToolCall {
            id,
            name,
            arguments: input.into_text(),
            kind: ToolCallKind::Function,
            signature: None,
        })
    });
    prop_oneof![
        3 => marked(text()),
        1 => thought,
        1 => redacted,
        2 => marked(call),
        1 => marked(opaque()),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let user = || vec(user_part(), 1..4).prop_map(|parts| Message::new(Role::User, parts));
    let assistant =
        vec(assistant_part(), 1..4).prop_map(|parts| Message::new(Role::Assistant, parts));
    (user(), vec(prop_oneof![user(), assistant], 0..4)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest.into_iter().enumerate().map(|(index, message)| message.at(index)).collect()
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    let tool = (option::of(word()), object(), option::of(any::<bool>()), mark());
    vec(tool, 0..3).prop_map(|tools| {
        let tool = |(index, (description, schema, strict, cache))| {
            let mut tool = Tool::function(format!("tool_{index}"), Some(schema));
            tool.description = description;
            tool.strict = strict;
            tool.cache = cache;
            tool
        };
        tools.into_iter().enumerate().map(tool).collect()
    })
}

fn chat() -> impl Strategy<Value = Chat> {
    let sampling = (
        option::of(0.0..=1.0f64),
        option::of(0.0..=1.0f64),
        option::of(0u64..100),
        vec(word(), 0..3),
        option::of(1u64..99_999),
    );
    let rest = (option::of(word()), any::<bool>(), any::<bool>());
    (vec(text(), 0..3), messages(), tools(), sampling, rest, 0..5u8, object()).prop_map(
        |(system, messages, tools, sampling, rest, variant, schema)| {
            let mut chat = Chat::new();
            chat.system = system;
            chat.messages = messages;
            chat.tools = tools;
            chat.sampling.temperature = sampling.0;
            chat.sampling.top_p = sampling.1;
            chat.sampling.top_k = sampling.2;
            chat.stop = sampling.3;
            chat.max_output_tokens = sampling.4;
            chat.service_tier = rest.0;
            if rest.1 {
                chat.extras = Extras::of(CONVERSE);
                for name in ["guardrailConfig", "additionalModelResponseFieldPaths"] {
                    chat.extras.push(Str::from(name), schema.clone());
                }
            }
            if !chat.tools.is_empty() {
                chat.tool_choice = match variant {
                    0 => Some(ToolChoice::Any),
                    1 => Some(ToolChoice::Tool { name: Str::from("tool_0") }),
                    2 => None,
                    _ => Some(ToolChoice::Auto),
                };
                chat.parallel_tools = (rest.2 && chat.tool_choice.is_some()).then_some(false);
            }
            match variant {
                0 => {
                    let mut wanted = ziggurat_core::OutputSchema::new(schema);
                    wanted.name = Some(Str::from("n"));
                    chat.output = OutputFormat::Schema(wanted);
                }
                1 => chat.reasoning.effort = Some(Effort::Medium),
                2 => chat.reasoning.mode = Some(ReasoningMode::Off),
                3 => chat.metadata = Some(schema),
                _ => {}
            }
            chat
        },
    )
}

/// How many marks the chat holds: more than four do not survive.
fn marks(chat: &Chat) -> usize {
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    parts.filter(|part| part.cache.is_some()).count()
        + chat.tools.iter().filter(|tool| tool.cache.is_some()).count()
}

proptest! {
    #[test]
    fn a_request_survives_being_read_and_written(chat in chat()) {
        prop_assume!(marks(&chat) <= 4);
        // A bound answer takes no prefill.
        let last = chat.messages.last().map(|message| message.role);
        prop_assume!(last == Some(Role::User) || chat.output == OutputFormat::Text);
        let caps = Capabilities::default();
        let target = Target::new("m", &caps, Some(CONVERSE));
        let mut losses = Losses::under(LossPolicy::Refuse);
        let request = encode(&Typed::Chat(Arc::new(chat.clone())), &target, &mut losses).unwrap();
        prop_assert!(losses.found().is_empty(), "{:?}", losses.found());
        let members = Members::parse(Str::from_utf8(request.body).unwrap()).unwrap();
        let back = decode(Operation::Chat, &members).unwrap();
        prop_assert_eq!(&**back.chat().unwrap(), &chat);
    }

    #[test]
    fn any_json_is_read_or_refused(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        for name in [
            "messages", "system", "toolConfig", "inferenceConfig", "outputConfig", "serviceTier",
            "additionalModelRequestFields", "input",
        ] {
            let body = format!("{{\"{name}\":{text}}}");
            if let Ok(members) = Members::parse(Str::from(body)) {
                drop(decode(Operation::Chat, &members));
                drop(decode(Operation::CountTokens, &members));
            }
        }
    }
}
