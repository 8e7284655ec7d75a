//! Whose fault it was, and what follows.

use super::*;

fn pair(registry: &Registry, fake: &Fake, rules: Rules) -> Route<Deployment> {
    // Of two, everything goes to the first while it is well.
    route(registry, rules, [fake.endpoint("a").order(1), fake.endpoint("b").order(2)])
}

/// One call that must not retry: what the first deployment says.
async fn first(route: &Route<Deployment>) -> Result<String, Error> {
    ask(route, call()).await
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_does_wrong_never_cools_a_deployment() {
    let (registry, fake) = (registry(), Fake::default());
    let strict = Rules::new().cool_down(CoolDown::new().allowed_fails(0));
    let route = pair(&registry, &fake, strict);
    let kinds = [
        ErrorKind::InvalidRequest,
        ErrorKind::Unsupported,
        ErrorKind::ContextLength,
        ErrorKind::ContentPolicy,
        ErrorKind::TooLarge,
        ErrorKind::Cancelled,
        ErrorKind::Conflict,
    ];
    let mut errors: Vec<Error> = kinds.map(said).into();
    // A credential that the caller brought; a gateway that ends, or a deadline that passes.
    errors.push(said(ErrorKind::Authentication).with_origin(ziggurat_core::Origin::Caller));
    errors.push(said(ErrorKind::RateLimit).with_origin(ziggurat_core::Origin::Caller));
    for error in errors {
        for _ in 0..10 {
            fake.fail("a", [error.clone()]);
            first(&route).await.unwrap_err();
        }
        assert_eq!(condition(&registry, "a"), Condition::Well, "{error}");
    }
    assert_eq!(registry.state("a").unwrap().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_from_above_is_not_the_deployments_fault() {
    let registry = registry();
    let hang = tower::service_fn(|_: Call| std::future::pending::<Result<Reply, Error>>());
    let rules = Rules::new().cool_down(CoolDown::new().allowed_fails(0));
    let route = route(&registry, rules, [Endpoint::new("a", hang)]);
    let (call, guard) = held();
    let mut asked = task::spawn(route.oneshot(call));
    assert_pending!(asked.poll());
    guard.close(End::Failure(Error::new(ErrorKind::Timeout, "past its deadline")));
    assert_eq!((in_flight(&registry), condition(&registry, "a")), (0, Condition::Well));
}

#[tokio::test(start_paused = true)]
async fn a_429_rests_at_once_for_as_long_as_it_says() {
    let (registry, fake) = (registry(), Fake::default());
    let route = pair(&registry, &fake, Rules::new());
    fake.fail("a", [said(ErrorKind::RateLimit).with_retry_after(secs(20))]);
    assert!(first(&route).await.unwrap_err().elsewhere());
    let state = registry.state("a").unwrap();
    assert_eq!((state.condition, state.cause), (Condition::Cooling, Some(Cause::RateLimit)));
    assert_eq!(state.cool_until, Some(Instant::now() + secs(20)));
    advance(Duration::from_millis(19_900)).await;
    assert_eq!(first(&route).await.unwrap(), "b");
    advance(Duration::from_millis(200)).await;
    assert_eq!(condition(&registry, "a"), Condition::HalfOpen);
    assert_eq!(first(&route).await.unwrap(), "a");
    assert_eq!(condition(&registry, "a"), Condition::Well);
    // Within sense.
    fake.fail("a", [said(ErrorKind::RateLimit).with_retry_after(secs(86_400))]);
    first(&route).await.unwrap_err();
    assert_eq!(registry.state("a").unwrap().cool_until, Some(Instant::now() + secs(300)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_and_a_missing_model_rest_at_once() {
    for (kind, cause) in [
        (ErrorKind::Authentication, Cause::Credential),
        (ErrorKind::Permission, Cause::Credential),
        (ErrorKind::Billing, Cause::Credential),
        (ErrorKind::QuotaExhausted, Cause::Credential),
        (ErrorKind::NotFound, Cause::Missing),
    ] {
        let (registry, fake) = (registry(), Fake::default());
        let route = pair(&registry, &fake, Rules::new());
        fake.fail("a", [said(kind)]);
        first(&route).await.unwrap_err();
        let state = registry.state("a").unwrap();
        assert_eq!((state.condition, state.cause), (Condition::Cooling, Some(cause)));
        assert_eq!(state.cool_until, Some(Instant::now() + secs(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_a_caller_made_up_does_not_rest_a_whole_provider() {
    let (registry, fake) = (registry(), Fake::default());
    let made = fake.clone();
    let table = Table::builder(&registry)
        .pattern("x/*", move |_| Ok(vec![made.endpoint("a"), made.endpoint("b")]))
        .build();
    let route = Route::new(table);
    for id in ["a", "b"] {
        fake.fail(id, (0..20).map(|_| said(ErrorKind::NotFound)));
    }
    for _ in 0..20 {
        ask(&route, Call::chat("x/nonsense").user("hi")).await.unwrap_err();
    }
    assert!(registry.states().iter().all(|state| state.condition == Condition::Well));
}

#[tokio::test(start_paused = true)]
async fn faults_rest_a_deployment_when_they_are_more_than_half_of_five() {
    let (registry, fake) = (registry(), Fake::default());
    let route = pair(&registry, &fake, Rules::new());
    for _ in 0..2 {
        first(&route).await.unwrap();
    }
    for kind in [ErrorKind::Server, ErrorKind::BadUpstream, ErrorKind::Timeout] {
        assert_eq!(condition(&registry, "a"), Condition::Well);
        fake.fail("a", [said(kind)]);
        first(&route).await.unwrap_err();
    }
    let state = registry.state("a").unwrap();
    assert_eq!((state.condition, state.cause), (Condition::Cooling, Some(Cause::Fault)));
    assert_eq!(state.failures, 3);
    // Half is not more than half, and four are not five.
    let fake = Fake::default();
    let registry = super::registry();
    let route = pair(&registry, &fake, Rules::new());
    for _ in 0..4 {
        fake.fail("a", [said(ErrorKind::Overloaded)]);
        first(&route).await.unwrap_err();
    }
    assert_eq!(condition(&registry, "a"), Condition::Well);
    // A minute later it is forgotten.
    advance(secs(121)).await;
    fake.fail("a", [said(ErrorKind::Overloaded)]);
    first(&route).await.unwrap_err();
    assert_eq!(condition(&registry, "a"), Condition::Well);
}

#[tokio::test(start_paused = true)]
async fn who_stands_alone_is_not_rested_until_nothing_works_at_all() {
    let (registry, fake) = (registry(), Fake::default());
    let route = route(&registry, Rules::new(), [fake.endpoint("a")]);
    fake.fail("a", [said(ErrorKind::RateLimit), said(ErrorKind::Authentication)]);
    fake.fail("a", (0..997).map(|_| said(ErrorKind::Server)));
    for _ in 0..999 {
        first(&route).await.unwrap_err();
        assert_eq!(condition(&registry, "a"), Condition::Well);
    }
    fake.fail("a", [said(ErrorKind::Server)]);
    let error = first(&route).await.unwrap_err();
    assert!(!error.elsewhere());
    assert_eq!(condition(&registry, "a"), Condition::Cooling);
}

#[tokio::test(start_paused = true)]
async fn allowed_fails_are_counted_and_forgotten() {
    let (registry, fake) = (registry(), Fake::default());
    let cool_down = CoolDown::new().allowed_fails(2).time(secs(10));
    let route = route(&registry, Rules::new().cool_down(cool_down), [fake.endpoint("a")]);
    let fail = async |kind| {
        fake.fail("a", [said(kind)]);
        first(&route).await.unwrap_err();
        condition(&registry, "a")
    };
    // With a count, a 429 counts like others, and so does one who stands alone.
    assert_eq!(fail(ErrorKind::RateLimit).await, Condition::Well);
    assert_eq!(fail(ErrorKind::Server).await, Condition::Well);
    advance(secs(10)).await;
    assert_eq!(fail(ErrorKind::Server).await, Condition::Well, "the old ones are forgotten");
    advance(secs(9)).await;
    assert_eq!(fail(ErrorKind::Server).await, Condition::Well);
    advance(secs(9)).await;
    assert_eq!(fail(ErrorKind::Server).await, Condition::Cooling);
}

#[tokio::test(start_paused = true)]
async fn allowed_fails_by_kind_and_by_deployment() {
    let (registry, fake) = (registry(), Fake::default());
    let policy = AllowedFails { rate_limit: Some(1), timeout: Some(0), ..AllowedFails::default() };
    let rules = Rules::new().cool_down(CoolDown::new().policy(policy));
    let own = Settings { allowed_fails: Some(4), ..Settings::default() };
    let endpoints = [
        fake.endpoint("a"),
        fake.endpoint("b"),
        fake.endpoint("c"),
        fake.endpoint("d").settings(own),
    ];
    let route = route(&registry, rules, endpoints);
    let fail = async |id: &str, kind, times| {
        for _ in 0..times {
            fake.fail(id, [said(kind)]);
            ask(&route, Call::chat(id.to_owned()).user("hi")).await.unwrap_err();
        }
        condition(&registry, id)
    };
    assert_eq!(fail("a", ErrorKind::RateLimit, 1).await, Condition::Well);
    assert_eq!(fail("a", ErrorKind::RateLimit, 1).await, Condition::Cooling);
    assert_eq!(fail("b", ErrorKind::Timeout, 1).await, Condition::Cooling);
    // What the policy does not name: LiteLLM's three.
    assert_eq!(fail("c", ErrorKind::Server, 3).await, Condition::Well);
    assert_eq!(fail("c", ErrorKind::Server, 1).await, Condition::Cooling);
    assert_eq!(fail("d", ErrorKind::Timeout, 4).await, Condition::Well);
    assert_eq!(fail("d", ErrorKind::Timeout, 1).await, Condition::Cooling);
}

#[tokio::test(start_paused = true)]
async fn its_own_time_wins_and_zero_is_never() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("a").order(1).cooldown_time(secs(60)),
        fake.endpoint("b").order(2).cooldown_time(Duration::ZERO),
        fake.endpoint("c").order(3),
    ];
    let route_on = route(&registry, Rules::new(), endpoints.clone());
    fake.fail("a", [said(ErrorKind::RateLimit).with_retry_after(secs(20))]);
    fake.fail("b", [said(ErrorKind::RateLimit).with_retry_after(secs(20))]);
    first(&route_on).await.unwrap_err();
    assert_eq!(registry.state("a").unwrap().cool_until, Some(Instant::now() + secs(60)));
    first(&route_on).await.unwrap_err();
    assert_eq!(condition(&registry, "b"), Condition::Well);
    let route_off = route(&registry, Rules::new().cool_down(CoolDown::off()), endpoints);
    fake.fail("c", [said(ErrorKind::RateLimit)]);
    ask(&route_off, Call::chat("c").user("hi")).await.unwrap_err();
    assert_eq!(condition(&registry, "c"), Condition::Well);
}

#[tokio::test(start_paused = true)]
async fn after_its_rest_one_call_tries_it_and_failing_again_rests_it_longer() {
    let registry = registry();
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let service = service.map_err_to_ours();
    let other = tower::service_fn(|_: Call| std::future::pending::<Result<Reply, Error>>());
    let endpoints = [
        Endpoint::new("a", tower::util::BoxCloneSyncService::new(service)).order(1),
        Endpoint::new("b", tower::util::BoxCloneSyncService::new(other)).order(2),
    ];
    let route = route(&registry, Rules::new(), endpoints);
    let cooled_for = || {
        let until = registry.state("a").unwrap().cool_until.unwrap();
        until.saturating_duration_since(Instant::now())
    };
    registry.cool("a", Instant::now() + secs(5), Cause::Fault);
    handle.allow(100);
    for expected in [10, 20, 40, 80, 160, 300, 300] {
        advance(cooled_for()).await;
        let mut probe = task::spawn(route.clone().oneshot(call()));
        assert_pending!(probe.poll());
        let (_, respond) = handle.next_request().await.expect("the probe goes to the first");
        // One at a time: the others go elsewhere.
        let mut others: Vec<_> =
            (0..3).map(|_| task::spawn(route.clone().oneshot(call()))).collect();
        for other in &mut others {
            assert_pending!(other.poll());
        }
        assert_eq!(registry.state("b").unwrap().in_flight, 3);
        respond.send_error(said(ErrorKind::Server));
        assert_ready_err!(probe.poll());
        assert_eq!(cooled_for(), secs(expected), "longer each time, and bounded");
    }
    // What says nothing of the deployment lets the next one try.
    advance(cooled_for()).await;
    for _ in 0..2 {
        let mut probe = task::spawn(route.clone().oneshot(call()));
        assert_pending!(probe.poll());
        let (_, respond) = handle.next_request().await.unwrap();
        respond.send_error(said(ErrorKind::ContextLength));
        assert_ready_err!(probe.poll());
        let mut probe = task::spawn(route.clone().oneshot(call()));
        assert_pending!(probe.poll());
        drop(handle.next_request().await.unwrap());
        drop(probe);
        assert_eq!(condition(&registry, "a"), Condition::HalfOpen);
    }
    // The first content is proof enough: nobody waits for the end of the stream.
    let mut probe = task::spawn(route.clone().oneshot(call().streamed()));
    assert_pending!(probe.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(script([Act::Frame(text("a")), Act::Hang]).0);
    let reply = assert_ready_ok!(probe.poll());
    assert_eq!(condition(&registry, "a"), Condition::Well);
    drop(reply);
    // And the next rest is a short one again.
    let mut asked = task::spawn(route.clone().oneshot(call()));
    assert_pending!(asked.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(said(ErrorKind::RateLimit));
    assert_ready_err!(asked.poll());
    assert_eq!(cooled_for(), secs(5));
}

/// A mock whose errors are ours.
trait MapErr: Sized {
    fn map_err_to_ours(self) -> tower::util::MapErr<Self, fn(ziggurat_core::BoxError) -> Error>;
}

impl MapErr for mock::Mock<Call, Reply> {
    fn map_err_to_ours(self) -> tower::util::MapErr<Self, fn(ziggurat_core::BoxError) -> Error> {
        tower::util::MapErr::new(self, Error::from)
    }
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_the_rest_do_not_lengthen_it() {
    let registry = registry();
    let (service, mut handle) = mock::pair::<Call, Reply>();
    let endpoints = ["a", "b"].map(|id| Endpoint::new(id, service.clone().map_err_to_ours()));
    let route = route(&registry, Rules::new(), endpoints);
    handle.allow(100);
    let mut calls = Vec::new();
    for _ in 0..4 {
        let mut asked = task::spawn(route.clone().oneshot(Call::chat("a").user("hi")));
        assert_pending!(asked.poll());
        calls.push((asked, handle.next_request().await.unwrap().1));
    }
    let until = || registry.state("a").unwrap().cool_until.unwrap();
    // Asked for by its id it stands alone; so somebody else has to cool it.
    assert!(registry.cool("a", Instant::now() + secs(5), Cause::RateLimit));
    let before = until();
    for (mut asked, respond) in calls.drain(..3) {
        advance(secs(1)).await;
        respond.send_error(said(ErrorKind::RateLimit));
        assert_ready_err!(asked.poll());
        assert_eq!(until(), before);
    }
    // Unless they know better.
    let (mut asked, respond) = calls.remove(0);
    respond.send_error(said(ErrorKind::RateLimit).with_retry_after(secs(60)));
    assert_ready_err!(asked.poll());
    assert_eq!(until(), Instant::now() + secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_the_providers_failure() {
    let registry = registry();
    let service = tower::service_fn(|_: Call| {
        let acts = [Act::Frame(text("a")), Act::Fail(said(ErrorKind::BadUpstream))];
        ready(Ok::<_, Error>(script(acts).0))
    });
    let endpoints = ["a", "b"].map(|id| Endpoint::new(id, service));
    let route = route(&registry, Rules::new(), endpoints);
    for _ in 0..40 {
        let Ok(mut reply) = route.clone().oneshot(call().streamed()).await else { break };
        assert!(read(&mut reply).await.1.is_some());
    }
    assert!(registry.states().iter().all(|state| state.condition == Condition::Cooling));
    let error = route.oneshot(call()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(
        error.message(),
        "no deployment of `m` can take the call now: 2 of 2 resting after failures"
    );
    assert_eq!(error.retry_after(), Some(secs(5)));
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_left_the_error_says_why_and_when_to_come_back() {
    let (registry, fake) = (registry(), Fake::default());
    let ids = ["a", "b", "c", "d"];
    let route = route(&registry, Rules::new(), ids.map(|id| fake.endpoint(id)));
    let cool = |id, time, cause| registry.cool(id, Instant::now() + secs(time), cause);
    for (id, time, cause) in [
        ("a", 9, Cause::Fault),
        ("b", 7, Cause::Fault),
        ("c", 8, Cause::Credential),
        ("d", 60, Cause::Missing),
    ] {
        assert!(cool(id, time, cause));
    }
    let error = first(&route).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Overloaded, 503));
    assert_eq!(error.origin(), ziggurat_core::Origin::Gateway);
    assert_eq!(error.retry_after(), Some(secs(7)));
    let why =
        "2 of 4 resting after failures, 2 of 4 resting since its credential or model was refused";
    assert_eq!(error.message(), format!("no deployment of `m` can take the call now: {why}"));
    assert!(cool("b", 30, Cause::RateLimit));
    let error = first(&route).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::RateLimit, 429));
    assert_eq!(error.retry_after(), Some(secs(8)));
    advance(secs(8)).await;
    assert_eq!(first(&route).await.unwrap(), "c");
}

#[tokio::test(start_paused = true)]
async fn what_one_instance_learns_is_told_and_what_others_learn_is_taken() {
    let (registry, fake) = (registry(), Fake::default());
    let route = pair(&registry, &fake, Rules::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let subscription = registry.subscribe(move |cooled| log.lock().unwrap().push(cooled.clone()));
    let _loud = registry.subscribe(|_| panic!("a subscriber panics"));
    fake.fail("a", [said(ErrorKind::RateLimit).with_retry_after(secs(20))]);
    first(&route).await.unwrap_err();
    let expected = Cooled { deployment: "a".into(), time: secs(20), cause: Cause::RateLimit };
    assert_eq!(*told.lock().unwrap(), [expected]);
    // From elsewhere: not echoed, never shorter, not for those whom nobody knows.
    let at = |time| Instant::now() + secs(time);
    assert!(registry.cool("b", at(10), Cause::Fault));
    assert!(!registry.cool("b", at(5), Cause::RateLimit));
    assert_eq!(registry.state("b").unwrap().cause, Some(Cause::Fault));
    assert!(!registry.cool("stranger", at(10), Cause::Fault));
    assert_eq!(told.lock().unwrap().len(), 1);
    assert!(registry.warm("b"));
    assert_eq!(first(&route).await.unwrap(), "b");
    drop(subscription);
    fake.fail("b", [said(ErrorKind::RateLimit)]);
    first(&route).await.unwrap_err();
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_health_of_ids_that_stay() {
    let (registry, fake) = (registry(), Fake::default());
    let old =
        route(&registry, Rules::new(), ["a", "b"].map(|id| fake.endpoint(id).max_parallel(1)));
    registry.cool("a", Instant::now() + secs(60), Cause::Fault);
    let (call, guard) = held();
    let reply = old.clone().oneshot(call).await.unwrap();
    let new =
        route(&registry, Rules::new(), ["a", "b", "c"].map(|id| fake.endpoint(id).max_parallel(1)));
    assert_eq!(first(&new).await.unwrap(), "c", "one rests, one is full");
    drop((reply, guard));
    assert_eq!(registry.state("b").unwrap().in_flight, 0);
    drop(new);
    registry.forget_unused();
    let ids: Vec<_> = registry.states().into_iter().map(|state| state.id).collect();
    assert_eq!(ids, ["a", "b"]);
    drop(old);
    registry.forget_unused();
    assert!(registry.states().is_empty());
}

#[tokio::test(start_paused = true)]
async fn checks_find_the_ill_and_the_well_and_end_with_their_owner() {
    let (registry, fake) = (registry(), Fake::default());
    let route = pair(&registry, &fake, Rules::new());
    let ill = Arc::new(Mutex::new(vec!["a"]));
    let asked = Arc::new(AtomicU64::new(0));
    let (state, count) = (Arc::clone(&ill), Arc::clone(&asked));
    let checks = HealthChecks::new().interval(secs(60)).timeout(secs(5)).concurrency(1);
    let watch = checks.start(route.table(), move |endpoint| {
        count.fetch_add(1, Ordering::Relaxed);
        let ill = state.lock().unwrap().contains(&endpoint.id().as_str());
        async move { if ill { std::future::pending().await } else { Ok(()) } }
    });
    assert_eq!(first(&route).await.unwrap(), "a", "nobody was asked yet");
    sleep(secs(6)).await;
    assert_eq!(condition(&registry, "a"), Condition::Ill);
    assert_eq!(first(&route).await.unwrap(), "b");
    ill.lock().unwrap().clear();
    sleep(secs(70)).await;
    assert_eq!(first(&route).await.unwrap(), "a");
    ill.lock().unwrap().extend(["a", "b"]);
    sleep(secs(80)).await;
    let error = first(&route).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.message().ends_with("2 of 2 found ill by its last check"), "{error}");
    drop(watch);
    tokio::task::yield_now().await;
    let before = asked.load(Ordering::Relaxed);
    sleep(secs(600)).await;
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert_eq!(first(&route).await.unwrap(), "a", "a check that is missing holds no longer");
}
