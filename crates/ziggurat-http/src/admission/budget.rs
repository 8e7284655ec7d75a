//! What is in the process, and how much more fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Budget {
    calls: Gauge,
    bytes: Gauge,
}

#[derive(Debug)]
struct Gauge {
    most: AtomicU64,
    taken: AtomicU64,
}

/// A place in the budget, given back when dropped.
#[derive(Debug, Default)]
pub struct Permit {
    budget: Option<Arc<Budget>>,
    bytes: AtomicU64,
}

impl Budget {
    pub(super) fn new(calls: u64, bytes: u64) -> Self {
        let gauge = |most| Gauge { most: AtomicU64::new(most), taken: AtomicU64::new(0) };
        Self { calls: gauge(calls), bytes: gauge(bytes) }
    }

    /// Changes the bounds. What is in the process already stays.
    pub(super) fn bound(&self, calls: u64, bytes: u64) {
        self.calls.most.store(calls, Ordering::Relaxed);
        self.bytes.most.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn admit(budget: &Arc<Self>, bytes: u64) -> Option<Permit> {
        if !budget.calls.take(1) {
            return None;
        }
        if !budget.bytes.take(bytes) {
            budget.calls.give(1);
            return None;
        }
        Some(Permit { budget: Some(Arc::clone(budget)), bytes: AtomicU64::new(bytes) })
    }

    pub(super) fn taken(&self) -> (u64, u64) {
        let load = |gauge: &Gauge| gauge.taken.load(Ordering::Relaxed);
        (load(&self.calls), load(&self.bytes))
    }
}

impl Permit {
    /// Takes more bytes, if they fit.
    pub(super) fn grow(&self, bytes: u64) -> bool {
        let Some(budget) = self.budget.as_ref().filter(|_| bytes > 0) else { return true };
        let fits = budget.bytes.take(bytes);
        if fits {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.calls.give(1);
            budget.bytes.give(*self.bytes.get_mut());
        }
    }
}

impl Gauge {
    fn take(&self, amount: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let fits = |taken: u64| taken.checked_add(amount).filter(|sum| *sum <= most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give(&self, amount: u64) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Arc::new(Budget::new(2, 100));
        let first = Budget::admit(&budget, 60).unwrap();
        assert!(Budget::admit(&budget, 60).is_none());
        assert!(first.grow(40));
        assert!(!first.grow(1));
        assert_eq!(budget.taken(), (1, 100));
        drop(first);
        assert_eq!(budget.taken(), (0, 0));
    }

    #[test]
    fn bounds_may_change_under_what_is_there() {
        let budget = Arc::new(Budget::new(2, 100));
        let first = Budget::admit(&budget, 60).unwrap();
        budget.bound(1, 50);
        assert!(Budget::admit(&budget, 0).is_none());
        assert!(!first.grow(1));
        budget.bound(2, 200);
        assert!(first.grow(100));
        drop(first);
        assert_eq!(budget.taken(), (0, 0));
    }

    #[test]
    fn a_flood_of_empty_calls_is_bounded_as_well() {
        let budget = Arc::new(Budget::new(1, 100));
        let first = Budget::admit(&budget, 0).unwrap();
        assert!(Budget::admit(&budget, 0).is_none());
        drop(first);
        assert!(Budget::admit(&budget, 0).is_some());
    }
}
