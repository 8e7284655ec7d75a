//! Golden files: what a test made, compared with what a reader approved.
//!
//! ```no_run
//! let made = "{}\n";
//! ziggurat_testkit::golden::check("tests/golden/empty.json", made);
//! ```
//!
//! With `BLESS=1` in the environment the file is rewritten and the diff of the tree is the review.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Compares `actual` with the file at `path`; a relative path starts at the package under test,
/// where `cargo test` runs its tests.
///
/// # Panics
///
/// If the file differs, with a diff, or is not there. With `BLESS=1` it is (re)written instead,
/// and only a failure to write panics.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion: panicking is what it is for")]
pub fn check(path: impl AsRef<Path>, actual: &str) {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value != "0" && !value.is_empty());
    if let Err(mismatch) = compare(path.as_ref(), actual, bless) {
        panic!("{mismatch}");
    }
}

fn compare(path: &Path, actual: &str, bless: bool) -> Result<(), Mismatch> {
    let failed = |error| Mismatch::Io(path.to_owned(), error);
    let expected = match fs::read_to_string(path) {
        Ok(expected) => Some(expected),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if expected.as_deref() == Some(actual) {
        return Ok(());
    }
    if bless {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        return fs::write(path, actual).map_err(failed);
    }
    Err(match expected {
        Some(expected) => Mismatch::Differs(path.to_owned(), diff(&expected, actual)),
        None => Mismatch::Missing(path.to_owned(), actual.to_owned()),
    })
}

#[derive(Debug)]
enum Mismatch {
    Differs(PathBuf, String),
    Missing(PathBuf, String),
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bless = "run again with BLESS=1 to accept it";
        match self {
            Self::Differs(path, diff) => {
                write!(f, "{} differs (- file, + actual); {bless}\n\n{diff}", path.display())
            }
            Self::Missing(path, actual) => {
                write!(f, "{} is not there; {bless}\n\n{actual}", path.display())
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Lines kept around a change.
const CONTEXT: usize = 3;
/// The most cells the table of [`kept`] may have, about 32 MiB.
const MOST_CELLS: usize = 4 << 20;

/// A line diff with line numbers, unchanged stretches left out.
fn diff(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (lines(expected), lines(actual));
    let edits = edits(&old, &new);
    let near_change = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        let to = (at + CONTEXT + 1).min(edits.len());
        edits[from..to].iter().any(|edit| !matches!(edit, Edit::Same(..)))
    };
    let mut text = String::new();
    let mut skipping = false;
    for (at, edit) in edits.iter().enumerate() {
        let (mark, number, line) = match *edit {
            Edit::Same(number) if near_change(at) => (' ', number, old[number]),
            Edit::Same(_) => {
                if !skipping {
                    text.push_str("      ...\n");
                }
                skipping = true;
                continue;
            }
            Edit::Gone(number) => ('-', number, old[number]),
            Edit::Come(number) => ('+', number, new[number]),
        };
        skipping = false;
        // Debug form where the line holds what a terminal would not show.
        let shown =
            if line.contains(|c: char| c.is_control()) { format!("{line:?}") } else { line.into() };
        writeln!(text, "{mark}{:5} {shown}", number + 1).expect("a string takes all text");
    }
    text
}

/// The lines, and the lack of a last line feed as a line of its own.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.split_terminator('\n').collect();
    if !text.is_empty() && !text.ends_with('\n') {
        lines.push("\\ no line feed at the end");
    }
    lines
}

enum Edit {
    Same(usize),
    Gone(usize),
    Come(usize),
}

fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b);
    let same_end = same_end.count();
    let old_rest = &old_rest[..old_rest.len() - same_end];
    let new_rest = &new_rest[..new_rest.len() - same_end];

    let mut edits: Vec<_> = (0..same_start).map(Edit::Same).collect();
    let kept = kept(old_rest, new_rest);
    let (mut a, mut b) = (0, 0);
    for (next_a, next_b) in kept.into_iter().chain([(old_rest.len(), new_rest.len())]) {
        edits.extend((a..next_a).map(|line| Edit::Gone(same_start + line)));
        edits.extend((b..next_b).map(|line| Edit::Come(same_start + line)));
        if next_a < old_rest.len() {
            edits.push(Edit::Same(same_start + next_a));
        }
        (a, b) = (next_a + 1, next_b + 1);
    }
    edits.extend((old.len() - same_end..old.len()).map(Edit::Same));
    edits
}

/// The longest common subsequence, as pairs of line numbers; nothing in common when the texts are
/// too long for a table.
fn kept(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MOST_CELLS {
        return Vec::new();
    }
    let mut longest = vec![0_usize; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            longest[a * width + b] = if old[a] == new[b] {
                longest[(a + 1) * width + b + 1] + 1
            } else {
                longest[(a + 1) * width + b].max(longest[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut pairs = Vec::new();
    while a < old.len() && b < new.len() {
        if old[a] == new[b] {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if longest[(a + 1) * width + b] >= longest[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::{Mismatch, compare, diff};

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("golden-{}-{name}", std::process::id())).join("a.txt")
    }

    #[test]
    fn a_missing_file_is_an_error_until_it_is_blessed() {
        let path = scratch("missing");
        assert!(matches!(compare(&path, "one\n", false), Err(Mismatch::Missing(..))));
        assert!(!path.exists());
        compare(&path, "one\n", true).unwrap();
        compare(&path, "one\n", false).unwrap();
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_difference_is_shown_and_blessed_away() {
        let path = scratch("differs");
        compare(&path, "one\ntwo\n", true).unwrap();
        let mismatch = compare(&path, "one\n2\n", false).unwrap_err().to_string();
        assert!(mismatch.contains("BLESS=1") && mismatch.contains("-    2 two"), "{mismatch}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        compare(&path, "one\n2\n", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n2\n");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_diff_shows_changes_with_context_and_line_numbers() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let new = "a\nb\nc\nd\ne\nf\nG\nh\ni\nj\n";
        let shown = diff(old, new);
        let expected = "      ...\n     4 d\n     5 e\n     6 f\n-    7 g\n+    7 G\n     8 h\n     \
                        9 i\n+   10 j\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_diff_keeps_moved_lines_apart_from_changed_ones() {
        assert_eq!(diff("a\nb\nc\n", "b\nc\nx\n"), "-    1 a\n     2 b\n     3 c\n+    3 x\n");
    }

    #[test]
    fn a_lost_line_feed_and_control_characters_are_visible() {
        let shown = diff("a\r\nb\n", "a\nb");
        assert!(shown.contains(r#"-    1 "a\r""#), "{shown}");
        assert!(shown.contains("+    3 \\ no line feed"), "{shown}");
    }
}
