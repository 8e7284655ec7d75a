use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_core::{Answer, Call, ChatReply, Error, ErrorKind, Instant, Origin, Reply};

use super::TimeoutLayer;
use crate::fake::{Act, close, comment, done, next, read, script, secs, settled, text};

fn streamed() -> Call {
    Call::chat("model").user("Hello!").streamed()
}

fn whole() -> Reply {
    Reply::answer(Answer::Chat(Box::new(ChatReply::new("1", "model"))))
}

/// Sends a streamed call to a provider that does all this.
async fn send(layer: TimeoutLayer, acts: Vec<Act>) -> (Reply, crate::fake::Dropped) {
    let (reply, dropped) = script(acts);
    let mut reply = Some(reply);
    let service =
        service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
    (layer.layer(service).oneshot(streamed()).await.unwrap(), dropped)
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = mock::spawn_layer(TimeoutLayer::new().attempt(secs(1)));
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(streamed()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(Error::invalid("no"));
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "our errors come back as they were");
}

#[tokio::test(start_paused = true)]
async fn without_limits_nothing_is_timed() {
    let (reply, _) =
        send(TimeoutLayer::new(), vec![Act::Wait(secs(1_000_000)), Act::Frame(done())]).await;
    let mut reply = reply;
    assert_eq!(read(&mut reply).await.0, ["[DONE]"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_head_of_a_stream_counts_as_waiting_for_content() {
    let dropped = crate::fake::Dropped::default();
    let never = dropped.clone();
    let mut service = TimeoutLayer::new()
        .first_content(secs(30))
        .attempt(secs(600))
        .layer(service_fn(move |_: Call| never.never()));
    let begun = Instant::now();
    let mut call = task::spawn(service.call(streamed()));
    assert_pending!(call.poll());
    advance(secs(29)).await;
    assert_pending!(call.poll());
    advance(secs(1)).await;
    assert!(call.is_woken());
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.origin(), Origin::Provider);
    assert_eq!(error.message(), "no content within 30 s");
    assert_eq!(dropped.count(), 1, "the request is cancelled with the error, not later");
    assert_eq!(begun.elapsed(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_has_the_whole_attempt() {
    let layer = TimeoutLayer::new().first_content(secs(30)).idle(secs(10)).attempt(secs(600));
    let slow = |time| {
        service_fn(move |_: Call| async move {
            tokio::time::sleep(time).await;
            Ok::<_, Error>(whole())
        })
    };
    let call = Call::chat("model").user("Hello!");
    layer.layer(slow(secs(599))).oneshot(call.clone()).await.unwrap();
    let error = layer.layer(slow(secs(601))).oneshot(call).await.unwrap_err();
    assert_eq!(error.message(), "no complete answer within 600 s");
}

#[tokio::test(start_paused = true)]
async fn comments_are_no_content() {
    let layer = TimeoutLayer::new().first_content(secs(30)).idle(secs(10));
    let comments = (0..20).flat_map(|_| [Act::Wait(secs(4)), Act::Frame(comment())]);
    let (mut reply, dropped) = send(layer, comments.collect()).await;
    let begun = Instant::now();
    let (frames, error) = read(&mut reply).await;
    assert_eq!(error.unwrap().message(), "no content within 30 s");
    assert_eq!((frames.len(), begun.elapsed()), (7, secs(30)));
    assert_eq!(dropped.count(), 1, "the stream is cancelled with the error, not later");
    assert!(next(&mut reply).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_stream_and_comments_break_it() {
    let layer = TimeoutLayer::new().first_content(secs(5)).idle(secs(10));
    let acts = vec![
        Act::Frame(text("a")),
        Act::Wait(secs(9)),
        Act::Frame(comment()),
        Act::Wait(secs(9)),
        Act::Frame(text("b")),
        Act::Wait(secs(11)),
        Act::Frame(text("c")),
    ];
    let (mut reply, dropped) = send(layer, acts).await;
    let begun = Instant::now();
    let (frames, error) = read(&mut reply).await;
    assert_eq!(frames, ["a", ": wait\n\n", "b"]);
    let error = error.unwrap();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "silence for 10 s"));
    assert_eq!((begun.elapsed(), dropped.count()), (secs(28), 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_the_providers_silence() {
    let layer = TimeoutLayer::new().idle(secs(10));
    let acts = vec![Act::Frame(text("a")), Act::Wait(secs(1)), Act::Frame(text("b"))];
    let (mut reply, _) = send(layer, acts).await;
    next(&mut reply).await.unwrap().unwrap();
    advance(secs(3600)).await;
    // The provider's frame is not there at once, yet nobody has waited for it so far.
    assert_eq!(next(&mut reply).await.unwrap().unwrap().bytes(), "b");
}

#[tokio::test(start_paused = true)]
async fn the_attempt_ends_in_the_middle_of_a_stream() {
    let layer = TimeoutLayer::new().first_content(secs(5)).idle(secs(10)).attempt(secs(60));
    let steady = (0..100).flat_map(|_| [Act::Frame(text("a")), Act::Wait(secs(7))]);
    let (mut reply, dropped) = send(layer, steady.collect()).await;
    let begun = Instant::now();
    let (frames, error) = read(&mut reply).await;
    assert_eq!(error.unwrap().message(), "no complete answer within 60 s");
    assert_eq!((frames.len(), begun.elapsed(), dropped.count()), (9, secs(60), 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_pauses_ends_with_its_attempt_too() {
    let layer = TimeoutLayer::new().attempt(secs(60));
    let (mut reply, _) = send(layer, (0..100).map(|_| Act::Frame(text("a"))).collect()).await;
    for _ in 0..60 {
        next(&mut reply).await.unwrap().unwrap();
        advance(secs(1)).await;
    }
    let error = next(&mut reply).await.unwrap().unwrap_err();
    assert_eq!(error.message(), "no complete answer within 60 s");
    // Unless that was its last frame.
    let (mut reply, _) = send(layer, vec![Act::Frame(text("a")), Act::Frame(done())]).await;
    next(&mut reply).await.unwrap().unwrap();
    advance(secs(61)).await;
    assert_eq!(next(&mut reply).await.unwrap().unwrap().bytes(), "[DONE]");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_asked_for_has_to_say_something_too() {
    let (reply, _) = script([Act::Hang]);
    let mut reply = Some(reply);
    let service = service_fn(move |_: Call| {
        let reply = reply.take().unwrap();
        async move {
            tokio::time::sleep(secs(20)).await;
            Ok::<_, Error>(reply)
        }
    });
    let begun = Instant::now();
    let call = Call::chat("model").user("Hello!");
    let layer = TimeoutLayer::new().first_content(secs(30));
    let mut reply = layer.layer(service).oneshot(call).await.unwrap();
    assert_eq!(read(&mut reply).await.1.unwrap().message(), "no content within 30 s");
    assert_eq!(begun.elapsed(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn frames_that_carry_events_are_known_to() {
    for decodes in [true, false] {
        let mut reply = Some(Reply::frames(crate::fake::Decoded(decodes)));
        let service =
            service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
        let layer = TimeoutLayer::new().idle(secs(1));
        let mut reply = layer.layer(service).oneshot(streamed()).await.unwrap();
        assert_eq!(reply.frames_mut().unwrap().decodes(), decodes);
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_terminator_no_clock_runs() {
    let layer = TimeoutLayer::new().first_content(secs(5)).idle(secs(5)).attempt(secs(5));
    let (mut reply, _) = send(layer, vec![Act::Frame(done()), Act::Wait(secs(100))]).await;
    let (frames, error) = read(&mut reply).await;
    assert_eq!(frames, ["[DONE]"]);
    assert!(error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_time_that_runs_out_settles_the_call_once_as_a_failure() {
    let (call, guard, log) = settled();
    let (reply, _) = script([Act::Frame(text("a")), Act::Frame(text("b")), Act::Hang]);
    let mut reply = Some(reply);
    let service =
        service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
    let result = TimeoutLayer::new().idle(secs(10)).layer(service).oneshot(call).await;
    let mut reply = close(result, guard).unwrap();
    read(&mut reply).await.1.unwrap();
    let outcome = log.outcome();
    assert!(matches!(outcome.end, ziggurat_core::End::Failure(_)));
    assert_eq!(outcome.usage.unwrap().total_output(), 2, "what was seen is booked");
    drop(reply);
    log.outcome();
}

#[tokio::test(start_paused = true)]
async fn dropping_cancels_at_every_point() {
    let layer = TimeoutLayer::new().first_content(secs(5)).idle(secs(5)).attempt(secs(5));
    let dropped = crate::fake::Dropped::default();
    let never = dropped.clone();
    let mut service = layer.layer(service_fn(move |_: Call| never.never()));
    // Never polled.
    drop(service.call(streamed()));
    assert_eq!(dropped.count(), 1);
    // Waiting for the head.
    let mut call = task::spawn(service.call(streamed()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(dropped.count(), 2);
    // Waiting for a frame.
    let (mut reply, dropped) = send(layer, vec![Act::Frame(text("a")), Act::Hang]).await;
    next(&mut reply).await.unwrap().unwrap();
    let mut frame = task::spawn(next(&mut reply));
    assert_pending!(frame.poll());
    drop(frame);
    assert_eq!(dropped.count(), 0, "giving up on one frame does not give up the stream");
    drop(reply);
    assert_eq!(dropped.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn clones_have_clocks_of_their_own() {
    let mut first = TimeoutLayer::new()
        .attempt(secs(10))
        .layer(service_fn(|_: Call| std::future::pending::<Result<Reply, Error>>()));
    let mut second = first.clone();
    let mut early = task::spawn(first.call(streamed()));
    assert_pending!(early.poll());
    advance(secs(6)).await;
    let mut late = task::spawn(second.call(streamed()));
    assert_pending!(late.poll());
    advance(secs(4)).await;
    assert_ready_err!(early.poll());
    assert_pending!(late.poll());
    advance(secs(6)).await;
    assert_ready_err!(late.poll());
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_passes_and_cancels() {
    let layer = TimeoutLayer::new().idle(secs(5));
    let (mut reply, dropped) = send(layer, vec![Act::Panic]).await;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(catch_unwind(AssertUnwindSafe(|| reply.poll_frame(&mut cx).is_ready())).is_err());
    drop(reply);
    assert_eq!(dropped.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_there_is_never_late() {
    let layer = TimeoutLayer::new().first_content(secs(5)).idle(secs(5));
    let (mut reply, _) = send(layer, vec![Act::Wait(secs(4)), Act::Frame(text("a"))]).await;
    let mut frame = task::spawn(next(&mut reply));
    assert_pending!(frame.poll());
    // Both the frame and the time are due when the task gets its turn.
    advance(secs(60)).await;
    assert!(matches!(assert_ready!(frame.poll()), Some(Ok(_))));
    drop(frame);
    assert!(matches!(task::spawn(next(&mut reply)).poll(), Poll::Ready(None)));
}
