//! Messages and their parts.

use crate::{Extras, RawJson, Str};

/// One message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where the dialect has one.
    pub name: Option<Str>,
    /// What is said.
    pub parts: Vec<Part>,
    /// The place in the caller's own list of messages, for losses and errors that name it.
    pub at: Option<u32>,
    /// What else the message holds.
    pub extras: Extras,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The operator, in the middle of the conversation.
    System,
    /// The operator, by the name that OpenAI gives it for reasoning models.
    Developer,
    /// The user. Tool results may be among the parts.
    User,
    /// The model.
    Assistant,
    /// A tool: every part is a tool result.
    Tool,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// Whether the prompt up to here is worth caching.
    pub cache: Option<CacheMark>,
    /// What else the part holds.
    pub extras: Extras,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: Str,
        /// Where it comes from, each as the dialect wrote it.
        citations: Vec<RawJson>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Source,
        /// How closely to look (`auto`, `low`, `high`, `original`).
        detail: Option<Str>,
    },
    /// Sound.
    Audio {
        /// Where it is.
        source: Source,
    },
    /// Moving pictures.
    Video {
        /// Where it is.
        source: Source,
    },
    /// A document: PDF, plain text or other.
    Document {
        /// Where it is.
        source: Source,
        /// File name or title.
        title: Option<Str>,
        /// What it is about.
        context: Option<Str>,
        /// Whether the answer should cite it.
        citations: Option<bool>,
    },
    /// The model calls a tool.
    ToolCall {
        /// Names the call.
        id: Str,
        /// The tool.
        name: Str,
        /// The arguments as the model wrote them: mostly a JSON object, perhaps empty, perhaps cut short.
        arguments: Str,
        /// Whose tool it is.
        kind: ToolCallKind,
        /// Opaque state to be sent back with the call (Gemini `thoughtSignature`).
        signature: Option<Str>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call that it answers.
        call_id: Str,
        /// The tool, where the dialect repeats it.
        name: Option<Str>,
        /// The answer.
        parts: Vec<Part>,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// The model thinks.
    Reasoning {
        /// What it shows of it.
        text: Str,
        /// The proof that it was the model (Anthropic `signature`), opaque.
        signature: Option<Str>,
        /// Reasoning that only the provider can read (Anthropic `redacted_thinking.data`), opaque.
        redacted: Option<Str>,
    },
    /// The model refuses.
    Refusal {
        /// In these words.
        text: Str,
    },
    /// Something only its own dialect understands: a server tool's block, a search result.
    Opaque {
        /// The type by which its dialect knows it.
        kind: Str,
        /// All of it. The dialect is that of the part's [`Extras`].
        value: RawJson,
    },
}

/// Where the bytes of a medium are.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// Behind an address.
    Url(Str),
    /// Here, as base64.
    Base64 {
        /// The media type (`image/png`); empty when the caller did not say.
        media_type: Str,
        /// The base64 text.
        data: Str,
    },
    /// Here, as plain text.
    Text {
        /// The media type (`text/plain`).
        media_type: Str,
        /// The text.
        text: Str,
    },
    /// With the provider, under this id.
    File(Str),
    /// Parts of a document given one by one, as the dialect wrote them.
    Parts(RawJson),
}

/// Whose tool is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolCallKind {
    /// The caller's, with JSON arguments.
    #[default]
    Function,
    /// The caller's, with free text (OpenAI `custom`).
    Custom,
}

/// How long a marked prompt should stay cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheMark {
    /// As the provider likes.
    #[default]
    Default,
    /// Five minutes.
    FiveMinutes,
    /// Half an hour.
    HalfHour,
    /// One hour.
    OneHour,
    /// Twelve hours.
    TwelveHours,
}

impl Message {
    /// A message of these parts.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, name: None, parts, at: None, extras: Extras::default() }
    }

    /// A message of one text.
    pub fn text(role: Role, text: impl Into<Str>) -> Self {
        Self::new(role, vec![Part::text(text)])
    }

    /// At this place in the caller's list.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.at = u32::try_from(index).ok();
        self
    }
}

impl Part {
    /// A part.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { content, cache: None, extras: Extras::default() }
    }

    /// A text.
    pub fn text(text: impl Into<Str>) -> Self {
        Self::new(Content::Text { text: text.into(), citations: Vec::new() })
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        self.shared_text().map(Str::as_str)
    }

    /// The text, if it is one, without reading it.
    #[must_use]
    pub fn shared_text(&self) -> Option<&Str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is text without a letter.
    #[must_use]
    pub fn is_empty_text(&self) -> bool {
        self.shared_text().is_some_and(Str::is_empty)
    }

    /// Whether it is text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.shared_text().is_some()
    }
}
