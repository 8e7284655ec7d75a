//! Signature Version 4.

use std::time::SystemTime;

use aws_credential_types::Credentials as Keys;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as signature};
use aws_sigv4::sign::v4;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request};
use ziggurat_core::{Body, Error, ErrorKind};

/// What is signed beside the host, the date and the token: nothing that somebody on the way may change.
const SIGNED: [&str; 1] = ["content-type"];

/// Signs a request with these keys. Another signature it had is taken off.
pub(super) fn sign(
    keys: &Keys,
    region: &str,
    service: &str,
    now: SystemTime,
    request: &mut Request<Body>,
) -> Result<(), Error> {
    for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        request.headers_mut().remove(name);
    }
    let body = request.body().as_bytes().ok_or_else(|| fault("a stream cannot be signed"))?;
    let identity = keys.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| fault("the request for AWS could not be signed"))?
        .into();
    let uri = request.uri().to_string();
    let headers = signed(request.headers());
    let signable =
        SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(&body))
            .map_err(|error| fault("the request for AWS could not be signed").with_source(error))?;
    let (instructions, _) = signature(signable, &params)
        .map_err(|error| fault("the request for AWS could not be signed").with_source(error))?
        .into_parts();
    for (name, value) in instructions.headers() {
        let name =
            HeaderName::try_from(name).map_err(|_| fault("a signature has no legal name"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| fault("the credentials for AWS are no legal text for a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

fn signed(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let value = |name| Some((name, headers.get(name)?.to_str().ok()?));
    SIGNED.into_iter().filter_map(value)
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::Server, message)
}
