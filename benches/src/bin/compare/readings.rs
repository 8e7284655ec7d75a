//! The numbers of a run, and how the two sides of one are compared.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::scenario::Scenario;
use ziggurat_benches::stats::{Histogram, Spread};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Bare,
    Gateway,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Bare, Self::Gateway];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Gateway => "gateway",
        }
    }
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    CpuPerRequest,
    CpuPerChunk,
    CpuPerShortStream,
    CpuPerLongStream,
    PerSecond,
    ChunksPerSecond,
    P50,
    P99,
    FirstTokenP50,
    FirstTokenP99,
    LateTokens,
    LateGaps,
    IdleResident,
    ResidentPerStream,
    LeftOpen,
    FirstAnswer,
    CpuToFirstAnswer,
    ServerBusy,
    Others,
}

/// How the gateway's number is set against the bare proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Ratio,
    Difference,
    /// Each for itself.
    None,
}

impl Metric {
    /// Name, unit and relation.
    pub(crate) fn about(self) -> (&'static str, &'static str, Relation) {
        match self {
            Self::CpuPerRequest => ("CPU per request", "µs", Relation::Ratio),
            Self::CpuPerChunk => ("CPU per event", "ns", Relation::Ratio),
            Self::CpuPerShortStream => ("CPU per stream of 10", "µs", Relation::Ratio),
            Self::CpuPerLongStream => ("CPU per stream of 210", "µs", Relation::Ratio),
            Self::PerSecond => ("answers per second", "1/s", Relation::Ratio),
            Self::ChunksPerSecond => ("events per second", "1/s", Relation::Ratio),
            Self::P50 => ("latency, median", "µs", Relation::Difference),
            Self::P99 => ("latency, 99 %", "µs", Relation::Difference),
            Self::FirstTokenP50 => ("first token, median", "µs", Relation::Difference),
            Self::FirstTokenP99 => ("first token, 99 %", "µs", Relation::Difference),
            Self::LateTokens => ("first tokens after 20 ms", "%", Relation::None),
            Self::LateGaps => ("streams with a gap of 20 ms", "%", Relation::None),
            Self::IdleResident => ("memory at rest", "MiB", Relation::Difference),
            Self::ResidentPerStream => ("memory per open stream", "KiB", Relation::Difference),
            Self::LeftOpen => ("files left open after hang-up", "", Relation::None),
            Self::FirstAnswer => ("start to first answer", "ms", Relation::Difference),
            Self::CpuToFirstAnswer => ("CPU to first answer", "ms", Relation::Difference),
            Self::ServerBusy => ("server's core busy", "%", Relation::None),
            Self::Others => ("cores busy elsewhere", "", Relation::None),
        }
    }
}

/// What one turn of one server gave.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Readings {
    values: BTreeMap<Metric, f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    histograms: BTreeMap<&'static str, Histogram>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    faults: BTreeMap<String, u64>,
}

impl Readings {
    pub(crate) fn set(&mut self, metric: Metric, value: f64) {
        self.values.insert(metric, value);
    }

    /// Sets a value unless it was greater before.
    pub(crate) fn raise(&mut self, metric: Metric, value: f64) {
        let held = self.values.entry(metric).or_insert(value);
        *held = held.max(value);
    }

    pub(crate) fn add_histogram(&mut self, name: &'static str, histogram: &Histogram) {
        self.histograms.entry(name).or_default().add(histogram);
    }

    pub(crate) fn add_faults(&mut self, faults: &BTreeMap<String, u64>) {
        for (reason, count) in faults {
            *self.faults.entry(reason.clone()).or_default() += count;
        }
    }
}

/// A turn of each server.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Round {
    bare: Readings,
    gateway: Readings,
}

impl Round {
    pub(crate) fn of(&self, side: Side) -> &Readings {
        match side {
            Side::Bare => &self.bare,
            Side::Gateway => &self.gateway,
        }
    }

    pub(crate) fn of_mut(&mut self, side: Side) -> &mut Readings {
        match side {
            Side::Bare => &mut self.bare,
            Side::Gateway => &mut self.gateway,
        }
    }
}

/// What came of a scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    /// Why there are no rounds.
    pub(crate) failure: Option<String>,
    pub(crate) summary: Vec<Compared>,
    pub(crate) rounds: Vec<Round>,
}

/// One metric over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) metric: Metric,
    pub(crate) unit: &'static str,
    pub(crate) bare: Spread,
    pub(crate) gateway: Spread,
    /// Gateway by bare proxy, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<Spread>,
    /// Gateway less bare proxy, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<Spread>,
}

impl Outcome {
    pub(crate) fn failed(scenario: Scenario, failure: String) -> Self {
        Self { scenario, failure: Some(failure), summary: Vec::new(), rounds: Vec::new() }
    }

    pub(crate) fn of(scenario: Scenario, rounds: Vec<Round>) -> Self {
        let metrics = rounds.first().into_iter().flat_map(|round| round.bare.values.keys());
        let summary = metrics.filter_map(|metric| Compared::of(*metric, &rounds)).collect();
        Self { scenario, failure: None, summary, rounds }
    }

    /// Whether it ran, and every answer was what it should be.
    pub(crate) fn is_complete(&self) -> bool {
        self.failure.is_none() && Side::BOTH.into_iter().all(|side| self.faults(side).is_empty())
    }

    /// What was wrong with answers of one side.
    pub(crate) fn faults(&self, side: Side) -> BTreeMap<String, u64> {
        let mut all = Readings::default();
        for round in &self.rounds {
            all.add_faults(&round.of(side).faults);
        }
        all.faults
    }

    /// The histograms of one side over all rounds.
    pub(crate) fn histograms(&self, side: Side) -> BTreeMap<&'static str, Histogram> {
        let mut all = Readings::default();
        for round in &self.rounds {
            for (name, histogram) in &round.of(side).histograms {
                all.add_histogram(name, histogram);
            }
        }
        all.histograms
    }
}

impl Compared {
    /// `None` when a round lacks the metric on one side.
    fn of(metric: Metric, rounds: &[Round]) -> Option<Self> {
        let (_, unit, relation) = metric.about();
        let read = |side: Side| -> Option<Vec<f64>> {
            rounds.iter().map(|round| round.of(side).values.get(&metric).copied()).collect()
        };
        let (bare, gateway) = (read(Side::Bare)?, read(Side::Gateway)?);
        let pairs = || gateway.iter().zip(&bare);
        let ratio = pairs().map(|(gateway, bare)| gateway / bare);
        let added = pairs().map(|(gateway, bare)| gateway - bare);
        Some(Self {
            metric,
            unit,
            ratio: Spread::of(ratio).filter(|_| relation == Relation::Ratio),
            added: Spread::of(added).filter(|_| relation == Relation::Difference),
            bare: Spread::of(bare.iter().copied())?,
            gateway: Spread::of(gateway.iter().copied())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bare: f64, gateway: f64) -> Round {
        let mut round = Round::default();
        round.bare.set(Metric::CpuPerRequest, bare);
        round.gateway.set(Metric::CpuPerRequest, gateway);
        round
    }

    #[test]
    fn servers_are_compared_within_a_round() {
        // A machine that slows down between rounds does not change the ratio.
        let rounds = vec![round(10.0, 15.0), round(20.0, 30.0), round(30.0, 60.0)];
        let outcome = Outcome::of(Scenario::Whole2k, rounds);
        let ratio = outcome.summary[0].ratio.unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max), (1.5, 1.5, 2.0));
        assert!(outcome.summary[0].added.is_none());
        assert!(outcome.is_complete());
    }

    #[test]
    fn one_bad_answer_spoils_a_run() {
        let mut bad = round(10.0, 15.0);
        bad.gateway.add_faults(&BTreeMap::from([("no terminator".to_owned(), 1)]));
        let outcome = Outcome::of(Scenario::Whole2k, vec![round(10.0, 15.0), bad]);
        assert!(!outcome.is_complete());
        assert!(!Outcome::failed(Scenario::Whole2k, "no".to_owned()).is_complete());
    }
}
