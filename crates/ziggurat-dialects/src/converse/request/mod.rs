//! Requests.

mod additional;
mod check;
mod decode;
mod defaults;
mod document;
mod prepare;
#[cfg(test)]
mod tests;
mod tools;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use ziggurat_core::{
    Capabilities, Chat, Effort, EncodedRequest, Error, ErrorKind, Losses, OutputFormat, RawJson,
    Severity, Str, Target, Typed,
};

pub(super) use decode::decode;
pub(super) use defaults::set_default;
pub(super) use prepare::prepare;

use self::additional::Additional;
use super::CONVERSE;
use super::family::Family;
use crate::fields::Field;
use crate::json::{self, Array, Object};
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::plan::{Marks, Mode, Params, Scene, Thinking, Tools, strip_foreign, think};
use crate::tools::CONVERSE_NAMES;

/// Writes a request. The model and whether it streams are in the path.
pub(super) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let family = Family::of(target.model);
    let capabilities = capabilities(target.capabilities, family);
    let target = Target::new(target.model, &capabilities, target.source);
    let scene = Scene::new(&target, CONVERSE, CONVERSE_NAMES);
    match request {
        Typed::Chat(chat) => encode_chat(chat, family, &scene, losses),
        Typed::CountTokens(chat) => encode_count(chat, family, &scene, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(Bytes::new())),
        other => {
            let message = format!("the provider has no such operation: {}", other.operation());
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

/// Only Claude thinks on a budget of tokens; the others that think take an effort.
fn capabilities(given: &Capabilities, family: Family) -> Cow<'_, Capabilities> {
    if !matches!(family, Family::Nova | Family::GptOss) {
        return Cow::Borrowed(given);
    }
    let mut changed = given.clone();
    changed.thinking_budget = false;
    changed.thinking_adaptive = true;
    changed.thinking_between_tools = false;
    // It cannot be told not to think.
    changed.thinking_off = family == Family::Nova;
    if changed.efforts.is_empty() {
        changed.efforts = vec![Effort::Low, Effort::Medium, Effort::High];
    }
    Cow::Owned(changed)
}

fn encode_chat(
    chat: &Chat,
    family: Family,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, family, scene, losses)?;
    let mut params = Params::default();
    params.sampling(chat, scene, plan.thinking.is_on(), losses)?;
    params.stop(chat, scene, losses)?;
    let tier = tier(chat, scene, losses)?;
    let metadata = metadata(chat, scene, losses)?;
    params.lost(chat, &[Field::Metadata], scene, losses)?;
    if chat.user.is_some() {
        let name = scene.names.name(Field::User);
        losses.drop(Severity::Harmless, name, "the target has no such field")?;
    }
    let additional = Additional::plan(chat, family, &mut params, &plan, scene, losses)?;

    let mut out = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut out);
    plan.write(scene, &mut object);
    let bound = chat.max_output_tokens.is_some() || matches!(plan.thinking.mode, Mode::Enabled(_));
    let bound = bound.then_some(plan.thinking.max_tokens);
    inference(chat, &params, bound, &mut object);
    tools::write(&plan.tools, own_extra(chat, "toolConfig"), &mut plan.marks.tools, &mut object);
    additional.write(chat, &params, &mut object);
    output(chat, &plan, &mut object);
    if let Some(tier) = tier {
        let mut inner = Object::begin(object.member("serviceTier"));
        inner.text("type", &tier);
        own_extra(chat, "serviceTier").into_iter().for_each(|rest| inner.members_of(rest));
        inner.end();
    }
    if let Some(metadata) = metadata {
        object.raw("requestMetadata", metadata.get());
    }
    if chat.extras.dialect == Some(CONVERSE) {
        for (name, value) in &chat.extras.members {
            if !SPLICED.contains(&name.as_str()) {
                object.raw_named(name, value.get());
            }
        }
    }
    // Callers of other dialects learn which text ended the answer, where the model tells.
    if !scene.is_own() && family == Family::Claude && !params.stop.is_empty() {
        object.raw("additionalModelResponseFieldPaths", r#"["/stop_sequence"]"#);
    }
    object.end();
    let mut request = EncodedRequest::new(Bytes::from(out));
    request.restore = plan.tools.restore();
    Ok(request)
}

/// Only what counts is sent.
fn encode_count(
    chat: &Chat,
    family: Family,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    let mut plan = Plan::of(chat, family, scene, losses)?;
    let mut out = Vec::with_capacity(plan.talk.size_hint());
    let mut object = Object::begin(&mut out);
    let mut input = Object::begin(object.member("input"));
    let mut inner = Object::begin(input.member("converse"));
    plan.write(scene, &mut inner);
    tools::write(&plan.tools, own_extra(chat, "toolConfig"), &mut plan.marks.tools, &mut inner);
    inner.end();
    input.end();
    object.end();
    Ok(EncodedRequest::new(Bytes::from(out)))
}

/// Objects that are written member by member, with what else their caller put into them.
const SPLICED: [&str; 5] = [
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "outputConfig",
    "serviceTier",
];

fn own_extra<'a>(chat: &'a Chat, name: &str) -> Option<&'a RawJson> {
    chat.extras.get(name).filter(|_| chat.extras.dialect == Some(CONVERSE))
}

/// The tier that is asked for, by a name that is known here.
fn tier(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Option<Str>, Error> {
    let Some(tier) = &chat.service_tier else { return Ok(None) };
    let word = match tier.as_str() {
        _ if scene.is_own() => return Ok(Some(tier.clone())),
        "auto" => return Ok(None),
        "default" | "standard_only" | "standard" => "default",
        "priority" | "fast" => "priority",
        "flex" => "flex",
        other => {
            let reason = format!("the provider has no tier `{other}`");
            losses.drop(Severity::Harmless, scene.names.name(Field::ServiceTier), reason)?;
            return Ok(None);
        }
    };
    Ok(Some(Str::from_static(word)))
}

/// The caller's labels, if the provider takes them.
fn metadata<'a>(
    chat: &'a Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Option<&'a RawJson>, Error> {
    let Some(labels) = &chat.metadata else { return Ok(None) };
    if scene.is_own() {
        return Ok(Some(labels));
    }
    if is_taken(labels) {
        return Ok(Some(labels).filter(|labels| labels.get() != "{}"));
    }
    let name = scene.names.name(Field::Metadata);
    let reason = "at most 16 labels of at most 256 plain characters are taken";
    losses.drop(Severity::Harmless, name, reason)?;
    Ok(None)
}

fn is_taken(labels: &RawJson) -> bool {
    let fine = |text: &str| {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
        };
        text.len() <= 256 && text.chars().all(allowed)
    };
    labels.read::<std::collections::BTreeMap<String, String>>().is_ok_and(|labels| {
        labels.len() <= 16
            && labels.iter().all(|(name, value)| !name.is_empty() && fine(name) && fine(value))
    })
}

fn inference(chat: &Chat, params: &Params, bound: Option<u64>, object: &mut Object<'_>) {
    let rest = own_extra(chat, "inferenceConfig");
    let says = bound.is_some()
        || params.temperature.is_some()
        || params.top_p.is_some()
        || !params.stop.is_empty()
        || rest.is_some();
    if !says {
        return;
    }
    let mut config = Object::begin(object.member("inferenceConfig"));
    if let Some(most) = bound {
        config.number("maxTokens", most);
    }
    if let Some(temperature) = params.temperature {
        config.float("temperature", temperature);
    }
    if let Some(top_p) = params.top_p {
        config.float("topP", top_p);
    }
    if !params.stop.is_empty() {
        let mut array = Array::begin(config.member("stopSequences"));
        for text in &params.stop {
            json::string(array.item(), text);
        }
        array.end();
    }
    rest.into_iter().for_each(|rest| config.members_of(rest));
    config.end();
}

/// The form of the answer, and the effort of a caller of this dialect, who has a field for it here.
fn output(chat: &Chat, plan: &Plan<'_>, object: &mut Object<'_>) {
    let rest = own_extra(chat, "outputConfig");
    let effort = plan.thinking.effort.filter(|_| plan.effort_has_field());
    if rest.is_none() && effort.is_none() && plan.tools.format.is_none() {
        return;
    }
    let mut config = Object::begin(object.member("outputConfig"));
    if let Some(schema) = &plan.tools.format {
        let mut format = Object::begin(config.member("textFormat"));
        format.text("type", "json_schema");
        let mut structure = Object::begin(format.member("structure"));
        let mut inner = Object::begin(structure.member("jsonSchema"));
        inner.text("schema", schema.get());
        if let OutputFormat::Schema(wanted) = &chat.output {
            if let Some(name) = &wanted.name {
                inner.text("name", name);
            }
            if let Some(description) = &wanted.description {
                inner.text("description", description);
            }
        }
        inner.end();
        structure.end();
        format.end();
    }
    if let Some(effort) = effort {
        config.text("effort", effort.as_str());
    }
    rest.into_iter().for_each(|rest| config.members_of(rest));
    config.end();
}

/// A conversation as it is sent.
struct Plan<'a> {
    talk: Conversation<'a>,
    tools: Tools<'a>,
    thinking: Thinking,
    marks: Marks,
    /// What the whole request is marked with at its end.
    auto: Option<ziggurat_core::CacheMark>,
    family: Family,
    is_own: bool,
}

impl<'a> Plan<'a> {
    fn of(
        chat: &'a Chat,
        family: Family,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        check::check(chat, scene, losses)?;
        let mut tools = Tools::plan(chat, scene, losses)?;
        let mut talk = Conversation::of(chat);
        if let Some(messages) = talk.unsettled() {
            strip_foreign(messages, scene, losses);
        }
        let thinking = think(chat, scene, &talk.messages, tools.is_forced(), losses)?;
        let caps = scene.target.capabilities;
        let mut profile = Profile::alternating();
        profile.mid_system = if caps.mid_system { MidSystem::AfterUser } else { MidSystem::Wrap };
        profile.prefill =
            caps.prefill && tools.format.is_none() && !matches!(thinking.mode, Mode::Enabled(_));
        if scene.is_own() {
            profile.paired_results = false;
            profile.merge = false;
            profile.user_first = false;
        }
        normalise(&mut talk, &profile, scene.names, losses)?;
        tools::without_none(&mut tools, &talk.messages, scene, losses);
        if let Some(messages) = talk.unsettled().filter(|_| !scene.is_own()) {
            document::fit(messages, scene, losses);
        }
        talk.instruct(&tools.instructions);
        let marks = Marks::plan(chat, scene, losses)?;
        let is_own = scene.is_own();
        Ok(Self { talk, tools, thinking, marks, auto: chat.cache.auto, family, is_own })
    }

    /// Whether the effort goes where Converse has a field for it: a caller of this dialect may mean that, while others get what
    /// the model has always taken.
    fn effort_has_field(&self) -> bool {
        self.is_own
            && match self.family {
                Family::Nova => self.thinking.mode == Mode::Unsaid,
                Family::GptOss => false,
                _ => true,
            }
    }

    /// Writes what is said.
    fn write(&mut self, scene: &Scene<'_>, object: &mut Object<'_>) {
        let Self { talk, tools, marks, auto, family, .. } = self;
        let mut writer = write::Writer { scene, family: *family, tools };
        if !talk.system.is_empty() {
            writer.system(&talk.system, &mut marks.system, object.member("system"));
        }
        let out = object.member("messages");
        writer.messages(&talk.messages, &mut marks.messages, *auto, out);
    }
}
