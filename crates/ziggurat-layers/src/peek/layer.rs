use std::time::Duration;

use tower_layer::Layer;

use super::Peek;
use super::held::Window;

/// Holds a stream's head back until content has come. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct PeekLayer {
    window: Window,
}

impl PeekLayer {
    /// A layer that waits for the first content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until so many events with content have come: about one token each. 0 and 1 are the first content.
    #[must_use]
    pub fn until_tokens(mut self, tokens: u64) -> Self {
        self.window.tokens = Some(tokens);
        self
    }

    /// Waits for so long after the first content, or until [enough](Self::until_tokens) has come.
    #[must_use]
    pub fn until_elapsed(mut self, elapsed: Duration) -> Self {
        self.window.elapsed = Some(elapsed);
        self
    }

    /// Bounds what is held back, in bytes; 1 MiB unless told. A reply that says nothing for that long goes out as it is.
    #[must_use]
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.window.max_held = bytes;
        self
    }
}

impl<S> Layer<S> for PeekLayer {
    type Service = Peek<S>;

    fn layer(&self, inner: S) -> Peek<S> {
        Peek::new(inner, self.window)
    }
}
