//! What tower asks of a service, and settlement of an attempt.

use super::*;
use crate::fake::Dropped;

type Mocked = mock::Mock<Call, Reply>;

/// A route over one mocked deployment.
fn mocked(registry: &Registry) -> (Route<Erring>, mock::Handle<Call, Reply>) {
    let (service, handle) = mock::pair();
    let endpoint = Endpoint::new("a", Erring(service)).max_parallel(2);
    (route(registry, Rules::new(), [endpoint]), handle)
}

/// Mocks fail with boxed errors.
#[derive(Debug)]
struct Erring(Mocked);

impl Clone for Erring {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Service<Call> for Erring {
    type Response = Reply;
    type Error = ziggurat_core::BoxError;
    type Future = <Mocked as Service<Call>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.0.call(call)
    }
}

fn whole() -> Reply {
    Reply::answer(Answer::Chat(Box::new(ChatReply::new("1", "m"))))
}

#[tokio::test(start_paused = true)]
async fn it_is_always_ready_and_waits_for_its_deployment_in_the_future() {
    let registry = registry();
    let (mut route, mut handle) = mocked(&registry);
    handle.allow(0);
    let ready = std::future::poll_fn(|cx| route.poll_ready(cx));
    assert_ready_ok!(task::spawn(ready).poll());
    let mut call = task::spawn(route.call(call()));
    assert_pending!(call.poll());
    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(whole());
    let reply = assert_ready_ok!(call.poll());
    assert_eq!(reply.head().deployment.as_deref(), Some("a"));
    assert_eq!(registry.state("a").unwrap().in_flight, 1, "until the answer was read");
    drop(reply);
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_gives_the_place_back_at_every_point() {
    let registry = registry();
    let (mut route, mut handle) = mocked(&registry);
    // Never polled.
    let future = route.call(call());
    assert_eq!(in_flight(&registry), 1);
    drop(future);
    assert_eq!(in_flight(&registry), 0);
    // Waiting for the deployment to be ready.
    handle.allow(0);
    let mut waiting = task::spawn(route.call(call()));
    assert_pending!(waiting.poll());
    drop(waiting);
    assert_eq!(in_flight(&registry), 0);
    // Waiting for the answer.
    handle.allow(2);
    let mut asked = task::spawn(route.call(call()));
    assert_pending!(asked.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    drop(asked);
    assert_eq!(in_flight(&registry), 0);
    drop(respond);
    // In the middle of a stream.
    let mut asked = task::spawn(route.call(call().streamed()));
    assert_pending!(asked.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    let (reply, dropped) = script([Act::Frame(text("a")), Act::Hang]);
    respond.send_response(reply);
    let mut reply = assert_ready_ok!(asked.poll());
    crate::fake::next(&mut reply).await.unwrap().unwrap();
    assert_eq!(in_flight(&registry), 1);
    drop(reply);
    assert_eq!((in_flight(&registry), dropped.count()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn clones_share_limits_and_nothing_else() {
    let registry = registry();
    let (mut first, mut handle) = mocked(&registry);
    let mut second = first.clone();
    handle.allow(2);
    let mut one = task::spawn(first.call(call()));
    let mut two = task::spawn(second.call(call()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let mut three = task::spawn(first.call(call()));
    assert_eq!(assert_ready_err!(three.poll()).kind(), ErrorKind::RateLimit);
    drop(first);
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(whole());
    drop(assert_ready_ok!(one.poll()));
    assert_pending!(two.poll());
    assert_eq!(in_flight(&registry), 1);
}

#[derive(Clone)]
struct Panics(bool);

impl Service<Call> for Panics {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        assert!(!self.0, "not ready, and loudly so");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        panic!("a deployment panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_leaks_no_place_and_no_probe() {
    for early in [true, false] {
        let registry = registry();
        let route = route(&registry, Rules::new(), [Endpoint::new("a", Panics(early)).rpm(100)]);
        registry.cool("a", Instant::now() + secs(1), Cause::Fault);
        advance(secs(2)).await;
        for _ in 0..3 {
            let mut call = task::spawn(route.clone().call(call()));
            let panic = catch_unwind(AssertUnwindSafe(|| drop(call.poll())));
            assert!(panic.is_err());
            drop(call);
            assert_eq!(in_flight(&registry), 0);
            assert_eq!(condition(&registry, "a"), Condition::HalfOpen);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_stream_leaks_nothing() {
    let registry = registry();
    let (mut route, mut handle) = mocked(&registry);
    handle.allow(1);
    let mut asked = task::spawn(route.call(call().streamed()));
    assert_pending!(asked.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(script([Act::Panic]).0);
    let mut reply = assert_ready_ok!(asked.poll());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(catch_unwind(AssertUnwindSafe(|| reply.poll_frame(&mut cx).is_ready())).is_err());
    drop(reply);
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_books_gets_some_and_each_attempt_its_own() {
    let registry = registry();
    let (route, mut handle) = mocked(&registry);
    handle.allow(10);
    // Somebody else's settlement, and nobody who counts attempts: each has an end of its own.
    let (call, guard, log) = settled();
    let mut call = call;
    call.set_model("m");
    let mut first = task::spawn(route.clone().call(call.clone()));
    assert_pending!(first.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(said(ErrorKind::Overloaded));
    let error = assert_ready_err!(first.poll());
    assert_eq!((error.kind(), error.deployment()), (ErrorKind::Overloaded, Some("a")));
    drop(first);
    assert_eq!(in_flight(&registry), 0, "the attempt is over, the call is not");
    assert!(log.is_open());
    let mut second = task::spawn(route.clone().call(call));
    assert_pending!(second.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(script([Act::Frame(text("a")), Act::Frame(done())]).0);
    let reply = assert_ready!(second.poll());
    let mut reply = close(reply, guard).unwrap();
    assert_eq!(read(&mut reply).await.0, ["a", "[DONE]"]);
    let outcome = log.outcome();
    assert!(outcome.is_success());
    assert_eq!((outcome.attempts.len(), outcome.deployment.as_deref()), (2, Some("a")));
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_somebody_opened_is_used() {
    let registry = registry();
    let (route, mut handle) = mocked(&registry);
    handle.allow(1);
    let (mut call, guard, _log) = settled();
    call.set_model("m");
    let attempt = guard.scope().attempt().unwrap();
    call.set_scope(attempt.scope());
    let mut asked = task::spawn(route.clone().call(call));
    assert_pending!(asked.poll());
    drop(handle.next_request().await.unwrap());
    drop(asked);
    assert_eq!(guard.scope().attempts(), 1);
    assert_eq!(in_flight(&registry), 1, "its end is its owner's");
    drop(attempt);
    assert_eq!(in_flight(&registry), 0);
    guard.close(End::Success);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_takes_no_place() {
    let registry = registry();
    let (mut route, _handle) = mocked(&registry);
    let (call, guard) = held();
    guard.close(End::Cancelled);
    let error = assert_ready_err!(task::spawn(route.call(call)).poll());
    assert!(error.is_cancelled());
    assert_eq!(in_flight(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_deployment_costs_is_known_to_the_books() {
    let (registry, fake) = (registry(), Fake::default());
    let price = Price::per_million(NanoDollars(1_000_000), NanoDollars(2_000_000));
    let route = route(&registry, Rules::new(), [fake.endpoint("a").price(price)]);
    let (mut call, guard, log) = settled();
    call.set_model("m");
    let reply = route.oneshot(call).await;
    let mut reply = close(reply, guard).unwrap();
    assert!(matches!(reply.take_body(), ReplyBody::Answer(_)));
    assert_eq!(log.outcome().cost.unwrap().total(), NanoDollars(20));
}

#[test]
fn futures_and_services_go_anywhere() {
    fn check<T: Send + Sync + 'static>() {}
    fn send<T: Send + 'static>() {}
    fn service<T: ziggurat_core::CallService>() {}
    check::<Route<Deployment>>();
    check::<Registry>();
    send::<ResponseFuture<Deployment>>();
    service::<Route<Deployment>>();
    let _ = Dropped::default();
}
