//! Answers and refusals in the caller's dialect.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Uri, header};

use ziggurat_core::{
    Ambient, Ask, Body, Dialect, Error, Losses, Reply, ReplyBody, Restore, Str, System,
};

use super::body::ResponseBody;
use super::headers::{self, Facts};
use super::layer::Settings;
use super::routes::Routes;

/// Refuses a request before it has become a call: for a layer over http that stands before the front door (authentication,
/// limits). The answer is in the dialect that the path suggests, with the status of the error.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use ziggurat_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Authentication, "no key was sent");
/// let response = ziggurat_http::refuse(&Uri::from_static("/v1/messages"), &HeaderMap::new(), &error);
/// assert_eq!(response.status(), 401);
/// ```
#[must_use]
pub fn refuse(uri: &Uri, headers: &HeaderMap, error: &Error) -> Response<ResponseBody> {
    let dialect = Routes::default().dialect(uri.path(), headers);
    bare(dialect, headers, error).map(ResponseBody::plain)
}

pub(super) fn refusal(
    dialect: Dialect,
    headers: &HeaderMap,
    failure: &Error,
    settings: &Settings,
) -> Response<ResponseBody> {
    let call_id = call_id(&*settings.ambient);
    let request_id = headers::request_id(headers).unwrap_or_else(|| call_id.clone());
    let facts = Facts {
        dialect,
        call_id: &call_id,
        request_id: &request_id,
        model: &Str::new(),
        elapsed: std::time::Duration::ZERO,
        litellm: settings.litellm_headers,
    };
    error(dialect, failure, &facts)
}

pub(super) fn bare(dialect: Dialect, headers: &HeaderMap, failure: &Error) -> Response<Body> {
    let call_id = call_id(&System);
    let request_id = headers::request_id(headers).unwrap_or_else(|| call_id.clone());
    let facts = Facts {
        dialect,
        call_id: &call_id,
        request_id: &request_id,
        model: &Str::new(),
        elapsed: std::time::Duration::ZERO,
        litellm: false,
    };
    error_response(dialect, failure, &facts).map(Body::from)
}

pub(super) fn error(
    dialect: Dialect,
    failure: &Error,
    facts: &Facts<'_>,
) -> Response<ResponseBody> {
    error_response(dialect, failure, facts).map(|body| ResponseBody::plain(Body::from(body)))
}

fn error_response(dialect: Dialect, failure: &Error, facts: &Facts<'_>) -> Response<Bytes> {
    let (status, body) = dialect.encode_error(failure, Some(facts.request_id));
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(said) = failure.said().filter(|said| said.dialect == Some(dialect)) {
        for name in dialect.reply_headers() {
            for value in said.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    for (name, value) in dialect.error_headers(failure) {
        headers.insert(name, value);
    }
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    facts.write(headers, None);
    facts.write_error(headers, failure);
    response
}

/// How many headers an answer has, roughly: so many fit without growing.
pub(super) const EXPECTED_HEADERS: usize = 24;

/// The head of a streamed answer.
pub(super) fn stream_head(media_type: HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.reserve(EXPECTED_HEADERS);
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx in front of us would hold the stream back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The bytes of a whole answer in the caller's dialect.
pub(super) fn whole(dialect: Dialect, ask: &Ask, reply: &mut Reply) -> Result<Bytes, Error> {
    let restore = Restore::default();
    let decoded;
    let mut ask = ask.clone();
    ask.origin = reply.head().model.clone().filter(|_| reply.head().dialect != Some(dialect));
    let answer = match (reply.body(), reply.head().dialect) {
        (ReplyBody::Whole(bytes), Some(theirs)) if theirs == dialect => return Ok(bytes.clone()),
        (ReplyBody::Whole(bytes), Some(theirs)) => {
            decoded = theirs.decode_reply(ask.operation, bytes, &restore)?;
            &decoded
        }
        (ReplyBody::Whole(bytes), None) => return Ok(bytes.clone()),
        (ReplyBody::Answer(answer), _) => answer,
        _ => return Err(Error::closed()),
    };
    let mut losses = Losses::default();
    let bytes = dialect.encode_reply(answer, &ask, &mut losses)?;
    reply.head_mut().losses.extend(losses.into_found());
    Ok(bytes)
}

/// A fresh name for a call: 32 hexadecimal digits.
pub(super) fn call_id(ambient: &(impl Ambient + ?Sized)) -> Str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    let random = [ambient.random(), ambient.random()].into_iter().flat_map(u64::to_be_bytes);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    // An owner is shared from the start, where a vector would be moved to be shared.
    Str::from_utf8(Bytes::from_owner(digits)).unwrap_or_default()
}
