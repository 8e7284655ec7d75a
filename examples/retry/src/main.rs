//! Asks a model again when it fails, without making a storm of it.
//!
//! ```text
//! ANTHROPIC_API_KEY=sk-ant-… cargo run -p example-retry -- "Why is the sky blue?"
//! ```
//!
//! A provider that is overloaded says so with a status, or inside a stream that began with 200; one that hangs says nothing. All
//! three are errors above the layers here, and are tried again: after as long as the provider asks for, else after a random time that
//! doubles. How many retries there are is bounded by the number for each call, and by a budget for all of them.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use ziggurat::client::Providers;
use ziggurat::layers::retry::{RetryBudget, RetryBudgets, RetryPolicy};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "Hello!".to_owned());
    // The books of the budget: whoever builds the layers anew hands them on.
    let budgets = RetryBudgets::new();
    let client = app(Providers::from_env(), retries(&budgets));
    let mut stream =
        client.stream(Call::chat("anthropic/claude-sonnet-4-6").user(question)).await?;
    while let Some(text) = stream.next_text().await? {
        write!(io::stdout(), "{text}")?;
        io::stdout().flush()?;
    }
    writeln!(io::stdout(), "\n({} attempts)", stream.head().attempts)?;
    Ok(())
}

/// What is tried again, and how often.
fn retries(budgets: &RetryBudgets) -> RetryLayer {
    RetryLayer::new()
        .retries(3)
        // A minute was waited for it already: once more is enough.
        .policy(RetryPolicy::new().on([ErrorKind::Timeout], 1))
        // When the provider is down, the load on it grows by a tenth and not by three times.
        .budget(RetryBudget::percent(10).per_second(2))
        .budgets(budgets.clone())
}

/// A client that tries again.
fn app(providers: Providers, retries: RetryLayer) -> Client<impl CallService> {
    let minute = Duration::from_secs(60);
    // Next to the provider the clocks, above them the peek for content: what it lets through is never tried again.
    let provider = TimeoutLayer::new().first_content(minute).idle(minute).layer(providers);
    Client::new(retries.layer(PeekLayer::new().layer(provider)))
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    async fn ask(
        provider: &FakeProvider,
        retries: RetryLayer,
    ) -> Result<(String, u32), ziggurat::Error> {
        let providers = Providers::from_env().key("anthropic", Secret::new("sk-fake")).unwrap();
        let address = provider.base_url().parse().unwrap();
        let client = app(providers.base_url("anthropic", address).unwrap(), retries);
        let call = Call::chat("anthropic/claude-sonnet-4-6").user("one two");
        let mut stream = client.stream(call).await?;
        let mut all = String::new();
        while let Some(text) = stream.next_text().await? {
            all.push_str(&text);
        }
        Ok((all, stream.head().attempts))
    }

    /// The same, without the waits.
    fn at_once() -> RetryLayer {
        retries(&RetryBudgets::new()).backoff(Duration::ZERO, Duration::ZERO)
    }

    #[tokio::test]
    async fn what_fails_before_its_first_word_is_asked_again() {
        let provider = FakeProvider::anthropic().spawn().await;
        provider.script(Script::error(500));
        // Inside a 200.
        provider.script(Script::behave().error_event_after(1));
        let (text, attempts) = ask(&provider, at_once()).await.unwrap();
        assert_eq!((text.as_str(), attempts), ("You said: one two", 3));
    }

    #[tokio::test]
    async fn what_the_caller_did_wrong_is_not() {
        let provider = FakeProvider::anthropic().spawn().await;
        provider.script(Script::error(400));
        let error = ask(&provider, at_once()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidRequest, Some(1)));
        assert_eq!(provider.request_count(), 1);
    }

    #[tokio::test]
    async fn a_provider_that_is_down_is_not_stormed() {
        let provider = FakeProvider::anthropic().spawn().await;
        provider.always(Script::error(500));
        let layer = at_once().budget(RetryBudget::percent(10));
        for _ in 0..20 {
            ask(&provider, layer.clone()).await.unwrap_err();
        }
        assert_eq!(provider.request_count(), 22, "a tenth more than there were calls");
    }
}
