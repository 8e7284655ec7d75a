//! Models that need no provider: to try the gateway, and for tests.
//!
//! `mock/echo` answers with what the user said last, any other `mock/…` with a sentence of its own,
//! and a deployment with a `mock_response` with that text. Answers are typed, so that they reach
//! callers of every dialect; a streamed one comes word by word. The vector of a text is the same each
//! time, and means nothing. Tokens are [estimated](crate::estimate), and marked so.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tower_service::Service;
use ziggurat_core::{
    Ambient, Answer, Call, Chat, ChatReply, Choice, Embed, EmbedInput, Embeddings, Error,
    ErrorKind, Event, Frame, Frames, Message, Operation, Part, PartId, PartKind, RawJson, Reply,
    Role, Start, Stop, StopReason, Str, System, Typed, Usage, Vector,
};

use crate::estimate;

/// The provider whose models are answered here.
pub const PROVIDER: &str = "mock";
/// The model that repeats what it is told.
pub const ECHO: &str = "echo";

const CANNED: &str = "This is a mock answer: no model was asked.";

/// Answers calls without asking anybody.
#[derive(Clone, Debug)]
pub struct Mock(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    id: Str,
    /// `None` answers by the name of the model.
    says: Option<Str>,
}

impl Mock {
    /// Answers as the model that is asked for: `echo`, or any other.
    pub fn new(id: impl Into<Str>) -> Self {
        Self(Arc::new(Settings { id: id.into(), says: None }))
    }

    /// Answers with this text.
    pub fn saying(id: impl Into<Str>, text: impl Into<Str>) -> Self {
        Self(Arc::new(Settings { id: id.into(), says: Some(text.into()) }))
    }

    /// Answers a call, at once.
    ///
    /// # Errors
    ///
    /// When the call's body cannot be read.
    pub fn answer(&self, call: &Call) -> Result<Reply, Error> {
        if let Some(scope) = call.scope() {
            scope.set_deployment(self.0.id.clone());
        }
        let mut reply = match call.operation() {
            Operation::CountTokens => estimate::reply(call, PROVIDER)?,
            Operation::Chat => self.speak(call, call.payload().chat()?),
            Operation::Embeddings => match call.payload().decode()? {
                Typed::Embed(embed) => vectors(embed),
                _ => return Err(unknown(call.operation())),
            },
            other => return Err(unknown(other)),
        };
        reply.head_mut().deployment = Some(self.0.id.clone());
        reply.head_mut().model = Some(call.model().clone());
        Ok(reply)
    }

    fn speak(&self, call: &Call, chat: &Chat) -> Reply {
        let text = self.text(call.model(), chat);
        let input = chat.estimated_input_tokens();
        let usage = Usage::new(input, estimate::text_tokens(&text)).estimated();
        let mut start = Start::new(format!("mock-{}", call.id()), call.model().clone());
        if call.is_streamed() {
            start.usage = Some(Usage::new(input, 0).estimated());
            Reply::frames(Words::new(start, text, usage))
        } else {
            Reply::answer(Answer::Chat(Box::new(whole(start, text, usage))))
        }
    }

    fn text(&self, model: &str, chat: &Chat) -> Str {
        match &self.0.says {
            Some(text) => text.clone(),
            None if model == ECHO => last_said(chat),
            None => Str::from_static(CANNED),
        }
    }
}

impl Service<Call> for Mock {
    type Response = Reply;
    type Error = Error;
    type Future = Ready<Result<Reply, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ready(self.answer(&call))
    }
}

fn unknown(operation: Operation) -> Error {
    let message = format!("the mock provider has no such operation: {operation}");
    Error::new(ErrorKind::Unsupported, message)
}

/// How many numbers a vector has where nobody says how many.
const NUMBERS: u32 = 8;
/// The most numbers that are made.
const MOST_NUMBERS: u32 = 4096;

/// Vectors of length one, made of digests.
fn vectors(embed: &Embed) -> Reply {
    let numbers = embed.dimensions.unwrap_or(NUMBERS).clamp(1, MOST_NUMBERS);
    let vector = |input: &EmbedInput| {
        let text = match input {
            EmbedInput::Text(text) | EmbedInput::Image(text) => text.as_str(),
            EmbedInput::Tokens(raw) | EmbedInput::Other(raw) => raw.get(),
            _ => "",
        };
        let number = |index: u32| {
            let digest = Sha256::new().chain_update(index.to_le_bytes()).chain_update(text);
            f32::from(digest.finalize()[0]) - 127.5
        };
        let numbers: Vec<f32> = (0..numbers).map(number).collect();
        let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
        let numbers: Vec<f32> = numbers.iter().map(|number| number / length).collect();
        Vector::Floats(RawJson::of(&numbers).unwrap_or(RawJson::NULL))
    };
    let mut embeddings = Embeddings::new(embed.inputs.iter().map(vector).collect());
    embeddings.usage = Some(Usage::new(embed.estimated_tokens(), 0).estimated());
    Reply::answer(Answer::Embeddings(Box::new(embeddings)))
}

/// The text of the user's last message.
fn last_said(chat: &Chat) -> Str {
    let user = |message: &&Message| message.role == Role::User;
    let parts = chat.messages.iter().rfind(user).map_or(&[][..], |message| &message.parts);
    let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
    match texts.as_slice() {
        [] => Str::from_static("You said nothing."),
        texts => Str::from(texts.join("\n")),
    }
}

fn whole(start: Start, text: Str, usage: Usage) -> ChatReply {
    let mut reply = ChatReply::new(start.id, start.model);
    reply.created = Some(now());
    reply.choices = vec![Choice::new(0, vec![Part::text(text)], Stop::new(StopReason::Stop))];
    reply.usage = Some(usage);
    reply
}

fn now() -> u64 {
    System.unix_time().as_secs()
}

/// A text, word by word.
struct Words {
    next: Next,
    text: Str,
    usage: Usage,
}

enum Next {
    Start(Box<Start>),
    /// What is left of the text begins here.
    Word(usize),
    End,
    Nothing,
}

impl Words {
    fn new(mut start: Start, text: Str, usage: Usage) -> Self {
        start.created = Some(now());
        Self { next: Next::Start(Box::new(start)), text, usage }
    }

    fn frame(&mut self) -> Option<Frame> {
        let part = PartId::first(0);
        let events = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Start(start) => {
                self.next = if self.text.is_empty() { Next::End } else { Next::Word(0) };
                let kind = Box::new(PartKind::Text);
                vec![Event::Start(start), Event::PartStart { part, kind }]
            }
            Next::Word(from) => {
                let rest = &self.text[from..];
                let length = word(rest);
                let text = self.text.slice_ref(&rest[..length]);
                let more = length < rest.len();
                self.next = if more { Next::Word(from + length) } else { Next::End };
                vec![Event::Text { part, text }]
            }
            Next::End => {
                let stop = Box::new(Stop::new(StopReason::Stop));
                vec![
                    Event::PartEnd { part },
                    Event::Usage(Box::new(self.usage)),
                    Event::Stop { choice: 0, stop },
                    Event::End,
                ]
            }
            Next::Nothing => return None,
        };
        Some(Frame::of_events(events))
    }
}

/// The length of the first word, with the white space after it.
fn word(text: &str) -> usize {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text[end..].find(|c: char| !c.is_whitespace()).map_or(text.len(), |space| end + space)
}

impl Frames for Words {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        Poll::Ready(self.frame().map(Ok))
    }

    fn decodes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use ziggurat_core::{Facts, ReplyBody};

    use super::*;

    async fn ask(mut mock: Mock, call: Call) -> Reply {
        mock.call(call).await.unwrap()
    }

    async fn said(mock: Mock, call: Call) -> ChatReply {
        match ask(mock, call).await.take_body() {
            ReplyBody::Answer(Answer::Chat(reply)) => *reply,
            other => panic!("{other:?}"),
        }
    }

    async fn events(mut reply: Reply) -> (Vec<Event>, usize) {
        let (mut events, mut frames) = (Vec::new(), 0);
        while let Some(frame) = poll_fn(|cx| reply.poll_frame(cx)).await {
            events.extend(frame.unwrap().events().unwrap().iter().cloned());
            frames += 1;
        }
        (events, frames)
    }

    #[tokio::test]
    async fn the_echo_repeats_what_was_said_last() {
        let call =
            Call::chat("echo").system("Be brief.").user("one").assistant("two").user("three");
        let reply = said(Mock::new("m"), call).await;
        assert_eq!(reply.text(), "three");
        let usage = reply.usage.unwrap();
        assert!(usage.estimated && usage.total_input() > 0);
        assert_eq!(usage.output, Some(2));
        let silent = said(Mock::new("m"), Call::chat("echo")).await;
        assert_eq!(silent.text(), "You said nothing.");
    }

    #[tokio::test]
    async fn others_have_an_answer_of_their_own() {
        assert_eq!(said(Mock::new("m"), Call::chat("gpt").user("hi")).await.text(), CANNED);
        let call = Call::chat("gpt").user("hi");
        assert_eq!(said(Mock::saying("m", "configured"), call).await.text(), "configured");
    }

    #[tokio::test]
    async fn a_stream_comes_word_by_word_and_keeps_the_promises_of_events() {
        let text = " héllo  wörld,\nthis is\tit ";
        let reply = ask(Mock::new("m"), Call::chat("echo").user(text).streamed()).await;
        let (events, frames) = events(reply).await;
        assert_eq!(frames, 8, "a start, six pieces, an end");
        let mut spoken = String::new();
        for event in &events {
            if let Event::Text { text, .. } = event {
                assert!(!text.is_empty());
                spoken.push_str(text);
            }
        }
        assert_eq!(spoken, text);
        let name = |event: &Event| format!("{event:?}").chars().take(6).collect::<String>();
        let names: Vec<String> =
            events.iter().filter(|e| !matches!(e, Event::Text { .. })).map(name).collect();
        assert_eq!(names, ["Start(", "PartSt", "PartEn", "Usage(", "Stop {", "End"]);
    }

    #[tokio::test]
    async fn an_empty_answer_is_an_answer() {
        let reply = ask(Mock::saying("m", ""), Call::chat("x").user("hi").streamed()).await;
        let (events, frames) = events(reply).await;
        assert_eq!((events.len(), frames), (6, 2));
    }

    #[tokio::test]
    async fn the_last_frame_settles_the_call() {
        let mut reply = ask(Mock::new("m"), Call::chat("echo").user("a b").streamed()).await;
        let mut last = Facts::NONE;
        while let Some(frame) = poll_fn(|cx| reply.poll_frame(cx)).await {
            last = frame.unwrap().facts();
        }
        assert!(last.has(Facts::TERMINATOR | Facts::USAGE | Facts::STOP));
    }
}
