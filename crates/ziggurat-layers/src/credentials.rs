//! By what a caller is known who has no key of ours.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use ziggurat_core::Call;

/// Where callers without a key of ours bring their credentials.
static CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    COOKIE,
];

/// The credentials that a call brought: the names of the headers, and what is in them.
pub(crate) fn credentials(call: &Call) -> impl Iterator<Item = (&'static str, &[u8])> {
    let headers = &call.head().headers;
    CREDENTIALS.iter().flat_map(move |name| {
        headers.get_all(name).iter().map(move |value| (name.as_str(), value.as_bytes()))
    })
}
