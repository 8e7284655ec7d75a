//! The fields of requests.

use std::sync::Arc;

use ziggurat_core::{
    CacheMark, Capabilities, Chat, Content, Dialect, Effort, Loss, LossPolicy, Losses, Members,
    Message, Operation, OutputFormat, OutputSchema, Part, RawJson, ReasoningMode, Role, Source,
    Str, Target, Tool, ToolCallKind, ToolChoice, ToolKind, Typed,
};

use crate::Fate;

/// A field: how it is set, and how it is found again.
struct Field {
    name: &'static str,
    set: fn(&mut Chat),
    has: fn(&Chat) -> bool,
}

fn raw(json: &'static str) -> RawJson {
    RawJson::parse(Str::from_static(json)).unwrap()
}

/// A small picture that is one.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const MP4: &str = "AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t";
const PDF: &str = "JVBERi0xLjQKJSVFT0YK";
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

fn base64(media_type: &'static str, data: &'static str) -> Source {
    Source::Base64 { media_type: media_type.into(), data: data.into() }
}

fn url() -> Source {
    Source::Url("https://example.com/a.png".into())
}

fn say(chat: &mut Chat, content: Content) {
    chat.messages.last_mut().unwrap().parts.push(Part::new(content));
}

fn parts(chat: &Chat) -> impl Iterator<Item = &Part> {
    chat.messages.iter().flat_map(|message| &message.parts).flat_map(|part| {
        let inner = match &part.content {
            Content::ToolResult { parts, .. } => &parts[..],
            _ => &[],
        };
        std::iter::once(part).chain(inner)
    })
}

fn any(chat: &Chat, is: impl Fn(&Content) -> bool) -> bool {
    parts(chat).any(|part| is(&part.content))
}

fn weather() -> Tool {
    let schema = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;
    let mut tool = Tool::function("get_weather", Some(raw(schema)));
    tool.description = Some("The weather".into());
    tool
}

/// A call in the history, with its result.
fn called(chat: &mut Chat, result: Vec<Part>, is_error: bool) {
    chat.tools.push(weather());
    let call = Content::ToolCall {
        id: "call_123456789".into(),
        name: "get_weather".into(),
        arguments: r#"{"city":"Ur"}"#.into(),
        kind: ToolCallKind::Function,
        signature: None,
    };
    let result = Content::ToolResult {
        call_id: "call_123456789".into(),
        name: Some("get_weather".into()),
        parts: result,
        is_error,
    };
    chat.messages.push(Message::new(Role::Assistant, vec![Part::new(call)]));
    chat.messages.push(Message::new(Role::Tool, vec![Part::new(result)]));
}

fn schema(chat: &mut Chat, strict: Option<bool>) {
    let mut schema = OutputSchema::new(raw(
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
    ));
    schema.name = Some("answer".into());
    schema.strict = strict;
    chat.output = OutputFormat::Schema(schema);
}

fn thought(chat: &mut Chat, signature: Option<&'static str>) {
    let thinking = Content::Reasoning {
        text: "hm".into(),
        signature: signature.map(Str::from),
        redacted: None,
    };
    let parts = vec![Part::new(thinking), Part::text("Well.")];
    chat.messages.push(Message::new(Role::Assistant, parts));
    chat.messages.push(Message::text(Role::User, "And?"));
}

fn marked(part: &Part) -> bool {
    part.cache.is_some()
}

static FIELDS: &[Field] = &[
    Field {
        name: "system prompt",
        set: |c| c.system.push(Part::text("Be brief.")),
        has: |c| c.system.iter().any(|part| part.as_text() == Some("Be brief.")),
    },
    Field {
        name: "system message in the middle",
        set: |c| {
            c.messages.push(Message::text(Role::Assistant, "Yes?"));
            c.messages.push(Message::text(Role::System, "Now rhyme."));
            c.messages.push(Message::text(Role::User, "Go on."));
        },
        has: |c| {
            any(
                c,
                |content| matches!(content, Content::Text { text, .. } if text.contains("Now rhyme.")),
            )
        },
    },
    Field {
        name: "name of who speaks",
        set: |c| c.messages[0].name = Some("ann".into()),
        has: |c| c.messages.iter().any(|message| message.name.is_some()),
    },
    Field {
        name: "image, base64",
        set: |c| say(c, Content::Image { source: base64("image/png", PNG), detail: None }),
        has: |c| {
            any(c, |content| {
                matches!(content, Content::Image { source: Source::Base64 { .. }, .. })
            })
        },
    },
    Field {
        name: "image, by URL",
        set: |c| say(c, Content::Image { source: url(), detail: None }),
        has: |c| any(c, |content| matches!(content, Content::Image { source: Source::Url(_), .. })),
    },
    Field {
        name: "image detail",
        set: |c| {
            say(c, Content::Image { source: base64("image/png", PNG), detail: Some("low".into()) });
        },
        has: |c| any(c, |content| matches!(content, Content::Image { detail: Some(_), .. })),
    },
    Field {
        name: "audio",
        set: |c| say(c, Content::Audio { source: base64("audio/wav", WAV) }),
        has: |c| any(c, |content| matches!(content, Content::Audio { .. })),
    },
    Field {
        name: "video",
        set: |c| say(c, Content::Video { source: base64("video/mp4", MP4) }),
        has: |c| any(c, |content| matches!(content, Content::Video { .. })),
    },
    Field {
        name: "document, base64",
        set: |c| {
            let source = base64("application/pdf", PDF);
            say(c, Content::Document { source, title: None, context: None, citations: None });
        },
        has: |c| any(c, |content| matches!(content, Content::Document { .. })),
    },
    Field {
        name: "title of a document",
        set: |c| {
            let source = base64("application/pdf", PDF);
            let title = Some(Str::from("a.pdf"));
            say(c, Content::Document { source, title, context: None, citations: None });
        },
        has: |c| any(c, |content| matches!(content, Content::Document { title: Some(_), .. })),
    },
    Field {
        name: "document, text",
        set: |c| {
            let source = Source::Text { media_type: "text/plain".into(), text: "Once upon".into() };
            say(c, Content::Document { source, title: None, context: None, citations: None });
        },
        has: |c| any(c, |content| matches!(content, Content::Document { .. })),
    },
    Field {
        name: "document to be cited",
        set: |c| {
            let source = Source::Text { media_type: "text/plain".into(), text: "Once upon".into() };
            let title = Some(Str::from("tale"));
            say(c, Content::Document { source, title, context: None, citations: Some(true) });
        },
        has: |c| {
            any(c, |content| matches!(content, Content::Document { citations: Some(true), .. }))
        },
    },
    Field {
        name: "file of the provider's",
        set: |c| {
            say(
                c,
                Content::Document {
                    source: Source::File("file-1".into()),
                    title: None,
                    context: None,
                    citations: None,
                },
            );
        },
        has: |c| {
            any(c, |content| matches!(content, Content::Document { source: Source::File(_), .. }))
        },
    },
    Field {
        name: "tools",
        set: |c| c.tools.push(weather()),
        has: |c| c.tools.iter().any(|tool| tool.name == "get_weather"),
    },
    Field {
        name: "strict tool",
        set: |c| {
            let mut tool = weather();
            tool.strict = Some(true);
            c.tools.push(tool);
        },
        has: |c| c.tools.iter().any(|tool| tool.strict == Some(true)),
    },
    Field {
        name: "tool that takes free text",
        set: |c| c.tools.push(Tool::new("shell", ToolKind::Custom { format: None })),
        has: |c| c.tools.iter().any(|tool| matches!(tool.kind, ToolKind::Custom { .. })),
    },
    Field {
        name: "tool choice: none",
        set: |c| {
            c.tools.push(weather());
            c.tool_choice = Some(ToolChoice::None);
        },
        has: |c| c.tool_choice == Some(ToolChoice::None) || c.tools.is_empty(),
    },
    Field {
        name: "tool choice: any",
        set: |c| {
            c.tools.push(weather());
            c.tool_choice = Some(ToolChoice::Any);
        },
        has: |c| c.tool_choice == Some(ToolChoice::Any),
    },
    Field {
        name: "tool choice: one",
        set: |c| {
            c.tools.push(weather());
            c.tools.push(Tool::function("other", None));
            c.tool_choice = Some(ToolChoice::Tool { name: "get_weather".into() });
        },
        has: |c| match &c.tool_choice {
            Some(ToolChoice::Tool { name }) => name == "get_weather",
            Some(ToolChoice::Allowed { required: true, names }) => {
                names[..] == [Str::from("get_weather")]
            }
            // Where only that one is left.
            Some(ToolChoice::Any) => c.tools.len() == 1,
            _ => false,
        },
    },
    Field {
        name: "parallel tool calls: no",
        set: |c| {
            c.tools.push(weather());
            c.parallel_tools = Some(false);
        },
        has: |c| c.parallel_tools == Some(false),
    },
    Field {
        name: "tool call and result",
        set: |c| called(c, vec![Part::text("sunny")], false),
        has: |c| {
            any(
                c,
                |content| matches!(content, Content::ToolCall { name, .. } if name == "get_weather"),
            ) && any(
                c,
                |content| matches!(content, Content::Text { text, .. } if text.contains("sunny")),
            )
        },
    },
    Field {
        name: "tool result that is an error",
        set: |c| called(c, vec![Part::text("no such city")], true),
        has: |c| any(c, |content| matches!(content, Content::ToolResult { is_error: true, .. })),
    },
    Field {
        name: "image in a tool result",
        set: |c| {
            let image = Content::Image { source: base64("image/png", PNG), detail: None };
            called(c, vec![Part::text("see"), Part::new(image)], false);
        },
        has: |c| any(c, |content| matches!(content, Content::Image { .. })),
    },
    Field {
        name: "reasoning in the history, unsigned",
        set: |c| thought(c, None),
        has: |c| {
            any(c, |content| matches!(content, Content::Reasoning { text, .. } if text == "hm"))
        },
    },
    Field {
        name: "citations in the history",
        set: |c| {
            let citations = vec![raw(
                r#"{"type":"url_citation","url":"https://a.test/","title":"A","start_index":0,"end_index":5}"#,
            )];
            let text = Content::Text { text: "Hello".into(), citations };
            c.messages.push(Message::new(Role::Assistant, vec![Part::new(text)]));
            c.messages.push(Message::text(Role::User, "And?"));
        },
        has: |c| {
            any(
                c,
                |content| matches!(content, Content::Text { citations, .. } if !citations.is_empty()),
            )
        },
    },
    Field {
        name: "maximum of output tokens",
        set: |c| c.max_output_tokens = Some(77),
        has: |c| c.max_output_tokens == Some(77),
    },
    Field {
        name: "temperature",
        set: |c| c.sampling.temperature = Some(0.5),
        has: |c| c.sampling.temperature == Some(0.5),
    },
    Field {
        name: "top p",
        set: |c| c.sampling.top_p = Some(0.5),
        has: |c| c.sampling.top_p == Some(0.5),
    },
    Field {
        name: "top k",
        set: |c| c.sampling.top_k = Some(7),
        has: |c| c.sampling.top_k == Some(7),
    },
    Field {
        name: "min p",
        set: |c| c.sampling.min_p = Some(0.25),
        has: |c| c.sampling.min_p == Some(0.25),
    },
    Field {
        name: "frequency penalty",
        set: |c| c.sampling.frequency_penalty = Some(0.5),
        has: |c| c.sampling.frequency_penalty == Some(0.5),
    },
    Field {
        name: "presence penalty",
        set: |c| c.sampling.presence_penalty = Some(0.5),
        has: |c| c.sampling.presence_penalty == Some(0.5),
    },
    Field {
        name: "repetition penalty",
        set: |c| c.sampling.repetition_penalty = Some(1.5),
        has: |c| c.sampling.repetition_penalty == Some(1.5),
    },
    Field { name: "seed", set: |c| c.sampling.seed = Some(7), has: |c| c.sampling.seed == Some(7) },
    Field {
        name: "stop sequences",
        set: |c| c.stop = vec!["END".into()],
        has: |c| c.stop == ["END"],
    },
    Field { name: "several answers", set: |c| c.n = Some(2), has: |c| c.n == Some(2) },
    Field {
        name: "log probabilities",
        set: |c| c.logprobs = Some(2),
        has: |c| c.logprobs.is_some(),
    },
    Field {
        name: "logit bias",
        set: |c| c.logit_bias = Some(raw(r#"{"1":2}"#)),
        has: |c| c.logit_bias.is_some(),
    },
    Field {
        name: "output: JSON",
        set: |c| c.output = OutputFormat::Json,
        has: |c| c.output != OutputFormat::Text,
    },
    Field {
        name: "output: JSON of a schema",
        set: |c| schema(c, None),
        has: |c| matches!(c.output, OutputFormat::Schema(_)),
    },
    Field {
        name: "reasoning effort",
        set: |c| c.reasoning.effort = Some(Effort::High),
        has: |c| c.reasoning.effort.is_some() || c.reasoning.budget_tokens.is_some(),
    },
    Field {
        name: "reasoning budget",
        set: |c| {
            c.reasoning.mode = Some(ReasoningMode::On);
            c.reasoning.budget_tokens = Some(2048);
        },
        has: |c| c.reasoning.budget_tokens.is_some() || c.reasoning.effort.is_some(),
    },
    Field {
        name: "verbosity",
        set: |c| c.verbosity = Some("low".into()),
        has: |c| c.verbosity.is_some(),
    },
    Field {
        name: "modalities",
        set: |c| c.modalities = vec!["text".into(), "audio".into()],
        has: |c| c.modalities.len() == 2,
    },
    Field { name: "user", set: |c| c.user = Some("u".into()), has: |c| c.user.is_some() },
    Field {
        name: "metadata",
        set: |c| c.metadata = Some(raw(r#"{"a":"b"}"#)),
        has: |c| c.metadata.is_some(),
    },
    Field { name: "store", set: |c| c.store = Some(true), has: |c| c.store == Some(true) },
    Field {
        name: "service tier",
        set: |c| c.service_tier = Some("priority".into()),
        has: |c| c.service_tier.as_deref() == Some("priority"),
    },
    Field {
        name: "cache mark on a message",
        set: |c| c.messages[0].parts[0].cache = Some(CacheMark::Default),
        has: |c| parts(c).any(marked),
    },
    Field {
        name: "cache mark on the system prompt",
        set: |c| {
            c.system.push(Part::text("Long."));
            c.system[0].cache = Some(CacheMark::Default);
        },
        has: |c| c.system.iter().any(marked),
    },
    Field {
        name: "cache mark on a tool",
        set: |c| {
            let mut tool = weather();
            tool.cache = Some(CacheMark::Default);
            c.tools.push(tool);
        },
        has: |c| c.tools.iter().any(|tool| tool.cache.is_some()),
    },
    Field {
        name: "cache key",
        set: |c| c.cache.key = Some("k".into()),
        has: |c| c.cache.key.is_some(),
    },
    Field {
        name: "prediction",
        set: |c| c.prediction = Some(raw(r#"{"type":"content","content":"x"}"#)),
        has: |c| c.prediction.is_some(),
    },
    Field {
        name: "web search",
        set: |c| c.web_search = Some(raw("{}")),
        has: |c| c.web_search.is_some(),
    },
    Field {
        name: "beginning of the answer",
        set: |c| c.messages.push(Message::text(Role::Assistant, "Once")),
        has: |c| c.messages.last().is_some_and(|message| message.role == Role::Assistant),
    },
    Field {
        name: "member that nobody else has",
        set: |c| c.extras.push("brand_new".into(), raw("1")),
        has: |c| c.extras.get("brand_new").is_some(),
    },
];

/// A model that can do what its dialect can say.
fn model(dialect: Dialect) -> &'static str {
    match dialect.name() {
        "converse" => "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic" => "claude-sonnet-4-5",
        "gemini" => "gemini-2.5-flash",
        _ => "m",
    }
}

fn write(
    chat: &Chat,
    source: Option<Dialect>,
    to: Dialect,
) -> Result<(Str, Vec<Loss>), ziggurat_core::Error> {
    let capabilities = Capabilities::default();
    let target = Target::new(model(to), &capabilities, source);
    let mut losses = Losses::under(LossPolicy::Default);
    let typed = Typed::Chat(Arc::new(chat.clone()));
    let encoded = to.encode_request(&typed, &target, &mut losses)?;
    let body = Str::from_utf8(encoded.body).unwrap();
    Ok((body, losses.into_found()))
}

fn read(dialect: Dialect, body: &Str) -> Result<Chat, ziggurat_core::Error> {
    let members = Members::parse(body.clone())?;
    let typed = dialect.decode_request(Operation::Chat, &members)?;
    Ok(Chat::clone(typed.chat().unwrap()))
}

fn plain() -> Chat {
    let mut chat = Chat::new();
    chat.messages.push(Message::text(Role::User, "Hello"));
    chat
}

/// What becomes of every field between two dialects.
pub(crate) fn fates(from: Dialect, to: Dialect) -> Vec<(String, Fate)> {
    let said = read(from, &write(&plain(), None, from).unwrap().0).unwrap();
    let (there, usual) = write(&said, Some(from), to).unwrap();
    let (_, usual_back) = write(&read(to, &there).unwrap(), Some(to), from).unwrap();
    let usual = [usual, usual_back];
    FIELDS.iter().map(|field| (field.name.to_owned(), fate(field, &usual, from, to))).collect()
}

/// `usual` is what is reported there and back whatever is asked.
fn fate(field: &Field, [usual, usual_back]: &[Vec<Loss>; 2], from: Dialect, to: Dialect) -> Fate {
    let mut chat = plain();
    (field.set)(&mut chat);
    assert!((field.has)(&chat), "{}", field.name);
    if !chat.extras.is_empty() {
        chat.extras.dialect = Some(from);
    }
    // Only what the caller's dialect can say is asked for.
    let said = write(&chat, None, from).ok().and_then(|(body, _)| read(from, &body).ok());
    let Some(asked) = said.filter(|said| (field.has)(said)) else { return Fate::Unsaid };
    let Ok((body, losses)) = write(&asked, Some(from), to) else { return Fate::Refused };
    let new = losses.iter().filter(|loss| !usual.contains(loss));
    if let Some(fate) = Fate::of(new) {
        return fate;
    }
    let arrived = match read(to, &body) {
        Ok(arrived) => arrived,
        Err(error) => return Fate::Silent(format!("{error} in {body}")),
    };
    if !(field.has)(&arrived) {
        return Fate::Silent(body.to_string());
    }
    // What is kept on the way there is kept on the way back, or its loss is told.
    match write(&arrived, Some(to), from) {
        Ok((back, losses))
            if losses.iter().all(|loss| usual_back.contains(loss))
                && !read(from, &back).is_ok_and(|c| (field.has)(&c)) =>
        {
            Fate::Silent(format!("on the way back: {back}"))
        }
        _ => Fate::Kept,
    }
}
