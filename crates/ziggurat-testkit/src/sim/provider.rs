//! Providers, and the network between them and us.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde_json::Value;
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use ziggurat_core::{Body, Usage};

use super::chance::Chance;
use super::fault::Fault;
use super::report::AttemptRecord;
use super::wire::{Answer, Events, Sort, Wire, error_event, refusal};
use super::world::World;

/// The transport to one simulated provider. Made by [`World::provider`].
///
/// Answers are real bytes of OpenAI's or Anthropic's API, whole or streamed, cut at any byte, with pauses anywhere, and fail in
/// every way that is on. Every word of an answer begins with the number of the request that it answers, so that an answer which
/// is made of two is seen.
#[derive(Clone, Debug)]
pub struct SimTransport {
    world: World,
    name: Arc<str>,
}

impl SimTransport {
    pub(super) fn new(world: World, name: &str) -> Self {
        Self { world, name: name.into() }
    }

    /// What happens to the next requests at this provider, whatever the weather: one of these each, `None` for nothing.
    #[must_use]
    pub fn next(self, faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        let mut state = self.world.inner.lock();
        if let Some(provider) = state.providers.get_mut(self.name.as_ref()) {
            provider.next.extend(faults);
        }
        drop(state);
        self
    }
}

impl Service<Request<Body>> for SimTransport {
    type Response = Response<SimBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<SimBody>, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let world = self.world.clone();
        let exchange = Exchange::begin(&world, &self.name, &request);
        Box::pin(async move {
            let mut answering = Box::pin(exchange.answer());
            // An instance that was killed hears no more of its requests.
            std::future::poll_fn(|cx| {
                if world.instance.poll_crashed(cx).is_ready() {
                    return Poll::Ready(Err(killed()));
                }
                answering.as_mut().poll(cx)
            })
            .await
        })
    }
}

fn killed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the instance was killed")
}

/// What is wanted of the provider.
#[derive(Debug, Default)]
struct Asked {
    wire: Option<Wire>,
    question: Option<u64>,
    model: String,
    streamed: bool,
    usage: bool,
}

impl Asked {
    fn read(request: &Request<Body>) -> Self {
        let mut asked = Self { wire: Wire::of_path(request.uri().path()), ..Self::default() };
        let body = request.body().as_bytes().unwrap_or_default();
        let Ok(body) = serde_json::from_slice::<Value>(&body) else { return asked };
        asked.model = body["model"].as_str().unwrap_or_default().to_owned();
        asked.streamed = body["stream"] == Value::Bool(true);
        asked.usage = body["stream_options"]["include_usage"] == Value::Bool(true);
        let prompt = body["messages"].to_string();
        let digits = prompt.split_once("question ").map(|(_, rest)| rest);
        asked.question = digits.and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        });
        asked
    }
}

/// One request at a provider.
struct Exchange {
    open: Open,
    wire: Option<Wire>,
    fault: Option<Fault>,
    asked: Asked,
    answer: Answer,
    chance: Chance,
}

/// Keeps the provider's books about a request: as long as it is there, the request is in flight.
struct Open {
    world: World,
    provider: Arc<str>,
    index: usize,
    over: bool,
}

impl Exchange {
    fn begin(world: &World, provider: &Arc<str>, request: &Request<Body>) -> Self {
        let asked = Asked::read(request);
        let mut state = world.inner.lock();
        let index = state.report.attempts.len();
        let id = index as u64;
        let chance = Chance::new(world.seed() ^ id.rotate_left(32), provider);
        let now = world.elapsed();
        let fault = match state.providers.get_mut(provider.as_ref()) {
            Some(at) => {
                at.in_flight += 1;
                at.next.pop_front().unwrap_or_else(|| at.forecast.fate(now, &chance))
            }
            None => None,
        };
        let words = chance.between(1, if chance.percent(10) { 120 } else { 20 });
        let answer = Answer {
            attempt: id,
            model: asked.model.clone(),
            words: (0..words).map(|word| format!("a{id}w{word} ")).collect(),
            input: 10 + asked.question.unwrap_or(0) % 50,
        };
        let what = fault.map_or_else(|| "it will go well".to_owned(), |fault| format!("{fault:?}"));
        let question = asked.question.map_or_else(|| "nothing".to_owned(), |q| q.to_string());
        let instance = world.instance();
        let began = world.inner.note(
            &mut state,
            format_args!(
                "{provider}: attempt {id} asks {question} from instance {instance}: {what}"
            ),
        );
        state.report.attempts.push(AttemptRecord {
            id,
            question: asked.question,
            provider: provider.as_ref().to_owned(),
            model: asked.model.clone(),
            instance,
            streamed: asked.streamed,
            began,
            ended: None,
            fault,
            text: answer.text(),
            words: 0,
            told: None,
            used: Usage::new(0, 0),
            complete: false,
        });
        drop(state);
        let open =
            Open { world: world.clone(), provider: Arc::clone(provider), index, over: false };
        Self { open, wire: asked.wire, fault, asked, answer, chance }
    }

    async fn answer(self) -> io::Result<Response<SimBody>> {
        let ms = Duration::from_millis;
        let head = match self.fault {
            Some(Fault::Slow) => self.chance.time(ms(1000), ms(20_000)),
            _ => self.chance.time(ms(0), ms(800)),
        };
        // Zero is no wait at all: then the answer is there at the first poll.
        if !self.chance.percent(10) {
            sleep(head).await;
        }
        let Some(wire) = self.wire else {
            // A health check, a list of models.
            return Ok(self.respond(404, "application/json", vec![Piece::data("{}")]));
        };
        match self.fault {
            Some(Fault::Unreachable) => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"))
            }
            Some(Fault::HangBeforeHead) => std::future::pending().await,
            Some(Fault::Panic) if self.chance.percent(50) => {
                // Unlike `panic!` this prints nothing.
                std::panic::resume_unwind(Box::new("the transport fails"))
            }
            Some(
                fault @ (Fault::RateLimit
                | Fault::ServerError
                | Fault::Invalid
                | Fault::ContextLength
                | Fault::ContentPolicy),
            ) => Ok(self.refuse(wire, fault)),
            _ if self.asked.streamed => Ok(self.stream(wire)),
            _ => Ok(self.whole(wire)),
        }
    }

    fn refuse(self, wire: Wire, fault: Fault) -> Response<SimBody> {
        let (status, body) = refusal(wire, fault, &self.chance);
        let told = match fault {
            Fault::RateLimit => self.chance.percent(60),
            Fault::ServerError => self.chance.percent(20),
            _ => false,
        };
        let wait = self.chance.below(if self.chance.percent(10) { 300 } else { 20 });
        let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
        let mut response = self.respond(status, kind, vec![Piece::data(body)]);
        if told {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }

    fn whole(self, wire: Wire) -> Response<SimBody> {
        let chance = &self.chance;
        let (input, output) = (self.answer.input, self.answer.output());
        let all = self.answer.whole(wire);
        let said = vec![Sort::Usage(input, output)];
        let html = "<html><body>Welcome!</body></html>";
        let cut = |piece: &Bytes| piece.slice(..chance.index(piece.len()));
        let (kind, pieces) = match self.fault {
            Some(Fault::Empty) => ("application/json", Vec::new()),
            Some(Fault::ErrorEvent) => {
                let error = refusal(wire, Fault::Slow, &Chance::new(0, "error")).1;
                ("application/json", vec![Piece::data(error)])
            }
            Some(Fault::Malformed) if chance.percent(50) => ("text/html", vec![Piece::data(html)]),
            // JSON that breaks off, though the line does not.
            Some(Fault::Malformed | Fault::Cut) => {
                ("application/json", vec![Piece::Data(cut(&all), Vec::new())])
            }
            Some(Fault::Reset) => {
                ("application/json", vec![Piece::Data(cut(&all), Vec::new()), Piece::Reset])
            }
            Some(Fault::HangInBody) => {
                ("application/json", vec![Piece::Data(cut(&all), Vec::new()), Piece::Hang])
            }
            Some(Fault::Panic) => {
                ("application/json", vec![Piece::Data(cut(&all), Vec::new()), Piece::Panic])
            }
            _ => {
                let at = chance.index(all.len());
                let first = Piece::Data(all.slice(..at), Vec::new());
                let pause = Piece::Wait(self.pause());
                ("application/json", vec![first, pause, Piece::Data(all.slice(at..), said)])
            }
        };
        self.respond(200, kind, pieces)
    }

    fn stream(self, wire: Wire) -> Response<SimBody> {
        let chance = &self.chance;
        let mut events = self.answer.events(wire, self.asked.usage, chance);
        let mut end = Vec::new();
        let mut kind = "text/event-stream; charset=utf-8";
        let mut most = usize::MAX;
        let terminator = events.len().saturating_sub(1);
        let before_end: usize = events[..terminator].iter().map(|(event, _)| event.len()).sum();
        match self.fault {
            Some(Fault::Empty) => {
                events = match chance.below(3) {
                    0 => Vec::new(),
                    1 => vec![(": keep-alive\n\n".to_owned(), Sort::Plain)],
                    _ => events.pop().into_iter().collect(),
                };
            }
            Some(Fault::ErrorEvent) => {
                // As often before content as after it.
                let most = if chance.percent(50) { 2 } else { events.len() };
                events.truncate(chance.index(most.min(events.len())));
                events.push((error_event(wire), Sort::Plain));
                if wire == Wire::OpenAi && chance.percent(30) {
                    events.push(("data: [DONE]\n\n".to_owned(), Sort::Terminator));
                }
            }
            Some(Fault::Malformed) if chance.percent(40) => {
                kind = "text/html";
                events = vec![("<html><body>Welcome!</body></html>".to_owned(), Sort::Plain)];
            }
            Some(Fault::Malformed) => {
                // Before its last word: what says why it ends never comes.
                let last = events.iter().rposition(|(_, sort)| *sort == Sort::Word);
                events.truncate(chance.index(last.unwrap_or_default()));
                events.push(("data: {\"choices\":[{\"delta\"\n\n".to_owned(), Sort::Plain));
            }
            Some(Fault::Reset) => {
                most = chance.index(before_end);
                end.push(Piece::Reset);
            }
            Some(Fault::Cut) => most = chance.index(before_end),
            Some(Fault::HangInBody) => {
                most = chance.index(before_end);
                end.push(Piece::Hang);
            }
            Some(Fault::Panic) => {
                most = chance.index(before_end);
                end.push(Piece::Panic);
            }
            _ => {}
        }
        let mut pieces = self.cut(events, most);
        pieces.extend(end);
        self.respond(200, kind, pieces)
    }

    /// Cuts a stream into what comes in one read each, up to so many bytes.
    fn cut(&self, events: Events, most: usize) -> Vec<Piece> {
        let chance = &self.chance;
        // Where each event is all there.
        let mut ends = VecDeque::with_capacity(events.len());
        let mut all = Vec::new();
        for (event, sort) in &events {
            // An event may be read without its blank line, when nothing follows.
            ends.push_back((all.len() + event.trim_end().len(), *sort));
            all.extend_from_slice(event.as_bytes());
        }
        let all = Bytes::from(all);
        let most = most.min(all.len());
        let manner = chance.below(4);
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < most {
            let length = match manner {
                // An event a read.
                0 => ends.front().map_or(most, |(end, _)| (*end + 2).saturating_sub(at)),
                // All in one.
                1 => most,
                // A few bytes.
                2 => chance.index(40) + 1,
                _ => chance.index(600) + 1,
            };
            let end = (at + length.max(1)).min(most);
            let mut sorts = Vec::new();
            while ends.front().is_some_and(|(event, _)| *event <= end) {
                sorts.extend(ends.pop_front().map(|(_, sort)| sort));
            }
            pieces.push(Piece::Data(all.slice(at..end), sorts));
            at = end;
            // Several pieces are often there at once.
            if at < most && !chance.percent(60) {
                pieces.push(Piece::Wait(self.pause()));
            }
        }
        if chance.percent(30) {
            // The end of the body comes later than its last bytes.
            pieces.push(Piece::Wait(self.pause()));
        }
        pieces
    }

    fn pause(&self) -> Duration {
        let ms = Duration::from_millis;
        match self.fault {
            Some(Fault::Slow) => self.chance.time(ms(1000), ms(15_000)),
            _ => self.chance.time(ms(0), ms(150)),
        }
    }

    fn respond(self, status: u16, kind: &'static str, pieces: Vec<Piece>) -> Response<SimBody> {
        let id = self.open.index;
        let exact = pieces.iter().all(|piece| matches!(piece, Piece::Data(..) | Piece::Wait(_)));
        let length = (exact && self.chance.percent(50))
            .then(|| pieces.iter().map(|piece| piece.len() as u64).sum());
        let body = SimBody {
            pieces: pieces.into(),
            sleep: None,
            open: Some(self.open),
            input: self.answer.input,
            length,
            early: self.chance.percent(50),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let id = HeaderValue::try_from(format!("req_{id}")).ok();
        for name in ["x-request-id", "request-id"] {
            response
                .headers_mut()
                .extend(id.clone().map(|id| (http::HeaderName::from_static(name), id)));
        }
        response
    }
}

/// What comes next out of a body.
enum Piece {
    Data(Bytes, Vec<Sort>),
    Wait(Duration),
    Reset,
    Hang,
    Panic,
}

impl Piece {
    fn data(text: impl Into<Bytes>) -> Self {
        Self::Data(text.into(), Vec::new())
    }

    fn len(&self) -> usize {
        match self {
            Self::Data(data, _) => data.len(),
            _ => 0,
        }
    }
}

/// The body of a simulated provider's answer.
pub struct SimBody {
    pieces: VecDeque<Piece>,
    sleep: Option<Pin<Box<Sleep>>>,
    open: Option<Open>,
    input: u64,
    length: Option<u64>,
    /// Whether the end is known with the last bytes, as it is where a length was announced.
    early: bool,
}

impl HttpBody for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let Some(open) = &mut this.open else { return Poll::Ready(None) };
        if open.world.instance.poll_crashed(cx).is_ready() {
            this.open = None;
            return Poll::Ready(Some(Err(killed())));
        }
        loop {
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            match this.pieces.pop_front() {
                None => {
                    open.end("read to its end", true);
                    this.open = None;
                    return Poll::Ready(None);
                }
                Some(Piece::Wait(time)) => this.sleep = Some(Box::pin(sleep(time))),
                Some(Piece::Data(data, sorts)) => {
                    open.sent(&sorts, this.input);
                    this.length = this.length.map(|left| left.saturating_sub(data.len() as u64));
                    if this.early && this.pieces.is_empty() {
                        open.end("read to its end", true);
                        this.open = None;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Piece::Reset) => {
                    open.end("reset", false);
                    this.open = None;
                    let reset = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
                    return Poll::Ready(Some(Err(reset)));
                }
                Some(Piece::Hang) => {
                    this.pieces.push_front(Piece::Hang);
                    return Poll::Pending;
                }
                Some(Piece::Panic) => {
                    open.end("panic", false);
                    this.open = None;
                    std::panic::resume_unwind(Box::new("the transport fails"));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Open {
    /// Takes note of what was sent.
    fn sent(&self, sorts: &[Sort], input: u64) {
        let mut state = self.world.inner.lock();
        let Some(record) = state.report.attempts.get_mut(self.index) else { return };
        for sort in sorts {
            match sort {
                Sort::Plain => {}
                Sort::Word => {
                    record.words += 1;
                    record.used = Usage::new(input, record.words);
                }
                Sort::Usage(input, output) => {
                    record.told = Some(Usage::new(*input, *output));
                    let seen = record.used.total_output().max(*output);
                    record.used = Usage::new(*input, seen);
                    if !record.streamed {
                        record.words = *output;
                    }
                }
                Sort::Terminator => record.used = Usage::new(input, record.used.total_output()),
            }
        }
    }

    fn end(&mut self, how: &str, complete: bool) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let mut state = self.world.inner.lock();
        if let Some(provider) = state.providers.get_mut(self.provider.as_ref()) {
            provider.in_flight = provider.in_flight.saturating_sub(1);
        }
        let (provider, index) = (&self.provider, self.index);
        let words = state.report.attempts.get(index).map_or(0, |record| record.words);
        let line = format!("{provider}: attempt {index} is over after {words} words: {how}");
        let now = self.world.inner.note(&mut state, format_args!("{line}"));
        if let Some(record) = state.report.attempts.get_mut(index) {
            record.ended = Some(now);
            record.complete = complete;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end("given up", false);
    }
}
