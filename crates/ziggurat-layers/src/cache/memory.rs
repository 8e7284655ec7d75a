//! What is kept in this process.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use ziggurat_core::Instant;

use super::digest::Wire;
use super::{Entry, Key};

/// What another name for an entry weighs, in bytes, beside the text that it keeps.
const ALIAS: u64 = 192;
/// What an entry weighs, roughly: says how much is remembered of what was evicted.
const USUAL: u64 = 4 << 10;
/// Memory is divided into parts with a lock each, of this size at least: a part keeps nothing larger than itself.
const PART: u64 = 16 << 20;
const MOST_PARTS: u64 = 32;

/// Answers, and other names for them, bounded by weight and evicted by use.
pub(super) struct Memory {
    slots: Cache<Key, Slot, Weight>,
    hashes: DefaultHashBuilder,
}

#[derive(Clone)]
enum Slot {
    Entry(Arc<Held>),
    Name(Arc<Name>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Slot> for Weight {
    fn weight(&self, _: &Key, slot: &Slot) -> u64 {
        match slot {
            Slot::Entry(held) => held.weight,
            Slot::Name(name) => ALIAS + name.text.len() as u64,
        }
    }
}

/// The key of a call whose bytes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) key: Key,
    /// Whether usage was asked for at the end of the stream.
    pub(super) usage: bool,
}

/// What bytes ask for.
struct Name {
    /// The bytes, unless they are named by a digest.
    text: Box<[u8]>,
    alias: Alias,
}

/// An entry in this process. Its age counts from when it came here, on a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) entry: Entry,
    since: Instant,
    age: Duration,
    lives: Duration,
    weight: u64,
}

impl Held {
    pub(super) fn new(entry: Entry, now: Duration, most: Duration) -> Self {
        let age = now.saturating_sub(entry.created());
        let lives = entry.ttl().saturating_sub(age).min(most);
        let weight = entry.weight() as u64;
        Self { entry, since: Instant::now(), age, lives, weight }
    }

    pub(super) fn is_fresh(&self, max_age: Option<Duration>) -> bool {
        let here = self.since.elapsed();
        here < self.lives && max_age.is_none_or(|most| self.age.saturating_add(here) <= most)
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let parts = (bytes / PART).clamp(1, MOST_PARTS);
        // The next power of two would make parts too small.
        let parts = 1 << parts.ilog2();
        let options = OptionsBuilder::new()
            .shards(parts)
            .estimated_items_capacity(count((bytes / USUAL).max(1)))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are set");
        let hashes = DefaultHashBuilder::default();
        let lifecycle = DefaultLifecycle::default();
        let slots = Cache::with_options(options, Weight, hashes.clone(), lifecycle);
        Self { slots, hashes }
    }

    /// How many entries and names there are.
    pub(super) fn count(&self) -> u64 {
        self.slots.len() as u64
    }

    /// What they weigh, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.slots.weight()
    }

    pub(super) fn clear(&self) {
        self.slots.clear();
    }

    /// Forgets an answer; whether it was there.
    pub(super) fn remove(&self, key: &Key) -> bool {
        matches!(self.slots.remove(key), Some((_, Slot::Entry(_))))
    }

    pub(super) fn get(&self, key: &Key, max_age: Option<Duration>) -> Option<Arc<Held>> {
        let Slot::Entry(held) = self.slots.get(key)? else { return None };
        if held.is_fresh(max_age) {
            return Some(held);
        }
        if !held.is_fresh(None) {
            let same = |slot: &Slot| matches!(slot, Slot::Entry(now) if Arc::ptr_eq(now, &held));
            self.slots.remove_if(key, same);
        }
        None
    }

    pub(super) fn put(&self, key: Key, held: Arc<Held>) {
        self.slots.insert(key, Slot::Entry(held));
    }

    /// What these bytes ask for, if they came before.
    pub(super) fn alias(&self, wire: &Wire) -> Option<Alias> {
        let Slot::Name(name) = self.slots.get(&self.name(wire))? else { return None };
        // Of two texts that have one hash the later one is known.
        (*name.text == *wire.text()).then_some(name.alias)
    }

    pub(super) fn learn(&self, wire: Wire, alias: Alias) {
        let key = self.name(&wire);
        let name = Name { text: wire.into_text(), alias };
        self.slots.insert(key, Slot::Name(Arc::new(name)));
    }

    fn name(&self, wire: &Wire) -> Key {
        match wire {
            Wire::Digest(key) => *key,
            Wire::Text(text) => {
                let mut name = [0; 32];
                name[..8].copy_from_slice(&self.hashes.hash_one(&**text).to_le_bytes());
                Key::from_bytes(name)
            }
        }
    }
}
