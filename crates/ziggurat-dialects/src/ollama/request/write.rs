//! Requests, written.

use bytes::Bytes;
use ziggurat_core::{
    Changes, Chat, EncodedRequest, Error, Extras, Losses, OutputFormat, Restore, Role, Source,
    Target, ToolChoice, Typed,
};

use super::think::{Think, think};
use super::{OPTIONS, options};
use crate::fields::Field;
use crate::json::{self, Array, Object};
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::ollama::{OLLAMA, call};
use crate::plain_error;
use crate::plan::{Abilities, Choice, Params, Piece, Scene, Tools, Turn, turns};
use crate::tools::ANY_NAMES;

/// Writes a request.
pub(in crate::ollama) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    match request {
        Typed::Chat(chat) => encode_chat(chat, target, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(Bytes::new())),
        other => Err(plain_error::unknown(other.operation())),
    }
}

fn encode_chat(
    chat: &Chat,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    // No tool can be forced, and none is strict.
    let mut able = target.capabilities.clone();
    able.forced_tools = false;
    able.structured_output = false;
    let narrowed = Target::new(target.model, &able, target.source);
    let scene = Scene::new(&narrowed, OLLAMA, ANY_NAMES);

    let mut tools = Tools::listed(chat, &scene, losses)?;
    narrow(&mut tools, chat, &scene, losses);
    let mut talk = Conversation::of(chat);
    if !scene.is_own() || !able.prefill || !able.mid_system {
        let mut profile = Profile::free();
        profile.prefill = able.prefill;
        profile.mid_system = if able.mid_system { MidSystem::Keep } else { MidSystem::Wrap };
        normalise(&mut talk, &profile, scene.names, losses)?;
    }
    talk.instruct(&tools.instructions);
    let turns = turns(&talk, &scene, Abilities::default(), &mut tools, losses)?;

    let size: usize = turns.iter().map(Turn::size_hint).sum();
    let mut out = Vec::with_capacity(1024 + size);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    // Left out, it would be true.
    object.flag("stream", chat.stream);
    let mut array = Array::begin(object.member("messages"));
    for turn in &turns {
        message(&mut array, turn);
    }
    array.end();
    if !tools.list.is_empty() {
        write_tools(&tools, object.member("tools"));
    }
    match &chat.output {
        OutputFormat::Json => object.text("format", "json"),
        OutputFormat::Schema(schema) => object.raw("format", schema.schema.get()),
        _ => {}
    }
    match think(chat, &scene, losses)? {
        Some(Think::Flag(flag)) => object.flag("think", flag),
        Some(Think::Word(effort)) => object.text("think", effort.as_str()),
        None => {}
    }
    options::write(&mut object, chat, &scene, losses)?;
    if let Some(top) = chat.logprobs {
        object.flag("logprobs", true);
        if top > 0 {
            object.number("top_logprobs", top);
        }
    }
    beside(&mut object, chat, &scene, losses)?;
    object.end();

    let mut changes = Changes::default();
    changes.tool_names = tools.names.into_changed();
    changes.custom_tools = tools.custom.into_iter().collect();
    let mut request = EncodedRequest::new(out.into());
    request.restore = Restore::new(changes);
    Ok(request)
}

/// There is no choice among tools: one that is wished for is the only one that is sent, and where none is, none is.
fn narrow(tools: &mut Tools<'_>, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) {
    match &chat.tool_choice {
        Some(ToolChoice::Tool { name }) => {
            let name = tools.name(name);
            tools.list.retain(|sent| sent.name == name);
        }
        _ if tools.choice == Some(Choice::None) && !tools.list.is_empty() => {
            losses.emulate(scene.names.name(Field::ToolChoice), "no tools are sent");
            tools.list.clear();
        }
        _ => {}
    }
}

/// What stands beside the conversation, and what this dialect has no field for.
fn beside(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    use Field::{FrequencyPenalty, Logprobs, MinP, PresencePenalty, RepetitionPenalty, Seed};
    let has = [MinP, FrequencyPenalty, PresencePenalty, RepetitionPenalty, Seed, Logprobs];
    let mut params = Params::default();
    params.lost(chat, &has, scene, losses)?;
    params.lost_beside(chat, scene, losses)?;
    params.write_passed(object);
    let own = chat.extras.dialect == Some(OLLAMA);
    for (name, value) in &chat.extras.members {
        if (own && !name.starts_with(OPTIONS)) || (!own && losses.passes(name)) {
            object.raw_named(name, value.get());
        }
    }
    Ok(())
}

fn message(array: &mut Array<'_>, turn: &Turn<'_>) {
    // Texts of an assistant follow each other without a break.
    let (role, between) = match turn.role {
        Role::Assistant => ("assistant", ""),
        Role::Tool => ("tool", "\n"),
        Role::User => ("user", "\n"),
        _ => ("system", "\n\n"),
    };
    let mut object = array.object();
    object.text("role", role);
    object.text("content", &turn.text(between));
    let thoughts: String = turn.thoughts().collect();
    if !thoughts.is_empty() {
        object.text("thinking", &thoughts);
    }
    let mut pictures = turn
        .pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Picture { source: Source::Base64 { data, .. }, .. } => Some(data),
            _ => None,
        })
        .peekable();
    if pictures.peek().is_some() {
        let mut list = Array::begin(object.member("images"));
        for data in pictures {
            json::string(list.item(), data);
        }
        list.end();
    }
    if !turn.calls.is_empty() {
        let mut list = Array::begin(object.member("tool_calls"));
        for (index, sent) in turn.calls.iter().enumerate() {
            let arguments = (sent.arguments, sent.free);
            call::write(&mut list, index, sent.id, &sent.name, arguments, sent.extras);
        }
        list.end();
    }
    if let Some(answers) = &turn.answers {
        if let Some(name) = &answers.name {
            object.text("tool_name", name);
        }
        object.text("tool_call_id", answers.id);
    }
    if let Some(extras) = turn.extras {
        object.extras(extras);
    }
    object.end();
}

fn write_tools(tools: &Tools<'_>, out: &mut Vec<u8>) {
    let mut array = Array::begin(out);
    for sent in &tools.list {
        let none = Extras::default();
        let extras = sent.tool.map(|tool| &tool.extras);
        let extras = extras.filter(|extras| extras.dialect == Some(OLLAMA)).unwrap_or(&none);
        let mut object = array.object();
        object.text("type", "function");
        let mut function = Object::begin(object.member("function"));
        function.text("name", &sent.name);
        if let Some(description) = &sent.description {
            function.text("description", description);
        }
        function.raw("parameters", sent.schema.get());
        for (name, value) in &extras.members {
            if let Some(name) = name.strip_prefix("function.") {
                function.raw_named(name, value.get());
            }
        }
        function.end();
        for (name, value) in &extras.members {
            if !name.starts_with("function.") {
                object.raw_named(name, value.get());
            }
        }
        object.end();
    }
    array.end();
}
