//! Which deployment a session sticks to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::{SECOND, nanos};

/// Where sessions were sent: a table of fixed size, four places to a row, one word each: a mark of the session (22 bits), the
/// number of the deployment (16 bits), and the second in which the session is forgotten (26 bits, two years).
///
/// Two sessions that share row and mark (one pair in many billions) share a deployment, which harms nobody; when a row is full,
/// the session that would be forgotten first makes room.
#[derive(Debug)]
pub(super) struct Sessions {
    seed: u64,
    places: OnceLock<Box<[AtomicU64]>>,
}

/// How many sessions are remembered: half a megabyte, once the first is.
pub(super) const MOST: usize = 1 << 16;
const WAYS: usize = 4;
const UNTIL: u64 = (1 << 26) - 1;

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, places: OnceLock::new() }
    }

    /// Names a session within a group.
    pub(super) fn key(&self, group: &str, kind: u8, session: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, group, kind, session).hash(&mut hasher);
        hasher.finish()
    }

    /// Where this session was sent.
    pub(super) fn find(&self, key: u64, now: u64) -> Option<u16> {
        let row = self.row(key)?;
        let found = row.iter().map(|place| place.load(Ordering::Relaxed));
        let mut found = found.filter(|word| word >> 42 == key >> 42 && word & UNTIL > now / SECOND);
        found.next().and_then(|word| u16::try_from(word >> 26 & 0xffff).ok())
    }

    /// Remembers where this session is sent.
    pub(super) fn keep(&self, key: u64, number: u16, now: u64, time: Duration) {
        let make = || (0..MOST).map(|_| AtomicU64::new(0)).collect();
        self.places.get_or_init(make);
        let Some(row) = self.row(key) else { return };
        let until = (now.saturating_add(nanos(time)) / SECOND).min(UNTIL);
        let word = (key >> 42) << 42 | u64::from(number) << 26 | until;
        let same = |place: &&AtomicU64| place.load(Ordering::Relaxed) >> 42 == key >> 42;
        let place = row
            .iter()
            .find(same)
            .or_else(|| row.iter().min_by_key(|place| place.load(Ordering::Relaxed) & UNTIL));
        if let Some(place) = place {
            place.store(word, Ordering::Relaxed);
        }
    }

    fn row(&self, key: u64) -> Option<&[AtomicU64]> {
        let places = self.places.get()?;
        let row = usize::try_from(key & (MOST / WAYS - 1) as u64).ok()? * WAYS;
        places.get(row..row + WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1000 * SECOND;
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_session_is_remembered_for_its_time() {
        let sessions = Sessions::new(7);
        let key = sessions.key("m", 0, "s");
        assert_eq!(sessions.find(key, NOW), None);
        sessions.keep(key, 300, NOW, HOUR);
        assert_eq!(sessions.find(key, NOW + 3599 * SECOND), Some(300));
        assert_eq!(sessions.find(key, NOW + 3600 * SECOND), None);
        sessions.keep(key, 2, NOW, HOUR);
        assert_eq!(sessions.find(key, NOW), Some(2));
        assert_eq!(sessions.find(sessions.key("other", 0, "s"), NOW), None);
        assert_eq!(sessions.find(sessions.key("m", 1, "s"), NOW), None);
    }

    #[test]
    fn sessions_beyond_the_bound_push_out_the_oldest_of_their_row() {
        let sessions = Sessions::new(7);
        let keys: Vec<u64> = (0..MOST * 2).map(|n| sessions.key("m", 0, &n.to_string())).collect();
        for (at, key) in keys.iter().enumerate() {
            sessions.keep(*key, 1, NOW + at as u64 * SECOND / 1000, HOUR);
        }
        let found = keys.iter().filter(|key| sessions.find(**key, NOW).is_some()).count();
        assert!(found <= MOST, "{found}");
        let late = &keys[keys.len() - 1000..];
        let found = late.iter().filter(|key| sessions.find(**key, NOW).is_some()).count();
        assert!(found > 950, "{found}");
    }
}
