//! Requests, written.

use ziggurat_core::{
    Capabilities, Changes, Chat, EncodedRequest, Error, ErrorKind, Extras, Losses, Restore, Target,
    Typed,
};

use super::{params, tools, write};
use crate::Names;
use crate::fields;
use crate::json::Object;
use crate::openai_api::{SHARED, is_family, request};
use crate::responses::RESPONSES;
use crate::tools::{RESPONSES_NAMES, ToolNames};

/// What everything that writes a part of the request needs.
pub(super) struct Context<'a> {
    pub(super) model: &'a Capabilities,
    /// The model's name, by which its own reasoning is known again.
    pub(super) model_name: &'a str,
    pub(super) losses: &'a mut Losses,
    /// The caller's words for fields.
    pub(super) names: Names,
    pub(super) tools: ToolNames,
    /// Whether the caller speaks this dialect: then what only it understands goes back out as it came.
    pub(super) own: bool,
    /// Whether the caller speaks a dialect of another API, so that what the provider keeps means nothing here.
    pub(super) foreign: bool,
}

/// Writes a request.
pub(in crate::responses) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    match request {
        Typed::Chat(chat) => encode_chat(chat, target, losses, false),
        Typed::CountTokens(chat) => encode_chat(chat, target, losses, true),
        Typed::Models(_) => Ok(EncodedRequest::new(bytes::Bytes::new())),
        other => {
            let message = format!("{} cannot be asked for here", other.operation());
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

/// `count` writes what is counted and nothing else.
fn encode_chat(
    chat: &Chat,
    target: &Target<'_>,
    losses: &mut Losses,
    count: bool,
) -> Result<EncodedRequest, Error> {
    let own = target.source == Some(RESPONSES);
    let model = target.capabilities;
    let names = Names::of(target.source);
    let mut context = Context {
        model,
        model_name: target.model,
        losses,
        names,
        tools: ToolNames::under(RESPONSES_NAMES),
        own,
        foreign: target.source.is_some_and(|source| !is_family(source)),
    };

    let talk = request::conversation(chat, own, model, names, context.losses)?;

    let mut out = Vec::with_capacity(talk.size_hint());
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    // Tools first: calls in the history go by the names that these are given.
    let mut list = Vec::new();
    tools::write(&mut list, chat, &mut context)?;
    let instruction = request::instruction(chat, own, model, names, context.losses);
    write::conversation(&mut object, &talk, instruction, &mut context)?;
    let mut changes = Changes::default();
    params::write(&mut object, chat, &list, count, &mut changes, &mut context)?;
    object.end();

    changes.tool_names = context.tools.into_changed();
    let mut request = EncodedRequest::new(out.into());
    request.restore = Restore::new(changes);
    Ok(request)
}

/// Writes extra members whose name begins with `prefix`, without it, but for those that begin with one of `nested`.
///
/// Those of another dialect are lost, unless they mean the same here or the caller insists.
pub(super) fn extras(
    object: &mut Object<'_>,
    extras: &Extras,
    prefix: &str,
    nested: &[&str],
    path: impl Fn(&str) -> String,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let own = extras.dialect.is_none_or(|dialect| dialect == RESPONSES);
    let family = extras.dialect.is_some_and(is_family);
    for (name, value) in &extras.members {
        let Some(short) = name.strip_prefix(prefix) else { continue };
        if own && nested.iter().any(|nested| name.starts_with(nested)) {
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
