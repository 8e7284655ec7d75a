//! Brings a conversation into the order that a target insists on.
//!
//! Dialects differ in what may follow what: some want every tool result right after its call, some cannot say `system` in the
//! middle, some let one role speak only once in a row. Each rule is a pure function over messages; a [`Profile`] says which of
//! them a target needs, and [`normalise`] runs those in their order. Nothing is reordered that the target takes as it is.
//!
//! ```
//! use ziggurat_core::{Losses, Message, Role};
//! use ziggurat_dialects::normalise::{Conversation, Profile, normalise};
//! use ziggurat_dialects::Names;
//!
//! let mut talk = Conversation::new(Vec::new(), vec![
//!     Message::text(Role::System, "Be brief."),
//!     Message::text(Role::User, "Hello!"),
//!     Message::text(Role::User, "Are you there?"),
//! ]);
//! let mut losses = Losses::default();
//! normalise(&mut talk, &Profile::alternating(), Names::Superset, &mut losses)?;
//! assert_eq!(talk.system.len(), 1);
//! assert_eq!(talk.messages.len(), 1);
//! # Ok::<(), ziggurat_core::Error>(())
//! ```

mod results;
mod system;
#[cfg(test)]
mod tests;
mod texts;
mod turns;

use std::borrow::Cow;

use ziggurat_core::{Chat, Content, Error, Losses, Message, Part, Role, Source};

pub use results::{attach_results, repair_pairs};
pub use system::{MidSystem, collect_system};
pub use texts::{drop_empty, trim_last};
pub use turns::{bridge_tools, end_with_user, merge_neighbours, start_with_user};

use crate::Names;

/// What a target insists on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Where a system message may stand once the conversation has begun.
    pub mid_system: MidSystem,
    /// Whether all results of one turn stand together right after it, and every call has one.
    pub paired_results: bool,
    /// Who brings tool results: `User` where they are blocks of a user message, `Tool` where that is a role.
    pub results_by: Role,
    /// Whether text of nothing but white space is refused.
    pub no_blank_text: bool,
    /// Whether neighbours of one role become one message.
    pub merge: bool,
    /// Whether the user must speak first.
    pub user_first: bool,
    /// Whether the last message may be the assistant's, to be continued.
    pub prefill: bool,
    /// Whether the assistant must speak between a tool and the user.
    pub bridge: bool,
}

impl Profile {
    /// A target that takes messages nearly as they come (OpenAI Chat Completions).
    #[must_use]
    pub fn free() -> Self {
        Self {
            mid_system: MidSystem::Keep,
            paired_results: true,
            results_by: Role::Tool,
            no_blank_text: false,
            merge: false,
            user_first: false,
            prefill: true,
            bridge: false,
        }
    }

    /// A target where user and assistant take turns, and results are the user's (Anthropic Messages, Bedrock Converse).
    #[must_use]
    pub fn alternating() -> Self {
        Self {
            mid_system: MidSystem::Wrap,
            results_by: Role::User,
            no_blank_text: true,
            merge: true,
            user_first: true,
            ..Self::free()
        }
    }
}

/// A system prompt and what follows it, borrowed as long as nothing of it is changed.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Conversation<'a> {
    /// The system prompt.
    pub system: Cow<'a, [Part]>,
    /// The messages.
    pub messages: Cow<'a, [Message]>,
}

impl<'a> Conversation<'a> {
    /// A conversation.
    #[must_use]
    pub fn new(system: Vec<Part>, messages: Vec<Message>) -> Self {
        Self { system: Cow::Owned(system), messages: Cow::Owned(messages) }
    }

    /// The conversation of a request: itself where no rule of any target has something to change, else a copy that shares its texts.
    #[must_use]
    pub fn of(chat: &'a Chat) -> Self {
        if is_settled(chat) {
            return Self::as_said(chat);
        }
        Self::new(chat.system.clone(), chat.messages.clone())
    }

    /// The conversation of a request as it is, for a target that has no rules.
    pub(crate) fn as_said(chat: &'a Chat) -> Self {
        Self { system: Cow::Borrowed(&chat.system), messages: Cow::Borrowed(&chat.messages) }
    }

    /// The messages, if a rule may have something to change.
    pub(crate) fn unsettled(&mut self) -> Option<&mut Vec<Message>> {
        match &mut self.messages {
            Cow::Owned(messages) => Some(messages),
            Cow::Borrowed(_) => None,
        }
    }

    /// About how many bytes a request takes that says it: media and long texts are nearly all of it.
    pub(crate) fn size_hint(&self) -> usize {
        let messages = self.messages.iter().map(|message| weight(&message.parts));
        1024 + weight(&self.system) + messages.sum::<usize>()
    }

    /// Adds texts to the system prompt.
    pub(crate) fn instruct(&mut self, texts: &[String]) {
        if !texts.is_empty() {
            self.system.to_mut().extend(texts.iter().map(|text| Part::text(text.as_str())));
        }
    }
}

/// About how many bytes these take when they are written.
fn weight(parts: &[Part]) -> usize {
    let source = |source: &Source| match source {
        Source::Base64 { data, .. } => data.len(),
        Source::Text { text, .. } => text.len(),
        Source::Url(url) => url.len(),
        _ => 0,
    };
    let one = |part: &Part| match &part.content {
        Content::Text { text, .. } | Content::Reasoning { text, .. } => text.json_len(),
        Content::Image { source: at, .. }
        | Content::Audio { source: at }
        | Content::Video { source: at }
        | Content::Document { source: at, .. } => source(at),
        Content::ToolCall { arguments, .. } => arguments.len(),
        Content::ToolResult { parts, .. } => weight(parts),
        _ => 0,
    };
    parts.iter().map(|part| one(part) + 96).sum()
}

/// Whether a conversation is as every target takes it: user and assistant take turns, the user first and last, and all they do is
/// to say and to show something.
fn is_settled(chat: &Chat) -> bool {
    let says = |part: &Part| match &part.content {
        Content::Text { text, .. } => !text.is_blank(),
        Content::Image { .. } => true,
        _ => false,
    };
    let role = |index: usize| if index.is_multiple_of(2) { Role::User } else { Role::Assistant };
    let in_turn = |(index, message): (usize, &Message)| {
        message.role == role(index) && !message.parts.is_empty() && message.parts.iter().all(says)
    };
    !chat.messages.len().is_multiple_of(2)
        && chat.messages.iter().enumerate().all(in_turn)
        && chat.system.iter().all(says)
}

/// Runs the rules that `profile` asks for, in their order.
///
/// # Errors
///
/// When a rule has to change what the caller said and the loss policy does not allow it.
pub fn normalise(
    talk: &mut Conversation<'_>,
    profile: &Profile,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    if talk.unsettled().is_none() {
        return Ok(());
    }
    // Before places are found between messages that will not be there, and after parts have moved.
    drop_empty(talk.system.to_mut(), talk.messages.to_mut(), profile.no_blank_text);
    collect_system(talk, profile.mid_system, names, losses);
    let Conversation { system, messages } = talk;
    let messages = messages.to_mut();
    if profile.paired_results {
        attach_results(messages, profile.results_by);
        repair_pairs(messages, profile.results_by, names, losses)?;
    }
    drop_empty(system.to_mut(), messages, profile.no_blank_text);
    if profile.no_blank_text {
        trim_last(messages);
    }
    if profile.merge {
        merge_neighbours(messages, profile.results_by);
    }
    if profile.user_first {
        start_with_user(messages);
    }
    if !profile.prefill {
        end_with_user(messages, names, losses)?;
    }
    if profile.bridge {
        bridge_tools(messages);
    }
    Ok(())
}

/// The call that a part answers, if it is a tool's result.
fn answers(part: &Part) -> Option<&str> {
    match &part.content {
        Content::ToolResult { call_id, .. } => Some(call_id),
        _ => None,
    }
}

fn is_system(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn has_results(message: &Message) -> bool {
    message.parts.iter().any(|part| answers(part).is_some())
}
