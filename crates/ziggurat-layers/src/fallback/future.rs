use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Call, End, Error, FallbackTarget, Guard, Instant, Reply, Scope};

use super::layer::Settings;
use super::policy::{Hope, hope};
use super::target::redirect;

pin_project! {
    /// The reply of a [`Fallback`](super::Fallback), from whichever model it comes.
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<S>
    where
        S: Service<Call>,
    {
        // What is inside goes before the guard, so that it books what it knows while that is open.
        #[pin]
        state: State<S::Future>,
        opened: Option<Guard>,
        kept: Option<Kept<S>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        First { #[pin] inner: F },
        // Nothing when it is over.
        Others { inner: Option<Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>> },
    }
}

/// What it takes to ask another model.
struct Kept<S> {
    service: S,
    call: Call,
    scope: Scope,
    settings: Arc<Settings>,
}

impl<S: Service<Call>> ResponseFuture<S> {
    pub(super) fn new(
        inner: S::Future,
        opened: Option<Guard>,
        service: S,
        call: Call,
        scope: Scope,
        settings: Arc<Settings>,
    ) -> Self {
        let kept = Some(Kept { service, call, scope, settings });
        Self { state: State::First { inner }, opened, kept }
    }

    pub(super) fn passing(inner: S::Future) -> Self {
        Self { state: State::First { inner }, opened: None, kept: None }
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
                    this.state.set(State::Others { inner: None });
                    match (result, this.kept.take()) {
                        (Err(error), Some(kept)) if hope(&error) != Hope::None => {
                            let targets = kept.settings.first(&kept.call, &error);
                            if targets.is_empty() {
                                break Err(error);
                            }
                            let inner = Box::pin(others(kept, error, targets));
                            this.state.set(State::Others { inner: Some(inner) });
                        }
                        (result, _) => break result,
                    }
                }
                StateProjection::Others { inner } => {
                    let others = inner.as_mut().expect("not polled after it was ready");
                    let result = ready!(others.as_mut().poll(cx));
                    this.state.set(State::Others { inner: None });
                    break result;
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

/// Everything after the first failure: the models of the list one after the other, and below each that fails its own list.
async fn others<S>(
    mut kept: Kept<S>,
    first: Error,
    targets: Vec<FallbackTarget>,
) -> Result<Reply, Error>
where
    S: Service<Call, Response = Reply, Error: Into<Error>>,
{
    let mut failed = Failed::new(first);
    let mut known = vec![FallbackTarget::new(kept.call.model().clone())];
    let mut lists = vec![targets.into_iter()];
    while let Some(list) = lists.last_mut() {
        let Some(target) = list.next() else {
            lists.pop();
            continue;
        };
        // Lists may lead back to where they came from.
        if known.contains(&target) {
            continue;
        }
        known.push(target.clone());
        let late = kept.call.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if late || failed.asked >= kept.settings.most || kept.scope.is_closed() {
            break;
        }
        let call = redirect(&kept.call, &target);
        if let Err(refused) = (kept.settings.permit)(&call) {
            failed.others.push(refused);
            continue;
        }
        if let Err(error) = poll_fn(|cx| kept.service.poll_ready(cx)).await {
            failed.add(error.into());
            break;
        }
        failed.asked += 1;
        let error = match kept.service.call(call).await {
            Ok(reply) => return Ok(delivered(reply, &kept.scope, target, failed.asked)),
            Err(error) => error.into(),
        };
        match hope(&error) {
            Hope::Some => lists.push(kept.settings.next(&target.model, &error).into_iter()),
            Hope::None if error.is_cancelled() => lists.clear(),
            Hope::Doubt if failed.in_doubt => lists.clear(),
            Hope::None | Hope::Doubt => {}
        }
        failed.add(error);
    }
    Err(failed.answer(&kept.scope))
}

fn delivered(mut reply: Reply, scope: &Scope, target: FallbackTarget, asked: u32) -> Reply {
    let head = reply.head_mut();
    head.fallbacks = asked;
    head.attempts = attempts(scope, asked);
    head.group.get_or_insert(target.model);
    reply
}

/// All attempts at all models. Where nobody below numbers them, each model had one.
fn attempts(scope: &Scope, asked: u32) -> u32 {
    u32::try_from(scope.attempts()).unwrap_or(u32::MAX).max(asked.saturating_add(1))
}

/// The failures so far.
struct Failed {
    first: Error,
    others: Vec<Error>,
    asked: u32,
    /// Whether one said already that the request is wrong.
    in_doubt: bool,
    /// The earliest time at which one of them asked to come back.
    back: Option<Instant>,
}

impl Failed {
    fn new(first: Error) -> Self {
        // What the first model's own attempts left behind comes first.
        let others = first.others().to_vec();
        let in_doubt = hope(&first) == Hope::Doubt;
        let back = back(&first);
        Self { first, others, asked: 0, in_doubt, back }
    }

    fn add(&mut self, error: Error) {
        self.in_doubt |= hope(&error) == Hope::Doubt;
        self.back = match (self.back, back(&error)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.others.push(error);
    }

    /// What the caller is told: the first failure, with what came after it, and the time at which one of the models may answer
    /// again.
    fn answer(self, scope: &Scope) -> Error {
        let left = |back: Instant| back.saturating_duration_since(Instant::now());
        let back: Option<Duration> = self.back.map(left).filter(|left| !left.is_zero());
        self.first
            .with_others(self.others)
            .with_retry_after(back)
            .with_attempts(attempts(scope, self.asked), self.asked)
    }
}

fn back(error: &Error) -> Option<Instant> {
    error.retry_after().and_then(|wait| Instant::now().checked_add(wait))
}

impl<S: Service<Call>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
