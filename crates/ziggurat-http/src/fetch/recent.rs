//! What was fetched a moment ago.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ziggurat_core::{Instant, Source, Str};

/// How long it is known, which is for the attempts of one call.
const KEPT: Duration = Duration::from_secs(60);
/// How much is known at most, in bytes.
const MOST: usize = 64 << 20;

/// What was fetched a moment ago, by call and address: an attempt that follows another asks nobody again.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    call: Str,
    address: Str,
    source: Source,
    until: Instant,
}

impl Recent {
    pub(super) fn find(&self, call: &Str, address: &str) -> Option<Source> {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while known.front().is_some_and(|oldest| oldest.until <= now) {
            known.pop_front();
        }
        let found = known.iter().find(|known| known.call == *call && known.address == *address);
        found.map(|known| known.source.clone())
    }

    pub(super) fn learn(&self, call: &Str, address: &Str, source: &Source) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (call, address) = (call.clone(), address.clone());
        known.push_back(Known {
            call,
            address,
            source: source.clone(),
            until: Instant::now() + KEPT,
        });
        let mut held: usize = known.iter().map(|known| size(&known.source)).sum();
        while held > MOST
            && let Some(oldest) = known.pop_front()
        {
            held -= size(&oldest.source);
        }
    }
}

/// How many bytes a medium takes here.
pub(super) fn size(source: &Source) -> usize {
    match source {
        Source::Base64 { data, .. } => data.len(),
        Source::Text { text, .. } => text.len(),
        _ => 0,
    }
}
