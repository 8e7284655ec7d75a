use ziggurat_core::{Meter, NanoDollars, ServiceTier, Terms, Usage};

use super::*;
use crate::provider::provider;

fn dollars(text: &str) -> Option<NanoDollars> {
    Some(NanoDollars::parse(text).unwrap())
}

#[test]
fn every_line_is_read_as_it_is_written_and_every_price_is_plausible() {
    let catalogue = Catalogue::builtin();
    let mut count = 0;
    let mut priced = 0;
    for section in &catalogue.sections {
        let provider = &catalogue.text[section.provider.clone()];
        assert_eq!(canonical(provider), provider);
        let mut last = "";
        for line in catalogue.text[section.lines.clone()].lines() {
            let name = name_of(line);
            assert!(last < name, "{provider}: {last} before {name}");
            last = name;
            let model = catalogue.find(provider, name).unwrap();
            assert_eq!(model.name, name);
            let mut written = String::new();
            model.write(&mut written);
            assert_eq!(written, line);
            assert!(!model.mode.is_empty());
            for (_, meter, rate) in model.price.rates() {
                // Ten thousand dollars per million tokens, ten thousand for a piece: a slip of a power of ten would pass it.
                let most = if meter.unit() == ziggurat_core::Unit::Token {
                    10_000_000_000_000
                } else {
                    10_000_000_000_000_000_000
                };
                assert!(rate.0 <= most, "{provider}/{name}: {meter:?} {rate}");
            }
            count += 1;
            priced += usize::from(!model.price.is_unknown());
        }
    }
    assert!(count > 4_400 && priced > 4_200, "{count} {priced}");
}

#[test]
fn the_providers_that_can_be_called_have_models() {
    let catalogue = Catalogue::builtin();
    let with = catalogue.providers().into_iter().filter(|name| provider(name).is_some()).count();
    assert!(with > 50, "{with}");
}

#[test]
fn rates_are_those_of_the_list() {
    let sonnet = price("anthropic", "claude-sonnet-4-6").unwrap();
    assert_eq!(sonnet.rate(Meter::Input), dollars("3"));
    assert_eq!(sonnet.rate(Meter::Output), dollars("15"));
    assert_eq!(sonnet.rate(Meter::CacheRead), dollars("0.3"));
    assert_eq!(sonnet.rate(Meter::CacheWrite), dollars("3.75"));
    assert_eq!(sonnet.rate(Meter::CacheWrite1h), dollars("6"));
    let mini = price("openai", "gpt-4o-mini").unwrap();
    assert_eq!(
        (mini.rate(Meter::Input), mini.rate(Meter::Output)),
        (dollars("0.15"), dollars("0.6"))
    );
    assert_eq!(
        mini.rate_for(Meter::Input, 1, Some(ServiceTier::Batch)).unwrap().1,
        dollars("0.075").unwrap()
    );
    // Prompts beyond a size, in tiers.
    let haiku = price("anthropic", "claude-haiku-5-5").unwrap();
    assert_eq!(haiku.rate_for(Meter::Input, 100_001, None).unwrap().1, dollars("0.5").unwrap());
    assert_eq!(
        haiku.rate_for(Meter::Input, 100_001, Some(ServiceTier::Batch)).unwrap().1,
        dollars("0.25").unwrap()
    );
    assert!(haiku.rates().any(|(terms, ..)| terms == Terms::above(100_000)));
}

#[test]
fn snapshots_tuned_models_and_regions_cost_what_is_known_of_them() {
    assert_eq!(
        price("anthropic", "claude-opus-4-8-20260601"),
        price("anthropic", "claude-opus-4-8")
    );
    assert_eq!(price("openai", "gpt-4.1-2031-01-01"), price("openai", "gpt-4.1"));
    let tuned = price("openai", "ft:gpt-4o-2024-08-06:org::id").unwrap();
    assert_eq!(tuned.rate(Meter::Input), dollars("3.75"));
    // A snapshot with a price of its own keeps it.
    assert_ne!(price("openai", "gpt-4o-2024-05-13"), price("openai", "gpt-4o"));
    assert_eq!(
        price("bedrock", "converse/us.anthropic.claude-sonnet-5"),
        price("bedrock", "us.anthropic.claude-sonnet-5")
    );
    assert!(price("bedrock", "ca.anthropic.claude-sonnet-5").is_some());
    assert!(price("vertex_ai", "claude-opus-4-5@20260101").is_some());
    // Other prefixes of the same provider.
    assert_eq!(
        price("cohere_chat", "command-r-plus-08-2024"),
        price("cohere", "command-r-plus-08-2024")
    );
    assert!(price("cohere_chat", "command-r-plus-08-2024").is_some());
}

#[test]
fn an_unknown_price_is_none_and_not_free() {
    assert_eq!(price("openai", "gpt-unheard-of"), None);
    assert_eq!(price("nobody", "gpt-4o"), None);
    assert_eq!(price("openai", "ft:"), None);
    assert_eq!(price("openai", ""), None);
    assert_eq!(price("", "gpt-4o"), None);
}

#[test]
fn what_is_laid_over_holds_and_the_rest_shines_through() {
    let mut builder = CatalogueBuilder::new();
    let mut own = Model::new("openai", "openai/gpt-4o", "chat");
    own.set_rate(Terms::default(), Meter::Input, "1");
    assert!(builder.add(own));
    // The one that was written with its provider stays.
    assert!(builder.add(Model::new("openai", "gpt-4o", "chat")));
    assert!(builder.add(Model::new("cohere_chat", "mine", "chat")));
    for bad in ["", "a\tb", "a\nb"] {
        assert!(!builder.add(Model::new("openai", bad, "chat")), "{bad:?}");
    }
    let catalogue = builder.over_builtin();
    let price = catalogue.find("openai", "gpt-4o").unwrap().price;
    assert_eq!((price.rate(Meter::Input), price.rate(Meter::Output)), (dollars("1"), None));
    assert!(catalogue.find("openai", "gpt-4o-mini").unwrap().price.rate(Meter::Output).is_some());
    assert!(catalogue.is_listed("cohere", "mine") && catalogue.names("cohere").contains(&"mine"));
    assert_eq!(catalogue.names("openai"), Catalogue::builtin().names("openai"));
    let usage = Usage::new(1_000_000, 0);
    assert_eq!(Some(price.cost(&usage).unwrap().total()), dollars("1"));
}

#[test]
fn any_name_is_found_among_any_others() {
    let names = ["", "a", "a-b", "a.b", "ab", "b", "日本", "日本語", "z"];
    let mut builder = CatalogueBuilder::new();
    for name in &names[1..] {
        assert!(builder.add(Model::new("p", *name, "chat")));
    }
    let catalogue = builder.over_builtin();
    for name in names {
        assert_eq!(catalogue.is_listed("p", name), !name.is_empty(), "{name}");
    }
    for absent in ["0", "aa", "a-", "zz", "日"] {
        assert!(!catalogue.is_listed("p", absent), "{absent}");
    }
}
