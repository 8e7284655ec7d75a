//! Tokens of OAuth 2.0 for providers who take no key: Google Cloud (Vertex AI) and Microsoft Entra (Azure).
//!
//! A token is fetched when it is first needed, kept, and fetched again before it ends, once for all who wait.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ziggurat_core::{Credentials, Secret};
//! use ziggurat_providers::oauth::{Login, Tokens, Web};
//! # fn web() -> Web { Web::new(|_| Box::pin(async { Err("no network here".into()) })) }
//!
//! let login = Login::entra("tenant", "client", Secret::new("…"));
//! let credentials: Arc<dyn Credentials> = Arc::new(Tokens::new(login, web()));
//! # drop(credentials);
//! ```

mod google;
mod jwt;
mod login;
#[cfg(test)]
mod tests;
mod web;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use serde::Deserialize;
use ziggurat_core::{Body, Credentials, Error, ErrorKind, Fetching};

pub use login::{BadLogin, Login};
pub use web::{Web, WebFuture};

use crate::cached::{Cached, Fetched, Source};

/// Puts a bearer's token into requests.
#[derive(Debug)]
pub struct Tokens {
    cached: Arc<Cached<Endpoint>>,
}

impl Tokens {
    /// Tokens for this login, fetched over `web`.
    #[must_use]
    pub fn new(login: Login, web: Web) -> Self {
        Self { cached: Arc::new(Cached::new(Endpoint { login, web })) }
    }
}

impl Credentials for Tokens {
    fn apply(&self, request: &mut Request<Body>) -> Result<bool, Error> {
        let Some(token) = self.cached.at_hand() else { return Ok(false) };
        request.headers_mut().insert(AUTHORIZATION, token.credential.clone());
        Ok(true)
    }

    fn fetch(self: Arc<Self>) -> Fetching {
        Box::pin(Arc::clone(&self.cached).wait())
    }

    fn refused(&self) {
        self.cached.forget();
    }
}

/// Where tokens come from.
#[derive(Debug)]
struct Endpoint {
    login: Login,
    web: Web,
}

/// What an endpoint answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// In seconds; some write it as text.
    expires_in: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// How long a token is taken to be good for whose end is not said: the least that vendors give.
const USUAL: Duration = Duration::from_secs(600);

impl Source for Endpoint {
    type Credential = HeaderValue;

    fn fetch(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<Fetched<HeaderValue>, Error>> + Send + '_>> {
        Box::pin(async {
            let asked = SystemTime::now();
            let request = self.login.request(asked)?;
            let answer = self.web.ask(request).await.map_err(|why| {
                failed("the token endpoint could not be reached").with_source(why)
            })?;
            if !answer.status().is_success() {
                let said = String::from_utf8_lossy(answer.body());
                let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
                let status = answer.status().as_u16();
                return Err(failed(&format!("the token endpoint answered {status}: {said}")));
            }
            let granted: Granted = serde_json::from_slice(answer.body())
                // What it said may hold a token, so that it is not repeated.
                .map_err(|_| failed("the token endpoint's answer cannot be read"))?;
            let value = format!("Bearer {}", granted.access_token);
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| failed("the token cannot be a header's value"))?;
            value.set_sensitive(true);
            let good_for = granted.expires_in.and_then(|seconds| seconds.duration());
            Ok(Fetched { credential: value, until: Some(asked + good_for.unwrap_or(USUAL)) })
        })
    }
}

/// A token cannot be had, about which a caller can do nothing.
fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Server, message.to_owned())
}
