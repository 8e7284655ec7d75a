//! Usage: the tokens that were read and written, and beside them those that are billed. Cached tokens are among the tokens read.

use std::ops::Range;

use ziggurat_core::{BilledTokens, RawJson, Usage};

use crate::json::{Fields, Object};
use crate::spelled::Spelled;

/// Tokens read and written.
type Pair = (Option<u64>, Option<u64>);

/// Reads the counts; `None` if there is none. Numbers come as floats. Where only what is billed is told, that is what there is.
pub(super) fn read(usage: &str) -> Option<Usage> {
    let fields: Fields<'_> = serde_json::from_str(usage).ok()?;
    let pair = |name| {
        let counts: Fields<'_> = serde_json::from_str(fields.get(name)?).ok()?;
        let count = |name| counts.get(name).and_then(whole);
        said((count("input_tokens"), count("output_tokens")))
    };
    let cached = fields.get("cached_tokens").and_then(whole);
    usage_of(pair("tokens"), pair("billed_units"), cached)
}

/// Counts, if any is told.
fn said(pair: Pair) -> Option<Pair> {
    (pair != (None, None)).then_some(pair)
}

fn usage_of(tokens: Option<Pair>, billed: Option<Pair>, cached: Option<u64>) -> Option<Usage> {
    let (input, output) = tokens.or(billed)?;
    let mut usage = Usage::default();
    usage.billed = billed
        .filter(|billed| *billed != (input, output))
        .map(|(input, output)| BilledTokens::new(input.unwrap_or(0), output.unwrap_or(0)));
    // Zero is what servers say that know no cache.
    usage.cache_read = cached.filter(|cached| *cached > 0);
    usage.input = input.map(|input| input.saturating_sub(usage.cache_read.unwrap_or(0)));
    usage.output = output;
    Some(usage)
}

/// Reads the counts as they are nearly always spelled, with where it stands what is billed. `None`: they have to be read in full.
pub(super) fn spelled(object: &mut Spelled<'_>) -> Option<(Option<Usage>, Option<Range<usize>>)> {
    let (mut tokens, mut billed, mut cached, mut place) = (None, None, None, None);
    object.members(|name, value| {
        match name {
            b"tokens" => tokens = spelled_pair(value)?,
            b"billed_units" => {
                let (pair, at) = value.placed(spelled_pair)?;
                (billed, place) = (pair, Some(at));
            }
            b"cached_tokens" => cached = Some(value.whole()?),
            _ => return None,
        }
        Some(())
    })?;
    Some((usage_of(tokens, billed, cached), place))
}

fn spelled_pair(object: &mut Spelled<'_>) -> Option<Option<Pair>> {
    let mut pair = (None, None);
    object.members(|name, value| {
        let count = Some(value.whole()?);
        match name {
            b"input_tokens" => pair.0 = count,
            b"output_tokens" => pair.1 = count,
            // Searches and the like are billed beside the tokens.
            _ => {}
        }
        Some(())
    })?;
    Some(said(pair))
}

/// What is billed, as the provider told it.
pub(super) fn billed(usage: &str) -> Option<RawJson> {
    let fields: Fields<'_> = serde_json::from_str(usage).ok()?;
    RawJson::parse(fields.get("billed_units")?.into()).ok()
}

/// A whole number that may be written as a float.
fn whole(raw: &str) -> Option<u64> {
    let digits = raw.split_once('.').map_or(raw, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') { whole } else { raw }
    });
    digits.parse().ok()
}

/// Writes the counts. What nobody told is zero: clients do arithmetic with it.
pub(super) fn write(usage: &Usage, billed: Option<&RawJson>, out: &mut Vec<u8>) {
    let pair = |mut object: Object<'_>, (input, output): (u64, u64)| {
        object.number("input_tokens", input);
        object.number("output_tokens", output);
        object.end();
    };
    let counted = (usage.total_input(), usage.total_output());
    let mut object = Object::begin(out);
    match billed {
        Some(billed) => object.raw("billed_units", billed.get()),
        None => {
            let billed = usage.billed.map_or(counted, |billed| (billed.input, billed.output));
            pair(Object::begin(object.member("billed_units")), billed);
        }
    }
    pair(Object::begin(object.member("tokens")), counted);
    if let Some(cached) = usage.cache_read {
        object.number("cached_tokens", cached);
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(usage: &Usage) -> Option<Usage> {
        let mut out = Vec::new();
        write(usage, None, &mut out);
        read(std::str::from_utf8(&out).unwrap())
    }

    #[test]
    fn cached_tokens_are_among_those_read() {
        let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
        assert_eq!(there_and_back(&usage), Some(Usage::new(300, 100).cache_read(900)));
        assert_eq!(there_and_back(&Usage::new(7, 0)), Some(Usage::new(7, 0)));
        let odd = r#"{"tokens":{"input_tokens":10,"output_tokens":1},"cached_tokens":20}"#;
        assert_eq!(read(odd), Some(Usage::new(0, 1).cache_read(20)));
    }

    #[test]
    fn what_is_billed_is_not_added_to_what_was_read() {
        let both = r#"{"billed_units":{"input_tokens":12.0,"output_tokens":20.0},"tokens":{"input_tokens":1200.0,"output_tokens":90.0},"cached_tokens":0.0}"#;
        let mut read_and_billed = Usage::new(1200, 90);
        read_and_billed.billed = Some(BilledTokens::new(12, 20));
        assert_eq!(read(both), Some(read_and_billed));
        let billed_only = r#"{"billed_units":{"input_tokens":12,"output_tokens":20}}"#;
        assert_eq!(read(billed_only), Some(Usage::new(12, 20)));
        assert_eq!(billed(both).unwrap().get(), r#"{"input_tokens":12.0,"output_tokens":20.0}"#);
        for nothing in ["{}", "[]", r#"{"tokens":{}}"#, r#"{"tokens":{"input_tokens":1.5}}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
