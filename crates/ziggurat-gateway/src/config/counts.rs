//! How often, by the class of error: LiteLLM's `retry_policy` and `allowed_fails_policy`.

use super::read::{At, Reader};

/// A number for each class of error that has one, by LiteLLM's names for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorCounts {
    /// `BadRequestError…`
    pub bad_request: Option<u32>,
    /// `AuthenticationError…`
    pub authentication: Option<u32>,
    /// `TimeoutError…`
    pub timeout: Option<u32>,
    /// `RateLimitError…`
    pub rate_limit: Option<u32>,
    /// `ContentPolicyViolationError…`
    pub content_policy: Option<u32>,
    /// `InternalServerError…`
    pub internal_server: Option<u32>,
    /// `ServiceUnavailableError…`
    pub service_unavailable: Option<u32>,
    /// `BadGatewayError…`
    pub bad_gateway: Option<u32>,
    /// `NotFoundError…`
    pub not_found: Option<u32>,
    /// `DefaultRetries`: every other class.
    pub default: Option<u32>,
}

/// Of `allowed_fails_policy`, and without effect.
const BLAMELESS: &[&str] =
    &["BadRequestErrorAllowedFails", "ContentPolicyViolationErrorAllowedFails"];

impl ErrorCounts {
    /// Reads a `retry_policy`.
    pub(super) fn retries(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let counts = Self {
            bad_request: fields.read("BadRequestErrorRetries", times),
            authentication: fields.read("AuthenticationErrorRetries", times),
            timeout: fields.read("TimeoutErrorRetries", times),
            rate_limit: fields.read("RateLimitErrorRetries", times),
            content_policy: fields.read("ContentPolicyViolationErrorRetries", times),
            internal_server: fields.read("InternalServerErrorRetries", times),
            service_unavailable: fields.read("ServiceUnavailableErrorRetries", times),
            bad_gateway: fields.read("BadGatewayErrorRetries", times),
            not_found: fields.read("NotFoundErrorRetries", times),
            default: fields.read("DefaultRetries", times),
        };
        fields.finish(&[], |_| None);
        Some(counts)
    }

    /// Reads an `allowed_fails_policy`.
    pub(super) fn allowed_fails(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let counts = Self {
            bad_request: None,
            authentication: fields.read("AuthenticationErrorAllowedFails", fails),
            timeout: fields.read("TimeoutErrorAllowedFails", fails),
            rate_limit: fields.read("RateLimitErrorAllowedFails", fails),
            content_policy: None,
            internal_server: fields.read("InternalServerErrorAllowedFails", fails),
            service_unavailable: fields.read("ServiceUnavailableErrorAllowedFails", fails),
            bad_gateway: fields.read("BadGatewayErrorAllowedFails", fails),
            not_found: fields.read("NotFoundErrorAllowedFails", fails),
            default: None,
        };
        // What a caller does wrong speaks against no deployment.
        fields.finish(BLAMELESS, |_| None);
        Some(counts)
    }
}

/// A number of retries. More than a hundred nobody means.
pub(super) fn times(reader: &mut Reader<'_>, at: &At<'_>) -> Option<u32> {
    reader.whole(at, 0..=100, "an integer from 0 to 100")
}

/// A number of failures that are put up with.
pub(super) fn fails(reader: &mut Reader<'_>, at: &At<'_>) -> Option<u32> {
    reader.whole(at, 0..=1_000_000, "an integer from 0 to 1000000")
}
