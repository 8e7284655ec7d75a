//! One form for conversations that ask for the same, however they were written.

use super::{
    CacheHints, Chat, Content, Effort, Expose, Message, OutputFormat, OutputSchema, Part,
    Reasoning, ReasoningMode, Role, Sampling, Source, Tool, ToolCallKind, ToolChoice, ToolKind,
};
use crate::json::canonical;
use crate::{Extras, RawJson, Str};

/// Changes with every change of what is written below, so that digests of two versions never meet.
const VERSION: u8 = 1;

impl Chat {
    /// Writes everything that decides about the answer, in one form: two conversations write the same bytes when a model would be
    /// asked the same, and different bytes when anything differs that may change what it says. To be digested, not to be read.
    ///
    /// ```
    /// use ziggurat_core::{Chat, Message, Role};
    ///
    /// let written = |chat: &Chat| {
    ///     let mut bytes = Vec::new();
    ///     chat.canonical(&mut |piece| bytes.extend_from_slice(piece));
    ///     bytes
    /// };
    /// let mut chat = Chat::new();
    /// chat.messages.push(Message::text(Role::User, "Hello!"));
    /// let mut labelled = chat.clone();
    /// labelled.metadata = Some(ziggurat_core::RawJson::parse(r#"{"job":"7"}"#.into()).unwrap());
    /// assert_eq!(written(&chat), written(&labelled));
    /// labelled.max_output_tokens = Some(7);
    /// assert_ne!(written(&chat), written(&labelled));
    /// ```
    ///
    /// Left out, since it changes nothing about the answer: whether it comes in pieces and whether a stream tells its usage
    /// (`stream`, `stream_usage`); the provider's prompt cache ([`CacheHints`] and the marks on parts and tools); the caller's
    /// labels (`metadata`) and whether the provider may keep the answer (`store`); the places that messages had in the caller's
    /// list (`at`). JSON is written without white space and with its members in order. Tool results are written in one way,
    /// whether they came one message each or together with what the user says next.
    pub fn canonical(&self, sink: &mut dyn FnMut(&[u8])) {
        // Taken apart in full, here and below: a field that is added later does not compile until somebody decides about it.
        let Self {
            system,
            messages,
            tools,
            tool_choice,
            parallel_tools,
            max_output_tokens,
            sampling,
            stop,
            n,
            logprobs,
            logit_bias,
            output,
            reasoning,
            verbosity,
            modalities,
            audio,
            stream: _,
            stream_usage: _,
            user,
            metadata: _,
            store: _,
            service_tier,
            cache: CacheHints { key: _, retention: _, auto: _ },
            prediction,
            web_search,
            extras,
        } = self;
        let mut to = Writer { sink, small: [0; SMALL], filled: 0 };
        to.byte(VERSION);
        to.list(system, Writer::part);
        to.messages(messages);
        to.list(tools, Writer::tool);
        to.option(tool_choice.as_ref(), Writer::tool_choice);
        to.option(parallel_tools.as_ref(), |to, on| to.byte(u8::from(*on)));
        to.option(max_output_tokens.as_ref(), |to, tokens| to.number(*tokens));
        to.sampling(sampling);
        to.list(stop, |to, text| to.text(text));
        to.option(n.as_ref(), |to, n| to.number(u64::from(*n)));
        to.option(logprobs.as_ref(), |to, alternatives| to.byte(*alternatives));
        to.option(logit_bias.as_ref(), Writer::json);
        to.output(output);
        to.reasoning(reasoning);
        to.string(verbosity.as_ref());
        to.list(modalities, |to, text| to.text(text));
        to.option(audio.as_ref(), Writer::json);
        to.string(user.as_ref());
        to.string(service_tier.as_ref());
        to.option(prediction.as_ref(), Writer::json);
        to.option(web_search.as_ref(), Writer::json);
        to.extras(extras);
        to.flush();
    }
}

/// Small pieces are collected: a digest takes a few long ones faster than many short ones.
const SMALL: usize = 512;

/// Writes so that what was written can be told apart: numbers have a width, texts and lists their length, variants a number.
struct Writer<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    small: [u8; SMALL],
    filled: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > SMALL - self.filled {
            self.flush();
            if bytes.len() > SMALL {
                (self.sink)(bytes);
                return;
            }
        }
        self.small[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn flush(&mut self) {
        if self.filled > 0 {
            (self.sink)(&self.small[..self.filled]);
            self.filled = 0;
        }
    }

    fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    fn number(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.put(text.as_bytes());
    }

    fn string(&mut self, text: Option<&Str>) {
        self.option(text, |to, text| to.text(text));
    }

    fn float(&mut self, value: Option<f64>) {
        // Minus zero is zero.
        self.option(value.as_ref(), |to, value| to.number((value + 0.0).to_bits()));
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn json(&mut self, value: &RawJson) {
        self.json_text(value.get());
    }

    /// JSON, or what should have been: a model may break off in the middle of its arguments.
    fn json_text(&mut self, text: &str) {
        match canonical::text(text) {
            Some(json) => {
                self.byte(1);
                self.text(&json);
            }
            None => {
                self.byte(0);
                self.text(text);
            }
        }
    }

    fn extras(&mut self, extras: &Extras) {
        let Extras { dialect, members } = extras;
        self.number(members.len() as u64);
        if members.is_empty() {
            return;
        }
        self.option(dialect.as_ref(), |to, dialect| to.text(dialect.name()));
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, value) in sorted {
            self.text(name);
            self.json(value);
        }
    }

    fn sampling(&mut self, sampling: &Sampling) {
        let Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            frequency_penalty,
            presence_penalty,
            repetition_penalty,
            seed,
        } = sampling;
        self.float(*temperature);
        self.float(*top_p);
        self.option(top_k.as_ref(), |to, k| to.number(*k));
        self.float(*min_p);
        self.float(*frequency_penalty);
        self.float(*presence_penalty);
        self.float(*repetition_penalty);
        self.option(seed.as_ref(), |to, seed| to.put(&seed.to_le_bytes()));
    }

    fn output(&mut self, output: &OutputFormat) {
        match output {
            OutputFormat::Text => self.byte(0),
            OutputFormat::Json => self.byte(1),
            OutputFormat::Schema(OutputSchema { name, description, schema, strict }) => {
                self.byte(2);
                self.string(name.as_ref());
                self.string(description.as_ref());
                self.json(schema);
                self.flag(*strict);
            }
        }
    }

    fn flag(&mut self, flag: Option<bool>) {
        self.byte(match flag {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        let Reasoning { effort, budget_tokens, mode, expose } = reasoning;
        self.option(effort.as_ref(), |to, effort: &Effort| to.text(effort.as_str()));
        self.option(budget_tokens.as_ref(), |to, tokens| to.number(*tokens));
        self.byte(match mode {
            None => 0,
            Some(ReasoningMode::Off) => 1,
            Some(ReasoningMode::Auto) => 2,
            Some(ReasoningMode::On) => 3,
            Some(ReasoningMode::BetweenTools) => 4,
        });
        self.byte(match expose {
            None => 0,
            Some(Expose::Nothing) => 1,
            Some(Expose::Summary) => 2,
            Some(Expose::Full) => 3,
        });
    }

    fn tool(&mut self, tool: &Tool) {
        let Tool { name, description, kind, strict, cache: _, extras } = tool;
        self.text(name);
        self.string(description.as_ref());
        match kind {
            ToolKind::Function { parameters } => {
                self.byte(0);
                self.option(parameters.as_ref(), Self::json);
            }
            ToolKind::Custom { format } => {
                self.byte(1);
                self.option(format.as_ref(), Self::json);
            }
            ToolKind::Server { server_type, value } => {
                self.byte(2);
                self.text(server_type);
                self.json(value);
            }
        }
        self.flag(*strict);
        self.extras(extras);
    }

    fn tool_choice(&mut self, choice: &ToolChoice) {
        match choice {
            ToolChoice::None => self.byte(0),
            ToolChoice::Auto => self.byte(1),
            ToolChoice::Any => self.byte(2),
            ToolChoice::Tool { name } => {
                self.byte(3);
                self.text(name);
            }
            ToolChoice::Allowed { required, names } => {
                self.byte(4);
                self.byte(u8::from(*required));
                self.list(names, |to, name| to.text(name));
            }
        }
    }

    fn messages(&mut self, messages: &[Message]) {
        // Parts are told apart by a byte before each, not by their number: how many messages they came in may not matter.
        let mut open = false;
        for (index, message) in messages.iter().enumerate() {
            let Message { role, name, parts, at: _, extras } = message;
            if !open {
                self.byte(OPEN);
                self.byte(match role {
                    Role::System => 0,
                    Role::Developer => 1,
                    // Tool results belong to the user's turn: some dialects have a role for them.
                    Role::User | Role::Tool => 2,
                    Role::Assistant => 3,
                });
                self.string(name.as_ref());
                self.extras(extras);
            }
            for part in parts {
                self.byte(ONE);
                self.part(part);
            }
            open = is_results(message) && messages.get(index + 1).is_some_and(is_plain_user);
            if !open {
                self.byte(CLOSE);
            }
        }
        self.byte(END);
    }

    fn part(&mut self, part: &Part) {
        let Part { content, cache: _, extras } = part;
        match content {
            Content::Text { text, citations } => {
                self.byte(0);
                self.text(text);
                self.list(citations, Self::json);
            }
            Content::Image { source, detail } => {
                self.byte(1);
                self.source(source);
                self.string(detail.as_ref());
            }
            Content::Audio { source } => {
                self.byte(2);
                self.source(source);
            }
            Content::Video { source } => {
                self.byte(3);
                self.source(source);
            }
            Content::Document { source, title, context, citations } => {
                self.byte(4);
                self.source(source);
                self.string(title.as_ref());
                self.string(context.as_ref());
                self.flag(*citations);
            }
            Content::ToolCall { id, name, arguments, kind, signature } => {
                self.byte(5);
                self.text(id);
                self.text(name);
                match kind {
                    ToolCallKind::Function => {
                        self.byte(0);
                        self.json_text(arguments);
                    }
                    ToolCallKind::Custom => {
                        self.byte(1);
                        self.text(arguments);
                    }
                }
                self.string(signature.as_ref());
            }
            Content::ToolResult { call_id, name, parts, is_error } => {
                self.byte(6);
                self.text(call_id);
                self.string(name.as_ref());
                self.list(parts, Self::part);
                self.byte(u8::from(*is_error));
            }
            Content::Reasoning { text, signature, redacted } => {
                self.byte(7);
                self.text(text);
                self.string(signature.as_ref());
                self.string(redacted.as_ref());
            }
            Content::Refusal { text } => {
                self.byte(8);
                self.text(text);
            }
            Content::Opaque { kind, value } => {
                self.byte(9);
                self.text(kind);
                self.json(value);
            }
        }
        self.extras(extras);
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Url(url) => {
                self.byte(0);
                self.text(url);
            }
            Source::Base64 { media_type, data } => {
                self.byte(1);
                self.text(media_type);
                self.text(data);
            }
            Source::Text { media_type, text } => {
                self.byte(2);
                self.text(media_type);
                self.text(text);
            }
            Source::File(id) => {
                self.byte(3);
                self.text(id);
            }
            Source::Parts(parts) => {
                self.byte(4);
                self.json(parts);
            }
        }
    }
}

const END: u8 = 0;
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const ONE: u8 = 3;

/// Whether a message brings nothing but tool results.
fn is_results(message: &Message) -> bool {
    let results = |part: &Part| matches!(part.content, Content::ToolResult { .. });
    matches!(message.role, Role::Tool | Role::User)
        && !message.parts.is_empty()
        && message.parts.iter().all(results)
}

/// Whether a message goes on with the user's turn and says nothing of its own about it.
fn is_plain_user(message: &Message) -> bool {
    matches!(message.role, Role::Tool | Role::User)
        && message.name.is_none()
        && message.extras.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::CacheMark;

    fn written(chat: &Chat) -> Vec<u8> {
        let mut bytes = Vec::new();
        chat.canonical(&mut |piece| bytes.extend_from_slice(piece));
        bytes
    }

    fn json(text: &str) -> RawJson {
        RawJson::parse(text.into()).unwrap()
    }

    fn result(id: &str) -> Part {
        Part::new(Content::ToolResult {
            call_id: id.into(),
            name: None,
            parts: vec![Part::text("42")],
            is_error: false,
        })
    }

    /// Says something in every field.
    fn full() -> Chat {
        let mut chat = Chat::new();
        chat.system.push(Part::text("Be brief."));
        chat.messages.push(Message::text(Role::User, "Look"));
        let image = |source| Part::new(Content::Image { source, detail: Some("low".into()) });
        chat.messages[0].parts.push(image(Source::Url("https://a/b.png".into())));
        let call = Content::ToolCall {
            id: "1".into(),
            name: "f".into(),
            arguments: r#"{"a":1,"b":2}"#.into(),
            kind: ToolCallKind::Function,
            signature: None,
        };
        chat.messages.push(Message::new(Role::Assistant, vec![Part::new(call)]));
        chat.messages.push(Message::new(Role::Tool, vec![result("1")]));
        chat.tools.push(Tool::function("f", Some(json(r#"{"type":"object"}"#))));
        chat.tool_choice = Some(ToolChoice::Auto);
        chat.max_output_tokens = Some(100);
        chat.sampling.temperature = Some(0.5);
        chat.sampling.seed = Some(7);
        chat.stop.push("END".into());
        chat.output = OutputFormat::Schema(OutputSchema::new(json(r#"{"type":"object"}"#)));
        chat.user = Some("u".into());
        chat.extras.push("x".into(), json("1"));
        chat.extras.push("y".into(), json("2"));
        chat
    }

    type Change = fn(&mut Chat);

    #[test]
    fn what_may_change_the_answer_changes_the_form() {
        let changes: Vec<Change> = vec![
            |chat| chat.system.push(Part::text("Really.")),
            |chat| chat.system[0] = Part::text("Be brief"),
            |chat| chat.messages[0].role = Role::Developer,
            |chat| chat.messages[0].name = Some("n".into()),
            |chat| chat.messages[0].parts.swap(0, 1),
            |chat| chat.messages[0].extras.push("x".into(), json("1")),
            |chat| chat.messages.swap(0, 1),
            |chat| drop(chat.messages.pop()),
            |chat| chat.messages[2].parts[0] = result("2"),
            |chat| chat.messages.push(Message::text(Role::User, "")),
            |chat| chat.messages[0].parts[0].extras.push("x".into(), json("1")),
            |chat| {
                if let Content::ToolCall { arguments, .. } = &mut chat.messages[1].parts[0].content
                {
                    *arguments = r#"{"a":1,"b":3}"#.into();
                }
            },
            |chat| {
                if let Content::ToolCall { arguments, .. } = &mut chat.messages[1].parts[0].content
                {
                    *arguments = r#"{"a":1,"b":2"#.into();
                }
            },
            |chat| chat.tools.clear(),
            |chat| chat.tools[0].description = Some("d".into()),
            |chat| chat.tools[0].strict = Some(false),
            |chat| chat.tools[0].kind = ToolKind::Function { parameters: None },
            |chat| chat.tools[0].kind = ToolKind::Custom { format: None },
            |chat| chat.tool_choice = None,
            |chat| chat.tool_choice = Some(ToolChoice::Any),
            |chat| chat.parallel_tools = Some(true),
            |chat| chat.max_output_tokens = None,
            |chat| chat.max_output_tokens = Some(101),
            |chat| chat.sampling.temperature = Some(0.25),
            |chat| chat.sampling.top_p = Some(0.5),
            |chat| chat.sampling.top_k = Some(7),
            |chat| chat.sampling.min_p = Some(0.5),
            |chat| chat.sampling.frequency_penalty = Some(0.5),
            |chat| chat.sampling.presence_penalty = Some(0.5),
            |chat| chat.sampling.repetition_penalty = Some(0.5),
            |chat| chat.sampling.seed = Some(8),
            |chat| chat.stop.push("STOP".into()),
            |chat| chat.n = Some(1),
            |chat| chat.logprobs = Some(0),
            |chat| chat.logit_bias = Some(json("{}")),
            |chat| chat.output = OutputFormat::Json,
            |chat| chat.output = OutputFormat::Schema(OutputSchema::new(json("{}"))),
            |chat| chat.reasoning.effort = Some(Effort::Low),
            |chat| chat.reasoning.budget_tokens = Some(1),
            |chat| chat.reasoning.mode = Some(ReasoningMode::On),
            |chat| chat.reasoning.expose = Some(Expose::Full),
            |chat| chat.verbosity = Some("low".into()),
            |chat| chat.modalities.push("text".into()),
            |chat| chat.audio = Some(json("{}")),
            |chat| chat.user = None,
            |chat| chat.service_tier = Some("flex".into()),
            |chat| chat.prediction = Some(json("{}")),
            |chat| chat.web_search = Some(json("{}")),
            |chat| chat.extras.push("z".into(), json("1")),
            |chat| chat.extras.members[0].1 = json("3"),
        ];
        let mut forms: Vec<Vec<u8>> = vec![written(&full())];
        for change in changes {
            let mut chat = full();
            change(&mut chat);
            assert_ne!(chat, full());
            forms.push(written(&chat));
        }
        let count = forms.len();
        forms.sort();
        forms.dedup();
        assert_eq!(forms.len(), count, "no two of them are alike");
    }

    #[test]
    fn what_changes_nothing_about_the_answer_leaves_the_form() {
        let changes: Vec<Change> = vec![
            |chat| chat.stream = true,
            |chat| chat.stream_usage = Some(true),
            |chat| chat.metadata = Some(json(r#"{"job":"1"}"#)),
            |chat| chat.store = Some(true),
            |chat| chat.cache.key = Some("k".into()),
            |chat| chat.cache.retention = Some("24h".into()),
            |chat| chat.cache.auto = Some(CacheMark::OneHour),
            |chat| chat.system[0].cache = Some(CacheMark::Default),
            |chat| chat.messages[0].parts[0].cache = Some(CacheMark::Default),
            |chat| chat.messages[0].at = Some(7),
            |chat| chat.tools[0].cache = Some(CacheMark::Default),
            |chat| chat.extras.members.swap(0, 1),
            |chat| chat.messages[2].role = Role::User,
            |chat| {
                if let Content::ToolCall { arguments, .. } = &mut chat.messages[1].parts[0].content
                {
                    *arguments = "{ \"b\" : 2,\n \"a\":1}".into();
                }
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut chat = full();
            change(&mut chat);
            assert_ne!(chat, full(), "{index}");
            assert_eq!(written(&chat), written(&full()), "{index}");
        }
    }

    #[test]
    fn tool_results_are_one_turn_however_many_messages_they_came_in() {
        let of = |messages: Vec<Message>| {
            let mut chat = Chat::new();
            chat.messages = messages;
            written(&chat)
        };
        let together =
            of(vec![Message::new(Role::User, vec![result("1"), result("2"), Part::text("Go on")])]);
        let apart = of(vec![
            Message::new(Role::Tool, vec![result("1")]),
            Message::new(Role::Tool, vec![result("2")]),
            Message::text(Role::User, "Go on"),
        ]);
        assert_eq!(together, apart);
        // What two users' turns say is not one turn.
        let one = of(vec![Message::new(Role::User, vec![Part::text("a"), Part::text("b")])]);
        let two = of(vec![Message::text(Role::User, "a"), Message::text(Role::User, "b")]);
        assert_ne!(one, two);
    }

    proptest! {
        #[test]
        fn no_two_texts_run_together(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}", d in ".{0,8}") {
            let of = |first: &str, second: &str| {
                let mut chat = Chat::new();
                chat.messages.push(Message::text(Role::User, first));
                chat.messages.push(Message::text(Role::Assistant, second));
                written(&chat)
            };
            prop_assert_eq!(of(&a, &b) == of(&c, &d), (&a, &b) == (&c, &d));
        }
    }
}
