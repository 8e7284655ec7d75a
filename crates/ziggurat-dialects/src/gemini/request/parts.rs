//! What is said, checked against what this dialect can carry.

use std::borrow::Cow;

use ziggurat_core::{
    Chat, Content, Error, Extras, Loss, LossAction, Losses, Message, Part, Role, Severity,
};

use crate::Names;
use crate::fields::{Field, Place};
use crate::gemini::{GEMINI, blob, part, signature};
use crate::plan::Scene;

/// Reports or refuses what this dialect cannot carry, by the places where the caller wrote it.
pub(super) fn check(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
    for (index, part) in chat.system.iter().enumerate() {
        let path = || match scene.names {
            Names::OpenAi => Cow::from("messages"),
            names => names.item(names.name(Field::System), index),
        };
        check_prompt(part, &path, scene, losses)?;
    }
    for message in &chat.messages {
        if message.name.is_some() {
            let path = scene.names.member(&scene.names.message(message), "name");
            losses.drop(Severity::Harmless, path, "speakers have no names there")?;
        }
        check_extras(&message.extras, scene, losses, || scene.names.message(message))?;
        for (index, part) in message.parts.iter().enumerate() {
            let path = || scene.names.part(message, index);
            match message.role {
                Role::System | Role::Developer => check_prompt(part, &path, scene, losses)?,
                role => check_part(part, role, &path, scene, losses)?,
            }
        }
    }
    Ok(())
}

fn check_prompt(
    part: &Part,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    if !part.is_text() && !scene.is_own() {
        losses.drop(Severity::Grave, path(), "a system prompt is text only")?;
    }
    check_mark(part, path, scene, losses)?;
    check_extras(&part.extras, scene, losses, path)
}

/// Prompts are cached without being marked.
fn check_mark(
    part: &Part,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    if part.cache.is_none() {
        return Ok(());
    }
    let path = scene.names.member(&path(), "cache_control");
    losses.drop(Severity::Harmless, path, "prompts are cached without being marked here")
}

fn check_extras(
    extras: &Extras,
    scene: &Scene<'_>,
    losses: &mut Losses,
    path: impl FnOnce() -> Cow<'static, str>,
) -> Result<(), Error> {
    if extras.is_empty() || extras.dialect == Some(GEMINI) {
        return Ok(());
    }
    let path = path();
    for (name, _) in &extras.members {
        let path = scene.names.member(&path, name);
        losses.drop(Severity::Harmless, path, "the target has no such field")?;
    }
    Ok(())
}

fn check_part(
    part: &Part,
    role: Role,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let foreign = scene.target.source.is_some() && !scene.is_own();
    let harmless = |losses: &mut Losses, member: &str, reason: &'static str| {
        let path = scene.names.member(&path(), member);
        losses.drop(Severity::Harmless, path, reason)
    };
    if let Some(reason) = blob::source(&part.content).and_then(|s| part::trouble(s, foreign)) {
        losses.drop(Severity::Grave, path(), reason)?;
    }
    match &part.content {
        Content::Text { citations, .. } if !citations.is_empty() => {
            let reason = "citations of earlier answers are left out";
            losses.note(Loss::new(path(), reason, LossAction::Dropped));
        }
        Content::Image { detail: Some(detail), .. } if detail != "auto" => {
            harmless(losses, "detail", "the target has no such field")?;
        }
        Content::Document { source, title, context, citations } => {
            if matches!(source, ziggurat_core::Source::Text { .. }) {
                losses.emulate(path(), "the document is sent as plain text");
            } else if title.is_some() && !scene.is_own() {
                harmless(losses, "title", "documents have no names there")?;
            }
            if context.is_some() {
                harmless(losses, "context", "documents are not described there")?;
            }
            if *citations == Some(true) {
                harmless(losses, "citations", "documents are not cited there")?;
            }
        }
        Content::ToolResult { parts, .. } => {
            let inner = || scene.names.member(&path(), "content");
            for part in parts {
                check_part(part, role, &inner, scene, losses)?;
            }
            let shows = parts.iter().any(|part| blob::source(&part.content).is_some());
            if shows && !scene.target.capabilities.signed_calls && !scene.is_own() {
                losses.emulate(path(), "what a tool shows is shown by the user");
            }
        }
        Content::Refusal { .. } => losses.emulate(path(), "a refusal is sent as text"),
        Content::Opaque { kind, .. } if part.extras.dialect != Some(GEMINI) => {
            let reason = format!("`{kind}` is understood by its own provider only");
            if role == Role::Assistant {
                // What another provider's own tools did is state of that provider's.
                losses.note(Loss::new(path(), reason, LossAction::Dropped));
            } else {
                losses.drop(Severity::Grave, path(), reason)?;
            }
        }
        _ => {}
    }
    if !matches!(part.content, Content::Reasoning { .. }) {
        check_mark(part, path, scene, losses)?;
    }
    check_extras(&part.extras, scene, losses, path)
}

/// Takes out what other models thought, and signatures that are not this model's.
pub(super) fn strip_foreign(messages: &mut [Message], scene: &Scene<'_>, losses: &mut Losses) {
    let model = scene.target.model;
    for message in messages {
        let mut lost = false;
        message.parts.retain_mut(|part| match &mut part.content {
            Content::Reasoning { signature, redacted, .. } => {
                let made = signature.as_deref().map(|made| signature::for_model(made, model));
                let own = match made {
                    _ if redacted.is_some() => false,
                    Some(Some(made)) => {
                        let marked = signature.as_deref() != Some(made);
                        let made = ziggurat_core::Str::from(made);
                        *signature = Some(made);
                        marked || scene.is_own() || scene.target.source.is_none()
                    }
                    Some(None) => false,
                    None => scene.is_own(),
                };
                lost |= !own;
                own
            }
            Content::ToolCall { signature, .. } => {
                if let Some(made) = signature.take() {
                    *signature = signature::for_model(&made, model).map(ziggurat_core::Str::from);
                    lost |= signature.is_none();
                }
                true
            }
            Content::Opaque { .. } => part.extras.dialect == Some(GEMINI),
            _ => true,
        });
        if lost {
            losses.note(Loss::new(
                scene.names.message(message),
                "reasoning that this model did not sign is left out",
                LossAction::Dropped,
            ));
        }
    }
}
