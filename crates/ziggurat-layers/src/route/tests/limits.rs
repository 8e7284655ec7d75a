//! What a deployment may carry.

use super::*;

#[tokio::test(start_paused = true)]
async fn parallel_calls_are_bounded_exactly_and_others_take_over() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [fake.endpoint("a").max_parallel(2), fake.endpoint("b").max_parallel(1)];
    let route = route(&registry, Rules::new(), endpoints);
    let mut open = Vec::new();
    for _ in 0..3 {
        let (call, guard) = held();
        open.push((route.clone().oneshot(call).await.unwrap(), guard));
    }
    let error = ask(&route, call()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimit, Some("max_parallel_requests")));
    assert_eq!(
        error.message(),
        "no deployment of `m` can take the call now: 2 of 2 at its own limits"
    );
    assert_eq!(error.retry_after(), Some(secs(1)));
    assert!(!error.elsewhere());
    open.pop();
    assert!(ask(&route, call()).await.is_ok());
    drop(open);
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_in_a_minute_are_bounded_without_windows() {
    let (registry, fake) = (registry(), Fake::default());
    let route = route(&registry, Rules::new(), [fake.endpoint("a").rpm(6)]);
    // Just before a minute of the registry's clock begins, where a window would end.
    advance(Duration::from_millis(59_500)).await;
    let mut passed = 0;
    for _ in 0..20 {
        passed += usize::from(ask(&route, call()).await.is_ok());
    }
    assert_eq!(passed, 6);
    advance(secs(1)).await;
    let error = ask(&route, call()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimit, Some(secs(9))));
    advance(secs(9)).await;
    assert!(ask(&route, call()).await.is_ok());
    assert!(ask(&route, call()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_held_by_estimate_and_settled_by_use() {
    let (registry, fake) = (registry(), Fake::default());
    let route = route(&registry, Rules::new(), [fake.endpoint("a").tpm(1000)]);
    // 6 tokens of input and 900 of output are held; 15 are used.
    let large = || Call::chat("m").user("12345678").max_output_tokens(900);
    let guard = Settlement::open();
    let mut open = large();
    open.set_scope(guard.scope());
    let mut reply = route.clone().oneshot(open).await.unwrap();
    let error = ask(&route, large()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert!(ask(&route, Call::chat("m").user("1")).await.is_ok(), "a small one fits");
    drop(reply.take_body());
    for _ in 0..5 {
        assert!(ask(&route, large()).await.is_ok());
    }
    assert!(registry.state("a").unwrap().tokens.abs_diff(7 * 15) < 16);
    guard.close(End::Success);
    // What was used counts: 105 of 1000 are gone, so that 906 do not fit for a while.
    let error = ask(&route, large()).await.unwrap_err();
    assert!(error.retry_after().unwrap() < secs(2), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn more_than_everything_is_let_through_alone() {
    let (registry, fake) = (registry(), Fake::default());
    let route = route(&registry, Rules::new(), [fake.endpoint("a").tpm(100)]);
    assert!(ask(&route, Call::chat("m").user("1").max_output_tokens(5000)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_never_left_does_not_count() {
    let (registry, fake) = (registry(), Fake::default());
    fake.fail("a", (0..50).map(|_| Error::new(ErrorKind::Unsupported, "no pictures here")));
    let route = route(&registry, Rules::new(), [fake.endpoint("a").rpm(2).tpm(1000)]);
    // Dropped before it was asked, and refused before it was sent.
    for _ in 0..50 {
        drop(route.clone().call(call()));
        assert_eq!(ask(&route, call()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(ask(&route, call()).await.is_ok());
    assert!(ask(&route, call()).await.is_ok());
    assert_eq!(ask(&route, call()).await.unwrap_err().kind(), ErrorKind::RateLimit);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_counts_as_what_was_held() {
    let registry = registry();
    let hang = tower::service_fn(|_: Call| std::future::pending::<Result<Reply, Error>>());
    let route = route(&registry, Rules::new(), [Endpoint::new("a", hang).tpm(1000)]);
    let large = || Call::chat("m").user("1").max_output_tokens(800);
    let mut asked = task::spawn(route.clone().oneshot(large()));
    assert_pending!(asked.poll());
    drop(asked);
    // Nobody knows what the provider did with it: eight tenths of a minute have to pass.
    let mut asked = task::spawn(route.clone().oneshot(large()));
    assert_eq!(assert_ready_err!(asked.poll()).kind(), ErrorKind::RateLimit);
    advance(secs(49)).await;
    let mut asked = task::spawn(route.oneshot(large()));
    assert_pending!(asked.poll());
}

#[tokio::test]
async fn nothing_is_exceeded_by_threads_that_race() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("a").max_parallel(3).tpm(1_000_000),
        fake.endpoint("b").max_parallel(2),
        fake.endpoint("c").max_parallel(1).rpm(1_000_000),
    ];
    let route = Arc::new(route(&registry, Rules::new().strategy(Strategy::LeastBusy), endpoints));
    let most = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (route, most, registry) = (Arc::clone(&route), Arc::clone(&most), registry.clone());
            std::thread::spawn(move || {
                let mut answered = 0;
                for _ in 0..2000 {
                    let mut asked = task::spawn((*route).clone().call(call()));
                    if let Poll::Ready(Ok(reply)) = asked.poll() {
                        answered += 1;
                        most.fetch_max(u64::from(in_flight(&registry)), Ordering::Relaxed);
                        drop(reply);
                    }
                }
                answered
            })
        })
        .collect();
    let answered: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(answered > 1000, "{answered}");
    assert!(most.load(Ordering::Relaxed) <= 6);
    assert_eq!(in_flight(&registry), 0);
}
