//! A count over the last minute.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::{MINUTE, SECOND};

/// A count over the last minute, in one word: the minute (16 bits), what was counted in the one before it and in it (24 bits
/// each). What falls out of the window does so evenly.
#[derive(Debug, Default)]
pub(super) struct Minute(AtomicU64);

const MOST: u64 = (1 << 24) - 1;

impl Minute {
    pub(super) fn add(&self, now: u64, count: u64) {
        let add = |word| {
            let (before, current) = unpack(word, now);
            Some(pack(now, before, current.saturating_add(count).min(MOST)))
        };
        // Never refused.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(super) fn count(&self, now: u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if word == 0 {
            return 0;
        }
        let (before, current) = unpack(word, now);
        let left = 60 - now % MINUTE / SECOND;
        before * left / 60 + current
    }
}

fn pack(now: u64, before: u64, current: u64) -> u64 {
    (((now / MINUTE) & 0xffff) << 48) | (before << 24) | current
}

/// What was counted in the minute before this one, and in it.
fn unpack(word: u64, now: u64) -> (u64, u64) {
    let (minute, before, current) = (word >> 48, word >> 24 & MOST, word & MOST);
    match (now / MINUTE).wrapping_sub(minute) & 0xffff {
        0 => (before, current),
        1 => (current, 0),
        // A count that is a moment ahead of a clock that was read before.
        0xffff => (before, current),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_is_forgotten_little_by_little() {
        let minute = Minute::default();
        let at = |secs: u64| 7 * MINUTE + secs * SECOND;
        minute.add(at(0), 30);
        minute.add(at(50), 30);
        assert_eq!(minute.count(at(59)), 60);
        assert_eq!(minute.count(at(60)), 60);
        assert_eq!(minute.count(at(90)), 30);
        minute.add(at(90), 5);
        assert_eq!(minute.count(at(119)), 6);
        assert_eq!(minute.count(at(180)), 0);
        minute.add(at(240), u64::MAX);
        assert_eq!(minute.count(at(240)), MOST);
    }
}
