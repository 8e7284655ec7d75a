//! Callers that keep their connections busy, check every answer and time it.
//!
//! Each caller has one connection and one request in flight. A run that is bounded by time starts no
//! request after its end but sees every started one through, so that CPU time divides by whole requests.

mod caller;
mod report;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::report::Tally;
pub use self::{
    caller::{Caller, Fault, Timing},
    report::Report,
};
use crate::prompt::Request;

/// How long a caller that was let down waits, so that a dead server is not hammered.
const AFTER_FAULT: Duration = Duration::from_millis(10);

/// When a run is over.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// No request is started after this long.
    Elapsed(Duration),
    /// So many requests by each caller.
    Requests(u64),
}

/// A set of callers with one request.
#[derive(Debug)]
pub struct Load {
    callers: Vec<Caller>,
    request: Arc<Request>,
}

impl Load {
    /// `callers` callers that send `request` to `server`.
    pub fn new(server: SocketAddr, request: Request, callers: usize) -> Self {
        let callers = (0..callers).map(|_| Caller::new(server)).collect();
        Self { callers, request: Arc::new(request) }
    }

    /// Sends no request twice.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.callers = self.callers.into_iter().map(Caller::unique).collect();
        self
    }

    /// Sends until the run is over and every answer is in. Connections stay open for the next run.
    ///
    /// # Errors
    ///
    /// When a caller's task failed, which is a bug here; what goes wrong with answers is in the report.
    pub async fn run(&mut self, until: Until) -> Result<Report> {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for caller in self.callers.drain(..) {
            tasks.spawn(one_caller(caller, Arc::clone(&self.request), start, until));
        }
        let mut tally = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let (caller, part) = done?;
            tally.extend(part);
            self.callers.push(caller);
        }
        Ok(tally.report(start.elapsed()))
    }
}

async fn one_caller(
    mut caller: Caller,
    request: Arc<Request>,
    start: Instant,
    until: Until,
) -> (Caller, Tally) {
    let mut tally = Tally::default();
    let mut sent = 0;
    loop {
        let over = match until {
            Until::Elapsed(most) => start.elapsed() >= most,
            Until::Requests(most) => sent >= most,
        };
        if over {
            return (caller, tally);
        }
        sent += 1;
        match caller.exchange(&request).await {
            Ok(timing) => tally.answered(timing),
            Err(fault) => {
                tally.failed(&fault);
                sleep(AFTER_FAULT).await;
            }
        }
    }
}

/// Opens `count` streams, `at_once` at a time, reads each up to its first word and leaves it there.
///
/// # Errors
///
/// The first fault.
pub async fn hold_streams(
    server: SocketAddr,
    request: &Arc<Request>,
    count: usize,
    at_once: usize,
) -> Result<Vec<Caller>> {
    let mut held = Vec::with_capacity(count);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        if tasks.len() == at_once
            && let Some(done) = tasks.join_next().await
        {
            held.push(done??);
        }
        let request = Arc::clone(request);
        tasks.spawn(async move {
            let mut caller = Caller::new(server);
            caller.open(&request).await.map(|_| caller)
        });
    }
    while let Some(done) = tasks.join_next().await {
        held.push(done??);
    }
    Ok(held)
}
