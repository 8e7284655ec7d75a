//! What the program does other than serve: tell what is known of models, and what a call costs.

pub mod cost;
pub mod models;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ziggurat_core::{Meter, NanoDollars, Unit};
use ziggurat_providers::{Catalogue, PriceMap, provider, resolve};

/// Which list of models is asked.
#[derive(Clone, Debug, Default, Args)]
pub struct List {
    /// A list of models and prices in LiteLLM's schema, over the built-in one
    #[arg(long, value_name = "FILE")]
    pub price_map: Option<PathBuf>,
}

impl List {
    /// Shows the catalogue.
    fn with<T>(&self, show: impl FnOnce(&Catalogue) -> Result<T, String>) -> Result<T, String> {
        let Some(path) = &self.price_map else { return show(Catalogue::builtin()) };
        show(&read(path)?.models.over_builtin())
    }
}

fn read(path: &Path) -> Result<PriceMap, String> {
    let json = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    PriceMap::read(&json).map_err(|error| format!("{}: {error}", path.display()))
}

/// The provider and its name for a model that is written as `provider/model`, or that everybody knows.
fn place(catalogue: &Catalogue, model: &str) -> Result<(String, String), String> {
    if let Ok(found) = resolve(model) {
        return Ok((found.provider.prefix().to_owned(), found.model.to_owned()));
    }
    // Models of providers that cannot be called have prices, too.
    if let Some((prefix, rest)) = model.split_once('/')
        && !rest.is_empty()
        && (provider(prefix).is_some() || !catalogue.names(prefix).is_empty())
    {
        return Ok((prefix.to_owned(), rest.to_owned()));
    }
    Err(resolve(model).err().map_or_else(|| "no such model".to_owned(), |error| error.to_string()))
}

/// Dollars without the zeros that say nothing, but with cents.
fn dollars(amount: NanoDollars) -> String {
    let text = amount.to_string();
    let short = text.trim_end_matches('0');
    let decimals = short.len() - short.find('.').map_or(short.len(), |at| at + 1);
    format!("{short}{}", &"00"[decimals.min(2)..])
}

/// A rate as people say it: dollars for a million tokens, or for one of anything else.
fn rate(meter: Meter, rate: NanoDollars) -> String {
    match meter.unit() {
        Unit::Token => format!("${} a million", dollars(rate)),
        Unit::Second => format!("${} a second", each(rate)),
        _ => format!("${} each", each(rate)),
    }
}

/// A rate for a million as dollars for one, without the zeros that say nothing.
fn each(rate: NanoDollars) -> String {
    let one = 1_000_000_000_000_000_u64;
    let text = format!("{}.{:015}", rate.0 / one, rate.0 % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_as_short_as_they_can_be_said() {
        for (nanos, text) in [
            (0, "0.00"),
            (1, "0.000000001"),
            (3_000_000_000, "3.00"),
            (1_500_000_000, "1.50"),
            (1_250_000_000, "1.25"),
            (75_000_000, "0.075"),
        ] {
            assert_eq!(dollars(NanoDollars(nanos)), text);
        }
        assert_eq!(rate(Meter::Input, NanoDollars(150_000_000)), "$0.15 a million");
        assert_eq!(rate(Meter::WebSearch, NanoDollars(10_000_000_000_000)), "$0.01 each");
        assert_eq!(rate(Meter::InputSecond, NanoDollars(100_000_000_000)), "$0.0001 a second");
    }

    #[test]
    fn models_are_found_where_callers_would_find_them() {
        let place = |name| place(Catalogue::builtin(), name);
        let pair = |provider: &str, model: &str| Ok((provider.to_owned(), model.to_owned()));
        assert_eq!(place("gpt-4o"), pair("openai", "gpt-4o"));
        assert_eq!(place("groq/llama-3.3-70b-versatile"), pair("groq", "llama-3.3-70b-versatile"));
        assert_eq!(place("fal_ai/x"), pair("fal_ai", "x"));
        assert!(place("opnai/gpt-4o").unwrap_err().contains("did you mean `openai/gpt-4o`"));
        assert!(place("fal_ai/").is_err());
    }
}
