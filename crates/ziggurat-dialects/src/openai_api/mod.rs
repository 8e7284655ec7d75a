//! What the dialects of OpenAI's API have in common: headers and credentials, errors, models, requests, efforts, usage.

pub(crate) mod citation;
pub(crate) mod effort;
pub(crate) mod error;
pub(crate) mod models;
pub(crate) mod parts;
pub(crate) mod request;
pub(crate) mod usage;

use http::{HeaderName, header};
use ziggurat_core::Dialect;

pub(crate) use crate::hints::bearer as authorize;
pub(crate) use crate::plain_error::malformed;
pub(crate) use crate::tools::FAILED;

/// The provider's name for a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) static REQUEST_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("x-client-request-id"),
];

pub(crate) static STEERING_HEADERS: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];

pub(crate) static REPLY_HEADERS: [HeaderName; 12] = [
    REQUEST_ID,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
];

/// A comment: clients skip it.
pub(crate) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The longest name of an answer or of a model that is repeated in every event, in bytes.
pub(crate) const LONGEST_NAME: usize = 256;

/// Whether a dialect is one of this API, so that ids of files and codes of errors mean the same.
pub(crate) fn is_family(dialect: Dialect) -> bool {
    matches!(dialect.name(), "openai" | "responses" | "completions")
}

/// Top-level members that mean the same in both dialects, and that others do not know.
pub(crate) const SHARED: [&str; 3] = ["safety_identifier", "moderation", "prompt_cache_options"];

/// The tier that served, by a name that these dialects' clients know. Anthropic's `standard` is `default`; its `batch` is
/// nothing here.
pub(crate) fn service_tier(tier: &str) -> Option<&str> {
    match tier {
        "standard" => Some("default"),
        "auto" | "default" | "flex" | "scale" | "priority" | "fast" => Some(tier),
        _ => None,
    }
}
