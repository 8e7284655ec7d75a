//! The baseline: what any proxy on this HTTP stack costs at the least.
//!
//! A hyper server and hyper-util's pooled client with nothing between them: both bodies stream through
//! untouched, the authority is rewritten and hop-by-hop headers are taken off.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header,
    uri::{Authority, Scheme},
};
use http_body_util::{Either, Full};
use hyper::{body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::{TcpListener, TcpStream};

/// A pass-through HTTP/1.1 proxy, as bare as it gets.
#[derive(Debug, Parser)]
struct Args {
    /// Where requests go, as `http://host:port`.
    #[arg(long)]
    upstream: Uri,
    /// Port on the loopback.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The kind of runtime: that of the server it is compared with.
    #[arg(long, env = "BENCH_RUNTIME", value_enum, default_value_t = Kind::Multi)]
    runtime: Kind,
    /// Leave Nagle's algorithm on towards callers: what late tokens look like.
    #[arg(long)]
    nagle: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A worker for each core the process may use.
    Multi,
    /// Everything on the main thread.
    Current,
}

type Body = Either<Incoming, Full<Bytes>>;

#[derive(Debug, Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    host: HeaderValue,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = match args.runtime {
        Kind::Multi => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        Kind::Current => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    runtime?.block_on(serve(args))
}

async fn serve(args: Args) -> Result<()> {
    let upstream = args.upstream.authority().context("--upstream needs a host")?.clone();
    let host = HeaderValue::from_str(upstream.as_str())?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let proxy = Proxy { client, upstream, host };

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(!args.nagle)?;
        tokio::spawn(serve_connection(connection, proxy.clone()));
    }
}

async fn serve_connection(connection: TcpStream, proxy: Proxy) {
    let service = service_fn(move |request| proxy.clone().forward(request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
    // A caller that hangs up in the middle of a stream is not worth a word.
    let _ = connection.await;
}

impl Proxy {
    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Body>, http::Error> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.upstream);
        *request.uri_mut() = Uri::from_parts(parts)?;
        strip_hop_by_hop(request.headers_mut());
        request.headers_mut().insert(header::HOST, self.host);
        match self.client.request(request).await {
            Ok(mut response) => {
                strip_hop_by_hop(response.headers_mut());
                Ok(response.map(Either::Left))
            }
            Err(error) => {
                let body = Full::from(format!("{error}\n"));
                Response::builder().status(StatusCode::BAD_GATEWAY).body(Either::Right(body))
            }
        }
    }
}

/// Takes off what concerns one connection only (RFC 9110, section 7.6.1).
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    if let Some(named) = headers.remove(header::CONNECTION)
        && let Ok(named) = named.to_str()
    {
        for name in named.split(',') {
            headers.remove(name.trim());
        }
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}
