//! What callers say to the gateway inside the bodies of their calls.
//!
//! LiteLLM's clients put settings for the gateway beside the dialect's own parameters. They are
//! cut out here, so that no provider sees (and refuses) them:
//!
//! | member | what becomes of it |
//! | --- | --- |
//! | `drop_params` | honoured: `true` allows every loss, `false` refuses every loss |
//! | `timeout`, `stream_timeout` | honoured, in seconds; so are the headers `x-litellm-timeout` and `x-litellm-stream-timeout`, over which the members win |
//! | `num_retries`, `fallbacks`, `cache`, `tags`, `mock_response`, `no-log`, `litellm_…` and their like | cut out and reported as lost, since there is nothing yet that could honour them |
//! | `api_key`, `api_base`, `base_url`, `user_config` and their like | refused: where calls go, and with whose key, is not a caller's business |
//!
//! What a dialect has a meaning of its own for stays: `metadata`, and Anthropic's `fallbacks`.
//!
//! `timeout` bounds the whole of a call that is not streamed; of a streamed one `stream_timeout`,
//! else `timeout`, bounds the wait for the first content and every silence after it, as it does in
//! the [configuration](crate::config::Config::timeouts).
//!
//! It stands above the layers that choose where a call goes. Nothing of this is done to a call that
//! was built in code, which has no members.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Call, CallService, Dialect, Error, Loss, LossAction, LossPolicy, Payload, Reply, Str,
};
use ziggurat_dialects::ANTHROPIC;
use ziggurat_layers::{Timeout, TimeoutLayer, timeout};

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-litellm-timeout");
const STREAM_TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");

/// The longest time a caller may ask for: anything beyond is meant as "for ever".
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Makes an [`Extras`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtrasLayer(());

/// Reads what is meant for the gateway, and cuts it out.
#[derive(Clone, Debug)]
pub struct Extras<S> {
    inner: S,
}

impl ExtrasLayer {
    /// A layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for ExtrasLayer {
    type Service = Extras<S>;

    fn layer(&self, inner: S) -> Extras<S> {
        Extras { inner }
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
        let read = match Read::take(&mut call) {
            Ok(read) => read,
            Err(error) => return ExtrasFuture { state: State::Refused { error: Some(error) } },
        };
        if let Some(scope) = call.scope() {
            scope.report_losses(&read.losses);
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

/// What was found in a call.
#[derive(Debug, Default)]
struct Read {
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
    losses: Vec<Loss>,
}

impl Read {
    fn take(call: &mut Call) -> Result<Self, Error> {
        let mut read = Self::default();
        let headers = &call.head().headers;
        read.timeout = header(headers, &TIMEOUT_HEADER)?;
        read.stream_timeout = header(headers, &STREAM_TIMEOUT_HEADER)?;
        let mut policy = None;
        for (name, extra) in found(call.payload()) {
            let payload = call.payload_mut();
            let value = payload.member(&name).unwrap_or_default();
            payload.remove(name.clone());
            // Null is as good as absent.
            if value == "null" {
                continue;
            }
            match extra {
                Extra::DropParams => policy = Some(loss_policy(&value)?),
                Extra::Timeout => read.timeout = Some(seconds(&name, value.parse().ok())?),
                Extra::StreamTimeout => {
                    read.stream_timeout = Some(seconds(&name, value.parse().ok())?);
                }
                Extra::Unsupported => {
                    let reason = "the gateway does not support it yet";
                    read.losses.push(Loss::new(name.to_string(), reason, LossAction::Dropped));
                }
                Extra::Refused => return Err(refused(&name)),
            }
        }
        if let Some(policy) = policy {
            call.set_loss_policy(policy);
        }
        Ok(read)
    }
}

/// A member that is meant for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    DropParams,
    Timeout,
    StreamTimeout,
    Unsupported,
    Refused,
}

impl Extra {
    fn of(name: &str, dialect: Dialect) -> Option<Self> {
        Some(match name {
            "drop_params" => Self::DropParams,
            "timeout" => Self::Timeout,
            "stream_timeout" => Self::StreamTimeout,
            // A beta of Anthropic's has this name.
            "fallbacks" if dialect == ANTHROPIC => return None,
            "additional_drop_params"
            | "allowed_openai_params"
            | "cache"
            | "caching"
            | "context_window_fallback_dict"
            | "disable_fallbacks"
            | "fallbacks"
            | "guardrails"
            | "max_retries"
            | "mock_response"
            | "mock_timeout"
            | "no-log"
            | "num_retries"
            | "prompt_id"
            | "prompt_variables"
            | "tags"
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

fn loss_policy(value: &str) -> Result<LossPolicy, Error> {
    match value {
        "true" => Ok(LossPolicy::Allow),
        "false" => Ok(LossPolicy::Refuse),
        _ => Err(Error::invalid("`drop_params` must be true or false").with_param("drop_params")),
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seconds(name.as_str(), number).map(Some)
}

fn seconds(name: &str, number: Option<f64>) -> Result<Duration, Error> {
    let seconds = number.filter(|seconds| *seconds > 0.0).map(|seconds| {
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |duration| duration.min(LONGEST))
    });
    seconds.ok_or_else(|| {
        let message = format!("`{name}` must be a number of seconds above 0");
        Error::invalid(message).with_param(name.to_owned())
    })
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
        // Something was wrong with what the gateway was told.
        Refused { error: Option<Error> },
        // The call is under way.
        Asked {
            #[pin]
            future: timeout::ResponseFuture<F>,
            losses: Vec<Loss>,
        },
    }
}

impl<F: Future<Output = Result<Reply, Error>>> Future for ExtrasFuture<F> {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(Error::closed)))
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
