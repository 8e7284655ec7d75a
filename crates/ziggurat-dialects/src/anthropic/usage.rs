//! Usage: this dialect counts cached input beside the rest, and reasoning inside the output.

use std::ops::Range;

use ziggurat_core::{ServiceTier, Usage};

use crate::json::{Fields, Object};
use crate::spelled::Spelled;

/// Counts as the provider gives them. Reports within one stream are cumulative: the last one holds, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    tier: Option<ServiceTier>,
}

impl Counts {
    /// Takes the counts out of `usage`. What is no number tells nothing.
    pub(super) fn take(usage: &mut Fields<'_>) -> Self {
        fn count(fields: &mut Fields<'_>, name: &str) -> Option<u64> {
            fields.take(name)?.parse().ok()
        }
        let mut counts = Self {
            input: count(usage, "input_tokens"),
            cache_read: count(usage, "cache_read_input_tokens"),
            cache_write: count(usage, "cache_creation_input_tokens"),
            output: count(usage, "output_tokens"),
            ..Self::default()
        };
        if let Some(split) = usage.take("cache_creation")
            && let Ok(mut split) = serde_json::from_str::<Fields<'_>>(split)
        {
            counts.cache_write_5m = count(&mut split, "ephemeral_5m_input_tokens");
            counts.cache_write_1h = count(&mut split, "ephemeral_1h_input_tokens");
        }
        if let Some(details) = usage.take("output_tokens_details")
            && let Ok(mut details) = serde_json::from_str::<Fields<'_>>(details)
        {
            counts.thinking = count(&mut details, "thinking_tokens");
        }
        if let Some(used) = usage.take("server_tool_use")
            && let Ok(mut used) = serde_json::from_str::<Fields<'_>>(used)
        {
            counts.searches = count(&mut used, "web_search_requests");
        }
        let tier = usage.get("service_tier");
        counts.tier = tier.and_then(|word| ServiceTier::parse(word.trim_matches('"')));
        counts
    }

    /// Reads `usage` as it is nearly always spelled, and where its tier stands. `None`: it has to be read in full.
    pub(super) fn spelled(object: &mut Spelled<'_>) -> Option<(Self, Option<Range<usize>>)> {
        let mut counts = Self::default();
        let mut tier = None;
        object.members(|name, value| {
            match name {
                b"input_tokens" => counts.input = Some(value.count()?),
                b"cache_read_input_tokens" => counts.cache_read = Some(value.count()?),
                b"cache_creation_input_tokens" => counts.cache_write = Some(value.count()?),
                b"output_tokens" => counts.output = Some(value.count()?),
                b"cache_creation" => value.members(|name, value| {
                    match name {
                        b"ephemeral_5m_input_tokens" => {
                            counts.cache_write_5m = Some(value.count()?);
                        }
                        b"ephemeral_1h_input_tokens" => {
                            counts.cache_write_1h = Some(value.count()?);
                        }
                        _ => return None,
                    }
                    Some(())
                })?,
                b"service_tier" => {
                    let mut same = value.clone();
                    let word = std::str::from_utf8(same.word()?).ok()?;
                    counts.tier = ServiceTier::parse(word);
                    tier = Some(value.string()?);
                }
                _ => value.pass("null")?,
            }
            Some(())
        })?;
        Some((counts, tier))
    }

    /// Reads the counts in `usage`; `None` if it is no object or counts nothing.
    pub(super) fn read(usage: &str) -> Option<Self> {
        let counts = Self::take(&mut serde_json::from_str(usage).ok()?);
        (counts != Self::default()).then_some(counts)
    }

    /// Takes what a later report says.
    pub(super) fn update(&mut self, later: &Self) {
        let take = |field: &mut Option<u64>, later: Option<u64>| *field = later.or(*field);
        take(&mut self.input, later.input);
        take(&mut self.cache_read, later.cache_read);
        take(&mut self.cache_write, later.cache_write);
        take(&mut self.cache_write_5m, later.cache_write_5m);
        take(&mut self.cache_write_1h, later.cache_write_1h);
        take(&mut self.output, later.output);
        take(&mut self.thinking, later.thinking);
        take(&mut self.searches, later.searches);
        self.tier = later.tier.or(self.tier);
    }

    /// In the arithmetic of all dialects.
    pub(super) fn usage(&self) -> Usage {
        let split = match (self.cache_write_5m, self.cache_write_1h) {
            (None, None) => None,
            (five, hour) => Some(five.unwrap_or(0).saturating_add(hour.unwrap_or(0))),
        };
        let mut usage = Usage::default();
        usage.input = self.input;
        usage.cache_read = self.cache_read;
        usage.cache_write = self.cache_write.or(split);
        usage.cache_write_1h = self.cache_write_1h.filter(|_| usage.cache_write.is_some());
        usage.reasoning =
            self.thinking.map(|tokens| self.output.map_or(tokens, |all| tokens.min(all)));
        usage.units.searches = self.searches.unwrap_or(0);
        usage.tier = self.tier;
        usage.output = self.output.map(|all| all - usage.reasoning.unwrap_or(0).min(all));
        usage
    }
}

/// Writes the members of `usage`. Clients do arithmetic with them, so that what nobody told is 0.
pub(super) fn write(usage: &Usage, object: &mut Object<'_>) {
    let input = usage.input.unwrap_or(0).saturating_add(usage.tool_prompt.unwrap_or(0));
    object.number("input_tokens", input);
    object.number("cache_creation_input_tokens", usage.cache_write.unwrap_or(0));
    object.number("cache_read_input_tokens", usage.cache_read.unwrap_or(0));
    if let Some(hour) = usage.cache_write_1h {
        let mut split = Object::begin(object.member("cache_creation"));
        let five = usage.cache_write.unwrap_or(0).saturating_sub(hour);
        split.number("ephemeral_5m_input_tokens", five);
        split.number("ephemeral_1h_input_tokens", hour);
        split.end();
    }
    object.number("output_tokens", usage.total_output());
    if let Some(thinking) = usage.reasoning.filter(|tokens| *tokens > 0) {
        let mut details = Object::begin(object.member("output_tokens_details"));
        details.number("thinking_tokens", thinking);
        details.end();
    }
    if usage.units.searches > 0 {
        let mut used = Object::begin(object.member("server_tool_use"));
        used.number("web_search_requests", usage.units.searches);
        used.end();
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

    #[test]
    fn usage_goes_there_and_back() {
        // Input uncached, read, written; output visible, reasoning; then as Anthropic counts.
        for ([input, read, write, output, reasoning], counts) in [
            ([100, 900, 200, 40, 60], [100, 900, 200, 100, 60]),
            ([80, 0, 0, 30, 0], [80, 0, 0, 30, 0]),
            ([0, 75, 0, 1, 0], [0, 75, 0, 1, 0]),
            ([7, 0, 0, 0, 512], [7, 0, 0, 512, 512]),
        ] {
            let canonical =
                Usage::new(input, output).cache_read(read).cache_write(write).reasoning(reasoning);
            let json: serde_json::Value = serde_json::from_str(&written(&canonical)).unwrap();
            assert_eq!(json["input_tokens"], counts[0]);
            assert_eq!(json["cache_read_input_tokens"], counts[1]);
            assert_eq!(json["cache_creation_input_tokens"], counts[2]);
            assert_eq!(json["output_tokens"], counts[3]);
            let thinking = &json["output_tokens_details"]["thinking_tokens"];
            assert_eq!(thinking.as_u64().unwrap_or(0), counts[4]);

            let mut back = Counts::read(&written(&canonical)).unwrap().usage();
            back.reasoning = Some(back.reasoning.unwrap_or(0));
            assert_eq!(back, canonical);
            assert_eq!(back.total(), canonical.total());
        }
    }

    #[test]
    fn writes_to_the_cache_are_split_by_their_time_to_live() {
        let counts = Counts::read(
            r#"{"input_tokens":1,"cache_creation_input_tokens":10,"cache_read_input_tokens":null,
                "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6},
                "output_tokens":2,"server_tool_use":{"web_search_requests":3},"service_tier":"batch"}"#,
        );
        let usage = counts.unwrap().usage();
        assert_eq!((usage.units.searches, usage.tier), (3, Some(ServiceTier::Batch)));
        assert_eq!((usage.cache_write, usage.cache_write_1h), (Some(10), Some(6)));
        assert_eq!(usage.cache_read, None);
        assert_eq!(usage.total_input(), 11);
        let back = Counts::read(&written(&usage)).unwrap().usage();
        assert_eq!(back.cache_write_1h, Some(6));
    }

    #[test]
    fn later_reports_are_cumulative() {
        let mut counts =
            Counts::read(r#"{"input_tokens":30,"cache_read_input_tokens":50,"output_tokens":1}"#)
                .unwrap();
        counts.update(
            &Counts::read(r#"{"output_tokens":90,"output_tokens_details":{"thinking_tokens":40}}"#)
                .unwrap(),
        );
        assert_eq!(counts.usage(), Usage::new(30, 50).cache_read(50).reasoning(40));
    }

    #[test]
    fn more_thinking_than_output_is_clamped() {
        let counts =
            Counts::read(r#"{"output_tokens":5,"output_tokens_details":{"thinking_tokens":9}}"#);
        let usage = counts.unwrap().usage();
        assert_eq!((usage.output, usage.reasoning), (Some(0), Some(5)));
        assert_eq!(Counts::read("[]"), None);
        assert_eq!(Counts::read("{}"), None);
    }
}
