use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_core::{
    Answer, Call, ChatReply, End, Error, ErrorKind, Facts, Instant, Origin, Reply, ReplyBody, Usage,
};

use super::PeekLayer;
use crate::fake::{
    Act, Dropped, busy, close, comment, done, failed, frame, next, read, script, secs, settled,
    start, stop, text,
};

fn streamed() -> Call {
    Call::chat("model").user("Hello!").streamed()
}

/// A service that answers once, with a stream that does all this.
fn provider(
    acts: Vec<Act>,
) -> (impl Service<Call, Response = Reply, Error = Error, Future: Unpin>, Dropped) {
    let (reply, dropped) = script(acts);
    let mut reply = Some(reply);
    (service_fn(move |_: Call| std::future::ready(Ok(reply.take().unwrap()))), dropped)
}

async fn send(layer: PeekLayer, acts: Vec<Act>) -> Result<Reply, Error> {
    layer.layer(provider(acts).0).oneshot(streamed()).await
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = mock::spawn_layer(PeekLayer::new());
    let _: &mut mock::Handle<Call, Reply> = &mut handle;
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(streamed()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error(busy());
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.kind(), ErrorKind::Overloaded, "our errors come back as they were");
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_content() {
    let (service, _) = provider(vec![
        Act::Frame(start(7)),
        Act::Frame(comment()),
        Act::Wait(secs(5)),
        Act::Frame(frame("empty delta", Facts::NONE)),
        Act::Wait(secs(5)),
        Act::Frame(text("a")),
        Act::Hang,
    ]);
    let begun = Instant::now();
    let reply = PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap();
    assert_eq!(begun.elapsed(), secs(10));
    assert!(reply.is_streamed());
}

#[tokio::test(start_paused = true)]
async fn held_frames_are_replayed_as_they_were_and_in_order() {
    // More than are held without a second allocation.
    let names = ["1", "2", "3", "4", "5", "6"];
    let mut acts: Vec<Act> = names.map(|name| Act::Frame(frame(name, Facts::NONE))).into();
    acts.extend([Act::Frame(text("a")), Act::Wait(secs(1)), Act::Frame(text("b"))]);
    acts.push(Act::Frame(done()));
    let mut reply = send(PeekLayer::new(), acts).await.unwrap();
    let (frames, error) = read(&mut reply).await;
    assert_eq!(frames, ["1", "2", "3", "4", "5", "6", "a", "b", "[DONE]"]);
    assert!(error.is_none());
    // Static slices: the very bytes, not copies of them.
    assert_eq!(frames[0].as_ptr(), names[0].as_ptr());
}

#[tokio::test(start_paused = true)]
async fn an_error_event_in_a_200_is_an_error() {
    for acts in [
        vec![Act::Frame(failed())],
        vec![Act::Frame(start(7)), Act::Frame(comment()), Act::Frame(failed())],
        vec![Act::Frame(start(7)), Act::Fail(busy())],
    ] {
        let (service, dropped) = provider(acts);
        let error = PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!(dropped.count(), 1, "the stream is dropped with it");
    }
    // An error that the frame does not hold, only mark.
    let acts = vec![Act::Frame(frame("error", Facts::ERROR))];
    assert_eq!(send(PeekLayer::new(), acts).await.unwrap_err().kind(), ErrorKind::BadUpstream);
}

#[tokio::test(start_paused = true)]
async fn an_error_right_behind_content_is_still_an_error() {
    // One read brought both: nothing of it has gone out.
    let mut both = text("a");
    both.set_error(busy());
    let error = send(PeekLayer::new(), vec![Act::Frame(both)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn an_empty_200_is_an_error() {
    for acts in [
        vec![],
        vec![Act::Frame(start(7)), Act::Frame(comment())],
        vec![Act::Frame(start(7)), Act::Frame(done())],
    ] {
        let error = send(PeekLayer::new(), acts).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
        assert_eq!(error.origin(), Origin::Provider);
        assert_eq!(error.message(), "the provider answered with nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_stop_without_content() {
    let stops = vec![Act::Frame(start(7)), Act::Frame(stop()), Act::Frame(done())];
    let mut reply = send(PeekLayer::new(), stops).await.unwrap();
    assert_eq!(read(&mut reply).await.0, ["start", "stop", "[DONE]"]);
    send(PeekLayer::new(), vec![Act::Frame(stop()), Act::Hang]).await.unwrap();
    let both = frame("stop and done", Facts::STOP | Facts::TERMINATOR);
    send(PeekLayer::new(), vec![Act::Frame(both)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_in_frames_passes_through() {
    let service = service_fn(|_: Call| async {
        Ok::<_, Error>(Reply::answer(Answer::Chat(Box::new(ChatReply::new("1", "model")))))
    });
    let reply = PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap();
    assert!(matches!(reply.body(), ReplyBody::Answer(_)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_200_in_one_piece_is_an_error_too() {
    for (body, ok) in [("", false), (" \r\n", false), ("{}", true)] {
        let (call, guard, log) = settled();
        let service = service_fn(move |_: Call| async move {
            let mut head = ziggurat_core::ReplyHead::default();
            head.deployment = Some("a".into());
            Ok::<_, Error>(Reply::new(head, ReplyBody::Whole(body.into())))
        });
        let result = close(PeekLayer::new().layer(service).oneshot(call).await, guard);
        assert_eq!(result.is_ok(), ok, "{body:?}");
        if let Err(error) = result {
            assert_eq!((error.kind(), error.deployment()), (ErrorKind::BadUpstream, Some("a")));
            assert!(matches!(log.outcome().end, End::Failure(_)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_says_whose_answer_it_was() {
    let failing = |error: Option<Error>| async move {
        let (mut reply, _) = script(error.map(Act::Fail));
        reply.head_mut().deployment = Some("a".into());
        let mut reply = Some(reply);
        let service =
            service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
        PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap_err()
    };
    assert_eq!(failing(None).await.deployment(), Some("a"));
    assert_eq!(failing(Some(busy())).await.deployment(), Some("a"));
    assert_eq!(failing(Some(busy().with_deployment("b"))).await.deployment(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn the_head_may_wait_for_some_tokens() {
    let layer = PeekLayer::new().until_tokens(3);
    let begin = |last: Vec<Act>| {
        let mut two = text("b c");
        two.set_contents(2);
        let mut acts = vec![Act::Frame(text("a")), Act::Wait(secs(1)), Act::Frame(two)];
        acts.splice(1..1, last);
        acts
    };
    let begun = Instant::now();
    send(layer, begin(vec![])).await.unwrap();
    assert_eq!(begun.elapsed(), secs(1));
    // It fails after its first word.
    let error = send(layer, begin(vec![Act::Frame(failed())])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    // It is over before: what there is is the answer.
    send(layer, begin(vec![Act::Frame(done()), Act::Hang])).await.unwrap();
    send(layer, vec![Act::Frame(text("a"))]).await.unwrap();
    // A tool call begins: content that is no token.
    let call = frame("tool call", Facts::CONTENT);
    send(PeekLayer::new().until_tokens(1), vec![Act::Frame(call), Act::Hang]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_head_may_wait_for_some_time_after_the_first_content() {
    let layer = PeekLayer::new().until_elapsed(secs(2));
    let acts = || vec![Act::Wait(secs(9)), Act::Frame(text("a")), Act::Wait(secs(1))];
    let begun = Instant::now();
    let mut late = acts();
    late.extend([Act::Frame(text("b")), Act::Hang]);
    let mut reply = send(layer, late).await.unwrap();
    assert_eq!(begun.elapsed(), secs(11));
    assert_eq!(next(&mut reply).await.unwrap().unwrap().bytes(), "a");
    assert_eq!(next(&mut reply).await.unwrap().unwrap().bytes(), "b");
    let mut fails = acts();
    fails.push(Act::Fail(busy()));
    send(layer, fails).await.unwrap_err();
    // A time that is over at once is over even if more is there already.
    let ready = vec![Act::Frame(text("a")), Act::Fail(busy())];
    send(PeekLayer::new().until_elapsed(secs(0)), ready).await.unwrap();
    // Both: whatever comes first.
    let begun = Instant::now();
    let mut many = acts();
    many.extend([Act::Frame(text("b")), Act::Hang]);
    send(layer.until_tokens(2), many).await.unwrap();
    assert_eq!(begun.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded() {
    let comments = || (0..10_000).map(|_| Act::Frame(comment())).collect::<Vec<_>>();
    let (service, _) = provider(comments());
    let layer = PeekLayer::new().max_held(1000);
    let mut reply = layer.layer(service).oneshot(streamed()).await.unwrap();
    assert_eq!(read(&mut reply).await.0.len(), 10_000, "and nothing of it is lost");
    send(PeekLayer::new(), comments()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_booked_when_the_caller_reads_it() {
    let (call, guard, log) = settled();
    let (service, _) = provider(vec![Act::Frame(start(7)), {
        let mut all = text("a");
        all.mark(Facts::STOP | Facts::TERMINATOR);
        Act::Frame(all)
    }]);
    let result = PeekLayer::new().layer(service).oneshot(call).await;
    let mut reply = close(result, guard).unwrap();
    assert!(log.is_open(), "the terminator was peeked at, not read");
    next(&mut reply).await.unwrap().unwrap();
    assert!(log.is_open());
    next(&mut reply).await.unwrap().unwrap();
    let outcome = log.outcome();
    assert!(outcome.is_success());
    assert_eq!(outcome.usage, Some(Usage::new(7, 1)));
    assert!(outcome.first_content.is_some());
    drop(reply);
    log.outcome();
}

#[tokio::test(start_paused = true)]
async fn a_committed_reply_that_nobody_reads_was_cancelled() {
    let (call, guard, log) = settled();
    let (service, dropped) = provider(vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Hang]);
    let reply = close(PeekLayer::new().layer(service).oneshot(call).await, guard).unwrap();
    drop(reply);
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(outcome.usage, Some(Usage::new(7, 1)), "the provider bills it all the same");
    assert_eq!(dropped.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_is_booked_with_what_it_told() {
    let (call, guard, log) = settled();
    let acts = vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Frame(text("b"))];
    let (service, _) = provider(acts.into_iter().chain([Act::Frame(failed())]).collect());
    let result = PeekLayer::new().until_tokens(5).layer(service).oneshot(call).await;
    close(result, guard).unwrap_err();
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Failure(_)));
    let usage = outcome.usage.unwrap();
    assert_eq!((usage.total_input(), usage.total_output()), (7, 2));
    assert!(outcome.first_content.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_keeps_the_call_open_itself_is_settled_as_failed() {
    // A layer further in has opened the settlement, and put its guard into the reply.
    let (_, guard, log) = settled();
    let (mut reply, _) = script([Act::Frame(start(7)), Act::Frame(failed())]);
    reply.hold(guard);
    let mut reply = Some(reply);
    let service =
        service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
    PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap_err();
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Failure(_)));
    assert_eq!(outcome.usage, Some(Usage::new(7, 1)));
}

#[tokio::test(start_paused = true)]
async fn dropping_cancels_at_every_point() {
    let never = Dropped::default();
    let futures = never.clone();
    let mut service = PeekLayer::new().layer(service_fn(move |_: Call| futures.never()));
    // Never polled.
    drop(service.call(streamed()));
    assert_eq!(never.count(), 1);
    // Waiting for the head.
    let mut call = task::spawn(service.call(streamed()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(never.count(), 2);
    // Waiting for content, with the start of the answer held: what it told is booked.
    let (call, guard, log) = settled();
    let (service, dropped) = provider(vec![Act::Frame(start(7)), Act::Hang]);
    let mut service = PeekLayer::new().layer(service);
    let mut future = task::spawn(service.call(call));
    assert_pending!(future.poll());
    drop(future);
    assert_eq!(dropped.count(), 1);
    drop(guard);
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(outcome.usage, Some(Usage::new(7, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_passes_and_is_booked() {
    let (call, guard, log) = settled();
    let (service, dropped) = provider(vec![Act::Frame(start(7)), Act::Panic]);
    let mut service = PeekLayer::new().layer(service);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let future = pin!(service.call(call));
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }));
    assert!(panicked.is_err());
    assert_eq!(dropped.count(), 1);
    drop(guard);
    assert_eq!(log.outcome().usage, Some(Usage::new(7, 1)));
}

#[tokio::test(start_paused = true)]
async fn clones_hold_nothing_in_common() {
    let service = service_fn(|_: Call| {
        let (reply, _) = script([Act::Frame(start(7)), Act::Wait(secs(1)), Act::Frame(text("a"))]);
        std::future::ready(Ok::<_, Error>(reply))
    });
    let mut first = PeekLayer::new().layer(service);
    let mut second = first.clone();
    let mut one = task::spawn(first.call(streamed()));
    let mut two = task::spawn(second.call(streamed()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    advance(secs(1)).await;
    drop(one);
    let mut reply = assert_ready_ok!(two.poll());
    assert_eq!(read(&mut reply).await.0, ["start", "a"]);
}

#[tokio::test(start_paused = true)]
async fn frames_that_carry_events_are_known_to() {
    for decodes in [true, false] {
        let frames = crate::fake::Decoded(decodes);
        let mut reply = Some(Reply::frames(frames));
        let service =
            service_fn(move |_: Call| std::future::ready(Ok::<_, Error>(reply.take().unwrap())));
        let mut reply = PeekLayer::new().layer(service).oneshot(streamed()).await.unwrap();
        assert_eq!(reply.frames_mut().unwrap().decodes(), decodes);
    }
}
