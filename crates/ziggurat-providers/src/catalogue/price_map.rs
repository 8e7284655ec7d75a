//! Lists of prices in LiteLLM's schema.

use std::fmt;

use serde_json::{Map, Value};

use ziggurat_core::{Meter, NanoDollars, Price, ServiceTier, Terms};

use super::{ABILITIES, CatalogueBuilder, Model};

/// A list of prices as LiteLLM has it: an object of models, each with its provider, its bounds, what it can do, and dollars for one unit
/// of each kind (`input_cost_per_token`, `…_above_200k_tokens`, `…_batches`).
///
/// ```
/// use ziggurat_core::{Meter, NanoDollars};
/// use ziggurat_providers::PriceMap;
///
/// let map = br#"{"openai/my-own": {
///     "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 8000,
///     "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "supports_vision": true
/// }}"#;
/// let map = PriceMap::read(map).unwrap();
/// let model = map.models.over_builtin().find("openai", "my-own").unwrap();
/// assert_eq!(model.price.rate(Meter::Output), Some(NanoDollars(2_000_000_000)));
/// assert!(model.can("images"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PriceMap {
    /// The models.
    pub models: CatalogueBuilder,
    /// What was left out, and why: of a model all of it, or a price that is none.
    pub left_out: Vec<String>,
}

/// A list of prices cannot be read.
#[derive(Debug)]
pub struct BadPriceMap(serde_json::Error);

impl fmt::Display for BadPriceMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list of prices: expected an object of models")
    }
}

impl std::error::Error for BadPriceMap {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl PriceMap {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// When it is no JSON object of objects. A model that makes no sense is left out alone.
    pub fn read(json: &[u8]) -> Result<Self, BadPriceMap> {
        let entries: Map<String, Value> = serde_json::from_slice(json).map_err(BadPriceMap)?;
        let mut map = Self::default();
        for (id, entry) in entries {
            match entry {
                // What explains the fields.
                _ if id == "sample_spec" => {}
                Value::Object(fields) => map.take(&id, &fields),
                _ => map.left_out.push(format!("{id}: not an object")),
            }
        }
        Ok(map)
    }

    fn take(&mut self, id: &str, fields: &Map<String, Value>) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let count = |name: &str| {
            let value = fields.get(name)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        let before = id.split_once('/').map(|(prefix, _)| prefix);
        let Some(provider) = text("litellm_provider").or(before) else {
            self.left_out.push(format!("{id}: its provider is not named"));
            return;
        };
        let mut model = Model::new(provider, id, text("mode").unwrap_or("chat"));
        model.context = count("max_input_tokens").or_else(|| count("max_tokens"));
        model.max_output = count("max_output_tokens").or_else(|| count("max_tokens"));
        model.dimensions = count("output_vector_size");
        model.retires = text("deprecation_date").map(str::to_owned);
        for (_, word, name) in ABILITIES {
            if fields.get(*name) == Some(&Value::Bool(true)) {
                model.allow(word);
            }
        }
        for (name, value) in fields {
            let Some((terms, meter)) = rate_named(name) else { continue };
            let dollars = match value {
                Value::Number(number) => number.to_string(),
                Value::String(text) => text.clone(),
                // A search costs by how much is read of what it finds.
                Value::Object(sizes) => match sizes.get("search_context_size_medium") {
                    Some(Value::Number(number)) => number.to_string(),
                    _ => continue,
                },
                _ => continue,
            };
            match NanoDollars::parse_each(&dollars) {
                Some(rate) => model.price.set(terms, meter, rate),
                None => self.left_out.push(format!("{id}: {name} is no price")),
            }
        }
        if !self.models.add(model) {
            self.left_out.push(format!("{id:?}: no name of a model"));
        }
    }
}

/// Sets the rate that LiteLLM calls `name` from dollars for one unit; whether it is one that is billed, and the amount one.
pub fn set_rate(price: &mut Price, name: &str, dollars: &str) -> bool {
    let Some((terms, meter)) = rate_named(name) else { return false };
    let rate = NanoDollars::parse_each(dollars);
    if let Some(rate) = rate {
        price.set(terms, meter, rate);
    }
    rate.is_some()
}

/// What LiteLLM calls rates.
const RATES: &[(&str, Meter)] = &[
    ("input_cost_per_token", Meter::Input),
    ("output_cost_per_token", Meter::Output),
    ("output_cost_per_reasoning_token", Meter::Reasoning),
    ("cache_read_input_token_cost", Meter::CacheRead),
    ("input_cost_per_token_cache_hit", Meter::CacheRead),
    ("cache_creation_input_token_cost", Meter::CacheWrite),
    ("input_cost_per_audio_token", Meter::InputAudio),
    ("output_cost_per_audio_token", Meter::OutputAudio),
    ("cache_read_input_audio_token_cost", Meter::CacheReadAudio),
    ("cache_read_input_token_cost_per_audio_token", Meter::CacheReadAudio),
    ("input_cost_per_image_token", Meter::InputImage),
    ("output_cost_per_image_token", Meter::OutputImage),
    ("input_cost_per_video_token", Meter::InputVideo),
    ("input_cost_per_image", Meter::InputImageEach),
    ("output_cost_per_image", Meter::OutputImageEach),
    ("input_cost_per_pixel", Meter::InputPixel),
    ("output_cost_per_pixel", Meter::OutputPixel),
    ("input_cost_per_second", Meter::InputSecond),
    ("output_cost_per_second", Meter::OutputSecond),
    ("input_cost_per_audio_per_second", Meter::InputAudioSecond),
    ("output_cost_per_audio_per_second", Meter::OutputSecond),
    ("input_cost_per_video_per_second", Meter::InputVideoSecond),
    ("output_cost_per_video_per_second", Meter::OutputSecond),
    ("input_cost_per_character", Meter::InputCharacter),
    ("output_cost_per_character", Meter::OutputCharacter),
    ("input_cost_per_query", Meter::Query),
    ("input_cost_per_request", Meter::Request),
    ("ocr_cost_per_page", Meter::Page),
    ("search_context_cost_per_query", Meter::WebSearch),
];

/// The meter and the terms that LiteLLM's name of a rate means.
fn rate_named(name: &str) -> Option<(Terms, Meter)> {
    let tiers = [
        ("_batches", ServiceTier::Batch),
        ("_flex", ServiceTier::Flex),
        ("_priority", ServiceTier::Priority),
    ];
    let tiered = tiers.iter().find_map(|(end, tier)| Some((name.strip_suffix(end)?, *tier)));
    let (name, mut terms) = match tiered {
        Some((name, tier)) => (name, Terms::tier(tier)),
        None => (name, Terms::default()),
    };
    let mut parts = name.split("_above_");
    let base = parts.next()?;
    let mut meter = RATES.iter().find(|(known, _)| *known == base)?.1;
    for part in parts {
        match part.strip_suffix("k_tokens") {
            Some(thousands) => {
                terms = terms.and_above(thousands.parse::<u64>().ok()?.checked_mul(1000)?);
            }
            None if part == "1hr" && meter == Meter::CacheWrite => meter = Meter::CacheWrite1h,
            None => return None,
        }
    }
    Some((terms, meter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rates_say_their_terms() {
        for (name, terms, meter) in [
            ("input_cost_per_token", Terms::default(), Meter::Input),
            ("output_cost_per_token_above_200k_tokens", Terms::above(200_000), Meter::Output),
            ("input_cost_per_token_batches", Terms::tier(ServiceTier::Batch), Meter::Input),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                Terms::above(200_000),
                Meter::CacheWrite1h,
            ),
            (
                "cache_read_input_token_cost_above_272k_tokens_priority",
                Terms::tier(ServiceTier::Priority).and_above(272_000),
                Meter::CacheRead,
            ),
        ] {
            assert_eq!(rate_named(name), Some((terms, meter)), "{name}");
        }
        for name in [
            "max_tokens",
            "input_cost_per_token_above_1hr",
            "input_cost_per_token_above_k_tokens",
            "input_cost_per_token_above_99999999999999999999k_tokens",
            "supports_vision",
        ] {
            assert_eq!(rate_named(name), None, "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_left_out_alone() {
        let map = PriceMap::read(
            br#"{
                "sample_spec": {"litellm_provider": "one of", "mode": "chat"},
                "p/ok": {"input_cost_per_token": "1e-6", "output_cost_per_token": -1},
                "bare": {"mode": "chat"},
                "x": 5,
                "p/search": {"search_context_cost_per_query": {"search_context_size_medium": 0.01}}
            }"#,
        )
        .unwrap();
        assert_eq!(map.models.len(), 2);
        assert_eq!(map.left_out.len(), 3, "{:?}", map.left_out);
        let catalogue = map.models.over_builtin();
        let price = catalogue.find("p", "ok").unwrap().price;
        assert_eq!(price.rate(Meter::Input).unwrap().0, 1_000_000_000);
        assert_eq!(price.rate(Meter::Output), None);
        assert_eq!(
            catalogue.find("p", "search").unwrap().price.rate(Meter::WebSearch).unwrap().0,
            10_000_000_000_000
        );
        assert!(PriceMap::read(b"[]").is_err() && PriceMap::read(b"{").is_err());
    }
}
