//! The way to one deployment: what it may carry, and what is made of how calls end.

use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{End, Error, ErrorKind, Outcome, Settle, Ticket};

use super::clock::nanos;
use super::cool_down::cause;
use super::endpoint::Settings;
use super::health::{Cause, Gate, Health};
use super::{Blame, CoolDown};

/// Limits and rules of one deployment, over its health. Every attempt that goes there registers it.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) health: Arc<Health>,
    pub(super) limits: Limits,
    rules: CoolDown,
    own_time: Option<Duration>,
    /// It has no siblings.
    lone: bool,
    /// Callers choose the model, so that one that is missing is theirs.
    open: bool,
    decay: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) parallel: Option<u32>,
    pub(super) rpm: Option<u64>,
    pub(super) tpm: Option<u64>,
}

/// What a call takes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// The tokens to hold, where tokens are limited.
    pub(super) tokens: u64,
    pub(super) streamed: bool,
}

impl Limits {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { parallel: settings.max_parallel, rpm: settings.rpm, tpm: settings.tpm }
    }

    /// Whether a call could be taken now by a deployment of this health.
    #[inline]
    pub(super) fn leave_room(self, health: &Health, now: u64, load: Load) -> bool {
        let Self { parallel, rpm, tpm } = self;
        parallel.is_none_or(|most| health.in_flight() < most)
            && rpm.is_none_or(|limit| health.requests.has(now, 1, limit))
            && tpm.is_none_or(|limit| health.tokens.has(now, load.tokens, limit))
    }
}

/// From here on a rule of thumb applies, as LiteLLM's does: so many calls in a minute …
const SOME: u64 = 5;
/// … or, where there is nobody else and all have failed, so many.
const MANY: u64 = 1000;

impl Lane {
    pub(super) fn new(
        health: Arc<Health>,
        settings: &Settings,
        rules: &CoolDown,
        decay: Duration,
        lone: bool,
        open: bool,
    ) -> Self {
        let limits = Limits::of(settings);
        let mut rules = rules.clone();
        if settings.allowed_fails.is_some() || settings.allowed_fails_policy.is_some() {
            rules.allowed_fails = settings.allowed_fails;
            rules.policy = settings.allowed_fails_policy.unwrap_or_default();
        }
        Self { health, limits, rules, own_time: settings.cooldown_time, lone, open, decay }
    }

    /// Whether a call could be taken now, as far as limits go.
    pub(super) fn has_room(&self, now: u64, load: Load) -> bool {
        self.limits.leave_room(&self.health, now, load)
    }

    /// For how long it has no room, in nanoseconds; `None` when a call has to end first.
    pub(super) fn wait(&self, now: u64, load: Load) -> Option<u64> {
        let Limits { parallel, rpm, tpm } = self.limits;
        let health = &self.health;
        if parallel.is_some_and(|most| health.in_flight() >= most) {
            return None;
        }
        let requests = rpm.map(|limit| health.requests.missing(now, 1, limit));
        let tokens = tpm.map(|limit| health.tokens.missing(now, load.tokens, limit));
        Some(requests.unwrap_or(0).max(tokens.unwrap_or(0)))
    }

    /// Takes a call, all or nothing. The ticket is to be settled, or [given back](Self::give_back). `forced` asks it although it
    /// cools down.
    pub(super) fn take(&self, now: u64, load: Load, forced: bool) -> Option<Ticket> {
        let health = &self.health;
        let claimed = match health.gate(now) {
            Gate::Open => 0,
            Gate::HalfOpen(word) => health.claim_probe(word).or(forced.then_some(0))?,
            Gate::Shut(_) if forced => 0,
            Gate::Shut(_) => return None,
        };
        let taken = self.take_room(now, load);
        if taken.is_none() && claimed != 0 {
            health.give_up_probe(claimed);
        }
        let tokens = taken?;
        health.begun.add(now, 1);
        Some(Ticket(claimed, tokens << 1 | u64::from(load.streamed)))
    }

    /// Gives a ticket back: the call never left.
    pub(super) fn give_back(&self, now: u64, ticket: Ticket) {
        self.release(now, ticket, None);
    }

    /// The deployment has answered: content has come, or a head, where nobody waits for content.
    pub(super) fn answered(&self, now: u64, ticket: Ticket, taken: Duration) {
        if ticket.0 != 0 {
            self.health.pass_probe(ticket.0);
        }
        self.health.latency(ticket.1 & 1 == 1).observe(now, taken, self.decay);
    }

    fn take_room(&self, now: u64, load: Load) -> Option<u64> {
        let Limits { parallel, rpm, tpm } = self.limits;
        let health = &self.health;
        if !health.enter(parallel) {
            return None;
        }
        if rpm.is_some_and(|limit| !health.requests.take(now, 1, limit)) {
            health.leave();
            return None;
        }
        let Some(limit) = tpm else { return Some(0) };
        // The ticket has a bit for something else, and nothing is that large.
        let tokens = load.tokens.min(limit).min(u64::MAX >> 1);
        if health.tokens.hold(now, tokens, limit) {
            return Some(tokens);
        }
        if let Some(limit) = rpm {
            health.requests.put_back(1, limit);
        }
        health.leave();
        None
    }

    /// Lets go what a ticket stands for, exactly once. `used` are the tokens that were used; `None` when the call never left.
    fn release(&self, now: u64, ticket: Ticket, used: Option<u64>) {
        let health = &self.health;
        health.leave();
        if let Some(limit) = self.limits.tpm {
            health.tokens.settle(now, ticket.1 >> 1, used.unwrap_or(0), limit);
        }
        match (used, self.limits.rpm) {
            (None, Some(limit)) => health.requests.put_back(1, limit),
            (Some(used), _) => health.spend(now, used),
            (None, None) => {}
        }
        // Whatever it was, it does not try any more. After a verdict this changes nothing.
        if used.is_none() {
            self.put_probe_back(ticket);
        }
    }

    /// The tokens that an attempt has used; `None` when it never left.
    fn used(ticket: Ticket, outcome: &Outcome) -> Option<u64> {
        let told = outcome.usage.as_ref().filter(|usage| !usage.is_unknown());
        if let Some(usage) = told {
            let nothing = usage.total() == 0 && matches!(outcome.end, End::Cancelled);
            return (!nothing).then(|| usage.total());
        }
        match &outcome.end {
            End::Failure(error) if never_left(error) => None,
            // A provider that refuses or breaks at once takes nothing for it.
            End::Failure(_) if outcome.first_content.is_none() => Some(0),
            // Nobody knows: it is taken to be what was held.
            _ => Some(ticket.1 >> 1),
        }
    }

    /// What an error says of the deployment.
    fn blame(&self, now: u64, ticket: Ticket, error: &Error, outcome: &Outcome) {
        let health = &self.health;
        let cause = cause(error).filter(|cause| *cause != Cause::Missing || !self.open);
        let Some(cause) = cause else {
            self.put_probe_back(ticket);
            return;
        };
        health.judged.add(now, 1);
        health.failed.add(now, 1);
        if outcome.first_content.is_none() && Blame::of(error) == Blame::Provider {
            health.latency(ticket.1 & 1 == 1).observe_at_least(now, outcome.total);
        }
        let time = self.cool_time(error);
        if !self.rules.enabled || time.is_zero() {
            self.put_probe_back(ticket);
            return;
        }
        if health.is_probe(ticket.0) {
            // Still not well: longer, each time.
            let longer = time.saturating_mul(1 << health.strike().min(16));
            let time = longer.min(self.rules.longest.max(time));
            health.cool_and_tell(now, time, cause);
            return;
        }
        if let Gate::Shut(until) = health.gate(now) {
            // A call from before the cool-down. It may know that more patience is needed.
            let told = error.retry_after().map_or(0, |_| now.saturating_add(nanos(time)));
            if told > until {
                health.cool_and_tell(now, time, cause);
            }
            return;
        }
        if self.is_enough(now, error.kind(), cause) {
            health.cool_and_tell(now, time, cause);
        }
    }

    /// A call that tried it could not tell whether it is well.
    fn put_probe_back(&self, ticket: Ticket) {
        if ticket.0 != 0 {
            self.health.give_up_probe(ticket.0);
        }
    }

    /// Whether this failure is one too many.
    fn is_enough(&self, now: u64, kind: ErrorKind, cause: Cause) -> bool {
        let health = &self.health;
        if let Some(allowed) = self.rules.allowed(kind) {
            let memory = self.own_time.unwrap_or(self.rules.time);
            return health.count_fail(now, memory) > allowed;
        }
        let (failed, judged) = (health.failed.count(now), health.judged.count(now));
        if failed >= judged && judged >= MANY {
            return true;
        }
        let half = judged >= SOME && failed * 2 > judged;
        !self.lone && (cause != Cause::Fault || half)
    }

    /// For how long this error cools it down: what is set for the deployment, else what the answer says, else what is set for
    /// all.
    fn cool_time(&self, error: &Error) -> Duration {
        let told = || error.retry_after().filter(|told| !told.is_zero());
        self.own_time
            .or_else(|| told().map(|told| told.min(self.rules.longest)))
            .unwrap_or(self.rules.time)
    }
}

/// Whether an error was made before anything was sent.
fn never_left(error: &Error) -> bool {
    error.origin() == ziggurat_core::Origin::Caller
        && error.said().is_none()
        && !error.is_cancelled()
}

impl Settle for Lane {
    fn settle(&self, ticket: Ticket, outcome: &Outcome) {
        let now = self.health.shared().clock.at(outcome.ended);
        self.release(now, ticket, Self::used(ticket, outcome));
        match &outcome.end {
            End::Success => {
                self.health.judged.add(now, 1);
                if ticket.0 != 0 {
                    self.health.pass_probe(ticket.0);
                }
            }
            End::Failure(error) => self.blame(now, ticket, error, outcome),
            // Content had come before it was given up: that was an answer.
            End::Cancelled if outcome.first_content.is_some() && ticket.0 != 0 => {
                self.health.pass_probe(ticket.0);
            }
            _ => self.put_probe_back(ticket),
        }
    }
}
