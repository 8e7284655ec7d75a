//! Tools that the model may call.

use crate::{CacheMark, Extras, RawJson, Str};

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tool {
    /// Its name.
    pub name: Str,
    /// What it does.
    pub description: Option<Str>,
    /// What it takes.
    pub kind: ToolKind,
    /// Whether the arguments must match the schema exactly.
    pub strict: Option<bool>,
    /// Whether the prompt up to here is worth caching.
    pub cache: Option<CacheMark>,
    /// What else it holds.
    pub extras: Extras,
}

/// What a tool takes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ToolKind {
    /// A JSON object of this schema; no schema means no arguments.
    Function {
        /// The JSON Schema.
        parameters: Option<RawJson>,
    },
    /// Free text (OpenAI `custom`).
    Custom {
        /// The grammar of the text, as the dialect wrote it.
        format: Option<RawJson>,
    },
    /// The provider runs it (Anthropic `web_search_20250305`): only its own dialect understands it.
    Server {
        /// The versioned type.
        server_type: Str,
        /// All of it. The dialect is that of the tool's [`Extras`].
        value: RawJson,
    },
}

/// Which tool to call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// None.
    None,
    /// As the model likes.
    Auto,
    /// Some tool (OpenAI `required`, Anthropic `any`).
    Any,
    /// This one.
    Tool {
        /// Its name.
        name: Str,
    },
    /// Some of these (OpenAI `allowed_tools`).
    Allowed {
        /// Whether one must be called.
        required: bool,
        /// Their names.
        names: Vec<Str>,
    },
}

impl Tool {
    /// A tool with JSON arguments.
    pub fn function(name: impl Into<Str>, parameters: Option<RawJson>) -> Self {
        Self::new(name, ToolKind::Function { parameters })
    }

    /// A tool.
    pub fn new(name: impl Into<Str>, kind: ToolKind) -> Self {
        Self {
            name: name.into(),
            description: None,
            kind,
            strict: None,
            cache: None,
            extras: Extras::default(),
        }
    }
}
