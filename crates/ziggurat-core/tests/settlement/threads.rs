//! Two threads on one settlement: one of them ends it, both open, register, report and close.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use ziggurat_core::{End, Guard, Outcome, Scope, Settle, Settlement, Ticket, Usage};

use crate::seeds;
use crate::world::failure;

/// How many settlements are raced over between two joins.
const BATCH: u64 = 500;

pub(crate) fn race() {
    let seeds: Vec<u64> = seeds().collect();
    for batch in seeds.chunks(usize::try_from(BATCH).unwrap()) {
        let rounds: Vec<Round> = batch.iter().map(|seed| Round::new(*seed)).collect();
        let (here, there) = std::thread::scope(|threads| {
            let there =
                threads.spawn(|| rounds.iter().map(|round| round.run(1)).collect::<Vec<_>>());
            let here: Vec<Did> = rounds.iter().map(|round| round.run(0)).collect();
            (here, there.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        for (round, did) in rounds.iter().zip(here.into_iter().zip(there)) {
            round.check(did.into());
        }
    }
}

/// One settlement that two threads race over.
struct Round {
    seed: u64,
    scope: Scope,
    guard: Mutex<Option<Guard>>,
    /// Scopes of all attempts, for whoever wants to interfere.
    attempts: Mutex<Vec<Scope>>,
    log: Arc<Log>,
    here: AtomicU32,
}

#[derive(Default)]
struct Log(Mutex<Vec<(Ticket, Outcome)>>);

impl Settle for Log {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push((ticket, outcome.clone()));
    }
}

/// What one thread did, and how it went.
#[derive(Default)]
struct Did {
    /// Tickets, the scope they were handed to, and whether they were taken.
    tickets: Vec<(Ticket, Option<u16>, bool)>,
    opened: Vec<u16>,
    /// Output tokens of each own attempt: reported, and surely counted since it was still open afterwards.
    reported: HashMap<u16, (u64, u64)>,
}

impl Round {
    fn new(seed: u64) -> Self {
        let guard = Settlement::open();
        let round = Self {
            seed,
            scope: guard.scope(),
            guard: Mutex::new(Some(guard)),
            attempts: Mutex::default(),
            log: Arc::default(),
            here: AtomicU32::new(0),
        };
        round.scope.register(round.log.clone(), Ticket(u64::MAX, 0)).unwrap();
        round
    }

    /// Waits for the other thread, but not for long: it may be waiting for a core.
    fn meet(&self) {
        self.here.fetch_add(1, Ordering::AcqRel);
        for spin in 0..2000 {
            if self.here.load(Ordering::Acquire) == 2 {
                return;
            }
            if spin % 64 == 63 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    fn run(&self, thread: u64) -> Did {
        let mut rng = Rng::with_seed(self.seed * 2 + thread);
        let mut did = Did::default();
        let mut own: Vec<Guard> = Vec::new();
        let steps = rng.usize(2..10);
        let end = if thread == 0 { rng.usize(..steps) } else { usize::MAX };
        self.meet();
        for step in 0..steps {
            if step == end {
                let guard = self.guard.lock().unwrap().take().unwrap();
                match rng.u8(..3) {
                    0 => guard.close(End::Success),
                    1 => guard.close(End::Failure(failure())),
                    _ => drop(guard),
                }
                assert!(self.scope.is_closed());
                continue;
            }
            match rng.u8(..8) {
                0 | 1 => match self.scope.attempt() {
                    Ok(guard) => {
                        let scope = guard.scope();
                        did.opened.push(scope.attempt_number().unwrap());
                        self.register(&scope, thread, &mut did);
                        self.attempts.lock().unwrap().push(scope);
                        own.push(guard);
                    }
                    // After the end only, which the thread that ends the call sees in its own order.
                    Err(_) => assert!(self.scope.is_closed()),
                },
                2 => self.register(&self.scope, thread, &mut did),
                3 => {
                    let scopes = self.attempts.lock().unwrap();
                    let scope =
                        (!scopes.is_empty()).then(|| scopes[rng.usize(..scopes.len())].clone());
                    drop(scopes);
                    if let Some(scope) = scope {
                        self.register(&scope, thread, &mut did);
                    }
                }
                4 | 5 => {
                    let Some(guard) = own.last() else { continue };
                    let scope = guard.scope();
                    let number = scope.attempt_number().unwrap();
                    let (reported, counted) = did.reported.entry(number).or_default();
                    *reported += 1 + rng.u64(..9);
                    scope.report_usage(&Usage::new(1, *reported));
                    if !scope.is_closed() {
                        *counted = *reported;
                    }
                }
                6 => {
                    if let Some(guard) = own.pop() {
                        guard.close(if rng.bool() {
                            End::Success
                        } else {
                            End::Failure(failure())
                        });
                    }
                }
                _ => drop(own.pop()),
            }
        }
        did
    }

    fn register(&self, scope: &Scope, thread: u64, did: &mut Did) {
        let ticket = Ticket(thread, did.tickets.len() as u64);
        let taken = scope.register(self.log.clone(), ticket).is_ok();
        did.tickets.push((ticket, scope.attempt_number(), taken));
    }

    fn check(&self, did: [Did; 2]) {
        let seed = self.seed;
        let log = self.log.0.lock().unwrap();
        let call = log.iter().find(|(ticket, _)| ticket.0 == u64::MAX);
        let call = &call.unwrap_or_else(|| panic!("SEED={seed}: the call was never told")).1;
        let mut taken = 1;
        for (ticket, scope, was_taken) in did.iter().flat_map(|did| &did.tickets) {
            let mut told = log.iter().filter(|(told, _)| told == ticket);
            if *was_taken {
                taken += 1;
                let (_, outcome) = told
                    .next()
                    .unwrap_or_else(|| panic!("SEED={seed}: {ticket:?} was taken, and never told"));
                assert_eq!(outcome.attempt, *scope, "SEED={seed}");
                if let Some(number) = scope {
                    let booked = &call.attempts[usize::from(*number)];
                    assert_eq!(outcome.usage, booked.usage, "SEED={seed}: attempt {number}");
                }
            }
            assert!(told.next().is_none(), "SEED={seed}: {ticket:?} was told once too often");
        }
        assert_eq!(log.len(), taken, "SEED={seed}");

        let opened: usize = did.iter().map(|did| did.opened.len()).sum();
        assert_eq!(call.attempts.len(), opened, "SEED={seed}");
        let mut sum = 0;
        for (number, (reported, counted)) in did.iter().flat_map(|did| &did.reported) {
            let booked = call.attempts[usize::from(*number)].usage.unwrap_or_default();
            let booked = booked.total_output();
            assert!(
                (*counted..=*reported).contains(&booked),
                "SEED={seed}: attempt {number} has {booked}, not {counted} to {reported}"
            );
            sum += booked;
        }
        assert_eq!(call.usage.unwrap_or_default().total_output(), sum, "SEED={seed}");
        assert_eq!(Arc::strong_count(&self.log), 1, "SEED={seed}: a registrant is held");
        assert!(self.scope.attempt().is_err());
    }
}
