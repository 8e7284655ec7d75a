//! The commit point, seen from above: retries over peek over timeouts over a provider that fails in every way.

use std::sync::Arc;
use std::time::Duration;

use tower::{Layer, ServiceExt};
use ziggurat_core::{CallService, End, Error, ErrorKind, Facts, Frame, ProviderError, Reply};

use super::PeekLayer;
use crate::fake::{Act, Log, close, comment, done, frame, read, secs, settled, start, stop, text};
use crate::scripted::{Chance, Scripted, Turn};
use crate::{RetryLayer, TimeoutLayer};

fn overload() -> Error {
    Error::provider(ErrorKind::Overloaded, "overloaded", ProviderError::default())
}

fn error_event() -> Frame {
    let mut frame = frame("error", Facts::NONE);
    frame.set_error(overload());
    frame
}

fn ping() -> Frame {
    frame("ping", Facts::NONE)
}

fn stack(provider: &Scripted, peek: PeekLayer) -> impl CallService {
    let retry = RetryLayer::new().ambient(Arc::new(Chance(0)));
    let timeout = TimeoutLayer::new().first_content(secs(10)).idle(secs(20));
    retry.layer(peek.layer(timeout.layer(provider.clone())))
}

/// What came of a streamed call: its reply, the provider, and the books of the call.
async fn ask(peek: PeekLayer, turns: Vec<Turn>) -> (Result<Reply, Error>, Scripted, Arc<Log>) {
    let provider = Scripted::new(turns);
    let (call, guard, log) = settled();
    let result = stack(&provider, peek).oneshot(call).await;
    (close(result, guard), provider, log)
}

/// Every way not to answer: each is tried again, the caller sees the second stream alone, and each attempt is settled once.
#[tokio::test(start_paused = true)]
async fn what_fails_before_content_is_tried_again_and_nobody_sees_it() {
    let ways: [fn() -> Vec<Act>; 9] = [
        // An overload inside a 200, at once or after the answer has begun.
        || vec![Act::Frame(error_event())],
        || vec![Act::Frame(start(7)), Act::Frame(ping()), Act::Frame(error_event())],
        // The connection breaks.
        || vec![Act::Frame(start(7)), Act::Fail(overload())],
        // A 200 that ends without a word, with and without its terminator.
        Vec::new,
        || vec![Act::Frame(comment()), Act::Frame(ping())],
        || vec![Act::Frame(start(7)), Act::Frame(done())],
        // Silence, and what is no better: comments, pings and empty deltas put the first content off, not its deadline.
        || vec![Act::Hang],
        || vec![Act::Frame(start(7)), Act::Hang],
        || {
            let noise = [comment, ping, || frame("empty delta", Facts::NONE)];
            let noise = noise.into_iter().cycle().take(40);
            noise.flat_map(|frame| [Act::Frame(frame()), Act::Wait(secs(1))]).collect()
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let (result, provider, log) =
            ask(PeekLayer::new(), vec![Turn::Stream(way()), Turn::Answer]).await;
        let mut reply = result.unwrap_or_else(|error| panic!("way {number}: {error:?}"));
        assert_eq!(reply.head().attempts, 2, "way {number}");
        let attempts: Vec<_> = provider.seen().iter().filter_map(|seen| seen.attempt).collect();
        assert_eq!(attempts, [0, 1], "way {number}");
        assert!(
            provider.times()[1] <= 10_000,
            "way {number}: no later than the first content is due"
        );
        let (frames, error) = read(&mut reply).await;
        assert!(error.is_none());
        assert_eq!(frames, ["start", "word", "[DONE]"], "way {number}");
        let outcome = log.outcome();
        assert!(outcome.is_success());
        assert!(matches!(outcome.attempts[0].end, End::Failure(_)));
        assert!(matches!(outcome.attempts[1].end, End::Success));
        assert_eq!(provider.ended().len(), 2, "way {number}: each attempt is settled once");
    }
}

#[tokio::test(start_paused = true)]
async fn when_every_attempt_fails_there_is_one_error_and_one_settlement() {
    let turns = (0..3).map(|_| Turn::Stream(vec![Act::Frame(start(7)), Act::Hang])).collect();
    let (result, provider, log) = ask(PeekLayer::new(), turns).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, Some(3)));
    assert_eq!(error.others().len(), 2);
    assert_eq!(provider.times(), [0, 10_000, 20_000]);
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Failure(_)));
    assert_eq!(outcome.usage.unwrap().total_input(), 21, "what was begun is booked");
}

#[tokio::test(start_paused = true)]
async fn after_content_a_stream_that_breaks_is_an_error_and_never_tried_again() {
    let broken: [fn() -> Act; 3] =
        [|| Act::Frame(error_event()), || Act::Fail(overload()), || Act::Hang];
    for last in broken {
        let acts = vec![Act::Frame(start(7)), Act::Frame(text("a")), Act::Frame(text("b")), last()];
        let (result, provider, log) = ask(PeekLayer::new(), vec![Turn::Stream(acts)]).await;
        let mut reply = result.unwrap();
        let (frames, error) = read(&mut reply).await;
        assert_eq!(frames[..3], ["start", "a", "b"], "no word twice");
        // The provider's own error event goes out as it came; everything else ends as an error.
        assert!(error.is_some() || frames[3] == "error", "never a clean end");
        drop(reply);
        assert_eq!(provider.seen().len(), 1);
        let outcome = log.outcome();
        assert!(matches!(outcome.end, End::Failure(_)));
        assert!(matches!(outcome.attempts[0].end, End::Failure(_)));
        assert_eq!(provider.ended().len(), 1);
        assert!(outcome.usage.unwrap().total_output() >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_tokens_or_time_moves_the_commit_point() {
    let words = |last: Act| {
        let mut acts = vec![Act::Frame(start(7))];
        for word in ["a", "b", "c"] {
            acts.extend([Act::Frame(text(word)), Act::Wait(Duration::from_millis(300))]);
        }
        acts.push(last);
        vec![Turn::Stream(acts), Turn::Answer]
    };
    // Three words, or what comes in a second, are not yet out when it fails.
    for peek in [PeekLayer::new().until_tokens(4), PeekLayer::new().until_elapsed(secs(1))] {
        let (result, _, log) = ask(peek, words(Act::Fail(overload()))).await;
        let mut reply = result.unwrap();
        assert_eq!(reply.head().attempts, 2);
        assert_eq!(read(&mut reply).await.0, ["start", "word", "[DONE]"], "no word of the first");
        let outcome = log.outcome();
        assert_eq!(outcome.attempts[0].usage.unwrap().total_output(), 3, "but they are booked");
    }
    // They are, and no retry can take them back.
    for peek in [
        PeekLayer::new().until_tokens(3),
        PeekLayer::new().until_elapsed(Duration::from_millis(500)),
        PeekLayer::new().until_tokens(3).until_elapsed(secs(60)),
        PeekLayer::new().until_tokens(99).until_elapsed(Duration::from_millis(500)),
    ] {
        let (result, provider, _) = ask(peek, words(Act::Fail(overload()))).await;
        let mut reply = result.unwrap();
        assert_eq!(reply.head().attempts, 1);
        let (frames, error) = read(&mut reply).await;
        assert_eq!(frames, ["start", "a", "b", "c"]);
        assert!(error.is_some());
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_content_is_an_answer() {
    let refusal = vec![Act::Frame(start(7)), Act::Frame(stop()), Act::Frame(done())];
    let (result, provider, log) = ask(PeekLayer::new(), vec![Turn::Stream(refusal)]).await;
    assert_eq!(read(&mut result.unwrap()).await.0, ["start", "stop", "[DONE]"]);
    assert_eq!(provider.seen().len(), 1);
    assert!(log.outcome().is_success());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_while_nothing_has_come_cancels_the_attempt_alone() {
    let provider = Scripted::new([Turn::Stream(vec![Act::Frame(start(7)), Act::Hang])]);
    let (call, guard, log) = settled();
    let future = stack(&provider, PeekLayer::new()).oneshot(call);
    tokio::time::timeout(secs(5), future).await.unwrap_err();
    assert!(matches!(provider.ended()[0].end, End::Cancelled));
    drop(guard);
    let outcome = log.outcome();
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(outcome.attempts.len(), 1);
    assert_eq!(provider.seen().len(), 1);
}
