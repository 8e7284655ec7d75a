//! Who answers: one deployment, as a service.
//!
//! A provider is called through its [`Stack`], of which there are two: the clocks of whole and of streamed
//! answers differ. A [`Mock`] answers by itself. Tokens are [counted here](crate::estimate), or estimated, where the provider has no
//! endpoint for them, and marked so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;
use ziggurat_core::{Call, Error, Operation, Reply, Str};

use crate::estimate;
use crate::mock::Mock;
use crate::stack::{Limited, Stack};

/// One deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    owner: Str,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Mock(Limited<Mock>),
    Provider {
        /// For calls that are answered in one piece, and for those that are answered in several.
        stacks: Box<[Limited<Stack>; 2]>,
        /// Whether the provider counts tokens.
        counts: bool,
    },
}

impl Upstream {
    /// Nobody.
    pub(crate) fn mock(owner: Str, mock: Limited<Mock>) -> Self {
        Self(Arc::new(Inner { owner, target: Target::Mock(mock) }))
    }

    /// A provider, with a stack for whole and one for streamed answers, which has an endpoint for counts of tokens, or has none.
    pub(crate) fn provider(owner: Str, stacks: [Limited<Stack>; 2], counts: bool) -> Self {
        let stacks = Box::new(stacks);
        Self(Arc::new(Inner { owner, target: Target::Provider { stacks, counts } }))
    }

    /// Whose model it is, as lists of models have it.
    #[must_use]
    pub fn owner(&self) -> &Str {
        &self.0.owner
    }

    /// Whether it counts tokens, and does not estimate them.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> bool {
        matches!(self.0.target, Target::Provider { counts: true, .. })
    }
}

impl Service<Call> for Upstream {
    type Response = Reply;
    type Error = Error;
    type Future = UpstreamFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Which stack it will be is not known yet; it is made ready in the future.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> UpstreamFuture {
        let state = match &self.0.target {
            Target::Mock(mock) => State::Mock { future: Oneshot::new(mock.clone(), call) },
            Target::Provider { counts: false, .. }
                if call.operation() == Operation::CountTokens =>
            {
                State::Here { reply: Some(Box::new(estimate::reply(&call, &self.0.owner))) }
            }
            Target::Provider { stacks, .. } => {
                let [whole, streamed] = &**stacks;
                let stack = if call.is_streamed() { streamed } else { whole };
                State::Asked { future: Oneshot::new(stack.clone(), call) }
            }
        };
        UpstreamFuture { state }
    }
}

pin_project! {
    /// The reply to come.
    pub struct UpstreamFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Here { reply: Option<Box<Result<Reply, Error>>> },
        Mock {
            #[pin]
            future: Oneshot<Limited<Mock>, Call>,
        },
        Asked {
            #[pin]
            future: Oneshot<Limited<Stack>, Call>,
        },
    }
}

impl Future for UpstreamFuture {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Here { reply } => {
                Poll::Ready(reply.take().map_or_else(|| Err(Error::closed()), |reply| *reply))
            }
            StateProjection::Mock { future } => future.poll(cx),
            StateProjection::Asked { future } => future.poll(cx),
        }
    }
}

impl std::fmt::Debug for UpstreamFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamFuture").finish_non_exhaustive()
    }
}
