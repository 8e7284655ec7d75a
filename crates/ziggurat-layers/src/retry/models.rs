//! What is said for single models.

use std::collections::HashMap;

use ziggurat_core::Str;

use super::RetryPolicy;

/// What is said for single models, and for those whose names fit a pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    named: HashMap<Str, Model>,
    /// Names with stars, the one with the most other characters first.
    patterns: Vec<(Str, Model)>,
}

/// What is said for one model.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) retries: Option<u32>,
    pub(super) policy: Option<RetryPolicy>,
}

impl Models {
    /// What is said for the models of this name, to change.
    pub(super) fn entry(&mut self, name: Str) -> &mut Model {
        if !name.contains('*') {
            return self.named.entry(name).or_default();
        }
        let known = self.patterns.iter().position(|(pattern, _)| *pattern == name);
        let at = known.unwrap_or_else(|| {
            let given = |pattern: &str| pattern.len() - pattern.matches('*').count();
            let at = self.patterns.partition_point(|(other, _)| given(other) >= given(&name));
            self.patterns.insert(at, (name, Model::default()));
            at
        });
        &mut self.patterns[at].1
    }

    /// What is said for this model: by its name, else by the most specific pattern.
    pub(super) fn get(&self, model: &str) -> Option<&Model> {
        let fits = |(pattern, _): &&(Str, Model)| fits(pattern, model);
        let pattern = || self.patterns.iter().find(fits).map(|(_, model)| model);
        self.named.get(model).or_else(pattern)
    }
}

/// Whether a name fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_counts() {
        let mut models = Models::default();
        for (retries, name) in ["*", "openai/*", "openai/gpt-*", "openai/gpt-4"].iter().enumerate()
        {
            models.entry((*name).into()).retries = u32::try_from(retries).ok();
        }
        let retries = |name| models.get(name).and_then(|model| model.retries);
        assert_eq!(retries("openai/gpt-4"), Some(3));
        assert_eq!(retries("openai/gpt-5"), Some(2));
        assert_eq!(retries("openai/o4"), Some(1));
        assert_eq!(retries("claude"), Some(0));
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, does) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("*b*", "abc", true),
            ("a*bc*d", "abcbd", true),
            ("a*bc", "ab", false),
            ("aba", "aba", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
    }
}
