use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use ziggurat_core::{Body, BoxError, Error, Source, Str};
use ziggurat_dialects::media;

use super::guard::{Forbidden, Guard, Network, Resolver};
use super::recent::Recent;
use crate::transport::tls;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How many addresses all calls together ask at once.
const AT_ONCE: usize = 64;

/// What a medium is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Image,
    Audio,
    Video,
    Document,
}

type HttpClient = Client<HttpsConnector<HttpConnector<Resolver>>, Body>;

/// Fetches what is behind addresses. Clones share connections. See the [module](super).
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    max_bytes: usize,
    timeout: Duration,
    guard: Arc<Guard>,
    /// Made when it is first needed.
    client: OnceLock<HttpClient>,
    places: Arc<Semaphore>,
    recent: Arc<Recent>,
}

impl Fetcher {
    /// A fetcher with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            max_bytes: 20 << 20,
            timeout: Duration::from_secs(30),
            client: OnceLock::new(),
            guard: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            recent: Arc::default(),
        }))
    }

    /// Bounds all that one call names, in bytes.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.with(|inner| inner.max_bytes = bytes)
    }

    /// Bounds how long one address may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|inner| inner.timeout = timeout)
    }

    /// Lets addresses of this network be asked, though not everybody reaches them.
    #[must_use]
    pub fn allow_network(self, network: Network) -> Self {
        self.guarding(|guard| guard.allowed.push(network))
    }

    /// Lets every address be asked: where all who may send a prompt may reach what this machine reaches.
    #[must_use]
    pub fn allow_private(self, allow: bool) -> Self {
        self.guarding(|guard| guard.private = allow)
    }

    fn with(mut self, set: impl FnOnce(&mut Inner)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }

    fn guarding(self, set: impl FnOnce(&mut Guard)) -> Self {
        self.with(|inner| {
            set(Arc::make_mut(&mut inner.guard));
            inner.client = OnceLock::new();
        })
    }

    pub(super) fn most(&self) -> usize {
        self.0.max_bytes
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// What is behind an address, as base64.
    pub(super) async fn fetch(
        &self,
        address: &Str,
        expected: Expected,
        most: usize,
    ) -> Result<Source, Error> {
        let fetching = async {
            let _place = self.0.places.acquire().await;
            self.get(address, most).await
        };
        let (said, bytes) = match tokio::time::timeout(self.0.timeout, fetching).await {
            Ok(Ok(found)) => found,
            Ok(Err(wrong)) => return Err(refused(address, expected, &wrong)),
            Err(_) => {
                let seconds = self.0.timeout.as_secs_f64();
                return Err(refused(
                    address,
                    expected,
                    &format!("it took longer than {seconds} s"),
                ));
            }
        };
        let data = STANDARD.encode(&bytes);
        let media_type = media::true_type(&said, &data);
        if !expected.takes(&media_type) {
            let (word, found) = (expected.word(), printable(&media_type));
            let wrong = format!("`{found}` is there, and no {word}");
            return Err(refused(address, expected, &wrong));
        }
        Ok(Source::Base64 { media_type, data: data.into() })
    }

    /// The media type that the server says, and the bytes.
    async fn get(&self, address: &Str, most: usize) -> Result<(String, Bytes), String> {
        let mut uri = parse(address)?;
        for _ in 0..=REDIRECTS {
            self.check(&uri)?;
            let response = self.ask(uri.clone()).await?;
            let status = response.status();
            if status.is_redirection() {
                uri = next(&uri, &response).ok_or_else(|| format!("it answers {status}"))?;
                continue;
            }
            if !status.is_success() {
                return Err(format!("it answers {status}"));
            }
            let said = response.headers().get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
            let said = said.and_then(|said| said.split(';').next()).unwrap_or_default().trim();
            let said = said.to_ascii_lowercase();
            let bytes = read(response.into_body(), most).await?;
            return Ok((said, bytes));
        }
        Err(format!("it redirects more than {REDIRECTS} times"))
    }

    /// Refuses what is no name, but an address of its own that may not be asked: names are checked where they are resolved.
    fn check(&self, uri: &Uri) -> Result<(), String> {
        let host = uri.host().unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match literal.unwrap_or(host).parse::<IpAddr>() {
            Ok(address) if !self.0.guard.permits(address) => Err(Forbidden.to_string()),
            _ => Ok(()),
        }
    }

    async fn ask(&self, uri: Uri) -> Result<Response<Incoming>, String> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let agent = concat!("ziggurat/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        self.0.client.get_or_init(|| client(&self.0.guard)).request(request).await.map_err(
            |error| {
                let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
                while let Some(error) = cause {
                    if error.is::<Forbidden>() {
                        return Forbidden.to_string();
                    }
                    cause = error.source();
                }
                // What else is told of a network that the caller does not see would be a map of it.
                "it cannot be reached".to_owned()
            },
        )
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("max_bytes", &self.0.max_bytes)
            .field("timeout", &self.0.timeout)
            .field("guard", &self.0.guard)
            .finish_non_exhaustive()
    }
}

fn client(guard: &Arc<Guard>) -> HttpClient {
    let mut http = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(guard)));
    http.enforce_http(false);
    http.set_connect_timeout(Some(Duration::from_secs(10)));
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(4)
        .build(https)
}

/// An address that can be asked: nothing of the caller's goes along but where it is.
fn parse(address: &str) -> Result<Uri, String> {
    // What is behind `#` is the reader's.
    let address = address.split('#').next().unwrap_or_default().trim();
    let uri: Uri = address.parse().map_err(|_| "it is no address".to_owned())?;
    let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    let authority = uri.authority().filter(|_| known);
    let Some(authority) = authority else {
        return Err("only `http` and `https` addresses are asked".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("an address with credentials in it is not asked".to_owned());
    }
    Ok(uri)
}

/// Where a redirect leads.
fn next(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let to = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{}://{rest}", from.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{}://{}{location}", from.scheme_str()?, from.authority()?)
    } else {
        let (folder, _) = from.path().rsplit_once('/')?;
        format!("{}://{}{folder}/{location}", from.scheme_str()?, from.authority()?)
    };
    parse(&to).ok()
}

async fn read(mut body: Incoming, most: usize) -> Result<Bytes, String> {
    let too_large = || format!("it is larger than the {most} bytes that are left for this call");
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    loop {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
        match next.await {
            None => return Ok(bytes.freeze()),
            Some(Err(error)) => {
                drop(BoxError::from(error));
                return Err("it broke off".to_owned());
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

impl Expected {
    fn word(self) -> &'static str {
        match self {
            Self::Image => "picture",
            Self::Audio => "sound",
            Self::Video => "film",
            Self::Document => "document",
        }
    }

    fn takes(self, media_type: &str) -> bool {
        match self {
            Self::Image => media_type.starts_with("image/"),
            Self::Audio => media_type.starts_with("audio/"),
            Self::Video => media_type.starts_with("video/"),
            // What kinds of documents there are, the provider knows.
            Self::Document => !media_type.is_empty() && !media_type.starts_with("image/"),
        }
    }
}

fn refused(address: &str, expected: Expected, wrong: &str) -> Error {
    let code = match expected {
        Expected::Image => "invalid_image_url",
        _ => "invalid_file_url",
    };
    let (word, address) = (expected.word(), printable(address));
    Error::invalid(format!("the {word} at {address} cannot be had: {wrong}")).with_code(code)
}

/// A text of somebody else's in a message of ours: without the query, in which secrets may be, and not too long.
fn printable(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
