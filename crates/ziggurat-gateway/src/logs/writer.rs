//! Writes lines on a thread of its own.
//!
//! Whoever logs only puts a line into memory: a terminal that is scrolled back, or a collector that
//! hangs, holds up no call. Lines that come close together are written at once. What does not fit
//! into the bound is dropped, and how much that was is the next line.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The most that waits to be written, in bytes.
const MOST: usize = 4 << 20;
/// What is waited for more lines before the first is written.
const GATHER: Duration = Duration::from_millis(20);
/// So much is written without waiting for more, in bytes.
const ENOUGH: usize = 32 << 10;
/// How long the end waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// Takes lines in.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// Tells the thread of lines, and whoever waits for the end of it.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    /// Somebody wants it written at once.
    urgent: bool,
    /// The thread is writing what it has taken out.
    writing: bool,
}

// === impl Lines ===

impl Lines {
    /// Begins to write to `out`.
    pub(crate) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self(Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new() }));
        let shared = Arc::clone(&lines.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.run(out))?;
        Ok(lines)
    }

    /// Waits until everything is written, but not for ever.
    pub(crate) fn flush(&self) {
        let mut waiting = self.0.lock();
        waiting.urgent = true;
        self.0.changed.notify_all();
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        // Nothing is left to be done about a log that nobody reads.
        drop(self.0.changed.wait_timeout_while(waiting, FAREWELL, busy));
    }

    fn push(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.0.lock();
        if waiting.lines.len() + line.len() > MOST {
            waiting.dropped += 1;
            return;
        }
        let before = waiting.lines.len();
        waiting.lines.extend_from_slice(line);
        let enough = before < ENOUGH && waiting.lines.len() >= ENOUGH;
        let first = before == 0;
        if first || enough || (urgent && !waiting.urgent) {
            waiting.urgent |= urgent;
            drop(waiting);
            self.0.changed.notify_all();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.take(&mut batch);
            // Where a log cannot be written that cannot be logged either.
            drop(out.write_all(&batch));
            if dropped > 0 {
                drop(out.write_all(missing(dropped).as_bytes()));
            }
            drop(out.flush());
            batch.clear();
            batch.shrink_to(ENOUGH);
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for lines and takes them out; how many were dropped.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let none = |waiting: &mut Waiting| waiting.lines.is_empty();
        let waiting = self.changed.wait_while(self.lock(), none);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let few = |waiting: &mut Waiting| !waiting.urgent && waiting.lines.len() < ENOUGH;
        let gathered = self.changed.wait_timeout_while(waiting, GATHER, few);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.lines, batch);
        waiting.urgent = false;
        waiting.writing = true;
        mem::take(&mut waiting.dropped)
    }
}

/// A line that can be read in either log.
fn missing(lines: u64) -> String {
    let message = format!("the log was read too slowly: {lines} lines are missing");
    format!("{{\"level\":\"WARN\",\"message\":\"{message}\"}}\n")
}

/// Takes one line in.
pub(crate) struct LineWriter<'a> {
    lines: &'a Lines,
    urgent: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { lines: self, urgent: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        // What went wrong may be the last that is ever heard.
        LineWriter { lines: self, urgent: *metadata.level() == Level::ERROR }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Gives each write on, and waits until somebody takes it.
    struct Out(SyncSender<Vec<u8>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        (Lines::to(Out(sender)).unwrap(), receiver)
    }

    #[test]
    fn lines_come_out_in_order_and_together() {
        let (lines, out) = lines();
        for line in ["one\n", "two\n", "three\n"] {
            lines.push(line.as_bytes(), false);
        }
        let mut written = Vec::new();
        while written.len() < 14 {
            written.extend(out.recv().unwrap());
        }
        assert_eq!(String::from_utf8(written).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_log_that_hangs_holds_nobody_up_and_says_what_is_missing() {
        let (lines, out) = lines();
        let line = vec![b'x'; 1 << 20];
        // The first is taken out at once and hangs; four fit; the rest is dropped.
        lines.push(&line, true);
        while !lines.0.lock().writing {
            std::thread::yield_now();
        }
        for _ in 0..7 {
            lines.push(&line, false);
        }
        assert_eq!(lines.0.lock().dropped, 3);
        assert_eq!(out.recv().unwrap().len(), 1 << 20);
        assert_eq!(out.recv().unwrap().len(), 4 << 20);
        let missing = String::from_utf8(out.recv().unwrap()).unwrap();
        assert!(missing.contains("3 lines are missing"), "{missing}");
    }

    #[test]
    fn the_end_waits_until_all_is_written() {
        let (lines, out) = lines();
        let reader = std::thread::spawn(move || out.recv().unwrap());
        lines.push(b"last\n", false);
        lines.flush();
        assert!(lines.0.lock().lines.is_empty() && !lines.0.lock().writing);
        assert_eq!(reader.join().unwrap(), b"last\n");
        // And is over at once where there is nothing to write.
        lines.flush();
    }
}
