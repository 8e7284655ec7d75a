use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use memchr::memmem;
use tower_service::Service;
use ziggurat_core::{Call, CallService, Error, Operation, Reply, Str, Typed};

use super::layer::Settings;
use super::{Owner, background, body, page, turns};

/// Keeps answers, so that a conversation goes on from them. Made by [`ConversationLayer`](super::ConversationLayer).
#[derive(Clone, Debug)]
pub struct Conversation<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// What a request says about what is kept.
pub(super) struct Asked {
    pub(super) previous: Option<Str>,
    /// Whether items may be referred to.
    pub(super) refers: bool,
    /// Whether the answer is to be kept.
    pub(super) keeps: bool,
    /// Whether nobody waits for it.
    background: bool,
}

type Boxed = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

impl<S> Conversation<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// What a call says about what is kept, if that is anything.
    fn asked(&self, call: &Call) -> Option<Asked> {
        let (dialect, payload) = (Some(self.settings.dialect), call.payload());
        let counts = call.operation() == Operation::CountTokens;
        if call.dialect() != dialect
            || payload.dialect() != dialect
            || !(counts || call.operation() == Operation::Chat)
        {
            return None;
        }
        let previous = payload.member("previous_response_id").filter(|id| id != "null");
        let refers = payload.member("input").is_some_and(|input| {
            input.starts_with('[') && memmem::find(input.as_bytes(), b"\"id\"").is_some()
        });
        let keeps = !counts && payload.member("store").as_deref() != Some("false");
        let background = !counts && payload.member("background").as_deref() == Some("true");
        let something = previous.is_some() || refers || keeps || background;
        something.then_some(Asked { previous, refers, keeps, background })
    }
}

impl<S: CallService> Service<Call> for Conversation<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Either<S::Future, Boxed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        if call.operation() == Operation::Stored && call.dialect() == Some(settings.dialect) {
            return Either::Right(Box::pin(async move {
                let Typed::Stored(stored) = call.payload().decode()? else {
                    return Err(Error::closed());
                };
                page::answer(&settings, &call, stored).await
            }));
        }
        let Some(asked) = self.asked(&call) else { return Either::Left(self.inner.call(call)) };
        // The one that is ready is called; the clone stays.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        match asked.background {
            true => Either::Right(Box::pin(background::begin(settings, ready, call, asked))),
            false => Either::Right(Box::pin(converse(settings, ready, call, asked))),
        }
    }
}

async fn converse<S: CallService>(
    settings: Arc<Settings>,
    mut service: S,
    mut call: Call,
    asked: Asked,
) -> Result<Reply, Error> {
    let owner = Owner::of(&call);
    let ask = asked.keeps.then(|| turns::ask(&settings, &call));
    let input = turns::complete(&settings, owner, &mut call, &asked).await?;
    let (Some(ask), Some(input)) = (ask, input) else { return service.call(call).await };
    let scope = call.scope().cloned();
    let reply = service.call(call).await?;
    let previous = asked.previous.and_then(|id| turns::plain(&id));
    let keeper = turns::Keeper::new(settings, owner, previous, input);
    body::keep(reply, ask, keeper, scope).await
}
