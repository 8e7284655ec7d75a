//! The end, in good order.

use std::time::Duration;

use ziggurat_testkit::Script;

use crate::calls::{chat, messages, streamed};
use crate::client::{Ask, Connection};
use crate::world::World;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_stream_that_ends_within_the_grace_is_finished() {
    let mut world = World::plain().await;
    let ask = Ask::json(CHAT, &streamed(chat("gpt", "[slow:60] one two three four five")));
    let mut open = Connection::ask(world.address(), &ask).await;
    open.until("data: ").await;
    world.gateway.stop.cancel();
    let answer = open.answer().await;
    assert!(answer.complete && answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
    (&mut world.gateway.server).await.unwrap().unwrap();
    let late = tokio::net::TcpStream::connect(world.address()).await;
    assert!(late.is_err(), "nobody is let in any more");
}

#[tokio::test]
async fn what_runs_longer_than_the_grace_ends_with_an_error() {
    let mut world = World::with("ziggurat: {shutdown_grace: 200ms}").await;
    let mut asks = Vec::new();
    for (path, body) in [
        (CHAT, streamed(chat("gpt", "one two"))),
        ("/v1/messages", streamed(messages("gpt", "one two"))),
    ] {
        world.openai.script(Script::behave().stall_after(4));
        let mut open = Connection::ask(world.address(), &Ask::json(path, &body)).await;
        open.until("data: ").await;
        asks.push(open);
    }
    world.openai.always(Script::never_answer());
    let waiting = Connection::ask(world.address(), &Ask::json(CHAT, &chat("gpt", "hi"))).await;
    world.openai.wait_requests(3).await;
    world.gateway.stop.cancel();
    let anthropic = asks.pop().unwrap().answer().await;
    let openai = asks.pop().unwrap().answer().await;
    assert!(openai.complete && openai.text().contains("shutting down"), "{}", openai.text());
    assert!(!openai.text().contains("finish_reason\":\"stop"), "{}", openai.text());
    assert!(
        anthropic.complete && anthropic.text().contains("event: error"),
        "{}",
        anthropic.text()
    );
    waiting.answer().await.openai_error(503);
    tokio::time::timeout(Duration::from_secs(5), &mut world.gateway.server)
        .await
        .expect("it ends soon after")
        .unwrap()
        .unwrap();
    for _ in 0..3 {
        world.openai.wait_disconnect().await;
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_end_up() {
    let mut world = World::plain().await;
    let _idle = Connection::open(world.address()).await;
    let bytes = Ask::get("/health/liveness").bytes();
    let kept = String::from_utf8(bytes).unwrap().replace("connection: close\r\n", "");
    let mut second = Connection::open(world.address()).await;
    second.write(kept.as_bytes()).await;
    second.until("alive").await;
    world.gateway.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), &mut world.gateway.server)
        .await
        .expect("nothing is under way")
        .unwrap()
        .unwrap();
}
