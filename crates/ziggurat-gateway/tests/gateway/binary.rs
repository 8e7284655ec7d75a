//! The program itself: what it prints, what it logs, and how it ends.

use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use ziggurat_testkit::{FakeProvider, Script};

use crate::calls::{chat, messages, streamed};
use crate::client::{Ask, Connection};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(60);

fn ziggurat(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ziggurat"));
    command.args(args).env_clear().envs(env.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn output(args: &[&str], env: &[(&str, &str)]) -> Output {
    let output = ziggurat(args, env).output();
    tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A gateway in a process of its own.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    banner: String,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let args = [&["--port", "0"][..], args].concat();
        let mut child = ziggurat(&args, env).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        let first = stdout.read_line(&mut banner);
        tokio::time::timeout(PATIENCE, first).await.expect("it starts").unwrap();
        if banner.is_empty() {
            panic!("{}", text(&child.wait_with_output().await.unwrap().stderr));
        }
        let (_, address) = banner.trim().split_once("http://").expect("an address");
        let address = address.parse().unwrap();
        Self { child, stdout, banner, address }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end: how it ended, what it printed, what it logged.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let mut printed = self.banner;
        let mut logged = Vec::new();
        let mut stderr = self.child.stderr.take().unwrap();
        let end = async {
            let (out, err) = tokio::join!(
                self.stdout.read_to_string(&mut printed),
                stderr.read_to_end(&mut logged)
            );
            out.and(err).unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, end).await.expect("it ends");
        (status, printed, text(&logged))
    }
}

/// A file in a directory of its own.
pub(crate) fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[tokio::test]
async fn nothing_set_serves_the_mock_and_says_how_to_ask() {
    let process = Process::start(&[], &[]).await;
    let address = process.address;
    assert!(address.ip().is_loopback());
    let answer = Ask::json(CHAT, &chat("mock/echo", "Hello!")).send(address).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello!");
    process.signal("TERM");
    let (status, printed, _) = process.end().await;
    assert!(status.success());
    let expected = format!(
        "Ziggurat {} listens on http://{address}\n\n  mock/*  no provider\n\n\
         Callers need no key: set LITELLM_MASTER_KEY to change that.\n\n\
         Try it:\n\n  curl http://{address}/v1/chat/completions -H 'content-type: \
         application/json' \\\n    -d '{{\"model\": \"mock/echo\", \"messages\": [{{\"role\": \
         \"user\", \"content\": \"Hello!\"}}]}}'\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn the_providers_of_the_environment_are_served() {
    let openai = FakeProvider::openai().spawn().await;
    let base = openai.base_url();
    let env = [("OPENAI_API_KEY", "sk-env"), ("OPENAI_BASE_URL", base.as_str())];
    let process = Process::start(&[], &env).await;
    for model in ["openai/gpt-4o", "gpt-4o"] {
        let answer = Ask::json(CHAT, &chat(model, "hi")).send(process.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(openai.last_request().json()["model"], "gpt-4o");
    }
    assert_eq!(openai.last_request().header("authorization"), Some("Bearer sk-env"));
    let claude = Ask::json(CHAT, &chat("claude-opus-4-8", "hi")).send(process.address).await;
    assert!(claude.openai_error(404).contains("ANTHROPIC_API_KEY"));
}

#[tokio::test]
async fn one_model_on_the_command_line_answers_every_call() {
    let openai = FakeProvider::openai().spawn().await;
    let base = openai.base_url();
    let args =
        ["--model", "openai/gpt-4o", "--alias", "fast", "--api_base", &base, "--max_tokens", "7"];
    let process = Process::start(&args, &[("OPENAI_API_KEY", "k")]).await;
    for model in ["fast", "whatever"] {
        let answer = Ask::json(CHAT, &chat(model, "hi")).send(process.address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(openai.last_request().json()["model"], "gpt-4o");
        assert_eq!(openai.last_request().json()["max_tokens"], 7);
    }
}

#[tokio::test]
async fn check_says_everything_that_is_wrong_with_line_and_column() {
    let (_directory, path) = file(
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: opnai/gpt-4o\n  \
         - model_name: b\n    litellm_params:\n      model: openai/gpt-4o\n      timeout: [1]\n",
    );
    let broken = output(&["check", &path], &[]).await;
    assert_eq!(broken.status.code(), Some(1));
    let expected = format!(
        "error: {path}:8:16: model_list[1].litellm_params.timeout: expected a number of seconds, \
         found a sequence\n1 error\n"
    );
    assert_eq!(text(&broken.stdout), expected);

    let (_directory, path) = file(
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: opnai/gpt-4o\n  \
         - model_name: b\n    litellm_params:\n      model: openai/gpt-4o\n      api_version: v\n\
         router_settings:\n  weights: {}\n",
    );
    let broken = output(&["check", &path], &[]).await;
    assert_eq!(broken.status.code(), Some(1));
    let expected = format!(
        "error: {path}:4:14: model_list[0].litellm_params.model: there is no provider `opnai`, did \
         you mean `openai/gpt-4o`?\n\
         warning: {path}:10:3: router_settings.weights is not supported yet and is ignored\n\
         warning: {path}:7:14: model_list[1].litellm_params.model: there is no key for OpenAI: set \
         `api_key` or OPENAI_API_KEY\n\
         warning: {path}:7:14: model_list[1].litellm_params.api_version is not supported yet \
         and is ignored\n1 error, 3 warnings\n"
    );
    assert_eq!(sorted(&text(&broken.stdout)), sorted(&expected));
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn check_is_content_with_a_good_file_and_exits_with_0() {
    let good = "model_list:\n  - {model_name: a, litellm_params: {model: openai/gpt-4o}}\n";
    let (_directory, path) = file(good);
    let key = [("OPENAI_API_KEY", "sk-1")];
    let checked = output(&["check", &path], &key).await;
    assert_eq!(text(&checked.stdout), "ok: 1 deployment\n");
    assert!(checked.status.success() && checked.stderr.is_empty());

    let twice = format!(
        "{good}  - {{model_name: a, litellm_params: {{model: openai/gpt-4o-mini, weight: 2}}}}\n"
    );
    let (_directory, path) = file(&twice);
    let checked = output(&["check", &path], &key).await;
    assert_eq!(text(&checked.stdout), "ok: 2 deployments\n");
    assert!(checked.status.success());

    let missing = output(&["check", "/nowhere/config.yaml"], &[]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stdout).contains("/nowhere/config.yaml"));
}

#[tokio::test]
async fn a_wrong_configuration_or_a_taken_port_ends_it_with_words() {
    let (_directory, path) = file("model_list: 7\n");
    let broken = output(&["--config", &path], &[]).await;
    assert_eq!(broken.status.code(), Some(1));
    let complaint = text(&broken.stderr);
    assert!(complaint.contains(&format!("{path}:1:13: model_list: ")), "{complaint}");
    assert!(broken.stdout.is_empty());

    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = output(&["--port", &port], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    let complaint = text(&refused.stderr);
    assert!(complaint.contains(&format!("cannot serve on 127.0.0.1:{port}")), "{complaint}");
}

#[tokio::test]
async fn version_and_help_are_told() {
    let version = output(&["--version"], &[]).await;
    assert_eq!(text(&version.stdout), format!("ziggurat {}\n", env!("CARGO_PKG_VERSION")));
    let help = text(&output(&["--help"], &[]).await.stdout);
    for word in ["ziggurat --config config.yaml", "--port <PORT>", "check", "mock/echo"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
}

#[tokio::test]
async fn a_gateway_that_anybody_can_reach_without_a_key_warns() {
    let process = Process::start(&["--host", "0.0.0.0"], &[]).await;
    process.signal("INT");
    let (status, printed, logged) = process.end().await;
    assert!(status.success());
    assert!(logged.contains("there is no master key"), "{logged}");
    assert!(printed.contains("http://127.0.0.1:"), "{printed}");
    let env = [("LITELLM_MASTER_KEY", "sk-1234"), ("HOST", "0.0.0.0")];
    let process = Process::start(&[], &env).await;
    process.signal("INT");
    let (_, printed, logged) = process.end().await;
    assert!(!logged.contains("master key"), "{logged}");
    assert!(printed.contains("Callers need the master key."), "{printed}");
}

#[tokio::test]
async fn a_variable_host_that_is_no_address_is_ignored() {
    let process = Process::start(&[], &[("HOST", "x86_64-conda-linux-gnu")]).await;
    assert!(process.address.ip().is_loopback());
    process.signal("TERM");
    let (_, _, logged) = process.end().await;
    assert!(logged.contains("HOST holds no address"), "{logged}");
}

#[tokio::test]
async fn a_stream_is_finished_or_told_of_the_end_and_a_second_signal_ends_at_once() {
    let openai = FakeProvider::openai().spawn().await;
    let (_directory, path) = file(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', \
         api_key: k}}}}]\nziggurat: {{shutdown_grace: 300ms}}\n",
        openai.base_url()
    ));
    let ask = Ask::json(CHAT, &streamed(chat("gpt", "one two")));

    let process = Process::start(&["--config", &path], &[]).await;
    openai.script(Script::behave().stall_after(4));
    let mut open = Connection::ask(process.address, &ask).await;
    open.until("data: ").await;
    process.signal("TERM");
    let answer = open.answer().await;
    assert!(answer.complete && answer.text().contains("shutting down"), "{}", answer.text());
    let (status, _, logged) = process.end().await;
    assert!(status.success());
    assert!(logged.contains("stopping") && logged.contains("stopped"), "{logged}");

    let (_directory, path) = file(&std::fs::read_to_string(&path).unwrap().replace("300ms", "1h"));
    let process = Process::start(&["--config", &path], &[]).await;
    openai.script(Script::behave().stall_after(4));
    let mut open = Connection::ask(process.address, &ask).await;
    open.until("data: ").await;
    process.signal("TERM");
    while tokio::net::TcpStream::connect(process.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.signal("TERM");
    let (status, _, _) = process.end().await;
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn neither_prompts_nor_keys_are_logged_at_any_level() {
    let openai = FakeProvider::openai().spawn().await;
    let anthropic = FakeProvider::anthropic().spawn().await;
    let (_directory, path) = file(&format!(
        "model_list:\n\
         - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: \
            os.environ/MY_KEY, extra_headers: {{x-own: hunter-header}}}}}}\n\
         - {{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: \
            '{}', api_key: hunter-anthropic}}}}\n\
         - {{model_name: away, litellm_params: {{model: openai/x, api_base: 'http://127.0.0.1:1', \
            api_key: hunter-away}}}}\n\
         general_settings: {{master_key: hunter-master}}\nrouter_settings: {{num_retries: 0}}\n",
        openai.base_url(),
        anthropic.base_url()
    ));
    let env =
        [("MY_KEY", "hunter-openai"), ("RUST_LOG", "trace,hyper=trace,rustls=trace,h2=trace")];
    let process = Process::start(&["--config", &path], &env).await;
    let address = process.address;
    let key = |ask: Ask| ask.header("authorization", "Bearer hunter-master");
    let prompt = "hunter-prompt one two";
    for (model, echo) in [("gpt", true), ("claude", true), ("away", false), ("hunter-model", false)]
    {
        for body in [chat(model, prompt), streamed(chat(model, prompt))] {
            let answer = key(Ask::json(CHAT, &body)).send(address).await;
            assert_eq!(answer.status == 200, echo, "{}", answer.text());
        }
        let body = streamed(messages(model, prompt));
        key(Ask::json("/v1/messages", &body)).send(address).await;
    }
    for mark in ["[error:400]", "[error:500]", "[error:context]", "[midstream-error]", "[cut]"] {
        let text = format!("{prompt} {mark}");
        key(Ask::json(CHAT, &streamed(chat("gpt", &text)))).send(address).await;
        key(Ask::json(CHAT, &chat("claude", &text))).send(address).await;
    }
    // A provider that quotes the prompt, and answers that cannot be read.
    let quote =
        json!({"error": {"message": "hunter-prompt", "type": "t", "code": "hunter-prompt"}});
    for body in
        [quote.to_string(), "hunter-prompt".to_owned(), r#"{"choices":"hunter-prompt"}"#.to_owned()]
    {
        for status in [200, 400, 500] {
            let script =
                Script::reply(status, &[("content-type", "application/json")], body.clone());
            openai.script(script.clone());
            key(Ask::json(CHAT, &chat("gpt", prompt))).send(address).await;
            openai.script(script);
            key(Ask::json("/v1/messages", &messages("gpt", prompt))).send(address).await;
        }
    }
    let events = ["data: {\"choices\":\"hunter-prompt\"}\n\n", "data: hunter-prompt\n\n"];
    for event in events {
        openai.script(Script::sse([event]));
        key(Ask::json("/v1/messages", &streamed(messages("gpt", prompt)))).send(address).await;
    }
    // Refused by ourselves, and strangers.
    let mut wrong = chat("gpt", prompt);
    wrong["messages"] = json!("hunter-prompt");
    key(Ask::json("/v1/messages", &wrong)).send(address).await;
    key(Ask::post(CHAT, format!("{{\"{prompt}\""))).send(address).await;
    Ask::json(CHAT, &chat("gpt", prompt))
        .header("x-api-key", "hunter-key")
        .send(address)
        .await
        .openai_error(401);
    process.signal("TERM");
    let (status, printed, logged) = process.end().await;
    assert!(status.success());
    assert!(logged.contains("ziggurat::call"), "{logged}");
    for (place, text) in [("printed", printed), ("logged", logged)] {
        // The name of a model is neither.
        let text = text.replace("hunter-model", "");
        let found = text.lines().find(|line| line.contains("hunter"));
        assert_eq!(found, None, "{place}");
    }
}

#[tokio::test]
async fn each_call_is_one_line_of_json_that_says_how_it_went() {
    let openai = FakeProvider::openai().spawn().await;
    let (_directory, path) = file(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', \
         api_key: k}}, model_info: {{id: here}}}}]\nlitellm_settings: {{json_logs: true}}\n",
        openai.base_url()
    ));
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    let named = Ask::json(CHAT, &streamed(chat("gpt", "hi"))).header("x-request-id", "mine");
    named.send(address).await;
    Ask::json("/v1/messages", &messages("gpt", "[error:500]")).send(address).await;
    Ask::json(CHAT, &chat("nothing", "hi")).send(address).await;
    let busy = Ask::json("/v1/messages", &messages("gpt", "[error:503]")).send(address).await;
    openai.script(Script::behave().stall_after(5));
    let mut left =
        Connection::ask(address, &Ask::json(CHAT, &streamed(chat("gpt", "a b c")))).await;
    left.until("You").await;
    drop(left);
    openai.wait_disconnect().await;
    process.signal("TERM");
    let (_, _, logged) = process.end().await;
    let lines: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let calls: Vec<&Value> =
        lines.iter().filter(|line| line["target"] == "ziggurat::call").collect();
    assert_eq!(calls.len(), 5, "{logged}");
    let [good, failed, unknown, overloaded, left] = calls[..] else { panic!("five") };

    assert_eq!((&good["end"], &good["level"]), (&json!("success"), &json!("INFO")));
    assert_eq!(good["request_id"], "mine");
    assert_eq!((&good["model"], &good["deployment"]), (&json!("gpt"), &json!("here")));
    assert_eq!((&good["dialect"], &good["stream"]), (&json!("openai"), &json!(true)));
    assert!(
        good["input_tokens"].as_u64().unwrap() > 0 && good["output_tokens"].as_u64().unwrap() > 0
    );
    assert!(good["first_content_ms"].as_f64().unwrap() <= good["total_ms"].as_f64().unwrap());
    assert!(good["cost"].as_str().unwrap().starts_with("0.0000"), "{good}");

    assert_eq!((&failed["end"], &failed["level"]), (&json!("failure"), &json!("WARN")));
    assert_eq!((&failed["origin"], &failed["error"]), (&json!("provider"), &json!("server")));
    assert_eq!((&failed["status"], &failed["provider_status"]), (&json!(500), &json!(500)));
    assert_eq!(failed["dialect"], "anthropic");

    assert_eq!((&unknown["level"], &unknown["status"]), (&json!("INFO"), &json!(404)));
    // As the caller saw it, and as the provider said it.
    assert_eq!((busy.status, &overloaded["status"]), (529, &json!(529)));
    assert_eq!(overloaded["provider_status"], 503);
    assert_eq!(left["end"], "cancelled");
    assert!(left["output_tokens"].as_u64().unwrap() >= 1 && left["estimated"] == true, "{left}");
}

#[tokio::test]
async fn a_line_tells_what_it_took() {
    let (_directory, path) = file(
        "model_list:
  - {model_name: away, litellm_params: {model: openai/x, api_base: 'http://127.0.0.1:1', api_key: k}}
  - {model_name: echo, litellm_params: {model: mock/echo}}
router_settings: {num_retries: 1, fallbacks: [{away: [echo]}]}
litellm_settings: {json_logs: true}
ziggurat: {retry: {backoff_base: 1ms}}
",
    );
    let process = Process::start(&["--config", &path], &[]).await;
    let answer = Ask::json(CHAT, &chat("away", "hi")).send(process.address).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    process.signal("TERM");
    let (_, _, logged) = process.end().await;
    let line = logged.lines().find(|line| line.contains("ziggurat::call")).expect("a line");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["model"], &line["answered_by"]), (&json!("away"), &json!("echo")));
    assert_eq!((&line["attempts"], &line["fallbacks"]), (&json!(3), &json!(1)));
    assert_eq!((&line["end"], &line["cached"]), (&json!("success"), &Value::Null));
}
