//! System messages: the leading ones are the system prompt, later ones stay where the target lets them.

use ziggurat_core::{Losses, Message, Part, Role};

use super::{Conversation, has_results, is_system};
use crate::Names;

/// Where a system message may stand once the conversation has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MidSystem {
    /// Anywhere.
    Keep,
    /// Right after a user's message only; one that stands elsewhere waits for the next.
    AfterUser,
    /// Nowhere: it is said by the user, marked as what it is. In the system prompt it would stand before what it came after, and
    /// break the provider's cache.
    Wrap,
}

/// Moves leading system messages into the system prompt, and puts later ones where `mid` lets them stand.
pub fn collect_system(
    talk: &mut Conversation<'_>,
    mid: MidSystem,
    names: Names,
    losses: &mut Losses,
) {
    let (system, all) = (talk.system.to_mut(), talk.messages.to_mut());
    let leading = all.iter().take_while(|message| is_system(message)).count();
    for message in all.drain(..leading) {
        system.extend(message.parts);
    }
    if mid == MidSystem::Keep || !all.iter().any(is_system) {
        return;
    }
    let messages = std::mem::take(all);
    if mid == MidSystem::Wrap {
        let wrapped = messages.into_iter().map(|message| match is_system(&message) {
            true => wrap(message, names, losses),
            false => message,
        });
        *all = wrapped.collect();
        return;
    }
    let out = all;
    let mut waiting = Vec::new();
    for message in messages {
        if is_system(&message) {
            waiting.push(message);
            continue;
        }
        // Results must not be cut off from their calls, so what waits passes them, too.
        if after_user(out) && !has_results(&message) {
            out.append(&mut waiting);
        }
        out.push(message);
    }
    let last = after_user(out);
    out.extend(waiting.into_iter().map(|message| match last {
        true => message,
        false => wrap(message, names, losses),
    }));
}

fn after_user(messages: &[Message]) -> bool {
    messages.last().is_some_and(|last| matches!(last.role, Role::User | Role::Tool))
}

fn wrap(message: Message, names: Names, losses: &mut Losses) -> Message {
    losses.emulate(names.message(&message), "a system message in the middle is said by the user");
    let cache = message.parts.iter().rev().find_map(|part| part.cache);
    let texts: Vec<&str> = message.parts.iter().filter_map(Part::as_text).collect();
    let mut text = Part::text(format!("[system]\n{}\n[/system]", texts.join("\n\n")));
    text.cache = cache;
    let mut wrapped = Message::new(Role::User, vec![text]);
    wrapped.at = message.at;
    // What is no text stays, for the encoder to say what it thinks of it.
    wrapped.parts.extend(message.parts.into_iter().filter(|part| !part.is_text()));
    wrapped
}
