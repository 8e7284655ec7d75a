//! Names with `*` in them, as configurations write them.

use std::cmp::Ordering;

/// A name in which `*` stands for any text, an empty one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
}

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    #[cfg(test)]
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What each `*` stands for in `name`, if it fits: as little as can be, and the last one the rest.
    pub(super) fn capture<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let mut pieces = self.text.split('*');
        let mut rest = name.strip_prefix(pieces.next()?)?;
        let Some(last) = self.text.rsplit_once('*').map(|(_, last)| last) else {
            return rest.is_empty().then(Vec::new);
        };
        let middle = pieces.clone().count().saturating_sub(1);
        let mut captured = Vec::with_capacity(middle + 1);
        for piece in pieces.take(middle) {
            let at = rest.find(piece)?;
            captured.push(&rest[..at]);
            rest = &rest[at + piece.len()..];
        }
        captured.push(rest.strip_suffix(last)?);
        Some(captured)
    }

    /// The more specific pattern first: the one with more given characters, then the one with fewer stars.
    pub(super) fn by_specificity(&self, other: &Self) -> Ordering {
        let given = |pattern: &Self| pattern.text.len() - pattern.stars();
        given(other).cmp(&given(self)).then_with(|| self.stars().cmp(&other.stars()))
    }

    fn stars(&self) -> usize {
        self.text.matches('*').count()
    }
}

/// Puts what was captured into the place of each `*`; what is too many or too few is left out.
pub(super) fn fill(template: &str, captured: &[&str]) -> String {
    let mut captured = captured.iter();
    let mut pieces = template.split('*');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        filled.push_str(captured.next().unwrap_or(&""));
        filled.push_str(piece);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, captured) in [
            ("*", "gpt-4o", Some(vec!["gpt-4o"])),
            ("*", "", Some(vec![""])),
            ("openai/*", "openai/gpt-4o", Some(vec!["gpt-4o"])),
            ("openai/*", "openai/", Some(vec![""])),
            ("openai/*", "openai", None),
            ("*-mini", "gpt-4o-mini", Some(vec!["gpt-4o"])),
            ("a*b*c", "a1b2c", Some(vec!["1", "2"])),
            ("a*b*c", "abbc", Some(vec!["", "b"])),
            ("a*b*c", "ab", None),
            ("a*a", "a", None),
            ("gpt", "gpt", Some(vec![])),
            ("gpt", "gpt-4", None),
            ("*é*", "xéy", Some(vec!["x", "y"])),
        ] {
            assert_eq!(Pattern::new(pattern).capture(name), captured, "{pattern} {name}");
        }
    }

    #[test]
    fn the_specific_comes_before_the_general() {
        let mut patterns =
            ["*", "openai/*", "openai/gpt-*", "*/gpt-*", "open*/*"].map(Pattern::new);
        patterns.sort_by(Pattern::by_specificity);
        let names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        assert_eq!(names, ["openai/gpt-*", "openai/*", "*/gpt-*", "open*/*", "*"]);
    }

    #[test]
    fn what_was_captured_is_put_in() {
        assert_eq!(fill("openai/*", &["gpt-4o"]), "openai/gpt-4o");
        assert_eq!(fill("*/*", &["a", "b"]), "a/b");
        assert_eq!(fill("*/*", &["a"]), "a/");
        assert_eq!(fill("fixed", &["a"]), "fixed");
        assert_eq!(fill("*", &["a*b"]), "a*b");
    }
}
