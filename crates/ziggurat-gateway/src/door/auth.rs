//! Who may come in: whoever sends the master key, or everybody, when there is none.
//!
//! It stands before admission and the front door, so that a stranger costs neither memory nor a
//! place. A refusal is in the dialect that the path suggests. The key is taken from wherever the
//! vendors' SDKs put theirs; any of these headers will do, on every route:
//!
//! | header | whose |
//! | --- | --- |
//! | `authorization: Bearer …` | OpenAI's and most others' |
//! | `authorization: AWS4-HMAC-SHA256 Credential=…/…`, the id of the access key | AWS's, over plain http |
//! | `x-api-key` | Anthropic's |
//! | `api-key` | Azure's |
//! | `x-goog-api-key`, or `?key=…` where models are asked for | Google's |
//! | `x-litellm-api-key`, with or without `Bearer` | LiteLLM's |
//!
//! A key in the query is cut out of it, whether it is right or not: nobody further in has it, so that it cannot be logged.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Caller, Error, ErrorKind, Secret};
use ziggurat_http::refuse;

use super::either::{EitherBody, EitherFuture};
use super::query;

/// The name by which the holder of the master key is known.
pub(super) const MASTER: &str = "master";

/// Headers that hold a key; see the [module](self).
static HEADERS: [HeaderName; 5] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-litellm-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Makes an [`Authenticate`].
#[derive(Clone, Debug, Default)]
pub struct AuthenticateLayer {
    master: Option<Master>,
}

/// Lets in who has the key, and says in the request's extensions who that is.
#[derive(Clone, Debug)]
pub struct Authenticate<S> {
    inner: S,
    master: Option<Master>,
}

/// A key, as its digest: comparing digests tells nothing about the key, its length included.
#[derive(Clone)]
struct Master {
    digest: [u8; 32],
    caller: Caller,
}

// === impl AuthenticateLayer ===

impl AuthenticateLayer {
    /// Asks for this key; without one, lets everybody in.
    #[must_use]
    pub fn new(master_key: Option<&Secret>) -> Self {
        let master = master_key.map(|key| Master {
            digest: digest(key.expose().as_bytes()),
            caller: Caller::new(MASTER),
        });
        Self { master }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, master: self.master.clone() }
    }
}

// === impl Authenticate ===

impl<S, B, RB> Service<Request<B>> for Authenticate<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible>,
{
    type Response = Response<EitherBody<RB>>;
    type Error = Infallible;
    type Future = EitherFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Nobody but us says who calls.
        request.extensions_mut().remove::<Caller>();
        let in_query = query::take_key(request.uri_mut());
        if let Some(master) = &self.master {
            if let Err(error) = master.check(request.headers(), in_query.as_ref()) {
                tracing::debug!(path = request.uri().path(), reason = %error, "refused");
                let mut response = refuse(request.uri(), request.headers(), &error);
                let bearer = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
                return EitherFuture::here(response);
            }
            request.extensions_mut().insert(master.caller.clone());
        }
        EitherFuture::behind(self.inner.call(request))
    }
}

// === impl Master ===

impl Master {
    fn check(&self, headers: &HeaderMap, in_query: Option<&Secret>) -> Result<(), Error> {
        let mut any = false;
        let mut right = Choice::from(0);
        let in_headers = HEADERS.iter().filter_map(|name| Some(bare(name, headers.get(name)?)));
        for key in in_headers.chain(in_query.map(|key| key.expose().as_bytes())) {
            any |= !key.is_empty();
            right |= digest(key).ct_eq(&self.digest);
        }
        if right.into() {
            return Ok(());
        }
        let message = if any {
            "the key is not known here"
        } else {
            "no key was sent: put it into `Authorization: Bearer …` or `x-api-key`"
        };
        Err(Error::new(ErrorKind::Authentication, message))
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The key in a header's value. `Authorization` holds a bearer's, or the id of who signed, which is the key here as the signature
/// cannot be checked; elsewhere the word may stand there.
fn bare<'a>(name: &HeaderName, value: &'a HeaderValue) -> &'a [u8] {
    let value = value.as_bytes().trim_ascii();
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ if *name == AUTHORIZATION => signer(value).unwrap_or_default(),
        _ => value,
    }
}

/// Who signed a request for AWS: AWS's clients send no bearer's key over plain http.
fn signer(value: &[u8]) -> Option<&[u8]> {
    let credential = value.strip_prefix(b"AWS4-HMAC-SHA256 Credential=")?;
    credential.split(|byte| *byte == b'/').next()
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)]) -> bool {
        let layer = AuthenticateLayer::new(Some(&Secret::new("sk-1234")));
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        layer.master.unwrap().check(&headers, None).is_ok()
    }

    #[test]
    fn the_key_is_taken_from_wherever_sdks_put_it() {
        for (name, value) in [
            ("authorization", "Bearer sk-1234"),
            ("authorization", "bearer  sk-1234 "),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=sk-1234/20260102/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=host, Signature=0a",
            ),
            ("x-api-key", "sk-1234"),
            ("api-key", "sk-1234"),
            ("x-goog-api-key", "sk-1234"),
            ("x-litellm-api-key", "sk-1234"),
            ("x-litellm-api-key", "Bearer sk-1234"),
        ] {
            assert!(check(&[(name, value)]), "{name}: {value}");
        }
    }

    #[test]
    fn nothing_else_is_the_key() {
        for (name, value) in [
            ("authorization", "sk-1234"),
            ("authorization", "Basic sk-1234"),
            ("authorization", "Bearer"),
            ("authorization", "Bearer sk-123"),
            ("authorization", "Bearer sk-12345"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=sk-123/20260102, Signature=sk-1234"),
            ("authorization", "AWS4-HMAC-SHA256 Credential="),
            ("x-api-key", "SK-1234"),
            ("x-api-key", ""),
            ("cookie", "sk-1234"),
        ] {
            assert!(!check(&[(name, value)]), "{name}: {value}");
        }
        assert!(!check(&[]));
    }

    #[test]
    fn a_vendors_own_key_beside_ours_does_not_hurt() {
        assert!(check(&[("authorization", "Bearer theirs"), ("x-litellm-api-key", "sk-1234")]));
        assert!(!check(&[("authorization", "Bearer theirs"), ("x-api-key", "sk-12")]));
    }

    #[tokio::test]
    async fn googles_clients_may_put_it_into_the_query_and_it_goes_no_further() {
        let asked = tower::service_fn(async |request: Request<()>| {
            Ok::<_, Infallible>(Response::new(request.uri().to_string()))
        });
        let seen = async |uri: &str| {
            let mut service = AuthenticateLayer::new(Some(&Secret::new("sk-1234"))).layer(asked);
            let request = Request::builder().uri(uri).body(()).unwrap();
            match service.call(request).await.unwrap().into_body() {
                http_body_util::Either::Right(uri) => Some(uri),
                http_body_util::Either::Left(_) => None,
            }
        };
        let path = "/v1beta/models/g:streamGenerateContent";
        let right = seen(&format!("{path}?alt=sse&key=sk%2D1234")).await;
        assert_eq!(right.as_deref(), Some(format!("{path}?alt=sse").as_str()));
        assert_eq!(seen(&format!("{path}?key=sk-1234")).await.as_deref(), Some(path));
        assert_eq!(seen(&format!("{path}?key=other")).await, None);
        assert_eq!(seen("/key/info?key=sk-1234").await, None);
    }

    #[test]
    fn the_key_is_not_printed() {
        let layer = AuthenticateLayer::new(Some(&Secret::new("sk-1234")));
        assert!(!format!("{layer:?}").contains("1234"));
        assert!(format!("{layer:?}").contains("redacted"));
    }

    #[tokio::test]
    async fn who_calls_is_said_by_nobody_else() {
        let asked = tower::service_fn(async |request: Request<()>| {
            let caller = request.extensions().get::<Caller>().cloned();
            let key = caller.and_then(|caller| caller.key().map(str::to_owned));
            Ok::<_, Infallible>(Response::new(key))
        });
        let with = |key: Option<&str>, header: &str| {
            let secret = key.map(Secret::new);
            let mut service = AuthenticateLayer::new(secret.as_ref()).layer(asked);
            let mut request = Request::new(());
            request.headers_mut().insert("x-api-key", header.parse().unwrap());
            request.extensions_mut().insert(Caller::new("forged"));
            service.call(request)
        };
        let who = async |future: EitherFuture<_>| {
            let http_body_util::Either::Right(key) = future.await.unwrap().into_body() else {
                panic!("it was let in");
            };
            key
        };
        assert_eq!(who(with(Some("k"), "k")).await.as_deref(), Some(MASTER));
        assert_eq!(who(with(None, "k")).await, None);
        let refused = with(Some("k"), "other").await.unwrap();
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
