//! What is decided of a request in both dialects alike: the order of what was said, and what must be said besides.

use ziggurat_core::{Capabilities, Chat, Error, Losses, OutputFormat, Part};

use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::{Field, Names};

/// The conversation in the order that the model takes. `own` says that it was said in the dialect that it goes out in.
pub(crate) fn conversation<'a>(
    chat: &'a Chat,
    own: bool,
    model: &Capabilities,
    names: Names,
    losses: &mut Losses,
) -> Result<Conversation<'a>, Error> {
    if own && model.prefill && model.mid_system {
        // The order is this dialect's already.
        return Ok(Conversation::as_said(chat));
    }
    let mut profile = Profile::free();
    profile.prefill = model.prefill;
    profile.mid_system = if model.mid_system { MidSystem::Keep } else { MidSystem::Wrap };
    let mut talk = Conversation::of(chat);
    normalise(&mut talk, &profile, names, losses)?;
    Ok(talk)
}

/// What must be said since the format of the answer cannot be asked for as it is.
pub(crate) fn instruction(
    chat: &Chat,
    own: bool,
    model: &Capabilities,
    names: Names,
    losses: &mut Losses,
) -> Option<String> {
    let field = names.name(Field::Output);
    match &chat.output {
        OutputFormat::Schema(schema) if !model.structured_output => {
            losses.emulate(field, "the model takes no schema: it is told to follow it");
            Some(format!(
                "Answer with JSON that follows this JSON Schema:\n{}",
                schema.schema.get()
            ))
        }
        // The provider refuses to answer in JSON if nobody speaks of it.
        OutputFormat::Json if !own && !speaks_of_json(chat) => {
            losses.emulate(field, "the model is told to answer in JSON");
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
