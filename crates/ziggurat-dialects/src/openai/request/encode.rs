//! Requests, written.

use ziggurat_core::{
    Capabilities, Changes, Chat, EncodedRequest, Error, ErrorKind, Extras, Losses, Restore, Target,
    Typed,
};

use super::{params, write};
use crate::Names;
use crate::fields;
use crate::json::Object;
use crate::openai::OPENAI;
use crate::openai_api::{SHARED, is_family, request};
use crate::tools::{OPENAI_NAMES, ToolNames};

/// What everything that writes a part of the request needs.
pub(super) struct Context<'a> {
    pub(super) model: &'a Capabilities,
    pub(super) losses: &'a mut Losses,
    /// The caller's words for fields.
    pub(super) names: Names,
    pub(super) tools: ToolNames,
    /// Whether the caller speaks this dialect: then its extensions go back out as they came.
    pub(super) own: bool,
    /// Whether the caller speaks a dialect of another API, so that what the provider keeps means nothing here.
    pub(super) foreign: bool,
    /// Whether the caller speaks another dialect, so that its texts are joined: many servers take lists from the user only.
    pub(super) joins: bool,
}

/// Writes a request.
pub(in crate::openai) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    match request {
        Typed::Chat(chat) => encode_chat(chat, target, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(bytes::Bytes::new())),
        _ => {
            let message = "the provider has no endpoint that counts the tokens of a conversation";
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn encode_chat(
    chat: &Chat,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let own = target.source == Some(OPENAI);
    let model = target.capabilities;
    let names = Names::of(target.source);
    let mut context = Context {
        model,
        losses,
        names,
        tools: ToolNames::under(OPENAI_NAMES),
        own,
        foreign: target.source.is_some_and(|source| !is_family(source)),
        joins: target.source.is_some() && !own,
    };

    let talk = request::conversation(chat, own, model, names, context.losses)?;

    let mut out = Vec::with_capacity(talk.size_hint());
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    // Tools first: calls in the history go by the names that these are given.
    let mut tools = Vec::new();
    params::tools(&mut tools, chat, &mut context)?;
    let instruction = request::instruction(chat, own, model, names, context.losses);
    write::messages(object.member("messages"), &talk, instruction, &mut context)?;
    params::write(&mut object, chat, &tools, &mut context)?;
    object.end();

    let mut changes = Changes::default();
    changes.tool_names = context.tools.into_changed();
    let mut request = EncodedRequest::new(out.into());
    request.restore = Restore::new(changes);
    Ok(request)
}

/// Writes extra members whose name begins with `prefix`, without it; with an empty prefix, those with none of `nested`.
///
/// Those of another dialect are lost, unless the caller insists.
pub(super) fn extras(
    object: &mut Object<'_>,
    extras: &Extras,
    prefix: &str,
    nested: &[&str],
    path: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let own = extras.dialect.is_none_or(|dialect| dialect == OPENAI);
    let family = extras.dialect.is_some_and(is_family);
    for (name, value) in &extras.members {
        let Some(short) = name.strip_prefix(prefix) else { continue };
        if prefix.is_empty() && nested.iter().any(|nested| name.starts_with(nested)) {
            continue;
        }
        let shared = family && SHARED.contains(&name.as_str());
        if own || shared || context.losses.passes(name) {
            object.raw_named(short, value.get());
        } else {
            fields::lose(extras.dialect, path(name), context.losses)?;
        }
    }
    Ok(())
}
