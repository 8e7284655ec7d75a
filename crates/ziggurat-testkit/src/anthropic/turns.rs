//! What Anthropic refuses in the order of messages: pairs of calls and results, the first and the
//! last turn, signatures.

use super::{
    blocks::Message,
    error::Fault,
    fields::Members,
    models::Model,
    signature::{is_signed, redact},
};

/// What the rest of the request means for the messages.
pub(super) struct Rules<'a> {
    pub(super) name: &'a str,
    pub(super) model: &'a Model,
    /// Thinking is on.
    pub(super) thinks: bool,
    /// Thinking is on with a budget.
    pub(super) enabled: bool,
    pub(super) has_tools: bool,
    /// Output has a schema.
    pub(super) has_format: bool,
}

pub(super) fn check(messages: &[Message<'_>], rules: &Rules<'_>) -> Result<(), Fault> {
    first(messages, rules)?;
    systems(messages, rules)?;
    pairs(messages)?;
    let blocks = || messages.iter().flat_map(|message| message.blocks.iter().flatten());
    if !rules.has_tools && blocks().any(|block| matches!(kind(block), "tool_use" | "tool_result")) {
        let message = "Requests which include `tool_use` or `tool_result` blocks must define tools";
        return Err(Fault::invalid(message.to_owned()));
    }
    for block in blocks() {
        signed(block, rules.name)?;
    }
    if rules.enabled {
        thought_before_calling(messages)?;
    }
    let cites =
        |block: &&Members<'_>| block.map.get("citations").is_some_and(|it| it["enabled"] == true);
    if rules.has_format && blocks().any(|block| cites(&block)) {
        return Err(Fault::at("output_config.format", "may not be used together with citations"));
    }
    last(messages, rules)
}

fn kind<'a>(block: &Members<'a>) -> &'a str {
    block.map.get("type").and_then(serde_json::Value::as_str).unwrap_or_default()
}

fn text<'a>(block: &Members<'a>, name: &str) -> &'a str {
    block.map.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// Newer models are lenient about who begins.
fn first(messages: &[Message<'_>], rules: &Rules<'_>) -> Result<(), Fault> {
    if rules.model.samples && messages.first().is_some_and(|first| first.role == "assistant") {
        return Err(Fault::at("messages", "first message must use the \"user\" role"));
    }
    Ok(())
}

fn systems(messages: &[Message<'_>], rules: &Rules<'_>) -> Result<(), Fault> {
    for (at, message) in messages.iter().enumerate().filter(|(_, it)| it.role == "system") {
        let path = format!("{}.role", message.path);
        if !rules.model.system {
            return Err(Fault::at(&path, "role 'system' is not supported on this model"));
        }
        if at == 0 || messages[at - 1].role != "user" {
            return Err(Fault::at(&path, "role 'system' must directly follow a user message"));
        }
    }
    Ok(())
}

/// Every call is answered in the next message, before any text, and nothing else is.
fn pairs(messages: &[Message<'_>]) -> Result<(), Fault> {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let blocks = message.blocks.as_deref().unwrap_or_default();
        let mut answered: Vec<&str> = Vec::new();
        // Results that come after something else do not follow immediately.
        let mut in_front = true;
        for (index, block) in blocks.iter().enumerate() {
            if kind(block) != "tool_result" {
                in_front = false;
                continue;
            }
            let id = text(block, "tool_use_id");
            let path = format!("{}.content.{index}", message.path);
            if !open.contains(&id) {
                let what = format!(
                    "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                     `tool_result` block must have a corresponding `tool_use` block in the \
                     previous message."
                );
                return Err(Fault::at(&path, &what));
            }
            if answered.contains(&id) {
                let what = format!(
                    "each tool_use must have a single result. Found multiple `tool_result` blocks \
                     with id: {id}"
                );
                return Err(Fault::at(&path, &what));
            }
            if in_front {
                answered.push(id);
            }
        }
        open.retain(|id| !answered.contains(id));
        unanswered(&open, at)?;
        for block in blocks.iter().filter(|block| kind(block) == "tool_use") {
            let id = text(block, "id");
            if seen.contains(&id) {
                return Err(Fault::at("messages", "`tool_use` ids must be unique"));
            }
            seen.push(id);
            open.push(id);
        }
    }
    unanswered(&open, messages.len())
}

/// `at` is the message that should have brought the results.
fn unanswered(open: &[&str], at: usize) -> Result<(), Fault> {
    if open.is_empty() {
        return Ok(());
    }
    let path = format!("messages.{}", at.saturating_sub(1));
    let what = format!(
        "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    );
    Err(Fault::at(&path, &what))
}

fn signed(block: &Members<'_>, model: &str) -> Result<(), Fault> {
    let what = match kind(block) {
        "thinking" if !is_signed(model, text(block, "thinking"), text(block, "signature")) => {
            "Invalid `signature` in `thinking` block"
        }
        "redacted_thinking" if text(block, "data") != redact(model) => {
            "Invalid `data` in `redacted_thinking` block"
        }
        _ => return Ok(()),
    };
    Err(Fault::at(&block.path, what))
}

/// While the model waits for results, the turn that called must begin with its thinking.
fn thought_before_calling(messages: &[Message<'_>]) -> Result<(), Fault> {
    let [.., caller, answer] = messages else { return Ok(()) };
    let answers = answer.blocks.iter().flatten().any(|block| kind(block) == "tool_result");
    if !answers || caller.role != "assistant" {
        return Ok(());
    }
    match caller.blocks.iter().flatten().next().map(kind) {
        None | Some("thinking" | "redacted_thinking") => Ok(()),
        Some(found) => {
            let path = format!("{}.content.0.type", caller.path);
            let what = format!(
                "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` \
                 is enabled, a final `assistant` message must start with a thinking block \
                 (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
            );
            Err(Fault::at(&path, &what))
        }
    }
}

fn last(messages: &[Message<'_>], rules: &Rules<'_>) -> Result<(), Fault> {
    let Some(last) = messages.last().filter(|last| last.role == "assistant") else {
        return Ok(());
    };
    let told = if !rules.model.prefill {
        "This model does not support assistant message prefill. The conversation must end with a \
         user message."
    } else if rules.thinks {
        "Assistant message prefill is not supported when thinking is enabled."
    } else if rules.has_format {
        "Assistant message prefill is not supported together with output_config.format."
    } else {
        let end = match &last.blocks {
            None => last.text,
            Some(blocks) => blocks.last().map_or("", |block| text(block, "text")),
        };
        if end.ends_with(char::is_whitespace) {
            let what = "final assistant content cannot end with trailing whitespace";
            return Err(Fault::at("messages", what));
        }
        return Ok(());
    };
    Err(Fault::invalid(told.to_owned()))
}
