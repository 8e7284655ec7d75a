//! What callers say to the gateway inside the bodies of their calls.
//!
//! LiteLLM's clients put settings for the gateway beside the dialect's own parameters. They are
//! cut out here, so that no provider sees (and refuses) them:
//!
//! | member | what becomes of it |
//! | --- | --- |
//! | `drop_params` | honoured: `true` allows every loss, `false` refuses every loss |
//! | `timeout`, `stream_timeout` | honoured, in seconds |
//! | `num_retries`, else `max_retries` | honoured: how often a failed call is tried again |
//! | `fallbacks` | honoured: a list of models to ask instead, each a name, or an object with a `model` and parameters to set for it |
//! | `disable_fallbacks` | honoured: `true` lets no other model be asked |
//! | `cache` | honoured: an object of `no-cache`, `no-store`, `ttl`, `s-maxage`, `namespace`, `use-cache` |
//! | `caching` | honoured: as `cache: {use-cache}` |
//! | `tags` | honoured: by which deployments may be chosen |
//! | `allowed_model_region` | honoured: `eu`, `us`, or the name of a region that the deployment must be in |
//! | `litellm_session_id` | honoured: what keeps the calls of a conversation together |
//! | `mock_response` | honoured: answered with this text, and nobody is asked |
//! | `guardrails`, `no-log`, `context_window_fallback_dict`, `litellm_…` and their like | cut out and reported as lost, since there is nothing yet that could honour them |
//! | `api_key`, `api_base`, `base_url`, `user_config` and their like | refused: where calls go, and with whose key, is not a caller's business |
//!
//! What a dialect has a meaning of its own for stays: Anthropic's `fallbacks`, and `metadata`, out of which `tags` and
//! `session_id` are read. A list of tags is cut out of it, since no provider takes lists there.
//!
//! | header | what becomes of it |
//! | --- | --- |
//! | `x-litellm-timeout`, `x-litellm-stream-timeout`, `x-litellm-num-retries` | honoured; the members of the same name win |
//! | `x-litellm-tags` | honoured, with commas between; added to the members |
//! | `x-litellm-session-id` | honoured; wins over `metadata.session_id` |
//! | `cache-control` | honoured: `no-cache`, `no-store`, `max-age`; what `cache` says wins |
//!
//! A value of the wrong type is a 400 that names it. What the layers make of all this is in
//! [`Controls`].
//!
//! `timeout` bounds the whole of a call that is not streamed; of a streamed one `stream_timeout`,
//! else `timeout`, bounds the wait for the first content and every silence after it, as it does in
//! the [configuration](crate::config::Config::timeouts).
//!
//! It stands above the layers that choose where a call goes. Nothing of this is done to a call that
//! was built in code, which has no members.

mod said;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Call, CallService, Controls, Dialect, Error, Loss, LossAction, LossPolicy, Payload, RawJson,
    Reply, Str,
};
use ziggurat_dialects::ANTHROPIC;
use ziggurat_layers::{Timeout, TimeoutLayer, timeout};

use crate::config::{CacheSettings, CachedCalls};
use crate::mock::{self, Mock};

/// Makes an [`Extras`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtrasLayer {
    uncached: Uncached,
}

/// The calls that are kept out of the cache (`supported_call_types`).
#[derive(Clone, Copy, Debug, Default)]
struct Uncached {
    chat: bool,
    messages: bool,
}

/// Reads what is meant for the gateway, and cuts it out.
#[derive(Clone, Debug)]
pub struct Extras<S> {
    inner: S,
    uncached: Uncached,
}

impl ExtrasLayer {
    /// A layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps out of the cache what these settings do not name.
    #[must_use]
    pub fn caching(mut self, settings: Option<&CacheSettings>) -> Self {
        if let Some(settings) = settings {
            self.uncached.chat = !settings.serves(CachedCalls::Chat);
            self.uncached.messages = !settings.serves(CachedCalls::Messages);
        }
        self
    }
}

impl<S> Layer<S> for ExtrasLayer {
    type Service = Extras<S>;

    fn layer(&self, inner: S) -> Extras<S> {
        Extras { inner, uncached: self.uncached }
    }
}

// === impl Extras ===

impl<S: CallService> Service<Call> for Extras<S> {
    type Response = Reply;
    type Error = Error;
    type Future = ExtrasFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let read = match Read::take(&mut call, self.uncached) {
            Ok(read) => read,
            Err(error) => return ExtrasFuture::here(Err(error)),
        };
        if let Some(scope) = call.scope() {
            scope.report_losses(&read.losses);
        }
        if let Some(text) = read.mock {
            let reply = Mock::saying(mock::PROVIDER, text).answer(&call).map(|mut reply| {
                reply.head_mut().losses = read.losses;
                reply
            });
            return ExtrasFuture::here(reply);
        }
        let mut clocks = TimeoutLayer::new();
        match (call.is_streamed(), read.timeout, read.stream_timeout) {
            (true, whole, stream) => {
                if let Some(wait) = stream.or(whole) {
                    clocks = clocks.first_content(wait).idle(wait);
                }
            }
            (false, Some(whole), _) => {
                call.set_deadline(call.head().received + whole);
                clocks = clocks.attempt(whole);
            }
            (false, None, _) => {}
        }
        // The ready instance makes the call, the clone stays.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let mut timed: Timeout<S> = clocks.layer(inner);
        let state = State::Asked { future: timed.call(call), losses: read.losses };
        ExtrasFuture { state }
    }
}

impl Uncached {
    fn has(self, call: &Call) -> bool {
        match call.dialect() {
            Some(dialect) if dialect == ANTHROPIC => self.messages,
            _ => self.chat,
        }
    }
}

/// What was found in a call.
#[derive(Debug, Default)]
struct Read {
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
    mock: Option<Str>,
    losses: Vec<Loss>,
}

impl Read {
    fn take(call: &mut Call, uncached: Uncached) -> Result<Self, Error> {
        let mut read = Self::default();
        // Most callers say nothing to the layers: for them nothing is allocated.
        let mut controls = Controls::default();
        read.headers(call, &mut controls)?;
        let (mut policy, mut retries) = (None, None);
        for (name, extra) in found(call.payload()) {
            let payload = call.payload_mut();
            let value = payload.member(&name).unwrap_or_default();
            if extra != Extra::Metadata {
                payload.remove(name.clone());
            }
            // Null is as good as absent.
            if value == "null" {
                continue;
            }
            match extra {
                Extra::DropParams => {
                    let drop = said::boolean(&name, &value)?;
                    policy = Some(if drop { LossPolicy::Allow } else { LossPolicy::Refuse });
                }
                Extra::Timeout => read.timeout = Some(said::seconds(&name, value.parse().ok())?),
                Extra::StreamTimeout => {
                    read.stream_timeout = Some(said::seconds(&name, value.parse().ok())?);
                }
                Extra::NumRetries => retries = Some(said::retries(&name, &value)?),
                Extra::MaxRetries => {
                    let number = said::retries(&name, &value)?;
                    retries = retries.or(Some(number));
                }
                Extra::Fallbacks => controls.fallbacks = Some(said::fallbacks(&value)?),
                Extra::DisableFallbacks => {
                    controls.disable_fallbacks = said::boolean(&name, &value)?;
                }
                Extra::Cache => said::cache(&mut controls.cache, &value)?,
                Extra::Caching => {
                    controls.cache.use_cache = Some(said::boolean(&name, &value)?);
                }
                Extra::Tags => said::tags(&mut controls, &value)?,
                Extra::Session => {
                    let session = said::text(&name, &value)?;
                    said::session(&mut controls, &name, &session)?;
                }
                Extra::Region => controls.region = Some(said::name(&name, &value)?),
                Extra::Metadata => match said::metadata(&mut controls, &value)? {
                    None => {}
                    Some(rest) if rest.is_empty() => payload.remove(name),
                    Some(rest) => {
                        let rest = RawJson::of(&rest).map_err(|e| Error::invalid(e.to_string()))?;
                        payload.set(name, rest);
                    }
                },
                Extra::Mock => read.mock = Some(said::text(&name, &value)?),
                Extra::Unsupported => {
                    let reason = "the gateway does not support it yet";
                    read.losses.push(Loss::new(name.to_string(), reason, LossAction::Dropped));
                }
                Extra::Refused => return Err(refused(&name)),
            }
        }
        controls.retries = retries.or(controls.retries);
        if uncached.has(call) {
            controls.cache.no_cache = true;
            controls.cache.no_store = true;
        }
        if let Some(policy) = policy {
            call.set_loss_policy(policy);
        }
        if controls != Controls::default() {
            *call.controls_mut() = controls;
        }
        Ok(read)
    }

    fn headers(&mut self, call: &Call, controls: &mut Controls) -> Result<(), Error> {
        said::headers(&call.head().headers, |name, value| {
            let seconds = || said::seconds(name, value.trim().parse().ok()).map(Some);
            match name {
                "x-litellm-timeout" => self.timeout = seconds()?,
                "x-litellm-stream-timeout" => self.stream_timeout = seconds()?,
                "x-litellm-num-retries" => controls.retries = Some(said::retries(name, value)?),
                "x-litellm-tags" => said::header_tags(controls, name, value)?,
                "x-litellm-session-id" => said::session(controls, name, value)?,
                _ => said::cache_control(&mut controls.cache, value),
            }
            Ok(())
        })
    }
}

/// A member that is meant for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    DropParams,
    Timeout,
    StreamTimeout,
    NumRetries,
    MaxRetries,
    Fallbacks,
    DisableFallbacks,
    Cache,
    Caching,
    Tags,
    Session,
    Region,
    Metadata,
    Mock,
    Unsupported,
    Refused,
}

impl Extra {
    fn of(name: &str, dialect: Dialect) -> Option<Self> {
        match name {
            // A beta of Anthropic's has this name.
            "fallbacks" if dialect == ANTHROPIC => None,
            "metadata" => Some(Self::Metadata),
            _ => Self::named(name),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "drop_params" => Self::DropParams,
            "timeout" => Self::Timeout,
            "stream_timeout" => Self::StreamTimeout,
            "num_retries" => Self::NumRetries,
            "max_retries" => Self::MaxRetries,
            "fallbacks" => Self::Fallbacks,
            "disable_fallbacks" => Self::DisableFallbacks,
            "cache" => Self::Cache,
            "caching" => Self::Caching,
            "tags" => Self::Tags,
            "litellm_session_id" => Self::Session,
            "allowed_model_region" => Self::Region,
            "mock_response" => Self::Mock,
            "additional_drop_params"
            | "allowed_openai_params"
            | "context_window_fallback_dict"
            | "guardrails"
            | "mock_timeout"
            | "no-log"
            | "prompt_id"
            | "prompt_variables"
            | "ttl" => Self::Unsupported,
            "api_base"
            | "api_key"
            | "api_version"
            | "base_url"
            | "custom_llm_provider"
            | "model_list"
            | "user_config" => Self::Refused,
            _ if name.starts_with("litellm_") => Self::Unsupported,
            _ => return None,
        })
    }
}

/// The members of a call that are meant for the gateway.
fn found(payload: &Payload) -> Vec<(Str, Extra)> {
    let Some(dialect) = payload.dialect() else { return Vec::new() };
    let ours = |name| Some((Str::from(name), Extra::of(name, dialect)?));
    payload.names().filter_map(ours).collect()
}

fn refused(name: &str) -> Error {
    let message = format!(
        "`{name}` cannot be set by callers: where calls go, and with which key, is configured in \
         the gateway"
    );
    Error::invalid(message).with_param(name.to_owned())
}

pin_project! {
    /// The reply to come.
    pub struct ExtrasFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        // It is here: a refusal of what the gateway was told, or what the caller told it to say.
        Here { reply: Option<Box<Result<Reply, Error>>> },
        // The call is under way.
        Asked {
            #[pin]
            future: timeout::ResponseFuture<F>,
            losses: Vec<Loss>,
        },
    }
}

impl<F> ExtrasFuture<F> {
    fn here(reply: Result<Reply, Error>) -> Self {
        Self { state: State::Here { reply: Some(Box::new(reply)) } }
    }
}

impl<F: Future<Output = Result<Reply, Error>>> Future for ExtrasFuture<F> {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Here { reply } => {
                Poll::Ready(reply.take().map_or_else(|| Err(Error::closed()), |reply| *reply))
            }
            StateProjection::Asked { future, losses } => {
                let mut reply = ready!(future.poll(cx))?;
                reply.head_mut().losses.append(losses);
                Poll::Ready(Ok(reply))
            }
        }
    }
}

#[cfg(test)]
mod tests;
