//! What is said, checked against what this dialect can carry, by the places where the caller wrote it.

use std::borrow::Cow;

use ziggurat_core::{
    Chat, Content, Error, Extras, Loss, LossAction, Losses, Part, Role, Severity, Source,
};

use super::document;
use crate::converse::CONVERSE;
use crate::converse::citation;
use crate::converse::media::Medium;
use crate::fields::{Field, Place};
use crate::plan::Scene;

/// Reports or refuses what this dialect cannot carry.
pub(super) fn check(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
    for (index, part) in chat.system.iter().enumerate() {
        let path = || match scene.names {
            crate::Names::OpenAi => Cow::from("messages"),
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
                _ => check_part(part, &path, scene, losses)?,
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
    let own = part.extras.dialect == Some(CONVERSE);
    if !part.is_text() && !own {
        losses.drop(Severity::Grave, path(), "a system prompt is text only")?;
    }
    check_extras(&part.extras, scene, losses, path)
}

fn check_extras(
    extras: &Extras,
    scene: &Scene<'_>,
    losses: &mut Losses,
    path: impl FnOnce() -> Cow<'static, str>,
) -> Result<(), Error> {
    if extras.is_empty() || extras.dialect == Some(CONVERSE) {
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
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    match &part.content {
        Content::Text { text, citations } => {
            if citations.iter().any(|raw| citation::adopt(raw, text).is_none()) {
                let reason = "citations that name no place are left out";
                losses.note(Loss::new(path(), reason, LossAction::Dropped));
            }
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                let path = scene.names.member(&path(), "detail");
                losses.drop(Severity::Harmless, path, "the target has no such field")?;
            }
            check_medium(Medium::Image, source, path, scene, losses)?;
        }
        Content::Audio { source } => check_medium(Medium::Audio, source, path, scene, losses)?,
        Content::Video { source } => check_medium(Medium::Video, source, path, scene, losses)?,
        Content::Document { source, .. } => {
            if let Err(reason) = document::source(source, scene) {
                losses.drop(Severity::Grave, path(), reason)?;
            }
        }
        Content::ToolResult { parts, .. } => {
            let inner = || scene.names.member(&path(), "content");
            for part in parts {
                check_part(part, &inner, scene, losses)?;
            }
        }
        Content::Refusal { .. } => losses.emulate(path(), "a refusal is sent as text"),
        Content::Opaque { kind, .. } => {
            if part.extras.dialect != Some(CONVERSE) {
                let reason = format!("`{kind}` is understood by its own provider only");
                losses.drop(Severity::Grave, path(), reason)?;
            }
        }
        // Reasoning of other providers is taken out later.
        Content::Reasoning { .. } | Content::ToolCall { .. } => {}
        _ => losses.drop(Severity::Grave, path(), "the target has no such content")?,
    }
    check_extras(&part.extras, scene, losses, path)
}

fn check_medium(
    medium: Medium,
    source: &Source,
    path: Place<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    match trouble(medium, source, scene) {
        Some(reason) => losses.drop(Severity::Grave, path(), reason),
        None => Ok(()),
    }
}

/// Why a medium cannot be sent.
fn trouble(medium: Medium, source: &Source, scene: &Scene<'_>) -> Option<String> {
    match source {
        Source::Base64 { media_type, data } => {
            let kind = document::true_type(media_type, data);
            let word = medium.word();
            medium
                .format(kind)
                .is_none()
                .then(|| format!("the provider takes no `{word}` of the type `{kind}`"))
        }
        Source::Url(url) | Source::File(url) => address(url, scene),
        _ => Some("the provider takes it as bytes or from S3 only".to_owned()),
    }
}

/// Why an address cannot be sent.
pub(super) fn address(url: &str, scene: &Scene<'_>) -> Option<String> {
    let fine = url.starts_with("s3://") || scene.is_own();
    (!fine).then(|| "the provider reads no addresses but those of S3: send the bytes".to_owned())
}
