//! Who speaks when.

use ziggurat_core::{Content, Error, Losses, Message, Role, Severity};

use super::has_results;
use crate::Names;

/// What the user says where the caller's history begins with the assistant.
const OPENING: &str = "(conversation start)";
/// What the user says where the assistant was to continue its own words and cannot.
const GO_ON: &str = "Continue.";
/// What the assistant says between a tool and the user.
const BRIDGE: &str = "OK.";

/// Makes one message of neighbours of one role. Parts are put one after the other, never joined: their cache marks stay.
///
/// Where results are the user's, a tool and the user are one role.
pub fn merge_neighbours(messages: &mut Vec<Message>, results_by: Role) {
    let role = |message: &Message| match message.role {
        Role::Tool => results_by,
        Role::Developer => Role::System,
        other => other,
    };
    messages.dedup_by(|next, kept| {
        let same = role(next) == role(kept);
        if same {
            kept.role = role(kept);
            kept.parts.append(&mut next.parts);
        }
        same
    });
}

/// Lets the user speak first.
pub fn start_with_user(messages: &mut Vec<Message>) {
    if messages.first().is_none_or(|first| !matches!(first.role, Role::User | Role::Tool)) {
        messages.insert(0, Message::text(Role::User, OPENING));
    }
}

/// Lets the user speak last, if the caller allows it to be put so. A turn that its provider paused, and calls that wait for
/// their results, are not meant to be continued in that sense, and stay.
///
/// # Errors
///
/// When the assistant was to continue its own words, which the target cannot.
pub fn end_with_user(
    messages: &mut Vec<Message>,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    let Some(last) = messages.last().filter(|last| last.role == Role::Assistant) else {
        return Ok(());
    };
    let paused = last.parts.last().is_some_and(|part| {
        matches!(part.content, Content::Opaque { .. } | Content::ToolCall { .. })
    });
    if paused {
        return Ok(());
    }
    losses.drop(
        Severity::Doubtful,
        names.message(last),
        "the model cannot continue a message of the assistant",
    )?;
    messages.push(Message::text(Role::User, GO_ON));
    Ok(())
}

/// Lets the assistant speak between a tool and the user (Mistral).
pub fn bridge_tools(messages: &mut Vec<Message>) {
    let source = std::mem::take(messages);
    for message in source {
        let after_tool =
            messages.last().is_some_and(|last| last.role == Role::Tool || has_results(last));
        if after_tool && message.role == Role::User && !has_results(&message) {
            messages.push(Message::text(Role::Assistant, BRIDGE));
        }
        messages.push(message);
    }
}
