//! Usage: this dialect counts cached tokens inside the prompt, and thoughts beside the answer.

use ziggurat_core::Usage;

use super::camel::members;
use crate::json::{Fields, Object};

/// A count, which some of Google's servers write as a string.
fn number(raw: &str) -> Option<u64> {
    raw.trim_matches('"').parse().ok()
}

/// Takes the counts out of `usageMetadata`; `None` if it counts nothing. What the superset has no field for stays.
pub(super) fn take(fields: &mut Fields<'_>) -> Option<Usage> {
    let mut count = |name| fields.take(name).and_then(number);
    let prompt = count("promptTokenCount");
    let cached = count("cachedContentTokenCount");
    let candidates = count("candidatesTokenCount").or_else(|| count("responseTokenCount"));
    let thoughts = count("thoughtsTokenCount");
    let tool_prompt = count("toolUsePromptTokenCount");
    let total = count("totalTokenCount");
    let audio = |list: Option<&str>| {
        let list: Vec<Fields<'_>> = serde_json::from_str(list?).ok()?;
        let mut of_audio = list.iter().filter(|item| item.get("modality") == Some("\"AUDIO\""));
        of_audio.next()?.get("tokenCount").and_then(number)
    };
    let mut usage = Usage::default();
    usage.audio_input = audio(fields.get("promptTokensDetails"));
    usage.audio_output = audio(fields.get("candidatesTokensDetails"));
    if [prompt, candidates, thoughts, total].iter().all(Option::is_none) {
        return None;
    }
    usage.cache_read = cached;
    usage.input = prompt.map(|prompt| prompt.saturating_sub(cached.unwrap_or(0)));
    usage.tool_prompt = tool_prompt;
    usage.reasoning = thoughts;
    // Older servers on Vertex counted the thoughts among the candidates' tokens: they are known by their total.
    let sum = [prompt, candidates, tool_prompt].into_iter().flatten().fold(0, u64::saturating_add);
    let inside = thoughts.is_some_and(|thoughts| {
        thoughts > 0 && total == Some(sum) && candidates.is_some_and(|all| all >= thoughts)
    });
    usage.output = candidates.map(|all| match thoughts.filter(|_| inside) {
        Some(thoughts) => all - thoughts,
        None => all,
    });
    Some(usage)
}

/// Reads `usageMetadata`.
pub(super) fn read(raw: &str) -> Option<Usage> {
    take(&mut members(raw))
}

/// Writes the members of `usageMetadata`. What nobody told is left out.
pub(super) fn write(usage: &Usage, object: &mut Object<'_>) {
    let prompt = [usage.input, usage.cache_read, usage.cache_write];
    let prompt = prompt.into_iter().flatten().fold(0, u64::saturating_add);
    object.number("promptTokenCount", prompt);
    let counts = [
        ("cachedContentTokenCount", usage.cache_read),
        ("candidatesTokenCount", usage.output),
        ("thoughtsTokenCount", usage.reasoning),
        ("toolUsePromptTokenCount", usage.tool_prompt),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            object.number(name, count);
        }
    }
    object.number("totalTokenCount", usage.total());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(usage: &Usage) -> String {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        write(usage, &mut object);
        object.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn usage_goes_there_and_back() {
        // Input uncached, read; output visible, reasoning; then as Gemini counts.
        for ([input, read_, output, reasoning], [prompt, total]) in [
            ([300, 900, 40, 60], [1200, 1300]),
            ([80, 0, 30, 0], [80, 110]),
            ([7, 0, 0, 512], [7, 519]),
        ] {
            let usage = Usage::new(input, output).cache_read(read_).reasoning(reasoning);
            let json: serde_json::Value = serde_json::from_str(&written(&usage)).unwrap();
            assert_eq!(json["promptTokenCount"], prompt);
            assert_eq!(json["candidatesTokenCount"], output);
            assert_eq!(json["totalTokenCount"], total);
            assert_eq!(read(&written(&usage)), Some(usage));
        }
    }

    #[test]
    fn what_is_written_to_the_cache_is_part_of_the_prompt() {
        let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
        let back = read(&written(&usage)).unwrap();
        assert_eq!(back.total(), usage.total());
        assert_eq!(back.input, Some(300));
    }

    #[test]
    fn thoughts_are_counted_once_wherever_they_are_counted() {
        let beside = r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":20,
            "toolUsePromptTokenCount":3,"totalTokenCount":38}"#;
        let usage = read(beside).unwrap();
        assert_eq!(
            (usage.output, usage.reasoning, usage.tool_prompt),
            (Some(5), Some(20), Some(3))
        );
        assert_eq!(usage.total(), 38);
        let inside = r#"{"promptTokenCount":10,"candidatesTokenCount":25,"thoughtsTokenCount":20,
            "totalTokenCount":35}"#;
        let usage = read(inside).unwrap();
        assert_eq!((usage.output, usage.reasoning, usage.total()), (Some(5), Some(20), 35));
    }

    #[test]
    fn audio_is_a_part_of_the_input() {
        let usage = read(
            r#"{"promptTokenCount":30,"totalTokenCount":30,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":5},{"modality":"AUDIO","tokenCount":25}]}"#,
        );
        assert_eq!(usage.unwrap().audio_input, Some(25));
        assert_eq!(read("{}"), None);
        assert_eq!(read("[]"), None);
        let more = read(r#"{"promptTokenCount":3,"cachedContentTokenCount":9}"#).unwrap();
        assert_eq!((more.input, more.cache_read), (Some(0), Some(9)));
    }
}
