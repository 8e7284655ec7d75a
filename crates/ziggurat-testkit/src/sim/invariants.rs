//! What must hold at the end of every run.

use std::collections::{BTreeMap, BTreeSet};

use ziggurat_core::{End, Usage};

use super::report::{AttemptRecord, CallEnd, CallRecord, Pass, Report, Violation};
use super::simulation::Simulation;
use super::world::TOP;

/// Checks everything, the embedder's own invariants last.
pub(super) fn check(simulation: &Simulation, report: &mut Report) {
    let mut found = Found(std::mem::take(&mut report.violations));
    let index = Index::new(report);
    for call in &report.calls {
        one_answer_or_one_error(call, &mut found);
        one_attempts_text(call, &index, report, &mut found);
        nothing_after_content(call, &index, &mut found);
        told_usage(call, &index, &mut found);
    }
    attempts(simulation, report, &index, &mut found);
    settled(report, &index, &mut found);
    for (name, check) in &simulation.checks {
        if let Err(what) = check(report) {
            found.violated(name, what);
        }
    }
    report.violations = found.0;
}

struct Found(Vec<Violation>);

impl Found {
    fn violated(&mut self, invariant: &'static str, what: String) {
        self.0.push(Violation { invariant, what });
    }
}

/// Who asked what.
struct Index<'a> {
    /// How many callers asked a question.
    callers: BTreeMap<u64, u64>,
    attempts: BTreeMap<u64, Vec<&'a AttemptRecord>>,
}

impl<'a> Index<'a> {
    fn new(report: &'a Report) -> Self {
        let mut index = Self { callers: BTreeMap::new(), attempts: BTreeMap::new() };
        for call in &report.calls {
            *index.callers.entry(call.question).or_default() += 1;
        }
        for attempt in &report.attempts {
            if let Some(question) = attempt.question {
                index.attempts.entry(question).or_default().push(attempt);
            }
        }
        index
    }

    fn attempts(&self, call: &CallRecord) -> &[&'a AttemptRecord] {
        self.attempts.get(&call.question).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody else asked the same, so that every attempt is this call's.
    fn is_alone(&self, call: &CallRecord) -> bool {
        self.callers.get(&call.question) == Some(&1)
    }
}

/// The caller gets exactly one answer or one error.
fn one_answer_or_one_error(call: &CallRecord, found: &mut Found) {
    let wrong = match &call.end {
        CallEnd::Answered if call.recovery => return,
        CallEnd::Refused | CallEnd::Broken | CallEnd::Panicked | CallEnd::Left if call.recovery => {
            let id = call.id;
            let what = format!("call {id} fails though all is well again: {:?}", call.end);
            return found.violated("the stack recovers", what);
        }
        CallEnd::Answered
        | CallEnd::Refused
        | CallEnd::Broken
        | CallEnd::Left
        | CallEnd::Crashed
        | CallEnd::Panicked => return,
        CallEnd::Unanswered => "neither an answer nor an error came".to_owned(),
        CallEnd::Cut => {
            "its stream ends as if all were well, and says neither why nor that it does".to_owned()
        }
        CallEnd::Garbled(what) => what.clone(),
    };
    found.violated("one answer or one error", format!("call {}: {wrong}", call.id));
}

/// What the caller read is the text of one attempt, from its beginning; all of it, where the answer ended well.
fn one_attempts_text(call: &CallRecord, index: &Index<'_>, report: &Report, found: &mut Found) {
    if call.text.is_empty() {
        if call.end == CallEnd::Answered {
            let what = format!("call {} was answered with nothing", call.id);
            found.violated("one attempt's text", what);
        }
        return;
    }
    let whole = call.end == CallEnd::Answered;
    let fits = |attempt: &AttemptRecord| match whole {
        true => attempt.text == call.text,
        false => attempt.text.starts_with(&call.text),
    };
    if index.attempts(call).iter().any(|attempt| fits(attempt)) {
        return;
    }
    let of: BTreeSet<_> = call
        .text
        .split_whitespace()
        .filter_map(|word| word.strip_prefix('a')?.split_once('w')?.0.parse::<u64>().ok())
        .collect();
    let others = of.iter().filter_map(|id| report.attempts.get(usize::try_from(*id).ok()?));
    let questions: Vec<_> = others.map(|attempt| attempt.question).collect();
    let what = format!(
        "call {} asked {} and read {:?}, of attempts {of:?} at {questions:?}",
        call.id, call.question, call.text
    );
    found.violated("one attempt's text", what);
}

/// Nothing is tried after the caller has read content.
fn nothing_after_content(call: &CallRecord, index: &Index<'_>, found: &mut Found) {
    let Some(first) = call.first_text.filter(|_| index.is_alone(call)) else { return };
    for attempt in index.attempts(call).iter().filter(|attempt| attempt.began > first) {
        let what = format!("attempt {} at call {} came after content", attempt.id, call.id);
        found.violated("no attempt after the commit point", what);
    }
}

/// The usage that a caller is told is that of the attempt it reads.
fn told_usage(call: &CallRecord, index: &Index<'_>, found: &mut Found) {
    let Some(told) = call.told.filter(|_| call.end == CallEnd::Answered) else { return };
    let Some(attempt) = index.attempts(call).iter().find(|attempt| attempt.text == call.text)
    else {
        return;
    };
    // What the provider did not tell cannot be told on.
    let Some(usage) = attempt.told else { return };
    let used = (usage.total_input(), usage.total_output());
    if told != used {
        let what = format!("call {} was told {told:?}, the provider said {used:?}", call.id);
        found.violated("usage is told as it was", what);
    }
}

fn attempts(simulation: &Simulation, report: &Report, index: &Index<'_>, found: &mut Found) {
    if let Some(most) = simulation.most_attempts {
        for (question, attempts) in &index.attempts {
            let callers = index.callers.get(question).copied().unwrap_or_default();
            if attempts.len() as u64 > most * callers {
                let what = format!(
                    "{callers} calls asked {question}, {} requests were made for them",
                    attempts.len()
                );
                found.violated("attempts are bounded", what);
            }
        }
    }
    if let Some((percent, reserve)) = simulation.retry_budget {
        let (calls, attempts) = (report.calls.len() as u64, report.attempts.len() as u64);
        let most = calls + calls * percent / 100 + reserve;
        if attempts > most {
            let what = format!("{calls} calls took {attempts} requests, {most} are allowed");
            found.violated("retries keep to their budget", what);
        }
    }
}

/// Everyone who registered is told once, and the truth.
fn settled(report: &Report, index: &Index<'_>, found: &mut Found) {
    for pass in &report.passes {
        let name = || {
            let call =
                pass.call.map_or_else(|| "nobody's call".to_owned(), |id| format!("call {id}"));
            format!("{call} at {}", pass.probe)
        };
        match pass.outcomes.len() {
            1 => {}
            0 if pass.unregistered => {
                found.violated("settled once", format!("{} has no open scope", name()));
            }
            0 => found.violated("settled once", format!("{} was never settled", name())),
            times => {
                found.violated("settled once", format!("{} was settled {times} times", name()));
            }
        }
        let call = pass.call.and_then(|id| report.calls.get(usize::try_from(id).ok()?));
        if let Some(call) = call.filter(|_| pass.probe == TOP) {
            agrees(call, pass, found);
            booked(call, pass, index, found);
        }
    }
}

/// The books say of a call what its caller says.
fn agrees(call: &CallRecord, pass: &Pass, found: &mut Found) {
    let Some(outcome) = pass.outcomes.first() else { return };
    let right = match (&call.end, &outcome.end) {
        (CallEnd::Answered, End::Success)
        | (CallEnd::Refused | CallEnd::Broken, End::Failure(_))
        // It may have ended before its caller was gone.
        | (CallEnd::Left | CallEnd::Crashed | CallEnd::Panicked, _)
        // It is not known here which end there should be.
        | (CallEnd::Unanswered | CallEnd::Cut | CallEnd::Garbled(_), _) => true,
        _ => false,
    };
    if !right {
        let what = format!("call {}: {:?}, booked as {:?}", call.id, call.end, outcome.end);
        found.violated("booked as it was", what);
    }
}

/// What is booked is what providers served, as far as it can be known: not less than they told of answers that were read to
/// their end, and not more than they sent.
fn booked(call: &CallRecord, pass: &Pass, index: &Index<'_>, found: &mut Found) {
    let Some(outcome) = pass.outcomes.first().filter(|_| index.is_alone(call)) else { return };
    let booked = outcome.usage.unwrap_or_default();
    let attempts = index.attempts(call);
    let sum = |of: &dyn Fn(&AttemptRecord) -> Option<Usage>| {
        let mut sum = (0, 0);
        for usage in attempts.iter().filter_map(|attempt| of(attempt)) {
            sum = (sum.0 + usage.total_input(), sum.1 + usage.total_output());
        }
        sum
    };
    let booked = (booked.total_input(), booked.total_output());
    let most = sum(&|attempt| Some(attempt.used));
    if booked.0 > most.0 || booked.1 > most.1 {
        let what = format!("call {}: {booked:?} are booked, {most:?} were sent", call.id);
        found.violated("usage is booked as it was", what);
    }
    if call.end == CallEnd::Answered {
        let delivered =
            |attempt: &AttemptRecord| attempt.told.filter(|_| attempt.text == call.text);
        let least = sum(&delivered);
        if booked.0 < least.0 || booked.1 < least.1 {
            let what = format!("call {}: {booked:?} are booked, {least:?} were read", call.id);
            found.violated("usage is booked as it was", what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ziggurat_core::{Outcome, Settle, Settlement, Ticket};

    use super::*;

    #[derive(Default)]
    struct Keep(Mutex<Vec<Outcome>>);

    impl Settle for Keep {
        fn settle(&self, _: Ticket, outcome: &Outcome) {
            self.0.lock().unwrap().push(outcome.clone());
        }
    }

    fn outcome() -> Outcome {
        let keep = Arc::new(Keep::default());
        let guard = Settlement::open();
        guard.scope().register(Arc::clone(&keep) as Arc<dyn Settle>, Ticket::default()).unwrap();
        guard.close(End::Success);
        keep.0.lock().unwrap().remove(0)
    }

    fn pass(times: usize) -> Pass {
        Pass {
            probe: "anywhere".to_owned(),
            instance: 0,
            call: None,
            key: String::new(),
            model: String::new(),
            attempt: None,
            began: <_>::default(),
            ended: None,
            outcomes: (0..times).map(|_| outcome()).collect(),
            unregistered: false,
        }
    }

    #[test]
    fn whoever_is_told_twice_or_never_was_told_wrong() {
        for (times, right) in [(0, false), (1, true), (2, false)] {
            let mut report = Report { passes: vec![pass(times)], ..Report::default() };
            check(&Simulation::new(), &mut report);
            let broken: Vec<_> = report.violations.iter().map(|found| found.invariant).collect();
            assert_eq!(broken.is_empty(), right, "{times}: {broken:?}");
            assert!(broken.iter().all(|invariant| *invariant == "settled once"));
        }
    }
}
