//! The binary, as a test in another language uses it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

/// A running fake provider, killed when dropped.
struct Process {
    child: Child,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-provider"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(args: &[&str]) -> Process {
    let mut child = command(args).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let line = line.trim_end();
    let address = match line.strip_prefix("listening on http://") {
        Some(address) => address.to_owned(),
        None => format!("127.0.0.1:{line}"),
    };
    Process { child, address }
}

fn ask(process: &Process, method: &str, path: &str, headers: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(&process.address).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn openai_is_served_and_its_requests_are_shown() {
    let process = start(&["--dialect", "openai", "--model", "mine", "--reasoning-content"]);
    let body = json!({"model": "mine", "reasoning_effort": "low",
        "messages": [{"role": "user", "content": "hi"}]})
    .to_string();
    let path = "/v1/chat/completions";
    let said = ask(&process, "POST", path, "authorization: Bearer k\r\n", &body);
    let message = &said["choices"][0]["message"];
    assert_eq!(message["content"], "You said: hi");
    assert!(message["reasoning_content"].is_string());

    let shown = ask(&process, "GET", "/__requests", "", "");
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!(shown[0]["headers"]["authorization"], "Bearer k");
    assert_eq!((&shown[0]["path"], &shown[0]["json"]["model"]), (&json!(path), &json!("mine")));
    assert_eq!(shown[0]["body"], body);
    ask(&process, "DELETE", "/__requests", "", "");
    assert_eq!(ask(&process, "GET", "/__requests", "", ""), json!([]));
}

#[test]
fn anthropic_is_served_on_the_port_it_prints() {
    let process = start(&["--dialect", "anthropic", "--print-port", "--port", "0", "--key", "k"]);
    let body = json!({"model": "claude-haiku-4-5", "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}]})
    .to_string();
    let ask = |key: &str| {
        let headers = format!("anthropic-version: 2023-06-01\r\nx-api-key: {key}\r\n");
        ask(&process, "POST", "/v1/messages", &headers, &body)
    };
    assert_eq!(ask("k")["content"][0]["text"], "You said: hi");
    assert_eq!(ask("x")["error"]["type"], "authentication_error");
}

#[test]
fn wrong_arguments_are_named() {
    for (args, words) in [
        (&["--dialect", "cohere"][..], "not 'cohere'"),
        (&["--dialect"], "--dialect needs a value"),
        (&["--dialect", "openai", "--port", "x"], "'x' is no port"),
        (&["--dialect", "anthropic", "--model", "m"], "for openai"),
        (&["--dialct"], "unknown argument '--dialct'"),
    ] {
        let output = command(args).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(words), "{told}");
    }
}
