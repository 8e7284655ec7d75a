//! Parameters beside the conversation, written.

use ziggurat_core::{Chat, Effort, Error, Expose, Losses, ReasoningMode, Severity};

use crate::cohere::COHERE;
use crate::fields::Field;
use crate::json::{self, Array, Object};
use crate::plan::{Params, Scene, budget_of};

/// How many stop texts are taken.
const MOST_STOPS: usize = 5;
/// From how many tokens one is drawn at most.
const MOST_TOP_K: u64 = 500;

/// Writes what steers the answer.
pub(super) fn write(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    if let Some(most) = chat.max_output_tokens {
        let most = match scene.target.capabilities.max_output {
            Some(limit) if most > limit => {
                let field = scene.names.name(Field::MaxOutput);
                losses.clamp(field, format!("the model writes at most {limit} tokens"))?;
                limit
            }
            _ => most,
        };
        object.number("max_tokens", most);
    }
    sampling(object, chat, scene, losses)?;
    stops(object, chat, scene, losses)?;
    if let Some(top) = chat.logprobs {
        object.flag("logprobs", true);
        if top > 0 {
            let field = scene.names.name(Field::Logprobs);
            losses.clamp(field, "only the tokens that were drawn are told")?;
        }
    }
    thinking(object, chat, scene, losses)?;
    if chat.stream {
        object.flag("stream", true);
    }
    beside(object, chat, scene, losses)
}

fn sampling(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let sampling = &chat.sampling;
    let draws = scene.target.capabilities.sampling;
    // What its own caller asks for is between the two.
    let own = scene.is_own();
    for (field, name, value, range) in [
        (Field::Temperature, "temperature", sampling.temperature, 0.0..=1.0),
        (Field::TopP, "p", sampling.top_p, 0.01..=0.99),
        (Field::FrequencyPenalty, "frequency_penalty", sampling.frequency_penalty, 0.0..=1.0),
        (Field::PresencePenalty, "presence_penalty", sampling.presence_penalty, 0.0..=1.0),
    ] {
        let Some(value) = value else { continue };
        let field = scene.names.name(field);
        if !draws && !own && !losses.passes(field) {
            let reason = "the model does not let its sampling be changed";
            losses.drop(Severity::Harmless, field, reason)?;
            continue;
        }
        let fit = value.clamp(*range.start(), *range.end());
        if own || range.contains(&value) {
            object.float(name, value);
        } else {
            losses.clamp(field, format!("{fit} is the nearest value that is taken"))?;
            object.float(name, fit);
        }
    }
    if let Some(top_k) = sampling.top_k {
        let fit = if own { top_k } else { top_k.min(MOST_TOP_K) };
        if fit != top_k {
            let field = scene.names.name(Field::TopK);
            losses.clamp(field, format!("{fit} is the nearest value that is taken"))?;
        }
        object.number("k", fit);
    }
    match sampling.seed {
        Some(seed) if seed < 0 && !own => {
            let field = scene.names.name(Field::Seed);
            losses.drop(Severity::Harmless, field, "a seed is not negative there")?;
        }
        Some(seed) => object.number("seed", seed),
        None => {}
    }
    Ok(())
}

fn stops(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    if chat.stop.is_empty() {
        return Ok(());
    }
    let most = if scene.is_own() { usize::MAX } else { MOST_STOPS };
    if chat.stop.len() > most {
        let reason = format!("at most {MOST_STOPS} stop texts are taken: the first ones are kept");
        losses.clamp(scene.names.name(Field::Stop), reason)?;
    }
    let mut array = Array::begin(object.member("stop_sequences"));
    for stop in chat.stop.iter().take(most) {
        json::string(array.item(), stop);
    }
    array.end();
    Ok(())
}

/// Writes how much to think: on a budget, or not at all.
fn thinking(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let reasoning = &chat.reasoning;
    let caps = scene.target.capabilities;
    let field = match reasoning.effort {
        Some(_) => scene.names.name(Field::Effort),
        None => scene.names.name(Field::Thinking),
    };
    let budget = reasoning.budget_tokens.or_else(|| {
        reasoning.effort.map(|effort| match effort {
            Effort::Minimal => 512,
            effort => budget_of(effort, caps),
        })
    });
    let (kind, budget) = match (reasoning.mode, budget) {
        (Some(ReasoningMode::BetweenTools), _) => {
            losses.clamp(field, "the model thinks always or never")?;
            ("disabled", None)
        }
        (Some(ReasoningMode::Off), budget) => ("disabled", budget.filter(|_| scene.is_own())),
        (_, Some(0)) => ("disabled", None),
        (_, Some(budget)) => ("enabled", Some(budget)),
        (Some(ReasoningMode::On), None) => ("enabled", None),
        // It thinks as it likes anyway.
        _ => return Ok(()),
    };
    if reasoning.expose == Some(Expose::Nothing) && kind == "enabled" {
        let name = scene.names.name(Field::Thinking);
        losses.drop(Severity::Harmless, name, "what the model thinks is shown")?;
    }
    if !caps.reasoning && !scene.is_own() {
        if kind == "enabled" {
            losses.drop(Severity::Harmless, field, "the model does not think")?;
        }
        return Ok(());
    }
    if reasoning.budget_tokens.is_none() && budget.is_some() {
        losses.emulate(field, "the model takes a budget and no word");
    }
    let mut thinking = Object::begin(object.member("thinking"));
    thinking.text("type", kind);
    if let Some(budget) = budget {
        thinking.number("token_budget", budget);
    }
    thinking.end();
    Ok(())
}

/// What this dialect has no field for, and what only it has.
fn beside(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let has = [Field::FrequencyPenalty, Field::PresencePenalty, Field::Seed, Field::Logprobs];
    let mut params = Params::default();
    params.lost(chat, &has, scene, losses)?;
    params.lost_beside(chat, scene, losses)?;
    params.write_passed(object);
    let own = chat.extras.dialect == Some(COHERE);
    for (name, value) in &chat.extras.members {
        if own || losses.passes(name) {
            object.raw_named(name, value.get());
        }
    }
    Ok(())
}
