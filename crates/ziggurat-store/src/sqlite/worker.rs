//! The thread that does a store's work.

use std::fmt;
use std::sync::mpsc::{self, SyncSender, TrySendError};

use rusqlite::Connection;
use tokio::sync::oneshot;
use ziggurat_layers::conversation::{StoreError, StoreFuture};

use super::OpenError;

/// How many questions may wait.
const WAITING: usize = 1024;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Does one thing after the other with a connection. The thread ends with the last clone, when all is done.
#[derive(Clone)]
pub(super) struct Worker {
    jobs: SyncSender<Job>,
}

impl Worker {
    pub(super) fn start(connection: Connection) -> Result<Self, OpenError> {
        let mut connection = connection;
        let (jobs, asked) = mpsc::sync_channel::<Job>(WAITING);
        std::thread::Builder::new()
            .name("ziggurat-sqlite".to_owned())
            .spawn(move || {
                for job in asked {
                    job(&mut connection);
                }
            })
            .map_err(OpenError::Thread)?;
        Ok(Self { jobs })
    }

    /// Asks for something. It is done though nobody waits for it any more.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> StoreFuture<T> {
        let (done, answer) = oneshot::channel();
        let asked = self.jobs.try_send(Box::new(move |connection| {
            // Nobody may wait any more.
            drop(done.send(job(connection)));
        }));
        Box::pin(async move {
            match asked {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return Err(StoreError::new("the store is busy")),
                Err(TrySendError::Disconnected(_)) => return Err(stopped()),
            }
            match answer.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(StoreError::new("SQLite failed").with_source(error)),
                Err(_) => Err(stopped()),
            }
        })
    }
}

fn stopped() -> StoreError {
    StoreError::new("the store has stopped")
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
