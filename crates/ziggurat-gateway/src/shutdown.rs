//! How the gateway ends: at the first signal in good order, at the second at once.
//!
//! After the first SIGTERM or SIGINT no connection is accepted any more and calls under way go on,
//! until they are done or the grace is over; what still runs then is ended with an error in its own
//! dialect. A second signal ends the process on the spot.

use std::io;

use crate::stack::Ending;

/// The signals that end the gateway.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens to them from now on, so that none ends the process before its time.
    ///
    /// # Errors
    ///
    /// When signals cannot be listened to.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Listens to them from now on.
    ///
    /// # Errors
    ///
    /// Never.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the first, and from then on has an eye on the second.
    pub async fn stop(mut self, ending: &Ending) {
        self.next().await;
        tracing::info!("stopping: calls under way are finished, a second signal ends them");
        ending.stopping.cancel();
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped before calls under way were finished");
            crate::logs::flush();
            std::process::exit(1);
        });
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
