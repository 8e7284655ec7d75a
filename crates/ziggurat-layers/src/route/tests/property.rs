//! Random fleets and outcomes.

use super::*;

/// Numbers below something, by a seed.
struct Dice(Arc<Seed>);

impl Dice {
    fn below(&self, most: u64) -> u64 {
        self.0.random() % most
    }
}

const KINDS: [ErrorKind; 8] = [
    ErrorKind::Server,
    ErrorKind::RateLimit,
    ErrorKind::Timeout,
    ErrorKind::Overloaded,
    ErrorKind::Authentication,
    ErrorKind::ContextLength,
    ErrorKind::InvalidRequest,
    ErrorKind::NotFound,
];

#[derive(Clone)]
struct Wild(Arc<Dice>);

impl Service<Call> for Wild {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        let dice = &self.0;
        ready(match dice.below(10) {
            0..3 => {
                let error = said(KINDS[usize::try_from(dice.below(8)).unwrap()]);
                Err(if dice.below(2) == 0 {
                    error.with_retry_after(secs(dice.below(40)))
                } else {
                    error
                })
            }
            3..5 => Ok(script([Act::Frame(text("a")), Act::Fail(said(ErrorKind::BadUpstream))]).0),
            _ => Ok(script([Act::Frame(text("a")), Act::Frame(done())]).0),
        })
    }
}

fn fleet(dice: &Arc<Dice>, registry: &Registry) -> (Route<Wild>, Vec<Option<u32>>) {
    let mut limits = Vec::new();
    let endpoints: Vec<_> = (0..=dice.below(90))
        .map(|n| {
            let mut endpoint = Endpoint::new(format!("{n:02}"), Wild(Arc::clone(dice)));
            let parallel = (dice.below(2) == 0).then(|| u32::try_from(1 + dice.below(4)).unwrap());
            if let Some(most) = parallel {
                endpoint = endpoint.max_parallel(most);
            }
            limits.push(parallel);
            match dice.below(8) {
                0 => endpoint = endpoint.rpm(1 + dice.below(100)),
                1 => endpoint = endpoint.tpm(100 + dice.below(10_000)),
                2 => endpoint = endpoint.order(i64::try_from(dice.below(3)).unwrap()),
                3 => endpoint = endpoint.weight(dice.below(10) as f64),
                _ => {}
            }
            endpoint
        })
        .collect();
    let strategies = [
        Strategy::Shuffle,
        Strategy::LeastBusy,
        Strategy::latency(),
        Strategy::Usage,
        Strategy::Cost,
    ];
    let strategy = strategies[usize::try_from(dice.below(5)).unwrap()];
    let mut rules = Rules::new().strategy(strategy).session_affinity(secs(60));
    if dice.below(3) == 0 {
        rules = rules.cool_down(CoolDown::new().allowed_fails(2));
    }
    (route(registry, rules, endpoints), limits)
}

/// Whatever happens: limits hold, those that rest are left alone, and nothing is left over.
#[tokio::test(start_paused = true)]
async fn random_fleets_keep_their_limits_and_leak_nothing() {
    let seeds = std::env::var("ROUTE_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(60) {
        let random = Seed::new(seed);
        let registry = Registry::with(Arc::clone(&random) as Arc<dyn Ambient>);
        let dice = Arc::new(Dice(random));
        let (route, limits) = fleet(&dice, &registry);
        let mut open: Vec<Reply> = Vec::new();
        let mut answered = 0;
        for step in 0..300 {
            advance(Duration::from_millis(dice.below(2000))).await;
            let resting: Vec<_> = registry
                .states()
                .into_iter()
                .filter(|state| state.condition == Condition::Cooling)
                .map(|state| state.id)
                .collect();
            let mut call = call();
            if dice.below(4) == 0 {
                call.controls_mut().session = Some(dice.below(5).to_string().into());
            }
            let future = route.clone().call(call);
            // Some leave at once.
            if dice.below(8) == 0 {
                drop(future);
                continue;
            }
            let deployment = match future.await {
                Ok(reply) => {
                    answered += 1;
                    let id = reply.head().deployment.clone();
                    open.push(reply);
                    id.map(|id| id.to_string())
                }
                Err(error) => {
                    let nobody = error.deployment().is_none();
                    assert!(!nobody || error.retry_after().is_some(), "seed {seed}: {error}");
                    error.deployment().map(str::to_owned)
                }
            };
            if let Some(deployment) = deployment {
                assert!(
                    !resting.iter().any(|id| *id == deployment.as_str()),
                    "seed {seed}, step {step}: {deployment} rests and was asked"
                );
            }
            for (state, most) in registry.states().iter().zip(&limits) {
                let most = most.unwrap_or(u32::MAX);
                assert!(state.in_flight <= most, "seed {seed}, step {step}: {state:?}");
            }
            let total: u32 = registry.states().iter().map(|state| state.in_flight).sum();
            assert_eq!(total as usize, open.len(), "seed {seed}, step {step}");
            while open.len() > 8 || !open.is_empty() && dice.below(3) == 0 {
                let at = usize::try_from(dice.below(open.len() as u64)).unwrap();
                let mut reply = open.swap_remove(at);
                if dice.below(3) > 0 {
                    read(&mut reply).await;
                }
            }
        }
        drop(open);
        assert!(answered > 0, "seed {seed}");
        assert_eq!(in_flight(&registry), 0, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn random_weights_are_respected() {
    for seed in 0..20 {
        let random = Seed::new(seed);
        let dice = Dice(Arc::clone(&random));
        let registry = Registry::with(random);
        let fake = Fake::default();
        let weights: Vec<f64> =
            (0..2 + dice.below(6)).map(|_| 1.0 + dice.below(9) as f64).collect();
        let endpoints = weights
            .iter()
            .enumerate()
            .map(|(n, weight)| fake.endpoint(&n.to_string()).weight(*weight));
        let route = route(&registry, Rules::new(), endpoints);
        let calls = 3000;
        let counts = count(&route, calls).await;
        let sum: f64 = weights.iter().sum();
        for (n, weight) in weights.iter().enumerate() {
            let share = weight / sum;
            let expected = calls as f64 * share;
            // Five standard deviations of a binomial count.
            let bound = 5.0 * (calls as f64 * share * (1.0 - share)).sqrt();
            let seen = counts.get(&n.to_string()).copied().unwrap_or_default() as f64;
            assert!((seen - expected).abs() < bound, "seed {seed}: {n} of {weights:?}: {counts:?}");
        }
    }
}
