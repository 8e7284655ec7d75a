//! What goes to the model in its own words, as Converse has no field for it.

use ziggurat_core::{Chat, Error, Losses, RawJson, Severity, Str};

use super::{Plan, own_extra};
use crate::converse::family::Family;
use crate::fields::Field;
use crate::json::{self, Object};
use crate::plan::{Choice, Mode, Params, Scene};

/// The members of `additionalModelRequestFields`.
#[derive(Debug, Default)]
pub(super) struct Additional(Vec<(Str, RawJson)>);

impl Additional {
    /// Decides what goes there. Takes what it carries out of `params`.
    pub(super) fn plan(
        chat: &Chat,
        family: Family,
        params: &mut Params,
        plan: &Plan<'_>,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let mut fields = Self::default();
        fields.top_k(family, params, scene, losses)?;
        fields.thinking(chat, family, plan, scene, losses)?;
        if let Some(single) = plan.tools.single {
            let name = scene.names.name(Field::ParallelTools);
            match (family, single) {
                (Family::Claude, true) => fields.single(plan),
                (_, true) => {
                    let reason = "the model cannot be told to call one tool at a time";
                    losses.drop(Severity::Harmless, name, reason)?;
                }
                (_, false) => {}
            }
        }
        if !scene.is_own() {
            for (name, value) in &chat.extras.members {
                if losses.passes(name) {
                    fields.0.push((name.clone(), value.clone()));
                }
            }
        }
        Ok(fields)
    }

    fn add(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        self.0.extend(json::raw_json(out).map(|value| (Str::from_static(name), value)));
    }

    fn top_k(
        &mut self,
        family: Family,
        params: &mut Params,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let Some(top_k) = params.top_k.take() else { return Ok(()) };
        match family {
            _ if scene.is_own() => self.add("top_k", |out| json::integer(out, top_k)),
            Family::Claude | Family::Mistral => {
                self.add("top_k", |out| json::integer(out, top_k));
            }
            Family::Cohere => self.add("k", |out| json::integer(out, top_k)),
            Family::Nova => self.add("inferenceConfig", |out| {
                let mut config = Object::begin(out);
                config.number("topK", top_k);
                config.end();
            }),
            Family::GptOss | Family::Other => {
                let name = scene.names.name(Field::TopK);
                losses.drop(Severity::Harmless, name, "the model has no such field")?;
            }
        }
        Ok(())
    }

    fn thinking(
        &mut self,
        chat: &Chat,
        family: Family,
        plan: &Plan<'_>,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let (thinking, own) = (&plan.thinking, scene.is_own());
        let effort = thinking.effort.filter(|_| !plan.effort_has_field());
        match family {
            Family::Nova if thinking.mode != Mode::Unsaid => {
                self.add("reasoningConfig", |out| {
                    let mut config = Object::begin(out);
                    let off = matches!(thinking.mode, Mode::Disabled);
                    config.text("type", if off { "disabled" } else { "enabled" });
                    if let Some(effort) = effort.filter(|_| !off) {
                        config.text("maxReasoningEffort", effort.as_str());
                    }
                    config.end();
                });
            }
            Family::Nova => {}
            Family::GptOss => {
                if let Some(effort) = effort {
                    self.add("reasoning_effort", |out| json::string(out, effort.as_str()));
                }
            }
            _ if own || family == Family::Claude => {
                if thinking.mode != Mode::Unsaid {
                    self.add("thinking", |out| {
                        let mut object = Object::begin(out);
                        thinking.write(&mut object);
                        object.end();
                    });
                }
                if let Some(effort) = effort {
                    self.add("output_config", |out| {
                        let mut config = Object::begin(out);
                        config.text("effort", effort.as_str());
                        config.end();
                    });
                }
            }
            _ => {
                if thinking.is_on() || effort.is_some() {
                    let said = chat.reasoning.mode.is_some();
                    let field = if said { Field::Thinking } else { Field::Effort };
                    let reason = "the model cannot be told how much to think";
                    losses.drop(Severity::Harmless, scene.names.name(field), reason)?;
                }
            }
        }
        Ok(())
    }

    /// One tool at a time, which Claude takes with the choice of tools.
    fn single(&mut self, plan: &Plan<'_>) {
        self.add("tool_choice", |out| {
            let mut choice = Object::begin(out);
            let kind = match &plan.tools.choice {
                Some(Choice::Any) => "any",
                Some(Choice::Tool(_)) => "tool",
                _ => "auto",
            };
            choice.text("type", kind);
            if let Some(Choice::Tool(name)) = &plan.tools.choice {
                choice.text("name", name);
            }
            choice.flag("disable_parallel_tool_use", true);
            choice.end();
        });
    }

    pub(super) fn write(&self, chat: &Chat, params: &Params, object: &mut Object<'_>) {
        let rest = own_extra(chat, "additionalModelRequestFields");
        if self.0.is_empty() && rest.is_none() && !params.has_passed() {
            return;
        }
        let mut fields = Object::begin(object.member("additionalModelRequestFields"));
        for (name, value) in &self.0 {
            fields.raw_named(name, value.get());
        }
        params.write_passed(&mut fields);
        rest.into_iter().for_each(|rest| fields.members_of(rest));
        fields.end();
    }
}
