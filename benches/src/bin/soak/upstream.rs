//! Providers that fail: on purpose, by chance, and so often as they are told to.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use ziggurat_benches::{
    answer::{self, Dialect, Stream},
    http1::{Decoder, Head},
    script::{Scan, Script},
};

const BUFFER: usize = 64 << 10;

/// How often a provider fails, in hundredths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Requests that get a 429.
    pub(crate) throttled: u32,
    /// Answers that break off.
    pub(crate) broken: u32,
}

/// How an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// The connection ends in good order, in the middle of the body.
    Cut,
    /// It is reset.
    Reset,
    /// The body ends as if it were complete, and is not.
    Short,
    /// An event says so.
    Event,
    /// Nothing comes any more.
    Silence,
}

const BREAKS: [Break; 5] = [Break::Cut, Break::Reset, Break::Short, Break::Event, Break::Silence];

/// What providers did, all together.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Requests that were read to their end.
    pub(crate) requests: AtomicU64,
    pub(crate) throttled: AtomicU64,
    /// Answers that broke off before any text.
    pub(crate) broken_early: AtomicU64,
    /// Answers that broke off after some.
    pub(crate) broken_late: AtomicU64,
    pub(crate) complete: AtomicU64,
    /// Answers that nobody read to the end.
    pub(crate) left: AtomicU64,
    /// Answers under way.
    pub(crate) open: AtomicU64,
}

/// A provider's fixed answers, and what it does with them.
struct Provider {
    dialect: Dialect,
    whole: Vec<u8>,
    plain: Stream,
    with_usage: Stream,
    error_event: Vec<u8>,
    rates: Rates,
    chance: Mutex<fastrand::Rng>,
    done: Arc<Done>,
}

/// Serves a provider on a port of its own, for as long as the program runs.
pub(crate) async fn serve(
    dialect: Dialect,
    rates: Rates,
    seed: u64,
    done: &Arc<Done>,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let provider = Arc::new(Provider {
        dialect,
        whole: answer::whole(dialect),
        plain: Stream::new(dialect, false),
        with_usage: Stream::new(dialect, true),
        error_event: error_event(dialect),
        rates,
        chance: Mutex::new(fastrand::Rng::with_seed(seed)),
        done: Arc::clone(done),
    });
    tokio::spawn(async move {
        // Out of descriptors for a moment: there are others to come.
        loop {
            let Ok((connection, _)) = listener.accept().await else { continue };
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.converse(connection).await.ok() });
        }
    });
    Ok(address)
}

/// Counts an answer that is under way.
struct Open<'d>(&'d Done);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Provider {
    /// One request after the other; an error is the end of the connection, and nobody else's matter.
    async fn converse(&self, mut connection: TcpStream) -> Result<()> {
        connection.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        let mut scan = Scan::default();
        loop {
            let head = loop {
                if let Some(head) = Head::request(&buffer[..filled])? {
                    break head;
                }
                ensure!(filled < buffer.len(), "a head too long");
                match connection.read(&mut buffer[filled..]).await? {
                    0 => return Ok(()),
                    count => filled += count,
                }
            };
            scan.reset();
            let mut body = Decoder::new(head.framing);
            let mut at = head.len;
            loop {
                at += body.feed(&buffer[at..filled], |piece| scan.feed(piece))?;
                if body.is_done() {
                    break;
                }
                filled = connection.read(&mut buffer).await?;
                ensure!(filled > 0, "a body cut short");
                at = 0;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;

            self.done.requests.fetch_add(1, Ordering::Relaxed);
            self.done.open.fetch_add(1, Ordering::Relaxed);
            let open = Open(&self.done);
            let answered = self.answer(&mut connection, &scan).await;
            drop(open);
            if answered.is_err() {
                self.done.left.fetch_add(1, Ordering::Relaxed);
            }
            if !answered? || head.close {
                return Ok(());
            }
        }
    }

    /// Whether the connection serves again.
    async fn answer(&self, connection: &mut TcpStream, scan: &Scan) -> io::Result<bool> {
        let script = scan.script(Script::paced(20, Duration::ZERO));
        let (throttled, how, at) = self.fate(script.chunks);
        if throttled {
            connection.write_all(&throttle(self.dialect)).await?;
            self.done.throttled.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        if !scan.is_stream() {
            sleep_until(Instant::now() + script.delay * script.chunks / 4).await;
            if how.is_some() {
                connection.write_all(&self.whole[..self.whole.len() / 2]).await?;
                self.done.broken_early.fetch_add(1, Ordering::Relaxed);
                return Ok(false);
            }
            connection.write_all(&self.whole).await?;
            self.done.complete.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        let stream = if scan.wants_usage() { &self.with_usage } else { &self.plain };
        connection.write_all(&stream.opening).await?;
        let mut due = Instant::now();
        let words = if how.is_some() { at } else { script.chunks };
        for _ in 0..words {
            due += script.delay;
            // Who leaves is noticed at once, not at the next word.
            tokio::select! {
                () = sleep_until(due) => {}
                readable = connection.readable() => {
                    readable?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            connection.write_all(&stream.single).await?;
        }
        let Some(how) = how else {
            connection.write_all(&stream.closing).await?;
            self.done.complete.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        };
        let counter = if words == 0 { &self.done.broken_early } else { &self.done.broken_late };
        counter.fetch_add(1, Ordering::Relaxed);
        match how {
            Break::Cut => {}
            Break::Reset => connection.set_zero_linger()?,
            Break::Short => connection.write_all(b"0\r\n\r\n").await?,
            Break::Event => {
                connection.write_all(&self.error_event).await?;
                connection.write_all(b"0\r\n\r\n").await?;
            }
            // Until the other side has had enough.
            Break::Silence => connection.readable().await?,
        }
        Ok(false)
    }

    /// Whether a request is refused, or how its answer breaks off, and after how many words.
    fn fate(&self, words: u32) -> (bool, Option<Break>, u32) {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        if chance.u32(..100) < self.rates.throttled {
            return (true, None, 0);
        }
        if chance.u32(..100) >= self.rates.broken {
            return (false, None, 0);
        }
        let how = BREAKS[chance.usize(..BREAKS.len())];
        (false, Some(how), chance.u32(..words.max(1)))
    }
}

fn throttle(dialect: Dialect) -> Vec<u8> {
    let body = match dialect {
        Dialect::Openai => {
            r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
        }
        Dialect::Anthropic => {
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Rate limit reached"}}"#
        }
    };
    format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The event of an error, framed.
fn error_event(dialect: Dialect) -> Vec<u8> {
    let event = match dialect {
        Dialect::Openai => {
            "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
        }
        Dialect::Anthropic => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
        }
    };
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}
