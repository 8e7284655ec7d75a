//! How much to think: efforts, budgets, and the kinds of thinking that a model knows.

use ziggurat_core::{
    Capabilities, Chat, Content, Effort, Error, Expose, Loss, LossAction, Losses, Message, Part,
    Reasoning, ReasoningMode, Role, Str,
};

use super::Scene;
use crate::fields::Field;
use crate::json::Object;
use crate::origin::{self, Origin};

/// The least budget that is taken, in tokens.
const LEAST_BUDGET: u64 = 1024;
/// The answer's share of the tokens where the caller set a budget and no maximum.
const ROOM: u64 = 4096;
/// The most output tokens of a model that nobody described.
const DEFAULT_MAX: u64 = 4096;
/// The budget for the greatest effort of a model that nobody described, in tokens.
const GREATEST_BUDGET: u64 = 65_536;

/// What is said about thinking, and the bound on output that goes with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thinking {
    pub(crate) mode: Mode,
    pub(crate) display: Option<Expose>,
    pub(crate) effort: Option<Effort>,
    pub(crate) max_tokens: u64,
}

/// The member `thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not written.
    Unsaid,
    Disabled,
    BetweenTools,
    Enabled(u64),
    Adaptive,
}

impl Thinking {
    /// Whether the model thinks as far as the request says.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.mode, Mode::Enabled(_) | Mode::Adaptive)
    }

    pub(crate) fn write(&self, object: &mut Object<'_>) {
        match self.mode {
            Mode::Unsaid => {}
            Mode::Disabled => object.text("type", "disabled"),
            Mode::BetweenTools => object.text("type", "between_tools"),
            Mode::Enabled(budget) => {
                object.text("type", "enabled");
                object.number("budget_tokens", budget);
            }
            Mode::Adaptive => object.text("type", "adaptive"),
        }
        if self.is_on() {
            match self.display {
                None => {}
                Some(Expose::Nothing) => object.text("display", "omitted"),
                Some(_) => object.text("display", "summarized"),
            }
        }
    }
}

/// Decides how to think. `messages` are those that are sent, `forced` says that a tool must be called.
pub(crate) fn think(
    chat: &Chat,
    scene: &Scene<'_>,
    messages: &[Message],
    forced: bool,
    losses: &mut Losses,
) -> Result<Thinking, Error> {
    let caps = scene.target.capabilities;
    let mut asked = None;
    if let Some(max) = chat.max_output_tokens {
        asked = Some(max);
        if let Some(most) = caps.max_output.filter(|most| max > *most) {
            let reason = format!("the model writes {most} tokens at most");
            losses.clamp(scene.names.name(Field::MaxOutput), reason)?;
            asked = Some(most);
        }
    }
    let mut thinking = Thinking {
        mode: Mode::Unsaid,
        display: chat.reasoning.expose,
        effort: None,
        max_tokens: asked.or(caps.max_output).unwrap_or(DEFAULT_MAX),
    };
    let wish = Wish::of(&chat.reasoning, scene.is_own());
    if !caps.reasoning {
        if !matches!(wish, Wish::Nothing | Wish::Off) {
            let field = if chat.reasoning.mode.is_some() { Field::Thinking } else { Field::Effort };
            let reason = "the model does not think";
            losses.drop(ziggurat_core::Severity::Harmless, scene.names.name(field), reason)?;
        }
        return Ok(thinking);
    }
    thinking.mode = match wish {
        Wish::Nothing => Mode::Unsaid,
        Wish::Off => off(caps, scene, &mut thinking, losses)?,
        Wish::BetweenTools if caps.thinking_between_tools => Mode::BetweenTools,
        Wish::BetweenTools => {
            losses
                .clamp(scene.names.name(Field::Thinking), "the model knows no `between_tools`")?;
            off(caps, scene, &mut thinking, losses)?
        }
        Wish::Think { budget: Some(budget), .. } if caps.thinking_budget && scene.is_own() => {
            Mode::Enabled(budget)
        }
        Wish::Think { budget, .. } if caps.thinking_adaptive => {
            if let Some(budget) = budget {
                losses.emulate(
                    scene.names.name(Field::Thinking),
                    "the model takes an effort and no budget",
                );
                thinking.effort = Some(effort_of(budget));
            }
            Mode::Adaptive
        }
        Wish::Think { budget, effort } if caps.thinking_budget => {
            let effort = effort.unwrap_or(Effort::High);
            Mode::Enabled(budget.unwrap_or_else(|| budget_of(effort, caps)))
        }
        // What it thinks it thinks unasked: there is only the effort.
        Wish::Think { .. } => Mode::Unsaid,
    };
    if let Mode::Enabled(budget) = thinking.mode {
        thinking.mode = bounded(budget, asked, &mut thinking, chat, scene, losses)?;
    }
    if let (Mode::Enabled(_), Some(reason)) = (thinking.mode, obstacle(messages, forced)) {
        losses.clamp(scene.names.name(Field::Thinking), reason)?;
        thinking.mode = Mode::Unsaid;
    }
    let sent = match thinking.mode {
        Mode::Adaptive => true,
        // Older models take no effort beside a budget, unless their own caller says so.
        Mode::Enabled(_) | Mode::Disabled | Mode::BetweenTools => scene.is_own(),
        Mode::Unsaid => scene.is_own() || !(caps.thinking_adaptive || caps.thinking_budget),
    };
    if let Some(effort) = chat.reasoning.effort.filter(|effort| sent && *effort != Effort::None) {
        thinking.effort = Some(effort);
    }
    if let Some(effort) = thinking.effort {
        let near = snap(effort, &caps.efforts);
        if near != effort {
            let reason = format!("the nearest effort that the model takes is `{}`", near.as_str());
            losses.clamp(scene.names.name(Field::Effort), reason)?;
        }
        thinking.effort = Some(near);
    }
    // Newer models keep their thoughts to themselves unless asked, and callers of other dialects cannot ask.
    if thinking.mode == Mode::Adaptive && thinking.display.is_none() && !scene.is_own() {
        thinking.display = Some(Expose::Summary);
    }
    Ok(thinking)
}

/// What the caller wants, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Off,
    BetweenTools,
    Think { budget: Option<u64>, effort: Option<Effort> },
}

impl Wish {
    /// `own` says that the caller speaks this dialect, where an effort alone does not ask for thinking.
    fn of(reasoning: &Reasoning, own: bool) -> Self {
        let effort = reasoning.effort.filter(|effort| *effort != Effort::None);
        let budget = reasoning.budget_tokens;
        match reasoning.mode {
            Some(ReasoningMode::Off) => Self::Off,
            Some(ReasoningMode::BetweenTools) => Self::BetweenTools,
            Some(ReasoningMode::Auto) => Self::Think { budget: None, effort },
            Some(_) => Self::Think { budget, effort },
            None if budget == Some(0) || reasoning.effort == Some(Effort::None) => Self::Off,
            None if budget.is_some() => Self::Think { budget, effort },
            None if effort.is_some() && !own => Self::Think { budget, effort },
            None => Self::Nothing,
        }
    }
}

fn off(
    caps: &Capabilities,
    scene: &Scene<'_>,
    thinking: &mut Thinking,
    losses: &mut Losses,
) -> Result<Mode, Error> {
    if caps.thinking_off {
        return Ok(Mode::Disabled);
    }
    losses.clamp(
        scene.names.name(Field::Thinking),
        "the model always thinks: it is asked to think as little as it can",
    )?;
    if caps.thinking_between_tools {
        return Ok(Mode::BetweenTools);
    }
    thinking.effort = Some(Effort::Low);
    Ok(Mode::Unsaid)
}

/// Fits a budget between the least that is taken and the bound on output, which may grow where the caller set none.
fn bounded(
    budget: u64,
    asked: Option<u64>,
    thinking: &mut Thinking,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Mode, Error> {
    // Interleaved thinking may exceed the bound, which its own callers know how to ask for.
    if scene.is_own() && chat.reasoning.budget_tokens.is_some() {
        return Ok(Mode::Enabled(budget));
    }
    let room = if asked.is_some() { 1 } else { ROOM };
    match asked {
        Some(max) if max <= LEAST_BUDGET => {
            losses.clamp(
                scene.names.name(Field::Thinking),
                "too few output tokens are allowed for thinking",
            )?;
            return Ok(Mode::Unsaid);
        }
        Some(_) => {}
        None => {
            let most = scene.target.capabilities.max_output.unwrap_or(u64::MAX);
            let wanted = budget.max(LEAST_BUDGET).saturating_add(ROOM);
            thinking.max_tokens = thinking.max_tokens.max(wanted).min(most);
        }
    }
    let fit = budget.min(thinking.max_tokens.saturating_sub(room)).max(LEAST_BUDGET);
    if fit != budget && chat.reasoning.budget_tokens.is_some() {
        let reason = format!("a budget of {fit} tokens is the nearest that is taken");
        losses.clamp(scene.names.name(Field::Thinking), reason)?;
    }
    Ok(Mode::Enabled(fit))
}

/// Why a model cannot think on a budget in this conversation.
fn obstacle(messages: &[Message], forced: bool) -> Option<&'static str> {
    if forced {
        return Some("thinking is off where a tool is forced");
    }
    let last = messages.iter().rposition(|message| message.role == Role::Assistant)?;
    let others = messages[..last].iter().rposition(|message| message.role != Role::Assistant);
    let turn = &messages[others.map_or(0, |index| index + 1)..=last];
    let mut parts = turn.iter().flat_map(|message| &message.parts);
    let calls = |part: &Part| matches!(part.content, Content::ToolCall { .. });
    let thought = |part: &Part| matches!(part.content, Content::Reasoning { .. });
    let first = parts.clone().next()?;
    (parts.any(calls) && !thought(first)).then_some(
        "thinking is off: the last turn called tools, and its thinking is not in the history",
    )
}

/// Takes reasoning out that this model did not sign: it would refuse the call.
pub(crate) fn strip_foreign(messages: &mut [Message], scene: &Scene<'_>, losses: &mut Losses) {
    for message in messages {
        if message.role == Role::Assistant {
            strip_traces(message, scene, losses);
        }
        let before = message.parts.len();
        message.parts.retain_mut(|part| is_own(part, scene));
        if message.parts.len() < before {
            losses.note(Loss::new(
                scene.names.message(message),
                "reasoning that this model did not sign is left out",
                LossAction::Dropped,
            ));
        }
    }
}

/// Takes out what another provider's own tools did: it is state of that provider's.
fn strip_traces(message: &mut Message, scene: &Scene<'_>, losses: &mut Losses) {
    let place = scene.names.message(message);
    message.parts.retain(|part| {
        let own = !is_trace(part, scene);
        if !own {
            let reason = "it means something to its own provider only";
            losses.note(Loss::new(place.clone(), reason, LossAction::Dropped));
        }
        own
    });
}

/// Whether a part of the assistant's is something that only a provider of another dialect understands.
pub(crate) fn is_trace(part: &Part, scene: &Scene<'_>) -> bool {
    matches!(part.content, Content::Opaque { .. }) && part.extras.dialect != Some(scene.own)
}

/// Whether a part is no reasoning, or reasoning that the model takes back: what it signed, with the mark of its origin taken off,
/// and what is not marked.
fn is_own(part: &mut Part, scene: &Scene<'_>) -> bool {
    let Content::Reasoning { signature, redacted, .. } = &mut part.content else { return true };
    if part.extras.dialect.is_some_and(|dialect| dialect != scene.own) {
        return false;
    }
    let Some(made) = redacted.as_mut().or(signature.as_mut()) else { return false };
    match origin::origin(made) {
        // OpenAI's models sign nothing: what their callers carry a gateway gave them. Others carry what their own provider made.
        Origin::Unknown => {
            let source = scene.target.source;
            let given = source.is_none_or(|source| source == scene.own || source == crate::OPENAI);
            given && !made.is_empty()
        }
        Origin::Ours => false,
        Origin::Model(name, unmarked) => {
            let own = name == scene.target.model;
            *made = Str::from(unmarked);
            own
        }
    }
}

/// The nearest effort that is taken, downwards on ties. This dialect begins at `low`.
fn snap(effort: Effort, taken: &[Effort]) -> Effort {
    let place = |effort: Effort| effort as i8;
    let taken = taken.iter().copied().filter(|effort| *effort >= Effort::Low);
    let near = taken.min_by_key(|other| {
        let distance = (place(*other) - place(effort)).abs();
        (distance, place(*other))
    });
    near.unwrap_or(effort.max(Effort::Low))
}

/// The budget in tokens that goes with an effort: the numbers that Google publishes for its OpenAI-compatible endpoint, and
/// beyond them those of the field.
pub(crate) fn budget_of(effort: Effort, caps: &Capabilities) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High => 24_576,
        Effort::XHigh => 32_768,
        Effort::Max => caps.max_output.unwrap_or(GREATEST_BUDGET),
        _ => LEAST_BUDGET,
    }
}

/// The effort that goes with a budget in tokens: the same table, backwards.
pub(crate) fn effort_of(budget: u64) -> Effort {
    match budget {
        0..=512 => Effort::Minimal,
        513..=1024 => Effort::Low,
        1025..=8192 => Effort::Medium,
        8193..=24_576 => Effort::High,
        _ => Effort::XHigh,
    }
}
