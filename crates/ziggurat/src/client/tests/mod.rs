//! Clients over services that are made up.

mod providers;

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;
use ziggurat_core::{
    Answer, Call, ChatReply, Choice, Content, End, Error, ErrorKind, Event, Frame, Frames, Instant,
    Origin, Outcome, Part, PartId, PartKind, RawJson, Reply, Settle, Start, Stop, StopReason,
    Ticket, ToolCallKind, Usage,
};

use super::fold::Fold;
use super::{Client, unfold};

/// Answers with whatever the test makes of a call, and writes down how calls end.
#[derive(Clone)]
struct Made<F> {
    make: F,
    ends: Arc<Ends>,
}

#[derive(Default)]
struct Ends(Mutex<Vec<Outcome>>);

impl Settle for Ends {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        self.0.lock().unwrap().push(outcome.clone());
    }
}

impl Ends {
    /// The end of the only call, in a word; `open` before it.
    fn word(&self) -> &'static str {
        match &self.0.lock().unwrap()[..] {
            [] => "open",
            [outcome] => match &outcome.end {
                End::Success => "success",
                End::Failure(_) => "failure",
                _ => "cancelled",
            },
            _ => "several",
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

impl<F> Service<Call> for Made<F>
where
    F: Fn() -> Answering,
{
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Answering {
        call.register(self.ends.clone(), Ticket::default()).expect("the client opens a scope");
        (self.make)()
    }
}

fn client<F>(make: F) -> (Client<Made<F>>, Arc<Ends>)
where
    F: Fn() -> Answering + Clone + Send + Sync + 'static,
{
    let ends = Arc::<Ends>::default();
    (Client::new(Made { make, ends: ends.clone() }), ends)
}

/// Gives its frames, then ends or waits for ever.
struct Script {
    frames: VecDeque<Result<Frame, Error>>,
    hangs: bool,
}

impl Frames for Script {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            next => Poll::Ready(next),
        }
    }

    fn decodes(&self) -> bool {
        true
    }
}

fn streams(frames: Vec<Result<Frame, Error>>, hangs: bool) -> Answering {
    Box::pin(ready(Ok(Reply::frames(Script { frames: frames.into(), hangs }))))
}

/// `Hel`, `lo`, usage and the end, a frame each.
fn hello() -> Vec<Result<Frame, Error>> {
    let part = PartId::first(0);
    let stop = Event::Stop { choice: 0, stop: Box::new(Stop::new(StopReason::Stop)) };
    let frames = [
        vec![
            Event::Start(Box::new(Start::new("id-1", "m"))),
            Event::PartStart { part, kind: Box::new(PartKind::Text) },
            Event::Text { part, text: "Hel".into() },
        ],
        vec![Event::Text { part, text: "lo".into() }, Event::PartEnd { part }, stop],
        vec![Event::Usage(Box::new(Usage::new(3, 2))), Event::End],
    ];
    frames.map(|events| Ok(Frame::of_events(events))).into()
}

fn asked() -> Call {
    Call::chat("m").user("Hi")
}

fn broken() -> Error {
    Error::new(ErrorKind::BadUpstream, "broken")
}

/// An answer of everything that an answer can hold.
fn rich() -> ChatReply {
    let raw = |text: &str| RawJson::parse(text.into()).unwrap();
    let part = |content| Part::new(content);
    let mut first = Choice::new(
        0,
        vec![
            part(Content::Reasoning {
                text: "hm".into(),
                signature: Some("s".into()),
                redacted: None,
            }),
            part(Content::Reasoning {
                text: "".into(),
                signature: None,
                redacted: Some("x".into()),
            }),
            Part::text("Let me look."),
            part(Content::ToolCall {
                id: "call-1".into(),
                name: "look".into(),
                arguments: r#"{"at":"it"}"#.into(),
                kind: ToolCallKind::Function,
                signature: None,
            }),
            part(Content::Opaque { kind: "server".into(), value: raw(r#"{"a":1}"#) }),
        ],
        Stop::new(StopReason::ToolCalls),
    );
    first.logprobs = Some(raw(r#"{"content":[{"token":"a"}]}"#));
    let refusal = part(Content::Refusal { text: "No.".into() });
    let second = Choice::new(1, vec![refusal], Stop::other("odd"));
    let empty = Choice::new(2, Vec::new(), Stop::new(StopReason::Length));
    let mut reply = ChatReply::new("id-1", "m");
    reply.created = Some(7);
    reply.choices = vec![first, second, empty];
    reply.usage = Some(Usage::new(10, 5).reasoning(2));
    reply
}

#[test]
fn events_of_an_answer_make_the_same_answer() {
    let mut fold = Fold::default();
    for event in unfold::events(rich()) {
        fold.take(event).unwrap();
    }
    assert_eq!(fold.finish(), rich());
}

#[test]
fn log_probabilities_that_come_in_pieces_are_joined() {
    let piece = |text: &str| Event::Logprobs {
        choice: 0,
        logprobs: Box::new(RawJson::parse(text.into()).unwrap()),
    };
    let mut fold = Fold::default();
    for text in
        [r#"{"content":[1,2],"refusal":null}"#, r#"{"content":[3.50]}"#, r#"{"content":null}"#]
    {
        fold.take(piece(text)).unwrap();
    }
    let reply = fold.finish();
    let logprobs = reply.choices[0].logprobs.as_ref().unwrap();
    assert_eq!(logprobs.get(), r#"{"content":[1,2,3.50],"refusal":null}"#);
}

#[tokio::test]
async fn a_stream_is_read_text_by_text_and_settled_at_its_end() {
    let (client, ends) = client(|| streams(hello(), false));
    let mut stream = client.stream(asked()).await.unwrap();
    assert_eq!(stream.next_text().await.unwrap().unwrap(), "Hel");
    assert_eq!(stream.next_text().await.unwrap().unwrap(), "lo");
    assert_eq!(ends.word(), "open");
    assert_eq!(stream.next_text().await.unwrap(), None);
    assert_eq!(ends.word(), "success");
    assert_eq!(stream.usage(), Some(&Usage::new(3, 2)));
    assert_eq!(stream.stop().unwrap().reason, StopReason::Stop);
    assert!(stream.next_event().await.unwrap().is_none(), "the end stays the end");
    assert_eq!(ends.0.lock().unwrap()[0].tokens(), 5);
}

#[tokio::test]
async fn asking_reads_a_stream_to_its_end() {
    let (client, ends) = client(|| streams(hello(), false));
    let answer = client.ask(asked().streamed()).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.id.as_str()), ("Hello", "id-1"));
    assert_eq!(answer.usage, Some(Usage::new(3, 2)));
    assert_eq!(ends.word(), "success");
}

#[tokio::test]
async fn a_whole_answer_to_a_streamed_call_comes_as_a_stream() {
    let (client, ends) =
        client(|| Box::pin(ready(Ok(Reply::answer(Answer::Chat(Box::new(rich())))))));
    let mut stream = client.stream(asked()).await.unwrap();
    assert_eq!(stream.next_text().await.unwrap().unwrap(), "Let me look.");
    assert_eq!(stream.next_text().await.unwrap(), None);
    assert_eq!(stream.usage(), rich().usage.as_ref());
    assert_eq!(ends.word(), "success");
    let collected = client.ask(asked().streamed()).await.unwrap();
    assert_eq!(collected.chat, rich());
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_a_failure() {
    let mut late = hello();
    late.truncate(1);
    late.push(Err(broken()));
    let mut told = hello();
    told.truncate(1);
    told.push(Ok(Frame::of_events(vec![Event::Error(broken())])));
    for frames in [late, told] {
        let (client, ends) = client(move || streams(frames.clone(), false));
        let mut stream = client.stream(asked()).await.unwrap();
        assert_eq!(stream.next_text().await.unwrap().unwrap(), "Hel");
        let error = stream.next_text().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
        assert_eq!(stream.next_text().await.unwrap(), None, "nothing follows");
        assert_eq!(ends.word(), "failure");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_half_way_was_cancelled() {
    let (client, ends) = client(|| streams(hello(), false));
    let mut stream = client.stream(asked()).await.unwrap();
    stream.next_text().await.unwrap();
    drop(stream);
    assert_eq!(ends.word(), "cancelled");
}

#[tokio::test]
async fn a_call_that_fails_is_settled_as_failed() {
    let (client, ends) = client(|| Box::pin(ready(Err(broken()))));
    assert_eq!(client.ask(asked()).await.unwrap_err().kind(), ErrorKind::BadUpstream);
    assert_eq!(ends.word(), "failure");
}

#[tokio::test]
async fn an_answer_to_something_else_is_a_failure() {
    let (client, ends) = client(|| Box::pin(ready(Ok(Reply::answer(Answer::Models(Vec::new()))))));
    let error = client.ask(asked()).await.unwrap_err();
    assert_eq!((error.kind(), error.origin()), (ErrorKind::BadUpstream, Origin::Provider));
    assert_eq!(ends.word(), "failure");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_before_the_answer_and_within_it() {
    let mut call = asked();
    call.set_deadline(Instant::now() + Duration::from_secs(60));

    let (silent, ends) = client(|| Box::pin(pending()));
    let error = silent.ask(call.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(ends.word(), "failure");

    let mut call = asked();
    call.set_deadline(Instant::now() + Duration::from_secs(60));
    let (stalling, ends) = client(|| streams(hello().into_iter().take(1).collect(), true));
    let mut stream = stalling.stream(call).await.unwrap();
    assert_eq!(stream.next_text().await.unwrap().unwrap(), "Hel");
    assert_eq!(stream.next_text().await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(ends.word(), "failure");
}
