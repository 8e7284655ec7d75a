//! A credential that is fetched, kept, and fetched again before it ends: once for all who wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use ziggurat_core::{Error, ErrorKind};

/// Fetches a credential.
pub(crate) type Fetch<'a, T> = Pin<Box<dyn Future<Output = Result<Fetched<T>, Error>> + Send + 'a>>;

/// From where a credential is fetched.
pub(crate) trait Source: std::fmt::Debug + Send + Sync + 'static {
    /// What is fetched.
    type Credential: Send + Sync + 'static;

    /// Fetches one.
    fn fetch(&self) -> Fetch<'_, Self::Credential>;
}

/// What was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched<T> {
    pub(crate) credential: T,
    /// Until when it is good; `None` for ever.
    pub(crate) until: Option<SystemTime>,
}

/// How long before its end a credential is fetched anew, while it is still used.
const AHEAD: Duration = Duration::from_secs(300);
/// How long before its end a credential is not used any more: requests take time, and clocks differ.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps what a source gives.
#[derive(Debug)]
pub(crate) struct Cached<S: Source> {
    source: S,
    kept: ArcSwapOption<Fetched<S::Credential>>,
    /// Held by whoever fetches: the others wait for it, and find what was fetched.
    fetching: Mutex<()>,
    /// Whether somebody fetches ahead already.
    ahead: AtomicBool,
}

impl<S: Source> Cached<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            kept: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
            ahead: AtomicBool::new(false),
        }
    }

    /// The credential, if there is one that is good. One that ends soon is fetched anew in the background.
    pub(crate) fn at_hand(self: &Arc<Self>) -> Option<Arc<Fetched<S::Credential>>> {
        let kept = self.kept.load_full()?;
        let left = kept.left();
        if left < AHEAD && left > MARGIN && !self.ahead.swap(true, Ordering::AcqRel) {
            self.fetch_ahead(&kept);
        }
        (left > MARGIN).then_some(kept)
    }

    fn fetch_ahead(self: &Arc<Self>, old: &Arc<Fetched<S::Credential>>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.ahead.store(false, Ordering::Release);
            return;
        };
        let (this, old) = (Arc::clone(self), Arc::clone(old));
        runtime.spawn(async move {
            let _one = this.fetching.lock().await;
            // Somebody may have fetched it meanwhile. That it fails now matters to nobody: the old one is still good.
            let current = this.kept.load_full();
            if current.is_some_and(|current| Arc::ptr_eq(&current, &old)) {
                drop(this.renew().await);
            }
            this.ahead.store(false, Ordering::Release);
        });
    }

    /// Waits until there is one that is good.
    pub(crate) async fn wait(self: Arc<Self>) -> Result<(), Error> {
        let _one = self.fetching.lock().await;
        if self.kept.load().as_ref().is_some_and(|kept| kept.left() > MARGIN) {
            return Ok(());
        }
        self.renew().await
    }

    async fn renew(&self) -> Result<(), Error> {
        let fetched =
            tokio::time::timeout(PATIENCE, self.source.fetch()).await.map_err(|_| {
                let message = "the credential for the provider could not be had in time";
                Error::new(ErrorKind::Server, message)
            })??;
        self.kept.store(Some(Arc::new(fetched)));
        Ok(())
    }

    /// Forgets what is kept: it was refused. What does not end is kept, as the same would come again.
    pub(crate) fn forget(&self) {
        if self.kept.load().as_ref().is_some_and(|kept| kept.until.is_some()) {
            self.kept.store(None);
        }
    }
}

impl<T> Fetched<T> {
    /// How long it is good for.
    fn left(&self) -> Duration {
        match self.until {
            None => Duration::MAX,
            Some(until) => until.duration_since(SystemTime::now()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Numbers, each good for so long.
    #[derive(Debug)]
    struct Numbers {
        good_for: Option<Duration>,
        given: AtomicUsize,
        broken: bool,
    }

    impl Source for Numbers {
        type Credential = usize;

        fn fetch(&self) -> Fetch<'_, usize> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if self.broken {
                    return Err(Error::new(ErrorKind::Server, "broken"));
                }
                let credential = self.given.fetch_add(1, Ordering::SeqCst);
                let until = self.good_for.map(|span| SystemTime::now() + span);
                Ok(Fetched { credential, until })
            })
        }
    }

    fn numbers(good_for: Option<u64>) -> Arc<Cached<Numbers>> {
        let good_for = good_for.map(Duration::from_secs);
        Arc::new(Cached::new(Numbers { good_for, given: AtomicUsize::new(0), broken: false }))
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_wait_for_one_fetch() {
        let cached = numbers(Some(3600));
        assert!(cached.at_hand().is_none());
        let waits: Vec<_> = (0..20).map(|_| tokio::spawn(Arc::clone(&cached).wait())).collect();
        for wait in waits {
            wait.await.unwrap().unwrap();
        }
        assert_eq!(cached.at_hand().unwrap().credential, 0);
        assert_eq!(cached.source.given.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_soon_is_used_while_the_next_is_fetched() {
        let cached = numbers(Some(60));
        Arc::clone(&cached).wait().await.unwrap();
        for _ in 0..5 {
            assert_eq!(cached.at_hand().unwrap().credential, 0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(cached.at_hand().unwrap().credential, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_ended_is_not_used() {
        let cached = numbers(Some(5));
        Arc::clone(&cached).wait().await.unwrap();
        assert!(cached.at_hand().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_refused_is_fetched_anew_unless_it_never_changes() {
        let cached = numbers(Some(3600));
        Arc::clone(&cached).wait().await.unwrap();
        cached.forget();
        assert!(cached.at_hand().is_none());
        let cached = numbers(None);
        Arc::clone(&cached).wait().await.unwrap();
        cached.forget();
        assert_eq!(cached.at_hand().unwrap().credential, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_fails_is_tried_again_by_the_next() {
        let broken = Numbers { good_for: None, given: AtomicUsize::new(0), broken: true };
        let cached = Arc::new(Cached::new(broken));
        for _ in 0..2 {
            assert_eq!(Arc::clone(&cached).wait().await.unwrap_err().message(), "broken");
        }
    }
}
