//! Asks a model by its name: once for the whole answer, once for it in pieces.
//!
//! ```text
//! ANTHROPIC_API_KEY=sk-ant-… cargo run -p example-direct-call
//! OPENAI_API_KEY=sk-… cargo run -p example-direct-call -- openai/gpt-4.1
//! ```

use std::error::Error;
use std::io::{self, Write};

use ziggurat::{Call, Client, Usage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "anthropic/claude-sonnet-4-6".to_owned());
    // Every known provider, its key and address in its own variables.
    app(&Client::from_env(), &model, &mut io::stdout()).await
}

/// Says hello twice, and writes down the answers.
async fn app(client: &Client, model: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let call = Call::chat(model).user("Hello!");

    // All at once. What the model cannot take is either refused or reported.
    let answer = client.ask(call.clone()).await?;
    writeln!(out, "{}", answer.text())?;
    for loss in &answer.head.losses {
        writeln!(out, "(lost: {loss})")?;
    }

    // As it comes. Dropping the stream would cancel the request.
    let mut stream = client.stream(call).await?;
    while let Some(text) = stream.next_text().await? {
        write!(out, "{text}")?;
        out.flush()?;
    }
    writeln!(out, "\n({} tokens)", stream.usage().map_or(0, Usage::total))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ziggurat::Secret;
    use ziggurat::client::Providers;
    use ziggurat_testkit::FakeProvider;

    use super::*;

    const MODEL: &str = "anthropic/claude-sonnet-4-6";

    #[tokio::test]
    async fn a_model_is_asked_whole_and_streamed() {
        let provider = FakeProvider::anthropic().spawn().await;
        let providers = Providers::from_env().key("anthropic", Secret::new("sk-fake")).unwrap();
        let providers =
            providers.base_url("anthropic", provider.base_url().parse().unwrap()).unwrap();
        let mut out = Vec::new();
        app(&Client::new(providers), MODEL, &mut out).await.unwrap();

        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[..2], ["You said: Hello!", "You said: Hello!"], "{out}");
        assert!(lines[2].ends_with(" tokens)") && !lines[2].starts_with("(0"), "{out}");
        let asked: Vec<_> = provider.requests().iter().map(|asked| asked.json()).collect();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|asked| asked["model"] == "claude-sonnet-4-6"));
        assert_eq!(asked[1]["stream"], true);
    }

    #[tokio::test]
    async fn a_missing_key_says_what_to_set() {
        let client = Client::new(Providers::from_env().variables(|_| None));
        let error = app(&client, MODEL, &mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
    }
}
