use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::sleep;
use tower_service::Service;
use ziggurat_core::{Call, End, Error, ErrorKind, Guard, Instant, Origin, Reply, Scope};

use super::layer::Settings;

pin_project! {
    /// The reply of a [`Retry`](super::Retry), from whichever attempt it comes.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<S>
    where
        S: Service<Call>,
    {
        // What is inside goes before the guards, so that it books what it knows while they are open.
        #[pin]
        state: State<S::Future>,
        attempt: Option<Guard>,
        opened: Option<Guard>,
        kept: Option<Kept<S>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        First { #[pin] inner: F },
        Again { inner: Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>> },
        // Taken when it is told.
        Over { error: Option<Error> },
    }
}

/// What it takes to try again.
struct Kept<S> {
    service: S,
    call: Call,
    scope: Scope,
    settings: Arc<Settings>,
}

impl<S: Service<Call>> ResponseFuture<S> {
    pub(super) fn new(
        inner: S::Future,
        attempt: Guard,
        opened: Option<Guard>,
        service: S,
        call: Call,
        scope: Scope,
        settings: Arc<Settings>,
    ) -> Self {
        let kept = Some(Kept { service, call, scope, settings });
        Self { state: State::First { inner }, attempt: Some(attempt), opened, kept }
    }

    pub(super) fn refused(error: Error) -> Self {
        let state = State::Over { error: Some(error) };
        Self { state, attempt: None, opened: None, kept: None }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>, Future: Future + Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProjection::First { inner } => {
                    let result = ready!(inner.poll(cx)).map_err(Into::into);
                    this.state.set(State::Over { error: None });
                    let attempt = this.attempt.take().expect("open until it is over");
                    let error = match result {
                        Ok(reply) => {
                            let kept = this.kept.as_ref();
                            let kept = kept.expect("kept until the first attempt is over");
                            let deployment = reply.head().deployment.as_deref();
                            // When the call began, which costs no look at a clock.
                            let at = kept.scope.opened();
                            kept.settings.attempted(deployment, &kept.call, at);
                            break Ok(kept.deliver(reply, attempt));
                        }
                        Err(error) => error,
                    };
                    let kept = this.kept.take().expect("kept until the first attempt is over");
                    match Failed::first(&kept, error, attempt) {
                        (failed, Some(wait)) => {
                            let inner = Box::pin(again(kept, failed, wait));
                            this.state.set(State::Again { inner });
                        }
                        (failed, None) => break Err(failed.answer(&kept.scope)),
                    }
                }
                StateProjection::Again { inner } => {
                    let result = ready!(inner.as_mut().poll(cx));
                    this.state.set(State::Over { error: None });
                    break result;
                }
                StateProjection::Over { error } => {
                    break Err(error.take().expect("not polled after it was ready"));
                }
            }
        };
        Poll::Ready(match (result, this.opened.take()) {
            (Ok(mut reply), Some(opened)) => {
                reply.hold(opened);
                Ok(reply)
            }
            (Err(error), Some(opened)) => {
                opened.close(End::Failure(error.clone()));
                Err(error)
            }
            (result, None) => result,
        })
    }
}

/// Everything after the first failure.
async fn again<S>(mut kept: Kept<S>, mut failed: Failed, wait: Duration) -> Result<Reply, Error>
where
    S: Service<Call, Response = Reply, Error: Into<Error>>,
{
    let mut next = Some(wait);
    while let Some(wait) = next {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        if let Err(error) = poll_fn(|cx| kept.service.poll_ready(cx)).await {
            failed.add(error.into());
            break;
        }
        // Somebody may have closed the call in the meantime.
        let Ok(attempt) = kept.scope.attempt() else { break };
        let mut call = kept.call.clone();
        call.set_scope(attempt.scope());
        let error = match kept.service.call(call).await {
            Ok(reply) => return Ok(kept.deliver(reply, attempt)),
            Err(error) => error.into(),
        };
        attempt.close(End::Failure(error.clone()));
        failed.retries += 1;
        next = kept.settings.wait(&kept.call, &error, failed.retries);
        failed.add(error);
    }
    Err(failed.answer(&kept.scope))
}

impl<S> Kept<S> {
    /// From here on the reply keeps the attempt open.
    fn deliver(&self, mut reply: Reply, attempt: Guard) -> Reply {
        reply.head_mut().attempts = attempts(&self.scope);
        reply.hold(attempt);
        reply
    }
}

fn attempts(scope: &Scope) -> u32 {
    u32::try_from(scope.attempts()).unwrap_or(u32::MAX)
}

/// The failures so far.
struct Failed {
    first: Error,
    others: Vec<Error>,
    retries: u32,
    /// The latest time at which one of them asked to come back.
    back: Option<Instant>,
}

impl Failed {
    /// Closes the first attempt, and decides whether there is another.
    fn first<S>(kept: &Kept<S>, error: Error, attempt: Guard) -> (Self, Option<Duration>) {
        attempt.close(End::Failure(error.clone()));
        // A deployment that is not known was not asked, as far as one can tell: callers name models as they like.
        if let Some(deployment) = error.deployment() {
            kept.settings.attempted(Some(deployment), &kept.call, Instant::now());
        } else if error.is_retryable() {
            kept.settings.attempted(None, &kept.call, Instant::now());
        }
        let wait = kept.settings.wait(&kept.call, &error, 0);
        let mut failed = Self { first: error, others: Vec::new(), retries: 0, back: None };
        failed.told(&failed.first.clone());
        (failed, wait)
    }

    fn add(&mut self, error: Error) {
        self.told(&error);
        self.others.push(error);
    }

    fn told(&mut self, error: &Error) {
        let back = error.retry_after().and_then(|wait| Instant::now().checked_add(wait));
        self.back = self.back.max(back);
    }

    /// What the caller is told: a provider's verdict on the call, else the first failure; with the others, and with the longest
    /// wait that still stands.
    fn answer(mut self, scope: &Scope) -> Error {
        if let Some(verdict) = self.others.iter().position(is_verdict)
            && !is_verdict(&self.first)
        {
            let verdict = self.others.remove(verdict);
            self.others.insert(0, std::mem::replace(&mut self.first, verdict));
        }
        let fallbacks = self.first.fallbacks();
        let back = self.back.map(|back| back.saturating_duration_since(Instant::now()));
        let mut error = self.first;
        if !self.others.is_empty() {
            error = error
                .with_others(self.others)
                .with_retry_after(back.filter(|wait| !wait.is_zero()));
        }
        error.with_attempts(attempts(scope), fallbacks)
    }
}

/// Whether a provider has read the call and says what is wrong with it.
fn is_verdict(error: &Error) -> bool {
    use ErrorKind::{ContentPolicy, ContextLength, InvalidRequest, TooLarge, Unsupported};
    let kinds = [InvalidRequest, Unsupported, ContextLength, ContentPolicy, TooLarge];
    error.origin() == Origin::Provider && kinds.contains(&error.kind())
}

impl<S: Service<Call>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
