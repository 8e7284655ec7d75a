//! Which deployment is chosen.

use super::*;

fn rules(strategy: Strategy) -> Rules {
    Rules::new().strategy(strategy)
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares() {
    let (registry, fake) = (registry(), Fake::default());
    let ids = [("a", 3.0), ("b", 1.0), ("c", 0.0)];
    let endpoints = ids.map(|(id, weight)| fake.endpoint(id).weight(weight));
    let counts = count(&route(&registry, Rules::new(), endpoints), 4000).await;
    assert!(counts["a"].abs_diff(3000) < 120, "{counts:?}");
    assert!(counts["b"].abs_diff(1000) < 120, "{counts:?}");
    assert!(!counts.contains_key("c"), "no weight where others have one is none");
}

#[tokio::test(start_paused = true)]
async fn without_weights_requests_count_then_tokens_then_nothing() {
    let fake = Fake::default();
    let by = |counts: HashMap<String, usize>| counts.get("a").copied().unwrap_or_default();
    let rpm = [fake.endpoint("a").rpm(90_000).tpm(1), fake.endpoint("b").rpm(10_000).tpm(1)];
    let rpm = rpm.map(|endpoint| endpoint.tpm(100_000_000));
    assert!(by(count(&route(&registry(), Rules::new(), rpm), 1000).await).abs_diff(900) < 60);
    let tpm = [fake.endpoint("a").tpm(20_000_000), fake.endpoint("b").tpm(80_000_000)];
    assert!(by(count(&route(&registry(), Rules::new(), tpm), 1000).await).abs_diff(200) < 60);
    let none = [fake.endpoint("a"), fake.endpoint("b")];
    assert!(by(count(&route(&registry(), Rules::new(), none), 1000).await).abs_diff(500) < 60);
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_is_asked_and_the_equally_busy_share() {
    let (registry, fake) = (registry(), Fake::default());
    let route =
        route(&registry, rules(Strategy::LeastBusy), ["a", "b", "c"].map(|id| fake.endpoint(id)));
    let mut open = Vec::new();
    for round in 1..=5 {
        for _ in 0..3 {
            let (call, guard) = held();
            open.push((ask_open(&route, call).await, guard));
        }
        assert!(registry.states().iter().all(|state| state.in_flight == round), "{round}");
    }
    drop(open);
    assert_eq!(in_flight(&registry), 0);
    let counts = count(&route, 300).await;
    assert!(counts.values().all(|count| *count > 70), "{counts:?}");
}

/// Asks and leaves the answer open.
async fn ask_open(route: &Route<Deployment>, call: Call) -> Reply {
    route.clone().oneshot(call).await.unwrap()
}

#[derive(Clone)]
struct Slow(Duration, Option<ErrorKind>);

impl Service<Call> for Slow {
    type Response = Reply;
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        let Self(time, fails) = *self;
        Box::pin(async move {
            sleep(time).await;
            match fails {
                Some(kind) => Err(said(kind)),
                None => Ok(Reply::answer(Answer::Chat(Box::new(ChatReply::new("1", "m"))))),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_faster_of_two_is_asked_and_the_slow_one_is_tried_again() {
    let registry = registry();
    let ms = |ms| Slow(Duration::from_millis(ms), None);
    let endpoints = [Endpoint::new("fast", ms(100)), Endpoint::new("slow", ms(2000))];
    let route = route(&registry, rules(Strategy::latency()), endpoints);
    let mut slow = 0;
    for _ in 0..100 {
        slow += usize::from(ask(&route, call()).await.unwrap() == "slow");
    }
    assert_eq!(slow, 1, "once, to learn that it is slow");
    let state = registry.state("slow").unwrap();
    assert!(state.latency.unwrap().as_millis().abs_diff(2000) < 2);
    assert_eq!(state.first_content, None, "streams have a time of their own");
    // Its past is forgotten, so that it gets another chance.
    advance(secs(300)).await;
    ask(&route, call()).await.unwrap();
    let mut again = 0;
    for _ in 0..20 {
        again += usize::from(ask(&route, call()).await.unwrap() == "slow");
    }
    assert!((1..5).contains(&again), "{again}");
}

#[tokio::test(start_paused = true)]
async fn failing_fast_is_not_being_fast() {
    let registry = registry();
    let good = Endpoint::new("good", Slow(Duration::from_millis(500), None));
    let bad = Endpoint::new("bad", Slow(Duration::from_millis(1), Some(ErrorKind::Server)));
    let rules = rules(Strategy::latency()).cool_down(CoolDown::off());
    let route = route(&registry, rules, [good, bad]);
    for _ in 0..30 {
        drop(ask(&route, call()).await);
    }
    // Given up before content: no measurement either.
    let mut given_up = task::spawn(route.clone().oneshot(call()));
    assert_pending!(given_up.poll());
    drop(given_up);
    let latency = |id| registry.state(id).unwrap().latency;
    assert!(latency("good").unwrap().as_millis().abs_diff(500) < 2);
    assert!(latency("bad").is_none_or(|time| time < Duration::from_millis(3)));
    // A failure that took its time counts as slow.
    let timeout = Endpoint::new("timeout", Slow(secs(60), Some(ErrorKind::Timeout)));
    let route = super::route(&registry, Rules::new(), [timeout]);
    ask(&route, call()).await.unwrap_err();
    assert!(latency("timeout").unwrap() >= secs(59));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_does_not_run_to_a_deployment_that_was_never_tried() {
    let registry = registry();
    let known = Endpoint::new("known", Slow(Duration::from_millis(200), None));
    let route_one = route(&registry, rules(Strategy::latency()), [known.clone()]);
    ask(&route_one, call()).await.unwrap();
    let new = Endpoint::new("new", Slow(secs(3), None));
    let route = route(&registry, rules(Strategy::latency()), [known, new]);
    let mut calls: Vec<_> = (0..12).map(|_| task::spawn(route.clone().oneshot(call()))).collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    let new = registry.state("new").unwrap().in_flight;
    assert!((1..=4).contains(&new), "{new}");
}

#[tokio::test(start_paused = true)]
async fn who_has_used_least_of_its_limits_is_asked() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [fake.endpoint("small").tpm(10_000), fake.endpoint("large").tpm(90_000)];
    let route = route(&registry, rules(Strategy::Usage), endpoints);
    let counts = count(&route, 200).await;
    assert!(counts["small"].abs_diff(20) <= 4, "{counts:?}");
    // Nobody has limits: tokens are compared as they are.
    let endpoints = ["x", "y", "z"].map(|id| fake.endpoint(id));
    let route = super::route(&registry, rules(Strategy::Usage), endpoints);
    let counts = count(&route, 300).await;
    assert!(counts.values().all(|count| count.abs_diff(100) < 10), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_is_asked_and_what_nobody_knows_is_dear() {
    let (registry, fake) = (registry(), Fake::default());
    let price = |input, output| Price::per_million(NanoDollars(input), NanoDollars(output));
    let endpoints = [
        fake.endpoint("unknown"),
        fake.endpoint("dear").price(price(3_000_000_000, 15_000_000_000)),
        fake.endpoint("cheap").price(price(1_000_000_000, 5_000_000_000)),
    ];
    let route = route(&registry, rules(Strategy::Cost), endpoints);
    assert_eq!(count(&route, 20).await["cheap"], 20);
}

#[tokio::test(start_paused = true)]
async fn the_next_order_is_asked_when_the_one_before_it_has_nobody_left() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("last"),
        fake.endpoint("second").order(2),
        fake.endpoint("first").order(1).max_parallel(1),
        fake.endpoint("first-2").order(1).max_parallel(1),
    ];
    let route = route(&registry, Rules::new(), endpoints);
    let mut open = Vec::new();
    for _ in 0..2 {
        let (call, guard) = held();
        let reply = ask_open(&route, call).await;
        assert!(reply.head().deployment.as_ref().unwrap().starts_with("first"));
        open.push((reply, guard));
    }
    assert_eq!(ask(&route, call()).await.unwrap(), "second", "no place left in the first");
    assert!(registry.cool("second", Instant::now() + secs(60), Cause::Fault));
    assert_eq!(ask(&route, call()).await.unwrap(), "last");
    drop(open);
    assert!(ask(&route, call()).await.unwrap().starts_with("first"));
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_goes_elsewhere_while_there_is_an_elsewhere() {
    let (registry, fake) = (registry(), Fake::default());
    for id in ["a", "b", "c"] {
        fake.fail(id, (0..100).map(|_| said(ErrorKind::Server)));
    }
    let rules = Rules::new().cool_down(CoolDown::off());
    let route = route(&registry, rules, ["a", "b", "c"].map(|id| fake.endpoint(id)));
    for _ in 0..10 {
        let (call, guard) = held();
        let mut tried = Vec::new();
        for attempt in 0..4 {
            let error = ask(&route, call.clone()).await.unwrap_err();
            let deployment = error.deployment().unwrap().to_owned();
            assert_eq!(tried.contains(&deployment), attempt == 3, "{tried:?} {deployment}");
            assert_eq!(error.elsewhere(), attempt < 2, "attempt {attempt}");
            tried.push(deployment);
        }
        guard.close(End::Cancelled);
    }
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_failed_leaves_the_call_to_the_next() {
    let (registry, fake) = (registry(), Fake::default());
    fake.fail("first", [said(ErrorKind::Server)]);
    let endpoints = [fake.endpoint("first").order(1), fake.endpoint("second").order(2)];
    let route = route(&registry, Rules::new(), endpoints);
    let (call, _guard) = held();
    assert!(ask(&route, call.clone()).await.unwrap_err().elsewhere());
    assert_eq!(ask(&route, call).await.unwrap(), "second");
}

#[tokio::test(start_paused = true)]
async fn a_session_sticks_and_moves_when_it_must() {
    let (registry, fake) = (registry(), Fake::default());
    let rules = Rules::new().session_affinity(secs(600)).caller_affinity(secs(600));
    let route = route(&registry, rules, (0..8).map(|n| fake.endpoint(&n.to_string())));
    let of = |session: &str| {
        let mut call = call();
        call.controls_mut().session = Some(session.into());
        call
    };
    let first = ask(&route, of("s")).await.unwrap();
    for _ in 0..50 {
        advance(secs(300)).await;
        assert_eq!(ask(&route, of("s")).await.unwrap(), first);
    }
    let mut others = std::collections::HashSet::new();
    for n in 0..50 {
        others.insert(ask(&route, of(&n.to_string())).await.unwrap());
    }
    assert!(others.len() > 5, "sessions are spread");
    // Its deployment rests: another takes over, and keeps it.
    registry.cool(&first, Instant::now() + secs(5), Cause::Fault);
    let second = ask(&route, of("s")).await.unwrap();
    assert_ne!(second, first);
    advance(secs(60)).await;
    assert_eq!(ask(&route, of("s")).await.unwrap(), second);
    // An attempt that failed moves it, too.
    fake.fail(&second, [said(ErrorKind::Server)]);
    let (mut call, _guard) = held();
    call.controls_mut().session = Some("s".into());
    ask(&route, call.clone()).await.unwrap_err();
    let third = ask(&route, call).await.unwrap();
    assert_ne!(third, second);
    assert_eq!(ask(&route, of("s")).await.unwrap(), third);
    // Without a session the key holds calls together.
    let by_key = |key: &str| {
        let mut call = super::call();
        call.set_caller(Caller::new(key));
        call
    };
    let mine = ask(&route, by_key("k")).await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&route, by_key("k")).await.unwrap(), mine);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_survives_a_reload() {
    let (registry, fake) = (registry(), Fake::default());
    let table = || {
        let rules = Rules::new().session_affinity(secs(600));
        route(&registry, rules, (0..20).map(|n| fake.endpoint(&n.to_string())))
    };
    let mut call = call();
    call.controls_mut().session = Some("s".into());
    let first = ask(&table(), call.clone()).await.unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&table(), call.clone()).await.unwrap(), first);
    }
}

fn tagged(call: Call, tags: &[&str]) -> Call {
    let mut call = call;
    call.controls_mut().tags = tags.iter().map(|tag| (*tag).into()).collect();
    call
}

#[tokio::test(start_paused = true)]
async fn tags_choose_exclude_and_demand() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("free").tag("free").tag("eu"),
        fake.endpoint("paid").tag("paid").tag("us"),
        fake.endpoint("paid-eu").tag("paid").tag("eu"),
        fake.endpoint("pool").tag("default"),
        fake.endpoint("plain"),
    ];
    let any = route(&registry, Rules::new().tags(TagMatch::Any), endpoints.clone());
    let all = route(&registry, Rules::new().tags(TagMatch::All), endpoints);
    for (route, tags, expected) in [
        (&any, &["free"][..], &["free"][..]),
        (&any, &["free", "us"], &["free", "paid"]),
        (&all, &["paid", "eu"], &["paid-eu"]),
        (&any, &["paid", "!us"], &["paid-eu"]),
        (&any, &["paid", "&eu"], &["paid-eu"]),
        (&any, &["&eu"], &["free", "paid-eu"]),
        (&any, &["nobody"], &["pool"]),
        (&all, &["paid", "nobody"], &["pool"]),
        (&any, &[], &["pool"]),
        (&any, &["!default", "!eu"], &["paid", "plain"]),
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..40 {
            seen.insert(ask(route, tagged(call(), tags)).await.unwrap());
        }
        assert!(seen.iter().eq(expected), "{tags:?}: {seen:?}");
    }
    // Tags of the key count like the call's.
    let mut call = call();
    call.set_caller(Caller::new("k").tag("free"));
    assert_eq!(ask(&any, call).await.unwrap(), "free");
    for tags in [&["&nobody"][..], &["nobody", "!default"]] {
        let error = ask(&any, tagged(super::call(), tags)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{tags:?}");
        assert_eq!(error.code(), Some("no_deployments_with_tag"));
        assert_eq!(
            error.message(),
            format!("no deployment of `m` has the tags {}", tags.join(", "))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_tag_rules_tags_are_only_labels() {
    let (registry, fake) = (registry(), Fake::default());
    let route = route(&registry, Rules::new(), [fake.endpoint("a").tag("x")]);
    assert_eq!(ask(&route, tagged(call(), &["y"])).await.unwrap(), "a");
}

fn long(tokens: usize) -> Call {
    Call::chat("m").user("x".repeat(tokens * 4))
}

#[tokio::test(start_paused = true)]
async fn a_prompt_goes_where_it_fits() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("small").max_input_tokens(1000),
        fake.endpoint("large").max_input_tokens(9000),
    ];
    let checked = route(&registry, Rules::new().pre_call_checks(), endpoints.clone());
    for _ in 0..20 {
        assert_eq!(ask(&checked, long(5000)).await.unwrap(), "large");
    }
    let error = ask(&checked, long(20_000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextLength);
    assert_eq!(
        error.message(),
        "the prompt has about 19204 tokens; the longest that a deployment of `m` takes is 9000"
    );
    // The larger one rests: that passes, and the prompt is not called too long for it.
    registry.cool("large", Instant::now() + secs(5), Cause::RateLimit);
    assert_eq!(ask(&checked, long(5000)).await.unwrap_err().kind(), ErrorKind::RateLimit);
    let unchecked = route(&registry, Rules::new(), endpoints);
    assert!(ask(&unchecked, long(20_000)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn region_and_abilities_are_looked_at() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints = [
        fake.endpoint("eu").region("eu-west-1").lacks(Ability::Vision),
        fake.endpoint("us").region("us-east-1").lacks(Ability::Tools),
        fake.endpoint("nowhere").lacks(Ability::Vision),
    ];
    let route = route(&registry, Rules::new().pre_call_checks(), endpoints);
    let mut here = call();
    here.controls_mut().region = Some("eu".into());
    assert_eq!(ask(&route, here.clone()).await.unwrap(), "eu");
    let picture = || {
        let source = ziggurat_core::Source::Url("https://x/y.png".into());
        let part = ziggurat_core::Part::new(ziggurat_core::Content::Image { source, detail: None });
        ziggurat_core::Message::new(ziggurat_core::Role::User, vec![part])
    };
    assert_eq!(ask(&route, call().message(picture())).await.unwrap(), "us");
    let error = ask(&route, here.message(picture())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.message(), "no deployment of `m` takes pictures");
    let mut away = call();
    away.controls_mut().region = Some("mars".into());
    let error = ask(&route, away).await.unwrap_err();
    assert_eq!(error.message(), "no deployment of `m` is in the region `mars`");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_hides_nobody_who_can() {
    for strategy in [
        Strategy::Shuffle,
        Strategy::LeastBusy,
        Strategy::Usage,
        Strategy::Cost,
        Strategy::latency(),
    ] {
        let (registry, fake) = (registry(), Fake::default());
        let mut endpoints: Vec<_> =
            (0..20).map(|at| fake.endpoint(&format!("cold-{at}")).order(1)).collect();
        endpoints.push(fake.endpoint("second").order(2));
        endpoints.push(fake.endpoint("third").order(3));
        let route = route(&registry, Rules::new().strategy(strategy), endpoints);
        for at in 0..20 {
            registry.cool(&format!("cold-{at}"), Instant::now() + secs(5), Cause::Fault);
        }
        assert_eq!(ask(&route, call()).await.unwrap(), "second", "{strategy:?}");
        // One that was tried is asked again where all others cannot.
        registry.cool("third", Instant::now() + secs(5), Cause::Fault);
        let guard = Settlement::open();
        let first = guard.scope().attempt().unwrap();
        first.scope().set_deployment("second".into());
        let second = guard.scope().attempt().unwrap();
        let mut again = call();
        again.set_scope(second.scope());
        assert_eq!(ask(&route, again).await.unwrap(), "second", "{strategy:?}");
        drop((first, second, guard));
        registry.cool("second", Instant::now() + secs(5), Cause::Fault);
        assert_eq!(ask(&route, call()).await.unwrap_err().kind(), ErrorKind::Overloaded);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_names_a_region_is_kept_there_without_any_checks() {
    let (registry, fake) = (registry(), Fake::default());
    let endpoints =
        [fake.endpoint("us").region("us-east-1"), fake.endpoint("eu").region("eu-west-1")];
    let route = route(&registry, Rules::new(), endpoints);
    for _ in 0..20 {
        let mut here = call();
        here.controls_mut().region = Some("eu".into());
        assert_eq!(ask(&route, here).await.unwrap(), "eu");
    }
    // A deployment that is asked for by its id, too.
    let mut there = call();
    there.set_model("us");
    there.controls_mut().region = Some("eu".into());
    assert_eq!(ask(&route, there).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn names_aliases_ids_and_patterns_by_specificity() {
    let (registry, fake) = (registry(), Fake::default());
    let made = fake.clone();
    let maker = move |id: &'static str| {
        let fake = made.clone();
        move |captured: Captured<'_>| Ok(vec![fake.endpoint(id).model(captured.fill("sent/*"))])
    };
    let table = Table::builder(&registry)
        .pattern("*", maker("any"))
        .pattern("openai/*", maker("openai"))
        .pattern("openai/gpt-*", maker("gpt"))
        .group("openai/gpt-4o", [fake.endpoint("exact").model("gpt-4o")])
        .alias("best", "openai/gpt-4o")
        .alias("wild", "openai/o9")
        .build();
    assert_eq!(table.names(), ["*", "openai/*", "openai/gpt-*", "openai/gpt-4o"]);
    let route = Route::new(table);
    for (model, expected, sent) in [
        ("openai/gpt-4o", "exact", "gpt-4o"),
        ("best", "exact", "gpt-4o"),
        ("exact", "exact", "gpt-4o"),
        ("openai/gpt-5", "gpt", "sent/5"),
        ("openai/o3", "openai", "sent/o3"),
        ("wild", "openai", "sent/o9"),
        ("claude", "any", "sent/claude"),
    ] {
        assert_eq!(ask(&route, Call::chat(model).user("hi")).await.unwrap(), expected, "{model}");
        assert_eq!(fake.models.lock().unwrap().last().unwrap(), sent);
    }
    for name in ["a/../b", "..", "a//b", "/a", "a b", "a?b", "a#b", "a%2e", "a\\b", "a\n", ""] {
        let error = ask(&route, Call::chat(name).user("hi")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}");
    }
    assert!(ask(&route, Call::chat("x".repeat(257)).user("hi")).await.is_err());
    for n in 0..2000 {
        ask(&route, Call::chat(format!("m{n}")).user("hi")).await.unwrap();
    }
    assert!(route.table().kept() <= 512 + 3, "names come from callers, so they are bounded");
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_a_404_that_names_it_and_what_there_is() {
    let (registry, fake) = (registry(), Fake::default());
    let mut builder = Table::builder(&registry);
    for n in 0..7 {
        builder = builder.group(format!("m{n}"), [fake.endpoint(&n.to_string())]);
    }
    let route = Route::new(builder.build());
    let error = ask(&route, Call::chat("gpt\u{7}-4o").user("hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("model_not_found")));
    let expected = "there is no model `gpt-4o…`; there is `m0`, `m1`, `m2`, `m3`, `m4` and 2 more";
    assert_eq!(error.message(), expected);
    let mut call = Call::chat("nothing").user("hi");
    call.set_caller(Caller::new("k").models(["m3"]));
    let error = ask(&route, call).await.unwrap_err();
    assert_eq!(error.message(), "there is no model `nothing`; there is `m3`");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_asked_for_by_its_id_is_taken_as_it_is() {
    let (registry, fake) = (registry(), Fake::default());
    let route =
        route(&registry, Rules::new(), [fake.endpoint("a").max_parallel(1), fake.endpoint("b")]);
    registry.cool("a", Instant::now() + secs(60), Cause::Fault);
    assert_eq!(ask(&route, Call::chat("a").user("hi")).await.unwrap(), "a");
    assert_eq!(
        condition(&registry, "a"),
        Condition::Cooling,
        "that it answers one call is no proof"
    );
    let guard = Settlement::open();
    let mut open = Call::chat("a").user("hi");
    open.set_scope(guard.scope());
    let _reply = ask_open(&route, open).await;
    let error = ask(&route, Call::chat("a").user("hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimit, "its own limits hold");
}
