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

/// The names under which a model of this provider may be listed, its own first: a snapshot, a tuned model or a region's copy that is not
/// listed itself costs what that which it was made of does.
pub(crate) fn spellings<'a>(
    provider: &str,
    model: &'a str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    // How to call it: no part of the name.
    let routed = match provider {
        "bedrock" => after(model, &["converse/", "invoke/", "converse_like/"]),
        _ => after(model, &["responses/", "completions/"]),
    };
    let home = match (provider, routed.split_once('.')) {
        ("bedrock", Some((region, rest))) if REGIONS.contains(&region) => rest,
        _ => routed,
    };
    let names = [model, routed, home, untuned(home), without_date(home), until(home, '@')];
    let mut last = None;
    names.into_iter().filter(move |name| last.replace(*name) != Some(*name))
}

/// Where Bedrock's inference profiles begin with.
const REGIONS: &[&str] =
    &["us", "eu", "apac", "global", "jp", "au", "ca", "sa", "us-gov", "in", "uk"];

fn after<'a>(model: &'a str, prefixes: &[&str]) -> &'a str {
    prefixes.iter().find_map(|prefix| model.strip_prefix(prefix)).unwrap_or(model)
}

/// `ft:gpt-4o-2024-08-06:org::id` costs what all tuned models of its base do.
fn untuned(model: &str) -> &str {
    let name = model.strip_prefix("ft:").and_then(|name| name.find(':'));
    name.map_or(model, |end| &model[..end + "ft:".len()])
}

/// Without a snapshot's date of eight digits and the like: `claude-opus-4-1-20250805`, `claude-3-5-haiku-latest`.
pub(crate) fn undated(model: &str) -> &str {
    match model.rsplit_once('-') {
        Some((rest, last)) if last == "latest" || is_number(last, 8) => rest,
        _ => model,
    }
}

/// The same of OpenAI's dates, too: `gpt-4.1-2025-04-14`.
fn without_date(model: &str) -> &str {
    let Some((rest, date)) = model.len().checked_sub(11).and_then(|at| model.split_at_checked(at))
    else {
        return undated(model);
    };
    let mut parts = date.split('-');
    let dated = parts.next() == Some("")
        && [4, 2, 2].into_iter().all(|digits| parts.next().is_some_and(|p| is_number(p, digits)));
    if dated { rest } else { undated(model) }
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
