//! Requests for AWS: signed (Signature Version 4), by credentials from where AWS's own clients find them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ziggurat_core::{Credentials, Secret};
//! use ziggurat_providers::aws::{Aws, Login};
//!
//! let login = Login::keys("AKIDEXAMPLE", Secret::new("wJalr…"), None);
//! let credentials: Arc<dyn Credentials> = Arc::new(Aws::new("us-east-1", login));
//! # let _ = credentials;
//! ```

mod login;
mod sign;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use aws_credential_types::Credentials as Keys;
use http::Request;
use ziggurat_core::{Ambient, Body, Credentials, Error, Fetching, Str, System};

pub use login::Login;

use self::login::Chain;
use crate::cached::Cached;

/// The name under which Bedrock's requests are signed. Its host name says another.
const BEDROCK: &str = "bedrock";

/// Signs requests for AWS.
#[derive(Debug)]
pub struct Aws {
    region: Str,
    service: Str,
    keys: Arc<Cached<Chain>>,
    ambient: Arc<dyn Ambient>,
}

impl Aws {
    /// Signs requests to Bedrock in this region.
    pub fn new(region: impl Into<Str>, login: Login) -> Self {
        let region = region.into();
        let chain = Chain::new(login, region.clone());
        Self {
            region,
            service: Str::from_static(BEDROCK),
            keys: Arc::new(Cached::new(chain)),
            ambient: Arc::new(System),
        }
    }

    /// Signs for another of AWS's services, by its signing name.
    #[must_use]
    pub fn service(mut self, name: impl Into<Str>) -> Self {
        self.service = name.into();
        self
    }

    /// Looks at another clock than the system's.
    #[must_use]
    pub fn ambient(mut self, ambient: Arc<dyn Ambient>) -> Self {
        self.ambient = ambient;
        self
    }

    fn sign(&self, keys: &Keys, request: &mut Request<Body>) -> Result<(), Error> {
        let now = UNIX_EPOCH + self.ambient.unix_time();
        sign::sign(keys, &self.region, &self.service, now, request)
    }
}

impl Credentials for Aws {
    fn apply(&self, request: &mut Request<Body>) -> Result<bool, Error> {
        match self.keys.at_hand() {
            Some(keys) => self.sign(&keys.credential, request).map(|()| true),
            None => Ok(false),
        }
    }

    fn fetch(self: Arc<Self>) -> Fetching {
        Box::pin(Arc::clone(&self.keys).wait())
    }

    fn refused(&self) {
        self.keys.forget();
    }
}

/// The region that an ARN of Bedrock's names.
///
/// ```
/// use ziggurat_providers::aws::region_of;
///
/// let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-5";
/// assert_eq!(region_of(arn), Some("eu-west-1"));
/// assert_eq!(region_of("anthropic.claude-sonnet-5"), None);
/// ```
#[must_use]
pub fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_arn = parts.next() == Some("arn");
    let region = parts.nth(2)?;
    (is_arn && !region.is_empty()).then_some(region)
}
