//! Parts of messages, written.

use ziggurat_core::{Content, Error, Part, Severity, Source, Str};

use super::encode::{Context, extras};
use crate::fields::Place;
use crate::json::{Array, Object};
use crate::media;
use crate::openai::OPENAI;
use crate::openai_api::parts::{plain_text, write_cache_mark, write_source};

/// Writes a part of plain text.
pub(super) fn text_part(out: &mut Vec<u8>, text: &str) {
    let mut object = Object::begin(out);
    object.text("type", "text");
    object.text("text", text);
    object.end();
}

/// Writes one part.
pub(super) fn part(
    list: &mut Array<'_>,
    part: &Part,
    place: Place<'_>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let grave = |context: &mut Context<'_>, reason: &'static str| {
        context.losses.drop(Severity::Grave, place(), reason)
    };
    let here = |name: &str| format!("{}.{name}", place());
    match &part.content {
        Content::Text { text, .. } => {
            let mut object = list.object();
            object.text("type", "text");
            object.text("text", text);
            end_part(object, part, "text.", here, context)
        }
        Content::Refusal { text } => {
            let mut object = list.object();
            object.text("type", "refusal");
            object.text("refusal", text);
            end_part(object, part, "refusal.", here, context)
        }
        Content::Image { source, detail } => {
            if !matches!(source, Source::Url(_) | Source::Base64 { .. }) {
                return grave(context, "the picture is with another provider");
            }
            let mut object = list.object();
            object.text("type", "image_url");
            let mut inner = Object::begin(object.member("image_url"));
            write_source(&mut inner, "url", source);
            if let Some(detail) = detail {
                inner.text("detail", detail);
            }
            extras(&mut inner, &part.extras, "image_url.", &[], here, context)?;
            inner.end();
            end_part(object, part, "image_url.", here, context)
        }
        Content::Audio { source: Source::Base64 { media_type, data } } => {
            let mut object = list.object();
            object.text("type", "input_audio");
            let mut inner = Object::begin(object.member("input_audio"));
            plain_text(inner.member("data"), &[data]);
            inner.text("format", media::audio_format(media_type));
            extras(&mut inner, &part.extras, "input_audio.", &[], here, context)?;
            inner.end();
            end_part(object, part, "input_audio.", here, context)
        }
        Content::Audio { .. } => grave(context, "sound must be in the request itself here"),
        Content::Video { source } if !context.foreign => {
            let mut object = list.object();
            object.text("type", "video_url");
            let mut inner = Object::begin(object.member("video_url"));
            write_source(&mut inner, "url", source);
            extras(&mut inner, &part.extras, "video_url.", &[], here, context)?;
            inner.end();
            end_part(object, part, "video_url.", here, context)
        }
        Content::Document { .. } => document(list, part, place, context),
        Content::Opaque { value, .. } if part.extras.dialect == Some(OPENAI) => {
            list.item().extend_from_slice(value.get().as_bytes());
            Ok(())
        }
        _ => grave(context, "it means something in its own dialect only"),
    }
}

fn end_part(
    mut object: Object<'_>,
    part: &Part,
    nested: &str,
    here: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    extras(&mut object, &part.extras, "", &[nested], here, context)?;
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
    match source {
        Source::Text { text, .. } => {
            context.losses.emulate(place(), "the document is sent as text");
            let head = [title, about].into_iter().flatten().map(|text| format!("{text}\n"));
            let mut object = list.object();
            object.text("type", "text");
            object.text("text", &(head.collect::<String>() + text));
            end_part(object, part, "file.", here, context)
        }
        Source::File(id) if !context.foreign => {
            file(list, part, title.as_ref(), |inner| inner.text("file_id", id), here, context)
        }
        Source::Base64 { .. } => {
            // The name is required beside the data.
            let name = title.clone().unwrap_or_else(|| Str::from_static("document.pdf"));
            let data = |inner: &mut Object<'_>| write_source(inner, "file_data", source);
            file(list, part, Some(&name), data, here, context)
        }
        Source::Url(address) if context.own => {
            file(list, part, title.as_ref(), |inner| inner.text("file_id", address), here, context)
        }
        _ => {
            let reason = "the document must be in the request itself here";
            context.losses.drop(Severity::Grave, place(), reason)
        }
    }
}

fn file(
    list: &mut Array<'_>,
    part: &Part,
    name: Option<&Str>,
    data: impl FnOnce(&mut Object<'_>),
    here: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut object = list.object();
    object.text("type", "file");
    let mut inner = Object::begin(object.member("file"));
    if let Some(name) = name {
        inner.text("filename", name);
    }
    data(&mut inner);
    extras(&mut inner, &part.extras, "file.", &[], &here, context)?;
    inner.end();
    end_part(object, part, "file.", here, context)
}
