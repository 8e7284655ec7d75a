//! What can go wrong, and when it does.

use std::fmt;
use std::time::Duration;

use super::chance::Chance;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// A provider answers 429, mostly with a `Retry-After`.
    RateLimit,
    /// A provider answers 500, 502, 503 or 529.
    ServerError,
    /// A provider cannot be reached.
    Unreachable,
    /// A provider takes the request and never answers.
    HangBeforeHead,
    /// A provider falls silent in the middle of its answer.
    HangInBody,
    /// A provider takes long over every piece.
    Slow,
    /// The connection is reset at any byte.
    Reset,
    /// The answer ends, in good order, at any byte before its end.
    Cut,
    /// A 200 whose stream tells of an error, before or after content.
    ErrorEvent,
    /// A 200 with nothing in it.
    Empty,
    /// A 200 with something that is no JSON, or no event stream.
    Malformed,
    /// A provider finds fault with the request: 400.
    Invalid,
    /// A provider finds the conversation too long: 400.
    ContextLength,
    /// A provider's policy forbids the content: 400.
    ContentPolicy,
    /// The transport panics, before the head or in the body.
    Panic,
    /// The wall clock jumps, forth or back.
    ClockJump,
    /// The machine stands still for a while: every timer fires late.
    Freeze,
    /// Shared state cannot be reached for a while, and has perhaps forgotten everything when it comes back.
    StoreLoss,
    /// An instance is killed: what it was doing is dropped, with its way to the shared state cut off before.
    Crash,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::RateLimit,
        Self::ServerError,
        Self::Unreachable,
        Self::HangBeforeHead,
        Self::HangInBody,
        Self::Slow,
        Self::Reset,
        Self::Cut,
        Self::ErrorEvent,
        Self::Empty,
        Self::Malformed,
        Self::Invalid,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::Panic,
        Self::ClockJump,
        Self::Freeze,
        Self::StoreLoss,
        Self::Crash,
    ];

    /// Whether it happens to one request at a provider, and not to a machine.
    #[must_use]
    pub fn is_providers(self) -> bool {
        !matches!(self, Self::ClockJump | Self::Freeze | Self::StoreLoss | Self::Crash)
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of faults.
///
/// ```
/// use ziggurat_testkit::sim::{Fault, Faults};
///
/// let faults = Faults::all().without(Fault::Panic);
/// assert!(faults.has(Fault::Reset) && !faults.has(Fault::Panic));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// Everything goes wrong at times.
    #[must_use]
    pub fn all() -> Self {
        Self::only(Fault::ALL)
    }

    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self(0)
    }

    /// Nothing but these goes wrong.
    #[must_use]
    pub fn only(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(faults.into_iter().fold(0, |set, fault| set | fault.bit()))
    }

    /// All of these but one.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !fault.bit())
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | fault.bit())
    }

    /// Whether it may happen.
    #[must_use]
    pub fn has(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// Those that may happen.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// How a provider is doing, for a while.
#[derive(Clone, Debug)]
struct Spell {
    until: Duration,
    name: &'static str,
    /// How many requests of a hundred go wrong.
    percent: u64,
    /// In which ways.
    faults: Vec<Fault>,
}

/// How a provider will be doing: spells of bad weather, then fair for good.
#[derive(Clone, Debug)]
pub(super) struct Forecast(Vec<Spell>);

/// Kinds of weather: a name, how many requests of a hundred go wrong at least and at most, and how.
const WEATHERS: [(&str, u64, u64, &[Fault]); 8] = [
    ("fair", 0, 10, &Fault::ALL),
    ("storm of 429s", 50, 100, &[Fault::RateLimit]),
    ("outage", 60, 100, &[Fault::ServerError, Fault::Unreachable]),
    ("bad line", 30, 80, &[Fault::Reset, Fault::Cut, Fault::HangInBody, Fault::Slow]),
    ("hung", 30, 100, &[Fault::HangBeforeHead, Fault::HangInBody]),
    ("brittle", 10, 50, &[Fault::Panic, Fault::Reset, Fault::Unreachable]),
    ("strange", 30, 90, &[Fault::ErrorEvent, Fault::Empty, Fault::Malformed, Fault::Cut]),
    (
        "strict",
        20,
        60,
        &[Fault::Invalid, Fault::ContextLength, Fault::ContentPolicy, Fault::RateLimit],
    ),
];

impl Forecast {
    /// Draws what happens up to `horizon`.
    pub(super) fn draw(chance: &Chance, faults: Faults, horizon: Duration) -> Self {
        let mut spells = Vec::new();
        let mut at = Duration::ZERO;
        // Some providers never have a bad day.
        if chance.percent(15) {
            return Self(spells);
        }
        while at < horizon {
            at += chance.time(horizon / 20, horizon / 3);
            let Some((name, low, high, kinds)) = chance.pick(&WEATHERS) else { break };
            let kinds = kinds.iter().copied();
            let kinds: Vec<_> =
                kinds.filter(|fault| faults.has(*fault) && fault.is_providers()).collect();
            let percent = chance.between(*low, *high);
            spells.push(Spell { until: at.min(horizon), name, percent, faults: kinds });
        }
        Self(spells)
    }

    /// Nothing goes wrong.
    pub(super) fn fair() -> Self {
        Self(Vec::new())
    }

    /// What happens to a request that comes now.
    pub(super) fn fate(&self, now: Duration, chance: &Chance) -> Option<Fault> {
        let spell = self.0.iter().find(|spell| now < spell.until)?;
        if !chance.percent(spell.percent) {
            return None;
        }
        chance.pick(&spell.faults).copied()
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for spell in &self.0 {
            let Spell { until, name, percent, .. } = spell;
            write!(f, "{name} ({percent} %) until {:.3} s, ", until.as_secs_f64())?;
        }
        f.write_str("fair")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_given() {
        assert_eq!(Faults::all().iter().count(), Fault::ALL.len());
        assert_eq!(Faults::none().iter().count(), 0);
        let two = Faults::only([Fault::Cut, Fault::Crash]);
        assert_eq!(two.iter().collect::<Vec<_>>(), [Fault::Cut, Fault::Crash]);
        assert!(!two.without(Fault::Cut).has(Fault::Cut));
        assert!(two.with(Fault::Slow).has(Fault::Slow));
    }

    #[test]
    fn bad_weather_ends_at_the_horizon_and_keeps_to_the_faults_that_are_on() {
        let horizon = Duration::from_secs(60);
        for seed in 0..200 {
            let chance = Chance::new(seed, "weather");
            let forecast = Forecast::draw(&chance, Faults::only([Fault::Cut]), horizon);
            assert_eq!(forecast.fate(horizon, &chance), None);
            for second in 0..60 {
                let fate = forecast.fate(Duration::from_secs(second), &chance);
                assert!(fate.is_none_or(|fault| fault == Fault::Cut));
            }
        }
    }
}
