//! Counts of tokens, and how far the estimate is from them.

#![cfg(feature = "tiktoken")]

use ziggurat_core::{Chat, Message, Part, Role, Tool, estimated_tokens};
use ziggurat_providers::{Encoding, count_chat, count_text};

const CORPUS: [(&str, &str, i64); 6] = [
    ("English", include_str!("corpus/english.txt"), -3),
    ("other European", include_str!("corpus/european.txt"), 3),
    ("code", include_str!("corpus/code.txt"), -4),
    ("JSON", include_str!("corpus/json.txt"), 7),
    ("Chinese", include_str!("corpus/chinese.txt"), 0),
    ("emoji", include_str!("corpus/emoji.txt"), 2),
];

#[test]
fn the_estimate_is_as_wrong_as_the_documentation_says() {
    for (kind, text, told) in CORPUS {
        let exact = i64::try_from(Encoding::O200k.count(text)).expect("a short text");
        let estimate = i64::try_from(estimated_tokens(text)).expect("a short text");
        // Rounded to the nearest.
        let error = (200 * (estimate - exact) + exact * (estimate - exact).signum()) / (2 * exact);
        assert_eq!(error, told, "{kind}: {estimate} for {exact}");
    }
}

#[test]
fn text_is_counted_as_openai_counts_it() {
    // From OpenAI's own examples of the encodings.
    assert_eq!(count_text("openai", "gpt-4", "tiktoken is great!").input_tokens, 6);
    assert_eq!(count_text("openai", "gpt-4o", "tiktoken is great!").input_tokens, 6);
    assert_eq!(Encoding::Cl100k.count("お誕生日おめでとう"), 9);
    assert_eq!(Encoding::O200k.count("お誕生日おめでとう"), 8);
    // What looks like a special token is text.
    assert!(Encoding::O200k.count("<|endoftext|>") > 1);
    let other = count_text("anthropic", "claude-opus-4-8", "tiktoken is great!");
    assert!(other.estimated);
}

#[test]
fn conversations_are_counted_exactly_while_they_are_text() {
    let mut chat = Chat::new();
    chat.messages.push(Message::text(Role::User, "tiktoken is great!"));
    let count = count_chat("openai", "gpt-4o", &chat);
    // Four stand around a message, three before the answer.
    assert_eq!((count.input_tokens, count.estimated), (6 + 4 + 3, false));
    chat.system.push(Part::text("tiktoken is great!"));
    assert_eq!(count_chat("openai", "gpt-4o", &chat).input_tokens, 2 * 6 + 4 + 3);
    chat.tools.push(Tool::function("tool", None));
    assert!(count_chat("openai", "gpt-4o", &chat).estimated);
    assert!(count_chat("anthropic", "claude-opus-4-8", &chat).estimated);
    // A text that would take long is estimated.
    let long = "a ".repeat(200 << 10);
    assert!(count_text("openai", "gpt-4o", &long).estimated);
}

#[test]
fn models_have_the_encoding_of_their_generation() {
    for (model, encoding) in [
        ("gpt-4", Encoding::Cl100k),
        ("gpt-4-turbo-2024-04-09", Encoding::Cl100k),
        ("gpt-3.5-turbo", Encoding::Cl100k),
        ("gpt-4.1-mini", Encoding::O200k),
        ("gpt-5.6-terra", Encoding::O200k),
        ("ft:gpt-4o-mini-2024-07-18:org::id", Encoding::O200k),
        ("o3-mini", Encoding::O200k),
        ("gpt-oss-120b", Encoding::Harmony),
    ] {
        assert_eq!(Encoding::of("openai", model), Some(encoding), "{model}");
    }
    assert_eq!(Encoding::of("groq", "openai/gpt-oss-20b"), Some(Encoding::Harmony));
    assert_eq!(Encoding::of("groq", "gpt-4o"), None);
    assert_eq!(Encoding::of("openai", "whisper-1"), None);
}
