//! How much to think.

use ziggurat_core::{Capabilities, Effort, Error, Losses, Reasoning, ReasoningMode, Severity};

use crate::{Field, Names};

/// How much to think, in words: those of the caller, or the ones that a budget comes closest to.
pub(crate) fn effort(
    reasoning: &Reasoning,
    model: &Capabilities,
    names: Names,
    losses: &mut Losses,
) -> Result<Option<Effort>, Error> {
    let field = match reasoning.effort {
        Some(_) => names.name(Field::Effort),
        None => names.name(Field::Thinking),
    };
    let off = reasoning.mode == Some(ReasoningMode::Off) || reasoning.budget_tokens == Some(0);
    let wanted = match (reasoning.effort, reasoning.budget_tokens) {
        (Some(effort), _) => effort,
        _ if off => Effort::None,
        (None, Some(budget)) => of_budget(budget),
        // Thinking without a measure is what a model that thinks does anyway.
        (None, None) => return Ok(None),
    };
    if !model.reasoning && !losses.passes(field) {
        if wanted != Effort::None {
            losses.drop(Severity::Harmless, field, "the model does not think")?;
        }
        return Ok(None);
    }
    let known = &model.efforts;
    if known.is_empty() {
        // A model that may not know the word `none` thinks as it likes.
        if wanted == Effort::None && reasoning.effort.is_none() {
            let reason = "nobody knows whether the model can be kept from thinking";
            losses.drop(Severity::Harmless, field, reason)?;
            return Ok(None);
        }
        return Ok(Some(wanted));
    }
    if known.contains(&wanted) {
        return Ok(Some(wanted));
    }
    let Some(nearest) = nearest(wanted, known) else { return Ok(None) };
    losses.clamp(field, format!("the model takes `{}` at the nearest", nearest.as_str()))?;
    Ok(Some(nearest))
}

/// The nearest of the efforts that a model takes, the lower of two. A model that shall think is not kept from it.
fn nearest(wanted: Effort, known: &[Effort]) -> Option<Effort> {
    const ORDER: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::XHigh,
        Effort::Max,
    ];
    let place = |effort: Effort| ORDER.iter().position(|other| *other == effort).unwrap_or(0);
    let thinks = |effort: &&Effort| wanted == Effort::None || **effort != Effort::None;
    known
        .iter()
        .filter(thinks)
        .min_by_key(|effort| (place(**effort).abs_diff(place(wanted)), place(**effort)))
        .copied()
}

/// Budgets as Google's compatible endpoint has them (low 1K, medium 8K, high 24K).
fn of_budget(tokens: u64) -> Effort {
    match tokens {
        0 => Effort::None,
        1..=512 => Effort::Minimal,
        513..=1024 => Effort::Low,
        1025..=8192 => Effort::Medium,
        8193..=24_576 => Effort::High,
        _ => Effort::XHigh,
    }
}
