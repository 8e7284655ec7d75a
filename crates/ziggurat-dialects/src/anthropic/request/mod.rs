//! Requests.

mod decode;
mod defaults;
mod parts;
mod prepare;
#[cfg(test)]
mod tests;
mod write;

use bytes::Bytes;
use ziggurat_core::{Chat, EncodedRequest, Error, Losses, RawJson, Target, Typed};

pub(super) use decode::decode;
pub(super) use defaults::set_default;
pub(super) use prepare::prepare;

use super::ANTHROPIC;
use crate::json::{Fields, Object};
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::plan::{Marks, Mode, Params, Scene, Thinking, Tools, strip_foreign, think};
use crate::tools::ANTHROPIC_NAMES;

/// Writes a request.
pub(super) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let scene = Scene::new(target, ANTHROPIC, ANTHROPIC_NAMES);
    match request {
        Typed::Chat(chat) => encode_chat(chat, &scene, losses),
        Typed::CountTokens(chat) => encode_count(chat, &scene, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(Bytes::new())),
        other => {
            let message = format!("the provider has no such operation: {}", other.operation());
            Err(Error::new(ziggurat_core::ErrorKind::Unsupported, message))
        }
    }
}

fn encode_chat(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, scene, losses)?;
    let mut params = Params::default();
    params.sampling(chat, scene, plan.thinking.is_on(), losses)?;
    params.stop(chat, scene, losses)?;
    let tier = write::tier(chat, scene, losses)?;
    params.lost(chat, &[], scene, losses)?;
    let mut out = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut out);
    object.text("model", scene.target.model);
    object.number("max_tokens", plan.thinking.max_tokens);
    write::params(&params, &mut object);
    plan.write(chat, scene, &mut object);
    let labels = own_extra(chat, "metadata");
    if chat.user.is_some() || labels.is_some() {
        let mut metadata = Object::begin(object.member("metadata"));
        if let Some(user) = &chat.user {
            metadata.text("user_id", user);
        }
        if let Some(labels) = labels {
            metadata.members_of(labels);
        }
        metadata.end();
    }
    if let Some(tier) = &tier {
        object.text("service_tier", tier);
    }
    if chat.stream {
        object.flag("stream", true);
    }
    params.write_passed(&mut object);
    if chat.extras.dialect == Some(ANTHROPIC) {
        for (name, value) in &chat.extras.members {
            if !SPLICED.contains(&name.as_str()) {
                object.raw_named(name, value.get());
            }
        }
    } else {
        for (name, value) in &chat.extras.members {
            if losses.passes(name) {
                object.raw_named(name, value.get());
            }
        }
    }
    object.end();
    let mut request = EncodedRequest::new(Bytes::from(out));
    request.restore = plan.tools.restore();
    Ok(request)
}

/// Only what counts is sent: a parameter that steers the answer would be refused.
fn encode_count(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, scene, losses)?;
    let mut out = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut out);
    object.text("model", scene.target.model);
    plan.write(chat, scene, &mut object);
    if chat.extras.dialect == Some(ANTHROPIC) {
        for (name, value) in &chat.extras.members {
            if !SPLICED.contains(&name.as_str()) {
                object.raw_named(name, value.get());
            }
        }
    }
    object.end();
    Ok(EncodedRequest::new(Bytes::from(out)))
}

/// Objects that are written member by member, with what else their caller put into them.
const SPLICED: [&str; 4] = ["thinking", "output_config", "tool_choice", "metadata"];

fn own_extra<'a>(chat: &'a Chat, name: &str) -> Option<&'a RawJson> {
    chat.extras.get(name).filter(|_| chat.extras.dialect == Some(ANTHROPIC))
}

/// Whether all of a member was kept, type included, and not only what the superset has no field for: that goes where the rest
/// of it goes, or not at all.
fn is_whole(rest: &RawJson) -> bool {
    rest.read::<Fields<'_>>().is_ok_and(|fields| fields.get("type").is_some())
}

/// A conversation as it is sent.
struct Plan<'a> {
    talk: Conversation<'a>,
    tools: Tools<'a>,
    thinking: Thinking,
    marks: Marks,
}

impl<'a> Plan<'a> {
    fn of(chat: &'a Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
        parts::check(chat, scene, losses)?;
        let tools = Tools::plan(chat, scene, losses)?;
        let mut talk = Conversation::of(chat);
        if let Some(messages) = talk.unsettled() {
            strip_foreign(messages, scene, losses);
        }
        let thinking = think(chat, scene, &talk.messages, tools.is_forced(), losses)?;
        let caps = scene.target.capabilities;
        let mut profile = Profile::alternating();
        profile.mid_system = if caps.mid_system { MidSystem::AfterUser } else { MidSystem::Wrap };
        // A bound answer and a thinking model begin their own message.
        profile.prefill =
            caps.prefill && tools.format.is_none() && !matches!(thinking.mode, Mode::Enabled(_));
        if scene.is_own() {
            profile.paired_results = false;
            profile.merge = false;
            profile.user_first = false;
        }
        normalise(&mut talk, &profile, scene.names, losses)?;
        talk.instruct(&tools.instructions);
        let marks = Marks::plan(chat, scene, losses)?;
        Ok(Self { talk, tools, thinking, marks })
    }

    /// Writes the conversation, its tools and its thinking.
    fn write(&mut self, chat: &Chat, scene: &Scene<'_>, object: &mut Object<'_>) {
        let Self { talk, tools, thinking, marks } = self;
        if !talk.system.is_empty() {
            let out = object.member("system");
            parts::write_system(&talk.system, scene, tools, &mut marks.system, out);
        }
        let out = object.member("messages");
        parts::write_messages(&talk.messages, scene, tools, &mut marks.messages, out);
        if !tools.list.is_empty() {
            write::tools(tools, &mut marks.tools, object.member("tools"));
        }
        let rest = own_extra(chat, "tool_choice");
        if tools.has_choice() || rest.is_some_and(is_whole) {
            let mut choice = Object::begin(object.member("tool_choice"));
            write::choice(tools, &mut choice);
            rest.into_iter().for_each(|rest| choice.members_of(rest));
            choice.end();
        }
        let rest = own_extra(chat, "thinking");
        if thinking.mode != Mode::Unsaid || rest.is_some_and(is_whole) {
            let mut inner = Object::begin(object.member("thinking"));
            thinking.write(&mut inner);
            rest.into_iter().for_each(|rest| inner.members_of(rest));
            inner.end();
        }
        let rest = own_extra(chat, "output_config");
        if thinking.effort.is_some() || tools.format.is_some() || rest.is_some() {
            let mut config = Object::begin(object.member("output_config"));
            if let Some(effort) = thinking.effort {
                config.text("effort", effort.as_str());
            }
            if let Some(schema) = &tools.format {
                let mut format = Object::begin(config.member("format"));
                format.text("type", "json_schema");
                format.raw("schema", schema.get());
                format.end();
            }
            rest.into_iter().for_each(|rest| config.members_of(rest));
            config.end();
        }
        write::mark(chat.cache.auto, object);
    }
}
