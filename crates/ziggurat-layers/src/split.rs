//! Asks for many vectors in several calls, where a provider takes a few at a time.
//!
//! **Where it stands**: next to the provider, below Timeout, so that one clock runs for all parts, and below Route, since each
//! deployment has a bound of its own. **What it does**: an embeddings call with more inputs than the provider takes becomes as
//! many calls as are needed, four at a time; their answers are one again, with vectors in the order of the inputs and usage
//! summed. One part that fails fails the call, and the others are dropped. Whatever else comes passes as it is, streams included.
//! **Dropping** the future drops all parts.
//!
//! Usage is reported part by part, so that a call that fails or is cancelled half way is booked with what it took until then.
//!
//! ```
//! use std::num::NonZeroUsize;
//!
//! use tower::ServiceBuilder;
//! use ziggurat_core::CallService;
//! use ziggurat_layers::SplitLayer;
//!
//! // Amazon Titan takes one text a call.
//! fn titan(provider: impl CallService) -> impl CallService {
//!     ServiceBuilder::new().layer(SplitLayer::at(NonZeroUsize::MIN)).service(provider)
//! }
//! ```

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use futures_util::stream::{self, StreamExt as _};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Answer, Call, CallService, Cost, Embed, Embeddings, Error, ErrorKind, Operation, Payload,
    Reply, ReplyBody, Typed, Usage,
};

/// How many parts are under way at once.
const AT_ONCE: usize = 4;

/// Makes a [`Split`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SplitLayer {
    most: Option<NonZeroUsize>,
}

impl SplitLayer {
    /// Splits calls with more inputs than that.
    #[must_use]
    pub fn at(most: NonZeroUsize) -> Self {
        Self { most: Some(most) }
    }

    /// Splits calls where there is a bound.
    #[must_use]
    pub fn maybe(most: Option<usize>) -> Self {
        Self { most: most.and_then(NonZeroUsize::new) }
    }
}

impl<S> Layer<S> for SplitLayer {
    type Service = Split<S>;

    fn layer(&self, inner: S) -> Split<S> {
        Split { inner, most: self.most }
    }
}

/// Asks in several calls what a provider does not take in one.
#[derive(Clone, Debug)]
pub struct Split<S> {
    inner: S,
    most: Option<NonZeroUsize>,
}

type Parts = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

impl<S: CallService> Service<Call> for Split<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Either<S::Future, Parts>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Some((most, embed)) = self.too_many(&call) else {
            return Either::Left(self.inner.call(call));
        };
        // The ready one is used, the clone is for the next call.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        Either::Right(Box::pin(parts(ready, call, embed, most)))
    }
}

impl<S> Split<S> {
    /// What is asked for, if that is more than the provider takes. What cannot be read is the provider's to refuse.
    fn too_many(&self, call: &Call) -> Option<(usize, Arc<Embed>)> {
        let most = self.most?.get();
        if call.operation() != Operation::Embeddings {
            return None;
        }
        match call.payload().decode() {
            Ok(Typed::Embed(embed)) if embed.inputs.len() > most => Some((most, Arc::clone(embed))),
            _ => None,
        }
    }
}

async fn parts<S: CallService>(
    service: S,
    call: Call,
    embed: Arc<Embed>,
    most: usize,
) -> Result<Reply, Error> {
    let scope = call.scope().cloned();
    let calls = embed.inputs.chunks(most).enumerate().map(|(index, inputs)| {
        let mut part = call.clone();
        *part.payload_mut() = Payload::typed(Typed::Embed(Arc::new(embed.with_inputs(inputs))));
        if index > 0 {
            // The first tells the books where the call goes; what the others took is added here.
            part.clear_scope();
        }
        part
    });
    let calls: Vec<Call> = calls.collect();
    drop(call);
    // The first is ready already.
    let others = std::iter::repeat_n(service.clone(), calls.len().saturating_sub(1));
    let services = std::iter::once((service, true)).chain(others.map(|service| (service, false)));
    let asked: Vec<_> = services
        .zip(calls)
        .map(|((mut service, is_ready), part)| async move {
            if !is_ready {
                std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            }
            service.call(part).await
        })
        .collect();
    let mut answers = stream::iter(asked).buffered(AT_ONCE);
    let mut whole: Option<(Reply, Embeddings)> = None;
    while let Some(answer) = answers.next().await {
        let mut reply = answer?;
        let ReplyBody::Answer(Answer::Embeddings(part)) = reply.take_body() else {
            let message = "a part of the answer holds no vectors";
            return Err(Error::new(ErrorKind::BadUpstream, message));
        };
        match &mut whole {
            None => whole = Some((reply, *part)),
            Some((first, all)) => {
                all.append(*part);
                let head = first.head_mut();
                head.cost = sum(head.cost, reply.head().cost);
            }
        }
        let usage: Option<Usage> = whole.as_ref().and_then(|(_, all)| all.usage);
        if let (Some(scope), Some(usage)) = (&scope, usage) {
            scope.report_usage(&usage);
        }
    }
    let (mut reply, all) = whole.ok_or_else(Error::closed)?;
    let head = std::mem::take(reply.head_mut());
    Ok(Reply::new(head, ReplyBody::Answer(Answer::Embeddings(Box::new(all)))))
}

fn sum(one: Option<Cost>, other: Option<Cost>) -> Option<Cost> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.add(&other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tower::ServiceExt as _;
    use ziggurat_core::{EmbedInput, End, Outcome, RawJson, Settle, Settlement, Ticket, Vector};

    use super::*;

    /// Answers each text with its length, after as many milliseconds; `bad` is refused.
    #[derive(Clone, Default)]
    struct Provider {
        calls: Arc<Mutex<Vec<usize>>>,
        open: Arc<AtomicUsize>,
        most_open: Arc<AtomicUsize>,
    }

    struct Open(Arc<AtomicUsize>);

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Service<Call> for Provider {
        type Response = Reply;
        type Error = Error;
        type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, call: Call) -> Self::Future {
            let Ok(Typed::Embed(embed)) = call.payload().decode().cloned() else {
                return Box::pin(std::future::ready(Err(Error::invalid("no texts"))));
            };
            self.calls.lock().unwrap().push(embed.inputs.len());
            let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_open.fetch_max(now, Ordering::SeqCst);
            let open = Open(Arc::clone(&self.open));
            Box::pin(async move {
                let texts: Vec<&str> = embed
                    .inputs
                    .iter()
                    .map(|input| match input {
                        EmbedInput::Text(text) => text.as_str(),
                        _ => "",
                    })
                    .collect();
                // The later ones are the faster.
                let wait = 100u64.saturating_sub(texts[0].len() as u64);
                tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
                drop(open);
                if texts.contains(&"bad") {
                    return Err(Error::invalid("bad"));
                }
                let vector = |text: &&str| {
                    let numbers = format!("[{}]", text.len());
                    Vector::Floats(RawJson::parse(numbers.as_str().into()).unwrap())
                };
                let mut embeddings = Embeddings::new(texts.iter().map(vector).collect());
                let usage = Usage::new(texts.len() as u64, 0);
                embeddings.usage = Some(usage);
                if let Some(scope) = call.scope() {
                    scope.report_usage(&usage);
                }
                let body = ReplyBody::Answer(Answer::Embeddings(Box::new(embeddings)));
                Ok(Reply::new(ziggurat_core::ReplyHead::default(), body))
            })
        }
    }

    #[derive(Default)]
    struct Book(Mutex<Option<Outcome>>);

    impl Settle for Book {
        fn settle(&self, _: Ticket, outcome: &Outcome) {
            *self.0.lock().unwrap() = Some(outcome.clone());
        }
    }

    fn embed(texts: impl IntoIterator<Item = String>) -> Call {
        let typed = Typed::Embed(Arc::new(Embed::texts(texts)));
        let mut call = Call::chat("m");
        *call.payload_mut() = Payload::typed(typed);
        call
    }

    fn at(most: usize) -> SplitLayer {
        SplitLayer::maybe(Some(most))
    }

    #[tokio::test(start_paused = true)]
    async fn many_inputs_are_asked_in_parts_and_answered_as_one() {
        let provider = Provider::default();
        let service = at(2).layer(provider.clone());
        let book = Arc::new(Book::default());
        let guard = Settlement::open();
        let mut call = embed((1..=11).map(|length| "x".repeat(length)));
        call.set_scope(guard.scope());
        call.register(Arc::<Book>::clone(&book), Ticket::default()).unwrap();
        let mut reply = service.oneshot(call).await.unwrap();
        let ReplyBody::Answer(Answer::Embeddings(all)) = reply.take_body() else {
            panic!("vectors")
        };
        let floats = |vector: &Vec<Vector>| match &vector[..] {
            [Vector::Floats(numbers)] => numbers.get().to_owned(),
            other => panic!("{other:?}"),
        };
        let lengths: Vec<String> = all.vectors.iter().map(floats).collect();
        assert_eq!(lengths, (1..=11).map(|length| format!("[{length}]")).collect::<Vec<_>>());
        assert_eq!(*provider.calls.lock().unwrap(), [2, 2, 2, 2, 2, 1]);
        assert_eq!(provider.most_open.load(Ordering::SeqCst), AT_ONCE);
        assert_eq!(all.usage.unwrap().total_input(), 11);
        guard.close(End::Success);
        let outcome = book.0.lock().unwrap().take().unwrap();
        assert_eq!(outcome.usage.unwrap().total_input(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_passes_as_it_is() {
        let provider = Provider::default();
        for layer in [at(3), SplitLayer::maybe(None), SplitLayer::maybe(Some(0))] {
            let call = embed(["a", "b", "c"].map(String::from));
            layer.layer(provider.clone()).oneshot(call).await.unwrap();
        }
        assert_eq!(*provider.calls.lock().unwrap(), [3, 3, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_part_that_fails_fails_the_call_and_ends_the_others() {
        let provider = Provider::default();
        let texts = ["a", "b", "bad", "d", "e", "f", "g"].map(String::from);
        let error = at(1).layer(provider.clone()).oneshot(embed(texts)).await.unwrap_err();
        assert_eq!(error.message(), "bad");
        assert_eq!(provider.open.load(Ordering::SeqCst), 0, "nobody goes on");
        assert!(provider.calls.lock().unwrap().len() < 7);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_drops_all_parts() {
        let provider = Provider::default();
        let call = embed(["a", "b", "c"].map(String::from));
        let mut asked = tokio_test::task::spawn(at(1).layer(provider.clone()).oneshot(call));
        tokio_test::assert_pending!(asked.poll());
        assert_eq!(provider.open.load(Ordering::SeqCst), 3);
        drop(asked);
        assert_eq!(provider.open.load(Ordering::SeqCst), 0);
    }
}
