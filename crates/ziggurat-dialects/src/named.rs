//! The dialects by name.

use ziggurat_core::Dialect;

use crate::{ANTHROPIC, COHERE, COMPLETIONS, CONVERSE, GEMINI, OLLAMA, OPENAI, PREDICT, RESPONSES};

/// Every dialect of this crate. One more is a line here.
static ALL: [Dialect; 7] = [OPENAI, RESPONSES, ANTHROPIC, GEMINI, CONVERSE, COHERE, OLLAMA];

/// Every dialect of conversations in this crate, OpenAI Chat first.
#[must_use]
pub fn all() -> &'static [Dialect] {
    &ALL
}

/// The dialect of this name, letter by letter.
///
/// ```
/// use ziggurat_dialects::{ANTHROPIC, named};
///
/// assert_eq!(named("anthropic"), Some(ANTHROPIC));
/// assert_eq!(named("Anthropic"), None);
/// ```
#[must_use]
pub fn named(name: &str) -> Option<Dialect> {
    ALL.iter().copied().chain([COMPLETIONS, PREDICT]).find(|dialect| dialect.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_a_name_of_its_own() {
        for (at, dialect) in all().iter().enumerate() {
            assert_eq!(named(dialect.name()), Some(*dialect));
            assert!(all().iter().skip(at + 1).all(|other| other != dialect), "{dialect} twice");
        }
        assert_eq!(named("completions"), Some(COMPLETIONS));
        assert_eq!(named(""), None);
    }
}
