use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::{
    connection,
    record::{KEPT_REQUESTS, Ledger},
    vendor::{Bare, Vendor},
};
use crate::{Recorded, Script, anthropic::Anthropic, gemini::Gemini, openai::OpenAi};

/// A fake provider on a loopback port, for as long as this value lives.
///
/// Scripts are used up by requests in the order they arrive, whatever the path; a request that
/// finds none is answered as the vendor would. `GET /__requests` returns what was recorded as
/// JSON, `DELETE /__requests` forgets it, `GET /__disconnects` counts [`disconnects`], and none of
/// these is recorded.
///
/// A client that closes its connection, or its sending half, while an answer is under way counts
/// as a disconnect; the answer is dropped at once.
///
/// [`disconnects`]: Self::disconnects
pub struct FakeProvider {
    address: SocketAddr,
    base_path: &'static str,
    ledger: Arc<Ledger>,
    accepting: AbortHandle,
}

/// A [`FakeProvider`] to be.
#[must_use = "a provider listens only once it is spawned"]
pub struct Builder {
    vendor: Arc<dyn Vendor>,
    scripts: Vec<Script>,
    always: Option<Script>,
    keep: usize,
}

impl FakeProvider {
    /// A provider that speaks OpenAI's Chat Completions.
    pub fn openai() -> Builder {
        Self::of(OpenAi::default())
    }

    /// A provider that speaks Anthropic's Messages.
    pub fn anthropic() -> Builder {
        Self::of(Anthropic::default())
    }

    /// A provider that speaks Gemini's generateContent.
    pub fn gemini() -> Builder {
        Self::of(Gemini::default())
    }

    /// A provider without a vendor: everything it says is scripted.
    pub fn bare() -> Builder {
        Self::of(Bare)
    }

    /// A provider of this vendor.
    pub fn of(vendor: impl Vendor) -> Builder {
        Builder { vendor: Arc::new(vendor), scripts: Vec::new(), always: None, keep: KEPT_REQUESTS }
    }

    /// Where it listens, as `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What clients of this vendor take as their base URL: [`url`](Self::url), with `/v1` for
    /// OpenAI and `/v1beta` for Gemini.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, self.base_path)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues a script for the next request that finds no other.
    pub fn script(&self, script: Script) {
        self.ledger.queue(script);
    }

    /// Does this with every request that finds no queued script; `None` makes it behave again.
    pub fn always(&self, script: impl Into<Option<Script>>) {
        self.ledger.always(script.into());
    }

    /// How many queued scripts no request has used yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.ledger.queued()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.ledger.requests()
    }

    /// The latest request.
    ///
    /// # Panics
    ///
    /// If there was none.
    #[must_use]
    pub fn last_request(&self) -> Recorded {
        self.ledger.requests().pop().expect("the provider was asked at least once")
    }

    /// How many requests arrived, those that are no longer kept included.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.ledger.request_count()
    }

    /// Waits until `count` requests arrived, counted from the start.
    pub async fn wait_requests(&self, count: u64) {
        self.ledger.wait_requests(count).await;
    }

    /// How many clients left while their answer was under way.
    #[must_use]
    pub fn disconnects(&self) -> usize {
        self.ledger.disconnects()
    }

    /// Waits until a client leaves while its answer is under way. Each such client ends one wait,
    /// also one that left before.
    pub async fn wait_disconnect(&self) {
        self.ledger.wait_disconnect().await;
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.ledger.open_connections()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.ledger.connections()
    }

    /// How many bytes of bodies the kernel took so far, over all answers: it stops growing when a
    /// client stops reading.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.ledger.sent()
    }
}

impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeProvider").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Builder {
    /// Queues a script, before the first request.
    pub fn script(mut self, script: Script) -> Self {
        self.scripts.push(script);
        self
    }

    /// Does this with every request that finds no queued script.
    pub fn always(mut self, script: Script) -> Self {
        self.always = Some(script);
        self
    }

    /// How many requests are kept (4,096 otherwise); older ones are forgotten first.
    pub fn keep_requests(mut self, count: usize) -> Self {
        self.keep = count;
        self
    }

    /// Listens on a free loopback port.
    ///
    /// # Panics
    ///
    /// If there is none, or outside a tokio runtime with I/O.
    pub async fn spawn(self) -> FakeProvider {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.bind(any).await.expect("a loopback port is free")
    }

    /// Listens on this address.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error when the address cannot be bound.
    pub async fn bind(self, address: SocketAddr) -> io::Result<FakeProvider> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let base_path = self.vendor.base_path();
        let ledger = Arc::new(Ledger::new(self.scripts, self.always, self.keep));
        let accepting = tokio::spawn(accept(listener, self.vendor, ledger.clone())).abort_handle();
        Ok(FakeProvider { address, base_path, ledger, accepting })
    }
}

/// Serves until it is aborted; the connections, held here, are aborted with it.
async fn accept(listener: TcpListener, vendor: Arc<dyn Vendor>, ledger: Arc<Ledger>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, vendor.clone(), ledger.clone()));
                }
                // Out of file descriptors: serve those that are open, then try again.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
