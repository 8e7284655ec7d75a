use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Ambient, Call, Dialect, Settle, System};

use super::jobs::Jobs;
use super::{Conversation, Store};

/// Keeps answers, so that a conversation goes on from them. See the [module](super).
#[derive(Clone)]
pub struct ConversationLayer {
    settings: Settings,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) dialect: Dialect,
    pub(super) store: Arc<dyn Store>,
    pub(super) max_history: usize,
    pub(super) jobs: Arc<Jobs>,
    pub(super) observer: Option<Observer>,
    pub(super) ambient: Arc<dyn Ambient>,
}

/// Who is told how a call in the background ended.
type Observer = Arc<dyn Fn(&Call) -> Arc<dyn Settle> + Send + Sync>;

impl ConversationLayer {
    /// A layer for callers of this dialect, which is OpenAI Responses or one that has its words for what is kept.
    #[must_use]
    pub fn new(dialect: Dialect, store: Arc<dyn Store>) -> Self {
        let (jobs, ambient) = (Arc::default(), Arc::new(System));
        let settings =
            Settings { dialect, store, max_history: 64 << 20, jobs, observer: None, ambient };
        Self { settings }
    }

    /// How large a conversation may grow, in bytes. The default is 64 MiB.
    #[must_use]
    pub fn max_history(mut self, bytes: usize) -> Self {
        self.settings.max_history = bytes;
        self
    }

    /// Who is told how each call in the background ended: layers above see only that it was begun.
    #[must_use]
    pub fn observe_background<O: Settle>(
        mut self,
        observer: impl Fn(&Call) -> O + Send + Sync + 'static,
    ) -> Self {
        self.settings.observer = Some(Arc::new(move |call| Arc::new(observer(call))));
        self
    }

    /// Where wall time comes from.
    #[must_use]
    pub fn ambient(mut self, ambient: impl Ambient) -> Self {
        self.settings.ambient = Arc::new(ambient);
        self
    }
}

impl<S> Layer<S> for ConversationLayer {
    type Service = Conversation<S>;

    fn layer(&self, inner: S) -> Conversation<S> {
        Conversation::new(inner, Arc::new(self.settings.clone()))
    }
}

impl fmt::Debug for ConversationLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("dialect", &self.dialect)
            .field("max_history", &self.max_history)
            .finish_non_exhaustive()
    }
}
