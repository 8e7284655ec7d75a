//! A provider whose answers were written before the question came.
//!
//! It speaks `POST …/chat/completions` and `POST …/messages`, whole and streamed, what else translators know at the paths of
//! its vendors (Gemini, OpenAI Responses, Converse, Cohere, Ollama), and answers 404 to anything else. What a stream looks like is said in the prompt (see `script`), or else by the flags.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{Instant, sleep_until},
};

use ziggurat_benches::{
    answer::{self, Dialect, Stream},
    http1::{Decoder, Head},
    rewritten::Rewritten,
    script::{Scan, Script},
};

/// Size of a connection's read buffer, and with it the longest head.
const BUFFER: usize = 128 << 10;
/// A provider with fixed answers.
#[derive(Debug, Parser)]
struct Args {
    /// Port on the loopback.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Events of text in a stream whose prompt does not say.
    #[arg(long, default_value_t = 32)]
    chunks: u32,
    /// Microseconds before each write of such events.
    #[arg(long, default_value_t = 0)]
    delay_us: u64,
    /// Events per write.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    per_write: u32,
}

/// Everything that is ever answered.
struct Answers {
    openai: Vec<u8>,
    anthropic: Vec<u8>,
    not_found: Vec<u8>,
    openai_stream: Stream,
    openai_stream_usage: Stream,
    anthropic_stream: Stream,
    rewritten: Vec<Rewritten>,
    defaults: Script,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let Args { chunks, per_write, .. } = args;
    let answers = Arc::new(Answers {
        openai: answer::whole(Dialect::Openai),
        anthropic: answer::whole(Dialect::Anthropic),
        not_found: answer::not_found(),
        openai_stream: Stream::new(Dialect::Openai, false),
        openai_stream_usage: Stream::new(Dialect::Openai, true),
        anthropic_stream: Stream::new(Dialect::Anthropic, true),
        rewritten: Rewritten::all(),
        defaults: Script {
            per_write,
            ..Script::paced(chunks, Duration::from_micros(args.delay_us))
        },
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        // A connection that ends in an error has nobody to tell.
        tokio::spawn(async move { serve(connection, &answers).await.ok() });
    }
}

async fn serve(mut connection: TcpStream, answers: &Answers) -> Result<()> {
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

        respond(&mut connection, answers, &head.path, &scan).await?;
        if head.close {
            return Ok(());
        }
    }
}

async fn respond(
    connection: &mut TcpStream,
    answers: &Answers,
    path: &str,
    scan: &Scan,
) -> io::Result<()> {
    let dialect = Dialect::of_path(path);
    if dialect.is_none()
        && let Some((rewritten, streamed)) = Rewritten::of_path(&answers.rewritten, path)
    {
        if !streamed.unwrap_or_else(|| scan.is_stream()) {
            return connection.write_all(&rewritten.whole).await;
        }
        let script = scan.script(answers.defaults);
        return write_stream(connection, &rewritten.stream, script).await;
    }
    let stream = match (dialect, scan.is_stream()) {
        (None, _) => return connection.write_all(&answers.not_found).await,
        (Some(Dialect::Openai), false) => return connection.write_all(&answers.openai).await,
        (Some(Dialect::Anthropic), false) => return connection.write_all(&answers.anthropic).await,
        (Some(Dialect::Openai), true) if scan.wants_usage() => &answers.openai_stream_usage,
        (Some(Dialect::Openai), true) => &answers.openai_stream,
        (Some(Dialect::Anthropic), true) => &answers.anthropic_stream,
    };
    write_stream(connection, stream, scan.script(answers.defaults)).await
}

async fn write_stream(
    connection: &mut TcpStream,
    stream: &Stream,
    script: Script,
) -> io::Result<()> {
    connection.write_all(&stream.opening).await?;
    let mut due = Instant::now();
    let mut left = script.chunks;
    while left > 0 {
        if script.delay.is_zero() {
            // The others have their turn: events of many streams come mixed, as they do in practice.
            yield_now().await;
        } else {
            due += script.delay;
            sleep_until(due).await;
        }
        let now = script.per_write.min(left);
        if now == 1 {
            connection.write_all(&stream.single).await?;
        } else {
            connection.write_all(&stream.several(now)).await?;
        }
        left -= now;
    }
    if script.hold {
        // A caller that streams an answer sends nothing: what is readable is its end.
        connection.readable().await?;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    connection.write_all(&stream.closing).await
}
