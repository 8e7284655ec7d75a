//! Requests, written.

use ziggurat_core::{
    Capabilities, Changes, Chat, EncodedRequest, Error, ErrorKind, Extras, Losses, OutputFormat,
    Part, Restore, Target, Typed,
};

use super::{params, tools, write};
use crate::fields;
use crate::json::Object;
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::openai_api::{SHARED, is_family};
use crate::responses::RESPONSES;
use crate::tools::{RESPONSES_NAMES, ToolNames};
use crate::{Field, Names};

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

    let ordered;
    let (system, messages) = if own && model.prefill && model.mid_system {
        // Said in this dialect, so that the order is this dialect's already.
        (&chat.system[..], &chat.messages[..])
    } else {
        let mut profile = Profile::free();
        profile.prefill = model.prefill;
        profile.mid_system = if model.mid_system { MidSystem::Keep } else { MidSystem::Wrap };
        let mut talk = Conversation::of(chat);
        normalise(&mut talk, &profile, names, context.losses)?;
        ordered = talk;
        (&ordered.system[..], &ordered.messages[..])
    };

    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    // Tools first: calls in the history go by the names that these are given.
    let mut list = Vec::new();
    tools::write(&mut list, chat, &mut context)?;
    let instruction = instruction(chat, &mut context);
    write::conversation(&mut object, system, messages, instruction, &mut context)?;
    let mut changes = Changes::default();
    params::write(&mut object, chat, &list, count, &mut changes, &mut context)?;
    object.end();

    changes.tool_names = context.tools.into_changed();
    let mut request = EncodedRequest::new(out.into());
    request.restore = Restore::new(changes);
    Ok(request)
}

/// What must be said since the format of the answer cannot be asked for as it is.
fn instruction(chat: &Chat, context: &mut Context<'_>) -> Option<String> {
    let field = context.names.name(Field::Output);
    match &chat.output {
        OutputFormat::Schema(schema) if !context.model.structured_output => {
            context.losses.emulate(field, "the model takes no schema: it is told to follow it");
            Some(format!(
                "Answer with JSON that follows this JSON Schema:\n{}",
                schema.schema.get()
            ))
        }
        // The provider refuses to answer in JSON if nobody speaks of it.
        OutputFormat::Json if !context.own && !speaks_of_json(chat) => {
            context.losses.emulate(field, "the model is told to answer in JSON");
            Some("Answer in JSON.".to_owned())
        }
        _ => None,
    }
}

fn speaks_of_json(chat: &Chat) -> bool {
    let says = |part: &Part| {
        let text = part.as_text().unwrap_or_default().as_bytes();
        text.windows(4).any(|word| word.eq_ignore_ascii_case(b"json"))
    };
    chat.system.iter().chain(chat.messages.iter().flat_map(|message| &message.parts)).any(says)
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
