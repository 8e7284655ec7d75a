//! Random schedules against an oracle that keeps every booking and adds up all windows.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use tokio::time::advance;
use ziggurat_core::Instant;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Begin { key: bool, input: u64, output: u64 },
    End { which: usize, share: u8, told: bool },
    Drop { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u64..8_000).prop_map(Step::Wait),
        6 => (any::<bool>(), 1_u64..300, 0_u64..300).prop_map(|(key, input, output)| Step::Begin { key, input, output }),
        4 => (any::<usize>(), 0_u8..=100, any::<bool>()).prop_map(|(which, share, told)| Step::End { which, share, told }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
    ];
    prop::collection::vec(step, 1..120)
}

/// What was used when, of a limit.
#[derive(Default)]
struct Oracle(Vec<(Instant, u64)>);

impl Oracle {
    /// In no window was there more than the limit and what comes back in it.
    fn check(&self, amount: u64, period: Duration) {
        for (first, (from, _)) in self.0.iter().enumerate() {
            let mut sum = 0;
            for (until, used) in &self.0[first..] {
                sum += used;
                let window = until.duration_since(*from);
                let back = u128::from(amount) * window.as_nanos() / period.as_nanos();
                assert!(u128::from(sum) <= u128::from(amount) + back, "{sum} within {window:?}");
            }
        }
    }
}

struct Open {
    guard: Guard,
    key: usize,
    held: Tokens,
}

async fn run(steps: Vec<Step>) {
    const MINUTE: Duration = Duration::from_secs(60);
    let (rpm, tpm, otpm, places) = (20, 1500, 700, 4);
    let limiter = Limiter::new();
    let limits = Limits::new().rpm(rpm).tpm(tpm).otpm(otpm).max_parallel(places);
    let rules = LimitRules::new().each(By::Key, limits).each(By::All, Limits::new().rpm(30));
    let layer = RateLimitLayer::new(limiter.clone(), rules).estimator(sized);
    let provider = Provider::default();
    let mut requests = [Oracle::default(), Oracle::default()];
    let mut all = Oracle::default();
    let mut tokens = [Oracle::default(), Oracle::default()];
    let mut output = [Oracle::default(), Oracle::default()];
    let mut open: Vec<Open> = Vec::new();
    for step in steps {
        match step {
            Step::Wait(time) => advance(Duration::from_millis(time)).await,
            Step::Begin { key, input, output } => {
                let held = Tokens::new(input, output);
                let key = usize::from(key);
                let before = open.iter().filter(|open| open.key == key).count();
                let (result, guard) =
                    begin(&layer, &provider, of(["a", "b"][key], input, output)).await;
                if result.is_ok() {
                    assert!(before < 4, "no more places than there are");
                    requests[key].0.push((Instant::now(), 1));
                    all.0.push((Instant::now(), 1));
                    open.push(Open { guard, key, held });
                }
            }
            Step::End { which, share, told } if !open.is_empty() => {
                let Open { guard, key, held } = open.swap_remove(which % open.len());
                let part = |amount: u64| amount * u64::from(share) / 100;
                let used =
                    if told { Tokens::new(part(held.input), part(held.output)) } else { held };
                let usage = told.then(|| Usage::new(used.input, used.output));
                end_with(guard, usage);
                tokens[key].0.push((Instant::now(), used.input + used.output));
                output[key].0.push((Instant::now(), used.output));
            }
            Step::Drop { which } if !open.is_empty() => {
                // It was polled, so it counts as sent: what it held is used.
                let Open { guard, key, held } = open.swap_remove(which % open.len());
                drop(guard);
                tokens[key].0.push((Instant::now(), held.input + held.output));
                output[key].0.push((Instant::now(), held.output));
            }
            _ => {}
        }
        assert_eq!(limiter.in_flight(), open.len());
    }
    for key in 0..2 {
        requests[key].check(rpm, MINUTE);
        tokens[key].check(tpm, MINUTE);
        output[key].check(otpm, MINUTE);
    }
    all.check(30, MINUTE);
    // Nothing leaks: when all is over and time has passed, everything is there again.
    open.clear();
    assert_eq!(limiter.in_flight(), 0);
    advance(2 * MINUTE).await;
    for key in ["a", "b"] {
        let (reply, guard) = begin(&layer, &provider, of(key, 0, 0)).await;
        let reply = reply.unwrap();
        let left = |kind| remaining(&reply, kind);
        assert_eq!(left(LimitKind::Requests), rpm - 1);
        assert_eq!(left(LimitKind::Tokens), tpm);
        assert_eq!(left(LimitKind::OutputTokens), otpm);
        assert_eq!(left(LimitKind::Parallel), places - 1);
        drop(guard);
    }
}

proptest! {
    #[test]
    fn no_schedule_passes_more_than_the_limits_or_leaks(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run(steps));
    }
}
