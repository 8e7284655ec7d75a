//! Tool results: together, right after the turn that they answer, one for each call.

use std::collections::BTreeMap;

use ziggurat_core::{Content, Error, Extras, Losses, Message, Part, Role, Str};

use super::{answers, has_results};
use crate::Names;

/// Said in place of a result that nobody recorded.
const NO_RESULT: &str = "No result was recorded for this call.";

/// Brings the results of a turn together in one message right after it, in the order of the calls. What else stood beside a
/// result follows. Of two results for one call the last counts.
///
/// Assistant messages in a row are one turn.
pub fn attach_results(messages: &mut Vec<Message>, results_by: Role) {
    if messages.iter().all(|message| !message.parts.is_empty() && !has_results(message)) {
        return;
    }
    let mut source = std::mem::take(messages);
    let mut at = 0;
    while at < source.len() {
        let mut calls = Calls::default();
        while let Some(message) = source.get_mut(at) {
            let speaks = message.role == Role::Assistant;
            if !speaks && !calls.is_empty() {
                break;
            }
            calls.extend(call_ids(message));
            messages.push(take(message));
            at += 1;
        }
        let turn_end = source[at..].iter().position(|message| message.role == Role::Assistant);
        let end = turn_end.map_or(source.len(), |offset| at + offset);
        let mut found: Vec<Option<Part>> = calls.ids.iter().map(|_| None).collect();
        let mut place = None;
        for message in &mut source[at..end] {
            let before = message.parts.len();
            message.parts.retain_mut(|part| {
                let Some(call) = calls.answered_by(part) else { return true };
                place = place.or(message.at);
                found[call] = Some(std::mem::replace(part, Part::text("")));
                false
            });
            if before > 0 && message.parts.is_empty() {
                // An empty message of no role that anybody looks at: dropped below.
                message.role = Role::Tool;
            }
        }
        let found: Vec<Part> = found.into_iter().flatten().collect();
        if !found.is_empty() {
            let mut results = Message::new(results_by, found);
            results.at = place;
            messages.push(results);
        }
        for message in &mut source[at..end] {
            if message.role != Role::Tool || !message.parts.is_empty() {
                messages.push(take(message));
            }
        }
        at = end;
    }
}

/// Gives every call a result and every result a call: a missing result is said to be missing, a result that answers nothing
/// becomes text of the user. Calls of the last turn wait for their results, if nothing follows them.
///
/// Results are expected where [`attach_results`] puts them.
///
/// # Errors
///
/// When the loss policy refuses every change.
pub fn repair_pairs(
    messages: &mut Vec<Message>,
    results_by: Role,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    let is_whole = |message: &Message| !message.parts.is_empty() && !has_results(message);
    if messages.iter().all(|message| is_whole(message) && call_ids(message).next().is_none()) {
        return Ok(());
    }
    let mut open = Calls::default();
    let mut turn = None;
    for mut message in std::mem::take(messages) {
        if message.role == Role::Assistant {
            open.extend(call_ids(&message));
            turn = Some(names.message(&message));
            messages.push(message);
            continue;
        }
        let calls = std::mem::take(&mut open);
        let mut answered = vec![false; calls.ids.len()];
        for part in &message.parts {
            if let Some(call) = calls.answered_by(part) {
                answered[call] = true;
            }
        }
        if let Some(turn) = turn.take()
            && answered.contains(&false)
        {
            losses.clamp(turn, "a tool call has no result: it is said to be missing")?;
            let mut results: Vec<Part> = calls.ids.iter().cloned().map(missing).collect();
            message.parts.retain_mut(|part| match calls.answered_by(part) {
                None => true,
                Some(call) => {
                    std::mem::swap(&mut results[call], part);
                    false
                }
            });
            let mut repaired = Message::new(results_by, results);
            repaired.at = message.at;
            messages.push(repaired);
        }
        orphans_speak(&mut message, &calls, names, losses)?;
        if !message.parts.is_empty() {
            messages.push(message);
        }
    }
    Ok(())
}

/// Turns results that answer none of `calls` into text.
fn orphans_speak(
    message: &mut Message,
    calls: &Calls,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    let orphan = |part: &Part| answers(part).is_some() && calls.answered_by(part).is_none();
    if !message.parts.iter().any(orphan) {
        return Ok(());
    }
    losses.clamp(names.message(message), "a tool result answers no call: it is sent as text")?;
    let mut parts = Vec::with_capacity(message.parts.len() + 1);
    for part in std::mem::take(&mut message.parts) {
        if !orphan(&part) {
            parts.push(part);
        } else if let Content::ToolResult { call_id, parts: inner, .. } = part.content {
            parts.push(Part::text(format!("[result of tool call {call_id}]")));
            parts.extend(inner);
        }
    }
    message.parts = parts;
    if message.role == Role::Tool && !message.parts.iter().all(|part| answers(part).is_some()) {
        message.role = Role::User;
        // What was said of the result is not said of what the user says.
        message.extras = Extras::default();
    }
    Ok(())
}

/// The calls of one turn, in order, and found by their id.
#[derive(Default)]
struct Calls {
    ids: Vec<Str>,
    places: BTreeMap<Str, usize>,
}

impl Calls {
    fn extend(&mut self, ids: impl Iterator<Item = Str>) {
        for id in ids {
            self.places.entry(id.clone()).or_insert(self.ids.len());
            self.ids.push(id);
        }
    }

    fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The call that a part answers.
    fn answered_by(&self, part: &Part) -> Option<usize> {
        self.places.get(answers(part)?).copied()
    }
}

fn missing(call_id: Str) -> Part {
    let parts = vec![Part::text(NO_RESULT)];
    Part::new(Content::ToolResult { call_id, name: None, parts, is_error: true })
}

fn call_ids(message: &Message) -> impl Iterator<Item = Str> {
    let parts = if message.role == Role::Assistant { &message.parts[..] } else { &[] };
    parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall { id, .. } => Some(id.clone()),
        _ => None,
    })
}

fn take(message: &mut Message) -> Message {
    std::mem::replace(message, Message::new(Role::Tool, Vec::new()))
}
