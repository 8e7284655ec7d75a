//! A client that leaves cancels the provider at once, streamed or not, unless its model is drained.

use std::time::Duration;

use serde_json::{Value, json};
use ziggurat_testkit::{FakeProvider, Script};

use crate::binary::{Process, file};
use crate::calls::{chat, messages, streamed};
use crate::client::{Ask, Connection};
use crate::world::World;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let world = World::plain().await;
    let text = "one two three";
    for (path, body) in [
        ("/v1/chat/completions", streamed(chat("gpt", text))),
        ("/v1/messages", streamed(messages("gpt", text))),
    ] {
        world.openai.script(Script::behave().stall_after(4));
        let mut client = Connection::ask(world.address(), &Ask::json(path, &body)).await;
        client.until("data: ").await;
        drop(client);
        tokio::time::timeout(SOON, world.openai.wait_disconnect()).await.expect("it is told");
    }
}

#[tokio::test]
async fn before_the_answer_has_begun() {
    let world = World::plain().await;
    for (count, body) in [chat("gpt", "hi"), streamed(chat("gpt", "hi"))].iter().enumerate() {
        world.openai.script(Script::never_answer());
        let ask = Ask::json("/v1/chat/completions", body);
        let client = Connection::ask(world.address(), &ask).await;
        world.openai.wait_requests(count as u64 + 1).await;
        assert_eq!(world.openai.disconnects(), count);
        drop(client);
        tokio::time::timeout(SOON, world.openai.wait_disconnect()).await.expect("it is told");
    }
}

#[tokio::test]
async fn a_client_that_leaves_after_the_end_cancels_nothing() {
    let world = World::plain().await;
    let ask = Ask::json("/v1/chat/completions", &streamed(chat("gpt", "hi")));
    let mut client = Connection::ask(world.address(), &ask).await;
    client.until("[DONE]").await;
    drop(client);
    assert_eq!(
        Ask::json("/v1/chat/completions", &chat("gpt", "hi")).send(world.address()).await.status,
        200
    );
    assert_eq!(world.openai.disconnects(), 0);
    assert_eq!(world.openai.connections(), 1, "the connection serves again");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_provider_back() {
    let world = World::plain().await;
    let event = format!(
        "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"finish_reason\":null}}]}}\n\n",
        "x".repeat(10_000)
    );
    let events = std::iter::repeat_n(event, 4000).collect::<Vec<_>>();
    world.openai.script(Script::sse(events));
    let ask = Ask::json("/v1/chat/completions", &streamed(chat("gpt", "hi")));
    let mut client = Connection::ask(world.address(), &ask).await;
    client.until("data: ").await;
    // Wait until nothing moves any more.
    let mut sent = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = world.openai.bytes_sent();
        if now == sent {
            break;
        }
        sent = now;
    }
    assert!(sent < 30_000_000, "{sent} of 40 MB were taken in for a client that does not read");
}

#[tokio::test]
async fn a_model_whose_calls_are_drained_learns_its_usage_also_while_the_program_ends() {
    let openai = FakeProvider::openai().spawn().await;
    let (_directory, path) = file(&format!(
        "model_list:\n\
         - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{0}', api_key: k}}}}\n\
         - {{model_name: cut, litellm_params: {{model: openai/gpt-4o, api_base: '{0}', api_key: k}}}}\n\
         litellm_settings: {{json_logs: true}}\n\
         ziggurat: {{disconnect: {{models: {{gpt: {{drain: {{time: 10s}}}}}}}}}}\n",
        openai.base_url()
    ));
    let process = Process::start(&["--config", &path], &[]).await;
    let address = process.address;
    let path = "/v1/chat/completions";
    let said = "[slow:100] one two three four five";
    let ask = async |model: &str, word: &str| {
        let ask = Ask::json(path, &streamed(chat(model, said)));
        let mut client = Connection::ask(address, &ask).await;
        if word.is_empty() {
            openai.wait_requests(3).await;
        } else {
            client.until(word).await;
        }
    };
    ask("cut", "data: ").await;
    tokio::time::timeout(SOON, openai.wait_disconnect()).await.expect("it is told");
    ask("gpt", "data: ").await;
    openai.script(Script::behave().delay_head(Duration::from_millis(600)));
    ask("gpt", "").await;
    // Nobody listens any more, and yet they are finished.
    process.signal("TERM");
    let (status, _, logged) = process.end().await;
    assert!(status.success());
    assert_eq!(openai.disconnects(), 1);
    let calls: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .filter(|line: &Value| line["target"] == "ziggurat::call")
        .collect();
    let ends: Vec<_> = calls.iter().map(|call| (&call["model"], &call["end"])).collect();
    assert_eq!(ends.len(), 3, "{logged}");
    assert_eq!((ends[0].0, ends[0].1), (&json!("cut"), &json!("cancelled")));
    for call in &calls[1..] {
        assert_eq!((&call["model"], &call["end"]), (&json!("gpt"), &json!("success")));
        assert!(
            call["output_tokens"].as_u64() > Some(4) && call.get("estimated").is_none(),
            "{call}"
        );
    }
}
