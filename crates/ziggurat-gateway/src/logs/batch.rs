//! Lines go out in batches: a write for each call would cost more than the layers do.
//!
//! A line waits for at most [`PATIENCE`]; a warning goes out at once, with whatever waits before it. Where a person watches,
//! lines are not held back.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others.
const PATIENCE: Duration = Duration::from_millis(20);
/// How many bytes wait at most. Who would add to more writes them out first.
const MOST: usize = 1 << 20;

/// Lines on their way to standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<u8>>,
    begun: Condvar,
}

impl Batch {
    /// Begins to write lines out.
    pub(super) fn begin() -> Self {
        let batch = Self::default();
        let shared = Arc::clone(&batch.0);
        let writing = std::thread::Builder::new().name("log".to_owned());
        // Without the thread every line is written by whoever has it.
        drop(writing.spawn(move || shared.write_out()));
        batch
    }

    /// Writes out what waits.
    pub(super) fn flush(&self) {
        self.0.flush();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self) {
        loop {
            let lines = self.lock();
            let waiting = self.begun.wait_while(lines, |lines| lines.is_empty());
            drop(waiting.unwrap_or_else(PoisonError::into_inner));
            std::thread::park_timeout(PATIENCE);
            self.flush();
        }
    }

    fn flush(&self) {
        // Standard error is locked first, so that batches go out in their order.
        let mut out = io::stderr().lock();
        let lines = std::mem::take(&mut *self.lock());
        // A log that nobody takes is no reason to fail.
        drop(out.write_all(&lines));
    }
}

impl<'a> MakeWriter<'a> for Batch {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, at_once: false }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, at_once: *meta.level() <= Level::WARN }
    }
}

/// One line to be written.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.shared.lock();
        let first = lines.is_empty();
        lines.extend_from_slice(bytes);
        let full = lines.len() > MOST;
        drop(lines);
        if self.at_once || full {
            self.shared.flush();
        } else if first {
            self.shared.begun.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_waits_for_others_and_then_goes() {
        // No thread writes this one out.
        let batch = Batch::default();
        batch.make_writer().write_all(b"one\n").unwrap();
        batch.make_writer().write_all(b"two\n").unwrap();
        assert_eq!(*batch.0.lock(), b"one\ntwo\n");
        batch.flush();
        assert!(batch.0.lock().is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let batch = Batch::default();
        batch.make_writer().write_all(&vec![b'\n'; MOST + 1]).unwrap();
        assert!(batch.0.lock().is_empty());
    }
}
