//! Money, in whole nano-dollars.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::Usage;

/// An amount of US dollars in units of 10⁻⁹. Sums saturate, so that no bill wraps to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoDollars(pub u64);

impl NanoDollars {
    /// Nothing.
    pub const ZERO: Self = Self(0);
}

impl Add for NanoDollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Prints dollars with nine decimals: `0.000150000`.
impl fmt::Display for NanoDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// What a model's tokens cost, each in nano-dollars per million tokens.
///
/// `None` means unknown, which is not free: a cache or reasoning price that is unknown is that of plain input or output.
///
/// ```
/// use ziggurat_core::{NanoDollars, Price, Usage};
///
/// // Three dollars for a million tokens in, fifteen for a million out.
/// let price = Price::per_million(NanoDollars(3_000_000_000), NanoDollars(15_000_000_000));
/// let cost = price.cost(&Usage::new(1000, 200)).unwrap();
/// assert_eq!(cost.total().to_string(), "0.006000000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// Input at full price.
    pub input: Option<NanoDollars>,
    /// Input read from the prompt cache.
    pub cache_read: Option<NanoDollars>,
    /// Input written to the prompt cache.
    pub cache_write: Option<NanoDollars>,
    /// Input written to the prompt cache for an hour.
    pub cache_write_1h: Option<NanoDollars>,
    /// Output.
    pub output: Option<NanoDollars>,
    /// Reasoning.
    pub reasoning: Option<NanoDollars>,
}

impl Price {
    /// A price from nano-dollars per million input and output tokens.
    #[must_use]
    pub fn per_million(input: NanoDollars, output: NanoDollars) -> Self {
        Self { input: Some(input), output: Some(output), ..Self::default() }
    }

    /// What `usage` costs, rounded up; `None` when a price that is needed is unknown.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let write_1h = usage.cache_write_1h.unwrap_or(0);
        let write = usage.cache_write.unwrap_or(0).saturating_sub(write_1h);
        let plain = usage.input.unwrap_or(0).saturating_add(usage.tool_prompt.unwrap_or(0));
        let cache_write = self.cache_write.or(self.input);
        let input = line(plain, self.input)?
            + line(usage.cache_read.unwrap_or(0), self.cache_read.or(self.input))?
            + line(write, cache_write)?
            + line(write_1h, self.cache_write_1h.or(cache_write))?;
        let output = line(usage.output.unwrap_or(0), self.output)?
            + line(usage.reasoning.unwrap_or(0), self.reasoning.or(self.output))?;
        Some(Cost { input, output, estimated: usage.estimated })
    }
}

fn line(tokens: u64, per_million: Option<NanoDollars>) -> Option<NanoDollars> {
    if tokens == 0 {
        return Some(NanoDollars::ZERO);
    }
    let nanos = (u128::from(tokens) * u128::from(per_million?.0)).div_ceil(1_000_000);
    Some(NanoDollars(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// For what went in.
    pub input: NanoDollars,
    /// For what came out.
    pub output: NanoDollars,
    /// Whether the usage behind it is an estimate.
    pub estimated: bool,
}

impl Cost {
    /// Input and output together.
    #[must_use]
    pub fn total(&self) -> NanoDollars {
        self.input + self.output
    }

    /// Adds the cost of another attempt.
    pub fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.output += other.output;
        self.estimated |= other.estimated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_billed_once_and_at_their_own_price() {
        let price = Price {
            cache_read: Some(NanoDollars(300_000_000)),
            cache_write: Some(NanoDollars(3_750_000_000)),
            ..Price::per_million(NanoDollars(3_000_000_000), NanoDollars(15_000_000_000))
        };
        let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
        let cost = price.cost(&usage).unwrap();
        assert_eq!(cost.input, NanoDollars(100 * 3000 + 900 * 300 + 200 * 3750));
        assert_eq!(cost.output, NanoDollars(100 * 15000));
        assert_eq!(cost.total().to_string(), "0.002820000");
    }

    #[test]
    fn an_unknown_price_is_not_free() {
        assert_eq!(Price::default().cost(&Usage::new(1, 0)), None);
        assert_eq!(Price::default().cost(&Usage::new(0, 0)), Some(Cost::default()));
    }

    #[test]
    fn a_fraction_rounds_up_and_nothing_wraps() {
        let price = Price::per_million(NanoDollars(1), NanoDollars(u64::MAX));
        assert_eq!(price.cost(&Usage::new(1, 0)).unwrap().input, NanoDollars(1));
        assert_eq!(price.cost(&Usage::new(0, u64::MAX)).unwrap().output, NanoDollars(u64::MAX));
    }
}
