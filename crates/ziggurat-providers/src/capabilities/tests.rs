use std::error::Error as _;

use ziggurat_core::Effort::{self, High, Low, Max, Medium, Minimal, None as Off, XHigh};

use super::*;

/// The columns of the vendor's table, in its order: sampling, prefill, `enabled`, `adaptive`, `disabled`, forced tools,
/// system in the middle.
fn columns(model: &str) -> [bool; 7] {
    let c = capabilities("anthropic", model);
    [
        c.sampling,
        c.prefill,
        c.thinking_budget,
        c.thinking_adaptive,
        c.thinking_off,
        c.forced_tools,
        c.mid_system,
    ]
}

fn most(provider: &str, model: &str) -> Option<u64> {
    capabilities(provider, model).max_output
}

fn efforts(provider: &str, model: &str) -> Vec<Effort> {
    capabilities(provider, model).efforts.clone()
}

#[test]
fn anthropic_models_are_as_the_vendor_says() {
    const YES: bool = true;
    const NO: bool = false;
    for (model, row) in [
        ("claude-3-7-sonnet-20250219", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-sonnet-4-20250514", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-sonnet-4-0", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-opus-4-20250514", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-opus-4-1-20250805", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-sonnet-4-5", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-opus-4-5-20251101", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-haiku-4-5-20251001", [YES, YES, YES, NO, YES, YES, NO]),
        ("claude-sonnet-4-6", [YES, NO, YES, YES, YES, YES, NO]),
        ("claude-opus-4-6-20260205", [YES, NO, YES, YES, YES, YES, NO]),
        ("claude-opus-4-7", [NO, NO, NO, YES, YES, YES, NO]),
        ("claude-opus-4-8", [NO, NO, NO, YES, YES, YES, YES]),
        ("claude-sonnet-5", [NO, NO, NO, YES, YES, YES, YES]),
        ("claude-opus-5", [NO, NO, NO, YES, YES, YES, YES]),
        ("claude-fable-5", [NO, NO, NO, YES, NO, YES, YES]),
        ("claude-mythos-5", [NO, NO, NO, YES, NO, YES, YES]),
        ("claude-mythos-preview", [NO, NO, NO, YES, NO, YES, YES]),
        ("claude-fable-5-1", [NO, NO, NO, YES, NO, NO, YES]),
        ("claude-mythos-5-1", [NO, NO, NO, YES, NO, NO, YES]),
        ("claude-opus-5-5", [NO, NO, NO, YES, NO, NO, YES]),
        ("claude-sonnet-5-5", [NO, NO, NO, YES, NO, NO, YES]),
        ("claude-haiku-5-5", [NO, NO, NO, YES, YES, YES, YES]),
        // Before 3.7 nothing thinks, so no budget is taken either.
        ("claude-3-opus-20240229", [YES, YES, NO, NO, YES, YES, NO]),
        ("claude-3-5-sonnet-20241022", [YES, YES, NO, NO, YES, YES, NO]),
        ("claude-2.1", [YES, YES, NO, NO, YES, YES, NO]),
        // A model to come is taken to be like the latest.
        ("claude-opus-7", [NO, NO, NO, YES, YES, YES, YES]),
    ] {
        assert_eq!(columns(model), row, "{model}");
    }
}

#[test]
fn gemini_models_are_as_the_vendor_says() {
    // Signed calls, budgets, off; the least and the most budget, the efforts.
    let row = |model: &str| {
        let c = capabilities("gemini", model);
        let flags = (c.signed_calls, c.thinking_budget, c.thinking_off);
        (flags, c.least_budget, c.most_budget, c.efforts.clone())
    };
    const OLD: (bool, bool, bool) = (false, true, true);
    const NEW: (bool, bool, bool) = (true, false, false);
    for (model, expected) in [
        ("gemini-2.5-pro", ((false, true, false), Some(128), Some(32_768), vec![])),
        ("gemini-2.5-flash", (OLD, None, Some(24_576), vec![])),
        ("gemini-2.5-flash-lite-preview-09-2025", (OLD, Some(512), Some(24_576), vec![])),
        ("gemini-3-pro-preview", (NEW, None, None, vec![Low, Medium, High])),
        ("google/gemini-3.5-flash", (NEW, None, None, vec![Minimal, Low, Medium, High])),
        ("gemini-3.8-flash", (NEW, None, None, vec![Low, Medium, High])),
        ("gemini-4-argon", (NEW, None, None, vec![Low, Medium, High])),
    ] {
        assert_eq!(row(model), expected, "{model}");
    }
    assert!(!capabilities("gemini", "gemini-2.0-flash").reasoning);
    assert!(!capabilities("gemini", "gemini-2.5-flash").output_with_tools);
    assert!(!capabilities("gemini", "gemini-3-pro-preview").penalties);
}

#[test]
fn only_one_anthropic_model_is_quietened_between_tools() {
    assert!(capabilities("anthropic", "claude-sonnet-5-5").thinking_between_tools);
    assert!(!capabilities("anthropic", "claude-sonnet-5").thinking_between_tools);
    assert!(!capabilities("anthropic", "claude-opus-5-5").thinking_between_tools);
}

#[test]
fn anthropic_models_write_at_most_what_the_vendor_says() {
    for (model, tokens) in [
        ("claude-instant-1.2", 4096),
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-7-sonnet-latest", 64_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1", 32_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-4-7", 128_000),
        ("claude-opus-4-8", 128_000),
        ("claude-sonnet-5", 128_000),
        ("claude-opus-5", 128_000),
        ("claude-fable-5-1", 128_000),
        ("claude-opus-5-5", 128_000),
        ("claude-sonnet-5-5", 128_000),
        ("claude-haiku-5-5", 128_000),
    ] {
        assert_eq!(most("anthropic", model), Some(tokens), "{model}");
    }
    assert_eq!(most("anthropic", "claude-opus-7"), None);
}

#[test]
fn anthropic_efforts_grow_with_the_versions() {
    let since_4_7 = [Low, Medium, High, XHigh, Max];
    assert_eq!(efforts("anthropic", "claude-opus-4-5"), [Low, Medium, High]);
    assert_eq!(efforts("anthropic", "claude-opus-4-6"), [Low, Medium, High, Max]);
    assert_eq!(efforts("anthropic", "claude-sonnet-4-6"), [Low, Medium, High, Max]);
    for model in [
        "claude-opus-4-7",
        "claude-opus-4-8",
        "claude-sonnet-5",
        "claude-opus-5",
        "claude-fable-5",
        "claude-mythos-5-1",
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
    ] {
        assert_eq!(efforts("anthropic", model), since_4_7, "{model}");
    }
}

#[test]
fn schemas_and_the_ban_on_two_samplings_came_with_claude_4_5() {
    for model in ["claude-3-7-sonnet-20250219", "claude-opus-4-1", "claude-sonnet-4-20250514"] {
        let c = capabilities("anthropic", model);
        assert!(!c.structured_output && c.temperature_with_top_p && c.reasoning, "{model}");
    }
    for model in ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-8", "claude-haiku-5-5"] {
        let c = capabilities("anthropic", model);
        assert!(c.structured_output && !c.temperature_with_top_p && c.reasoning, "{model}");
    }
    assert!(!capabilities("anthropic", "claude-3-5-sonnet-20241022").reasoning);
}

#[test]
fn a_model_is_the_same_wherever_it_is_served() {
    for (spelling, model) in [
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-opus-4-8@default", "claude-opus-4-8"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4-5"),
        ("anthropic/claude-4-opus", "claude-opus-4-0"),
        ("anthropic/claude-4.5-sonnet", "claude-sonnet-4-5"),
        ("claude-opus-4.8-fast", "claude-opus-4-8"),
    ] {
        let served = capabilities("openrouter", spelling);
        assert_eq!(*served, *capabilities("anthropic", model), "{spelling}");
    }
    assert_eq!(
        *capabilities("openrouter", "openai/gpt-5.1:free"),
        *capabilities("openai", "gpt-5.1")
    );
}

#[test]
fn openai_reasoning_models_take_no_sampling() {
    for model in [
        "o1",
        "o1-2024-12-17",
        "o3",
        "o3-mini",
        "o4-mini",
        "o4-mini-deep-research",
        "o9-mini",
        "gpt-5",
        "gpt-5-mini-2025-08-07",
        "gpt-5-codex",
        "gpt-5.1",
        "gpt-5.2-chat-latest",
        "gpt-5.6-terra",
        "gpt-6-astra",
        "gpt-6.1-sol",
        "gpt-7",
        "ft:o4-mini-2025-04-16:org::id",
    ] {
        let c = capabilities("openai", model);
        assert!(c.reasoning_model && !c.sampling && c.reasoning, "{model}");
        // o1 still takes stop texts.
        assert_eq!(c.stop, model.starts_with("o1"), "{model}");
    }
    for model in [
        "gpt-3.5-turbo",
        "gpt-4",
        "gpt-4o",
        "gpt-4.1-mini",
        "chatgpt-4o-latest",
        "gpt-5-chat-latest",
    ] {
        let c = capabilities("openai", model);
        assert!(!c.reasoning_model && c.sampling && !c.reasoning && c.stop, "{model}");
        assert!(c.efforts.is_empty());
    }
}

#[test]
fn openai_efforts_are_the_familys() {
    for (model, expected) in [
        ("o1", &[Low, Medium, High][..]),
        ("o3-mini", &[Low, Medium, High]),
        ("gpt-5", &[Minimal, Low, Medium, High]),
        ("gpt-5-nano", &[Minimal, Low, Medium, High]),
        ("gpt-5-codex", &[Low, Medium, High]),
        ("gpt-5-pro", &[High]),
        ("gpt-5.1", &[Off, Low, Medium, High]),
        ("gpt-5.1-codex-mini", &[Low, Medium, High]),
        ("gpt-5.1-codex-max", &[Low, Medium, High, XHigh]),
        ("gpt-5.2", &[Off, Low, Medium, High, XHigh]),
        ("gpt-5.2-pro", &[Medium, High, XHigh]),
        ("gpt-5.3-chat-latest", &[Medium]),
        ("gpt-5.6-luna", &[Off, Low, Medium, High, XHigh]),
        ("gpt-6-astra", &[Low, Medium, High, XHigh, Max]),
        ("gpt-6.1-sol", &[Low, Medium, High, XHigh, Max]),
        ("gpt-6-sol", &[Off, Low, Medium, High, XHigh, Max]),
        ("gpt-6-luna", &[Off, Low, Medium, High, XHigh, Max]),
        ("gpt-6.1-terra", &[Off, Low, Medium, High, XHigh, Max]),
    ] {
        assert_eq!(efforts("openai", model), expected, "{model}");
    }
}

#[test]
fn openai_models_write_at_most_what_the_vendor_says() {
    for (model, tokens) in [
        ("gpt-3.5-turbo", Some(4096)),
        ("gpt-4", None),
        ("gpt-4-turbo-2024-04-09", Some(4096)),
        ("gpt-4o", Some(16_384)),
        ("gpt-4o-2024-05-13", Some(4096)),
        ("gpt-4.1-nano", Some(32_768)),
        ("o3", Some(100_000)),
        ("gpt-5", Some(128_000)),
        ("gpt-5-pro", Some(272_000)),
        ("gpt-5-chat-latest", Some(16_384)),
        ("gpt-5.6", Some(128_000)),
        ("gpt-6-sol", Some(128_000)),
    ] {
        assert_eq!(most("openai", model), tokens, "{model}");
    }
}

#[test]
fn cache_marks_came_with_gpt_5_6_and_are_openais_alone() {
    for (provider, model, marks) in [
        ("openai", "gpt-5.5", false),
        ("openai", "gpt-5.6", true),
        ("openai", "gpt-5.6-terra", true),
        ("openai", "gpt-6-luna", true),
        ("openai", "gpt-6.1-sol", true),
        ("openai", "gpt-4o", false),
        ("openrouter", "openai/gpt-6-luna", false),
    ] {
        assert_eq!(capabilities(provider, model).cache_marks, marks, "{provider}/{model}");
    }
}

#[test]
fn rows_for_a_provider_hold_there_only() {
    assert!(!capabilities("deepseek", "deepseek-chat").structured_output);
    assert!(capabilities("fireworks_ai", "deepseek-chat").structured_output);
    assert!(!capabilities("xai", "grok-4-fast").stop);
}

#[test]
fn of_an_unknown_model_everything_is_assumed() {
    assert_eq!(*capabilities("hosted_vllm", "my-model"), Capabilities::default());
    assert_eq!(*capabilities("nobody", ""), Capabilities::default());
}

#[test]
fn rows_stand_in_the_order_they_count_and_name_known_providers() {
    let rows = &Table::builtin().rows;
    assert!(rows.len() > 50);
    assert!(rows.is_sorted_by_key(Row::weight));
    for row in rows {
        for provider in row.providers() {
            assert!(crate::provider(provider).is_some(), "{provider}");
        }
    }
}

#[test]
fn overrides_win_over_what_is_built_in() {
    let table = Table::builtin()
        .with_overrides(
            r#"[{"models": ["claude-*"], "set": {"prefill": true, "efforts": []}},
                {"models": ["claude-opus-*"], "providers": ["anthropic"], "set": {"max_output": 1000}},
                {"models": ["accounts/me/*"], "set": {"stop": false}}]"#,
        )
        .unwrap();
    let opus = table.capabilities("anthropic", "claude-opus-4-8");
    assert!(opus.prefill && opus.efforts.is_empty() && !opus.sampling);
    assert_eq!(opus.max_output, Some(1000));
    assert_eq!(table.capabilities("openrouter", "claude-opus-4-8").max_output, Some(128_000));
    // By the name as given, slashes and all.
    assert!(!table.capabilities("fireworks_ai", "accounts/me/x").stop);
    // The built-in table is as it was.
    assert!(!capabilities("anthropic", "claude-opus-4-8").prefill);
    // And overrides can be overridden.
    let again = table.with_overrides(r#"[{"models": ["*"], "set": {"prefill": false}}]"#).unwrap();
    assert!(!again.capabilities("anthropic", "claude-opus-4-8").prefill);
}

#[test]
fn a_table_that_cannot_be_read_says_why() {
    let fault = |json: &str| Table::builtin().with_overrides(json).unwrap_err();
    let error = fault(r#"[{"models": ["x"], "set": {"smapling": true}}]"#);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("unknown field `smapling`") && source.contains("line 1"), "{source}");
    assert_eq!(fault("{").to_string(), "not a table of capabilities");
    assert_eq!(
        fault(r#"[{"models": [""], "set": {}}]"#).to_string(),
        "no model matches the pattern \"\""
    );
    assert_eq!(
        fault(r#"[{"models": ["x"], "set": {"efforts": ["huge"]}}]"#).to_string(),
        "there is no effort \"huge\""
    );
}

#[test]
fn an_answer_is_shared_and_the_memory_of_answers_is_bounded() {
    let table = Table::builtin().with_overrides("[]").unwrap();
    let first = table.capabilities("openai", "gpt-4o");
    assert!(Arc::ptr_eq(&first, &table.capabilities("openai", "gpt-4o")));
    for n in 0..3 * REMEMBERED {
        let _ = table.capabilities("openai", &format!("made-up-{n}"));
    }
    let remembered = table.remembered.read().unwrap();
    let held: usize = remembered.by_provider.values().map(HashMap::len).sum();
    assert!(held <= REMEMBERED && held == remembered.count, "{held}");
}
