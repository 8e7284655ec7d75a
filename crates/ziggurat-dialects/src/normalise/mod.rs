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

use ziggurat_core::{Chat, Content, Error, Losses, Message, Part, Role};

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

/// A system prompt and what follows it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Conversation {
    /// The system prompt.
    pub system: Vec<Part>,
    /// The messages.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// A conversation.
    #[must_use]
    pub fn new(system: Vec<Part>, messages: Vec<Message>) -> Self {
        Self { system, messages }
    }

    /// The conversation of a request. Texts are shared, not copied.
    #[must_use]
    pub fn of(chat: &Chat) -> Self {
        Self::new(chat.system.clone(), chat.messages.clone())
    }
}

/// Runs the rules that `profile` asks for, in their order.
///
/// # Errors
///
/// When a rule has to change what the caller said and the loss policy does not allow it.
pub fn normalise(
    talk: &mut Conversation,
    profile: &Profile,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    // Before places are found between messages that will not be there, and after parts have moved.
    drop_empty(&mut talk.system, &mut talk.messages, profile.no_blank_text);
    collect_system(talk, profile.mid_system, names, losses);
    let messages = &mut talk.messages;
    if profile.paired_results {
        attach_results(messages, profile.results_by);
        repair_pairs(messages, profile.results_by, names, losses)?;
    }
    drop_empty(&mut talk.system, messages, profile.no_blank_text);
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
