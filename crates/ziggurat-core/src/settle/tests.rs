use std::sync::Arc;
use std::sync::Mutex;

use super::*;
use crate::NanoDollars;

#[derive(Default)]
struct Log(Mutex<Vec<(Ticket, Outcome)>>);

impl Log {
    fn entries(&self) -> Vec<(Ticket, Outcome)> {
        self.0.lock().unwrap().clone()
    }
}

impl Settle for Log {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push((ticket, outcome.clone()));
    }
}

struct Panics;

impl Settle for Panics {
    fn settle(&self, _: Ticket, _: &Outcome) {
        panic!("a registrant fails");
    }
}

#[test]
fn a_dropped_guard_means_cancelled() {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(log.clone(), Ticket(1, 0)).unwrap();
    guard.scope().report_usage(&Usage::new(3, 2));
    drop(guard);
    let entries = log.entries();
    assert_eq!(entries.len(), 1);
    assert!(matches!(entries[0].1.end, End::Cancelled));
    assert_eq!(entries[0].1.usage, Some(Usage::new(3, 2)));
}

#[test]
fn a_scope_keeps_nothing_open() {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    let replay = guard.scope();
    replay.register(log.clone(), Ticket::default()).unwrap();
    guard.close(End::Success);
    assert_eq!(log.entries().len(), 1);
    assert!(replay.is_closed());
    assert_eq!(replay.register(log, Ticket::default()), Err(Closed));
    assert!(replay.attempt().is_err());
}

#[test]
fn attempts_end_before_their_call_and_add_up() {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(log.clone(), Ticket(0, 0)).unwrap();
    let first = guard.scope().attempt().unwrap();
    first.scope().register(log.clone(), Ticket(1, 0)).unwrap();
    first.scope().report_usage(&Usage::new(10, 1));
    first.close(End::Failure(Error::invalid("no")));
    let second = guard.scope().attempt().unwrap();
    second.scope().register(log.clone(), Ticket(2, 0)).unwrap();
    second.scope().report_usage(&Usage::new(10, 20));
    let loser = guard.scope().attempt().unwrap();
    loser.scope().register(log.clone(), Ticket(3, 0)).unwrap();
    second.close(End::Success);
    guard.close(End::Success);
    drop(loser);

    let entries = log.entries();
    let order: Vec<u64> = entries.iter().map(|(ticket, _)| ticket.0).collect();
    assert_eq!(order, [1, 2, 3, 0]);
    assert!(matches!(entries[2].1.end, End::Cancelled));
    let call = &entries[3].1;
    assert_eq!(call.usage, Some(Usage::new(20, 21)));
    assert_eq!(call.attempts.len(), 3);
    assert!(call.is_success());
}

#[test]
fn what_was_done_under_other_books_is_counted_once_and_in_full() {
    let log = Arc::new(Log::default());
    let flight = Settlement::open();
    flight.scope().register(log.clone(), Ticket(1, 0)).unwrap();
    let lost = flight.scope().attempt().unwrap();
    lost.scope().report_usage(&Usage::new(3, 1));
    lost.scope().report_cost(Cost::default());
    drop(lost);
    let won = flight.scope().attempt().unwrap();
    won.scope().set_deployment("b".into());
    won.scope().report_usage(&Usage::new(3, 2));
    won.close(End::Success);
    flight.close(End::Success);
    let flown = log.entries()[0].1.clone();

    let call = Settlement::open();
    let scope = call.scope();
    scope.register(log.clone(), Ticket(2, 0)).unwrap();
    // The caller read the answer, too.
    let reading = scope.attempt().unwrap();
    reading.scope().report_usage(&Usage::new(3, 2));
    scope.adopt(flown.clone());
    drop(reading);
    drop(call);
    let outcome = log.entries()[1].1.clone();
    assert!(matches!(outcome.end, End::Cancelled), "the end is its own");
    assert_eq!(outcome.usage, Some(Usage::new(6, 3)));
    assert_eq!(outcome.deployment.as_deref(), Some("b"));
    assert_eq!(outcome.attempts.len(), 2);
    scope.adopt(flown);
    assert_eq!(log.entries().len(), 2);
}

#[test]
fn what_is_marked_as_cached_has_no_cost() {
    let cost = || Cost { input: NanoDollars(7), ..Cost::default() };
    let ended = |say: &dyn Fn(&Scope)| {
        let log = Arc::new(Log::default());
        let call = Settlement::open();
        call.scope().register(log.clone(), Ticket::default()).unwrap();
        say(&call.scope());
        call.close(End::Success);
        let (_, outcome) = log.entries().pop().unwrap();
        (outcome.cached, outcome.cost.map(|cost| cost.total().0))
    };
    let hit = |scope: &Scope| {
        scope.report_cost(Cost::default());
        scope.set_cached(true);
    };
    assert_eq!(ended(&hit), (true, Some(0)));
    assert_eq!(ended(&|_| {}), (false, None));
    // Below something that makes attempts.
    let attempt = |scope: &Scope, end, say: &dyn Fn(&Scope)| {
        let attempt = scope.attempt().unwrap();
        say(&attempt.scope());
        attempt.close(end);
    };
    assert_eq!(ended(&|scope| attempt(scope, End::Success, &hit)), (true, Some(0)));
    let lost = |scope: &Scope| {
        attempt(scope, End::Cancelled, &|scope| scope.report_cost(cost()));
        attempt(scope, End::Success, &hit);
    };
    assert_eq!(ended(&lost), (false, Some(7)));
    // The books of a flight are taken over.
    let heir = |scope: &Scope| {
        hit(scope);
        let log = Arc::new(Log::default());
        let flight = Settlement::open();
        flight.scope().register(log.clone(), Ticket::default()).unwrap();
        flight.scope().report_cost(cost());
        flight.close(End::Success);
        scope.adopt(log.entries().pop().unwrap().1);
    };
    assert_eq!(ended(&heir), (false, Some(7)));
}

#[test]
fn a_panic_in_one_registrant_does_not_keep_the_others_from_being_told() {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(Arc::new(Panics), Ticket::default()).unwrap();
    guard.scope().register(log.clone(), Ticket::default()).unwrap();
    guard.close(End::Success);
    assert_eq!(log.entries().len(), 1);
}

#[test]
fn cut_answers_are_booked_with_what_was_seen() {
    let log = Arc::new(Log::default());
    let guard = Settlement::open();
    guard.scope().register(log.clone(), Ticket::default()).unwrap();
    guard.scope().report_usage(&Usage::new(7, 1));
    guard.scope().report_least_output(12);
    drop(guard);
    let usage = log.entries()[0].1.usage.unwrap();
    assert_eq!((usage.total_input(), usage.total_output()), (7, 12));
    assert!(usage.estimated);
}

#[test]
fn a_guard_is_small() {
    assert!(size_of::<Guard>() <= 16);
}

/// Looks at the call when it is dropped.
struct LooksBack(Scope);

impl Settle for LooksBack {
    fn settle(&self, _: Ticket, _: &Outcome) {}
}

impl Drop for LooksBack {
    fn drop(&mut self) {
        assert!(self.0.is_closed());
    }
}

#[test]
fn a_registrant_that_is_refused_is_dropped_outside_the_lock() {
    // The last handle used to be dropped while the books were locked, so that a drop that looked at them hung.
    let guard = Settlement::open();
    let scope = guard.scope();
    guard.close(End::Success);
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let refused = scope.register(Arc::new(LooksBack(scope.clone())), Ticket::default());
        done.send(refused).unwrap();
    });
    let refused = wait.recv_timeout(std::time::Duration::from_secs(20));
    assert_eq!(refused, Ok(Err(Closed)));
}
