//! The accounts of all keys: found by what a call borrows, and bounded.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;

use super::Dimension;
use super::ledger::Account;

const SHARDS: usize = 16;
/// Below this many accounts a shard is not swept.
const FEW: usize = 64;

#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    /// How many accounts a shard keeps.
    most: usize,
}

#[derive(Debug, Default)]
struct Shard {
    accounts: HashTable<Arc<Account>>,
    /// When there are so many, those are taken out that say nothing.
    sweep_at: usize,
}

impl Table {
    pub(super) fn new(max_keys: usize) -> Self {
        let most = max_keys.div_ceil(SHARDS).max(1);
        let shards = std::array::from_fn(|_| {
            Mutex::new(Shard { sweep_at: FEW.min(most), ..Shard::default() }).into()
        });
        Self { hasher: RandomState::new(), shards, most }
    }

    /// The account of a key, made when it is new.
    pub(super) fn account(
        &self,
        dimension: &Dimension<'_>,
        now: impl FnOnce() -> u64,
    ) -> Arc<Account> {
        let (key, of) = dimension.key.parts();
        let hash = self.hash(&dimension.name, key, of);
        // The table of hashes uses their upper and lower bits; the shard is chosen by some in the middle.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shard.accounts.find(hash, |account| account.is(dimension)) {
            return Arc::clone(known);
        }
        if shard.accounts.len() >= shard.sweep_at {
            shard.sweep(now(), self.most);
        }
        let account = Arc::new(Account::new(dimension));
        let rehash = |account: &Arc<Account>| {
            let (dimension, key, of) = account.names();
            self.hash(dimension, key, of)
        };
        shard.accounts.insert_unique(hash, Arc::clone(&account), rehash);
        account
    }

    pub(super) fn len(&self) -> usize {
        let count = |shard: &CachePadded<Mutex<Shard>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).accounts.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn hash(&self, dimension: &str, key: &str, of: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for part in [dimension, key, of] {
            hasher.write(part.as_bytes());
            // What no UTF-8 holds, as `str` itself ends.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }
}

impl Shard {
    /// Takes out what is as good as new. When that is not enough, an eighth goes: those that are nearest to being as good as new.
    /// An account that somebody holds stays in any case, so that nothing is counted where nobody looks.
    fn sweep(&mut self, now: u64, most: usize) {
        let unheld = |account: &Arc<Account>| {
            // Clones are made under the lock of this shard only.
            (Arc::strong_count(account) == 1).then(|| account.idle_from()).flatten()
        };
        self.accounts.retain(|account| unheld(account).is_none_or(|idle| idle > now));
        if self.accounts.len() >= most {
            let mut idle: Vec<u64> = self.accounts.iter().filter_map(unheld).collect();
            let eighth = (most / 8).min(idle.len().saturating_sub(1));
            if !idle.is_empty() {
                let (_, last, _) = idle.select_nth_unstable(eighth);
                let last = *last;
                self.accounts.retain(|account| unheld(account).is_none_or(|idle| idle > last));
            }
        }
        self.sweep_at = (self.accounts.len() * 2).clamp(FEW.min(most), most);
    }
}
