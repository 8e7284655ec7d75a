//! Memory stays flat, whatever comes: large prompts at three times the load that fits.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::binary::{Process, file};
use crate::calls::chat;
use crate::client::{Ask, Connection};

/// What admission lets in.
const ROOM: usize = 64 << 20;
/// A picture of a prompt, in base64.
const PICTURE: usize = 10 << 20;
/// As many callers as make three times of what fits.
const CALLERS: usize = 3 * (ROOM / PICTURE);
/// What the process may have when all is over.
const AT_REST: usize = ROOM;
/// When a caller that was refused comes again: earlier than it was told to.
const COMES_BACK: Duration = Duration::from_millis(300);

/// A provider that reads bodies, keeps nothing of them, and takes its time.
#[derive(Clone, Default)]
struct Slow {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Slow {
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let slow = slow.clone();
                tokio::spawn(async move { slow.answer(stream).await });
            }
        });
        address
    }

    /// Answers one request after the other; the end of the connection is nobody's fault.
    async fn answer(self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut read = 0;
        loop {
            let end = loop {
                if let Some(at) = buffer[..read].windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                let more = stream.read(&mut buffer[read..]).await.ok().filter(|more| *more > 0)?;
                read += more;
            };
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            let mut left = length.trim().parse::<usize>().ok()? - (read - end);
            let large = left > 1 << 20;
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while left > 0 {
                left -= stream.read(&mut buffer).await.ok().filter(|more| *more > 0)?;
            }
            if large {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            self.answered.fetch_add(1, Ordering::SeqCst);
            let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"A cat."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
            let answer = format!("{head}{}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.ok()?;
            read = 0;
        }
    }
}

/// A prompt with a picture.
fn ask(dialect: &str) -> Ask {
    let run: String = (0..4096_usize)
        .map(|at| char::from(b"ABCDEFGHIJKLMNOPabcdefgh+/012345"[at * at % 29]))
        .collect();
    let picture = run.repeat(PICTURE / run.len());
    match dialect {
        "openai" => Ask::post(
            "/v1/chat/completions",
            [
                r#"{"model":"gpt","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,"#,
                &picture,
                r#""}}]}]}"#,
            ]
            .concat(),
        ),
        _ => Ask::post(
            "/v1/messages",
            [
                r#"{"model":"gpt","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":""#,
                &picture,
                r#""}}]}]}"#,
            ]
            .concat(),
        ),
    }
}

/// A number of `/proc/PID/status`, in bytes.
fn memory(id: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    let kibibytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kibibytes.expect("a number") << 10
}

/// How many were refused before every caller had an answer. Refused in their dialect, with a time to come back at.
async fn storm(address: SocketAddr, dialect: &'static str) -> usize {
    let refused = Arc::new(AtomicUsize::new(0));
    let whole = Arc::new(ask(dialect).bytes());
    let chunked = Arc::new(ask(dialect).chunked().bytes());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            // Some do not say how much will come.
            let ask = if caller % 4 == 3 { chunked.clone() } else { whole.clone() };
            let refused = refused.clone();
            tokio::spawn(async move {
                loop {
                    let mut connection = Connection::open(address).await;
                    connection.write(&ask).await;
                    let answer = connection.answer().await;
                    if answer.status == 200 {
                        assert!(answer.complete && answer.text().contains("A cat."));
                        return;
                    }
                    let message = match dialect {
                        "openai" => answer.openai_error(503),
                        _ => answer.anthropic_error(503),
                    };
                    assert!(message.contains("full"), "{message}");
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(COMES_BACK).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    refused.load(Ordering::SeqCst)
}

async fn start(provider: SocketAddr, env: &[(&str, &str)]) -> (tempfile::TempDir, Process) {
    let (directory, path) = file(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: \
         'http://{provider}/v1', api_key: k}}}}]\n\
         ziggurat: {{admission: {{max_bytes: {ROOM}, retry_after: 1s}}}}\n"
    ));
    let process = Process::start(&["--config", &path, "--log", "warn"], env).await;
    (directory, process)
}

/// A storm after another; the most that the process had after each.
async fn storms(slow: &Slow, process: &Process, dialects: &[(&'static str, usize)]) -> Vec<usize> {
    let mut peaks = Vec::new();
    for (dialect, bound) in dialects {
        let before = slow.answered.load(Ordering::SeqCst);
        let refused = storm(process.address, dialect).await;
        let peak = memory(process.id(), "VmHWM");
        assert!(refused >= CALLERS / 2, "there was more than fits: {refused}");
        assert_eq!(slow.answered.load(Ordering::SeqCst) - before, CALLERS);
        assert!(peak < *bound, "{} MiB, above {} MiB", peak >> 20, bound >> 20);
        peaks.push(peak);
    }
    assert!(slow.most.load(Ordering::SeqCst) <= ROOM / PICTURE, "no more than fits");
    peaks
}

/// What the gateway itself takes: with an allocator that gives back at once what is freed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_what_was_let_in_and_is_given_back() {
    let slow = Slow::default();
    let (_directory, process) = start(slow.serve().await, &[("MIMALLOC_PURGE_DELAY", "0")]).await;
    // Bodies, buffers and the process itself. A body that is translated is not there twice for long.
    storms(&slow, &process, &[("openai", ROOM + (64 << 20)), ("anthropic", ROOM + (80 << 20))])
        .await;
    let small = Ask::json("/v1/chat/completions", &chat("gpt", "hi"));
    let mut rest = 0;
    for _ in 0..100 {
        assert_eq!(small.send(process.address).await.status, 200);
        rest = memory(process.id(), "VmRSS");
        if rest < AT_REST {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(rest < AT_REST, "{} MiB are kept", rest >> 20);
    process.signal("TERM");
    assert!(process.end().await.0.success());
}

/// As it is started: the allocator keeps for a while what was freed, for what comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_from_storm_to_storm() {
    let slow = Slow::default();
    let (_directory, process) = start(slow.serve().await, &[]).await;
    let bound = 2 * ROOM + (96 << 20);
    let peaks = storms(&slow, &process, &[("openai", bound); 3]).await;
    assert!(peaks[2] < peaks[1] + ROOM / 2, "{peaks:?}");
    process.signal("TERM");
    assert!(process.end().await.0.success());
}
