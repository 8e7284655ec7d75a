//! How much to think: a level for newer models, a budget for older ones.

use ziggurat_core::{Capabilities, Chat, Effort, Error, Expose, Losses, ReasoningMode, Severity};

use crate::fields::Field;
use crate::json::Object;
use crate::plan::{Scene, budget_of, effort_of};

/// Google's number for the least effort (ai.google.dev, "OpenAI compatibility").
const MINIMAL_BUDGET: u64 = 512;
/// The budget by which the model decides.
const DYNAMIC: i64 = -1;

/// `thinkingConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Thinking {
    include: Option<bool>,
    budget: Option<i64>,
    level: Option<Effort>,
}

/// What the caller wants, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Off,
    Think { budget: Option<u64>, effort: Option<Effort> },
}

impl Wish {
    fn of(chat: &Chat) -> Self {
        let reasoning = &chat.reasoning;
        let effort = reasoning.effort.filter(|effort| *effort != Effort::None);
        let budget = reasoning.budget_tokens.filter(|budget| *budget > 0);
        match reasoning.mode {
            // Between calls is not before the answer.
            Some(ReasoningMode::Off | ReasoningMode::BetweenTools) => Self::Off,
            Some(ReasoningMode::Auto) => Self::Think { budget: None, effort },
            Some(_) => Self::Think { budget, effort },
            None if budget.is_some() || effort.is_some() => Self::Think { budget, effort },
            None if reasoning.effort.is_some() || reasoning.budget_tokens.is_some() => Self::Off,
            None => Self::Nothing,
        }
    }
}

impl Thinking {
    /// Decides how to think.
    pub(super) fn plan(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
        let reasoning = &chat.reasoning;
        let mut thinking = Self { include: shown(reasoning.expose), ..Self::default() };
        if scene.is_own() {
            thinking.level = reasoning.effort;
            thinking.budget = match reasoning.mode {
                Some(ReasoningMode::Off) => Some(0),
                Some(ReasoningMode::Auto) => Some(DYNAMIC),
                _ => reasoning.budget_tokens.and_then(|budget| i64::try_from(budget).ok()),
            };
            return Ok(thinking);
        }
        let caps = scene.target.capabilities;
        let field = scene.names.name(match reasoning.effort {
            Some(_) => Field::Effort,
            None => Field::Thinking,
        });
        let wish = Wish::of(chat);
        if !caps.reasoning {
            if matches!(wish, Wish::Think { .. }) {
                losses.drop(Severity::Harmless, field, "the model does not think")?;
            }
            return Ok(Self::default());
        }
        match wish {
            Wish::Nothing => return Ok(Self::default()),
            Wish::Off => thinking.off(caps, field, losses)?,
            Wish::Think { budget, effort } if caps.thinking_budget => {
                thinking.by_budget(budget, effort, caps, field, losses)?;
            }
            Wish::Think { budget, effort } => {
                thinking.by_level(budget, effort, caps, field, losses)?;
            }
        }
        // What it thinks is shown where it is asked for only, and callers of other dialects cannot ask.
        if matches!(wish, Wish::Think { .. }) {
            thinking.include = thinking.include.or(Some(true));
        }
        Ok(thinking)
    }

    fn off(
        &mut self,
        caps: &Capabilities,
        field: &'static str,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        self.include = None;
        if caps.thinking_budget && caps.thinking_off {
            self.budget = Some(0);
            return Ok(());
        }
        losses.clamp(field, "the model always thinks: it is asked to think as little as it can")?;
        if caps.thinking_budget {
            self.budget = Some(least(caps));
        } else {
            self.level = Some(snap(Effort::Minimal, caps));
        }
        Ok(())
    }

    fn by_budget(
        &mut self,
        budget: Option<u64>,
        effort: Option<Effort>,
        caps: &Capabilities,
        field: &'static str,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let wanted = budget.or_else(|| {
            Some(match effort? {
                Effort::Minimal => MINIMAL_BUDGET,
                effort => budget_of(effort, caps),
            })
        });
        let Some(wanted) = wanted else {
            self.budget = Some(DYNAMIC);
            return Ok(());
        };
        let most = caps.most_budget.unwrap_or(u64::MAX);
        let fit = wanted.max(caps.least_budget.unwrap_or(0)).min(most);
        if fit != wanted && budget.is_some() {
            let reason = format!("a budget of {fit} tokens is the nearest that is taken");
            losses.clamp(field, reason)?;
        }
        self.budget = i64::try_from(fit).ok();
        Ok(())
    }

    fn by_level(
        &mut self,
        budget: Option<u64>,
        effort: Option<Effort>,
        caps: &Capabilities,
        field: &'static str,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let wanted = effort.or_else(|| {
            let effort = effort_of(budget?);
            losses.emulate(field, "the model takes a level and no budget");
            Some(effort)
        });
        // Without a measure it thinks as it likes.
        let Some(wanted) = wanted else { return Ok(()) };
        let near = snap(wanted, caps);
        if near != wanted && effort.is_some() {
            let reason = format!("the nearest level that the model takes is `{}`", near.as_str());
            losses.clamp(field, reason)?;
        }
        self.level = Some(near);
        Ok(())
    }

    /// Whether there is anything to write.
    pub(super) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the members of `thinkingConfig`.
    pub(super) fn write(&self, object: &mut Object<'_>) {
        if let Some(include) = self.include {
            object.flag("includeThoughts", include);
        }
        if let Some(budget) = self.budget {
            object.number("thinkingBudget", budget);
        }
        if let Some(level) = self.level {
            object.text("thinkingLevel", &level.as_str().to_ascii_uppercase());
        }
    }
}

fn shown(expose: Option<Expose>) -> Option<bool> {
    expose.map(|expose| expose != Expose::Nothing)
}

/// The least budget that is taken.
fn least(caps: &Capabilities) -> i64 {
    caps.least_budget.and_then(|least| i64::try_from(least).ok()).unwrap_or(128)
}

/// The nearest level that is taken, the lower of two. Of a model that nobody described the three that all of them have.
fn snap(effort: Effort, caps: &Capabilities) -> Effort {
    const USUAL: [Effort; 3] = [Effort::Low, Effort::Medium, Effort::High];
    let place = |effort: Effort| effort as i8;
    let taken = if caps.efforts.is_empty() { &USUAL[..] } else { &caps.efforts };
    let taken = taken.iter().copied().filter(|effort| *effort != Effort::None);
    let near = taken.min_by_key(|other| ((place(*other) - place(effort)).abs(), place(*other)));
    near.unwrap_or(effort)
}
