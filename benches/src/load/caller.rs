//! One caller: a connection, a request in flight, an answer checked to its last byte.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    answer::WORD,
    http1::{Decoder, Head},
    needle::Needle,
    prompt::Request,
};

/// Longest exchange; no scenario's streams last nearly as long.
const DEADLINE: Duration = Duration::from_secs(30);
/// Size of the read buffer, and with it the longest head.
const BUFFER: usize = 64 << 10;
/// How much of a refusal is kept to show.
const REFUSAL_SHOWN: usize = 200;

/// When the parts of an answer came, counted from the start of its request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// The first byte of the head.
    pub first_byte: Duration,
    /// The first read that held [`WORD`]: the first token, for a stream.
    pub first_word: Duration,
    /// The longest silence between two reads of the body.
    pub longest_gap: Duration,
    /// The last byte.
    pub total: Duration,
}

/// What can be wrong with an answer.
#[derive(Debug)]
pub enum Fault {
    /// The connection failed, or ended where it should not.
    Connection(io::Error),
    /// What came was not HTTP/1.1.
    Malformed(anyhow::Error),
    /// The status was not 200; with the start of what came after the head.
    Refused(u16, String),
    /// The answer ended well but some of its text was missing, or came twice.
    Words {
        /// How many were asked for.
        asked: u32,
        /// How many came.
        came: u64,
    },
    /// The answer ended without the dialect's terminator, or had more than one.
    Terminator,
    /// The answer took longer than any should.
    Late,
}

/// A connection with at most one request in flight.
#[derive(Debug)]
pub struct Caller {
    server: SocketAddr,
    connection: Option<TcpStream>,
    buffer: Vec<u8>,
    /// Makes every request another one.
    numbers: Option<fastrand::Rng>,
}

impl Caller {
    /// A caller that connects when it first has something to say.
    pub fn new(server: SocketAddr) -> Self {
        Self { server, connection: None, buffer: Vec::new(), numbers: None }
    }

    /// Sends no request twice, so that nobody answers one from memory.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.numbers = Some(fastrand::Rng::new());
        self
    }

    /// Sends `request` and reads its answer to the end.
    ///
    /// # Errors
    ///
    /// When there is no answer or it is not complete; the connection is dropped then.
    pub async fn exchange(&mut self, request: &Request) -> Result<Timing, Fault> {
        self.bounded(request, false).await
    }

    /// Sends `request` and reads its answer up to the first word. The connection stays as it is, so that
    /// this caller has nothing more to say.
    ///
    /// # Errors
    ///
    /// When there is no such answer.
    pub async fn open(&mut self, request: &Request) -> Result<Timing, Fault> {
        self.bounded(request, true).await
    }

    async fn bounded(&mut self, request: &Request, leave_open: bool) -> Result<Timing, Fault> {
        let done = timeout(DEADLINE, self.talk(request, leave_open)).await;
        let done = done.unwrap_or(Err(Fault::Late));
        if done.is_err() {
            self.connection = None;
        }
        done
    }

    async fn talk(&mut self, request: &Request, leave_open: bool) -> Result<Timing, Fault> {
        let numbered = self.numbers.as_mut().map(|numbers| request.numbered(numbers.u64(..)));
        let bytes = numbered.as_deref().unwrap_or(&request.bytes);
        let start = Instant::now();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            unset => unset.insert(connect(self.server).await?),
        };
        connection.write_all(bytes).await?;

        self.buffer.resize(BUFFER, 0);
        let mut filled = 0;
        let mut timing = Timing::default();
        let head = loop {
            filled += read(connection, &mut self.buffer[filled..]).await?;
            if timing.first_byte.is_zero() {
                timing.first_byte = start.elapsed();
            }
            if let Some(head) = Head::response(&self.buffer[..filled]).map_err(Fault::Malformed)? {
                break head;
            }
        };
        if head.status != 200 {
            let rest = &self.buffer[head.len..filled.min(head.len + REFUSAL_SHOWN)];
            return Err(Fault::Refused(head.status, String::from_utf8_lossy(rest).into_owned()));
        }

        let mut decoder = Decoder::new(head.framing);
        let mut check = Check::new(request);
        let mut last_read = start.elapsed();
        let mut from = head.len;
        loop {
            let fed = decoder.feed(&self.buffer[from..filled], |piece| check.feed(piece));
            fed.map_err(Fault::Malformed)?;
            if timing.first_word.is_zero() && check.words.found() {
                timing.first_word = last_read;
                if leave_open {
                    return Ok(timing);
                }
            }
            if decoder.is_done() {
                break;
            }
            from = 0;
            filled = match read(connection, &mut self.buffer).await {
                Err(_) if decoder.ends_with_connection() => break,
                read => read?,
            };
            let now = start.elapsed();
            timing.longest_gap = timing.longest_gap.max(now - last_read);
            last_read = now;
        }
        timing.total = last_read;
        if head.close {
            self.connection = None;
        }
        check.verdict()?;
        Ok(timing)
    }
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect(server).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Reads at least one byte.
async fn read(connection: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match connection.read(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// What an answer must hold against what it holds.
struct Check {
    words: Needle,
    terminator: Needle,
    asked: u32,
}

impl Check {
    fn new(request: &Request) -> Self {
        let terminator = Needle::new(request.terminator);
        Self { words: Needle::new(WORD), terminator, asked: request.words }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.words.feed(piece);
        self.terminator.feed(piece);
    }

    fn verdict(&self) -> Result<(), Fault> {
        if self.words.count() != u64::from(self.asked) {
            return Err(Fault::Words { asked: self.asked, came: self.words.count() });
        }
        if self.terminator.count() == 1 { Ok(()) } else { Err(Fault::Terminator) }
    }
}

// === impl Fault ===

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "connection: {}", error.kind()),
            Self::Malformed(error) => write!(f, "malformed answer: {error}"),
            Self::Refused(status, body) => write!(f, "status {status}: {body}"),
            Self::Words { asked, came } => write!(f, "{came} words of {asked}"),
            Self::Terminator => f.write_str("no terminator, or more than one"),
            Self::Late => write!(f, "no answer within {} s", DEADLINE.as_secs()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        answer::{Dialect, Stream, whole},
        prompt::Prompt,
        script::Script,
    };

    /// Serves `answer` to one connection, then closes it.
    async fn served(answer: Vec<u8>, stream: Option<u32>) -> Result<Timing, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            assert!(connection.read(&mut buffer).await.unwrap() > 0);
            connection.write_all(&answer).await.unwrap();
        });
        let prompt = Prompt {
            dialect: Dialect::Openai,
            model: "gpt-4o".to_owned(),
            size: 512,
            stream: stream.map(|chunks| Script::paced(chunks, Duration::ZERO)),
            key: "sk-x".to_owned(),
        };
        Caller::new(server).exchange(&prompt.request("localhost")).await
    }

    fn streamed(chunks: u32) -> Vec<u8> {
        let stream = Stream::new(Dialect::Openai, false);
        let mut answer = stream.opening.clone();
        answer.extend_from_slice(&stream.several(chunks));
        answer.extend_from_slice(&stream.closing);
        answer
    }

    #[tokio::test]
    async fn a_complete_answer_is_timed() {
        let timing = served(whole(Dialect::Openai), None).await.unwrap();
        assert!(timing.first_byte <= timing.total);
        let timing = served(streamed(5), Some(5)).await.unwrap();
        assert!(timing.first_word > Duration::ZERO);
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_is_a_fault() {
        let answer = streamed(5);
        for cut in [10, answer.len() / 2, answer.len() - 1] {
            let fault = served(answer[..cut].to_vec(), Some(5)).await.unwrap_err();
            assert!(matches!(fault, Fault::Connection(_)), "cut at {cut}: {fault}");
        }
    }

    #[tokio::test]
    async fn a_lost_event_is_a_fault() {
        let fault = served(streamed(4), Some(5)).await.unwrap_err();
        assert!(matches!(fault, Fault::Words { asked: 5, came: 4 }), "{fault}");
    }

    #[tokio::test]
    async fn a_well_framed_answer_without_a_terminator_is_a_fault() {
        let stream = Stream::new(Dialect::Openai, false);
        let mut answer = stream.opening.clone();
        answer.extend_from_slice(&stream.several(5));
        answer.extend_from_slice(b"0\r\n\r\n");
        let fault = served(answer, Some(5)).await.unwrap_err();
        assert!(matches!(fault, Fault::Terminator), "{fault}");
    }

    #[tokio::test]
    async fn a_refusal_is_a_fault_that_shows_its_reason() {
        let answer = b"HTTP/1.1 429 Slow\r\ncontent-length: 4\r\n\r\nwait".to_vec();
        let fault = served(answer, None).await.unwrap_err();
        assert_eq!(fault.to_string(), "status 429: wait");
    }
}
