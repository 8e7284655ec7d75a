//! One of several deployments, and what becomes of the one that fails.
//!
//! ```text
//! OPENAI_API_KEY=sk-… ANTHROPIC_API_KEY=sk-ant-… cargo run -p example-route -- "Why is the sky blue?"
//! ```
//!
//! The model `chat` is OpenAI's as long as that answers, and Anthropic's when it does not: the one that fails rests, the call goes on
//! to the other at once, and so do those that follow. What is known of both is in a registry, and shown at the end.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use ziggurat::layers::route::{CoolDown, Endpoint, Registry, Rules, Table};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "Hello!".to_owned());
    let key = |name| std::env::var(name).map(Secret::new);
    let gpt = Deployment::new("gpt", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(key("OPENAI_API_KEY")?)
        .model("gpt-4.1-mini");
    let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse()?)
        .key(key("ANTHROPIC_API_KEY")?)
        .model("claude-haiku-4-5");
    // It outlives the layers: whoever builds them anew hands it on.
    let registry = Registry::new();
    let client = app(&registry, gpt, claude);
    for _ in 0..3 {
        let mut stream = client.stream(Call::chat("chat").user(question.as_str())).await?;
        let deployment = stream.head().deployment.clone().unwrap_or_default();
        write!(io::stdout(), "{deployment}: ")?;
        while let Some(text) = stream.next_text().await? {
            write!(io::stdout(), "{text}")?;
            io::stdout().flush()?;
        }
        writeln!(io::stdout())?;
    }
    write!(io::stdout(), "\n{}", described(&registry))?;
    Ok(())
}

/// A client that asks the second deployment when the first cannot take a call.
fn app(registry: &Registry, first: Deployment, second: Deployment) -> Client<impl CallService> {
    let transport = Transport::new();
    let minute = Duration::from_secs(60);
    // What differs from one to the other is below the route; `Ok` means there that content has come.
    let endpoint = |deployment: Deployment| {
        let id = deployment.id.clone();
        let provider = TranslateLayer::new(deployment).layer(transport.clone());
        let timed = TimeoutLayer::new().first_content(minute).idle(minute).layer(provider);
        Endpoint::new(id, PeekLayer::new().layer(timed))
    };
    // A failure is enough, and a rest is half a minute, unless the provider says otherwise.
    let cool_down = CoolDown::new().allowed_fails(0).time(Duration::from_secs(30));
    let table = Table::builder(registry)
        .rules(Rules::new().cool_down(cool_down))
        .group("chat", [endpoint(first).order(1), endpoint(second).order(2)])
        .build();
    // Above the route, so that each attempt is routed afresh. It does not wait while somebody else is well.
    Client::new(RetryLayer::new().layer(Route::new(table)))
}

/// How the deployments are, a line each.
fn described(registry: &Registry) -> String {
    let mut text = String::new();
    for state in registry.states() {
        let why = state.cause.map(|cause| format!(" ({})", cause.name())).unwrap_or_default();
        text.push_str(&format!("{}: {:?}{why}\n", state.id, state.condition));
    }
    text
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    async fn ask(client: &Client<impl CallService>) -> (String, String) {
        let mut stream = client.stream(Call::chat("chat").user("one two")).await.unwrap();
        let deployment = stream.head().deployment.clone().unwrap().to_string();
        let mut all = String::new();
        while let Some(text) = stream.next_text().await.unwrap() {
            all.push_str(&text);
        }
        (deployment, all)
    }

    #[tokio::test]
    async fn the_one_that_fails_rests_and_the_other_answers() {
        let (gpt, claude) =
            (FakeProvider::openai().spawn().await, FakeProvider::anthropic().spawn().await);
        let first = Deployment::new("gpt", OPENAI, gpt.base_url().parse().unwrap()).model("gpt-4o");
        let second = Deployment::new("claude", ANTHROPIC, claude.base_url().parse().unwrap())
            .key(Secret::new("sk-fake"))
            .model("claude-sonnet-4-5");
        let first = first.key(Secret::new("sk-fake"));
        let registry = Registry::new();
        let client = app(&registry, first, second);
        assert_eq!(ask(&client).await.0, "gpt");
        gpt.script(Script::error(503));
        for _ in 0..3 {
            assert_eq!(ask(&client).await, ("claude".to_owned(), "You said: one two".to_owned()));
        }
        assert_eq!((gpt.request_count(), claude.request_count()), (2, 3));
        assert_eq!(described(&registry), "claude: Well\ngpt: Cooling (fault)\n");
        // Somebody knows better.
        registry.warm("gpt");
        assert_eq!(ask(&client).await.0, "gpt");
    }
}
