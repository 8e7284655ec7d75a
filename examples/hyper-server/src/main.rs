//! A whole gateway in a plain hyper server: admission, front door, layers, and deployments that are chosen by model.
//!
//! ```text
//! ANTHROPIC_API_KEY=sk-ant-… OPENAI_API_KEY=sk-… cargo run -p example-hyper-server
//! ```
//!
//! OpenAI's clients (base URL `http://127.0.0.1:4000/v1`) and Anthropic's (`http://127.0.0.1:4000`) may ask for either model.

mod switch;
#[cfg(test)]
mod tests;

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tower::ServiceBuilder;
use ziggurat::http::{ServeOptions, serve};
use ziggurat::prelude::*;

use switch::Switch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let claude = Deployment::new("claude", ANTHROPIC, "https://api.anthropic.com".parse()?)
        .key(Secret::new(env::var("ANTHROPIC_API_KEY")?))
        .model("claude-sonnet-4-6");
    let gpt = Deployment::new("gpt", OPENAI, "https://api.openai.com/v1".parse()?)
        .key(Secret::new(env::var("OPENAI_API_KEY")?))
        .model("gpt-4.1");
    let listener = TcpListener::bind("127.0.0.1:4000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    app(listener, [("sonnet", claude), ("gpt", gpt)], stop).await?;
    Ok(())
}

/// Serves models under these names until `stop`, then finishes what is under way.
async fn app(
    listener: TcpListener,
    models: impl IntoIterator<Item = (&'static str, Deployment)>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let options = ServeOptions::default();
    let transport = Transport::new();
    let models = models.into_iter().map(|(name, deployment)| {
        // Calls become requests in the dialect of this deployment, its answers become replies.
        (name, TranslateLayer::new(deployment).layer(transport.clone()))
    });
    let gateway = ServiceBuilder::new()
        // What would not fit into memory is refused before its body is read.
        .layer(AdmissionLayer::new().calls(2_000).bytes(512 << 20))
        // Requests of either vendor's clients become calls, replies go back as those clients know them.
        .layer(
            FrontDoorLayer::new()
                .deadline(Duration::from_secs(600))
                .keepalive_after(Duration::from_secs(15))
                .shutdown(options.end.clone()),
        )
        // An answer that fails in its first event has failed: the caller gets a status, not a broken stream.
        .layer(PeekLayer::new())
        // A provider that says nothing is not waited for.
        .layer(
            TimeoutLayer::new()
                .first_content(Duration::from_secs(60))
                .idle(Duration::from_secs(60)),
        )
        // One deployment for each name.
        .service(Switch::new(models));
    serve(listener, gateway, options, stop).await
}
