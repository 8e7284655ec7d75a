//! Names with `*` in them.

/// A name in which `*` stands for any run of characters, an empty one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Box<str>);

impl Pattern {
    /// Takes a pattern in; `None` when no name can match it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let sound =
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        sound.then(|| Self(text.into()))
    }

    /// How many characters are given: the more, the more specific.
    pub(crate) fn weight(&self) -> usize {
        self.0.bytes().filter(|byte| *byte != b'*').count()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        matches(&self.0, name)
    }
}

/// Whether `name` fits `pattern`. Takes time in the product of their lengths at worst: only the last `*` is ever retried.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut here) = (0, 0);
    // The last star, and where in the name what follows it was last tried.
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == name[here] => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((begun, tried)) = star else { return false };
                star = Some((begun, tried + 1));
                at = begun + 1;
                here = tried + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "gpt-4o"),
            ("gpt-*", "gpt-"),
            ("gpt-*", "gpt-4o"),
            ("claude-*-4-5*", "claude-opus-4-5"),
            ("claude-*-4-5*", "claude-opus-4-4-5-fast"),
            ("a*b*c", "abbbc"),
            ("o1", "o1"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("gpt-*", "gpt"),
            ("o1", "o1-mini"),
            ("o1-*", "o1"),
            ("claude-*-4-5*", "claude-opus-4-6"),
            ("a*b*c", "abbb"),
            ("*x", "xy"),
            ("", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_name_does_not_take_exponential_time() {
        let name = "a".repeat(10_000);
        assert!(!matches("*a*a*a*a*a*a*a*a*b", &name));
    }

    #[test]
    fn what_no_name_can_match_is_no_pattern() {
        assert!(Pattern::parse("").is_none());
        assert!(Pattern::parse("claude 3*").is_none());
        assert_eq!(Pattern::parse("o1-*").unwrap().weight(), 3);
    }
}
