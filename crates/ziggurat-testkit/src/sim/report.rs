//! What happened in one run.

use std::fmt;
use std::time::Duration;

use ziggurat_core::{Outcome, Usage};

use super::fault::Fault;
use super::wire::Wire;

/// What happened in one run: every call, every request that reached a provider, everything that passed a probe, in order.
///
/// Moments are pairs of the time since the run began and a number that grows with every moment, so that what happened at the
/// same time is still ordered.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The calls of the callers.
    pub calls: Vec<CallRecord>,
    /// The requests that reached providers.
    pub attempts: Vec<AttemptRecord>,
    /// What passed the probes.
    pub passes: Vec<Pass>,
    /// What happened to machines: the fault, and when.
    pub accidents: Vec<(Fault, Moment)>,
    /// Everything, line by line.
    pub trace: Vec<String>,
    /// What was wrong.
    pub violations: Vec<Violation>,
}

/// A point in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Grows with every moment.
    pub number: u64,
    /// Since the run began.
    pub at: Duration,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant is broken.
    pub invariant: &'static str,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// One call, as its caller saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallRecord {
    /// Its number. The caller says `call-<id>` in `x-request-id`.
    pub id: u64,
    /// What it asks. Calls that ask the same are equal, byte by byte, in their dialect.
    pub question: u64,
    /// The caller's dialect.
    pub wire: Wire,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// The model asked for.
    pub model: String,
    /// The caller's key.
    pub key: String,
    /// Which instance was asked.
    pub instance: usize,
    /// Whether it was made after the faults were over, when everything must work.
    pub recovery: bool,
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// How it ended.
    pub end: CallEnd,
    /// The status, once there was one.
    pub status: Option<u16>,
    /// The headers of the answer: names and values.
    pub headers: Vec<(String, String)>,
    /// The text that came.
    pub text: String,
    /// When the first of it came.
    pub first_text: Option<Moment>,
    /// The usage that the caller was told: input, output.
    pub told: Option<(u64, u64)>,
}

/// How a call ended for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEnd {
    /// With a whole answer.
    Answered,
    /// With an error in place of an answer.
    Refused,
    /// With an error in the middle of a stream.
    Broken,
    /// The caller left before the end.
    Left,
    /// The instance was killed.
    Crashed,
    /// A panic went through the whole stack.
    Panicked,
    /// Neither answer nor error came, for as long as a caller waits.
    Unanswered,
    /// The answer ended without a reason, a terminator or an error.
    Cut,
    /// The answer makes no sense, or says two things at once.
    Garbled(String),
}

/// One request at a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// Its number. Every word of its text begins with it.
    pub id: u64,
    /// What was asked; `None` for a request that no caller made.
    pub question: Option<u64>,
    /// The provider.
    pub provider: String,
    /// The model that the provider was asked for.
    pub model: String,
    /// Which instance asked.
    pub instance: usize,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// When it came.
    pub began: Moment,
    /// When it was over: read to its end, failed, or given up.
    pub ended: Option<Moment>,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// All that the provider meant to say.
    pub text: String,
    /// How many words of it were sent.
    pub words: u64,
    /// The usage that the provider told, as far as it was sent.
    pub told: Option<Usage>,
    /// What it used, as far as it got.
    pub used: Usage,
    /// Whether all of it was sent.
    pub complete: bool,
}

/// One call that passed a probe.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pass {
    /// The probe's name.
    pub probe: String,
    /// Which instance it was at.
    pub instance: usize,
    /// The call's number, where it is a caller's call.
    pub call: Option<u64>,
    /// The caller's key.
    pub key: String,
    /// The model asked for, as it stood there.
    pub model: String,
    /// The attempt, where the call was in the scope of one.
    pub attempt: Option<u16>,
    /// When it passed.
    pub began: Moment,
    /// When its scope was settled.
    pub ended: Option<Moment>,
    /// Every outcome that was told: one, if all is well.
    pub outcomes: Vec<Outcome>,
    /// Whether there was no scope, or a closed one, to register in.
    pub unregistered: bool,
}

impl Report {
    /// What passed the probe of this name.
    pub fn passed(&self, probe: &str) -> impl Iterator<Item = &Pass> {
        self.passes.iter().filter(move |pass| pass.probe == probe)
    }

    /// The requests at the provider of this name.
    pub fn at(&self, provider: &str) -> impl Iterator<Item = &AttemptRecord> {
        self.attempts.iter().filter(move |attempt| attempt.provider == provider)
    }

    /// The requests that ask this.
    pub fn attempts_at(&self, question: u64) -> impl Iterator<Item = &AttemptRecord> {
        self.attempts.iter().filter(move |attempt| attempt.question == Some(question))
    }

    /// How many calls ended so.
    #[must_use]
    pub fn count(&self, end: &CallEnd) -> usize {
        self.calls.iter().filter(|call| call.end == *end).count()
    }

    /// Notes that something is wrong, once all is over: for a check of one's own that finds more than one thing.
    pub fn violate(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { invariant, what: what.into() });
    }
}

/// The most that was going on at once.
///
/// ```
/// use ziggurat_testkit::sim::{Moment, peak};
///
/// let at = |number| Moment { number, ..Moment::default() };
/// assert_eq!(peak([(at(1), Some(at(4))), (at(2), Some(at(3))), (at(5), None)]), 2);
/// ```
pub fn peak(spans: impl IntoIterator<Item = (Moment, Option<Moment>)>) -> u64 {
    let mut steps: Vec<(Moment, bool)> = Vec::new();
    for (began, ended) in spans {
        steps.push((began, true));
        steps.extend(ended.map(|ended| (ended, false)));
    }
    steps.sort_unstable();
    let (mut now, mut most) = (0_u64, 0);
    for (_, begins) in steps {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

/// The most that came within any span of this length, weighed: `(when, weight)`. A span holds what comes later than its begin by
/// less than its length.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_testkit::sim::most_within;
///
/// let at = Duration::from_millis;
/// let came = [(at(0), 1), (at(400), 1), (at(999), 1), (at(1400), 5)];
/// assert_eq!(most_within(at(1000), came), 6);
/// ```
pub fn most_within(span: Duration, came: impl IntoIterator<Item = (Duration, u64)>) -> u64 {
    let mut came: Vec<_> = came.into_iter().collect();
    came.sort_unstable();
    let (mut first, mut sum, mut most) = (0, 0_u64, 0);
    for last in 0..came.len() {
        let (now, weight) = came[last];
        sum += weight;
        while now - came[first].0 >= span {
            sum -= came[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}
