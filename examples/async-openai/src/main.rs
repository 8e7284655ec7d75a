//! A gateway as the transport of `async-openai`: the program goes on writing OpenAI's requests, in process they become Anthropic's.
//!
//! ```text
//! ANTHROPIC_API_KEY=sk-ant-… cargo run -p example-async-openai
//! ```
//!
//! No port is opened and no second process is started: the client's requests go through the layers as plain `http`.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use futures_util::StreamExt;
use http_body_util::BodyDataStream;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use ziggurat::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse()?)
        .key(Secret::new(std::env::var("ANTHROPIC_API_KEY")?));
    talk(&app(claude), &mut io::stdout()).await
}

/// The client, whose requests go to this deployment.
fn app(deployment: Deployment) -> Client<OpenAIConfig> {
    let gateway = ServiceBuilder::new()
        // The client's requests become calls, replies become the answers that it knows.
        .layer(FrontDoorLayer::new())
        // A provider that says nothing is not waited for.
        .layer(TimeoutLayer::new().first_content(Duration::from_secs(60)))
        // Calls become requests in the deployment's dialect.
        .layer(TranslateLayer::new(deployment))
        .service(Transport::new());
    let carry = service_fn(move |request: HttpRequestFactory| {
        let gateway = gateway.clone();
        async move {
            let request: http::Request<reqwest::Body> = request.build().await?.try_into()?;
            let Ok(response) = gateway.oneshot(request).await;
            let body = |body| reqwest::Body::wrap_stream(BodyDataStream::new(body));
            Ok::<_, OpenAIError>(response.map(body).into())
        }
    });
    // The address's host and the key go nowhere: the deployment has its own.
    let config = OpenAIConfig::new().with_api_base("http://in.process/v1").with_api_key("none");
    Client::with_config(config).with_http_service(carry)
}

/// Says hello twice: once for the whole answer, once for it in pieces.
async fn talk(client: &Client<OpenAIConfig>, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let answer = client.chat().create(hello()?).await?;
    for choice in answer.choices {
        writeln!(out, "{}", choice.message.content.unwrap_or_default())?;
    }
    let mut stream = client.chat().create_stream(hello()?).await?;
    while let Some(chunk) = stream.next().await {
        for choice in chunk?.choices {
            write!(out, "{}", choice.delta.content.unwrap_or_default())?;
        }
        out.flush()?;
    }
    writeln!(out)?;
    Ok(())
}

fn hello() -> Result<CreateChatCompletionRequest, OpenAIError> {
    CreateChatCompletionRequestArgs::default()
        .model("claude-sonnet-4-6")
        .max_completion_tokens(500_u32)
        .messages([ChatCompletionRequestUserMessage::from("Hello!").into()])
        .build()
}

#[cfg(test)]
mod tests {
    use ziggurat_testkit::{FakeProvider, Script};

    use super::*;

    async fn client() -> (FakeProvider, Client<OpenAIConfig>) {
        // The client makes a reqwest client of its own, though nothing goes through it. Where another crate of the build has asked
        // reqwest for TLS without choosing who computes it, that must have been chosen for the process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let provider = FakeProvider::anthropic().spawn().await;
        let claude = Deployment::new("claude", ANTHROPIC, provider.base_url().parse().unwrap())
            .key(Secret::new("sk-ant-fake"));
        (provider, app(claude))
    }

    #[tokio::test]
    async fn openais_client_talks_to_anthropic() {
        let (provider, client) = client().await;
        let mut out = Vec::new();
        talk(&client, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "You said: Hello!\nYou said: Hello!\n");
        let [whole, streamed] = &provider.requests()[..] else { panic!("it is asked twice") };
        assert_eq!(whole.path, "/v1/messages");
        assert_eq!(whole.header("x-api-key"), Some("sk-ant-fake"));
        assert_eq!(whole.header("authorization"), None);
        assert_eq!(whole.json()["max_tokens"], 500);
        assert_eq!(streamed.json()["stream"], true);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_as_the_client_knows_it() {
        let (provider, client) = client().await;
        provider.script(Script::error(429));
        let error = client.chat().create(hello().unwrap()).await.unwrap_err();
        let OpenAIError::ApiError(error) = error else { panic!("{error}") };
        assert_eq!(error.status_code.as_u16(), 429);
    }
}
