//! So much in a minute, without windows.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::MINUTE;

/// How much was taken of what a minute allows: a generic cell rate algorithm in one word, and what is held for calls that have
/// not ended in another.
///
/// The word says when all that was taken will have come back, one by one and evenly. So at most `limit` is taken at once, and in
/// any time `t` at most `limit × (1 + t / 60 s)`: there is no edge of a window at which twice the limit passes.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    whole: AtomicU64,
    held: AtomicU64,
}

/// What was taken beyond the limit, because more was used than held, is paid back for so long at most.
const DEBT: u64 = 10 * MINUTE;

impl Bucket {
    /// Whether so much may be taken.
    pub(super) fn has(&self, now: u64, count: u64, limit: u64) -> bool {
        let held = self.held.load(Ordering::SeqCst);
        let level = self.whole.load(Ordering::SeqCst).saturating_sub(now);
        limit > 0 && fits(level, held.saturating_add(count.min(limit)), limit)
    }

    /// For how long, in nanoseconds, so much cannot be taken; never, when `limit` is 0. What is held may come back earlier or
    /// later; it is waited for as if it were used.
    pub(super) fn missing(&self, now: u64, count: u64, limit: u64) -> u64 {
        if limit == 0 {
            return u64::MAX;
        }
        let held = self.held.load(Ordering::SeqCst);
        let level = self.whole.load(Ordering::SeqCst).saturating_sub(now);
        level
            .saturating_add(time(held.saturating_add(count.min(limit)), limit))
            .saturating_sub(MINUTE)
    }

    /// Takes so much at once, if it is there.
    pub(super) fn take(&self, now: u64, count: u64, limit: u64) -> bool {
        if limit == 0 {
            return false;
        }
        let cost = time(count.min(limit), limit);
        let next = |whole: u64| {
            let then = whole.max(now).saturating_add(cost);
            (then - now <= MINUTE).then_some(then)
        };
        self.whole.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Puts back what was taken and not used.
    pub(super) fn put_back(&self, count: u64, limit: u64) {
        let back = time(count.min(limit), limit);
        let next = |whole: u64| Some(whole.saturating_sub(back));
        let _ = self.whole.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
    }

    /// Holds so much for a call, if it is there.
    pub(super) fn hold(&self, now: u64, count: u64, limit: u64) -> bool {
        if limit == 0 {
            return false;
        }
        let fits = |held: u64| {
            let level = self.whole.load(Ordering::SeqCst).saturating_sub(now);
            fits(level, held, limit)
        };
        let next = |held: u64| held.checked_add(count).filter(|held| fits(*held));
        let held = self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        let Ok(before) = held else { return false };
        // A call that ended meanwhile has booked before it let go: what it held is in `before`, unless the two numbers were
        // read from either side of it. Then it is seen now.
        if fits(before.saturating_add(count)) {
            return true;
        }
        self.held.fetch_sub(count, Ordering::SeqCst);
        false
    }

    /// A call has ended: lets go what it held and books what it used.
    pub(super) fn settle(&self, now: u64, held: u64, used: u64, limit: u64) {
        if used > 0 && limit > 0 {
            let next = |whole: u64| {
                let then = whole.max(now).saturating_add(time(used, limit));
                Some(then.min(whole.max(now.saturating_add(DEBT))))
            };
            let _ = self.whole.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        }
        self.held.fetch_sub(held, Ordering::SeqCst);
    }

    /// How much is held.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// Whether so much comes back within a minute, after what takes `level` to: the same as `level + time(count, limit) <= MINUTE`, without
/// a division, since it is asked of every deployment in every decision.
fn fits(level: u64, count: u64, limit: u64) -> bool {
    let Some(room) = MINUTE.checked_sub(level) else { return false };
    u128::from(count) * u128::from(MINUTE) < (u128::from(room) + 1) * u128::from(limit)
}

/// How long so much takes to come back.
fn time(count: u64, limit: u64) -> u64 {
    let nanos = u128::from(count) * u128::from(MINUTE) / u128::from(limit.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::clock::SECOND;

    #[test]
    fn what_fits_is_what_comes_back_in_time() {
        let odd = [0, 1, 2, 7, 59, 60, 61, 1000, MINUTE - 1, MINUTE, MINUTE + 1, u64::MAX];
        for level in odd {
            for count in odd {
                for limit in odd.into_iter().filter(|limit| *limit > 0) {
                    let expected = level.saturating_add(time(count, limit)) <= MINUTE;
                    assert_eq!(fits(level, count, limit), expected, "{level} {count} {limit}");
                }
            }
        }
    }

    #[test]
    fn a_limit_is_taken_at_once_and_comes_back_evenly() {
        let bucket = Bucket::default();
        let now = 100 * MINUTE;
        assert_eq!((0..100).filter(|_| bucket.take(now, 1, 7)).count(), 7);
        assert_eq!(bucket.missing(now, 1, 7).div_ceil(SECOND), 9);
        assert!(!bucket.take(now + 8 * SECOND, 1, 7));
        assert!(bucket.take(now + 9 * SECOND, 1, 7));
        assert!(!bucket.take(now + 9 * SECOND, 1, 7));
    }

    #[test]
    fn the_edge_of_a_minute_lets_nothing_extra_through() {
        // What went wrong elsewhere: counters that reset at the minute pass twice the limit around it.
        let bucket = Bucket::default();
        let late = 100 * MINUTE - SECOND / 2;
        let taken = |now| (0..100).filter(|_| bucket.take(now, 1, 60)).count();
        assert_eq!(taken(late), 60);
        assert_eq!(taken(late + SECOND), 1);
    }

    #[test]
    fn what_is_held_is_settled_for_what_was_used() {
        let bucket = Bucket::default();
        let now = 100 * MINUTE;
        assert!(bucket.hold(now, 600, 1000));
        assert!(!bucket.hold(now, 600, 1000));
        assert!(bucket.missing(now, 600, 1000) > 0);
        bucket.settle(now, 600, 100, 1000);
        assert_eq!(bucket.held(), 0);
        assert!(bucket.hold(now, 900, 1000));
        assert!(!bucket.hold(now, 1, 1000));
        bucket.settle(now, 900, 0, 1000);
        assert!(bucket.hold(now, 900, 1000));
    }

    #[test]
    fn more_than_was_held_is_paid_back_and_not_for_ever() {
        let bucket = Bucket::default();
        let now = 100 * MINUTE;
        assert!(bucket.hold(now, 10, 1000));
        bucket.settle(now, 10, 2000, 1000);
        assert!(!bucket.hold(now + MINUTE, 1, 1000));
        assert!(bucket.hold(now + 2 * MINUTE, 1, 1000));
        bucket.settle(now + 2 * MINUTE, 1, u64::MAX, 1000);
        assert_eq!(bucket.missing(now + 2 * MINUTE, 1000, 1000), DEBT);
    }

    #[test]
    fn what_never_left_is_put_back() {
        let bucket = Bucket::default();
        let now = 100 * MINUTE;
        assert!(bucket.take(now, 1, 1));
        bucket.put_back(1, 1);
        assert!(bucket.take(now, 1, 1));
        // No credit beyond what a minute allows.
        bucket.put_back(1, 1);
        bucket.put_back(1, 1);
        assert!(bucket.take(now, 1, 1));
        assert!(!bucket.take(now, 1, 1));
    }

    #[test]
    fn nothing_of_nothing_and_no_more_than_everything() {
        let bucket = Bucket::default();
        assert!(!bucket.take(MINUTE, 1, 0));
        assert!(!bucket.hold(MINUTE, 0, 0));
        assert!(
            bucket.take(MINUTE, 1_000_000, 10),
            "a call that is larger than the limit has it all"
        );
        assert!(!bucket.has(MINUTE, 1, 10));
    }
}
