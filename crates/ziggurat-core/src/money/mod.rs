//! Money, in whole nano-dollars: amounts, prices, and what a call costs by them.
//!
//! One arithmetic for all providers: [`Usage`](crate::Usage) counts every token once, a [`Price`] knows what each kind costs, and
//! [`Price::bill`] multiplies them line by line.

mod bill;
mod decimal;
mod meter;
mod price;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

pub use bill::{Bill, Cost, Line};
pub use meter::{Meter, Unit};
pub use price::{Price, ServiceTier, Terms};

/// An amount of US dollars in units of 10⁻⁹. Sums saturate, so that no bill wraps to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoDollars(pub u64);

impl NanoDollars {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads dollars as people and JSON write them (`0.00015`, `1.5e-4`), rounded to the nearest; `None` when it is no number, below
    /// zero, or too much.
    ///
    /// ```
    /// use ziggurat_core::NanoDollars;
    ///
    /// assert_eq!(NanoDollars::parse("1.5e-4"), Some(NanoDollars(150_000)));
    /// assert_eq!(NanoDollars::parse("-1"), None);
    /// ```
    #[must_use]
    pub fn parse(dollars: &str) -> Option<Self> {
        decimal::scaled(dollars, 9).map(Self)
    }

    /// Reads dollars for one unit as nano-dollars for a million of them, which is how a [`Price`] has it.
    #[must_use]
    pub fn parse_each(dollars: &str) -> Option<Self> {
        decimal::scaled(dollars, 15).map(Self)
    }
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
