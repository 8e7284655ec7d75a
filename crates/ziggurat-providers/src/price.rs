//! What tokens cost.

use std::collections::HashMap;
use std::sync::OnceLock;

use ziggurat_core::{NanoDollars, Price};

use crate::model::undated;

/// By provider and model: input, output, cache read, cache write, cache write for an hour and reasoning, in nano-dollars per
/// million tokens. What is missing at the end is unknown.
type Table = HashMap<&'static str, HashMap<&'static str, Vec<Option<u64>>>>;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        serde_json::from_str(include_str!("../data/prices.json"))
            .expect("the file was read like this by the tests")
    })
}

/// The list price of a model's tokens, as of November 2026; `None` when it is not known, which is not free.
///
/// It is the price of the standard tier for prompts of ordinary length: some models cost more when the prompt is very long
/// (from 100,000 or 272,000 tokens on) and less in batches. A snapshot that is not in the table costs what its model does.
///
/// ```
/// use ziggurat_core::NanoDollars;
///
/// let price = ziggurat_providers::price("anthropic", "claude-opus-4-8").unwrap();
/// assert_eq!(price.output, Some(NanoDollars(25_000_000_000)));
/// assert_eq!(ziggurat_providers::price("hosted_vllm", "my-model"), None);
/// ```
#[must_use]
pub fn price(provider: &str, model: &str) -> Option<Price> {
    let models = table().get(provider)?;
    let row = models
        .get(model)
        .or_else(|| models.get(untuned(model)))
        .or_else(|| models.get(undated(model)))?;
    let at = |index: usize| row.get(index).copied().flatten().map(NanoDollars);
    let mut price = Price::default();
    price.input = at(0);
    price.output = at(1);
    price.cache_read = at(2);
    price.cache_write = at(3);
    price.cache_write_1h = at(4);
    price.reasoning = at(5);
    Some(price)
}

/// Whether the provider is known to serve this model.
pub(crate) fn is_listed(provider: &str, model: &str) -> bool {
    table().get(provider).is_some_and(|models| models.contains_key(model))
}

/// The models of this provider, in no order.
pub(crate) fn listed(provider: &str) -> impl Iterator<Item = &'static str> {
    table().get(provider).into_iter().flat_map(|models| models.keys().copied())
}

/// `ft:gpt-4o-2024-08-06:org::id` costs what all tuned models of its base do.
fn untuned(model: &str) -> &str {
    let name = model.strip_prefix("ft:").and_then(|name| name.find(':'));
    name.map_or(model, |end| &model[..end + "ft:".len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::provider;

    fn dollars(per_million: f64) -> Option<NanoDollars> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(NanoDollars((per_million * 1e9).round() as u64))
    }

    #[test]
    fn every_price_belongs_to_a_provider_and_is_plausible() {
        assert!(table().len() > 50);
        for (prefix, models) in table() {
            assert!(provider(prefix).is_some(), "{prefix}");
            for (model, row) in models {
                assert!(!model.is_empty() && (1..=6).contains(&row.len()), "{prefix}/{model}");
                // A thousand dollars per million tokens: a slip of a power of ten would pass it.
                let most = 1_000_000_000_000;
                assert!(row.iter().flatten().all(|price| *price <= most), "{prefix}/{model}");
                assert!(row.iter().any(Option::is_some));
            }
        }
    }

    #[test]
    fn a_row_is_read_in_the_order_it_was_written() {
        let sonnet = price("anthropic", "claude-sonnet-4-6").unwrap();
        assert_eq!(sonnet.input, dollars(3.0));
        assert_eq!(sonnet.output, dollars(15.0));
        assert_eq!(sonnet.cache_read, dollars(0.3));
        assert_eq!(sonnet.cache_write, dollars(3.75));
        assert_eq!(sonnet.cache_write_1h, dollars(6.0));
        assert_eq!(sonnet.reasoning, None);
        let mini = price("openai", "gpt-4o-mini").unwrap();
        assert_eq!((mini.input, mini.output), (dollars(0.15), dollars(0.6)));
        assert_eq!((mini.cache_read, mini.cache_write), (dollars(0.075), None));
    }

    #[test]
    fn snapshots_and_tuned_models_cost_what_is_known_of_them() {
        assert_eq!(
            price("anthropic", "claude-opus-4-8-20260601"),
            price("anthropic", "claude-opus-4-8")
        );
        let tuned = price("openai", "ft:gpt-4o-2024-08-06:org::id").unwrap();
        assert_eq!(tuned.input, dollars(3.75));
        // A snapshot with a price of its own keeps it.
        assert_ne!(price("openai", "gpt-4o-2024-05-13"), price("openai", "gpt-4o"));
    }

    #[test]
    fn an_unknown_price_is_none_and_not_free() {
        assert_eq!(price("openai", "gpt-unheard-of"), None);
        assert_eq!(price("nobody", "gpt-4o"), None);
        assert_eq!(price("openai", "ft:"), None);
    }
}
