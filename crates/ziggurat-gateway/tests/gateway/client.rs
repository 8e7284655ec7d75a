//! A client that says exactly what it is told to, byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to the end that its framing promised.
    pub(crate) complete: bool,
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    path: String,
    headers: String,
    body: Vec<u8>,
    chunked: bool,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: String::new(),
            body: Vec::new(),
            chunked: false,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let ask = Self { body: body.into(), ..Self::new("POST", path) };
        ask.header("content-type", "application/json")
    }

    pub(crate) fn json(path: &str, body: &Value) -> Self {
        Self::post(path, body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sends the body without saying how long it is.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub(crate) fn head(&self) -> String {
        let Self { method, path, headers, .. } = self;
        let framing = match (self.chunked, self.body.is_empty()) {
            (true, _) => "transfer-encoding: chunked\r\n".to_owned(),
            (false, true) => String::new(),
            (false, false) => format!("content-length: {}\r\n", self.body.len()),
        };
        let close = "connection: close\r\n";
        format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\n{close}{headers}{framing}\r\n")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        if self.chunked {
            for chunk in self.body.chunks(7000) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// Sends it and reads the answer to its end.
    pub(crate) async fn send(&self, address: SocketAddr) -> Answer {
        let mut connection = Connection::open(address).await;
        connection.write(&self.bytes()).await;
        connection.answer().await
    }
}

/// A connection to the gateway.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn ask(address: SocketAddr, ask: &Ask) -> Self {
        let mut connection = Self::open(address).await;
        connection.write(&ask.bytes()).await;
        connection
    }

    /// Writes as much as the gateway takes: it may have answered and closed already.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        drop(tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("in time"));
    }

    /// Reads until this has come; what has come so far.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let read = String::from_utf8_lossy(&self.read).into_owned();
            if read.contains(text) {
                return read;
            }
            assert!(self.more().await, "`{text}` never came: {read}");
        }
    }

    /// Reads to the end.
    pub(crate) async fn answer(mut self) -> Answer {
        while self.more().await {}
        parse(&self.read)
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        matches!(read.expect("in time"), Ok(1..))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The payloads of a stream's `data:` lines.
    pub(crate) fn data(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
    }

    /// The text in a stream of either dialect.
    pub(crate) fn spoken(&self) -> String {
        let deltas = self.data().into_iter().filter_map(|data| {
            let event: Value = serde_json::from_str(&data).ok()?;
            let openai = &event["choices"][0]["delta"]["content"];
            openai.as_str().or(event["delta"]["text"].as_str()).map(str::to_owned)
        });
        deltas.collect()
    }

    /// Asserts that this is an error in OpenAI's shape; its message.
    #[track_caller]
    pub(crate) fn openai_error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert!(body["error"]["type"].is_string() && body.get("type").is_none(), "{body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }

    /// Asserts that this is an error in Anthropic's shape; its message.
    #[track_caller]
    pub(crate) fn anthropic_error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        assert!(body["error"]["type"].is_string(), "{body}");
        assert!(body["request_id"].is_string(), "{body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }
}

#[track_caller]
fn parse(read: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(read);
    let end = read.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {text:?}"));
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let raw = &read[end + 4..];
    let (body, complete) = if find("transfer-encoding") == Some("chunked") {
        dechunk(raw)
    } else {
        let length = find("content-length").and_then(|length| length.parse::<usize>().ok());
        (raw.to_vec(), length.is_none_or(|length| length == raw.len()))
    };
    Answer { status: status.parse().expect("a number"), headers, body, complete }
}

fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = raw.windows(2).position(|window| window == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&raw[..line]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return (body, false);
        };
        raw = &raw[line + 2..];
        if size == 0 {
            return (body, true);
        }
        if raw.len() < size + 2 {
            body.extend(&raw[..raw.len().min(size)]);
            return (body, false);
        }
        body.extend(&raw[..size]);
        raw = &raw[size + 2..];
    }
}
