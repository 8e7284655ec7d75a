//! Every layer in its one right order, in process: several deployments of two models that look like one good one.
//!
//! ```text
//! OPENAI_API_KEY=sk-… ANTHROPIC_API_KEY=sk-ant-… cargo run -p example-stack -- "Why is the sky blue?"
//! ```
//!
//! `Stack` puts each layer into its place, in whatever order they are named. What they know (limits, health, answers, budgets) is
//! kept beside them, so that a stack that is built anew goes on with it.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use ziggurat::layers::cache::Caches;
use ziggurat::layers::fallback::FallbackPolicy;
use ziggurat::layers::rate_limit::{By, LimitRules, Limiter, Limits};
use ziggurat::layers::retry::RetryBudgets;
use ziggurat::layers::route::{Endpoint, Registry, Rules, Strategy, Table};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "Hello!".to_owned());
    let gpt = Deployment::new("gpt", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(Secret::new(std::env::var("OPENAI_API_KEY")?))
        .model("gpt-4.1");
    let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse()?)
        .key(Secret::new(std::env::var("ANTHROPIC_API_KEY")?))
        .model("claude-sonnet-4-6");
    let client = app([("fast", vec![gpt]), ("careful", vec![claude])], &Books::default());
    let mut stream = client.stream(Call::chat("fast").user(question)).await?;
    while let Some(text) = stream.next_text().await? {
        write!(io::stdout(), "{text}")?;
        io::stdout().flush()?;
    }
    writeln!(io::stdout())?;
    Ok(())
}

/// What outlives a stack.
#[derive(Default)]
struct Books {
    health: Registry,
    limiter: Limiter,
    budgets: RetryBudgets,
    caches: Arc<Caches>,
}

/// A client of these models, each with its deployments; when `fast` fails, `careful` is asked.
fn app(
    models: impl IntoIterator<Item = (&'static str, Vec<Deployment>)>,
    books: &Books,
) -> Client<impl CallService> {
    let minute = Duration::from_secs(60);
    let transport = Transport::new();
    let provider = |deployment: Deployment| {
        let id = deployment.id.clone();
        // Around each deployment: its dialect, its clocks, and a look at its first event.
        let service = Stack::new()
            .timeout(TimeoutLayer::new().first_content(minute).idle(minute))
            .peek(PeekLayer::new())
            .service(TranslateLayer::new(deployment).layer(transport.clone()));
        Endpoint::new(id, service)
    };
    let rules = Rules::new().strategy(Strategy::LeastBusy);
    let mut table = Table::builder(&books.health).rules(rules);
    for (name, deployments) in models {
        table = table.group(name, deployments.into_iter().map(provider));
    }
    let access = AccessLayer::new().deny(["logit_bias"]);
    let permit = access.clone();
    let limits = LimitRules::new().each(By::Model, Limits::new().rpm(600).max_parallel(100));
    let stack = Stack::new()
        .retry(RetryLayer::new().budgets(books.budgets.clone()))
        .cache(CacheLayer::new(Arc::clone(&books.caches)))
        .fallback(
            FallbackLayer::new(FallbackPolicy::new().on("fast", ["careful"]))
                .permit(move |call| permit.check(call)),
        )
        .rate_limit(RateLimitLayer::new(books.limiter.clone(), limits))
        .access(access)
        .service(Route::new(table.build()));
    Client::new(stack)
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    fn deployment(id: &'static str, dialect: ziggurat::Dialect, at: &FakeProvider) -> Deployment {
        Deployment::new(id, dialect, at.base_url().parse().unwrap())
            .key(Secret::new("sk-fake"))
            .model("gpt-4.1")
    }

    #[tokio::test]
    async fn a_sibling_takes_over_at_once_then_another_model() {
        let (one, two) =
            (FakeProvider::openai().spawn().await, FakeProvider::openai().spawn().await);
        let other = FakeProvider::anthropic().spawn().await;
        let books = Books::default();
        let models = [
            ("fast", vec![deployment("one", OPENAI, &one), deployment("two", OPENAI, &two)]),
            ("careful", vec![deployment("other", ANTHROPIC, &other).model("claude-sonnet-4-6")]),
        ];
        let client = app(models, &books);

        one.always(Script::error(500));
        for _ in 0..4 {
            let answer = client.ask(Call::chat("fast").user("one two")).await.unwrap();
            assert_eq!(answer.text(), "You said: one two");
        }

        two.always(Script::behave().error_event_after(1));
        let mut stream = client.stream(Call::chat("fast").user("three").streamed()).await.unwrap();
        let mut text = String::new();
        while let Some(more) = stream.next_text().await.unwrap() {
            text.push_str(&more);
        }
        assert_eq!(text, "You said: three");
        assert_eq!(stream.head().fallbacks, 1);
        assert_eq!(stream.head().group.as_deref(), Some("careful"));
    }

    #[tokio::test]
    async fn what_is_refused_is_refused_before_anybody_is_asked() {
        let one = FakeProvider::openai().spawn().await;
        let client = app([("fast", vec![deployment("one", OPENAI, &one)])], &Books::default());
        let error = client.ask(Call::chat("unknown").user("Hello!")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(one.requests().is_empty());
    }
}
