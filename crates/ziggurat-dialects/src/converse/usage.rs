//! Usage: this dialect counts cached input beside the rest, and does not tell reasoning from other output.

use serde_json::value::RawValue;
use ziggurat_core::{ServiceTier, Str, Usage};

use crate::json::{self, Array, Fields, Object};
use crate::spelled::Spelled;

/// Takes the counts out of `usage`. What is no number tells nothing.
pub(super) fn take(usage: &mut Fields<'_>, body: &Str) -> Usage {
    fn count(fields: &mut Fields<'_>, name: &str) -> Option<u64> {
        fields.take(name)?.parse().ok()
    }
    let mut counts = Usage::default();
    counts.input = count(usage, "inputTokens");
    counts.output = count(usage, "outputTokens");
    counts.cache_read = count(usage, "cacheReadInputTokens");
    counts.cache_write = count(usage, "cacheWriteInputTokens");
    // The sum of the others, by whose arithmetic depends on the server.
    usage.take("totalTokens");
    let details = usage.get("cacheDetails").and_then(|raw| serde_json::from_str(raw).ok());
    let details: Vec<&RawValue> = details.unwrap_or_default();
    let hour = details.into_iter().filter_map(|raw| {
        let mut detail: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
        let ttl = json::shared_text(detail.take("ttl")?, body)?;
        (ttl == "1h").then(|| count(&mut detail, "inputTokens")).flatten()
    });
    counts.cache_write_1h = hour.reduce(u64::saturating_add);
    if counts.cache_write_1h.is_some() {
        let hour = counts.cache_write_1h;
        counts.cache_write = counts.cache_write.max(hour);
    }
    usage.take("cacheDetails");
    counts
}

/// Reads the counts in an object's `usage`, with the tier that its `serviceTier` tells; `None` if nothing is counted.
pub(super) fn read(told: &Fields<'_>, body: &Str) -> Option<Usage> {
    let mut counts = take(&mut serde_json::from_str(told.get("usage")?).ok()?, body);
    if counts == Usage::default() {
        return None;
    }
    let tier: Option<Fields<'_>> =
        told.get("serviceTier").and_then(|raw| serde_json::from_str(raw).ok());
    let word = tier.and_then(|tier| json::shared_text(tier.get("type")?, body));
    counts.tier = word.and_then(|word| ServiceTier::parse(&word));
    Some(counts)
}

/// Reads `usage` as it is nearly always spelled. `None`: it has to be read in full.
pub(super) fn spelled(object: &mut Spelled<'_>) -> Option<Option<Usage>> {
    let mut counts = Usage::default();
    object.members(|name, value| {
        let count = Some(value.count()?);
        match name {
            b"inputTokens" => counts.input = count,
            b"outputTokens" => counts.output = count,
            b"cacheReadInputTokens" => counts.cache_read = count,
            b"cacheWriteInputTokens" => counts.cache_write = count,
            _ => {}
        }
        Some(())
    })?;
    Some((counts != Usage::default()).then_some(counts))
}

/// Writes the members of `usage`. Clients do arithmetic with them, so that what nobody told is 0.
pub(super) fn write(usage: &Usage, object: &mut Object<'_>) {
    let input = usage.input.unwrap_or(0).saturating_add(usage.tool_prompt.unwrap_or(0));
    object.number("inputTokens", input);
    object.number("outputTokens", usage.total_output());
    object.number("totalTokens", usage.total());
    object.number("cacheReadInputTokens", usage.cache_read.unwrap_or(0));
    object.number("cacheWriteInputTokens", usage.cache_write.unwrap_or(0));
    if let Some(hour) = usage.cache_write_1h {
        let short = usage.cache_write.unwrap_or(0).saturating_sub(hour);
        let mut details = Array::begin(object.member("cacheDetails"));
        for (ttl, tokens) in [("5m", short), ("1h", hour)] {
            let mut detail = details.object();
            detail.text("ttl", ttl);
            detail.number("inputTokens", tokens);
            detail.end();
        }
        details.end();
    }
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

    fn read(json: &str) -> Option<Usage> {
        let whole = Str::from(format!(r#"{{"usage":{json}}}"#));
        super::read(&serde_json::from_str(&whole).unwrap(), &whole)
    }

    #[test]
    fn usage_goes_there_and_back() {
        // Input uncached, read, written; output visible, reasoning; then as Bedrock counts.
        for ([input, cached, write, output, reasoning], counts) in [
            ([100, 900, 200, 40, 60], [100, 900, 200, 100, 1300]),
            ([80, 0, 0, 30, 0], [80, 0, 0, 30, 110]),
            ([0, 75, 0, 1, 0], [0, 75, 0, 1, 76]),
            ([7, 0, 0, 0, 512], [7, 0, 0, 512, 519]),
        ] {
            let canonical = Usage::new(input, output)
                .cache_read(cached)
                .cache_write(write)
                .reasoning(reasoning);
            let json: serde_json::Value = serde_json::from_str(&written(&canonical)).unwrap();
            let names = [
                "inputTokens",
                "cacheReadInputTokens",
                "cacheWriteInputTokens",
                "outputTokens",
                "totalTokens",
            ];
            assert_eq!(names.map(|name| json[name].as_u64().unwrap()), counts);
            let back = read(&written(&canonical)).unwrap();
            assert_eq!(back.total(), canonical.total());
            assert_eq!(back.total_input(), canonical.total_input());
        }
    }

    #[test]
    fn writes_to_the_cache_are_split_by_their_time_to_live() {
        let usage = read(
            r#"{"inputTokens":1,"outputTokens":2,"totalTokens":13,"cacheReadInputTokens":null,"cacheWriteInputTokens":10,
                "cacheDetails":[{"ttl":"5m","inputTokens":4},{"ttl":"1h","inputTokens":6}]}"#,
        )
        .unwrap();
        assert_eq!((usage.cache_write, usage.cache_write_1h), (Some(10), Some(6)));
        assert_eq!((usage.cache_read, usage.total_input()), (None, 11));
        assert_eq!(read(&written(&usage)).unwrap().cache_write_1h, Some(6));
        let served =
            Str::from_static(r#"{"usage":{"inputTokens":1},"serviceTier":{"type":"priority"}}"#);
        let usage = super::read(&serde_json::from_str(&served).unwrap(), &served).unwrap();
        assert_eq!(usage.tier, Some(ServiceTier::Priority));
        assert_eq!(read("[]"), None);
        assert_eq!(read("{}"), None);
    }
}
