//! What Redis is to the limits of several gateways: counts that all see, leases that heal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ziggurat::layers::rate_limit::{Acquire, Lease, SharedLimits, Tokens, Unavailable, Verdict};
use ziggurat::{LimitKind, LimitState, RateLimits};
use ziggurat_testkit::sim::{Link, World};

/// How long the places of a gateway that died stay taken.
const LEASE: Duration = Duration::from_secs(60);
/// How often it is told who is alive, and who is not.
const TELL: Duration = Duration::from_secs(1);
const AWAY: Unavailable = Unavailable { retry_after: TELL };

/// What is known of all dimensions.
#[derive(Default)]
struct Counts(BTreeMap<String, Dimension>);

#[derive(Default)]
struct Dimension {
    /// When the next cell of each rate is due, in microseconds.
    due: Vec<u128>,
    /// Who is in flight, with what it holds, until when unless that is said again.
    leases: BTreeMap<String, (Tokens, Duration)>,
}

/// The counts, from one gateway.
pub(super) struct SharedCounts {
    link: Link<Counts>,
    books: Arc<Mutex<Books>>,
}

/// Whom this gateway let pass.
#[derive(Default)]
struct Books {
    live: BTreeMap<String, Arc<Lease>>,
    ended: VecDeque<(Arc<Lease>, Tokens)>,
}

impl SharedCounts {
    pub(super) fn new(world: &World) -> Self {
        let link = world.shared::<Counts>("redis");
        let books = Arc::<Mutex<Books>>::default();
        let (told, weak) = (link.clone(), Arc::downgrade(&books));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TELL).await;
                let Some(books) = weak.upgrade() else { return };
                tell(&told, &books).await;
            }
        });
        Self { link, books }
    }
}

/// Tells what has ended, and who is still there.
async fn tell(link: &Link<Counts>, books: &Mutex<Books>) {
    let (ended, live) = {
        let mut books = books.lock().unwrap();
        (std::mem::take(&mut books.ended), books.live.values().cloned().collect::<Vec<_>>())
    };
    let (again, now) = (ended.clone(), link.time());
    let told = link.call(move |counts| {
        for (lease, used) in ended {
            counts.end(&lease, used, now);
        }
        for lease in live {
            counts.renew(&lease, now);
        }
    });
    if told.await.is_err() {
        // Perhaps it was done, perhaps not: it may be said twice.
        let mut books = books.lock().unwrap();
        for one in again.into_iter().rev() {
            books.ended.push_front(one);
        }
    }
}

impl SharedLimits for SharedCounts {
    fn acquire(&self, lease: Arc<Lease>) -> Acquire {
        let (link, books) = (self.link.clone(), Arc::clone(&self.books));
        Box::pin(async move {
            let mut asked = Asked { books, lease: Some(Arc::clone(&lease)) };
            let asking = Arc::clone(&lease);
            let now = link.time();
            let verdict =
                link.call(move |counts| counts.acquire(&asking, now)).await.map_err(|_| AWAY)?;
            asked.lease = None;
            if matches!(verdict, Verdict::Granted(_)) {
                asked.books.lock().unwrap().live.insert(lease.id().to_string(), lease);
            }
            Ok(verdict)
        })
    }

    fn adopt(&self, lease: Arc<Lease>) {
        self.books.lock().unwrap().live.insert(lease.id().to_string(), lease);
    }

    fn settle(&self, lease: Arc<Lease>, used: Tokens) {
        let mut books = self.books.lock().unwrap();
        books.live.remove(lease.id().as_str());
        books.ended.push_back((lease, used));
    }
}

/// A lease that was asked for and not answered: it may have been granted, so it is given back.
struct Asked {
    books: Arc<Mutex<Books>>,
    lease: Option<Arc<Lease>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.books.lock().unwrap().ended.push_back((lease, Tokens::default()));
        }
    }
}

fn micros(time: Duration, times: u64, of: u64) -> u128 {
    (time.as_micros() * u128::from(times)).div_ceil(u128::from(of.max(1)))
}

impl Counts {
    fn at(&mut self, lease: &Lease, now: Duration) -> Vec<&mut Dimension> {
        let names: Vec<_> = lease
            .dimensions()
            .map(|dimension| format!("{}:{}:{}", dimension.name, dimension.of, dimension.key))
            .collect();
        for (name, asked) in names.iter().zip(lease.dimensions()) {
            let dimension = self.0.entry(name.clone()).or_default();
            dimension.due.resize(asked.limits.rates().count(), 0);
            for due in &mut dimension.due {
                *due = (*due).max(now.as_micros());
            }
            dimension.leases.retain(|_, (_, until)| *until > now);
        }
        self.0.iter_mut().filter(|(name, _)| names.contains(name)).map(|(_, it)| it).collect()
    }

    fn acquire(&mut self, lease: &Lease, now: Duration) -> Verdict {
        let tokens = lease.tokens();
        let mut left = RateLimits::default();
        // There is one dimension in these tests; with more the order would be the names'.
        let mut found = self.at(lease, now);
        assert_eq!(found.len(), 1, "as many dimensions as the rules make");
        for (place, asked) in lease.dimensions().enumerate() {
            let dimension = &mut found[place];
            if let Some(most) = asked.limits.most_parallel() {
                let taken = dimension.leases.len() as u64;
                let state = LimitState::new(most, most.saturating_sub(taken + 1), LEASE);
                left.tighten(LimitKind::Parallel, state);
                if taken >= most {
                    let wait = Duration::from_secs(1);
                    return Verdict::Refused { dimension: place, rate: None, wait, left };
                }
            }
            for (at, rate) in asked.limits.rates().enumerate() {
                let of = |tokens: Tokens| tokens.of(rate.kind());
                let held: u64 =
                    dimension.leases.values().filter_map(|(tokens, _)| of(*tokens)).sum();
                let amount = of(tokens).unwrap_or(1);
                let cost = micros(rate.period(), held + amount, rate.amount());
                let room = micros(rate.period(), rate.most(), rate.amount());
                let full = now.as_micros() + room;
                if dimension.due[at] + cost > full {
                    let wait = u64::try_from(dimension.due[at] + cost - full).unwrap();
                    let wait = Duration::from_micros(wait);
                    return Verdict::Refused { dimension: place, rate: Some(at), wait, left };
                }
            }
        }
        for (place, asked) in lease.dimensions().enumerate() {
            let dimension = &mut found[place];
            for (at, rate) in asked.limits.rates().enumerate() {
                if rate.kind() == LimitKind::Requests {
                    dimension.due[at] += micros(rate.period(), 1, rate.amount());
                }
            }
            dimension.leases.insert(lease.id().to_string(), (tokens, now + LEASE));
        }
        Verdict::Granted(left)
    }

    fn end(&mut self, lease: &Lease, used: Tokens, now: Duration) {
        let mut found = self.at(lease, now);
        for (place, asked) in lease.dimensions().enumerate() {
            let dimension = &mut found[place];
            // Told before: nothing is used twice.
            if dimension.leases.remove(lease.id().as_str()).is_none() {
                continue;
            }
            for (at, rate) in asked.limits.rates().enumerate() {
                if let Some(used) = used.of(rate.kind()) {
                    dimension.due[at] += micros(rate.period(), used, rate.amount());
                }
            }
        }
    }

    fn renew(&mut self, lease: &Lease, now: Duration) {
        for dimension in self.at(lease, now) {
            dimension.leases.insert(lease.id().to_string(), (lease.tokens(), now + LEASE));
        }
    }
}
