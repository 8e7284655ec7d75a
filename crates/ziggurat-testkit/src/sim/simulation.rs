//! Runs a stack under many seeds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, advance, sleep};
use ziggurat_core::Body;

use super::caller::{self, Dress, Leave, Plan};
use super::chance::Chance;
use super::fault::{Fault, Faults};
use super::invariants;
use super::report::{CallEnd, Report, Violation};
use super::shared::Manner;
use super::stack::Stack;
use super::wire::Wire;
use super::world::World;

/// How many seeds the long mode runs.
const LONG: u64 = 10_000;

/// Runs a stack under these seeds, with every fault on, and checks that whatever happens every caller is told the truth once and
/// nothing is left behind. See [`Simulation`] for what can be set.
///
/// # Panics
///
/// When a seed breaks an invariant, with its trace and how to run it again.
pub fn run<S: IntoIterator<Item = u64>>(
    seeds: S,
    build: impl Fn(&World) -> Stack + 'static,
) -> Summary {
    Simulation::new().run(seeds, build)
}

/// The seeds of a test: so many; ten thousand where `ZIGGURAT_LONG` is set (to another number, so many); the one in
/// `ZIGGURAT_SEED` where that is set.
#[must_use]
pub fn seeds(many: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().ok());
    if let Some(Some(seed)) = number("ZIGGURAT_SEED") {
        return vec![seed];
    }
    let many = match number("ZIGGURAT_LONG") {
        Some(Some(long)) if long > 1 => long,
        Some(_) => LONG,
        None => many,
    };
    (0..many).collect()
}

/// Seeds that once failed, from a list kept in the tree: a number a line, `#` begins a comment. Nothing where `ZIGGURAT_SEED`
/// asks for one seed.
#[must_use]
pub fn listed(list: &str) -> Vec<u64> {
    if std::env::var_os("ZIGGURAT_SEED").is_some() {
        return Vec::new();
    }
    let numbers = list.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// What to simulate, and what must hold.
///
/// | setting | unless told |
/// | --- | --- |
/// | [`faults`](Self::faults) | all |
/// | [`instances`](Self::instances) | 1 |
/// | [`calls`](Self::calls) | 10 to 40 |
/// | [`horizon`](Self::horizon): until when faults happen | 90 s |
/// | [`rest`](Self::rest): what is left to heal afterwards | 10 min |
/// | [`patience`](Self::patience): how long a caller waits | 1 h |
/// | [`models`](Self::models) | `model` |
/// | [`keys`](Self::keys) | `key-0`, `key-1`, `key-2` |
/// | [`popular`](Self::popular): calls of a hundred that ask what others ask | 0 |
/// | [`recovery`](Self::recovery): calls at once that must all succeed afterwards, for each model and instance | 1 |
/// | [`most_attempts`](Self::most_attempts) at one call | no bound |
/// | [`retry_budget`](Self::retry_budget) over a run | no bound |
/// | [`own_tasks`](Self::own_tasks): tasks that the stack may keep | 0 |
#[derive(Clone)]
#[must_use = "a simulation does nothing until it is run"]
pub struct Simulation {
    pub(super) faults: Faults,
    pub(super) instances: usize,
    calls: (u64, u64),
    pub(super) horizon: Duration,
    rest: Duration,
    patience: Duration,
    models: Vec<String>,
    keys: Vec<String>,
    pub(super) popular: u64,
    recovery: u64,
    pub(super) most_attempts: Option<u64>,
    pub(super) retry_budget: Option<(u64, u64)>,
    own_tasks: usize,
    dress: Option<Dress>,
    pub(super) checks: Vec<(&'static str, Check)>,
}

type Check = Arc<dyn Fn(&Report) -> Result<(), String> + Send + Sync>;

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulation {
    /// Everything as in the table.
    pub fn new() -> Self {
        Self {
            faults: Faults::all(),
            instances: 1,
            calls: (10, 40),
            horizon: Duration::from_secs(90),
            rest: Duration::from_secs(600),
            patience: Duration::from_secs(3600),
            models: vec!["model".to_owned()],
            keys: (0..3).map(|key| format!("key-{key}")).collect(),
            popular: 0,
            recovery: 1,
            most_attempts: None,
            retry_budget: None,
            own_tasks: 0,
            dress: None,
            checks: Vec::new(),
        }
    }

    /// What goes wrong.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// How many gateways there are. Each is built by itself; callers are spread over them.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances.max(1);
        self
    }

    /// How many calls are made, at least and at most.
    pub fn calls(mut self, least: u64, most: u64) -> Self {
        self.calls = (least, most.max(least));
        self
    }

    /// Until when calls come and faults happen.
    pub fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// How long is waited after the last call, so that cool-downs pass, windows empty and leases run out.
    pub fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// How long a caller waits before it complains that it was forgotten.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The models that are asked for.
    pub fn models<I: IntoIterator<Item: Into<String>>>(mut self, models: I) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// The keys that callers have. They come as a [`Caller`](ziggurat_core::Caller) in the request's extensions, as from
    /// authentication.
    pub fn keys<I: IntoIterator<Item: Into<String>>>(mut self, keys: I) -> Self {
        self.keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// How many calls of a hundred ask one of three questions that others ask too. For a stack with a cache; attempts at such
    /// calls cannot be told apart, so that less is checked of them.
    pub fn popular(mut self, percent: u64) -> Self {
        self.popular = percent;
        self
    }

    /// How many calls are made at once when the faults are over, for each model at each instance. All of them must succeed: a
    /// permit that leaked would be missing. Choose the number of permits there are.
    pub fn recovery(mut self, calls: u64) -> Self {
        self.recovery = calls;
        self
    }

    /// How many requests may reach providers for one call.
    pub fn most_attempts(mut self, attempts: u64) -> Self {
        self.most_attempts = Some(attempts);
        self
    }

    /// How many requests more than calls may reach providers in a run: so many for a hundred calls, and so many besides.
    pub fn retry_budget(mut self, percent: u64, reserve: u64) -> Self {
        self.retry_budget = Some((percent, reserve));
        self
    }

    /// How many tasks the stack may keep running when nothing is going on, all instances together, beside those that it started
    /// when it was built.
    pub fn own_tasks(mut self, tasks: usize) -> Self {
        self.own_tasks = tasks;
        self
    }

    /// Changes requests before they are sent: headers, bodies, extensions.
    pub fn dress(
        mut self,
        dress: impl Fn(&mut Request<Body>, &Chance) + Send + Sync + 'static,
    ) -> Self {
        self.dress = Some(Arc::new(dress));
        self
    }

    /// Adds an invariant of one's own. It is checked at the end of every run.
    pub fn check(
        mut self,
        name: &'static str,
        check: impl Fn(&Report) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// Runs these seeds.
    ///
    /// # Panics
    ///
    /// When a seed breaks an invariant, with its trace and how to run it again.
    #[expect(clippy::panic, reason = "an assertion: panicking is what it is for")]
    pub fn run<S: IntoIterator<Item = u64>>(
        &self,
        seeds: S,
        build: impl Fn(&World) -> Stack + 'static,
    ) -> Summary {
        let mut summary = Summary::default();
        let build: Build = Rc::new(build);
        for seed in seeds {
            let report = self.simulate_with(seed, &build);
            if !report.violations.is_empty() {
                panic!("{}", failure(&report));
            }
            summary.add(&report);
        }
        summary
    }

    /// Runs one seed, and says what happened.
    pub fn simulate(&self, seed: u64, build: impl Fn(&World) -> Stack + 'static) -> Report {
        self.simulate_with(seed, &(Rc::new(build) as Build))
    }

    #[expect(clippy::panic, reason = "a machine without a runtime cannot test")]
    fn simulate_with(&self, seed: u64, build: &Build) -> Report {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let Ok(runtime) = runtime else { panic!("a runtime cannot be built") };
        let world = runtime.block_on(self.world(seed, build));
        drop(runtime);
        let mut report = std::mem::take(&mut world.inner.lock().report);
        invariants::check(self, &mut report);
        report
    }

    /// One run.
    async fn world(&self, seed: u64, build: &Build) -> World {
        let world = World::new(seed, self.faults, self.horizon);
        let local = tokio::task::LocalSet::new();
        local.run_until(self.live(&world, build)).await;
        // What is still there dies with the runtime.
        drop(local);
        world
    }

    async fn live(&self, world: &World, build: &Build) {
        let before = Handle::current().metrics().num_alive_tasks();
        let fleet = Rc::new(Fleet::new(world, self.instances, Rc::clone(build)));
        let built = Handle::current().metrics().num_alive_tasks();
        let mut tasks = Vec::new();
        let chance = Chance::new(world.seed(), "callers");
        let number = chance.between(self.calls.0, self.calls.1);
        for index in 0..number {
            let plan = self.plan(index, &chance);
            let begin = chance.time(Duration::ZERO, self.horizon);
            // Some come together.
            let begin = if chance.percent(30) {
                Duration::from_secs(begin.as_secs() / 10 * 10)
            } else {
                begin
            };
            let chance = Chance::new(world.seed(), &format!("caller {index}"));
            tasks.push(self.spawn(&fleet, plan, begin, chance));
        }
        let accidents =
            tokio::task::spawn_local(accidents(Rc::clone(&fleet), self.faults, self.horizon));
        for task in tasks {
            drop(task.await);
        }
        drop(accidents.await);
        world.inner.clear_up();
        sleep(self.rest).await;
        self.recover(&fleet).await;
        sleep(self.rest).await;
        // Those that were woken by the last of it.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let alive = Handle::current().metrics().num_alive_tasks();
        let mut leaks = world.inner.leaks();
        if alive > built + self.own_tasks {
            leaks.push(format!("{alive} tasks are alive, {built} were when the stack was built"));
        }
        fleet.drop_all();
        sleep(self.rest).await;
        let left = Handle::current().metrics().num_alive_tasks();
        if left > before {
            leaks.push(format!("{left} tasks outlive the stack, {before} were there before"));
        }
        let mut state = world.inner.lock();
        for what in leaks {
            state.report.violations.push(Violation { invariant: "nothing leaks", what });
        }
    }

    fn spawn(
        &self,
        fleet: &Rc<Fleet>,
        plan: Plan,
        begin: Duration,
        chance: Chance,
    ) -> tokio::task::JoinHandle<()> {
        let (fleet, dress, patience) = (Rc::clone(fleet), self.dress.clone(), self.patience);
        tokio::task::spawn_local(async move {
            sleep(begin).await;
            let (world, stack) = fleet.one(&chance).await;
            caller::call(&world, &stack, plan, &chance, dress.as_ref(), patience).await;
        })
    }

    /// What a call is going to be.
    fn plan(&self, index: u64, chance: &Chance) -> Plan {
        let ms = Duration::from_millis;
        let question = if chance.percent(self.popular) { chance.below(3) } else { 1000 + index };
        let leave = match chance.below(20) {
            0 => Some(Leave::After(chance.time(ms(0), ms(30_000)))),
            1 => Some(Leave::After(chance.time(ms(0), ms(1500)))),
            2 => Some(Leave::Polls(chance.below(12))),
            3 | 4 => Some(Leave::AtTerminator),
            _ => None,
        };
        let slow = chance.percent(15).then(|| chance.time(ms(1), ms(2000)));
        Plan {
            question,
            wire: if chance.percent(50) { Wire::OpenAi } else { Wire::Anthropic },
            streamed: chance.percent(60),
            usage: chance.percent(50),
            model: chance.pick(&self.models).cloned().unwrap_or_default(),
            key: chance.pick(&self.keys).cloned().unwrap_or_default(),
            leave,
            slow,
            recovery: false,
        }
    }

    /// Asks every instance for every model, when all is well again.
    async fn recover(&self, fleet: &Rc<Fleet>) {
        let mut tasks = Vec::new();
        for instance in 0..self.instances {
            for (at, model) in self.models.iter().enumerate() {
                for number in 0..self.recovery {
                    let Some((world, stack)) = fleet.at(instance) else { continue };
                    let turn = usize::try_from(number).unwrap_or_default() + at;
                    let plan = Plan {
                        // Nobody has asked it before.
                        question: 1_000_000 + tasks.len() as u64,
                        wire: if turn.is_multiple_of(2) { Wire::OpenAi } else { Wire::Anthropic },
                        streamed: turn % 3 != 0,
                        usage: true,
                        model: model.clone(),
                        key: self
                            .keys
                            .get(turn % self.keys.len().max(1))
                            .cloned()
                            .unwrap_or_default(),
                        leave: None,
                        slow: None,
                        recovery: true,
                    };
                    let (dress, patience) = (self.dress.clone(), self.patience);
                    let chance = Chance::new(world.seed(), &format!("recovery {}", tasks.len()));
                    tasks.push(tokio::task::spawn_local(async move {
                        caller::call(&world, &stack, plan, &chance, dress.as_ref(), patience).await;
                    }));
                }
            }
        }
        for task in tasks {
            drop(task.await);
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("faults", &self.faults)
            .field("instances", &self.instances)
            .finish_non_exhaustive()
    }
}

type Build = Rc<dyn Fn(&World) -> Stack>;

/// The gateways that run.
struct Fleet {
    world: World,
    build: Build,
    running: std::cell::RefCell<Vec<Option<(World, Stack)>>>,
    crashes: Cell<u64>,
}

impl Fleet {
    fn new(world: &World, instances: usize, build: Build) -> Self {
        let running = std::cell::RefCell::new((0..instances).map(|_| None).collect());
        let fleet = Self { world: world.clone(), build, running, crashes: Cell::new(0) };
        for index in 0..instances {
            fleet.start(index);
        }
        fleet
    }

    fn start(&self, index: usize) {
        let world = self.world.at_instance(index);
        world.note(format_args!("instance {index} starts"));
        let stack = (self.build)(&world);
        if let Some(place) = self.running.borrow_mut().get_mut(index) {
            *place = Some((world, stack));
        }
    }

    fn at(&self, index: usize) -> Option<(World, Stack)> {
        self.running.borrow().get(index).cloned().flatten()
    }

    /// Any instance that runs, once there is one.
    async fn one(&self, chance: &Chance) -> (World, Stack) {
        loop {
            let running: Vec<_> = self.running.borrow().iter().flatten().cloned().collect();
            if let Some(one) = chance.pick(&running) {
                return one.clone();
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Kills an instance: cut off first, then dropped with all that it was doing.
    fn crash(&self, index: usize) {
        let Some(place) = self.running.borrow_mut().get_mut(index).and_then(Option::take) else {
            return;
        };
        self.crashes.set(self.crashes.get() + 1);
        place.0.instance.crash();
        drop(place);
    }

    fn drop_all(&self) {
        self.running.borrow_mut().clear();
    }
}

/// What happens to machines, until the horizon.
async fn accidents(fleet: Rc<Fleet>, faults: Faults, horizon: Duration) {
    let world = fleet.world.clone();
    let chance = Chance::new(world.seed(), "accidents");
    let secs = Duration::from_secs;
    let kinds = [Fault::ClockJump, Fault::Freeze, Fault::StoreLoss, Fault::Crash];
    let kinds: Vec<_> = kinds.into_iter().filter(|kind| faults.has(*kind)).collect();
    let end = Instant::now() + horizon;
    loop {
        let pause = chance.time(secs(1), horizon / 3);
        if kinds.is_empty() || Instant::now() + pause >= end {
            break;
        }
        sleep(pause).await;
        let Some(kind) = chance.pick(&kinds).copied() else { break };
        {
            let mut state = world.inner.lock();
            let now = world.inner.note(&mut state, format_args!("accident: {kind:?}"));
            state.report.accidents.push((kind, now));
        }
        match kind {
            Fault::ClockJump => {
                let seconds = chance.between(1, if chance.percent(30) { 100_000 } else { 120 });
                let ms = i64::try_from(seconds * 1000).unwrap_or_default();
                world.inner.ambient.jump(if chance.percent(50) { ms } else { -ms });
            }
            Fault::Freeze => advance(chance.time(secs(1), secs(40))).await,
            Fault::StoreLoss => {
                let manner = if chance.percent(50) { Manner::Refuses } else { Manner::Silent };
                world.inner.outage.begin(manner, chance.percent(30));
                sleep(chance.time(secs(1), secs(20))).await;
                world.inner.outage.end();
                world.note("the shared state is back");
            }
            _ => {
                let index = chance.index(fleet.running.borrow().len());
                fleet.crash(index);
                sleep(chance.time(secs(0), secs(10))).await;
                fleet.start(index);
            }
        }
    }
}

/// What many runs have seen.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many calls were made.
    pub calls: u64,
    /// How many of them were answered.
    pub answered: u64,
    /// How many were refused, or broke off with an error.
    pub failed: u64,
    /// How many callers left.
    pub left: u64,
    /// How many requests reached providers.
    pub attempts: u64,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        let count = |end| report.count(&end) as u64;
        self.seeds += 1;
        self.calls += report.calls.len() as u64;
        self.answered += count(CallEnd::Answered);
        self.failed += count(CallEnd::Refused) + count(CallEnd::Broken);
        self.left += count(CallEnd::Left);
        self.attempts += report.attempts.len() as u64;
        let at_providers = report.attempts.iter().filter_map(|attempt| attempt.fault);
        for fault in at_providers.chain(report.accidents.iter().map(|(fault, _)| *fault)) {
            *self.faults.entry(fault).or_default() += 1;
        }
    }
}

/// What a failed run says: what is wrong, what happened, how to see it again.
fn failure(report: &Report) -> String {
    let mut text = String::new();
    for line in &report.trace {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "\nseed {}:", report.seed);
    for violation in &report.violations {
        let _ = writeln!(text, "- {violation}");
    }
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default();
    let seed = report.seed;
    let package = package.unwrap_or_default();
    let _ = write!(
        text,
        "\nto see it again: ZIGGURAT_SEED={seed} cargo test{package} --all-features {test}"
    );
    text
}
