//! Parts of messages, written.

use ziggurat_core::{Content, Error, Part, Severity, Source, Str};

use super::encode::{Context, extras};
use crate::fields::Place;
use crate::json::{Array, Object};
use crate::media;
use crate::openai_api::parts::{plain_text, write_cache_mark, write_source};
use crate::responses::RESPONSES;

/// Writes a part of plain text.
pub(super) fn text_part(out: &mut Vec<u8>, text: &str) {
    let mut object = Object::begin(out);
    object.text("type", "input_text");
    object.text("text", text);
    object.end();
}

/// Writes one part of what the user says, or a tool answers.
pub(super) fn part(
    list: &mut Array<'_>,
    part: &Part,
    place: Place<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let grave = |context: &mut Context<'_>, reason: &'static str| {
        context.losses.drop(Severity::Grave, place(), reason)
    };
    match &part.content {
        Content::Text { text, .. } => {
            let mut object = list.object();
            object.text("type", "input_text");
            object.text("text", text);
            end(object, part, place, context)
        }
        // The user has no words for it but these.
        Content::Refusal { text } => {
            context.losses.emulate(place(), "a refusal is sent as text");
            let mut object = list.object();
            object.text("type", "input_text");
            object.text("text", text);
            end(object, part, place, context)
        }
        Content::Image { source, detail } => {
            let source = match source {
                Source::Url(_) | Source::Base64 { .. } => source,
                Source::File(_) if !context.foreign => source,
                _ => return grave(context, "the picture is with another provider"),
            };
            let mut object = list.object();
            object.text("type", "input_image");
            match source {
                Source::File(id) => object.text("file_id", id),
                source => write_source(&mut object, "image_url", source),
            }
            // It is required here.
            object.text("detail", detail.as_deref().unwrap_or("auto"));
            end(object, part, place, context)
        }
        Content::Audio { source: Source::Base64 { media_type, data } } => {
            let mut object = list.object();
            object.text("type", "input_audio");
            let mut inner = Object::begin(object.member("input_audio"));
            plain_text(inner.member("data"), &[data]);
            inner.text("format", media::audio_format(media_type));
            inner.end();
            end(object, part, place, context)
        }
        Content::Audio { .. } => grave(context, "sound must be in the request itself here"),
        Content::Document { .. } => document(list, part, place, context),
        Content::Opaque { value, .. } if part.extras.dialect == Some(RESPONSES) => {
            list.item().extend_from_slice(value.get().as_bytes());
            Ok(())
        }
        _ => grave(context, "it means something in its own dialect only"),
    }
}

fn end(
    mut object: Object<'_>,
    part: &Part,
    place: Place<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    extras(&mut object, &part.extras, "", &[], |name| format!("{}.{name}", place()), context)?;
    if let Some(mark) = part.cache {
        write_cache_mark(Some(&mut object), mark, context.model, context.losses)?;
    }
    object.end();
    Ok(())
}

fn document(
    list: &mut Array<'_>,
    part: &Part,
    place: Place<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let Content::Document { source, title, context: about, citations } = &part.content else {
        return Ok(());
    };
    let here = |name: &str| format!("{}.{name}", place());
    if *citations == Some(true) {
        let reason = "documents are not cited here";
        context.losses.drop(Severity::Harmless, here("citations"), reason)?;
    }
    if about.is_some() && !matches!(source, Source::Text { .. }) {
        let reason = "a file is not described here";
        context.losses.drop(Severity::Harmless, here("context"), reason)?;
    }
    if let Source::Text { text, .. } = source {
        context.losses.emulate(place(), "the document is sent as text");
        let head = [title, about].into_iter().flatten().map(|text| format!("{text}\n"));
        let mut object = list.object();
        object.text("type", "input_text");
        object.text("text", &(head.collect::<String>() + text));
        return end(object, part, place, context);
    }
    let name = match source {
        // The name is required beside the data.
        Source::Base64 { .. } => {
            Some(title.clone().unwrap_or_else(|| Str::from_static("document.pdf")))
        }
        Source::Url(_) => title.clone(),
        Source::File(_) if !context.foreign => title.clone(),
        _ => {
            let reason = "the document is with another provider";
            return context.losses.drop(Severity::Grave, place(), reason);
        }
    };
    let mut object = list.object();
    object.text("type", "input_file");
    if let Some(name) = name {
        object.text("filename", &name);
    }
    match source {
        Source::Base64 { .. } => write_source(&mut object, "file_data", source),
        Source::Url(address) => object.text("file_url", address),
        Source::File(id) => object.text("file_id", id),
        _ => {}
    }
    end(object, part, place, context)
}
