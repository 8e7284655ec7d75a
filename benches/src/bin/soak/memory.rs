//! Whether memory is flat.

use std::time::Duration;

/// Resident memory over time.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(Duration, u64)>);

/// What became of it after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trend {
    /// The mean, in bytes.
    pub(crate) mean: f64,
    /// The most, in bytes.
    pub(crate) most: u64,
    /// By how much it grew from the warm-up to the end, on the line that fits best, in bytes.
    pub(crate) growth: f64,
}

impl Samples {
    pub(crate) fn push(&mut self, at: Duration, bytes: u64) {
        self.0.push((at, bytes));
    }

    /// The trend from `warm` on; `None` with fewer than three samples.
    pub(crate) fn trend(&self, warm: Duration) -> Option<Trend> {
        let after: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|(at, _)| *at >= warm)
            .map(|(at, bytes)| (at.as_secs_f64(), *bytes as f64))
            .collect();
        if after.len() < 3 {
            return None;
        }
        let count = after.len() as f64;
        let mean_at = after.iter().map(|(at, _)| at).sum::<f64>() / count;
        let mean = after.iter().map(|(_, bytes)| bytes).sum::<f64>() / count;
        let (mut with, mut alone) = (0.0, 0.0);
        for (at, bytes) in &after {
            with += (at - mean_at) * (bytes - mean);
            alone += (at - mean_at).powi(2);
        }
        let length = after[after.len() - 1].0 - after[0].0;
        let slope = if alone > 0.0 { with / alone } else { 0.0 };
        let most = self.0.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
        Some(Trend { mean, most, growth: slope * length })
    }
}

impl Trend {
    /// Whether it stayed the same, but for a twentieth and what an allocator likes to keep.
    pub(crate) fn is_flat(&self) -> bool {
        self.growth < self.mean / 20.0 + f64::from(4 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(bytes: impl Fn(u32) -> u32) -> Trend {
        let mut samples = Samples::default();
        for second in 0..100 {
            samples.push(Duration::from_secs(second.into()), bytes(second).into());
        }
        samples.trend(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn what_leaks_is_not_flat_and_what_swings_is() {
        let base = 100 << 20;
        let leaks = trend(|second| base + second * (1 << 20));
        assert!((leaks.growth / f64::from(79 << 20) - 1.0).abs() < 1e-6, "{leaks:?}");
        assert!(!leaks.is_flat());
        assert!(trend(|second| base + (second % 7) * (1 << 20)).is_flat());
        assert!(trend(|second| if second < 20 { second * (5 << 20) } else { base }).is_flat());
        assert!(Samples::default().trend(Duration::ZERO).is_none());
    }
}
