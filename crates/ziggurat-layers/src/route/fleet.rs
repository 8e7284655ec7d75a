//! The decision: which deployment of a group takes a call. No services and no futures in here.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::{Call, Error, ErrorKind, Meter, Str, Ticket};

use super::bits::Bits;
use super::clock::SECOND;
use super::endpoint::Settings;
use super::health::{Cause, Gate, Health};
use super::lane::{Lane, Limits, Load};
use super::needs::{Abilities, Needs, is_in};
use super::registry::{Registry, Shared};
use super::table::printable;
use super::{Rules, Strategy, TagMatch};

/// The deployments of a group, as far as choosing goes.
#[derive(Debug)]
pub(super) struct Fleet {
    name: Str,
    pub(super) lanes: Box<[Arc<Lane>]>,
    /// Those of the lanes, a step nearer: a decision looks at all of them.
    healths: Box<[Arc<Health>]>,
    facts: Box<[Facts]>,
    rules: Rules,
    all: Bits,
    /// By `order`, the lowest first; empty when there is but one.
    tiers: Vec<Bits>,
    tags: Vec<(Str, Bits)>,
    /// Those with limits.
    limited: Bits,
    /// The sums of all weights, of each kind.
    weights: [f64; 3],
    /// Whether a decision has to look into the body.
    reads: bool,
    /// Whether it was asked for by its id, and is taken as it is.
    forced: bool,
}

/// What does not change of one deployment.
#[derive(Clone, Debug)]
struct Facts {
    settings: Arc<Settings>,
    limits: Limits,
    /// `weight`, `rpm`, `tpm`.
    weights: [f64; 3],
    /// Of a million input and a million output tokens.
    cost: u64,
    /// What its tokens and its requests are multiplied by to be compared; 0 where they do not count.
    shares: [f64; 2],
    lacks: Abilities,
    number: u16,
}

/// What was chosen.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) at: usize,
    pub(super) ticket: Ticket,
    /// Those that could have taken the call, had they been free.
    pub(super) eligible: Bits,
    pub(super) load: Load,
}

/// What a call is chosen for by.
#[derive(Clone, Copy)]
struct Moment {
    load: Load,
    now: u64,
    /// Whether all that are chosen from can take the call.
    known: bool,
}

/// What a fleet is made with.
pub(super) struct Making<'m> {
    pub(super) registry: &'m Registry,
    pub(super) rules: &'m Rules,
    /// Callers choose the model.
    pub(super) open: bool,
    /// It was asked for by its id.
    pub(super) forced: bool,
}

/// How dear a model is whose price nobody knows: five dollars a token each way, as LiteLLM has it.
const UNKNOWN: u64 = 10_000_000 * 1_000_000_000;
/// What a deployment that was never measured is taken to need while its first call is out.
const UNSEEN: u64 = SECOND;
/// After so many that could not take a call it is looked who can.
const MISSES: u32 = 4;
/// When to come back where nobody can say.
const SOON: u64 = SECOND;

impl Fleet {
    pub(super) fn new<'s>(
        name: Str,
        deployments: impl Iterator<Item = (&'s Str, &'s Arc<Settings>)>,
        making: &Making<'_>,
    ) -> Self {
        let deployments: Vec<(&Str, &Arc<Settings>)> = deployments.collect();
        let rules = making.rules;
        let (count, lone) = (deployments.len(), deployments.len() == 1);
        let decay = rules.strategy.decay();
        let lane = |(id, settings): &(&Str, &Arc<Settings>)| {
            let health = making.registry.health(id);
            Arc::new(Lane::new(health, settings, &rules.cool_down, decay, lone, making.open))
        };
        let lanes: Box<[Arc<Lane>]> = deployments.iter().map(lane).collect();
        let most = |limit: fn(&Settings) -> Option<u64>| {
            deployments.iter().filter_map(|(_, settings)| limit(settings)).max()
        };
        let shares = [most(|settings| settings.tpm), most(|settings| settings.rpm)];
        let facts: Box<[Facts]> = deployments
            .iter()
            .zip(&lanes)
            .map(|((_, settings), lane)| Facts::new(settings, shares, lane.health.number))
            .collect();

        let mut tiers: Vec<(i64, Bits)> = Vec::new();
        let mut tags: Vec<(Str, Bits)> = Vec::new();
        let mut limited = Bits::none(count);
        for (at, (_, settings)) in deployments.iter().enumerate() {
            let order = settings.order.unwrap_or(i64::MAX);
            slot(&mut tiers, &order, count).insert(at);
            for tag in &settings.tags {
                slot(&mut tags, tag, count).insert(at);
            }
            if settings.max_parallel.is_some() || settings.rpm.is_some() || settings.tpm.is_some() {
                limited.insert(at);
            }
        }
        tiers.sort_by_key(|(order, _)| *order);
        let tiers = if tiers.len() > 1 { tiers } else { Vec::new() };
        let looks = |settings: &Settings| {
            settings.tpm.is_some()
                || rules.checks
                    && (settings.max_input_tokens.is_some() || !settings.lacks.is_empty())
        };
        let weights =
            [0, 1, 2].map(|kind: usize| facts.iter().map(|facts| facts.weights[kind]).sum());
        Self {
            name,
            healths: lanes.iter().map(|lane| Arc::clone(&lane.health)).collect(),
            weights,
            lanes,
            facts,
            all: Bits::all(count),
            tiers: tiers.into_iter().map(|(_, tier)| tier).collect(),
            tags,
            limited,
            reads: deployments.iter().any(|(_, settings)| looks(settings)),
            forced: making.forced,
            rules: rules.clone(),
        }
    }

    pub(super) fn name(&self) -> &Str {
        &self.name
    }

    fn shared(&self) -> Option<&Shared> {
        self.lanes.first().map(|lane| &**lane.health.shared())
    }

    /// Chooses the deployment that takes this call, and takes a place there.
    ///
    /// `tried` are those that failed it already; they are asked again only where nobody else is left.
    pub(super) fn choose(&self, call: &Call, tried: &[Str], now: u64) -> Result<Chosen, Error> {
        let needs = if self.reads { Needs::of(call) } else { Needs::default() };
        let eligible = self.eligible(call, &needs)?;
        let load = Load { tokens: needs.tokens, streamed: call.is_streamed() };
        // Most of them can: whether one can is looked at when it is about to be chosen, unless too many cannot. Each round leaves
        // somebody out, or finds out who can, so that it ends.
        let mut left = eligible.clone();
        let (mut known, mut misses) = (false, 0);
        let tried = self.positions(tried);
        let session = self.session(call);
        while !left.is_empty() {
            let mut set = left.clone();
            if let Some(tried) = &tried {
                set.cut(tried);
                if set.is_empty() {
                    set = left.clone();
                }
            }
            let moment = Moment { load, now, known };
            let pinned = session.and_then(|(key, _)| self.pinned(key, &set, now));
            let Some(at) = pinned.or_else(|| self.pick(&set, moment)) else {
                if known {
                    break;
                }
                // None of these, but perhaps one of a higher order, or one that was tried.
                (left, known) = (self.available(&left, now, load), true);
                continue;
            };
            if !known && !self.can_take(at, now, load) {
                left.remove(at);
                misses += 1;
                if misses == MISSES {
                    (left, known) = (self.available(&left, now, load), true);
                }
                continue;
            }
            if let Some(ticket) = self.lanes[at].take(now, load, self.forced) {
                if let (Some((key, time)), Some(shared)) = (session, self.shared()) {
                    shared.sessions.keep(key, self.facts[at].number, now, time);
                }
                return Ok(Chosen { at, ticket, eligible, load });
            }
            // Somebody else was faster.
            left.remove(at);
        }
        Err(self.nothing(&eligible, now, load))
    }

    /// Whether a sibling that was not tried is well and has room.
    pub(super) fn has_elsewhere(&self, chosen: &Chosen, tried: &[Str], now: u64) -> bool {
        let mut others = chosen.eligible.clone();
        others.remove(chosen.at);
        if let Some(tried) = self.positions(tried) {
            others.cut(&tried);
        }
        others.iter().any(|at| {
            let lane = &self.lanes[at];
            lane.health.is_well(now) && lane.has_room(now, chosen.load)
        })
    }

    // === who could ===

    /// Those that may take this call by what it is.
    fn eligible(&self, call: &Call, needs: &Needs) -> Result<Bits, Error> {
        let mut set = self.all.clone();
        if let Some(region) = &call.controls().region {
            self.keep_inside(region, &mut set)?;
        }
        if self.rules.checks {
            self.check(needs, &mut set)?;
        }
        if let Some(matches) = self.rules.tags {
            self.match_tags(call, matches, &mut set)?;
        }
        Ok(set)
    }

    /// Leaves only those that fit, and says whether there are any.
    fn only(&self, set: &mut Bits, fits: impl Fn(&Facts) -> bool) -> bool {
        for at in self.all.iter().filter(|at| !fits(&self.facts[*at])) {
            set.remove(at);
        }
        !set.is_empty()
    }

    fn keep_inside(&self, region: &str, set: &mut Bits) -> Result<(), Error> {
        if self.only(set, |facts| is_in(facts.settings.region.as_deref(), region)) {
            return Ok(());
        }
        let message = format!(
            "no deployment of `{}` is in the region `{}`",
            printable(&self.name),
            printable(region)
        );
        Err(Error::new(ErrorKind::Unsupported, message).with_code("no_deployment"))
    }

    fn check(&self, needs: &Needs, set: &mut Bits) -> Result<(), Error> {
        let takes =
            |facts: &Facts| facts.settings.max_input_tokens.is_none_or(|most| needs.input <= most);
        if needs.input > 0 && !self.only(set, takes) {
            return Err(self.too_long(needs.input));
        }
        if !needs.abilities.is_empty()
            && !self.only(set, |facts| !facts.lacks.meets(needs.abilities))
        {
            let mut message = format!("no deployment of `{}` takes ", printable(&self.name));
            for (at, ability) in needs.abilities.iter().enumerate() {
                message.push_str(if at == 0 { "" } else { " and " });
                message.push_str(ability.name());
            }
            return Err(Error::new(ErrorKind::Unsupported, message).with_code("no_deployment"));
        }
        Ok(())
    }

    fn too_long(&self, input: u64) -> Error {
        let most = self.facts.iter().filter_map(|facts| facts.settings.max_input_tokens).max();
        let message = format!(
            "the prompt has about {input} tokens; the longest that a deployment of `{}` takes is {}",
            printable(&self.name),
            most.unwrap_or_default()
        );
        Error::new(ErrorKind::ContextLength, message).with_code("context_length_exceeded")
    }

    /// Tags as LiteLLM has them: one or all of the call's; `!tag` never, `&tag` in any case; who matches none, or says none,
    /// gets the pool of the tag `default`, if there is one.
    fn match_tags(&self, call: &Call, matches: TagMatch, set: &mut Bits) -> Result<(), Error> {
        let with = |tag: &str| self.tags.iter().find(|(known, _)| known == tag).map(|(_, set)| set);
        let asked = || call.controls().tags.iter().chain(call.caller().tags());
        let mut plain: Option<Bits> = None;
        let mut demanding = false;
        for tag in asked() {
            if let Some(tag) = tag.strip_prefix('!') {
                if let Some(others) = with(tag) {
                    set.cut(others);
                }
            } else if let Some(tag) = tag.strip_prefix('&') {
                demanding = true;
                match with(tag) {
                    Some(others) => set.keep(others),
                    None => *set = Bits::none(self.lanes.len()),
                }
            } else {
                let others = with(tag);
                match (&mut plain, matches) {
                    (None, _) => {
                        plain = Some(others.cloned().unwrap_or(Bits::none(self.lanes.len())));
                    }
                    (Some(plain), TagMatch::Any) => {
                        if let Some(others) = others {
                            plain.add(others);
                        }
                    }
                    (Some(plain), TagMatch::All) => match others {
                        Some(others) => plain.keep(others),
                        None => *plain = Bits::none(self.lanes.len()),
                    },
                }
            }
        }
        let default = || with("default").filter(|default| default.meets(set));
        match plain {
            Some(plain) if plain.meets(set) => set.keep(&plain),
            Some(_) => match default().cloned() {
                Some(default) => set.keep(&default),
                None => *set = Bits::none(self.lanes.len()),
            },
            None if demanding => {}
            None => {
                if let Some(default) = default().cloned() {
                    set.keep(&default);
                }
            }
        }
        if !set.is_empty() {
            return Ok(());
        }
        let tags: Vec<&str> = asked().map(|tag| tag.as_str()).collect();
        let message = format!(
            "no deployment of `{}` has the tags {}",
            printable(&self.name),
            printable(&tags.join(", "))
        );
        Err(Error::invalid(message).with_param("tags").with_code("no_deployments_with_tag"))
    }

    /// Those of `eligible` that can take a call now.
    fn available(&self, eligible: &Bits, now: u64, load: Load) -> Bits {
        let mut set = eligible.clone();
        for at in eligible.iter().filter(|at| !self.can_take(*at, now, load)) {
            set.remove(at);
        }
        set
    }

    /// Whether this one can take a call now.
    fn can_take(&self, at: usize, now: u64, load: Load) -> bool {
        let health = &*self.healths[at];
        let open = self.forced || !matches!(health.gate(now), Gate::Shut(_)) && !health.is_ill(now);
        open && (!self.limited.contains(at) || self.facts[at].limits.leave_room(health, now, load))
    }

    fn positions(&self, ids: &[Str]) -> Option<Bits> {
        if ids.is_empty() {
            return None;
        }
        let mut set = Bits::none(self.lanes.len());
        for (at, lane) in self.lanes.iter().enumerate() {
            if ids.contains(&lane.health.id) {
                set.insert(at);
            }
        }
        Some(set)
    }

    /// The session that keeps this call with others, and for how long it does.
    fn session(&self, call: &Call) -> Option<(u64, Duration)> {
        let sessions = &self.shared()?.sessions;
        let by_session = self.rules.session_affinity.zip(call.controls().session.as_deref());
        if let Some((time, session)) = by_session {
            return Some((sessions.key(&self.name, 0, session), time));
        }
        let (time, caller) = self.rules.caller_affinity.zip(call.caller().key())?;
        Some((sessions.key(&self.name, 1, caller), time))
    }

    fn pinned(&self, key: u64, set: &Bits, now: u64) -> Option<usize> {
        let number = self.shared()?.sessions.find(key, now)?;
        set.iter().find(|at| self.facts[*at].number == number)
    }

    // === which one ===

    /// One of the set. Where it is not [known](Moment::known) that all of them can take the call it is perhaps one that cannot, or
    /// none; how the others are weighed against each other does not depend on those.
    fn pick(&self, set: &Bits, moment: Moment) -> Option<usize> {
        let Moment { load, now, known } = moment;
        let can = |at: usize| known || self.can_take(at, now, load);
        let mut set = set;
        let tier;
        if let Some(lowest) = self.tiers.iter().find(|tier| tier.meets(set)) {
            let mut both = set.clone();
            both.keep(lowest);
            tier = both;
            set = &tier;
        }
        let count = set.len();
        if count <= 1 {
            return set.nth(0);
        }
        match self.rules.strategy {
            Strategy::Shuffle => self.shuffle(set, count),
            Strategy::LeastBusy => self.least(set, can, |at| self.healths[at].in_flight()),
            Strategy::Cost => self.least(set, can, |at| self.facts[at].cost),
            Strategy::Usage => self.least(set, can, |at| self.usage(at, now)),
            Strategy::Latency { decay } => self.faster(set, count, moment, decay, can),
        }
    }

    fn shuffle(&self, set: &Bits, count: usize) -> Option<usize> {
        if self.weights.iter().all(|sum| *sum <= 0.0) {
            return set.nth(self.below(count));
        }
        let sums = if count == self.lanes.len() { self.weights } else { self.sums(set) };
        let Some(by) = sums.iter().position(|sum| *sum > 0.0) else {
            return set.nth(self.below(count));
        };
        // 53 bits are all that a float has.
        let share = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut left = sums[by] * share;
        let mut last = None;
        for at in set.iter() {
            let weight = self.facts[at].weights[by];
            if weight > 0.0 {
                last = Some(at);
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        last
    }

    fn sums(&self, set: &Bits) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for at in set.iter() {
            for (sum, weight) in sums.iter_mut().zip(&self.facts[at].weights) {
                *sum += weight;
            }
        }
        sums
    }

    /// One of those with the least of something that can take the call; none, if many of them cannot.
    fn least<K: Ord>(
        &self,
        set: &Bits,
        can: impl Fn(usize) -> bool,
        key: impl Fn(usize) -> K,
    ) -> Option<usize> {
        let mut ties = Bits::none(self.lanes.len());
        let mut least: Option<K> = None;
        for at in set.iter() {
            let key = key(at);
            match least.as_ref().map_or(Ordering::Less, |least| key.cmp(least)) {
                Ordering::Greater => {}
                Ordering::Equal => ties.insert(at),
                Ordering::Less => {
                    least = Some(key);
                    ties.clear();
                    ties.insert(at);
                }
            }
        }
        for _ in 0..MISSES {
            let one = match ties.len() {
                0 => return None,
                1 => ties.nth(0)?,
                count => ties.nth(self.below(count))?,
            };
            if can(one) {
                return Some(one);
            }
            ties.remove(one);
        }
        None
    }

    /// How much of what it may a deployment has used in the last minute; among equals, in how many requests.
    fn usage(&self, at: usize, now: u64) -> (u64, u64) {
        let (health, [tokens, requests]) = (&*self.healths[at], self.facts[at].shares);
        let begun = health.begun.count(now);
        let spent = health.spent(now).saturating_add(health.tokens.held());
        // Signed numbers become floats in one step, and neither is that large.
        let float = |count: u64| i64::try_from(count).unwrap_or(i64::MAX) as f64;
        let used = (float(spent) * tokens).max(float(begun) * requests);
        // Of floats that are not negative the larger has the larger bits.
        (used.to_bits(), begun)
    }

    /// The faster of two that are drawn.
    fn faster(
        &self,
        set: &Bits,
        count: usize,
        Moment { load, now, .. }: Moment,
        decay: Duration,
        can: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let first = self.below(count);
        let second = (first + 1 + self.below(count - 1)) % count;
        let (first, second) = (set.nth(first)?, set.nth(second)?);
        // Neither is measured against one that cannot.
        if let Some(cannot) = [first, second].into_iter().find(|at| !can(*at)) {
            return Some(cannot);
        }
        let wait = |at: usize| {
            let health = &*self.healths[at];
            let in_flight = u64::from(health.in_flight());
            let latency = health.latency(load.streamed);
            // While nobody tries it, its past is forgotten, so that somebody will; while a call is out, that call will tell.
            let time = if in_flight == 0 {
                latency.decayed(now, decay).unwrap_or(0)
            } else {
                latency.last().unwrap_or(UNSEEN)
            };
            time.saturating_mul(in_flight + 1)
        };
        Some(if wait(second) < wait(first) { second } else { first })
    }

    fn random(&self) -> u64 {
        self.shared().map_or(0, |shared| shared.ambient.random())
    }

    fn below(&self, count: usize) -> usize {
        let scaled = (u128::from(self.random()) * count as u128) >> 64;
        usize::try_from(scaled).unwrap_or_default()
    }

    // === nobody ===

    /// Why nobody can take a call, and when somebody will.
    fn nothing(&self, eligible: &Bits, now: u64, load: Load) -> Error {
        let [mut limited, mut throttled, mut failed, mut refused, mut ill, mut parallel] =
            [0_u32; 6];
        let mut earliest = u64::MAX;
        for at in eligible.iter() {
            let lane = &self.lanes[at];
            let health = &lane.health;
            let wait = match health.gate(now) {
                Gate::Shut(until) if !self.forced => {
                    match health.cause() {
                        Cause::RateLimit => throttled += 1,
                        Cause::Credential | Cause::Missing => refused += 1,
                        Cause::Fault => failed += 1,
                    }
                    // It is being tried at this moment when its time is over.
                    if until > now { until - now } else { SOON }
                }
                _ if health.is_ill(now) && !self.forced => {
                    ill += 1;
                    health.ill_until() - now.min(health.ill_until())
                }
                _ => {
                    limited += 1;
                    let wait = lane.wait(now, load);
                    parallel += u32::from(wait.is_none());
                    wait.unwrap_or(SOON)
                }
            };
            earliest = earliest.min(wait);
        }
        let total = eligible.len();
        let mut message =
            format!("no deployment of `{}` can take the call now", printable(&self.name));
        let reasons = [
            (throttled, "at the provider's rate limit"),
            (limited, "at its own limits"),
            (failed, "resting after failures"),
            (refused, "resting since its credential or model was refused"),
            (ill, "found ill by its last check"),
        ];
        for (at, (count, why)) in reasons.iter().filter(|(count, _)| *count > 0).enumerate() {
            let lead = if at == 0 { ": " } else { ", " };
            // A string never refuses.
            let _ = write!(message, "{lead}{count} of {total} {why}");
        }
        let kind =
            if throttled + limited > 0 { ErrorKind::RateLimit } else { ErrorKind::Overloaded };
        let mut error = Error::new(kind, message);
        if limited > 0 && parallel as usize == total {
            error = error.with_code("max_parallel_requests");
        }
        if earliest < u64::MAX {
            error = error.with_retry_after(Duration::from_nanos(earliest.max(1)));
        }
        error
    }
}

/// The set that belongs to a key.
fn slot<'s, K: PartialEq + Clone>(
    sets: &'s mut Vec<(K, Bits)>,
    key: &K,
    count: usize,
) -> &'s mut Bits {
    let at = sets.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        sets.push((key.clone(), Bits::none(count)));
        sets.len() - 1
    });
    &mut sets[at].1
}

impl Facts {
    fn new(settings: &Arc<Settings>, most: [Option<u64>; 2], number: u16) -> Self {
        let float = |limit: Option<u64>| limit.map_or(0.0, |limit| limit as f64);
        let weight = settings.weight.filter(|weight| weight.is_finite() && *weight > 0.0);
        let rate = |meter| settings.price.as_ref()?.rate(meter);
        let cost = rate(Meter::Input).and_then(|input| Some((input + rate(Meter::Output)?).0));
        // Where nobody has a limit, tokens are compared as they are.
        let tokens = match most {
            [None, None] => 1.0,
            [most, _] => float(settings.tpm.or(most)),
        };
        // Once here, and not in every decision.
        let inverse = |most: f64| if most > 0.0 { 1.0 / most } else { 0.0 };
        Self {
            settings: Arc::clone(settings),
            limits: Limits::of(settings),
            weights: [weight.unwrap_or(0.0), float(settings.rpm), float(settings.tpm)],
            cost: cost.unwrap_or(UNKNOWN),
            shares: [tokens, float(settings.rpm.or(most[1]))].map(inverse),
            lacks: settings.lacks.iter().copied().collect(),
            number,
        }
    }
}
