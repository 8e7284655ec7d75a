//! Writes a request.

use std::collections::BTreeMap;

use bytes::Bytes;
use ziggurat_core::{
    Changes, Chat, Content, EncodedRequest, Error, ErrorKind, Losses, Message, Restore, Str,
    Target, Typed,
};

use super::params::Params;
use super::tools::Tools;
use super::{contents, parts};
use crate::gemini::GEMINI;
use crate::json::Object;
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::plan::Scene;
use crate::tools::GEMINI_NAMES;

/// Writes a request.
pub(in crate::gemini) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let scene = Scene::new(target, GEMINI, GEMINI_NAMES);
    match request {
        Typed::Chat(chat) => encode_chat(chat, &scene, losses),
        Typed::CountTokens(chat) => encode_count(chat, &scene, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(Bytes::new())),
        other => {
            let message = format!("the provider has no such operation: {}", other.operation());
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn encode_chat(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, scene, losses)?;
    let params = Params::plan(chat, scene, losses)?;
    let mut out = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut out);
    plan.write(chat, scene, &mut object);
    params.write(chat, &plan.tools.form, &mut object);
    if let Some(tier) = params.service_tier {
        object.text("serviceTier", tier);
    }
    if scene.is_own() {
        if let Some(labels) = &chat.metadata {
            object.raw("labels", labels.get());
        }
        if let Some(store) = chat.store {
            object.flag("store", store);
        }
    }
    for (name, value) in &chat.extras.members {
        let own = chat.extras.dialect == Some(GEMINI) && !name.contains('.');
        if own || losses.passes(name) {
            object.raw_named(name, value.get());
        }
    }
    object.end();
    let mut request = EncodedRequest::new(Bytes::from(out));
    request.restore = plan.restore();
    Ok(request)
}

/// Only the conversation is counted. With anything beside it, it is wrapped as the request that is meant.
fn encode_count(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, scene, losses)?;
    let mut inner = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut inner);
    let beside = !plan.talk.system.is_empty() || !chat.tools.is_empty();
    if beside {
        object.text("model", &format!("models/{}", scene.target.model));
    }
    plan.write(chat, scene, &mut object);
    object.end();
    if !beside {
        return Ok(EncodedRequest::new(Bytes::from(inner)));
    }
    let mut out = Vec::with_capacity(inner.len() + 32);
    let mut object = Object::begin(&mut out);
    object.member("generateContentRequest").extend_from_slice(&inner);
    object.end();
    Ok(EncodedRequest::new(Bytes::from(out)))
}

/// A conversation as it is sent.
struct Plan<'a> {
    talk: Conversation<'a>,
    tools: Tools<'a>,
}

impl<'a> Plan<'a> {
    fn of(chat: &'a Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
        parts::check(chat, scene, losses)?;
        let tools = Tools::plan(chat, scene, losses)?;
        let mut talk = Conversation::of(chat);
        if let Some(messages) = talk.unsettled() {
            parts::strip_foreign(messages, scene, losses);
        }
        let mut profile = Profile::alternating();
        profile.mid_system = MidSystem::Wrap;
        profile.no_blank_text = false;
        profile.prefill = scene.target.capabilities.prefill;
        if scene.is_own() {
            profile.paired_results = false;
            profile.merge = false;
            profile.user_first = false;
        }
        normalise(&mut talk, &profile, scene.names, losses)?;
        if talk.messages.is_empty() {
            let field = scene.names.name(crate::fields::Field::Messages);
            let message =
                format!("`{field}`: at least one message that says something is required");
            return Err(Error::invalid(message).with_param(field));
        }
        if let Some(messages) = talk.unsettled() {
            name_results(messages);
        }
        talk.instruct(&tools.instructions);
        Ok(Self { talk, tools })
    }

    /// Writes the conversation and its tools.
    fn write(&mut self, chat: &Chat, scene: &Scene<'_>, object: &mut Object<'_>) {
        let Self { talk, tools } = self;
        if !talk.system.is_empty() {
            contents::write_system(&talk.system, scene, tools, object.member("systemInstruction"));
        }
        contents::write(&talk.messages, scene, tools, object.member("contents"));
        tools.write(chat, object);
    }

    fn restore(self) -> Restore {
        let mut changes = Changes::default();
        changes.tool_names = self.tools.names.into_changed();
        changes.custom_tools = self.tools.custom.into_iter().collect();
        changes.strip_fence = self.tools.strip_fence;
        Restore::new(changes)
    }
}

/// Gives results the names of their calls, which other dialects do not repeat.
fn name_results(messages: &mut [Message]) {
    let mut names: BTreeMap<Str, Str> = BTreeMap::new();
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match &mut part.content {
            Content::ToolCall { id, name, .. } => {
                names.insert(id.clone(), name.clone());
            }
            Content::ToolResult { call_id, name, .. } => {
                if let Some(known) = names.get(call_id) {
                    *name = Some(known.clone());
                }
            }
            _ => {}
        }
    }
}
