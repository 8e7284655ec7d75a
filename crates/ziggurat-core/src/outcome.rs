//! How a call ended.

use std::time::Duration;

use smallvec::SmallVec;

use crate::settle::End;
use crate::{Cost, Instant, Loss, Str, Usage};

/// How a call, or one attempt at it, ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The end: of the delivered attempt, when this is the call's.
    pub end: End,
    /// All tokens, of lost attempts too. `None` when nobody told.
    pub usage: Option<Usage>,
    /// What it all cost. `None` when no price is known.
    pub cost: Option<Cost>,
    /// From the start to the first content.
    pub first_content: Option<Duration>,
    /// From the start to the end.
    pub total: Duration,
    /// When it ended.
    pub ended: Instant,
    /// Which attempt this is; `None` when it is the call.
    pub attempt: Option<u16>,
    /// The deployment that the attempt went to.
    pub deployment: Option<Str>,
    /// Whether the answer was known already, or made for somebody else who pays. Never so when this has a cost.
    pub cached: bool,
    /// The attempts at the call, in order; empty when this is an attempt.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// What was lost in translation, both ways.
    pub losses: Vec<Loss>,
}

/// One attempt at a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// How it ended.
    pub end: End,
    /// Its tokens.
    pub usage: Option<Usage>,
    /// Its cost.
    pub cost: Option<Cost>,
    /// The deployment it went to.
    pub deployment: Option<Str>,
    /// How long it took.
    pub total: Duration,
}

impl Attempt {
    pub(crate) fn new(
        end: End,
        usage: Option<Usage>,
        cost: Option<Cost>,
        deployment: Option<Str>,
        total: Duration,
    ) -> Self {
        Self { end, usage, cost, deployment, total }
    }
}

impl Outcome {
    /// Whether the answer was read to its end.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.end, End::Success)
    }

    /// Tokens in and out, zero where nobody told.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.usage.map_or(0, |usage| usage.total())
    }
}
