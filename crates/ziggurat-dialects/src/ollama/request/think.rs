//! How much to think.

use ziggurat_core::{Chat, Effort, Error, Expose, Losses, ReasoningMode, Severity};

use crate::fields::Field;
use crate::plan::{Scene, effort_of};

/// The member `think`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Think {
    Flag(bool),
    Word(Effort),
}

/// The words that are taken, where nobody says which of them the model knows.
const WORDS: [Effort; 4] = [Effort::Low, Effort::Medium, Effort::High, Effort::Max];

/// Decides how to think; `None` says nothing, so that the model does as it likes.
pub(super) fn think(
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Option<Think>, Error> {
    let reasoning = &chat.reasoning;
    let field = match reasoning.effort {
        Some(_) => scene.names.name(Field::Effort),
        None => scene.names.name(Field::Thinking),
    };
    let measure = reasoning.effort.or_else(|| reasoning.budget_tokens.map(word));
    let wish = match (reasoning.mode, measure) {
        (Some(ReasoningMode::Off), _) | (_, Some(Effort::None)) => Some(Think::Flag(false)),
        (Some(ReasoningMode::BetweenTools), _) => {
            losses.clamp(field, "the model thinks always or never")?;
            Some(Think::Flag(false))
        }
        (_, Some(effort)) => Some(Think::Word(effort)),
        (Some(ReasoningMode::On), None) => Some(Think::Flag(true)),
        _ => None,
    };
    if reasoning.expose == Some(Expose::Nothing) && wish != Some(Think::Flag(false)) {
        let name = scene.names.name(Field::Thinking);
        losses.drop(Severity::Harmless, name, "what the model thinks is shown")?;
    }
    let Some(wish) = wish else { return Ok(None) };
    if scene.is_own() {
        return Ok(Some(wish));
    }
    let caps = scene.target.capabilities;
    if !caps.reasoning {
        // It would refuse the call.
        if wish != Think::Flag(false) {
            losses.drop(Severity::Harmless, field, "the model does not think")?;
        }
        return Ok(None);
    }
    let Think::Word(effort) = wish else { return Ok(Some(wish)) };
    let near = nearest(effort, &caps.efforts);
    if reasoning.effort.is_none() {
        losses.emulate(field, "the model takes a word and no budget");
    } else if near != effort {
        losses.clamp(field, format!("the model takes `{}` at the nearest", near.as_str()))?;
    }
    Ok(Some(Think::Word(near)))
}

fn word(budget: u64) -> Effort {
    if budget == 0 { Effort::None } else { effort_of(budget) }
}

/// The nearest of the words that the model takes, the lower of two.
fn nearest(effort: Effort, known: &[Effort]) -> Effort {
    let near = |known: &[Effort]| {
        let words = known.iter().copied().filter(|word| WORDS.contains(word));
        words.min_by_key(|word| ((*word as i8 - effort as i8).abs(), *word as i8))
    };
    near(known).or_else(|| near(&WORDS)).unwrap_or(effort)
}
