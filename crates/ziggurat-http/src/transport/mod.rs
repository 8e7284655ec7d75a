//! What carries requests to providers.
//!
//! [`Transport`] is hyper-util's client over rustls; with the feature `reqwest` a `reqwest::Client` serves as well. Any other
//! `Service<http::Request<Body>>` takes their place.

#[cfg(feature = "transport")]
mod connect;
#[cfg(feature = "transport")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "fetch")]
pub(crate) use self::connect::tls;
#[cfg(feature = "transport")]
pub use self::hyper::{Transport, TransportBody, TransportOptions};
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;
