//! Answers in the background.

use std::time::Duration;

use tokio::sync::Notify;
use ziggurat_core::{End, Outcome, Settle, Ticket, Usage};

use super::*;

/// A model that answers when it is let, and sees whether it is left.
#[derive(Clone, Default)]
struct Slow {
    go: Arc<Notify>,
    left: Arc<Mutex<usize>>,
    ends: Ends,
}

struct Leaving(Arc<Mutex<usize>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

/// Hands frames out as it is let, and the rest at once after the last.
struct Slowly {
    frames: VecDeque<Result<Frame, Error>>,
    go: Arc<Notify>,
    waiting: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
    _leaving: Leaving,
}

impl Frames for Slowly {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let go = Arc::clone(&self.go);
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(async move { go.notified().await }));
        std::task::ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(self.frames.pop_front())
    }

    fn decodes(&self) -> bool {
        true
    }
}

/// How calls ended, and what they used.
type Ends = Arc<Mutex<Vec<(End, Option<u64>)>>>;

struct Observer(Ends);

impl Settle for Observer {
    fn settle(&self, _: Ticket, outcome: &Outcome) {
        let used = outcome.usage.as_ref().and_then(|usage| usage.output);
        self.0.lock().unwrap().push((outcome.end.clone(), used));
    }
}

fn slow_desk(slow: &Slow) -> Desk<impl CallService + use<>> {
    let (shelf, seen) = (Arc::new(Shelf::default()), Seen::default());
    let store: Arc<dyn Store> = Arc::<Shelf>::clone(&shelf);
    let ends = Arc::clone(&slow.ends);
    let layer = ConversationLayer::new(RESPONSES, store)
        .observe_background(move |_| Observer(Arc::clone(&ends)));
    let (slow, asked) = (slow.clone(), Arc::clone(&seen));
    let inner = service_fn(move |call: Call| {
        let (slow, asked) = (slow.clone(), Arc::clone(&asked));
        async move {
            asked.lock().unwrap().push(call.payload().clone());
            let leaving = Leaving(Arc::clone(&slow.left));
            if call.is_streamed() {
                let frames = events("slowly", call.model() == "cut");
                let go = Arc::clone(&slow.go);
                return Ok(Reply::frames(Slowly { frames, go, waiting: None, _leaving: leaving }));
            }
            slow.go.notified().await;
            drop(leaving);
            if call.model() == "broken" {
                return Err(Error::new(ErrorKind::RateLimit, "too much"));
            }
            if call.payload().member("user").as_deref() == Some("\"native\"") {
                let body = json!({"id": "resp_theirs", "object": "response", "status": "completed",
                    "background": false, "output": [{"type": "message", "id": "msg_n",
                    "role": "assistant", "content": [{"type": "output_text", "text": "slowly"}]}]});
                let mut reply = Reply::answer(Answer::Chat(Box::default()));
                reply.set_whole(Bytes::from(body.to_string()), RESPONSES);
                return Ok(reply);
            }
            let mut answer = ChatReply::new("gen-1", "there");
            answer.choices =
                vec![Choice::new(0, vec![Part::text("slowly")], Stop::new(StopReason::Stop))];
            answer.usage = Some(Usage::new(3, 7));
            Ok(Reply::answer(Answer::Chat(Box::new(answer))))
        }
    });
    Desk { shelf, seen, service: layer.layer(inner) }
}

/// Lets all tasks do what they can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn background(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "input": "one", "background": true});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn an_answer_is_written_while_nobody_waits() {
    for more in [json!({}), json!({"user": "native"})] {
        let slow = Slow::default();
        let mut desk = slow_desk(&slow);
        let queued = desk.ask("ann", background("m", more.clone())).await.unwrap();
        assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
        assert_eq!((&queued["output"], &queued["store"]), (&json!([]), &json!(true)));
        let id = queued["id"].clone();
        settle().await;
        assert_eq!(desk.seen.lock().unwrap()[0].member("background"), None);
        let told = desk.about("ann", &id, StoredAction::Retrieve, "").await.unwrap();
        assert_eq!(told["status"], "in_progress");
        let items = desk.about("ann", &id, StoredAction::InputItems, "").await.unwrap();
        assert_eq!(texts(&items["data"]), ["one"]);
        // It is nobody else's, and cannot be gone on from.
        let other = desk.about("bob", &id, StoredAction::Retrieve, "").await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::NotFound);
        let body = json!({"model": "m", "input": "two", "previous_response_id": id});
        let early = desk.ask("ann", body.clone()).await.unwrap_err();
        assert_eq!(early.param(), Some("previous_response_id"));

        slow.go.notify_one();
        settle().await;
        let told = desk.about("ann", &id, StoredAction::Retrieve, "").await.unwrap();
        assert_eq!((&told["status"], &told["id"]), (&json!("completed"), &id));
        assert_eq!((&told["background"], &told["store"]), (&json!(true), &json!(true)));
        assert_eq!(texts(&told["output"]), ["slowly"]);
        let used = if more.get("user").is_none() { Some(7) } else { None };
        let ends = std::mem::take(&mut *slow.ends.lock().unwrap());
        assert!(matches!(&ends[..], [(End::Success, told)] if *told == used), "{ends:?}");
        // It is kept as any other.
        let cancelled = desk.about("ann", &id, StoredAction::Cancel, "").await.unwrap();
        assert_eq!(cancelled, told, "cancelling what is complete tells what it is");
        slow.go.notify_one();
        desk.ask("ann", body).await.unwrap();
        assert_eq!(texts(&desk.input()), ["one", "slowly", "two"], "{more}");
    }
}

#[tokio::test]
async fn what_is_cancelled_is_not_written_on() {
    for stream in [false, true] {
        let slow = Slow::default();
        let mut desk = slow_desk(&slow);
        let body = background("m", json!({"stream": stream}));
        let mut reply = desk.service.ready().await.unwrap().call(call("ann", body)).await.unwrap();
        settle().await;
        let id = {
            let turns = desk.shelf.turns.lock().unwrap();
            json!(turns[0].1.id.as_str())
        };
        let told = desk.about("ann", &id, StoredAction::Cancel, "").await.unwrap();
        assert_eq!(told["status"], "cancelled");
        settle().await;
        assert_eq!(*slow.left.lock().unwrap(), 1, "the model was left");
        assert!(matches!(slow.ends.lock().unwrap()[..], [(End::Cancelled, None)]));
        for action in [StoredAction::Retrieve, StoredAction::Cancel] {
            let told = desk.about("ann", &id, action, "").await.unwrap();
            assert_eq!(told["status"], "cancelled", "{action:?}");
        }
        // Who follows it sees its end.
        if stream {
            while poll_fn(|cx| reply.poll_frame(cx)).await.is_some() {}
        }
        let gone = desk.about("ann", &id, StoredAction::Delete, "").await.unwrap();
        assert_eq!(gone["deleted"], true);
        let error = desk.about("ann", &id, StoredAction::Retrieve, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

fn data(frame: &Frame) -> Value {
    let text = std::str::from_utf8(frame.bytes()).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap()).unwrap()
}

async fn rest(reply: &mut Reply) -> Vec<Value> {
    let mut told = Vec::new();
    while let Some(frame) = poll_fn(|cx| reply.poll_frame(cx)).await {
        told.push(data(&frame.unwrap()));
    }
    told
}

impl<S: CallService> Desk<S> {
    async fn follow(&mut self, id: &Value, query: &str) -> Result<Reply, Error> {
        let stored = Stored::new(Str::from(id.as_str().unwrap()), StoredAction::Retrieve);
        let head = head(&format!("/v1/responses/x{query}"));
        let mut call = Call::new(head, "", false, Payload::typed(Typed::Stored(stored)));
        call.set_caller(Caller::new(Str::from("ann")));
        self.service.ready().await?.call(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_though_its_caller_leaves_and_is_read_again_from_anywhere() {
    let slow = Slow::default();
    let mut desk = slow_desk(&slow);
    let body = background("m", json!({"stream": true}));
    let mut reply = desk.service.ready().await.unwrap().call(call("ann", body)).await.unwrap();
    settle().await;
    slow.go.notify_one();
    let first = data(&poll_fn(|cx| reply.poll_frame(cx)).await.unwrap().unwrap());
    assert_eq!(
        (&first["type"], &first["sequence_number"]),
        (&json!("response.created"), &json!(0))
    );
    assert_eq!(first["response"]["background"], true);
    let id = first["response"]["id"].clone();
    drop(reply);
    for _ in 0..3 {
        settle().await;
        slow.go.notify_one();
    }
    settle().await;

    let mut all = desk.follow(&id, "?stream=true").await.unwrap();
    let all = rest(&mut all).await;
    let numbers: Vec<u64> =
        all.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>());
    let last = all.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(texts(&last["response"]["output"]), ["slowly"]);
    assert_eq!((&last["response"]["id"], &last["response"]["store"]), (&id, &json!(true)));
    let mut later = desk.follow(&id, "?stream=true&starting_after=2").await.unwrap();
    assert_eq!(rest(&mut later).await, all[3..]);
    let error = desk.follow(&id, "?stream=true&starting_after=x").await.unwrap_err();
    assert_eq!(error.param(), Some("starting_after"));
    let told = desk.about("ann", &id, StoredAction::Retrieve, "").await.unwrap();
    assert_eq!(told["status"], "completed");

    tokio::time::advance(Duration::from_secs(601)).await;
    let error = desk.follow(&id, "?stream=true").await.unwrap_err();
    assert_eq!(error.param(), Some("stream"));
    let told = desk.about("ann", &id, StoredAction::Retrieve, "").await.unwrap();
    assert_eq!(texts(&told["output"]), ["slowly"]);
}

#[tokio::test]
async fn what_fails_says_so() {
    let slow = Slow::default();
    let mut desk = slow_desk(&slow);
    let queued = desk.ask("ann", background("broken", json!({}))).await.unwrap();
    settle().await;
    slow.go.notify_one();
    settle().await;
    let told = desk.about("ann", &queued["id"], StoredAction::Retrieve, "").await.unwrap();
    assert_eq!((&told["status"], &told["id"]), (&json!("failed"), &queued["id"]));
    assert_eq!(told["error"]["code"], "rate_limit_exceeded");
    assert!(matches!(slow.ends.lock().unwrap()[..], [(End::Failure(_), None)]));

    let body = background("cut", json!({"stream": true}));
    let mut reply = desk.service.ready().await.unwrap().call(call("ann", body)).await.unwrap();
    let reading = tokio::spawn(async move { rest(&mut reply).await });
    for _ in 0..4 {
        settle().await;
        slow.go.notify_one();
    }
    let events = reading.await.unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );

    // Nothing is begun that could not be found again.
    let error = desk.ask("ann", background("m", json!({"store": false}))).await.unwrap_err();
    assert_eq!(error.param(), Some("store"));
    *desk.shelf.broken.lock().unwrap() = true;
    let error = desk.ask("ann", background("m", json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    *desk.shelf.broken.lock().unwrap() = false;
}

#[tokio::test]
async fn what_a_process_left_behind_failed() {
    let slow = Slow::default();
    let mut desk = slow_desk(&slow);
    let queued = desk.ask("ann", background("m", json!({}))).await.unwrap();
    // The same store under a layer that knows of no such answer.
    let store: Arc<dyn Store> = Arc::<Shelf>::clone(&desk.shelf);
    let service = ConversationLayer::new(RESPONSES, store).layer(model(&desk.seen));
    let (shelf, seen) = (Arc::clone(&desk.shelf), Arc::clone(&desk.seen));
    let mut later = Desk { shelf, seen, service };
    for action in [StoredAction::Retrieve, StoredAction::Cancel] {
        let told = later.about("ann", &queued["id"], action, "").await.unwrap();
        assert_eq!(
            (&told["status"], &told["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
    }
}

/// A store that never answers, and a model that panics: neither takes a place for ever.
#[tokio::test]
async fn what_ends_in_any_other_way_ends() {
    struct Never;

    impl Store for Never {
        fn put(&self, _: Owner, _: Turn) -> StoreFuture<()> {
            Box::pin(std::future::pending())
        }
        fn get(&self, _: Owner, _: Str) -> StoreFuture<Option<Turn>> {
            Box::pin(std::future::pending())
        }
        fn thread(&self, _: Owner, _: Str) -> StoreFuture<Vec<Turn>> {
            Box::pin(std::future::pending())
        }
        fn with_item(&self, _: Owner, _: Str) -> StoreFuture<Option<Turn>> {
            Box::pin(std::future::pending())
        }
        fn delete(&self, _: Owner, _: Str) -> StoreFuture<bool> {
            Box::pin(std::future::pending())
        }
    }

    let seen = Seen::default();
    let mut service = ConversationLayer::new(RESPONSES, Arc::new(Never)).layer(model(&seen));
    for _ in 0..300 {
        let asked = service.ready().await.unwrap().call(call("ann", background("m", json!({}))));
        assert!(tokio::time::timeout(Duration::ZERO, asked).await.is_err(), "it waits to be kept");
    }

    let store: Arc<dyn Store> = Arc::new(Shelf::default());
    let panics = service_fn(|_: Call| async { panic!("the model panics, as it is meant to") });
    let service = ConversationLayer::new(RESPONSES, store).layer(panics);
    let mut desk = Desk { shelf: Arc::default(), seen, service };
    let queued = desk.ask("ann", background("m", json!({}))).await.unwrap();
    settle().await;
    let told = desk.about("ann", &queued["id"], StoredAction::Retrieve, "").await.unwrap();
    assert_eq!(
        (&told["status"], &told["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
}

#[tokio::test]
async fn only_so_many_are_written_at_once() {
    let slow = Slow::default();
    let mut desk = slow_desk(&slow);
    for _ in 0..256 {
        desk.ask("ann", background("m", json!({}))).await.unwrap();
    }
    let error = desk.ask("ann", background("m", json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    settle().await;
    slow.go.notify_waiters();
    settle().await;
    desk.ask("ann", background("m", json!({}))).await.unwrap();
}
