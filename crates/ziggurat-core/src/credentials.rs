//! Credentials that are more than a header which never changes: tokens that are fetched and refreshed, signatures over a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Request;

use crate::{Body, Error};

/// Waits for a credential.
pub type Fetching = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Puts a credential into requests that are complete but for it.
///
/// Nothing about a request may change after that: a signature covers its address, its headers and its body. Whoever implements it
/// keeps the credential, fetches a new one before the old one ends, and lets all who wait for it wait for one fetch.
///
/// ```
/// use std::sync::Arc;
///
/// use http::{HeaderValue, Request, header};
/// use ziggurat_core::{Body, Credentials, Error, Fetching};
///
/// /// A token that is never fetched.
/// #[derive(Debug)]
/// struct Fixed(HeaderValue);
///
/// impl Credentials for Fixed {
///     fn apply(&self, request: &mut Request<Body>) -> Result<bool, Error> {
///         request.headers_mut().insert(header::AUTHORIZATION, self.0.clone());
///         Ok(true)
///     }
///
///     fn fetch(self: Arc<Self>) -> Fetching {
///         Box::pin(async { Ok(()) })
///     }
/// }
/// # let fixed: Arc<dyn Credentials> = Arc::new(Fixed(HeaderValue::from_static("Bearer x")));
/// # assert!(fixed.apply(&mut Request::new(Body::empty())).unwrap());
/// ```
pub trait Credentials: fmt::Debug + Send + Sync + 'static {
    /// Puts it in. `false` when there is none at hand: it has to be [fetched](Self::fetch) first.
    ///
    /// # Errors
    ///
    /// When the request cannot carry it.
    fn apply(&self, request: &mut Request<Body>) -> Result<bool, Error>;

    /// Waits until there is one at hand.
    ///
    /// The future fails when none can be had, with an error of the gateway's own: a caller can do nothing about it.
    fn fetch(self: Arc<Self>) -> Fetching;

    /// The provider refused the one that was put in last: it is not to be used again where another can be had.
    fn refused(&self) {}
}
