//! The books as they should be, beside the books as they are.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use fastrand::Rng;
use ziggurat_core::{
    Attempt, Closed, Cost, End, Error, ErrorKind, Guard, Loss, LossAction, NanoDollars, Outcome,
    Price, Scope, Settle, Str, Ticket, Usage,
};

/// How something ended, without the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Success,
    Failure,
    Cancelled,
}

impl Kind {
    pub(crate) fn of(end: &End) -> Self {
        match end {
            End::Success => Self::Success,
            End::Failure(_) => Self::Failure,
            _ => Self::Cancelled,
        }
    }
}

/// What one scope should hold.
#[derive(Debug, Default)]
struct Books {
    end: Option<Kind>,
    usage: Option<Usage>,
    price: Option<Price>,
    told_cost: Option<Cost>,
    deployment: Option<Str>,
    content: bool,
}

impl Books {
    fn cost(&self) -> Option<Cost> {
        self.told_cost.or_else(|| self.price.as_ref()?.cost(&self.usage?))
    }

    fn least_output(&mut self, tokens: u64) {
        let usage = self.usage.get_or_insert_default();
        if usage.total_output() < tokens {
            usage.output = Some(tokens - usage.reasoning.unwrap_or(0));
            usage.estimated = true;
        }
    }
}

/// A ticket that was handed in, and what became of it.
#[derive(Debug)]
struct Entry {
    scope: Option<u16>,
    taken: bool,
    told: Vec<Outcome>,
}

#[derive(Debug, Default)]
struct Model {
    call: Books,
    attempts: Vec<Books>,
    entries: Vec<Entry>,
    losses: usize,
    /// Content events of the reply that were read.
    contents: u64,
    /// The attempt that the reply comes from; `None` when it is the call itself.
    delivered: Option<u16>,
    /// Scopes that somebody kept: a replay copy, a hedge.
    scopes: Vec<Scope>,
    /// Attempts that nobody in the stack knows of.
    strays: Vec<Guard>,
}

impl Model {
    fn books(&mut self, scope: Option<u16>) -> &mut Books {
        match scope {
            None => &mut self.call,
            Some(attempt) => &mut self.attempts[usize::from(attempt)],
        }
    }

    fn open_books(&mut self, scope: Option<u16>) -> Option<&mut Books> {
        Some(self.books(scope)).filter(|books| books.end.is_none())
    }
}

/// One run: chance, the model, and those who register.
pub(crate) struct World {
    rng: Mutex<Rng>,
    model: Mutex<Model>,
    registrants: OnceLock<[Arc<Registrant>; 3]>,
}

/// Somebody who wants to know the end.
struct Registrant {
    world: Weak<World>,
    manner: Manner,
}

enum Manner {
    Quiet,
    /// Panics, after it took note.
    Panics,
    /// Registers again from within.
    Reenters,
}

/// A panic's payload that panics once more when it is dropped.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        // Unlike `panic!` this prints nothing.
        std::panic::resume_unwind(Box::new("the payload fails as well"));
    }
}

impl Settle for Registrant {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        // A failed assertion would be caught by the settlement: what is wrong is found by `check`.
        let Some(world) = self.world.upgrade() else { return };
        let index = usize::try_from(ticket.0).unwrap();
        world.model().entries[index].told.push(outcome.clone());
        match self.manner {
            Manner::Quiet => {}
            Manner::Panics if ticket.1.is_multiple_of(2) => {
                std::panic::resume_unwind(Box::new("a registrant fails"));
            }
            Manner::Panics => std::panic::resume_unwind(Box::new(Nasty)),
            Manner::Reenters => {
                let scopes = world.model().scopes.clone();
                if let Some(scope) = scopes.get(world.below(scopes.len().max(1))) {
                    world.register(scope, 0).ok();
                    // The books that were just told are closed: this must change nothing.
                    if let Some(own) =
                        scopes.iter().find(|scope| scope.attempt_number() == outcome.attempt)
                    {
                        own.report_usage(&Usage::new(1 << 40, 1 << 40));
                    }
                }
            }
        }
    }
}

impl World {
    pub(crate) fn new(rng: Rng) -> Arc<Self> {
        let world = Arc::new(Self {
            rng: Mutex::new(rng),
            model: Mutex::default(),
            registrants: OnceLock::new(),
        });
        let registrant = |manner| Arc::new(Registrant { world: Arc::downgrade(&world), manner });
        let registrants = [Manner::Quiet, Manner::Panics, Manner::Reenters].map(registrant);
        world.registrants.set(registrants).ok();
        world
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        self.rng.lock().unwrap().usize(..bound)
    }

    /// True once in so many times.
    pub(crate) fn chance(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut rng = self.rng.lock().unwrap();
        let mut usage = Usage::default();
        if rng.bool() {
            usage.input = Some(rng.u64(..1000));
        }
        if rng.bool() {
            usage.output = Some(rng.u64(..100));
        }
        if rng.u8(..4) == 0 {
            usage.reasoning = Some(rng.u64(..10));
        }
        usage
    }

    /// Somebody keeps a scope.
    pub(crate) fn keep(&self, scope: Scope) {
        self.model().scopes.push(scope);
    }

    /// An attempt was opened. Somebody registers for its end at once.
    pub(crate) fn opened(&self, guard: &Guard) -> u16 {
        let scope = guard.scope();
        let number = scope.attempt_number().unwrap();
        {
            let mut model = self.model();
            assert_eq!(usize::from(number), model.attempts.len(), "attempts are numbered in order");
            model.attempts.push(Books::default());
        }
        self.register(&scope, 0).unwrap();
        self.keep(scope);
        number
    }

    /// Registers, and takes note of whether it was taken.
    pub(crate) fn register(&self, scope: &Scope, manner: usize) -> Result<(), Closed> {
        let ticket = {
            let mut model = self.model();
            let entry = Entry { scope: scope.attempt_number(), taken: false, told: Vec::new() };
            model.entries.push(entry);
            model.entries.len() - 1
        };
        let registrant = self.registrants.get().unwrap()[manner].clone();
        let result = scope.register(registrant, Ticket(ticket as u64, ticket as u64));
        self.model().entries[ticket].taken = result.is_ok();
        result
    }

    pub(crate) fn set_delivered(&self, attempt: Option<u16>) {
        self.model().delivered = attempt;
    }

    pub(crate) fn delivered(&self) -> Option<u16> {
        self.model().delivered
    }

    pub(crate) fn expect_usage(&self, scope: Option<u16>, usage: Option<&Usage>) {
        let mut model = self.model();
        if let (Some(usage), Some(books)) = (usage, model.open_books(scope)) {
            books.usage.get_or_insert_default().update(usage);
        }
    }

    pub(crate) fn expect_content(&self, scope: Option<u16>) {
        if let Some(books) = self.model().open_books(scope) {
            books.content = true;
        }
    }

    pub(crate) fn expect_contents(&self, contents: u16) {
        self.model().contents += u64::from(contents);
    }

    /// One attempt ends, if it is still open.
    pub(crate) fn expect_attempt(&self, attempt: u16, kind: Kind) {
        if let Some(books) = self.model().open_books(Some(attempt)) {
            books.end = Some(kind);
        }
    }

    /// The call ends, and everything under it.
    pub(crate) fn expect_all(&self, kind: Kind) {
        let mut model = self.model();
        if model.call.end.is_some() {
            return;
        }
        // The reason of a call that failed is that of what was still going on, too; a success leaves the others behind.
        let rest = if kind == Kind::Failure { kind } else { Kind::Cancelled };
        for books in model.attempts.iter_mut().filter(|books| books.end.is_none()) {
            books.end = Some(rest);
        }
        model.call.end = Some(kind);
    }

    /// The reply ends: the attempt that it comes from, then the call.
    pub(crate) fn expect_reply_ends(&self, kind: Kind) {
        let delivered = {
            let mut model = self.model();
            let (delivered, contents) = (model.delivered, model.contents);
            if kind != Kind::Success
                && contents > 0
                && let Some(books) = model.open_books(delivered)
            {
                books.least_output(contents);
            }
            delivered
        };
        if let Some(attempt) = delivered {
            self.expect_attempt(attempt, kind);
        }
        self.expect_all(kind);
    }

    /// Something happens that the stack has no part in, on a scope that somebody kept.
    pub(crate) fn meddle(&self) {
        let scopes = self.model().scopes.clone();
        let Some(scope) = scopes.get(self.below(scopes.len().max(1))) else { return };
        let number = scope.attempt_number();
        let open = self.model().open_books(number).is_some();
        assert_eq!(scope.is_closed(), !open, "{number:?}");
        match self.below(10) {
            0 | 1 => {
                let result = self.register(scope, self.below(3));
                assert_eq!(result.is_ok(), open, "registering is refused only after the end");
            }
            2 => {
                let usage = self.usage();
                scope.report_usage(&usage);
                self.expect_usage(number, Some(&usage));
            }
            3 => {
                let tokens = self.below(50) as u64;
                scope.report_least_output(tokens);
                if let Some(books) = self.model().open_books(number) {
                    books.least_output(tokens);
                }
            }
            4 => {
                let price = Price::per_million(NanoDollars(3_000_000), NanoDollars(9_000_000));
                scope.set_price(&price);
                if let Some(books) = self.model().open_books(number) {
                    books.price = Some(price);
                }
            }
            5 => {
                let mut cost = Cost::default();
                cost.input = NanoDollars(self.below(100) as u64);
                scope.report_cost(cost);
                if let Some(books) = self.model().open_books(number) {
                    books.told_cost = Some(cost);
                }
            }
            6 => {
                let name = Str::from(["a", "b", "c"][self.below(3)]);
                scope.set_deployment(name.clone());
                if let Some(books) = self.model().open_books(number) {
                    books.deployment = Some(name);
                }
            }
            7 => {
                scope.report_losses(&[Loss::new("seed", "no field", LossAction::Dropped)]);
                let mut model = self.model();
                model.losses += usize::from(model.call.end.is_none());
            }
            8 => self.stray(scope),
            _ => self.end_stray(),
        }
    }

    /// Somebody opens an attempt beside the stack's.
    fn stray(&self, scope: &Scope) {
        let closed = self.model().call.end.is_some();
        let guard = scope.attempt();
        assert_eq!(guard.is_err(), closed, "attempts are opened until the call is over");
        if let Ok(guard) = guard {
            self.opened(&guard);
            self.model().strays.push(guard);
        }
    }

    fn end_stray(&self) {
        let Some(guard) = self.model().strays.pop() else { return };
        let number = guard.scope().attempt_number().unwrap();
        let (end, kind) = match self.below(4) {
            0 => (End::Success, Kind::Success),
            1 => (End::Failure(failure()), Kind::Failure),
            2 => (End::Cancelled, Kind::Cancelled),
            _ => {
                self.expect_attempt(number, Kind::Cancelled);
                drop(guard);
                return;
            }
        };
        self.expect_attempt(number, kind);
        guard.close(end);
    }

    /// Compares the books as they are with the books as they should be.
    pub(crate) fn check(&self) {
        let mut model = self.model();
        let entries = std::mem::take(&mut model.entries);
        for (ticket, entry) in entries.iter().enumerate() {
            let ended = model.books(entry.scope).end.is_some();
            let times = usize::from(entry.taken && ended);
            assert_eq!(entry.told.len(), times, "ticket {ticket} of {:?}: {model:#?}", entry.scope);
            for outcome in &entry.told {
                assert_eq!(outcome.attempt, entry.scope);
                match entry.scope {
                    Some(attempt) => same_attempt(outcome, &model.attempts[usize::from(attempt)]),
                    None => same_call(outcome, &model),
                }
            }
        }
        model.entries = entries;
    }

    /// The run is over: nothing holds on to anything, although scopes are still kept.
    pub(crate) fn finish(self: Arc<Self>) {
        assert!(self.model().call.end.is_some(), "the call has ended");
        for registrant in self.registrants.get().unwrap() {
            assert_eq!(Arc::strong_count(registrant), 1, "a registrant is held after the end");
        }
        self.model().strays.clear();
        self.check();
        assert_eq!(Arc::strong_count(&self), 1, "the stack is gone");
    }
}

pub(crate) fn failure() -> Error {
    Error::new(ErrorKind::Overloaded, "busy")
}

fn same_attempt(outcome: &Outcome, books: &Books) {
    assert_eq!(Some(Kind::of(&outcome.end)), books.end);
    assert_eq!(outcome.usage, books.usage);
    assert_eq!(outcome.cost, books.cost());
    assert_eq!(outcome.deployment, books.deployment);
    assert_eq!(outcome.first_content.is_some(), books.content);
    assert!(outcome.attempts.is_empty());
}

fn same_call(outcome: &Outcome, model: &Model) {
    assert_eq!(Some(Kind::of(&outcome.end)), model.call.end);
    assert_eq!(outcome.is_success(), model.call.end == Some(Kind::Success));
    assert_eq!(outcome.attempts.len(), model.attempts.len());
    assert_eq!(outcome.losses.len(), model.losses);
    for (told, books) in outcome.attempts.iter().zip(&model.attempts) {
        let Attempt { end, usage, cost, deployment, .. } = told;
        assert_eq!(Some(Kind::of(end)), books.end);
        assert_eq!(*usage, books.usage);
        assert_eq!(*cost, books.cost());
        assert_eq!(*deployment, books.deployment);
    }
    let all = || std::iter::once(&model.call).chain(&model.attempts);
    let sum = |field: fn(&Usage) -> Option<u64>| {
        let told = all().filter_map(|books| field(books.usage.as_ref()?));
        told.fold(None, |sum: Option<u64>, tokens| Some(sum.unwrap_or(0) + tokens))
    };
    let usage = outcome.usage.unwrap_or_default();
    assert_eq!(outcome.usage.is_some(), all().any(|books| books.usage.is_some()));
    assert_eq!(usage.input, sum(|usage| usage.input));
    assert_eq!(usage.output, sum(|usage| usage.output));
    assert_eq!(usage.reasoning, sum(|usage| usage.reasoning));
    let cost: NanoDollars = all().filter_map(Books::cost).map(|cost| cost.total()).sum();
    assert_eq!(outcome.cost.is_some(), all().any(|books| books.cost().is_some()));
    assert_eq!(outcome.cost.map_or(NanoDollars::ZERO, |cost| cost.total()), cost);
    assert_eq!(outcome.first_content.is_some(), all().any(|books| books.content));
    let winner = model.attempts.iter().rfind(|books| books.end == Some(Kind::Success));
    let deployment = winner.map_or(&model.call.deployment, |books| &books.deployment);
    assert_eq!(&outcome.deployment, deployment);
}
