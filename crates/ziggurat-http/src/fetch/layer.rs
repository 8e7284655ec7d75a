use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::task::JoinSet;
use tower_layer::Layer;
use tower_service::Service;

use ziggurat_core::{
    Call, CallService, Chat, Content, Error, Part, Payload, Reply, Source, Str, Typed,
};

use super::fetcher::{Expected, Fetcher};
use super::recent::size;
use crate::translate::{Deployment, configure};

/// How many addresses one call may name, and how many are asked at once.
const MOST: usize = 32;
const AT_ONCE: usize = 4;

/// Fetches what a deployment takes only as bytes. See the [module](super).
#[derive(Clone, Debug)]
pub struct FetchLayer {
    fetcher: Option<Fetcher>,
    target: Target,
}

/// Where calls go.
#[derive(Clone, Debug)]
struct Target(Arc<Deployment>);

impl FetchLayer {
    /// A layer for calls that go to this deployment.
    #[must_use]
    pub fn new(fetcher: Fetcher, deployment: impl Into<Arc<Deployment>>) -> Self {
        Self::maybe(Some(fetcher), deployment)
    }

    /// A layer that fetches if there is a fetcher, and hands everything on if there is none.
    #[must_use]
    pub fn maybe(fetcher: Option<Fetcher>, deployment: impl Into<Arc<Deployment>>) -> Self {
        Self { fetcher, target: Target(deployment.into()) }
    }
}

impl<S> Layer<S> for FetchLayer {
    type Service = Fetch<S>;

    fn layer(&self, inner: S) -> Fetch<S> {
        Fetch { inner, fetcher: self.fetcher.clone(), target: self.target.clone() }
    }
}

/// Fetches what a deployment takes only as bytes. Made by [`FetchLayer`].
#[derive(Clone, Debug)]
pub struct Fetch<S> {
    inner: S,
    fetcher: Option<Fetcher>,
    target: Target,
}

impl Target {
    /// The conversation, if it names anything that has to be fetched.
    fn names(&self, call: &Call) -> Option<Arc<Chat>> {
        // What leaves as it came is for the provider to read.
        if call.payload().dialect() == Some(self.0.dialect) {
            return None;
        }
        let Ok(Typed::Chat(chat)) = call.payload().decode() else { return None };
        let mut names = false;
        visit(chat, &mut |content| names |= self.wanted(content).is_some());
        names.then(|| Arc::clone(chat))
    }

    /// The address of a medium that has to be fetched.
    fn wanted(&self, content: &Content) -> Option<(Str, Expected)> {
        let (source, expected) = match content {
            Content::Image { source, .. } => (source, Expected::Image),
            Content::Audio { source, .. } => (source, Expected::Audio),
            Content::Video { source, .. } => (source, Expected::Video),
            Content::Document { source, .. } => (source, Expected::Document),
            _ => return None,
        };
        let Source::Url(address) = source else { return None };
        let scheme = address.split("://").next().unwrap_or_default();
        let asked = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let wanted = asked && self.0.inlines(content);
        wanted.then(|| (address.clone(), expected))
    }
}

/// Goes through all parts of a conversation, those of results included.
fn visit(chat: &Chat, see: &mut dyn FnMut(&Content)) {
    fn parts(parts: &[Part], see: &mut dyn FnMut(&Content)) {
        for part in parts {
            see(&part.content);
            if let Content::ToolResult { parts: inner, .. } = &part.content {
                parts_of(inner, see);
            }
        }
    }
    fn parts_of(inner: &[Part], see: &mut dyn FnMut(&Content)) {
        parts(inner, see);
    }
    for message in &chat.messages {
        parts(&message.parts, see);
    }
}

/// Puts what was fetched where its address stood.
fn put(all: &mut [Part], found: &dyn Fn(&Content) -> Option<Source>) {
    for part in all {
        if let Content::ToolResult { parts: inner, .. } = &mut part.content {
            put(inner, found);
            continue;
        }
        let Some(fetched) = found(&part.content) else { continue };
        match &mut part.content {
            Content::Image { source, .. }
            | Content::Audio { source, .. }
            | Content::Video { source, .. }
            | Content::Document { source, .. } => *source = fetched,
            _ => {}
        }
    }
}

/// The call, with what its conversation names.
async fn fetched(
    fetcher: Fetcher,
    target: Target,
    mut call: Call,
    chat: Arc<Chat>,
) -> Result<Call, Error> {
    let mut wanted: Vec<(Str, Expected)> = Vec::new();
    visit(&chat, &mut |content| {
        if let Some(medium) = target.wanted(content)
            && !wanted.contains(&medium)
        {
            wanted.push(medium);
        }
    });
    if wanted.len() > MOST {
        return Err(Error::invalid(format!(
            "{} addresses are to be fetched for this model, {MOST} are the most",
            wanted.len()
        )));
    }
    let mut all: Vec<(Str, Source)> = Vec::new();
    let mut left = fetcher.most();
    let mut waiting = wanted.into_iter();
    let mut asked = JoinSet::new();
    loop {
        while asked.len() < AT_ONCE
            && let Some((address, expected)) = waiting.next()
        {
            if let Some(source) = fetcher.recent().find(call.id(), &address) {
                all.push((address, source));
                continue;
            }
            let fetcher = fetcher.clone();
            asked.spawn(async move {
                let source = fetcher.fetch(&address, expected, left).await;
                (address, source)
            });
        }
        let Some(done) = asked.join_next().await else { break };
        let (address, source) = done.map_err(|_| Error::closed())?;
        let source = source?;
        // Base64 takes four bytes for three.
        let taken = size(&source) / 4 * 3;
        left = left.checked_sub(taken).ok_or_else(|| {
            let most = fetcher.most();
            Error::invalid(format!("what is to be fetched is larger than {most} bytes together"))
        })?;
        fetcher.recent().learn(call.id(), &address, &source);
        all.push((address, source));
    }
    // What is configured is put in here, since the bytes end here.
    let mut payload = call.payload().clone();
    if let Some(dialect) = payload.dialect() {
        configure(&mut payload, &target.0, dialect);
    }
    let mut chat = Arc::unwrap_or_clone(Arc::clone(payload.chat()?));
    let found = |content: &Content| {
        let (address, _) = target.wanted(content)?;
        all.iter().find(|(known, _)| *known == address).map(|(_, source)| source.clone())
    };
    for message in &mut chat.messages {
        put(&mut message.parts, &found);
    }
    *call.payload_mut() = Payload::typed(Typed::Chat(Arc::new(chat)));
    Ok(call)
}

type Fetching = Pin<Box<dyn Future<Output = Result<Call, Error>> + Send>>;

impl<S: CallService> Service<Call> for Fetch<S> {
    type Response = Reply;
    type Error = Error;
    type Future = FetchFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Some(fetcher) = &self.fetcher else {
            return FetchFuture::Asking { future: self.inner.call(call) };
        };
        let Some(chat) = self.target.names(&call) else {
            return FetchFuture::Asking { future: self.inner.call(call) };
        };
        // The one that is ready is called; the clone stays.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let fetching: Fetching =
            Box::pin(fetched(fetcher.clone(), self.target.clone(), call, chat));
        FetchFuture::Fetching { fetching, ready }
    }
}

pin_project! {
    /// The answer to come.
    #[project = FetchProjection]
    pub enum FetchFuture<S: CallService> {
        #[doc(hidden)]
        Fetching { fetching: Fetching, ready: S },
        #[doc(hidden)]
        Asking { #[pin] future: S::Future },
    }
}

impl<S: CallService> Future for FetchFuture<S> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                FetchProjection::Asking { future } => return future.poll(cx),
                FetchProjection::Fetching { fetching, ready } => {
                    let call = ready!(fetching.as_mut().poll(cx))?;
                    ready.call(call)
                }
            };
            self.set(FetchFuture::Asking { future: next });
        }
    }
}
