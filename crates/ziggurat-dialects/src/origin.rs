//! Marks of origin on what only the provider that made it can read: signatures of thinking, and redacted thinking.
//!
//! Such state goes back to the model that it came from, and to no other: providers refuse what they did not sign, and Anthropic's
//! models what another model did. A caller of another dialect carries it in an extension of that dialect, whichever model it asks
//! next. So it is given to the caller with the model's name before it, by which the gateway knows it again.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What begins so was made by the gateway: a name alone, for reasoning that nobody signed, or a name and, after a dot, what the
/// model of that name made.
pub(crate) const MARK: &str = "zig1.";

/// The longest name that is told, in bytes: it stands in every block.
const LONGEST: usize = 256;

/// The mark of reasoning that nobody signed.
pub(crate) fn unsigned(model: &str) -> String {
    let model = model.as_bytes();
    format!("{MARK}{}", STANDARD.encode(&model[..model.len().min(LONGEST)]))
}

/// What `model` made, marked; as it is where the model is not known.
pub(crate) fn mark<'a>(model: Option<&str>, made: &'a str) -> Cow<'a, str> {
    match model.filter(|model| !model.is_empty() && model.len() <= LONGEST) {
        Some(model) => format!("{}.{made}", unsigned(model)).into(),
        None => made.into(),
    }
}

/// What a state says of its origin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    /// Nothing: it came from the caller's own dialect.
    Unknown,
    /// The gateway made it, for no model.
    Ours,
    /// This model made it, and this is what it made.
    Model(String, &'a str),
}

/// Reads the mark.
pub(crate) fn origin(state: &str) -> Origin<'_> {
    let Some(marked) = state.strip_prefix(MARK) else { return Origin::Unknown };
    let Some((name, made)) = marked.split_once('.') else { return Origin::Ours };
    match STANDARD.decode(name).ok().and_then(|name| String::from_utf8(name).ok()) {
        Some(name) if !made.is_empty() => Origin::Model(name, made),
        _ => Origin::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_known_again() {
        let marked = mark(Some("claude-ü"), "EqQB+/=");
        assert_eq!(origin(&marked), Origin::Model("claude-ü".into(), "EqQB+/="));
        assert_eq!(mark(None, "EqQB"), "EqQB");
        assert_eq!(origin("EqQB"), Origin::Unknown);
        assert_eq!(origin(&unsigned("m")), Origin::Ours);
        assert_eq!(origin("zig1.???.x"), Origin::Ours);
        assert_eq!(origin("zig1.bQ==."), Origin::Ours);
    }

    #[test]
    fn a_long_name_is_not_told() {
        assert!(unsigned(&"ä".repeat(10_000)).len() < 400);
        assert_eq!(mark(Some(&"m".repeat(300)), "EqQB"), "EqQB");
    }
}
