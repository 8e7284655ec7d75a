//! Another configuration while the program runs.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use ziggurat_testkit::{FakeProvider, Script};

use crate::binary::{Process, file};
use crate::calls::{chat, messages, streamed};
use crate::client::{Answer, Ask, Connection};

const CHAT: &str = "/v1/chat/completions";

/// A model of this name at a provider, with whatever else is said of it.
fn model(name: &str, provider: &FakeProvider, more: &str) -> String {
    format!(
        "- {{model_name: {name}, litellm_params: {{model: openai/gpt-4o, api_base: '{}', api_key: k\
         {more}}}, model_info: {{id: {name}-id}}}}\n",
        provider.base_url()
    )
}

fn list(models: &[String]) -> String {
    format!("model_list:\n{}", models.concat())
}

async fn status(address: SocketAddr, name: &str) -> u16 {
    Ask::json(CHAT, &chat(name, "hi")).send(address).await.status
}

/// Waits until a model is served, or not.
async fn until(address: SocketAddr, name: &str, expected: u16) {
    for _ in 0..200 {
        if status(address, name).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{name}` never was a {expected}");
}

async fn reload(address: SocketAddr) -> Answer {
    Ask::post("/config/reload", "").send(address).await
}

#[tokio::test]
async fn at_a_signal_new_calls_see_the_new_models_and_streams_go_on_in_the_old() {
    let openai = FakeProvider::openai().spawn().await;
    let (_directory, path) = file(&list(&[model("old", &openai, ""), model("both", &openai, "")]));
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    let said = "[slow:40] one two three four five six seven eight nine ten";
    let mut open = Vec::new();
    for ask in [
        Ask::json(CHAT, &streamed(chat("old", said))),
        Ask::json("/v1/messages", &streamed(messages("old", said))),
    ] {
        let mut connection = Connection::ask(address, &ask).await;
        connection.until("data: ").await;
        open.push(connection);
    }
    // A connection that was open before is served by the new stack, too.
    let kept = Ask::json(CHAT, &chat("new", "hi")).bytes();
    let kept = String::from_utf8(kept).unwrap().replace("connection: close\r\n", "");
    let mut earlier = Connection::open(address).await;
    earlier.write(kept.as_bytes()).await;
    earlier.until("404").await;

    fs::write(&path, list(&[model("new", &openai, ""), model("both", &openai, "")])).unwrap();
    process.signal("HUP");
    until(address, "new", 200).await;
    assert_eq!(status(address, "old").await, 404);
    assert_eq!(status(address, "both").await, 200);
    earlier.write(kept.as_bytes()).await;
    earlier.until("200 OK").await;
    drop(earlier);

    let [openai_stream, anthropic_stream] = <[_; 2]>::try_from(open).expect("two");
    let answer = openai_stream.answer().await;
    assert!(answer.complete && answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
    assert!(answer.spoken().contains("ten"), "{}", answer.spoken());
    let answer = anthropic_stream.answer().await;
    assert!(answer.complete && answer.text().contains("message_stop"), "{}", answer.text());
    process.signal("TERM");
    let (exit, _, logged) = process.end().await;
    assert!(exit.success());
    let line = "1 added (new-id), 1 removed (old-id), 1 as before";
    assert!(logged.contains("SIGHUP") && logged.contains(line), "{logged}");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let openai = FakeProvider::openai().spawn().await;
    let good = format!(
        "{}general_settings: {{master_key: sk-m}}\nziggurat: {{reload: {{watch: false}}}}\n",
        list(&[model("gpt", &openai, "")])
    );
    let (_directory, path) = file(&good);
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    let with_key = |ask: Ask| ask.header("authorization", "Bearer sk-m");
    let served = async || with_key(Ask::json(CHAT, &chat("gpt", "hi"))).send(address).await.status;
    assert_eq!(served().await, 200);

    reload(address).await.openai_error(401);
    let answer = with_key(Ask::get("/config/reload")).send(address).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));

    let two_faults = "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/x\n      \
                      timeout: [1]\nziggurat: {shutdown_grace: soon}\nlitelm_settings: {}\n";
    let unknown = list(&["- {model_name: a, litellm_params: {model: opnai/x}}\n".to_owned()]);
    for (text, place, word) in [
        (two_faults, (5, 16), "a number of seconds"),
        (&unknown, (2, 43), "opnai"),
        ("model_list: [", (2, 1), ""),
    ] {
        fs::write(&path, text).unwrap();
        let answer = with_key(Ask::post("/config/reload", "")).send(address).await;
        let message = answer.openai_error(400);
        assert!(message.contains(word), "{message}");
        let body = answer.json();
        assert_eq!(body["error"]["code"], "invalid_configuration");
        let errors = body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), if text == two_faults { 2 } else { 1 }, "{body}");
        assert_eq!(errors[0]["file"], path);
        assert_eq!(errors[0]["line"], place.0, "{body}");
        if !word.is_empty() {
            assert_eq!(errors[0]["column"], place.1, "{body}");
        }
        assert_eq!(served().await, 200);
    }

    fs::remove_file(&path).unwrap();
    with_key(Ask::post("/config/reload", "")).send(address).await.openai_error(400);
    assert_eq!(served().await, 200);
    process.signal("HUP");

    fs::write(
        &path,
        format!("{good}litelm_settings: {{}}\nlitellm_settings: {{json_logs: true}}\n"),
    )
    .unwrap();
    let answer = with_key(Ask::post("/config/reload", "")).send(address).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["status"], "reloaded");
    assert_eq!(body["deployments"]["kept"], 1);
    assert_eq!(body["restart"][0], "litellm_settings.json_logs");
    let warnings = body["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|w| w["key"] == "litelm_settings" && w["line"] == 5), "{body}");
    assert_eq!(served().await, 200);
    process.signal("TERM");
    let (_, _, logged) = process.end().await;
    let place = format!("{path}:5:16: model_list[0].litellm_params.timeout");
    assert!(logged.contains(&place), "{logged}");
    assert!(logged.contains("litellm_settings.json_logs has changed"), "{logged}");
}

#[tokio::test]
async fn a_master_key_that_changes_holds_from_then_on() {
    let key = |key: &str| format!("model_list: []\ngeneral_settings: {{master_key: {key}}}\n");
    let (_directory, path) = file(&key("sk-1"));
    let process = Process::start(&["--config", &path], &[]).await;
    let ask = |key: &str| Ask::post("/config/reload", "").header("x-api-key", key);
    fs::write(&path, key("sk-2")).unwrap();
    assert_eq!(ask("sk-1").send(process.address).await.status, 200);
    assert_eq!(ask("sk-1").send(process.address).await.status, 401);
    assert_eq!(ask("sk-2").send(process.address).await.status, 200);
}

#[tokio::test]
async fn files_that_change_are_read_again_however_they_change() {
    let openai = FakeProvider::openai().spawn().await;
    let list = |name: &str| list(&[model(name, &openai, "")]);
    let (directory, path) = file("include: [more.yaml]\n");
    let more = directory.path().join("more.yaml");
    fs::write(&more, list("first")).unwrap();
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    until(address, "first", 200).await;
    // Written over; and a file that is included.
    fs::write(&more, list("second")).unwrap();
    until(address, "second", 200).await;
    // Another one put into its place, as editors do.
    let draft = directory.path().join("draft");
    fs::write(&draft, list("third")).unwrap();
    fs::rename(&draft, &more).unwrap();
    until(address, "third", 200).await;
    // A link that is turned, as Kubernetes does; and the included file is gone from then on.
    for version in ["one", "two"] {
        let place = directory.path().join(version);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("config.yaml"), list(version)).unwrap();
        let turned = directory.path().join("turned");
        std::os::unix::fs::symlink(version, &turned).unwrap();
        fs::rename(&turned, directory.path().join("..data")).unwrap();
        if version == "one" {
            let link = directory.path().join("link");
            std::os::unix::fs::symlink("..data/config.yaml", &link).unwrap();
            fs::rename(&link, &path).unwrap();
        }
        until(address, version, 200).await;
    }
    assert_eq!(status(address, "third").await, 404);
    // What is broken is put right, and found again although another file was at fault.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "include: [later.yaml]\n").unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(status(address, "two").await, 200);
    fs::write(directory.path().join("later.yaml"), list("later")).unwrap();
    until(address, "later", 200).await;
    process.signal("TERM");
    let (_, _, logged) = process.end().await;
    assert_eq!(logged.matches("is wrong").count(), 1, "{logged}");
    assert_eq!(logged.matches("was read again").count(), 5, "{logged}");
}

#[tokio::test]
async fn what_is_in_flight_is_still_counted() {
    let openai = FakeProvider::openai().spawn().await;
    let limit = ", max_parallel_requests: 1";
    let one = list(&[model("one", &openai, limit), model("free", &openai, "")]);
    let (_directory, path) = file(&one);
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    openai.script(Script::behave().stall_after(4));
    let mut open =
        Connection::ask(address, &Ask::json(CHAT, &streamed(chat("one", "a b c")))).await;
    open.until("data: ").await;
    assert_eq!(status(address, "one").await, 429);
    fs::write(&path, format!("{one}general_settings: {{global_max_parallel_requests: 1}}\n"))
        .unwrap();
    assert_eq!(reload(address).await.status, 200);
    // Of the whole gateway: the stream that the old stack serves counts in the new one.
    assert_eq!(status(address, "free").await, 503);
    fs::write(&path, &one).unwrap();
    assert_eq!(reload(address).await.status, 200);
    assert_eq!(status(address, "free").await, 200);
    // And of the deployment.
    assert_eq!(status(address, "one").await, 429);
    drop(open);
    until(address, "one", 200).await;
}

/// A number of `/proc/PID/status`, such as `VmRSS` in KiB.
fn of_process(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_lose_no_call_and_leak_nothing() {
    const WARM: usize = 30;
    let openai = FakeProvider::openai().spawn().await;
    // Many entries, so that a stack that stayed would be seen: hundreds of KiB each.
    let version = |number: usize| {
        let mut models = vec![model("gpt", &openai, "")];
        models.extend((0..200).map(|at| model(&format!("v{number}-{at}"), &openai, "")));
        format!("{}ziggurat: {{reload: {{watch: false}}}}\n", list(&models))
    };
    let (_directory, path) = file(&version(0));
    let process = Process::start(&["--config", &path, "--log", "warn"], &[]).await;
    let (address, id) = (process.address, process.id());
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..6)
        .map(|caller| {
            let (over, done) = (over.clone(), done.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let body = chat("gpt", "[slow:5] one two three");
                    let body = if caller % 2 == 0 { streamed(body) } else { body };
                    let answer = Ask::json(CHAT, &body).send(address).await;
                    assert!(answer.status == 200 && answer.complete, "{}", answer.text());
                    if caller % 2 == 0 {
                        assert!(answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut warm = (0, 0);
    for number in 1..=WARM + 100 {
        fs::write(&path, version(number)).unwrap();
        let answer = reload(address).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let deployments = &answer.json()["deployments"];
        assert_eq!(deployments["added"].as_array().map(Vec::len), Some(200));
        assert_eq!(deployments["kept"], Value::from(1));
        if number == WARM {
            warm = (of_process(id, "VmRSS"), descriptors(id));
        }
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let (rss, open) = (of_process(id, "VmRSS"), descriptors(id));
    assert!(done.load(Ordering::Relaxed) > 50, "there was load");
    assert!(rss < warm.0 + (12 << 10), "{} KiB became {rss} KiB over 100 reloads", warm.0);
    assert!(open <= warm.1 + 2, "{} descriptors became {open}", warm.1);
    process.signal("TERM");
    assert!(process.end().await.0.success());
}
