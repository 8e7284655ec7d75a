//! Asks another vendor when a model fails, in the middle of its first words too.
//!
//! ```text
//! ANTHROPIC_API_KEY=sk-ant-… OPENAI_API_KEY=sk-… cargo run -p example-fallback -- "Why is the sky blue?"
//! ```
//!
//! Claude is asked; when trying it again does not help, GPT is. A prompt that is too long for the one goes to a model with a longer
//! memory. Once a word has gone out nobody else is asked: a stream that breaks then is an error, and nothing is said twice.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use ziggurat::client::{ChatStream, Providers};
use ziggurat::layers::Stack;
use ziggurat::layers::fallback::FallbackPolicy;
use ziggurat::prelude::*;

const CLAUDE: &str = "anthropic/claude-sonnet-4-6";
const GPT: &str = "openai/gpt-5";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "Hello!".to_owned());
    let client = app(Providers::from_env(), RetryLayer::new().retries(1));
    let mut stream = client.stream(Call::chat(CLAUDE).user(question)).await?;
    while let Some(text) = stream.next_text().await? {
        write!(io::stdout(), "{text}")?;
        io::stdout().flush()?;
    }
    writeln!(io::stdout(), "\n({})", course(&stream))?;
    Ok(())
}

/// Who answered, and after how many attempts.
fn course(stream: &ChatStream) -> String {
    let head = stream.head();
    let model = head.group.as_deref().unwrap_or(CLAUDE);
    format!("{model}, attempts: {}, fallbacks: {}", head.attempts, head.fallbacks)
}

/// A client that knows whom to ask instead.
fn app(providers: Providers, retries: RetryLayer) -> Client<impl CallService> {
    let policy = FallbackPolicy::new()
        .on(CLAUDE, [GPT])
        // For prompts that are too long there is one list, so that the one above is not for them.
        .on_context_length(CLAUDE, ["openai/gpt-4.1"]);
    let minute = Duration::from_secs(60);
    // The stack knows the places: in which order they are filled does not matter.
    let stack = Stack::new()
        .fallback(FallbackLayer::new(policy))
        .retry(retries)
        .peek(PeekLayer::new())
        .timeout(TimeoutLayer::new().first_content(minute).idle(minute));
    Client::new(stack.service(providers))
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    async fn ask(
        anthropic: &FakeProvider,
        openai: &FakeProvider,
    ) -> Result<(String, String), ziggurat::Error> {
        let mut providers = Providers::from_env();
        for (name, provider) in [("anthropic", anthropic), ("openai", openai)] {
            providers = providers.key(name, Secret::new("sk-fake")).unwrap();
            providers = providers.base_url(name, provider.base_url().parse().unwrap()).unwrap();
        }
        let retries = RetryLayer::new().retries(1).backoff(Duration::ZERO, Duration::ZERO);
        let client = app(providers, retries);
        let mut stream = client.stream(Call::chat(CLAUDE).user("one two")).await?;
        let mut all = String::new();
        while let Some(text) = stream.next_text().await? {
            all.push_str(&text);
        }
        Ok((all, course(&stream)))
    }

    #[tokio::test]
    async fn another_vendor_answers_when_trying_again_did_not_help() {
        let anthropic = FakeProvider::anthropic().spawn().await;
        let openai = FakeProvider::openai().spawn().await;
        anthropic.script(Script::error(500));
        // Inside a 200.
        anthropic.script(Script::behave().error_event_after(1));
        let (text, course) = ask(&anthropic, &openai).await.unwrap();
        assert_eq!(text, "You said: one two");
        assert_eq!(course, "openai/gpt-5, attempts: 3, fallbacks: 1");
        assert_eq!(openai.last_request().json()["model"], "gpt-5");

        let (_, course) = ask(&anthropic, &openai).await.unwrap();
        assert_eq!(course, "anthropic/claude-sonnet-4-6, attempts: 1, fallbacks: 0");
    }

    #[tokio::test]
    async fn if_all_fail_the_first_error_is_the_answer() {
        let anthropic = FakeProvider::anthropic().spawn().await;
        let openai = FakeProvider::openai().spawn().await;
        anthropic.always(Script::error(529).header("retry-after", "0"));
        openai.always(Script::error(401));
        let error = ask(&anthropic, &openai).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert_eq!((error.attempts(), error.fallbacks()), (Some(3), 1));
        assert_eq!(error.others().last().unwrap().kind(), ErrorKind::Authentication);
    }

    #[tokio::test]
    async fn after_the_first_word_nobody_else_is_asked() {
        let anthropic = FakeProvider::anthropic().spawn().await;
        let openai = FakeProvider::openai().spawn().await;
        anthropic.script(Script::behave().error_event_after(4));
        ask(&anthropic, &openai).await.unwrap_err();
        assert_eq!((anthropic.request_count(), openai.request_count()), (1, 0));
    }
}
