use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tower_service::Service;

use ziggurat_core::{
    Answer, Body, Call, ChatReply, End, Error, ErrorKind, Facts, Frame, Frames, Outcome, Reply,
    Settle, Ticket, Usage,
};
use ziggurat_dialects::OPENAI;

use super::{Disconnect, Drains};
use crate::{AdmissionLayer, FrontDoor, FrontDoorLayer};

const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const WHOLE: &str = r#"{"model":"m","messages":[]}"#;

type Answering = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;
type Piece = Option<Result<Frame, Error>>;

/// Answers as each test says, and writes down how its calls end.
#[derive(Clone, Default)]
struct Layers {
    answers: Arc<Mutex<Vec<Answering>>>,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    outcomes: Mutex<Vec<Outcome>>,
    left: AtomicUsize,
}

impl Settle for Log {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.outcomes.lock().unwrap().push(outcome.clone());
    }
}

impl Service<Call> for Layers {
    type Response = Reply;
    type Error = Error;
    type Future = Asked;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Asked {
        call.register(self.log.clone(), Ticket::default()).unwrap();
        Asked(self.answers.lock().unwrap().remove(0), self.log.clone())
    }
}

/// Counts when it is dropped.
struct Asked(Answering, Arc<Log>);

impl Future for Asked {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.1.left.fetch_add(1, Ordering::Relaxed);
    }
}

impl Layers {
    /// The next call is answered with what is sent.
    fn later(&self) -> oneshot::Sender<Result<Reply, Error>> {
        let (answer, coming) = oneshot::channel();
        let coming = async { coming.await.unwrap_or_else(|_| Err(Error::closed())) };
        self.answers.lock().unwrap().push(Box::pin(coming));
        answer
    }

    /// The next call is answered with a stream of what is sent. `None` is a panic.
    fn stream(&self) -> mpsc::Sender<Piece> {
        let (pieces, reply) = stream();
        self.answers.lock().unwrap().push(Box::pin(std::future::ready(Ok(reply))));
        pieces
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.log.outcomes.lock().unwrap().clone()
    }

    /// The one outcome, after whatever runs in the background has run.
    async fn outcome(&self) -> Outcome {
        settle().await;
        let mut outcomes = self.outcomes();
        assert_eq!(outcomes.len(), 1, "settled exactly once");
        outcomes.remove(0)
    }

    async fn still_open(&self) {
        settle().await;
        assert!(self.outcomes().is_empty());
    }
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

struct Fed(mpsc::Receiver<Piece>);

impl Frames for Fed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| piece.unwrap_or_else(|| panic!("a decoder fails"))))
    }
}

fn stream() -> (mpsc::Sender<Piece>, Reply) {
    let (pieces, coming) = mpsc::channel(64);
    let mut reply = Reply::frames(Fed(coming));
    reply.head_mut().dialect = Some(OPENAI);
    (pieces, reply)
}

fn text() -> Piece {
    let mut frame = Frame::new(Bytes::from_static(b"data: {}\n\n"), Facts::CONTENT);
    frame.set_contents(1);
    Some(Ok(frame))
}

fn usage() -> Piece {
    let mut frame = Frame::new(Bytes::from_static(b"data: {\"usage\":{}}\n\n"), Facts::NONE);
    frame.set_usage(&Usage::new(10, 7));
    Some(Ok(frame))
}

fn done() -> Piece {
    Some(Ok(Frame::new(Bytes::from_static(b"data: [DONE]\n\n"), Facts::TERMINATOR)))
}

fn failed() -> Piece {
    Some(Err(Error::new(ErrorKind::Overloaded, "busy")))
}

fn draining() -> FrontDoorLayer {
    FrontDoorLayer::new().disconnect(|_| Disconnect::drain())
}

fn request(body: &'static str) -> Request<Body> {
    Request::post("/v1/chat/completions")
        .body(Body::from(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

type Coming =
    Pin<Box<dyn Future<Output = Result<Response<crate::ResponseBody>, Infallible>> + Send>>;

fn ask(door: &FrontDoor<Layers>, body: &'static str) -> Coming {
    Box::pin(door.clone().call(request(body)))
}

/// Asks, and waits as long as nothing comes.
fn wait(door: &FrontDoor<Layers>, body: &'static str) -> Coming {
    let mut coming = ask(door, body);
    assert!(coming.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    coming
}

async fn read(response: &mut Response<crate::ResponseBody>) -> Option<Bytes> {
    let frame = std::future::poll_fn(|cx| Pin::new(response.body_mut()).poll_frame(cx)).await;
    frame.map(|frame| frame.unwrap().into_data().unwrap())
}

fn output(outcome: &Outcome) -> (u64, bool) {
    let usage = outcome.usage.unwrap();
    (usage.total_output(), usage.estimated)
}

#[track_caller]
fn is_failure(outcome: &Outcome, kind: ErrorKind) {
    match &outcome.end {
        End::Failure(error) => assert_eq!(error.kind(), kind),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_cut_at_once_unless_the_policy_says_otherwise() {
    for layer in [FrontDoorLayer::new(), FrontDoorLayer::new().disconnect(|_| Disconnect::Cut)] {
        let layers = Layers::default();
        let door = layer.layer(layers.clone());
        let answer = layers.later();
        drop(wait(&door, STREAMED));
        // No task has run since.
        assert!(matches!(layers.outcomes()[..], [Outcome { end: End::Cancelled, .. }]));
        assert!(answer.is_closed());

        let layers = Layers::default();
        let door = layer.layer(layers.clone());
        let pieces = layers.stream();
        let mut response = ask(&door, STREAMED).await.unwrap();
        pieces.send(text()).await.unwrap();
        read(&mut response).await.unwrap();
        drop(response);
        assert!(matches!(layers.outcomes()[..], [Outcome { end: End::Cancelled, .. }]));
        assert!(pieces.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_answer_is_drained_of_a_stream() {
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let answer = layers.later();
    drop(wait(&door, STREAMED));
    layers.still_open().await;
    let (pieces, reply) = stream();
    assert!(answer.send(Ok(reply)).is_ok(), "it is still wanted");
    for piece in [text(), usage(), done()] {
        layers.still_open().await;
        pieces.send(piece).await.unwrap();
    }
    let outcome = layers.outcome().await;
    assert!(matches!(outcome.end, End::Success));
    assert_eq!(output(&outcome), (7, false));
    drop(pieces);
    layers.outcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_answer_is_drained_of_a_whole_answer_or_an_error() {
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let answer = layers.later();
    drop(wait(&door, WHOLE));
    let mut reply = ChatReply::new("id", "m");
    reply.usage = Some(Usage::new(3, 2));
    assert!(answer.send(Ok(Reply::answer(Answer::Chat(Box::new(reply))))).is_ok());
    let outcome = layers.outcome().await;
    assert!(matches!(outcome.end, End::Success));
    assert_eq!(output(&outcome), (2, false));

    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let answer = layers.later();
    drop(wait(&door, WHOLE));
    assert!(answer.send(Err(Error::new(ErrorKind::Server, "no"))).is_ok());
    is_failure(&layers.outcome().await, ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_whole_answer_unread_has_had_it() {
    for drains in [true, false] {
        let layers = Layers::default();
        let layer = if drains { draining() } else { FrontDoorLayer::new() };
        let door = layer.layer(layers.clone());
        let reply = Reply::answer(Answer::Chat(Box::new(ChatReply::new("id", "m"))));
        assert!(layers.later().send(Ok(reply)).is_ok());
        drop(ask(&door, WHOLE).await.unwrap());
        assert_eq!(matches!(layers.outcome().await.end, End::Success), drains);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_middle_is_drained_to_the_end() {
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let pieces = layers.stream();
    let mut response = ask(&door, STREAMED).await.unwrap();
    pieces.send(text()).await.unwrap();
    read(&mut response).await.unwrap();
    drop(response);
    for piece in [text(), text(), usage()] {
        pieces.send(piece).await.unwrap();
        layers.still_open().await;
    }
    pieces.send(done()).await.unwrap();
    let outcome = layers.outcome().await;
    assert!(matches!(outcome.end, End::Success));
    assert_eq!(output(&outcome), (7, false));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_while_it_is_drained_is_a_failure() {
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let pieces = layers.stream();
    let response = ask(&door, STREAMED).await.unwrap();
    drop(response);
    pieces.send(text()).await.unwrap();
    pieces.send(failed()).await.unwrap();
    let outcome = layers.outcome().await;
    is_failure(&outcome, ErrorKind::Overloaded);
    assert_eq!(output(&outcome), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_after_the_terminator_leaves_nothing_to_drain() {
    let layers = Layers::default();
    let drains = Drains::default();
    let door = draining().drains(drains.clone()).layer(layers.clone());
    let pieces = layers.stream();
    let mut response = ask(&door, STREAMED).await.unwrap();
    pieces.send(done()).await.unwrap();
    read(&mut response).await.unwrap();
    assert!(matches!(layers.outcome().await.end, End::Success));
    drop(response);
    assert_eq!(drains.running(), 0);
    assert!(pieces.is_closed());
    layers.outcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_is_kept_alive_is_drained_too() {
    let layers = Layers::default();
    let layer = draining().keepalive_after(Duration::from_secs(1));
    let door = layer.layer(layers.clone());
    let answer = layers.later();
    let mut response = ask(&door, STREAMED).await.unwrap();
    read(&mut response).await.unwrap();
    drop(response);
    layers.still_open().await;
    let (pieces, reply) = stream();
    assert!(answer.send(Ok(reply)).is_ok());
    pieces.send(done()).await.unwrap();
    assert!(matches!(layers.outcome().await.end, End::Success));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_frame_that_goes_past_its_tokens() {
    let layers = Layers::default();
    let layer = FrontDoorLayer::new().disconnect(|_| Disconnect::drain().at_most_tokens(2));
    let door = layer.layer(layers.clone());
    let pieces = layers.stream();
    let mut response = ask(&door, STREAMED).await.unwrap();
    for _ in 0..5 {
        // What was read before does not count against it.
        pieces.send(text()).await.unwrap();
        read(&mut response).await.unwrap();
    }
    drop(response);
    for _ in 0..2 {
        pieces.send(text()).await.unwrap();
        layers.still_open().await;
    }
    pieces.send(text()).await.unwrap();
    let outcome = layers.outcome().await;
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(output(&outcome), (8, true));
    assert!(pieces.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_within_its_tokens_is_complete() {
    let layers = Layers::default();
    let layer = FrontDoorLayer::new().disconnect(|_| Disconnect::drain().at_most_tokens(2));
    let door = layer.layer(layers.clone());
    let pieces = layers.stream();
    drop(ask(&door, STREAMED).await.unwrap());
    for piece in [text(), text(), usage(), done()] {
        pieces.send(piece).await.unwrap();
    }
    assert!(matches!(layers.outcome().await.end, End::Success));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_its_time_before_the_answer_and_within() {
    let layer = || FrontDoorLayer::new().disconnect(|_| Disconnect::drain().at_most_time(secs(5)));
    let layers = Layers::default();
    let door = layer().layer(layers.clone());
    let answer = layers.later();
    let coming = wait(&door, STREAMED);
    // The time begins when the client leaves.
    tokio::time::sleep(secs(60)).await;
    drop(coming);
    tokio::time::sleep(Duration::from_millis(4990)).await;
    layers.still_open().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(layers.outcome().await.end, End::Cancelled));
    assert!(answer.is_closed());
    assert_eq!(layers.log.left.load(Ordering::Relaxed), 1);

    let layers = Layers::default();
    let door = layer().layer(layers.clone());
    let pieces = layers.stream();
    drop(ask(&door, STREAMED).await.unwrap());
    pieces.send(text()).await.unwrap();
    tokio::time::sleep(secs(6)).await;
    let outcome = layers.outcome().await;
    assert!(matches!(outcome.end, End::Cancelled));
    assert_eq!(output(&outcome), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_the_calls_deadline_and_at_shutdown() {
    let layers = Layers::default();
    let door = draining().deadline(secs(30)).layer(layers.clone());
    let pieces = layers.stream();
    let response = ask(&door, STREAMED).await.unwrap();
    tokio::time::sleep(secs(20)).await;
    drop(response);
    tokio::time::sleep(secs(9)).await;
    layers.still_open().await;
    tokio::time::sleep(secs(2)).await;
    is_failure(&layers.outcome().await, ErrorKind::Timeout);
    assert!(pieces.is_closed());

    let end = CancellationToken::new();
    let drains = Drains::default();
    let layers = Layers::default();
    let layer = draining().shutdown(end.clone()).drains(drains.clone());
    let door = layer.layer(layers.clone());
    let answer = layers.later();
    drop(wait(&door, STREAMED));
    layers.still_open().await;
    assert_eq!(drains.running(), 1);
    end.cancel();
    drains.idle().await;
    is_failure(&layers.outcome().await, ErrorKind::Overloaded);
    assert!(answer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_bound_of_drains_is_cut() {
    let drains = Drains::new(2);
    let layers = Layers::default();
    let door = draining().drains(drains.clone()).layer(layers.clone());
    let answers: Vec<_> = (0..3).map(|_| layers.later()).collect();
    let mut coming: Vec<_> = (0..3).map(|_| wait(&door, WHOLE)).collect();
    coming.clear();
    assert_eq!(drains.running(), 2);
    settle().await;
    assert_eq!(layers.outcomes().len(), 1);
    assert!(answers[2].is_closed());
    // A place that comes free is given out again.
    drop(answers);
    drains.idle().await;
    let answer = layers.later();
    drop(wait(&door, WHOLE));
    assert_eq!(drains.running(), 1);
    drop(answer);
    drains.idle().await;
    assert_eq!(layers.outcomes().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_is_not_asked_again_and_frees_the_place() {
    // While the client is there.
    let drains = Drains::default();
    let layers = Layers::default();
    let door = draining().drains(drains.clone()).layer(layers.clone());
    layers.answers.lock().unwrap().push(Box::pin(async { panic!("a layer fails") }));
    let coming = ask(&door, WHOLE);
    assert!(tokio::spawn(async { drop(coming.await) }).await.unwrap_err().is_panic());
    assert!(matches!(layers.outcome().await.end, End::Cancelled));
    assert_eq!(drains.running(), 0);

    // Likewise in a stream; and if the panic is caught in between, what is left is dropped without one under way.
    let layers = Layers::default();
    let door = draining().drains(drains.clone()).layer(layers.clone());
    let pieces = layers.stream();
    let mut response = ask(&door, STREAMED).await.unwrap();
    pieces.send(None).await.unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(response.body_mut()).poll_frame(&mut cx);
    }));
    assert!(caught.is_err());
    drop(response);
    assert!(matches!(layers.outcome().await.end, End::Cancelled));
    assert_eq!(drains.running(), 0);

    // In the drain itself.
    let layers = Layers::default();
    let door = draining().drains(drains.clone()).layer(layers.clone());
    let pieces = layers.stream();
    drop(ask(&door, STREAMED).await.unwrap());
    layers.still_open().await;
    assert_eq!(drains.running(), 1);
    pieces.send(None).await.unwrap();
    assert!(matches!(layers.outcome().await.end, End::Cancelled));
    assert_eq!(drains.running(), 0);
}

#[test]
fn without_a_runtime_a_call_is_cut() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let answer = layers.later();
    let mut coming = None;
    runtime().block_on(async { coming = Some(wait(&door, STREAMED)) });
    drop(coming);
    assert!(matches!(layers.outcomes()[..], [Outcome { end: End::Cancelled, .. }]));
    assert!(answer.is_closed());

    // And one that is drained when its runtime ends is settled there.
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let _answer = layers.later();
    let ending = runtime();
    ending.block_on(async { drop(wait(&door, STREAMED)) });
    assert!(layers.outcomes().is_empty());
    drop(ending);
    assert!(matches!(layers.outcomes()[..], [Outcome { end: End::Cancelled, .. }]));
}

#[tokio::test(start_paused = true)]
async fn each_call_is_asked_for_once_with_its_model() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = asked.clone();
    let layer = FrontDoorLayer::new().disconnect(move |call| {
        counting.fetch_add(1, Ordering::Relaxed);
        assert_eq!(call.model(), "m");
        Disconnect::Cut
    });
    let layers = Layers::default();
    let door = layer.layer(layers.clone());
    let pieces = layers.stream();
    let mut response = ask(&door, STREAMED).await.unwrap();
    pieces.send(done()).await.unwrap();
    drop(pieces);
    while read(&mut response).await.is_some() {}
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(matches!(layers.outcome().await.end, End::Success));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_drained_keeps_its_place_in_admission() {
    let layers = Layers::default();
    let door = draining().layer(layers.clone());
    let mut admission = AdmissionLayer::new().calls(1).layer(door);
    for leaves_early in [true, false] {
        let (answer, pieces) = match leaves_early {
            true => (Some(layers.later()), None),
            false => (None, Some(layers.stream())),
        };
        let mut coming = Box::pin(admission.call(request(STREAMED)));
        match leaves_early {
            true => {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(coming.as_mut().poll(&mut cx).is_pending());
            }
            false => drop(coming.as_mut().await.unwrap()),
        }
        drop(coming);
        settle().await;
        assert_eq!(admission.in_flight(), (1, STREAMED.len() as u64));
        let refused = admission.call(request(STREAMED)).await.unwrap();
        assert_eq!(refused.status(), 503);
        drop((answer, pieces));
        settle().await;
        assert_eq!(admission.in_flight(), (0, 0));
    }
}

#[tokio::test]
async fn a_drain_of_frames_that_are_all_there_lets_others_run() {
    struct Endless;
    impl Frames for Endless {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
            Poll::Ready(text()).map(|piece| Some(piece.unwrap_or_else(|| Err(Error::closed()))))
        }
    }
    let end = CancellationToken::new();
    let layers = Layers::default();
    let door = draining().shutdown(end.clone()).layer(layers.clone());
    let mut reply = Reply::frames(Endless);
    reply.head_mut().dialect = Some(OPENAI);
    assert!(layers.later().send(Ok(reply)).is_ok());
    drop(ask(&door, STREAMED).await.unwrap());
    let ran = Arc::new(AtomicBool::new(false));
    let other = ran.clone();
    tokio::spawn(async move { other.store(true, Ordering::Relaxed) });
    settle().await;
    assert!(ran.load(Ordering::Relaxed));
    end.cancel();
    is_failure(&layers.outcome().await, ErrorKind::Overloaded);
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
