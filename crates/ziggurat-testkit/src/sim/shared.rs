//! State that several instances share, over a network that fails.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::world::World;

/// A way to state that all instances share: what Redis is to a gateway.
///
/// ```
/// use ziggurat_testkit::sim::{Lost, World};
///
/// /// Counts for everyone.
/// async fn count(world: &World) -> Result<u64, Lost> {
///     let link = world.shared::<u64>("redis");
///     link.call(|count| {
///         *count += 1;
///         *count
///     })
///     .await
/// }
/// ```
///
/// What is done through it is atomic and takes a while. While the state is lost (a [`StoreLoss`](super::Fault::StoreLoss)) it
/// fails at once, or after [`patience`](Self::patience); an instance that was killed never reaches it again. Whoever is told
/// that a call failed does not know whether it was done, as with every network.
pub struct Link<T> {
    world: World,
    name: Arc<str>,
    state: Arc<Mutex<Kept<T>>>,
    patience: Duration,
}

/// The shared state cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// It was not asked.
    Refused,
    /// It was asked, or not, and did not answer.
    Unanswered,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the shared state refuses connections",
            Self::Unanswered => "the shared state did not answer",
        })
    }
}

impl std::error::Error for Lost {}

/// Whether shared state is away, and how.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Away>);

#[derive(Clone, Copy, Debug, Default)]
struct Away {
    how: Option<Manner>,
    /// How many times it forgot everything.
    wiped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Refuses,
    Silent,
}

impl Outage {
    fn now(&self) -> Away {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, manner: Manner, wipe: bool) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.how = Some(manner);
        away.wiped += u64::from(wipe);
    }

    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).how = None;
    }
}

/// State that knows whether it was told to forget.
#[derive(Debug, Default)]
pub(super) struct Kept<T> {
    state: T,
    wiped: u64,
}

impl<T: Default + Send + 'static> Link<T> {
    pub(super) fn new(world: World, name: &str, state: Arc<Mutex<Kept<T>>>) -> Self {
        Self { world, name: name.into(), state, patience: Duration::from_secs(1) }
    }

    /// How long to wait for an answer of a state that is silent. A second unless told.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The state's own clock: it goes on evenly, whatever the wall clocks of the instances do.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.world.elapsed()
    }

    /// Does this with the state, in one round trip.
    ///
    /// # Errors
    ///
    /// When the state is away: perhaps before this was done, perhaps after.
    pub async fn call<R: Send>(&self, work: impl FnOnce(&mut T) -> R + Send) -> Result<R, Lost> {
        let travel = || self.world.inner.network.time(Duration::ZERO, Duration::from_millis(3));
        self.reach().await?;
        sleep(travel()).await;
        self.reach().await?;
        let done = self.work(work);
        sleep(travel()).await;
        self.reach().await?;
        Ok(done)
    }

    /// Does this with the state at once, where nobody can wait for it.
    ///
    /// # Errors
    ///
    /// When the state is away: it was not done.
    pub fn now<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R, Lost> {
        match self.away() {
            None => Ok(self.work(work)),
            Some(Manner::Refuses) => Err(Lost::Refused),
            Some(Manner::Silent) => Err(Lost::Unanswered),
        }
    }

    fn work<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let wiped = self.world.inner.outage.now().wiped;
        let mut kept = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(kept.current(wiped))
    }

    fn away(&self) -> Option<Manner> {
        if self.world.instance.is_crashed() {
            return Some(Manner::Refuses);
        }
        self.world.inner.outage.now().how
    }

    async fn reach(&self) -> Result<(), Lost> {
        match self.away() {
            None => Ok(()),
            Some(Manner::Refuses) => Err(Lost::Refused),
            Some(Manner::Silent) => {
                sleep(self.patience).await;
                Err(Lost::Unanswered)
            }
        }
    }
}

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        Self {
            world: self.world.clone(),
            name: Arc::clone(&self.name),
            state: Arc::clone(&self.state),
            patience: self.patience,
        }
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: Default> Kept<T> {
    fn current(&mut self, wiped: u64) -> &mut T {
        if self.wiped != wiped {
            self.wiped = wiped;
            self.state = T::default();
        }
        &mut self.state
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Faults;
    use super::*;

    fn world() -> World {
        World::new(1, Faults::all(), Duration::from_secs(90))
    }

    #[tokio::test(start_paused = true)]
    async fn all_instances_see_one_state() {
        let world = world();
        let count = async |instance| {
            let link = world.at_instance(instance).shared::<u64>("redis");
            link.call(|count| std::mem::replace(count, *count + 1)).await
        };
        assert_eq!((count(0).await, count(1).await), (Ok(0), Ok(1)));
        assert_eq!(world.shared::<u64>("another").now(|count| *count), Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_away_refuses_or_says_nothing_and_may_forget() {
        let world = world();
        let link = world.shared::<u64>("redis").patience(Duration::from_secs(3));
        link.call(|count| *count = 7).await.unwrap();
        world.inner.outage.begin(Manner::Refuses, false);
        assert_eq!(link.call(|count| *count).await, Err(Lost::Refused));
        assert_eq!(link.now(|count| *count), Err(Lost::Refused));
        world.inner.outage.end();
        assert_eq!(link.call(|count| *count).await, Ok(7));
        world.inner.outage.begin(Manner::Silent, true);
        let before = link.time();
        assert_eq!(link.call(|count| *count).await, Err(Lost::Unanswered));
        assert_eq!(link.time() - before, Duration::from_secs(3));
        world.inner.outage.end();
        assert_eq!(link.call(|count| *count).await, Ok(0), "it has forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_was_killed_never_reaches_it_again() {
        let world = world();
        let (dead, alive) = (world.at_instance(0), world.at_instance(1));
        dead.instance.crash();
        assert_eq!(dead.shared::<u64>("redis").now(|count| *count = 1), Err(Lost::Refused));
        assert_eq!(alive.shared::<u64>("redis").now(|count| *count), Ok(0));
    }
}
