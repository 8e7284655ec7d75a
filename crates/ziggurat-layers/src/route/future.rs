use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Call, End, Error, Guard, Instant, Reply, Scope, Usage};

use super::Group;
use super::fleet::Chosen;

pin_project! {
    /// The reply of a [`Route`](super::Route).
    ///
    /// # Panics
    ///
    /// When polled after it was ready.
    pub struct ResponseFuture<S: Service<Call>> {
        #[pin]
        state: State<S, S::Future>,
        attempt: Option<Attempt<S>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        // The deployment was chosen and is made ready.
        Waiting { asked: Option<(S, Call)> },
        // It was asked.
        Asked {
            #[pin]
            future: F,
        },
        // Nobody was.
        Failed { error: Option<Error> },
    }
}

/// One attempt, which keeps itself open until it is answered.
pub(super) struct Attempt<S> {
    pub(super) group: Arc<Group<S>>,
    pub(super) chosen: Chosen,
    pub(super) scope: Scope,
    /// Of the attempt, and of the call, where they had to be opened here.
    pub(super) guards: [Option<Guard>; 2],
    pub(super) begun: Instant,
    pub(super) sent: bool,
}

impl<S: Service<Call>> ResponseFuture<S> {
    pub(super) fn new(service: S, call: Call, attempt: Attempt<S>) -> Self {
        Self { state: State::Waiting { asked: Some((service, call)) }, attempt: Some(attempt) }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self { state: State::Failed { error: Some(error) }, attempt: None }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Call, Response = Reply, Error: Into<Error>>,
{
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProjection::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("not polled after it was ready")));
                }
                StateProjection::Waiting { asked } => {
                    let (service, _) = asked.as_mut().expect("not polled after it was ready");
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        *asked = None;
                        break Err(error.into());
                    }
                    let (mut service, call) = asked.take().expect("it was here a line ago");
                    if let Some(attempt) = this.attempt.as_mut() {
                        attempt.sent = true;
                    }
                    let future = service.call(call);
                    this.state.set(State::Asked { future });
                }
                StateProjection::Asked { future } => {
                    let result = ready!(future.poll(cx));
                    this.state.set(State::Waiting { asked: None });
                    break result.map_err(Into::into);
                }
            }
        };
        let attempt = this.attempt.take().expect("not polled after it was ready");
        Poll::Ready(match result {
            Ok(reply) => Ok(attempt.answered(reply)),
            Err(error) => Err(attempt.failed(error)),
        })
    }
}

impl<S> Attempt<S> {
    fn answered(mut self, mut reply: Reply) -> Reply {
        let Chosen { at, ticket, .. } = self.chosen;
        let lane = &self.group.fleet.lanes[at];
        let now = Instant::now();
        let clock = lane.health.shared().clock;
        lane.answered(clock.at(now), ticket, now.saturating_duration_since(self.begun));
        reply.head_mut().deployment.get_or_insert_with(|| lane.health.id.clone());
        for guard in self.guards.iter_mut().filter_map(Option::take) {
            reply.hold(guard);
        }
        reply
    }

    fn failed(mut self, error: Error) -> Error {
        let fleet = &self.group.fleet;
        let health = &fleet.lanes[self.chosen.at].health;
        let now = health.shared().clock.now();
        let elsewhere =
            error.elsewhere() || fleet.has_elsewhere(&self.chosen, &self.scope.tried(), now);
        let mut error = error;
        if error.deployment().is_none() {
            error = error.with_deployment(health.id.clone());
        }
        if error.elsewhere() != elsewhere {
            error = error.with_elsewhere(elsewhere);
        }
        for guard in self.guards.iter_mut().filter_map(Option::take) {
            guard.close(End::Failure(error.clone()));
        }
        error
    }
}

impl<S> Drop for Attempt<S> {
    fn drop(&mut self) {
        if !self.sent {
            // Whoever settles it learns that nothing was used.
            self.scope.report_usage(&Usage::new(0, 0));
        }
    }
}

impl<S: Service<Call>> std::fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
