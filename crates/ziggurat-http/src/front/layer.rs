//! The front door's settings.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use ziggurat_core::{Ambient, Call, System};

use super::disconnect::{Disconnect, Drains, Policy};
use super::service::{FrontDoor, NotFound};

/// Makes a [`FrontDoor`] around a [`CallService`](ziggurat_core::CallService).
///
/// ```
/// use std::time::Duration;
/// use ziggurat_http::FrontDoorLayer;
///
/// let layer = FrontDoorLayer::new()
///     .max_body(32 << 20)
///     .deadline(Duration::from_secs(600))
///     .keepalive_after(Duration::from_secs(15));
/// ```
#[derive(Clone, Debug)]
pub struct FrontDoorLayer<O = NotFound> {
    settings: Settings,
    otherwise: O,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_body: u64,
    pub(super) body_timeout: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) keepalive_after: Option<Duration>,
    pub(super) shutdown: Option<CancellationToken>,
    pub(super) litellm_headers: bool,
    pub(super) show_reasoning: bool,
    pub(super) disconnect: Policy,
    pub(super) drains: Drains,
    pub(super) ambient: Arc<dyn Ambient>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body: 100 << 20,
            body_timeout: Duration::from_secs(30),
            deadline: None,
            keepalive_after: None,
            shutdown: None,
            litellm_headers: true,
            show_reasoning: true,
            disconnect: Policy::default(),
            drains: Drains::default(),
            ambient: Arc::new(System),
        }
    }
}

impl Default for FrontDoorLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl FrontDoorLayer {
    /// A front door that takes bodies of up to 100 MiB, waits up to 30 s for more of a body, sets no deadline, sends no
    /// keep-alives, cuts the calls of clients that leave, and answers 404 to what is no model call.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Settings::default(), otherwise: NotFound::default() }
    }
}

impl<O> FrontDoorLayer<O> {
    /// Hands every request that is no model call to this service, untouched.
    #[must_use]
    pub fn otherwise<P>(self, service: P) -> FrontDoorLayer<P> {
        FrontDoorLayer { settings: self.settings, otherwise: service }
    }

    /// The largest body of a request, in bytes. A larger one is a 413.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// How long to wait for more of a request's body. Past it the answer is a 408.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.settings.body_timeout = timeout;
        self
    }

    /// How long a call may take, from its first byte to the last byte of its answer.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Sends comments or pings while a streamed call is silent for this long. Once the first has gone out the status is 200,
    /// and a failure can only be told in the stream.
    #[must_use]
    pub fn keepalive_after(mut self, silence: Duration) -> Self {
        self.settings.keepalive_after = Some(silence);
        self
    }

    /// Ends what is still running with an error when this token is cancelled.
    #[must_use]
    pub fn shutdown(mut self, token: CancellationToken) -> Self {
        self.settings.shutdown = Some(token);
        self
    }

    /// Whether LiteLLM's names of the headers stand beside ours. On by default.
    #[must_use]
    pub fn litellm_headers(mut self, on: bool) -> Self {
        self.settings.litellm_headers = on;
        self
    }

    /// Whether reasoning is shown to callers whose dialect has no field of its own for it (`reasoning_content`). On by default.
    #[must_use]
    pub fn show_reasoning(mut self, on: bool) -> Self {
        self.settings.show_reasoning = on;
        self
    }

    /// What becomes of a call whose client leaves, asked once for each call before the layers are. [Cut](Disconnect::Cut) by
    /// default; the rules are told at [`Disconnect`].
    #[must_use]
    pub fn disconnect(
        mut self,
        policy: impl Fn(&Call) -> Disconnect + Send + Sync + 'static,
    ) -> Self {
        self.settings.disconnect = Policy::new(policy);
        self
    }

    /// The bound on how many calls are drained at once: 256 by default. Doors that share one count together.
    #[must_use]
    pub fn drains(mut self, drains: Drains) -> Self {
        self.settings.drains = drains;
        self
    }

    /// Where wall time and randomness come from.
    #[must_use]
    pub fn ambient(mut self, ambient: impl Ambient) -> Self {
        self.settings.ambient = Arc::new(ambient);
        self
    }
}

impl<S, O: Clone> Layer<S> for FrontDoorLayer<O> {
    type Service = FrontDoor<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        FrontDoor::new(inner, self.otherwise.clone(), Arc::new(self.settings.clone()))
    }
}
