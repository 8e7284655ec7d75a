//! Callers that keep a stream open each, and write down how every single call ended.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use ziggurat_benches::{
    answer::{Dialect, WORD},
    http1::{Decoder, Head},
    needle::Needle,
    prompt::Prompt,
    script::Script,
};

/// Longest exchange: longer than every clock of the gateway together.
const DEADLINE: Duration = Duration::from_secs(180);
const BUFFER: usize = 32 << 10;
/// After a refusal a caller waits, as one that heeds `Retry-After` does.
const PAUSE: Duration = Duration::from_millis(500);
/// How many prompts are sent again and again, so that a cache has something to do.
const POPULAR: u64 = 64;

/// What a call asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) number: u64,
    pub(crate) model: &'static str,
}

/// How a call ended for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With every word once, and the terminator.
    Complete,
    /// In the middle, with an error in the caller's dialect.
    Told,
    /// With a status, and an error in the caller's dialect.
    Refused(u16),
    /// The caller had enough.
    Left,
    /// In a way it must not.
    Wrong(String),
}

/// What all callers have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) gateway: SocketAddr,
    pub(crate) words: u32,
    pub(crate) delay: Duration,
    pub(crate) numbers: Arc<AtomicU64>,
    pub(crate) over: Arc<AtomicBool>,
    /// Streams that callers read now.
    pub(crate) open: Arc<AtomicU64>,
}

/// Calls until it is over. Every call is in what comes back.
pub(crate) async fn call(plan: Plan, seed: u64) -> Vec<(Asked, End)> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut connection = None;
    let mut ends = Vec::new();
    // Not all at once.
    tokio::time::sleep(plan.delay * chance.u32(..plan.words.max(1))).await;
    while !plan.over.load(Ordering::Relaxed) {
        let number = plan.numbers.fetch_add(1, Ordering::Relaxed);
        let call = Call::by_chance(&plan, number, &mut chance);
        let asked = Asked { number, model: call.model };
        plan.open.fetch_add(1, Ordering::Relaxed);
        let end = match timeout(DEADLINE, call.exchange(&plan, &mut connection)).await {
            Ok(end) => end,
            Err(_) => End::Wrong(format!("no end within {} s", DEADLINE.as_secs())),
        };
        plan.open.fetch_sub(1, Ordering::Relaxed);
        let refused = matches!(end, End::Refused(_));
        ends.push((asked, end));
        if refused && !plan.over.load(Ordering::Relaxed) {
            tokio::time::sleep(PAUSE).await;
        }
    }
    ends
}

struct Call {
    bytes: Vec<u8>,
    dialect: Dialect,
    model: &'static str,
    stream: bool,
    words: u32,
    /// Leaves after so many words.
    leaves_at: Option<u64>,
}

impl Call {
    fn by_chance(plan: &Plan, number: u64, chance: &mut fastrand::Rng) -> Self {
        let dialect = if chance.u32(..3) == 0 { Dialect::Anthropic } else { Dialect::Openai };
        let model = match chance.u32(..100) {
            0..60 => "chat",
            60..85 => "claude",
            85..95 => "lone",
            _ => "tight",
        };
        let popular = chance.u32(..10) == 0;
        let stream = popular || chance.u32(..10) > 0;
        let words = if popular { plan.words / 2 } else { chance.u32(plan.words / 2..=plan.words) };
        let leaves = !popular && stream && chance.u32(..50) == 0;
        let script = Script::paced(words, plan.delay);
        let prompt = Prompt {
            dialect,
            model: model.to_owned(),
            size: 2 << 10,
            // Whole answers are the same whatever their prompt says; the script is how long they take.
            stream: stream.then_some(script),
            key: "sk-soak".to_owned(),
        };
        let request = prompt.request("localhost");
        let nonce = if popular { number % POPULAR } else { POPULAR + number };
        let mut bytes = request.numbered(nonce);
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.splice(line..line, format!("x-request-id: {number}\r\n").into_bytes());
        Self {
            bytes,
            dialect,
            model,
            stream,
            words: request.words,
            leaves_at: leaves.then(|| chance.u64(..u64::from(words))),
        }
    }

    async fn exchange(&self, plan: &Plan, kept: &mut Option<TcpStream>) -> End {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match TcpStream::connect(plan.gateway).await {
                Ok(connection) => connection,
                Err(error) => return End::Wrong(format!("no connection: {}", error.kind())),
            },
        };
        match self.talk(&mut connection).await {
            Ok((end, serves_again)) => {
                if serves_again {
                    *kept = Some(connection);
                }
                end
            }
            Err(why) => End::Wrong(why),
        }
    }

    /// How it ended, and whether the connection serves again.
    async fn talk(&self, connection: &mut TcpStream) -> Result<(End, bool), String> {
        let broken = |error: std::io::Error| format!("the connection broke: {}", error.kind());
        connection.set_nodelay(true).map_err(broken)?;
        connection.write_all(&self.bytes).await.map_err(broken)?;
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        let read = async |connection: &mut TcpStream, buffer: &mut [u8]| match connection
            .read(buffer)
            .await
        {
            Ok(0) => Err("the connection ended before the answer".to_owned()),
            Ok(count) => Ok(count),
            Err(error) => Err(broken(error)),
        };
        let head = loop {
            filled += read(connection, &mut buffer[filled..]).await?;
            let head = Head::response(&buffer[..filled]);
            if let Some(head) = head.map_err(|error| format!("no HTTP: {error}"))? {
                break head;
            }
        };
        let mut body = Decoder::new(head.framing);
        let mut heard = Heard::new(self.dialect, self.stream);
        let mut from = head.len;
        loop {
            let fed = body.feed(&buffer[from..filled], |piece| heard.feed(piece));
            fed.map_err(|error| format!("bad framing: {error}"))?;
            if body.is_done() {
                break;
            }
            if head.status == 200 && self.leaves_at.is_some_and(|at| heard.words.count() > at) {
                return Ok((End::Left, false));
            }
            from = 0;
            filled = read(connection, &mut buffer).await?;
        }
        Ok((heard.end(head.status, self.words), !head.close))
    }
}

/// What there is in an answer.
struct Heard {
    words: Needle,
    terminator: Needle,
    finish: Needle,
    error: Needle,
    stream: bool,
}

impl Heard {
    fn new(dialect: Dialect, stream: bool) -> Self {
        let (finish, told) = match dialect {
            Dialect::Openai => ("\"finish_reason\":\"stop\"", "data: {\"error\":"),
            Dialect::Anthropic => ("\"stop_reason\":\"end_turn\"", "event: error\n"),
        };
        Self {
            words: Needle::new(WORD),
            terminator: Needle::new(dialect.terminator(stream)),
            finish: Needle::new(finish),
            error: Needle::new(if stream { told } else { "\"error\":" }),
            stream,
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        for needle in [&mut self.words, &mut self.terminator, &mut self.finish, &mut self.error] {
            needle.feed(piece);
        }
    }

    fn end(&self, status: u16, asked: u32) -> End {
        let (words, asked) = (self.words.count(), u64::from(asked));
        let (terminators, errors) = (self.terminator.count(), self.error.count());
        if status != 200 {
            return match words {
                0 => End::Refused(status),
                _ => End::Wrong(format!("status {status} with text")),
            };
        }
        if words > asked {
            return End::Wrong(format!("{words} words of {asked}: some came twice"));
        }
        match (terminators, errors) {
            (1, 0) if words == asked && self.finish.count() == 1 => End::Complete,
            (1, 0) => End::Wrong(format!("a clean end after {words} words of {asked}")),
            (0, 1) if self.stream && self.finish.count() == 0 => End::Told,
            (0, 0) => End::Wrong(format!("an end without a word about it, after {words} words")),
            _ => End::Wrong(format!(
                "{terminators} terminators, {errors} errors, {} reasons, {words} words of {asked}",
                self.finish.count()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(dialect: Dialect, text: &str) -> End {
        let mut heard = Heard::new(dialect, true);
        for piece in text.as_bytes().chunks(7) {
            heard.feed(piece);
        }
        heard.end(200, 2)
    }

    #[test]
    fn only_what_is_whole_or_told_is_right() {
        let stop = r#"{"finish_reason":"stop"}"#;
        let done = "data: [DONE]\n\n";
        let error = "data: {\"error\":{}}\n\n";
        let two = WORD.repeat(2);
        for (text, right) in [
            (format!("{two}{stop}{done}"), Some(End::Complete)),
            (format!("{WORD}{error}"), Some(End::Told)),
            (format!("{WORD}{stop}{done}"), None),
            (format!("{two}{done}"), None),
            (format!("{two}{WORD}{stop}{done}"), None),
            (format!("{two}{stop}"), None),
            (WORD.to_owned(), None),
            (format!("{two}{stop}{error}"), None),
            (format!("{two}{stop}{done}{error}"), None),
        ] {
            match right {
                Some(right) => assert_eq!(heard(Dialect::Openai, &text), right, "{text}"),
                None => {
                    assert!(matches!(heard(Dialect::Openai, &text), End::Wrong(_)), "{text}");
                }
            }
        }
        assert_eq!(heard(Dialect::Anthropic, "event: error\ndata: {}"), End::Told);
    }
}
