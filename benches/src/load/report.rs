//! What a run of callers saw.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::caller::{Fault, Timing};
use crate::stats::{Durations, Histogram, Quantiles};

/// What was counted and timed while a run lasts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    total: Durations,
    first_byte: Durations,
    first_word: Durations,
    longest_gap: Durations,
    faults: BTreeMap<String, u64>,
    answered: u64,
}

/// The result of a run. Durations are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Answers that were complete.
    pub answered: u64,
    /// Answers that were not, by reason.
    pub faults: BTreeMap<String, u64>,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// Complete answers per second.
    pub per_second: f64,
    /// From the start of the request to the last byte of its answer.
    pub total: Option<Quantiles>,
    /// To the first byte of the head.
    pub first_byte: Option<Quantiles>,
    /// To the first read that held text.
    pub first_word: Option<Quantiles>,
    /// The longest silence within each answer.
    pub longest_gap: Option<Quantiles>,
    /// First tokens by duration.
    pub first_word_histogram: Histogram,
    /// Longest silences by duration.
    pub longest_gap_histogram: Histogram,
}

impl Tally {
    pub(super) fn answered(&mut self, timing: Timing) {
        self.answered += 1;
        self.total.push(timing.total);
        self.first_byte.push(timing.first_byte);
        self.first_word.push(timing.first_word);
        self.longest_gap.push(timing.longest_gap);
    }

    pub(super) fn failed(&mut self, fault: &Fault) {
        *self.faults.entry(fault.to_string()).or_default() += 1;
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.answered += other.answered;
        self.total.extend(&other.total);
        self.first_byte.extend(&other.first_byte);
        self.first_word.extend(&other.first_word);
        self.longest_gap.extend(&other.longest_gap);
        for (reason, count) in other.faults {
            *self.faults.entry(reason).or_default() += count;
        }
    }

    pub(super) fn report(mut self, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        Report {
            answered: self.answered,
            seconds,
            per_second: self.answered as f64 / seconds,
            first_word_histogram: self.first_word.histogram(),
            longest_gap_histogram: self.longest_gap.histogram(),
            total: self.total.quantiles(),
            first_byte: self.first_byte.quantiles(),
            first_word: self.first_word.quantiles(),
            longest_gap: self.longest_gap.quantiles(),
            faults: self.faults,
        }
    }
}

impl Report {
    /// How many answers were not complete.
    pub fn failed(&self) -> u64 {
        self.faults.values().sum()
    }
}
