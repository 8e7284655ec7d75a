//! Ids of calls. Older models give none: a call is known by its place, and a result by the name and the order of its calls.

use std::collections::VecDeque;

use ziggurat_core::{Content, Message, Role, Str};

use crate::tools::made_id;

/// A call that waits for its result.
#[derive(Debug)]
struct Open {
    id: Str,
    name: Str,
}

/// Gives an id to each call that has none, and to each result that of its call.
pub(super) fn name_calls(messages: &mut [Message]) {
    let mut open: VecDeque<Open> = VecDeque::new();
    for (place, message) in messages.iter_mut().enumerate() {
        if message.role == Role::Assistant {
            // A turn that goes on keeps its calls; those of an earlier one wait no longer.
            let calls = |message: &Message| {
                message.parts.iter().any(|part| matches!(part.content, Content::ToolCall { .. }))
            };
            if calls(message) {
                open.clear();
            }
        }
        let mut ordinal = 0_u32;
        for part in &mut message.parts {
            match &mut part.content {
                Content::ToolCall { id, name, .. } => {
                    if id.is_empty() {
                        *id = made_id(&["gemini", &place.to_string(), &ordinal.to_string()]);
                    }
                    ordinal += 1;
                    open.push_back(Open { id: id.clone(), name: name.clone() });
                }
                Content::ToolResult { call_id, name, .. } => {
                    let name = name.as_ref();
                    let found = match call_id.is_empty() {
                        false => open.iter().position(|call| call.id == *call_id),
                        true => open.iter().position(|call| Some(&call.name) == name),
                    };
                    // One that names no call that waits is the result of the next.
                    let found = found.or((call_id.is_empty() && !open.is_empty()).then_some(0));
                    let call = found.and_then(|at| open.remove(at));
                    if call_id.is_empty() {
                        let orphan = || {
                            made_id(&["gemini-result", &place.to_string(), &ordinal.to_string()])
                        };
                        *call_id = call.map_or_else(orphan, |call| call.id);
                        ordinal += 1;
                    }
                }
                _ => {}
            }
        }
    }
}
