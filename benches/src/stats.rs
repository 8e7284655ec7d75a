//! Summaries of many measurements.

use std::time::Duration;

use serde::Serialize;

/// Durations of one kind, from which quantiles are read once the run is over.
#[derive(Debug, Default, Clone)]
pub struct Durations {
    nanos: Vec<u64>,
}

/// The quantiles of a set of durations, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: usize,
    /// Half were at most this long.
    pub p50: f64,
    /// Nine in ten were.
    pub p90: f64,
    /// Ninety-nine in a hundred were.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Durations {
    /// Adds one.
    pub fn push(&mut self, duration: Duration) {
        self.nanos.push(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        self.nanos.extend_from_slice(&other.nanos);
    }

    /// The quantiles by nearest rank, or `None` when there is nothing.
    pub fn quantiles(&mut self) -> Option<Quantiles> {
        self.nanos.sort_unstable();
        let count = self.nanos.len();
        let max = *self.nanos.last()? as f64 / 1e3;
        let rank = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1);
            self.nanos[rank - 1] as f64 / 1e3
        };
        Some(Quantiles { count, p50: rank(50), p90: rank(90), p99: rank(99), max })
    }

    /// How many fall below each bound of [`BUCKETS_MS`], and above the last.
    pub fn histogram(&self) -> Histogram {
        let mut counts = [0; BUCKETS_MS.len() + 1];
        for nanos in &self.nanos {
            let millis = *nanos as f64 / 1e6;
            counts[BUCKETS_MS.partition_point(|bound| *bound <= millis)] += 1;
        }
        Histogram { bounds_ms: BUCKETS_MS, counts }
    }
}

/// Bounds of the histogram's buckets. A delayed acknowledgement shows between 35 and 50 ms.
pub const BUCKETS_MS: [f64; 8] = [1.0, 2.0, 3.5, 5.0, 10.0, 20.0, 35.0, 50.0];

/// Counts by duration.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// Upper bounds in milliseconds, exclusive; the last bucket has none.
    pub bounds_ms: [f64; BUCKETS_MS.len()],
    /// How many fell into each bucket.
    pub counts: [u64; BUCKETS_MS.len() + 1],
}

impl Histogram {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.bounds_ms = other.bounds_ms;
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// The share that lasted 20 ms or longer, from 0 to 1.
    pub fn late_share(&self) -> f64 {
        let late: u64 = self.counts[6..].iter().sum();
        late as f64 / self.counts.iter().sum::<u64>().max(1) as f64
    }
}

/// The least, the middle and the greatest of one number over the rounds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle, or the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
    /// Between which two of them the middle of ever more rounds would lie, at 95 % confidence, however they are distributed.
    /// The least and the greatest where there are fewer than six.
    pub sure: (f64, f64),
}

impl Spread {
    /// The spread of `values`, or `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        let left_out = outside(values.len());
        let sure = (values[left_out], values[values.len() - 1 - left_out]);
        Some(Self { min, median, max, sure })
    }
}

/// How many of so many sorted values may be left out at either end so that those that are left hold the true median between
/// them with 95 % confidence: how many lie below it is binomial, as heads of a coin are.
fn outside(count: usize) -> usize {
    const EITHER_END: f64 = 0.025;
    // The probability of `below` heads is the one before it times what is chosen anew.
    let mut heads = 0.5_f64.powf(count as f64);
    let mut probability = heads;
    let mut below = 0;
    while probability <= EITHER_END && below < count {
        heads *= (count - below) as f64 / (below + 1) as f64;
        probability += heads;
        below += 1;
    }
    below.saturating_sub(1).min(count.saturating_sub(1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: &[u64]) -> Durations {
        let mut durations = Durations::default();
        for value in values {
            durations.push(Duration::from_millis(*value));
        }
        durations
    }

    #[test]
    fn quantiles_are_durations_that_were_measured() {
        let mut durations = millis(&[3, 1, 2]);
        let quantiles = durations.quantiles().unwrap();
        assert_eq!((quantiles.count, quantiles.p50, quantiles.p99), (3, 2e3, 3e3));
        assert_eq!(millis(&[]).quantiles(), None);
    }

    #[test]
    fn a_late_token_shows_in_its_bucket() {
        let mut histogram = millis(&[0, 2, 40, 41]).histogram();
        assert_eq!(histogram.counts, [1, 0, 1, 0, 0, 0, 0, 2, 0]);
        histogram.add(&millis(&[60]).histogram());
        assert_eq!(histogram.counts.iter().sum::<u64>(), 5);
        assert!((histogram.late_share() - 0.6).abs() < 1e-9);
    }

    #[test]
    fn a_spread_has_its_median_in_the_middle() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 3.0));
        let even = Spread::of([1.0, 2.0]).unwrap();
        assert_eq!(even, Spread { min: 1.0, median: 1.5, max: 2.0, sure: (1.0, 2.0) });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_median_is_sure_between_values_that_tables_name() {
        // Ranks of the sign test's interval at 95 %, as statistical tables have them, from one.
        for (count, first) in [(5, 1), (6, 1), (9, 2), (15, 4), (20, 6), (31, 10), (101, 41)] {
            let spread = Spread::of((1..=count).map(f64::from)).unwrap();
            assert_eq!(spread.sure, (f64::from(first), f64::from(count + 1 - first)), "{count}");
        }
    }
}
