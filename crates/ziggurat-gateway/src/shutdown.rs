//! How the gateway ends: at the first signal in good order, at the second at once.
//!
//! After the first SIGTERM or SIGINT no connection is accepted any more and calls under way go on,
//! until they are done or the grace is over; what still runs then is ended with an error in its own
//! dialect. A second signal ends the process on the spot.

use std::io;

use crate::stack::Ending;

/// Waits for the first signal, and then has an eye on the second.
///
/// # Errors
///
/// When signals cannot be listened to.
pub async fn signalled(ending: &Ending) -> io::Result<()> {
    let mut signals = Signals::new()?;
    signals.next().await;
    tracing::info!("stopping: calls under way are finished, a second signal ends them");
    ending.stopping.cancel();
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("stopped before calls under way were finished");
        crate::logs::flush();
        std::process::exit(1);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals(());

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
