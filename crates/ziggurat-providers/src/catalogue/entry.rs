//! One model: a line of the catalogue.

use std::fmt::Write;

use ziggurat_core::{Meter, NanoDollars, Price, ServiceTier, Terms, Unit};

/// What is known of a model.
///
/// In the catalogue it is a line of fields with tabs between them: name, mode, the longest prompt, the longest answer, dimensions, letters
/// for what it can do ([`ABILITIES`]), the day it retires, rates. A rate is the letters of its meter and dollars for a million tokens, or
/// for one of anything else; rates under other terms follow a `>` with the size of the prompt, a `/` with the tier, or both.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// Whose it is: what users write before the slash.
    pub provider: String,
    /// Its name there.
    pub name: String,
    /// What it is for: `chat`, `embedding`, `rerank`, …
    pub mode: String,
    /// The longest prompt, in tokens.
    pub context: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output: Option<u64>,
    /// The length of its vectors.
    pub dimensions: Option<u64>,
    /// What it costs.
    pub price: Price,
    /// The day on which its provider switches it off, as in `2027-01-31`.
    pub retires: Option<String>,
    /// A bit for each of [`ABILITIES`].
    abilities: u32,
}

/// What models are known to do: the letter in the catalogue's lines, the word, and what LiteLLM calls it. That a model lacks one does not
/// mean that it cannot.
pub const ABILITIES: &[(char, &str, &str)] = &[
    ('t', "tools", "supports_function_calling"),
    ('P', "parallel_tools", "supports_parallel_function_calling"),
    ('c', "tool_choice", "supports_tool_choice"),
    ('i', "images", "supports_vision"),
    ('d', "pdf", "supports_pdf_input"),
    ('a', "audio_in", "supports_audio_input"),
    ('A', "audio_out", "supports_audio_output"),
    ('v', "video", "supports_video_input"),
    ('j', "json_schema", "supports_response_schema"),
    ('J', "native_json_schema", "supports_native_structured_output"),
    ('p', "prompt_cache", "supports_prompt_caching"),
    ('r', "reasoning", "supports_reasoning"),
    ('R', "always_thinks", "supports_always_on_reasoning"),
    ('T', "adaptive_thinking", "supports_adaptive_thinking"),
    ('w', "web_search", "supports_web_search"),
    ('u', "computer_use", "supports_computer_use"),
    ('f', "prefill", "supports_assistant_prefill"),
    ('s', "system", "supports_system_messages"),
];

/// The letters of meters.
const METERS: &[(&str, Meter)] = &[
    ("i", Meter::Input),
    ("o", Meter::Output),
    ("r", Meter::CacheRead),
    ("w", Meter::CacheWrite),
    ("W", Meter::CacheWrite1h),
    ("t", Meter::Reasoning),
    ("ia", Meter::InputAudio),
    ("oa", Meter::OutputAudio),
    ("ra", Meter::CacheReadAudio),
    ("ii", Meter::InputImage),
    ("oi", Meter::OutputImage),
    ("iv", Meter::InputVideo),
    ("ni", Meter::InputImageEach),
    ("no", Meter::OutputImageEach),
    ("xi", Meter::InputPixel),
    ("xo", Meter::OutputPixel),
    ("si", Meter::InputSecond),
    ("so", Meter::OutputSecond),
    ("sa", Meter::InputAudioSecond),
    ("sv", Meter::InputVideoSecond),
    ("ci", Meter::InputCharacter),
    ("co", Meter::OutputCharacter),
    ("q", Meter::Query),
    ("c", Meter::Request),
    ("g", Meter::Page),
    ("s", Meter::WebSearch),
];

impl Model {
    /// A model of which nothing else is known.
    pub fn new(
        provider: impl Into<String>,
        name: impl Into<String>,
        mode: impl Into<String>,
    ) -> Self {
        Self { provider: provider.into(), name: name.into(), mode: mode.into(), ..Self::default() }
    }

    /// Whether it is known to do this, by a word of [`ABILITIES`].
    #[must_use]
    pub fn can(&self, ability: &str) -> bool {
        self.abilities().any(|word| word == ability)
    }

    /// What it is known to do.
    pub fn abilities(&self) -> impl Iterator<Item = &'static str> + '_ {
        let has = |at: usize| self.abilities & (1 << at) != 0;
        ABILITIES.iter().enumerate().filter(move |(at, _)| has(*at)).map(|(_, (_, word, _))| *word)
    }

    /// Takes note that it can do this; whether the word is one of [`ABILITIES`].
    pub fn allow(&mut self, ability: &str) -> bool {
        let at = ABILITIES.iter().position(|(_, word, _)| *word == ability);
        if let Some(at) = at {
            self.abilities |= 1 << at;
        }
        at.is_some()
    }

    /// Sets a rate from dollars for a million tokens, or for one of anything else; whether it is an amount.
    pub fn set_rate(&mut self, terms: Terms, meter: Meter, dollars: &str) -> bool {
        let rate = read_rate(meter, dollars);
        if let Some(rate) = rate {
            self.price.set(terms, meter, rate);
        }
        rate.is_some()
    }

    /// Reads a line. What cannot be read is unknown.
    pub(super) fn read(provider: &str, line: &str) -> Self {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        let mut model = Self::new(provider, field(), field());
        model.context = field().parse().ok();
        model.max_output = field().parse().ok();
        model.dimensions = field().parse().ok();
        let letters = field();
        for (at, (letter, ..)) in ABILITIES.iter().enumerate() {
            model.abilities |= u32::from(letters.contains(*letter)) << at;
        }
        model.retires = Some(field()).filter(|day| !day.is_empty()).map(str::to_owned);
        model.price = read_price(field());
        model
    }

    /// Writes the line, without its end.
    pub(super) fn write(&self, out: &mut String) {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let known = |(at, _): &(usize, &(char, &str, &str))| self.abilities & (1 << at) != 0;
        let letters = ABILITIES.iter().enumerate().filter(known).map(|(_, (letter, ..))| *letter);
        let fields = [
            self.name.clone(),
            self.mode.clone(),
            number(self.context),
            number(self.max_output),
            number(self.dimensions),
            letters.collect(),
            self.retires.clone().unwrap_or_default(),
            write_price(&self.price),
        ];
        out.push_str(fields.join("\t").trim_end_matches('\t'));
    }
}

fn read_price(text: &str) -> Price {
    let mut price = Price::default();
    let mut terms = Some(Terms::default());
    for word in text.split(' ') {
        if word.starts_with(['>', '/']) {
            terms = read_terms(word);
            continue;
        }
        let digits = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (letters, dollars) = word.split_at(digits);
        let meter = METERS.iter().find(|(known, _)| *known == letters).map(|(_, meter)| *meter);
        if let Some(terms) = terms
            && let Some(meter) = meter
            && let Some(rate) = read_rate(meter, dollars)
        {
            price.set(terms, meter, rate);
        }
    }
    price
}

fn read_terms(word: &str) -> Option<Terms> {
    let (above, tier) = match word.split_once('/') {
        Some((above, tier)) => (above, Some(ServiceTier::parse(tier)?)),
        None => (word, None),
    };
    let above = match above.strip_prefix('>') {
        Some(tokens) => tokens.parse().ok()?,
        None => 0,
    };
    Some(tier.map_or_else(Terms::default, Terms::tier).and_above(above))
}

fn read_rate(meter: Meter, dollars: &str) -> Option<NanoDollars> {
    match meter.unit() {
        Unit::Token => NanoDollars::parse(dollars),
        _ => NanoDollars::parse_each(dollars),
    }
}

fn write_price(price: &Price) -> String {
    let mut out = String::new();
    let mut last = Terms::default();
    for (terms, meter, rate) in price.rates() {
        if !out.is_empty() {
            out.push(' ');
        }
        if terms != last {
            if terms.above > 0 {
                _ = write!(out, ">{}", terms.above);
            }
            if let Some(tier) = terms.tier {
                _ = write!(out, "/{}", tier.name());
            }
            out.push(' ');
            last = terms;
        }
        let letters = METERS.iter().find(|(_, known)| *known == meter).map(|(letters, _)| *letters);
        out.push_str(letters.unwrap_or_default());
        let digits = if meter.unit() == Unit::Token { 9 } else { 15 };
        out.push_str(&decimal(rate.0, digits));
    }
    out
}

/// `number · 10^-digits`, as short as it can be written.
fn decimal(number: u64, digits: u32) -> String {
    let one = 10_u64.pow(digits);
    let width = digits as usize;
    let text = format!("{}.{:0width$}", number / one, number % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meter_has_letters_of_its_own() {
        for meter in Meter::ALL {
            assert_eq!(METERS.iter().filter(|(_, known)| known == meter).count(), 1, "{meter:?}");
        }
        for (letters, _) in METERS {
            assert_eq!(METERS.iter().filter(|(known, _)| known == letters).count(), 1, "{letters}");
        }
    }

    #[test]
    fn lines_are_read_back() {
        let mut model = Model::new("p", "a/b:c", "chat");
        model.context = Some(200_000);
        model.max_output = Some(64_000);
        model.retires = Some("2027-01-31".to_owned());
        assert!(model.allow("tools") && model.allow("video") && !model.allow("flying"));
        model.price = Price::per_million(NanoDollars(3_000_000_000), NanoDollars(15_000_000_000))
            .with(Meter::CacheRead, NanoDollars(1))
            .with(Meter::WebSearch, NanoDollars(10_000_000_000_000))
            .with(Meter::InputPixel, NanoDollars(19_000_000))
            .on(Terms::above(200_000), Meter::Input, NanoDollars(6_000_000_000))
            .on(Terms::tier(ServiceTier::Batch), Meter::Input, NanoDollars(1_500_000_000))
            .on(Terms::tier(ServiceTier::Flex).and_above(5), Meter::Input, NanoDollars(7));
        let mut line = String::new();
        model.write(&mut line);
        assert_eq!(
            line,
            "a/b:c\tchat\t200000\t64000\t\ttv\t2027-01-31\t\
             i3 r0.000000001 o15 xi0.000000019 s0.01 >200000 i6 /batch i1.5 >5/flex i0.000000007"
        );
        assert_eq!(Model::read("p", &line), model);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let model = Model::read("p", "name\tchat\tmany\t-1\t\t?\t\ti1 o-1 zz3 3 >x i5 /fast i6");
        assert_eq!((model.context, model.max_output), (None, None));
        assert_eq!(model.price.rate(Meter::Input), Some(NanoDollars(1_000_000_000)));
        assert_eq!(model.price.rates().count(), 1);
        assert_eq!(Model::read("p", ""), Model::new("p", "", ""));
    }
}
