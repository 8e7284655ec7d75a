mod background;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{
    Answer, Call, CallHead, CallService, Caller, ChatReply, Choice, Error, ErrorKind, Event, Facts,
    Frame, Frames, Operation, Part, PartId, PartKind, Payload, Reply, ReplyBody, Start, Stop,
    StopReason, Stored, StoredAction, Str, Typed,
};
use ziggurat_dialects::{OPENAI, RESPONSES};

use super::{ConversationLayer, Owner, Store, StoreError, StoreFuture, Turn};

/// Keeps everything, in the order in which it came.
#[derive(Default)]
struct Shelf {
    turns: Mutex<Vec<(Owner, Turn)>>,
    broken: Mutex<bool>,
}

impl Shelf {
    fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Vec<(Owner, Turn)>) -> T,
    ) -> StoreFuture<T> {
        let found = match *self.broken.lock().unwrap() {
            true => Err(StoreError::new("the shelf broke")),
            false => Ok(look(&mut self.turns.lock().unwrap())),
        };
        Box::pin(async { found })
    }

    fn held(&self) -> usize {
        self.turns.lock().unwrap().len()
    }
}

fn find(turns: &[(Owner, Turn)], owner: Owner, id: &str) -> Option<Turn> {
    let mine = turns.iter().rev().filter(|(other, _)| *other == owner);
    mine.map(|(_, turn)| turn).find(|turn| turn.id == id).cloned()
}

impl Store for Shelf {
    fn put(&self, owner: Owner, turn: Turn) -> StoreFuture<()> {
        self.look(|turns| turns.push((owner, turn)))
    }

    fn get(&self, owner: Owner, id: Str) -> StoreFuture<Option<Turn>> {
        self.look(|turns| find(turns, owner, &id))
    }

    fn thread(&self, owner: Owner, id: Str) -> StoreFuture<Vec<Turn>> {
        self.look(|turns| {
            let mut thread = Vec::new();
            let mut next = Some(id);
            while let Some(turn) = next.and_then(|id| find(turns, owner, &id)) {
                next = turn.previous.clone();
                thread.push(turn);
            }
            thread
        })
    }

    fn with_item(&self, owner: Owner, item: Str) -> StoreFuture<Option<Turn>> {
        self.look(|turns| {
            let mut mine = turns.iter().rev().filter(|(other, _)| *other == owner);
            mine.find(|(_, turn)| turn.items.contains(&item)).map(|(_, turn)| turn.clone())
        })
    }

    fn delete(&self, owner: Owner, id: Str) -> StoreFuture<bool> {
        self.look(|turns| {
            let before = turns.len();
            turns.retain(|(other, turn)| *other != owner || turn.id != id);
            before != turns.len()
        })
    }
}

/// What the model was asked.
type Seen = Arc<Mutex<Vec<Payload>>>;

/// A model that counts its answers, in its own dialect or in none.
fn model(seen: &Seen) -> impl CallService + use<> {
    let seen = Arc::clone(seen);
    service_fn(move |call: Call| {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(call.payload().clone());
            seen.len()
        };
        async move {
            let text = format!("answer {number}");
            if call.payload().member("user").as_deref() == Some("\"native\"") {
                let body = json!({"id": format!("resp_native{number}"), "object": "response",
                    "status": "completed", "output": [{"type": "message", "id": format!("msg_n{number}"),
                    "role": "assistant", "content": [{"type": "output_text", "text": text}]}]});
                let mut reply = Reply::answer(Answer::Chat(Box::default()));
                reply.set_whole(Bytes::from(body.to_string()), RESPONSES);
                return Ok(reply);
            }
            if call.is_streamed() {
                return Ok(Reply::frames(Script(events(&text, call.model() == "cut"))));
            }
            let mut answer = ChatReply::new("gen-1", "there");
            answer.choices =
                vec![Choice::new(0, vec![Part::text(text)], Stop::new(StopReason::Stop))];
            Ok(Reply::answer(Answer::Chat(Box::new(answer))))
        }
    })
}

fn events(text: &str, cut: bool) -> VecDeque<Result<Frame, Error>> {
    let part = PartId::default();
    let mut frames: VecDeque<_> = [
        vec![Event::Start(Box::new(Start::new("gen-1", "there")))],
        vec![
            Event::PartStart { part, kind: Box::new(PartKind::Text) },
            Event::Text { part, text: Str::from(text) },
        ],
    ]
    .into_iter()
    .map(|events| Ok(Frame::of_events(events)))
    .collect();
    if cut {
        frames.push_back(Err(Error::new(ErrorKind::BadUpstream, "cut")));
        return frames;
    }
    let stop = Box::new(Stop::new(StopReason::Stop));
    let mut last = Frame::of_events(vec![
        Event::PartEnd { part },
        Event::Stop { choice: 0, stop },
        Event::End,
    ]);
    last.mark(Facts::TERMINATOR);
    frames.push_back(Ok(last));
    frames
}

struct Script(VecDeque<Result<Frame, Error>>);

impl Frames for Script {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn decodes(&self) -> bool {
        true
    }
}

struct Desk<S> {
    shelf: Arc<Shelf>,
    seen: Seen,
    service: S,
}

fn desk() -> Desk<impl CallService> {
    let (shelf, seen) = (Arc::new(Shelf::default()), Seen::default());
    let store: Arc<dyn Store> = Arc::<Shelf>::clone(&shelf);
    let service = ConversationLayer::new(RESPONSES, store).layer(model(&seen));
    Desk { shelf, seen, service }
}

fn head(uri: &str) -> Arc<CallHead> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let id = Str::from(format!("call{number}"));
    let uri = uri.parse().unwrap();
    let dialect = Some(RESPONSES);
    Arc::new(CallHead::new(Method::POST, uri, HeaderMap::new(), dialect, id.clone(), id))
}

fn call(key: &str, body: Value) -> Call {
    let stream = body["stream"] == true;
    let model = body["model"].as_str().unwrap_or("m").to_owned();
    let bytes = Bytes::from(body.to_string());
    let payload = Payload::wire(RESPONSES, Operation::Chat, bytes).unwrap();
    let mut call = Call::new(head("/v1/responses"), model, stream, payload);
    call.set_caller(Caller::new(Str::from(key)));
    call
}

impl<S: CallService> Desk<S> {
    async fn send(&mut self, call: Call) -> Result<Value, Error> {
        let mut reply = self.service.ready().await?.call(call).await?;
        if reply.is_streamed() {
            assert_eq!(reply.head().dialect, Some(RESPONSES));
            let mut last = Bytes::new();
            while let Some(frame) = poll_fn(|cx| reply.poll_frame(cx)).await {
                last = frame?.into_bytes();
            }
            let text = String::from_utf8(last.to_vec()).unwrap();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
            let event: Value = serde_json::from_str(data.unwrap()).unwrap();
            assert_eq!(event["type"], "response.completed");
            return Ok(event["response"].clone());
        }
        let ReplyBody::Whole(bytes) = reply.take_body() else { panic!("{reply:?}") };
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    async fn ask(&mut self, key: &str, body: Value) -> Result<Value, Error> {
        self.send(call(key, body)).await
    }

    async fn about(
        &mut self,
        key: &str,
        id: &Value,
        action: StoredAction,
        query: &str,
    ) -> Result<Value, Error> {
        let stored = Stored::new(Str::from(id.as_str().unwrap()), action);
        let head = head(&format!("/v1/responses/x{query}"));
        let mut call = Call::new(head, "", false, Payload::typed(Typed::Stored(stored)));
        call.set_caller(Caller::new(Str::from(key)));
        self.send(call).await
    }

    /// What the model was asked last.
    fn input(&self) -> Value {
        let seen = self.seen.lock().unwrap();
        let input = seen.last().unwrap().member("input");
        serde_json::from_str(&input.unwrap()).unwrap()
    }
}

fn texts(items: &Value) -> Vec<String> {
    let text = |item: &Value| match &item["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    };
    items.as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_conversation_goes_on_from_an_answer() {
    for extra in [json!({}), json!({"stream": true}), json!({"user": "native"})] {
        let mut desk = desk();
        let mut body = json!({"model": "m", "input": "one", "store": true});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let first = desk.ask("ann", body.clone()).await.unwrap();
        assert_eq!(desk.shelf.held(), 1, "{extra}");
        assert_eq!(desk.seen.lock().unwrap()[0].member("store"), None);
        if extra.get("user").is_none() {
            assert_eq!(first["store"], true);
            assert_eq!(first["previous_response_id"], Value::Null);
        }
        body["input"] = json!([{"role": "user", "content": "two"}]);
        body["previous_response_id"] = first["id"].clone();
        let second = desk.ask("ann", body.clone()).await.unwrap();
        assert_eq!(texts(&desk.input()), ["one", "answer 1", "two"]);
        assert_eq!(desk.seen.lock().unwrap()[1].member("previous_response_id"), None);
        if extra.get("user").is_none() {
            assert_eq!(second["previous_response_id"], first["id"]);
        }
        body["input"] = json!("three");
        body["previous_response_id"] = second["id"].clone();
        desk.ask("ann", body.clone()).await.unwrap();
        assert_eq!(texts(&desk.input()), ["one", "answer 1", "two", "answer 2", "three"]);
        // Another branch from the first.
        body["previous_response_id"] = first["id"].clone();
        desk.ask("ann", body.clone()).await.unwrap();
        assert_eq!(texts(&desk.input()), ["one", "answer 1", "three"]);
    }
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    let mut desk = desk();
    let answer = desk.service.ready().await.unwrap();
    let body = json!({"model": "m", "input": "one", "store": false});
    let mut reply = answer.call(call("ann", body)).await.unwrap();
    // Nothing was done with it.
    assert!(matches!(reply.take_body(), ReplyBody::Answer(_)));
    assert_eq!(desk.shelf.held(), 0);
    let kept = json!({"model": "cut", "input": "one", "stream": true});
    assert_eq!(desk.ask("ann", kept).await.unwrap_err().message(), "cut");
    assert_eq!(desk.shelf.held(), 0);
}

#[tokio::test]
async fn a_stream_that_its_caller_leaves_is_not_kept() {
    let mut desk = desk();
    let body = json!({"model": "m", "input": "one", "stream": true});
    let service = desk.service.ready().await.unwrap();
    let mut reply = service.call(call("ann", body)).await.unwrap();
    poll_fn(|cx| reply.poll_frame(cx)).await.unwrap().unwrap();
    drop(reply);
    assert_eq!(desk.shelf.held(), 0);
}

#[tokio::test]
async fn nobody_finds_what_is_anothers() {
    let mut desk = desk();
    let first = desk.ask("ann", json!({"model": "m", "input": "secret"})).await.unwrap();
    let id = first["id"].clone();
    for action in [StoredAction::Retrieve, StoredAction::Delete, StoredAction::InputItems] {
        let error = desk.about("bob", &id, action, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{action:?}");
    }
    let item = first["output"][0]["id"].clone();
    let body = json!({"model": "m", "input": [{"type": "item_reference", "id": item}],
        "previous_response_id": id});
    desk.ask("bob", body).await.unwrap();
    // It goes on as it came: a provider may know it.
    assert_eq!(desk.input()[0]["type"], "item_reference");
    let seen = desk.seen.lock().unwrap();
    assert_eq!(
        seen.last().unwrap().member("previous_response_id").unwrap(),
        id.to_string().as_str()
    );
}

#[tokio::test]
async fn items_are_put_where_they_are_referred_to() {
    let mut desk = desk();
    let first = desk.ask("ann", json!({"model": "m", "input": "one"})).await.unwrap();
    let item = first["output"][0]["id"].clone();
    let body = json!({"model": "m", "input": [{"role": "user", "content": "one"},
        {"type": "item_reference", "id": item}, {"id": item}, {"role": "user", "content": "two"}]});
    let second = desk.ask("ann", body).await.unwrap();
    assert_eq!(texts(&desk.input()), ["one", "answer 1", "answer 1", "two"]);
    // What is kept is what was said, and no reference to what may be gone by then.
    desk.about("ann", &first["id"], StoredAction::Delete, "").await.unwrap();
    let body = json!({"model": "m", "input": "three", "previous_response_id": second["id"]});
    desk.ask("ann", body).await.unwrap();
    assert_eq!(texts(&desk.input()).len(), 6);
}

#[tokio::test]
async fn what_is_kept_is_told_listed_and_forgotten() {
    let mut desk = desk();
    let first = desk.ask("ann", json!({"model": "m", "input": "one"})).await.unwrap();
    let body = json!({"model": "m", "input": "two", "previous_response_id": first["id"]});
    let second = desk.ask("ann", body).await.unwrap();
    let id = &second["id"];
    let told = desk.about("ann", id, StoredAction::Retrieve, "").await.unwrap();
    assert_eq!(told, second);
    let all = desk.about("ann", id, StoredAction::InputItems, "?order=asc").await.unwrap();
    assert_eq!(texts(&all["data"]), ["one", "answer 1", "two"]);
    assert_eq!(all["has_more"], false);
    let page = desk.about("ann", id, StoredAction::InputItems, "?limit=2").await.unwrap();
    assert_eq!(texts(&page["data"]), ["two", "answer 1"]);
    assert_eq!(page["has_more"], true);
    let after = format!("?limit=2&after={}", page["last_id"].as_str().unwrap());
    let rest = desk.about("ann", id, StoredAction::InputItems, &after).await.unwrap();
    assert_eq!(texts(&rest["data"]), ["one"]);
    for (query, param) in [("?limit=0", "limit"), ("?order=up", "order"), ("?after=x", "after")] {
        let error = desk.about("ann", id, StoredAction::InputItems, query).await.unwrap_err();
        assert_eq!(error.param(), Some(param));
    }
    let error = desk.about("ann", id, StoredAction::Cancel, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let gone = desk.about("ann", &first["id"], StoredAction::Delete, "").await.unwrap();
    assert_eq!(gone["deleted"], true);
    let error = desk.about("ann", &first["id"], StoredAction::Retrieve, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // What was said before is lost to the second: it is not guessed.
    let body = json!({"model": "m", "input": "three", "previous_response_id": id});
    let error = desk.ask("ann", body).await.unwrap_err();
    assert_eq!(error.code(), Some("previous_response_not_found"));
}

#[tokio::test]
async fn an_answer_is_delivered_though_it_cannot_be_kept() {
    let mut desk = desk();
    let first = desk.ask("ann", json!({"model": "m", "input": "one"})).await.unwrap();
    *desk.shelf.broken.lock().unwrap() = true;
    for stream in [false, true] {
        let body = json!({"model": "m", "input": "one", "stream": stream});
        assert_eq!(desk.ask("ann", body).await.unwrap()["status"], "completed");
    }
    let body = json!({"model": "m", "input": "two", "previous_response_id": first["id"]});
    assert_eq!(desk.ask("ann", body).await.unwrap_err().kind(), ErrorKind::Overloaded);
}

#[tokio::test]
async fn a_conversation_has_a_bound() {
    let (shelf, seen) = (Arc::new(Shelf::default()), Seen::default());
    let store: Arc<dyn Store> = Arc::<Shelf>::clone(&shelf);
    let layer = ConversationLayer::new(RESPONSES, store).max_history(100);
    let mut desk = Desk { shelf, service: layer.layer(model(&seen)), seen };
    let body = json!({"model": "m", "input": "x".repeat(100)});
    let first = desk.ask("ann", body).await.unwrap();
    let body = json!({"model": "m", "input": "two", "previous_response_id": first["id"]});
    assert_eq!(desk.ask("ann", body).await.unwrap_err().kind(), ErrorKind::ContextLength);
}

#[tokio::test]
async fn other_dialects_and_what_cannot_be_read_pass() {
    let mut desk = desk();
    for body in
        [json!({"model": "m", "input": 7}), json!({"model": "m", "previous_response_id": 7})]
    {
        let service = desk.service.ready().await.unwrap();
        drop(service.call(call("ann", body.clone())).await.unwrap());
        let seen = desk.seen.lock().unwrap();
        let text = seen.last().unwrap().bytes().unwrap();
        assert_eq!(text, body.to_string());
    }
    let bytes = Bytes::from_static(br#"{"model":"m","messages":[],"store":true}"#);
    let payload = Payload::wire(OPENAI, Operation::Chat, bytes).unwrap();
    let other = Call::new(Call::chat("m").head().clone(), "m", false, payload);
    let service = desk.service.ready().await.unwrap();
    let mut reply = service.call(other).await.unwrap();
    assert!(matches!(reply.take_body(), ReplyBody::Answer(_)));
    let seen = desk.seen.lock().unwrap();
    assert_eq!(seen.last().unwrap().member("store").unwrap(), "true");
}
