//! SIGHUP.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Reload;

/// SIGHUP, listened to.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on: the signal does not end the process any more.
    ///
    /// # Errors
    ///
    /// When signals cannot be listened to.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Reads the configuration again at each. It never ends by itself.
    pub async fn obey(mut self, reload: Arc<Reload>) {
        while self.0.recv().await.is_some() {
            // What came of it is in the log.
            drop(reload.now("SIGHUP").await);
        }
    }
}
