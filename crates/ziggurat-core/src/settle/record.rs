//! The books of one scope: the call, or one attempt at it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{End, Settle, Ticket};
use crate::outcome::Attempt;
use crate::{Cost, Instant, Outcome, Price, Str, Usage};

pub(super) type Registrant = (Arc<dyn Settle>, Ticket);

pub(super) struct Record {
    opened: Instant,
    end: Option<(End, Instant)>,
    registrants: SmallVec<[Registrant; 4]>,
    usage: Option<Usage>,
    price: Price,
    told_cost: Option<Cost>,
    first_content: Option<Instant>,
    deployment: Option<Str>,
    cached: bool,
}

impl Record {
    pub(super) fn open(opened: Instant) -> Self {
        Self {
            opened,
            end: None,
            registrants: SmallVec::new(),
            usage: None,
            price: Price::default(),
            told_cost: None,
            first_content: None,
            deployment: None,
            cached: false,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn is_delivered(&self) -> bool {
        matches!(self.end, Some((End::Success, _)))
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    pub(super) fn first_content(&self) -> Option<Instant> {
        self.first_content
    }

    pub(super) fn deployment(&self) -> Option<&Str> {
        self.deployment.as_ref()
    }

    /// Takes a registrant into books that are open.
    pub(super) fn register(&mut self, settle: Arc<dyn Settle>, ticket: Ticket) {
        self.registrants.push((settle, ticket));
    }

    /// Closes books that are open, and gives the registrants out: once, since nobody can register any more.
    pub(super) fn close(&mut self, end: End, now: Instant) -> SmallVec<[Registrant; 4]> {
        self.end = Some((end, now));
        std::mem::take(&mut self.registrants)
    }

    pub(super) fn usage(&mut self, usage: &Usage) {
        self.usage.get_or_insert_default().update(usage);
    }

    pub(super) fn least_output(&mut self, tokens: u64) {
        let usage = self.usage.get_or_insert_default();
        if usage.total_output() < tokens {
            let reasoning = usage.reasoning.unwrap_or(0);
            usage.output = Some(tokens.saturating_sub(reasoning));
            usage.estimated = true;
        }
    }

    pub(super) fn cost(&mut self, cost: Cost) {
        self.told_cost = Some(cost);
    }

    pub(super) fn price(&mut self, price: &Price) {
        self.price = price.clone();
    }

    pub(super) fn content(&mut self, now: Instant) {
        self.first_content.get_or_insert(now);
    }

    pub(super) fn set_deployment(&mut self, deployment: Str) {
        self.deployment = Some(deployment);
    }

    pub(super) fn set_cached(&mut self, cached: bool) {
        self.cached = cached;
    }

    pub(super) fn is_cached(&self) -> bool {
        self.cached
    }

    pub(super) fn outcome(&self, attempt: Option<u16>) -> Outcome {
        let (end, ended) = self.end.clone().unwrap_or((End::Cancelled, self.opened));
        Outcome {
            end,
            usage: self.usage,
            cost: self.total_cost(),
            first_content: self.first_content.map(|at| at.duration_since(self.opened)),
            total: ended.duration_since(self.opened),
            ended,
            attempt,
            deployment: self.deployment.clone(),
            cached: self.cached,
            attempts: SmallVec::new(),
            losses: Vec::new(),
        }
    }

    pub(super) fn summary(&self) -> Attempt {
        let (end, ended) = self.end.clone().unwrap_or((End::Cancelled, self.opened));
        let total = ended.duration_since(self.opened);
        Attempt::new(end, self.usage, self.total_cost(), self.deployment.clone(), total)
    }

    fn total_cost(&self) -> Option<Cost> {
        self.told_cost.or_else(|| {
            let usage = self.usage.as_ref()?;
            let known = !self.price.is_unknown() || usage.cost.is_some();
            known.then(|| self.price.cost(usage))?
        })
    }
}
