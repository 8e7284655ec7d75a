//! The marks by which a test steers a fake model, from as far away as a client.
//!
//! The model reads them in the text of the last user message. Without any it answers
//! `You said: <text>`.
//!
//! | mark | the model |
//! | --- | --- |
//! | `[tool]`, `[tool:name]` | calls the first tool, or that one, with arguments made from its schema; `key=value` in the text sets an argument |
//! | `[tools2]` | calls the first two tools at once (a lone tool twice); one only where parallel calls are off |
//! | `[preface]` | says `Let me look.` before its calls |
//! | `[interleave]` | streams the argument fragments of several calls in turns (OpenAI only) |
//! | `[think]` | reasons first, as it does when reasoning is asked for |
//! | `[redacted]` | with reasoning: sends the block redacted (Anthropic only) |
//! | `[length]` | runs into the length limit half way, in a call's arguments too |
//! | `[refuse]`, `[refuse:late]` | refuses, at once or after some text |
//! | `[filter]` | stops half way with `content_filter` (OpenAI; Anthropic refuses late) |
//! | `[stop:XYZ]` | produces `XYZ`, which ends the answer if it is a stop sequence |
//! | `[system?]` | answers `System: <system text>` |
//! | `[cached]` | finds half of the prompt in the cache, and writes a quarter to it |
//! | `[slow:MS]` | pauses so many milliseconds between events; without a stream, once before it answers |
//! | `[error:X]`, `[error:X:S]` | fails; X is a status or one of `context`, `quota`, `auth`, `permission`, `model`, `policy`, `billing`, `large`, `timeout`, `overloaded`; S is `retry-after` in seconds (1 otherwise, where there is one) |
//! | `[midstream-error]` | fails after two deltas of its stream; without a stream it fails with a 500 |
//! | `[cut]` | breaks off without the end of the stream, or of the body |
//!
//! Results of tools in the last turn are repeated (`The tool said: …`, or `The tool failed: …`),
//! and every image or document is named by type and size (`image image/png 67 bytes`) or address.
//! A forced tool choice is obeyed, and output with a schema is an instance of it.
//!
//! Tokens are words: of every text in the prompt, 10 for each image or document, 5 for each tool.
//! They are counted, so that `max_tokens` ends an answer where it must.

use std::time::Duration;

/// The marks in a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks<'a> {
    text: &'a str,
}

impl<'a> Marks<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Whether `[name]` or `[name:…]` is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// What follows the colon in `[name:…]`.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.find(name)?
    }

    /// The pause between events.
    pub(crate) fn pace(&self) -> Option<Duration> {
        self.value("slow")?.parse().ok().map(Duration::from_millis)
    }

    /// `[error:kind:seconds]`.
    pub(crate) fn error(&self) -> Option<(&'a str, Option<u64>)> {
        let value = self.value("error")?;
        Some(match value.split_once(':') {
            Some((kind, seconds)) => (kind, seconds.parse().ok()),
            None => (value, None),
        })
    }

    /// The value of the word `key=value`.
    pub(crate) fn setting(&self, key: &str) -> Option<&'a str> {
        self.text.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// The mark of this name, and what it says.
    fn find(&self, name: &str) -> Option<Option<&'a str>> {
        self.text.split('[').skip(1).find_map(|rest| {
            let (inside, _) = rest.split_once(']')?;
            let (found, value) = match inside.split_once(':') {
                Some((found, value)) => (found, Some(value)),
                None => (inside, None),
            };
            (found == name).then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn marks_are_found_with_their_values() {
        let marks = Marks::new("say [tool:get_time] [slow:20] [error:429:3] city=Oslo [open");
        assert!(marks.has("tool") && !marks.has("tools2") && !marks.has("open"));
        assert_eq!(marks.value("tool"), Some("get_time"));
        assert_eq!(marks.pace().unwrap().as_millis(), 20);
        assert_eq!(marks.error(), Some(("429", Some(3))));
        assert_eq!(marks.setting("city"), Some("Oslo"));
        assert_eq!(marks.setting("cit"), None);
    }
}
