//! Usage: this dialect counts cached tokens inside the prompt, and thoughts beside the answer.

use std::ops::Range;

use ziggurat_core::Usage;

use super::camel::members;
use crate::json::{Fields, Object};
use crate::spelled::Spelled;

/// A count, which some of Google's servers write as a string.
fn number(raw: &str) -> Option<u64> {
    raw.trim_matches('"').parse().ok()
}

/// What `usageMetadata` counts.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    cached: Option<u64>,
    candidates: Option<u64>,
    /// The candidates' tokens, where their provider calls them the response's.
    response: Option<u64>,
    thoughts: Option<u64>,
    tool_prompt: Option<u64>,
    total: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
}

impl Counts {
    /// The place of a count.
    fn of(&mut self, name: &[u8]) -> Option<&mut Option<u64>> {
        Some(match name {
            b"promptTokenCount" => &mut self.prompt,
            b"cachedContentTokenCount" => &mut self.cached,
            b"candidatesTokenCount" => &mut self.candidates,
            b"responseTokenCount" => &mut self.response,
            b"thoughtsTokenCount" => &mut self.thoughts,
            b"toolUsePromptTokenCount" => &mut self.tool_prompt,
            b"totalTokenCount" => &mut self.total,
            _ => return None,
        })
    }

    /// The counts as all dialects have them; `None` if nothing was counted.
    fn usage(&self) -> Option<Usage> {
        let &Self { prompt, cached, thoughts, tool_prompt, total, .. } = self;
        let candidates = self.candidates.or(self.response);
        if [prompt, candidates, thoughts, total].iter().all(Option::is_none) {
            return None;
        }
        let mut usage = Usage::default();
        usage.audio_input = self.audio_input;
        usage.audio_output = self.audio_output;
        usage.cache_read = cached;
        usage.input = prompt.map(|prompt| prompt.saturating_sub(cached.unwrap_or(0)));
        usage.tool_prompt = tool_prompt;
        usage.reasoning = thoughts;
        // Older servers on Vertex counted the thoughts among the candidates' tokens: they are known by their total.
        let sum =
            [prompt, candidates, tool_prompt].into_iter().flatten().fold(0, u64::saturating_add);
        let inside = thoughts.is_some_and(|thoughts| {
            thoughts > 0 && total == Some(sum) && candidates.is_some_and(|all| all >= thoughts)
        });
        usage.output = candidates.map(|all| match thoughts.filter(|_| inside) {
            Some(thoughts) => all - thoughts,
            None => all,
        });
        Some(usage)
    }
}

/// Takes the counts out of `usageMetadata`; `None` if it counts nothing. What the superset has no field for stays.
pub(super) fn take(fields: &mut Fields<'_>) -> Option<Usage> {
    let mut counts = Counts::default();
    for name in [
        "promptTokenCount",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "responseTokenCount",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
        "totalTokenCount",
    ] {
        if let Some(count) = counts.of(name.as_bytes()) {
            *count = fields.take(name).and_then(number);
        }
    }
    let audio = |list: Option<&str>| {
        let list: Vec<Fields<'_>> = serde_json::from_str(list?).ok()?;
        let mut of_audio = list.iter().filter(|item| item.get("modality") == Some("\"AUDIO\""));
        of_audio.next()?.get("tokenCount").and_then(number)
    };
    counts.audio_input = audio(fields.get("promptTokensDetails"));
    counts.audio_output = audio(fields.get("candidatesTokensDetails"));
    counts.usage()
}

/// Reads `usageMetadata` as it is nearly always spelled. `None`: it has to be read in full. `rest` is told the name and the place of
/// what the superset has no field for.
pub(super) fn spelled<'a>(
    object: &mut Spelled<'a>,
    mut rest: impl FnMut(&'a [u8], Range<usize>),
) -> Option<Option<Usage>> {
    let mut counts = Counts::default();
    object.members(|name, value| {
        let (audio, place) = match name {
            b"promptTokensDetails"
            | b"candidatesTokensDetails"
            | b"cacheTokensDetails"
            | b"toolUsePromptTokensDetails" => value.placed(spelled_audio)?,
            b"trafficType" | b"serviceTier" => value.placed(|value| value.word().map(|_| None))?,
            name => {
                *counts.of(name)? = Some(value.count()?);
                return Some(());
            }
        };
        rest(name, place);
        match name {
            b"promptTokensDetails" => counts.audio_input = audio,
            b"candidatesTokensDetails" => counts.audio_output = audio,
            _ => {}
        }
        Some(())
    })?;
    Some(counts.usage())
}

/// How many tokens of audio a list counts.
fn spelled_audio(list: &mut Spelled<'_>) -> Option<Option<u64>> {
    let mut audio = None;
    list.pass("[")?;
    loop {
        let (mut modality, mut count) = (None, None);
        list.members(|name, value| {
            match name {
                b"modality" => modality = Some(value.word()?),
                b"tokenCount" => count = Some(value.count()?),
                _ => return None,
            }
            Some(())
        })?;
        if modality == Some(b"AUDIO") {
            audio = audio.or(count);
        }
        if !list.passes(",") {
            list.pass("]")?;
            return Some(audio);
        }
    }
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
