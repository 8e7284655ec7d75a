//! One name for the many spellings of a model.

use std::borrow::Cow;

/// The model's own name: without what resellers put before it and clouds behind it.
///
/// Of `us.anthropic.claude-opus-4-1-20250805-v1:0`, `claude-opus-4.1@default` and
/// `openrouter/anthropic/claude-opus-4.1` it leaves `claude-opus-4-1`; of `ft:gpt-4o-mini-2024-07-18:org::id` it leaves
/// `gpt-4o-mini-2024-07-18`.
pub(crate) fn bare(model: &str) -> Cow<'_, str> {
    let model = model.rsplit('/').next().unwrap_or(model);
    let model = model.strip_prefix("ft:").unwrap_or(model);
    let model = until(until(model, ':'), '@');
    let Some(start) = model.find("claude-") else { return Cow::Borrowed(model) };
    let model = undated(unversioned(&model[start..]));
    // Resellers write `claude-opus-4.1`.
    if model.contains('.') { Cow::Owned(model.replace('.', "-")) } else { Cow::Borrowed(model) }
}

/// Without a snapshot's date of eight digits and the like: `claude-opus-4-1-20250805`, `claude-3-5-haiku-latest`.
pub(crate) fn undated(model: &str) -> &str {
    match model.rsplit_once('-') {
        Some((rest, last)) if last == "latest" || is_number(last, 8) => rest,
        _ => model,
    }
}

/// Without the version that Bedrock appends: `claude-opus-4-6-v1`.
fn unversioned(model: &str) -> &str {
    match model.rsplit_once("-v") {
        Some((rest, version)) if rest != "claude" && is_number(version, version.len()) => rest,
        _ => model,
    }
}

fn until(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or(text)
}

fn is_number(text: &str, digits: usize) -> bool {
    digits > 0 && text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_model_is_one_name() {
        for spelling in [
            "claude-sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4.5",
            "claude-sonnet-4-5@20250929",
            "claude-sonnet-4-5@default",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-sonnet-4-5-v1",
            "anthropic/claude-sonnet-4.5",
            "databricks-claude-sonnet-4-5",
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic/claude-sonnet-4.5:thinking",
        ] {
            assert_eq!(bare(spelling), "claude-sonnet-4-5", "{spelling}");
        }
        assert_eq!(bare("anthropic.claude-v2:1"), "claude-v2");
        assert_eq!(bare("ft:gpt-4o-mini-2024-07-18:org::id"), "gpt-4o-mini-2024-07-18");
        assert_eq!(bare("openai/gpt-5.1"), "gpt-5.1");
        assert_eq!(bare("accounts/fireworks/models/kimi-k3"), "kimi-k3");
    }

    #[test]
    fn odd_names_are_left_alone() {
        for name in ["", "claude-", "claude", "-", "claude--v", "20250929", "日本語"] {
            assert_eq!(bare(name), name);
        }
    }
}
