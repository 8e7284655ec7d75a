//! What a call costs, line by line.

use super::{Meter, NanoDollars, Price, Unit};
use crate::Usage;

/// What a call costs by its price, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bill {
    /// What was used and has a price. They add up to the cost, unless the provider named one itself.
    pub lines: Vec<Line>,
    /// What was used and has no known price.
    pub unpriced: Vec<(Meter, u64)>,
    /// The cost of it all; `None` when the price of tokens is unknown.
    pub cost: Option<Cost>,
}

/// A line of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// What was used.
    pub meter: Meter,
    /// How much of it; time in milliseconds.
    pub count: u64,
    /// The meter whose rate it is: its own, or that which stands for it.
    pub rated_as: Meter,
    /// Nano-dollars for a million units, of time for a million seconds.
    pub rate: NanoDollars,
    /// What that makes, rounded up.
    pub amount: NanoDollars,
}

/// What a call cost. No part contains another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// For what went in at full price.
    pub input: NanoDollars,
    /// For what was read from the prompt cache.
    pub cache_read: NanoDollars,
    /// For what was written to the prompt cache.
    pub cache_write: NanoDollars,
    /// For what came out, reasoning apart.
    pub output: NanoDollars,
    /// For reasoning.
    pub reasoning: NanoDollars,
    /// For all that is not counted in tokens: images, seconds, searches, pages.
    pub units: NanoDollars,
    /// The sum that the provider itself named, in place of all others.
    pub told: NanoDollars,
    /// Whether the usage behind it is an estimate.
    pub estimated: bool,
    /// Whether something beside tokens was used whose price is unknown: it cost more than this.
    pub partial: bool,
}

impl Price {
    /// What `usage` costs, each kind rounded up; `None` when the price of tokens is needed and unknown. A cost that the provider named
    /// itself holds against the price.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let mut cost = Some(Cost { estimated: usage.estimated, ..Cost::default() });
        if let Some(told) = usage.cost {
            return cost.map(|cost| Cost { told, ..cost });
        }
        self.visit(usage, |meter, _, line| match (line, &mut cost) {
            (Some(line), Some(cost)) => *cost.part(meter) += line.amount,
            (None, known) if meter.unit() == Unit::Token => *known = None,
            (None, Some(cost)) => cost.partial = true,
            (_, None) => {}
        });
        cost
    }

    /// The bill for `usage`.
    #[must_use]
    pub fn bill(&self, usage: &Usage) -> Bill {
        let mut bill = Bill { cost: self.cost(usage), ..Bill::default() };
        self.visit(usage, |meter, count, line| match line {
            Some(line) => bill.lines.push(line),
            None => bill.unpriced.push((meter, count)),
        });
        bill
    }

    /// Shows everything that was used once, with its line if it has a price.
    fn visit(&self, usage: &Usage, mut see: impl FnMut(Meter, u64, Option<Line>)) {
        let (prompt, tier) = (usage.total_input(), usage.tier);
        usage.metered(|meter, count| {
            let rated = self.rate_for(meter, prompt, tier);
            let line = rated.map(|(rated_as, rate)| {
                let amount = amount(meter, count, rate);
                Line { meter, count, rated_as, rate, amount }
            });
            see(meter, count, line);
        });
        // That there was a call is told by nobody.
        if let Some((rated_as, rate)) = self.rate_for(Meter::Request, prompt, tier) {
            let (meter, count) = (Meter::Request, 1);
            let amount = amount(meter, count, rate);
            see(meter, count, Some(Line { meter, count, rated_as, rate, amount }));
        }
    }
}

fn amount(meter: Meter, count: u64, rate: NanoDollars) -> NanoDollars {
    let per = match meter.unit() {
        Unit::Token | Unit::Each => 1_000_000,
        Unit::Second => 1_000_000_000,
    };
    let nanos = (u128::from(count) * u128::from(rate.0)).div_ceil(per);
    NanoDollars(u64::try_from(nanos).unwrap_or(u64::MAX))
}

// === impl Cost ===

impl Cost {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> NanoDollars {
        let tokens = [self.input, self.cache_read, self.cache_write, self.output, self.reasoning];
        tokens.into_iter().chain([self.units, self.told]).sum()
    }

    /// Adds the cost of another attempt.
    pub fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.units += other.units;
        self.told += other.told;
        self.estimated |= other.estimated;
        self.partial |= other.partial;
    }

    fn part(&mut self, meter: Meter) -> &mut NanoDollars {
        match meter {
            Meter::CacheRead | Meter::CacheReadAudio => &mut self.cache_read,
            Meter::CacheWrite | Meter::CacheWrite1h => &mut self.cache_write,
            Meter::Output | Meter::OutputAudio | Meter::OutputImage => &mut self.output,
            Meter::Reasoning => &mut self.reasoning,
            _ if meter.unit() == Unit::Token => &mut self.input,
            _ => &mut self.units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceTier, Terms};

    fn sonnet() -> Price {
        Price::per_million(NanoDollars(3_000_000_000), NanoDollars(15_000_000_000))
            .with(Meter::CacheRead, NanoDollars(300_000_000))
            .with(Meter::CacheWrite, NanoDollars(3_750_000_000))
            .with(Meter::CacheWrite1h, NanoDollars(6_000_000_000))
    }

    #[test]
    fn cached_tokens_are_billed_once_and_at_their_own_price() {
        let mut usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
        usage.cache_write_1h = Some(50);
        let cost = sonnet().cost(&usage).unwrap();
        assert_eq!(cost.input, NanoDollars(100 * 3000));
        assert_eq!(cost.cache_read, NanoDollars(900 * 300));
        assert_eq!(cost.cache_write, NanoDollars(150 * 3750 + 50 * 6000));
        assert_eq!(
            (cost.output, cost.reasoning),
            (NanoDollars(40 * 15_000), NanoDollars(60 * 15_000))
        );
        assert_eq!(cost.total().to_string(), "0.002932500");
        let bill = sonnet().bill(&usage);
        assert_eq!(bill.lines.iter().map(|line| line.amount).sum::<NanoDollars>(), cost.total());
        assert_eq!(bill.lines.len(), 6);
        assert_eq!(bill.lines[5].rated_as, Meter::Output);
    }

    #[test]
    fn audio_and_images_are_taken_out_of_the_text() {
        let price = Price::per_million(NanoDollars(1_000_000), NanoDollars(2_000_000))
            .with(Meter::CacheRead, NanoDollars(100_000))
            .with(Meter::InputAudio, NanoDollars(10_000_000))
            .with(Meter::CacheReadAudio, NanoDollars(500_000))
            .with(Meter::OutputAudio, NanoDollars(20_000_000))
            .with(Meter::OutputImage, NanoDollars(30_000_000));
        // 100 in, of which 30 are audio, 10 of those cached; of the 40 cached the rest is text.
        let mut usage = Usage::new(60, 50).cache_read(40);
        (usage.audio_input, usage.audio_cache_read) = (Some(30), Some(10));
        (usage.audio_output, usage.image_output) = (Some(20), Some(5));
        let cost = price.cost(&usage).unwrap();
        assert_eq!(cost.input, NanoDollars(40 + 20 * 10));
        assert_eq!(cost.cache_read, NanoDollars(30 / 10 + 10 / 2));
        assert_eq!(cost.output, NanoDollars(25 * 2 + 20 * 20 + 5 * 30));
    }

    #[test]
    fn parts_that_are_more_than_their_whole_are_clamped() {
        let price = Price::per_million(NanoDollars(1_000_000), NanoDollars(1_000_000));
        let mut usage = Usage::new(10, 10).cache_read(5).cache_write(5);
        let whole = price.cost(&usage).unwrap().total();
        let most = Some(u64::MAX);
        (usage.audio_input, usage.image_input, usage.video_input) = (most, most, most);
        (usage.audio_output, usage.image_output, usage.audio_cache_read) = (most, most, most);
        usage.cache_write_1h = most;
        assert_eq!(price.cost(&usage).unwrap().total(), whole);
    }

    #[test]
    fn what_is_counted_by_the_piece_is_priced_by_the_piece() {
        let price = Price::per_million(NanoDollars(0), NanoDollars(0))
            .with(Meter::WebSearch, NanoDollars(10_000_000 * 1_000_000))
            .with(Meter::InputSecond, NanoDollars(100_000 * 1_000_000))
            .with(Meter::Request, NanoDollars(7_000_000));
        let mut usage = Usage::new(1, 1);
        usage.units.searches = 3;
        usage.units.input_ms = 2_500;
        let cost = price.cost(&usage).unwrap();
        assert_eq!(cost.units, NanoDollars(30_000_000 + 250_000 + 7));
        assert!(!cost.partial);
        // What has no price is not hidden.
        usage.units.pages = 2;
        assert!(price.cost(&usage).unwrap().partial);
        assert_eq!(price.bill(&usage).unpriced, [(Meter::Page, 2)]);
    }

    #[test]
    fn the_size_of_the_prompt_and_the_tier_decide() {
        let price = sonnet()
            .on(Terms::above(200_000), Meter::Input, NanoDollars(6_000_000_000))
            .on(Terms::tier(ServiceTier::Batch), Meter::Input, NanoDollars(1_500_000_000));
        // Cached tokens make a prompt long, too.
        let mut usage = Usage::new(1, 0).cache_read(200_000);
        assert_eq!(price.cost(&usage).unwrap().input, NanoDollars(6000));
        usage.tier = Some(ServiceTier::Batch);
        assert_eq!(price.cost(&usage).unwrap().input, NanoDollars(3000));
    }

    #[test]
    fn a_cost_that_the_provider_names_holds() {
        let mut usage = Usage::new(1_000_000, 1);
        usage.cost = Some(NanoDollars(42));
        let cost = sonnet().cost(&usage).unwrap();
        assert_eq!((cost.total(), cost.told), (NanoDollars(42), NanoDollars(42)));
        assert_eq!(Price::default().cost(&usage).unwrap().total(), NanoDollars(42));
    }

    #[test]
    fn an_unknown_price_is_not_free() {
        assert_eq!(Price::default().cost(&Usage::new(1, 0)), None);
        assert_eq!(Price::default().cost(&Usage::new(0, 0)), Some(Cost::default()));
        let input = Price::default().with(Meter::Input, NanoDollars(1));
        assert_eq!(input.cost(&Usage::new(1, 1)), None);
    }

    #[test]
    fn a_fraction_rounds_up_and_nothing_wraps() {
        let price = Price::per_million(NanoDollars(1), NanoDollars(u64::MAX));
        assert_eq!(price.cost(&Usage::new(1, 0)).unwrap().input, NanoDollars(1));
        assert_eq!(price.cost(&Usage::new(0, u64::MAX)).unwrap().output, NanoDollars(u64::MAX));
    }

    #[test]
    fn attempts_add_up() {
        let one = sonnet().cost(&Usage::new(3, 2).cache_read(1).estimated()).unwrap();
        let mut sum = one;
        sum.add(&one);
        assert_eq!(sum.total().0, 2 * one.total().0);
        assert!(sum.estimated && !sum.partial);
    }
}
