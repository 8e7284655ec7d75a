//! Whatever this dialect can say survives being read and written again.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn word() -> impl Strategy<Value = Str> {
    "[a-zA-Z][a-zA-Z0-9 \"\\\\é\n]{0,12}[a-z]".prop_map(Str::from)
}

fn name() -> impl Strategy<Value = Str> {
    "[a-z][a-z0-9_-]{0,8}".prop_map(Str::from)
}

fn mark() -> impl Strategy<Value = Option<CacheMark>> {
    prop_oneof![
        6 => Just(None),
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

fn own(mut part: Part, extra: bool) -> Part {
    if extra {
        part.extras = ziggurat_core::Extras::of(ANTHROPIC);
        part.extras.push(Str::from("new"), RawJson::EMPTY_OBJECT);
    }
    part
}

fn text() -> impl Strategy<Value = Part> {
    let citation = Just(raw(&json!({"type": "char_location", "cited_text": "x"})));
    (word(), vec(citation, 0..2), mark(), any::<bool>()).prop_map(
        |(text, citations, cache, extra)| {
            let mut part = own(Part::new(Content::Text { text, citations }), extra);
            part.cache = cache;
            part
        },
    )
}

fn media() -> impl Strategy<Value = Part> {
    let picture = prop_oneof![
        Just(base64("image/png", "iVBORw0KGgoAAAAN")),
        word().prop_map(Source::Url),
        name().prop_map(Source::File),
    ];
    let paper = prop_oneof![
        Just(base64("application/pdf", "JVBERi0xLjcK")),
        word().prop_map(|text| Source::Text { media_type: Str::from("text/plain"), text }),
        word().prop_map(Source::Url),
        Just(Source::Parts(raw(&json!([{"type": "text", "text": "x"}])))),
    ];
    let content = prop_oneof![
        picture.prop_map(|source| Content::Image { source, detail: None }),
        (paper, option::of(word()), option::of(word()), option::of(any::<bool>())).prop_map(
            |(source, title, context, citations)| Content::Document {
                source,
                title,
                context,
                citations
            }
        ),
    ];
    (content, mark()).prop_map(|(content, cache)| {
        let mut part = Part::new(content);
        part.cache = cache;
        part
    })
}

fn opaque() -> impl Strategy<Value = Part> {
    name().prop_map(|name| {
        let kind = Str::from(format!("x_{name}"));
        let value = raw(&json!({"type": kind.as_str(), "content": [1, 2]}));
        let mut part = Part::new(Content::Opaque { kind, value });
        part.extras = ziggurat_core::Extras::of(ANTHROPIC);
        part
    })
}

fn user_part() -> impl Strategy<Value = Part> {
    let answer = (name(), vec(prop_oneof![text(), media()], 0..3), any::<bool>(), mark());
    let answer = answer.prop_map(|(call_id, parts, is_error, cache)| {
        let mut part = Part::new(Content::ToolResult { call_id, name: None, parts, is_error });
        part.cache = cache;
        part
    });
    prop_oneof![3 => text(), 1 => media(), 1 => answer, 1 => opaque()]
}

fn assistant_part() -> impl Strategy<Value = Part> {
    let thought = (word(), word()).prop_map(|(text, signature)| {
        Part::new(Content::Reasoning { text, signature: Some(signature), redacted: None })
    });
    let redacted = word().prop_map(|data| {
        Part::new(Content::Reasoning { text: Str::new(), signature: None, redacted: Some(data) })
    });
    let call =
        (name(), name(), object()).prop_map(|(id, name, input)| call(&id, &name, input.get()));
    prop_oneof![3 => text(), 1 => thought, 1 => redacted, 2 => call, 1 => opaque()]
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
    );
    let rest = (option::of(word()), option::of(word()), any::<bool>(), any::<bool>(), 0u64..99_999);
    (vec(text(), 0..3), messages(), tools(), sampling, rest, 0..4u8, object()).prop_map(
        |(system, messages, tools, sampling, rest, variant, schema)| {
            let mut chat = Chat::new();
            chat.system = system;
            chat.messages = messages;
            chat.tools = tools;
            chat.sampling.temperature = sampling.0;
            chat.sampling.top_p = sampling.1;
            chat.sampling.top_k = sampling.2;
            chat.stop = sampling.3;
            chat.user = rest.0;
            chat.service_tier = rest.1;
            chat.stream = rest.2;
            chat.max_output_tokens = Some(rest.4);
            if rest.3 {
                chat.extras = ziggurat_core::Extras::of(ANTHROPIC);
                chat.extras.push(Str::from("container"), schema.clone());
            }
            if !chat.tools.is_empty() {
                chat.parallel_tools = Some(rest.2);
                chat.tool_choice = Some(match variant {
                    0 => ToolChoice::Any,
                    1 => ToolChoice::Tool { name: Str::from("tool_0") },
                    _ => ToolChoice::Auto,
                });
            }
            match variant {
                0 => chat.output = OutputFormat::Schema(OutputSchema::new(schema)),
                1 => chat.reasoning.effort = Some(Effort::Medium),
                2 => chat.reasoning.mode = Some(ReasoningMode::Off),
                _ => chat.cache.auto = Some(CacheMark::OneHour),
            }
            chat
        },
    )
}

/// How many marks the chat holds: more than four do not survive.
fn marks(chat: &Chat) -> usize {
    fn of(parts: &[Part]) -> usize {
        parts
            .iter()
            .map(|part| match &part.content {
                Content::ToolResult { parts, .. } => usize::from(part.cache.is_some()) + of(parts),
                _ => usize::from(part.cache.is_some()),
            })
            .sum()
    }
    chat.tools.iter().filter(|tool| tool.cache.is_some()).count()
        + of(&chat.system)
        + chat.messages.iter().map(|message| of(&message.parts)).sum::<usize>()
        + usize::from(chat.cache.auto.is_some())
}

proptest! {
    #[test]
    fn a_request_survives_being_read_and_written(chat in chat()) {
        prop_assume!(marks(&chat) <= 4);
        // A final text of the assistant is trimmed; none of these ends in a space, and a bound answer takes no prefill.
        let last = chat.messages.last().map(|message| message.role);
        prop_assume!(last == Some(Role::User) || chat.output == OutputFormat::Text);
        let target = Capabilities::default();
        let target = Target::new("m", &target, Some(ANTHROPIC));
        let mut losses = Losses::under(LossPolicy::Refuse);
        let typed = Typed::Chat(Arc::new(chat.clone()));
        let request = encode(&typed, &target, &mut losses).unwrap();
        prop_assert!(losses.found().is_empty(), "{:?}", losses.found());
        let members = Members::parse(Str::from_utf8(request.body).unwrap()).unwrap();
        let back = decode(Operation::Chat, &members).unwrap();
        prop_assert_eq!(&**back.chat().unwrap(), &chat);
    }

    #[test]
    fn any_json_is_read_or_refused(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        for name in ["messages", "system", "tools", "thinking", "output_config", "tool_choice"] {
            let body = format!("{{\"max_tokens\":1,\"messages\":[],\"{name}2\":0,\"x\":{text}}}");
            if let Ok(members) = Members::parse(Str::from(body)) {
                drop(decode(Operation::Chat, &members));
            }
            let body = format!("{{\"{name}\":{text}}}");
            if let Ok(members) = Members::parse(Str::from(body)) {
                drop(decode(Operation::Chat, &members));
            }
        }
    }
}
