//! What becomes of each field between each two dialects: found by translating it, and written down in `docs/losses.md`.
//!
//! A field is written in the caller's dialect and read again, so that only what that dialect can say is asked for; then it is
//! translated. It has arrived, or its loss was reported, or the call was refused: anything else is a loss in silence, and fails.
// Helpers outside of test functions: they fail a test by panicking, too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answers;
mod requests;
mod table;

use ziggurat_core::{Dialect, Loss, LossAction};
use ziggurat_testkit::golden;

use self::table::Table;

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The caller's dialect has no word for it.
    Unsaid,
    Kept,
    /// It was said by other means.
    Emulated,
    /// It was changed to the nearest that the target takes.
    Changed,
    Dropped,
    /// The call is refused.
    Refused,
    /// It is gone, and nobody was told.
    Silent(String),
}

impl Fate {
    /// From what was reported.
    pub(crate) fn of<'a>(losses: impl IntoIterator<Item = &'a Loss>) -> Option<Self> {
        let mut worst = None;
        for loss in losses {
            worst = Some(match (loss.action, worst) {
                (LossAction::Dropped, _) | (_, Some(Self::Dropped)) => Self::Dropped,
                (LossAction::Clamped, _) | (_, Some(Self::Changed)) => Self::Changed,
                _ => Self::Emulated,
            });
        }
        worst
    }
}

const INTRODUCTION: &str = "\
# What is lost between dialects

Made by a test from the code: each field is written in the caller's dialect, translated, and looked for. `BLESS=1 cargo nextest run -p
ziggurat-dialects --test losses` writes this page anew.

| word | meaning |
| --- | --- |
| kept | it arrives |
| emulated | it is said by other means, and reported |
| changed | it becomes the nearest that the target takes, and is reported |
| dropped | it is left out, and reported: in `x-ziggurat-losses`, or, where an answer has begun, in the call's outcome and the log |
| refused | the call gets a 400 that names the field; with `drop_params: true` some of these are dropped instead |
| – | the caller's dialect has no word for it |

Models differ beyond that: what one cannot do (sampling, forced tools, thinking) is treated likewise, by the table of capabilities. Here
every model can do what its dialect can say.
";

#[test]
fn the_page_says_what_the_code_does() {
    let mut page = INTRODUCTION.to_owned();
    let mut silent = Vec::new();
    let mut chapter =
        |title: &str,
         about: &str,
         by: &str,
         fate: &dyn Fn(Dialect, Dialect) -> Vec<(String, Fate)>| {
            page.push_str(&format!("\n## {title}\n\n{about}\n"));
            for from in ziggurat_dialects::all() {
                let mut table = Table::new(by, from.name());
                for to in ziggurat_dialects::all() {
                    for (field, fate) in fate(*from, *to) {
                        if let Fate::Silent(how) = &fate {
                            silent.push(format!("{title}: {field}, {from} → {to}: {how}"));
                        }
                        table.put(&field, to.name(), fate);
                    }
                }
                page.push_str(&table.write());
            }
        };
    chapter(
        "Requests",
        "Of a caller who speaks the one, to a provider who speaks another.",
        "a caller's",
        &requests::fates,
    );
    chapter(
        "Whole answers",
        "Of a provider who speaks the one, to a caller who speaks another.",
        "a provider's",
        &|from, to| answers::whole(from, to),
    );
    chapter(
        "Streams",
        "Of a provider who speaks the one, to a caller who speaks another.",
        "a provider's",
        &|from, to| answers::streamed(from, to),
    );
    assert!(silent.is_empty(), "lost in silence:\n{}", silent.join("\n"));
    golden::check("../../docs/losses.md", &page);
}
