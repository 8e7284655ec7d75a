//! What a model costs.

use std::sync::Arc;

use super::{Meter, NanoDollars};

/// What a model costs: rates in nano-dollars for a million units, by [`Meter`]. Cloning copies nothing.
///
/// A rate that is missing is unknown, which is not free. Where a narrower one is missing that of what it is a kind of holds: an unknown
/// cache or audio rate is that of plain input, an unknown reasoning rate that of output.
///
/// ```
/// use ziggurat_core::{Meter, NanoDollars, Price, Terms, Usage};
///
/// // Three dollars for a million tokens in, fifteen for a million out; twice as much in when the prompt has more than 200,000.
/// let price = Price::per_million(NanoDollars(3_000_000_000), NanoDollars(15_000_000_000))
///     .on(Terms::above(200_000), Meter::Input, NanoDollars(6_000_000_000));
/// let cost = |tokens| price.cost(&Usage::new(tokens, 200)).unwrap().total().to_string();
/// assert_eq!(cost(1000), "0.006000000");
/// assert_eq!(cost(300_000), "1.803000000");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price(Option<Arc<Book>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Book {
    standard: Rates,
    /// The rates under other terms, sorted.
    other: Vec<(Terms, Rates)>,
}

/// Sorted, each meter at most once.
type Rates = Vec<(Meter, NanoDollars)>;

/// How urgently a call is served, where that changes its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServiceTier {
    /// In batches, within a day.
    Batch,
    /// When there is capacity.
    Flex,
    /// Before others.
    Priority,
}

/// Under which terms a rate holds: beyond a size of the prompt, in a service tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Terms {
    /// The tier; `None` is the standard one.
    pub tier: Option<ServiceTier>,
    /// The prompt, cached tokens included, is longer than this. The rate is then that of the whole call.
    pub above: u64,
}

// === impl ServiceTier ===

impl ServiceTier {
    /// The tier that providers call by this word; `None` for the standard one under its many names, and for those whose prices nobody
    /// lists.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "batch" => Some(Self::Batch),
            "flex" => Some(Self::Flex),
            "priority" => Some(Self::Priority),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

// === impl Terms ===

impl Terms {
    /// Prompts of more than this many tokens, in the standard tier.
    #[must_use]
    pub fn above(tokens: u64) -> Self {
        Self { tier: None, above: tokens }
    }

    /// Prompts of any length in this tier.
    #[must_use]
    pub fn tier(tier: ServiceTier) -> Self {
        Self { tier: Some(tier), above: 0 }
    }

    /// The same beyond a size of the prompt.
    #[must_use]
    pub fn and_above(mut self, tokens: u64) -> Self {
        self.above = tokens;
        self
    }
}

// === impl Price ===

impl Price {
    /// A price from nano-dollars per million input and output tokens.
    #[must_use]
    pub fn per_million(input: NanoDollars, output: NanoDollars) -> Self {
        Self::default().with(Meter::Input, input).with(Meter::Output, output)
    }

    /// With this rate under standard terms.
    #[must_use]
    pub fn with(self, meter: Meter, rate: NanoDollars) -> Self {
        self.on(Terms::default(), meter, rate)
    }

    /// With this rate under these terms.
    #[must_use]
    pub fn on(mut self, terms: Terms, meter: Meter, rate: NanoDollars) -> Self {
        self.set(terms, meter, rate);
        self
    }

    /// Sets a rate.
    pub fn set(&mut self, terms: Terms, meter: Meter, rate: NanoDollars) {
        let book = Arc::make_mut(self.0.get_or_insert_default());
        let rates = if terms == Terms::default() {
            &mut book.standard
        } else {
            let at = book.other.binary_search_by_key(&terms, |(known, _)| *known);
            let at = at.unwrap_or_else(|at| {
                book.other.insert(at, (terms, Rates::new()));
                at
            });
            &mut book.other[at].1
        };
        match rates.binary_search_by_key(&meter, |(known, _)| *known) {
            Ok(at) => rates[at].1 = rate,
            Err(at) => rates.insert(at, (meter, rate)),
        }
    }

    /// Whether no rate is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// The rate of this meter under standard terms.
    #[must_use]
    pub fn rate(&self, meter: Meter) -> Option<NanoDollars> {
        find(&self.0.as_ref()?.standard, meter)
    }

    /// All rates with their terms, those of the standard terms first.
    pub fn rates(&self) -> impl Iterator<Item = (Terms, Meter, NanoDollars)> + '_ {
        self.0.iter().flat_map(|book| {
            let standard = std::iter::once((Terms::default(), &book.standard));
            let other = book.other.iter().map(|(terms, rates)| (*terms, rates));
            standard.chain(other).flat_map(|(terms, rates)| {
                rates.iter().map(move |(meter, rate)| (terms, *meter, *rate))
            })
        })
    }

    /// The rate that holds for a prompt of this many tokens in this tier, and the meter whose rate it is: its own, or that which stands
    /// for it.
    #[must_use]
    pub fn rate_for(
        &self,
        meter: Meter,
        prompt: u64,
        tier: Option<ServiceTier>,
    ) -> Option<(Meter, NanoDollars)> {
        let book = self.0.as_deref()?;
        let own = Some(&meter).filter(|_| !book.follows(meter));
        let known = |meter: &Meter| Some((*meter, book.rate(*meter, prompt, tier)?));
        own.into_iter().chain(meter.instead()).find_map(known)
    }
}

impl Book {
    /// Whether a meter costs what that does which stands for it, and lists name only the latter under other terms.
    fn follows(&self, meter: Meter) -> bool {
        let Some(other) = meter.instead().first() else { return false };
        let own = find(&self.standard, meter);
        own == find(&self.standard, *other)
            && !self.other.iter().any(|(_, rates)| find(rates, meter).is_some())
    }

    fn rate(&self, meter: Meter, prompt: u64, tier: Option<ServiceTier>) -> Option<NanoDollars> {
        let standard = find(&self.standard, meter);
        let long = self.step(meter, prompt, None);
        let here = long.or(standard);
        let Some(tier) = tier else { return here };
        if let Some(own) = self.step(meter, prompt, Some(tier)) {
            return Some(own);
        }
        let terms = |(terms, _): &&(Terms, Rates)| *terms == Terms::tier(tier);
        let tiered = self.other.iter().find(terms).and_then(|(_, rates)| find(rates, meter));
        match (tiered, long, standard) {
            // Lists name a tier's rate for ordinary prompts only: beyond that it rises like the standard one.
            (Some(tiered), Some(long), Some(standard)) if standard.0 > 0 => {
                let risen = u128::from(tiered.0) * u128::from(long.0);
                let risen = risen.div_ceil(u128::from(standard.0));
                Some(NanoDollars(u64::try_from(risen).unwrap_or(u64::MAX)))
            }
            (tiered, ..) => tiered.or(here),
        }
    }

    /// The rate of the highest step that this prompt exceeds.
    fn step(&self, meter: Meter, prompt: u64, tier: Option<ServiceTier>) -> Option<NanoDollars> {
        let holds = |terms: &Terms| terms.tier == tier && (1..prompt).contains(&terms.above);
        let steps = self.other.iter().rev().filter(|(terms, _)| holds(terms));
        steps.filter_map(|(_, rates)| find(rates, meter)).next()
    }
}

fn find(rates: &Rates, meter: Meter) -> Option<NanoDollars> {
    rates.iter().find(|(known, _)| *known == meter).map(|(_, rate)| *rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price::per_million(NanoDollars(100), NanoDollars(600))
            .with(Meter::CacheRead, NanoDollars(10))
            .on(Terms::above(272_000), Meter::Input, NanoDollars(200))
            .on(Terms::above(272_000), Meter::Output, NanoDollars(900))
            .on(Terms::above(500_000), Meter::Input, NanoDollars(300))
            .on(Terms::tier(ServiceTier::Batch), Meter::Input, NanoDollars(50))
            .on(Terms::tier(ServiceTier::Priority), Meter::Input, NanoDollars(250))
            .on(
                Terms::tier(ServiceTier::Priority).and_above(272_000),
                Meter::Input,
                NanoDollars(333),
            )
    }

    fn rate(meter: Meter, prompt: u64, tier: Option<ServiceTier>) -> u64 {
        price().rate_for(meter, prompt, tier).unwrap().1.0
    }

    #[test]
    fn the_rate_of_a_long_prompt_begins_after_its_step() {
        assert_eq!(rate(Meter::Input, 272_000, None), 100);
        assert_eq!(rate(Meter::Input, 272_001, None), 200);
        assert_eq!(rate(Meter::Input, 500_001, None), 300);
        // A step that does not name a meter leaves the one below it.
        assert_eq!(rate(Meter::Output, 500_001, None), 900);
        assert_eq!(rate(Meter::CacheRead, 500_001, None), 10);
    }

    #[test]
    fn a_tier_has_its_own_rate_and_rises_with_the_standard_one() {
        let (batch, flex) = (Some(ServiceTier::Batch), Some(ServiceTier::Flex));
        assert_eq!(rate(Meter::Input, 1, batch), 50);
        assert_eq!(rate(Meter::Input, 300_000, batch), 100);
        // One that is listed for long prompts is taken as it is.
        assert_eq!(rate(Meter::Input, 300_000, Some(ServiceTier::Priority)), 333);
        // What a tier does not name costs what it always does.
        assert_eq!(rate(Meter::Output, 1, batch), 600);
        assert_eq!(rate(Meter::Input, 300_000, flex), 200);
    }

    #[test]
    fn what_is_not_priced_by_itself_costs_what_it_is_a_kind_of() {
        assert_eq!(
            price().rate_for(Meter::Reasoning, 1, None),
            Some((Meter::Output, NanoDollars(600)))
        );
        assert_eq!(
            price().rate_for(Meter::CacheReadAudio, 1, None),
            Some((Meter::CacheRead, NanoDollars(10)))
        );
        assert_eq!(price().rate_for(Meter::WebSearch, 1, None), None);
        assert_eq!(Price::default().rate_for(Meter::Input, 1, None), None);
    }

    #[test]
    fn what_costs_the_same_rises_and_falls_together() {
        let price = price().with(Meter::Reasoning, NanoDollars(600));
        let rate = price.rate_for(Meter::Reasoning, 300_000, None);
        assert_eq!(rate, Some((Meter::Output, NanoDollars(900))));
        let own = price.with(Meter::Reasoning, NanoDollars(700));
        let rate = own.rate_for(Meter::Reasoning, 300_000, None);
        assert_eq!(rate, Some((Meter::Reasoning, NanoDollars(700))));
    }

    #[test]
    fn rates_are_listed_as_they_were_set() {
        let listed: Vec<_> = price().rates().collect();
        assert_eq!(listed.len(), 9);
        let mut again = Price::default();
        for (terms, meter, rate) in listed.into_iter().rev() {
            again.set(terms, meter, rate);
        }
        assert_eq!(again, price());
    }
}
