//! Which deployment answers: the table of models, as a service.
//!
//! A model is found by its name, else by the most specific pattern (`openai/gpt-*` before
//! `openai/*` before `*`), else it is a 404 in the caller's dialect. Where several deployments share
//! a name they take turns, one after the other, passing over those that have no place left. (Weights,
//! limits, health and every other strategy of routing are not there yet; `ziggurat check` says so of
//! the keys that ask for them.)
//!
//! The list of models is answered here, and so are counts of tokens where the provider has no
//! endpoint for them: with an [`estimate`], marked as one.

mod parallel;
mod pattern;
mod table;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;
use ziggurat_core::{Answer, Call, Error, ErrorKind, Operation, Reply, Str, Typed};

pub(crate) use parallel::Parallel;
pub(crate) use pattern::Pattern;
pub use table::{Listed, Table};

use crate::estimate;
use crate::stack::{Stack, Target};

/// Answers each call by the deployment that serves its model.
#[derive(Clone, Debug)]
pub struct Switch {
    table: Arc<Table>,
}

impl Switch {
    /// A switch over these models.
    #[must_use]
    pub fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    fn route(&self, mut call: Call) -> Result<SwitchFuture, Error> {
        if call.operation() == Operation::Models {
            return self.models(&call).map(SwitchFuture::ready);
        }
        let asked = self.table.effective(call.model());
        if !call.caller().may_use(&asked) {
            return Err(forbidden(&asked));
        }
        let found = self.table.find(&asked).ok_or_else(|| self.unknown(&call, &asked))?;
        let (target, place) = found.choose()?;
        if let Some(place) = place {
            place.keep(&call).map_err(|_| Error::closed())?;
        }
        call.set_model(target.model().clone());
        Ok(match target.as_ref() {
            Target::Mock { mock, .. } => SwitchFuture::done(mock.answer(&call)),
            Target::Provider(upstream)
                if call.operation() == Operation::CountTokens && !upstream.counts =>
            {
                SwitchFuture::done(estimate::reply(&call))
            }
            Target::Provider(upstream) => {
                let stack = if call.is_streamed() { &upstream.streamed } else { &upstream.whole };
                let future = Oneshot::new(stack.clone(), call);
                SwitchFuture { state: State::Asked { future, deployment: upstream.id.clone() } }
            }
        })
    }

    /// Which models there are, or what is known of one.
    fn models(&self, call: &Call) -> Result<Reply, Error> {
        let asked = match call.payload().decode()? {
            Typed::Models(asked) => asked.clone(),
            _ => None,
        };
        let answer = match asked {
            None => Answer::Models(self.table.models(call.caller())),
            Some(name) => {
                let known = self.table.model(&name).filter(|_| call.caller().may_use(&name));
                Answer::Model(known.ok_or_else(|| self.unknown(call, &name))?)
            }
        };
        Ok(Reply::answer(answer))
    }

    fn unknown(&self, call: &Call, asked: &str) -> Error {
        const MOST: usize = 5;
        let names = self.table.models(call.caller());
        let mut message = format!("there is no model `{}`", printable(asked));
        for (at, model) in names.iter().take(MOST).enumerate() {
            message.push_str(if at == 0 { "; there is " } else { ", " });
            message.push_str(&format!("`{}`", model.id));
        }
        if names.len() > MOST {
            message.push_str(&format!(" and {} more", names.len() - MOST));
        }
        Error::new(ErrorKind::NotFound, message).with_param("model").with_code("model_not_found")
    }
}

impl Service<Call> for Switch {
    type Response = Reply;
    type Error = Error;
    type Future = SwitchFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Which deployment it will be is not known yet; each is made ready in the future.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> SwitchFuture {
        self.route(call).unwrap_or_else(|error| SwitchFuture::done(Err(error)))
    }
}

fn forbidden(model: &str) -> Error {
    let message = format!("this key may not use the model `{}`", printable(model));
    Error::new(ErrorKind::Permission, message).with_param("model")
}

fn full() -> Error {
    Error::new(
        ErrorKind::RateLimit,
        "every deployment of this model has as many calls as it may have at once",
    )
    .with_code("max_parallel_requests")
    .with_retry_after(Duration::from_secs(1))
}

/// A name as it may stand in a message.
fn printable(name: &str) -> String {
    let mut text: String = name.chars().take(100).filter(|c| !c.is_control()).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

pin_project! {
    /// The reply to come.
    pub struct SwitchFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        // It is here.
        Done { reply: Option<Box<Result<Reply, Error>>> },
        // A deployment was asked.
        Asked {
            #[pin]
            future: Oneshot<Stack, Call>,
            deployment: Str,
        },
    }
}

impl SwitchFuture {
    fn ready(reply: Reply) -> Self {
        Self::done(Ok(reply))
    }

    fn done(reply: Result<Reply, Error>) -> Self {
        Self { state: State::Done { reply: Some(Box::new(reply)) } }
    }
}

impl Future for SwitchFuture {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Done { reply } => {
                Poll::Ready(reply.take().map_or_else(|| Err(Error::closed()), |reply| *reply))
            }
            StateProjection::Asked { future, deployment } => {
                let reply = ready!(future.poll(cx));
                // A time that ran out does not know whose it was.
                Poll::Ready(reply.map_err(|error| match error.deployment() {
                    None => error.with_deployment(deployment.clone()),
                    Some(_) => error,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
