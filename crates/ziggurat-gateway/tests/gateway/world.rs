//! A gateway on a loopback port, and the providers behind it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ziggurat_gateway::{Ending, Gateway, config};
use ziggurat_testkit::FakeProvider;

/// A gateway that serves until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
}

/// A gateway with a provider of each kind behind it.
pub(crate) struct World {
    pub(crate) gateway: Running,
    pub(crate) openai: FakeProvider,
    pub(crate) anthropic: FakeProvider,
}

impl World {
    /// The models `gpt` and `claude`, with nothing else configured.
    pub(crate) async fn plain() -> Self {
        Self::with("").await
    }

    /// The same models, and whatever else the rest of the file says.
    pub(crate) async fn with(rest: &str) -> Self {
        Self::params("", rest).await
    }

    /// The same models, with these parameters each (`, name: value`). Nothing is tried again, unless they say so: most tests are
    /// about one attempt.
    pub(crate) async fn params(params: &str, rest: &str) -> Self {
        let once = if params.contains("num_retries") { "" } else { ", num_retries: 0" };
        let params = format!("{once}{params}");
        let openai = FakeProvider::openai().spawn().await;
        let anthropic = FakeProvider::anthropic().spawn().await;
        let text = format!(
            "model_list:\n\
             - {{model_name: gpt, litellm_params: {{model: openai/gpt-4o, api_base: '{}', \
                api_key: sk-openai{params}}}, model_info: {{id: at-openai}}}}\n\
             - {{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5, \
                api_base: '{}', api_key: sk-anthropic{params}}}, model_info: {{id: at-anthropic}}}}\n\
             - {{model_name: 'mock/*', litellm_params: {{model: 'mock/*'}}}}\n\
             {rest}\n",
            openai.base_url(),
            anthropic.base_url(),
        );
        Self { gateway: run(&text).await, openai, anthropic }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address
    }
}

/// Serves what a configuration says.
pub(crate) async fn run(text: &str) -> Running {
    let env: HashMap<String, String> = HashMap::new();
    let (config, _) = config::parse(text.as_bytes(), "config.yaml", &env)
        .unwrap_or_else(|report| panic!("{report}"));
    let (gateway, _) = Gateway::new(config, &env).unwrap_or_else(|report| panic!("{report}"));
    serve(&gateway, &Ending::default()).await
}

/// Serves a gateway.
pub(crate) async fn serve(gateway: &Gateway, ending: &Ending) -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = gateway.serve_options(ending);
    let stop = ending.stopping.clone();
    let app = gateway.app(ending);
    let server =
        tokio::spawn(ziggurat_http::serve(listener, app, options, stop.clone().cancelled_owned()));
    Running { address, stop, server }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}
