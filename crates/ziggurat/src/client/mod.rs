//! Direct calls: a model by its name, an answer in a few lines.
//!
//! [`Providers`] is a [`CallService`] that knows where every provider is; [`Client`] is a handle on any `CallService` that makes
//! asking short. So a client stands on providers alone, or on a stack of layers around them:
//!
//! ```
//! use std::time::Duration;
//! use ziggurat::client::{Client, Providers};
//! use ziggurat::prelude::*;
//!
//! let patient = TimeoutLayer::new().first_content(Duration::from_secs(30));
//! let client = Client::new(patient.layer(Providers::from_env()));
//! # let _ = client;
//! ```

mod answer;
mod fold;
mod providers;
mod stream;
#[cfg(test)]
mod tests;
mod unfold;

use std::future::poll_fn;

use ziggurat_core::{Call, CallService, End, Error, ErrorKind, Instant, Reply};

pub use answer::ChatAnswer;
pub use providers::Providers;
pub use stream::ChatStream;

/// Asks models. A handle on any [`CallService`], cheap to clone.
///
/// ```no_run
/// use ziggurat::{Call, Client};
///
/// # async fn run() -> Result<(), ziggurat::Error> {
/// // `anthropic/…` goes to Anthropic, with the key in `ANTHROPIC_API_KEY`.
/// let client = Client::from_env();
/// let call = Call::chat("anthropic/claude-sonnet-4").user("Hello!");
///
/// let answer = client.ask(call.clone()).await?;
/// println!("{}", answer.text());
///
/// let mut stream = client.stream(call).await?;
/// while let Some(text) = stream.next_text().await? {
///     print!("{text}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// A call that no layer has put into a scope yet is put into one here: it is settled when its answer has been read, has failed
/// or is dropped. A call's [deadline](Call::set_deadline) is kept, too.
#[derive(Clone, Debug)]
pub struct Client<S = Providers> {
    service: S,
}

impl Client {
    /// A client of every known provider, with keys and addresses from the environment: see [`Providers::from_env`].
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(Providers::from_env())
    }
}

impl<S: CallService> Client<S> {
    /// A client of this service.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self { service }
    }

    /// Asks, and waits for the whole answer. A call that is [streamed](Call::streamed) is read to its end.
    ///
    /// # Errors
    ///
    /// Why there is no answer, or not all of it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call, and the request to the provider with it.
    pub async fn ask(&self, call: Call) -> Result<ChatAnswer, Error> {
        let deadline = call.deadline();
        let reply = self.send(call).await?;
        if reply.is_streamed() {
            return ChatStream::new(reply, deadline).collect().await;
        }
        ChatAnswer::read(reply)
    }

    /// Asks for the answer in pieces, whether the call says so or not. Returns when it begins.
    ///
    /// # Errors
    ///
    /// Why no answer begins. What fails later is an error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call, and the request to the provider with it; so does dropping the stream.
    pub async fn stream(&self, call: Call) -> Result<ChatStream, Error> {
        let call = if call.is_streamed() { call } else { call.streamed() };
        let deadline = call.deadline();
        Ok(ChatStream::new(self.send(call).await?, deadline))
    }

    /// Sends any call and gives the reply as it comes. The deadline holds until the reply begins; whoever reads the reply keeps
    /// it from there.
    ///
    /// # Errors
    ///
    /// Why no answer begins.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call, and the request to the provider with it; so does dropping the reply.
    pub async fn send(&self, mut call: Call) -> Result<Reply, Error> {
        let deadline = call.deadline();
        let (_, guard) = call.open_scope();
        let mut service = self.service.clone();
        let asking = async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(call).await
        };
        let result = match deadline {
            None => asking.await,
            Some(deadline) => within(deadline, asking).await,
        };
        match (result, guard) {
            (Ok(mut reply), Some(guard)) => {
                reply.hold(guard);
                Ok(reply)
            }
            (Err(error), Some(guard)) => {
                guard.close(End::Failure(error.clone()));
                Err(error)
            }
            (result, None) => result,
        }
    }
}

async fn within(
    deadline: Instant,
    asking: impl Future<Output = Result<Reply, Error>>,
) -> Result<Reply, Error> {
    tokio::time::timeout_at(deadline, asking).await.unwrap_or_else(|_| Err(past_deadline()))
}

fn past_deadline() -> Error {
    Error::new(ErrorKind::Timeout, "the call took longer than its deadline allows")
}
