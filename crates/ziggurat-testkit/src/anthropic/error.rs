//! Errors in the vendor's shape, and the headers on every answer.

use std::time::Duration;

use http::StatusCode;

use super::request_id;
use crate::{Script, clock::rfc3339_in, json::obj, script::Reply};

/// A refusal or failure, as Anthropic words it.
#[derive(Debug)]
pub(super) struct Fault {
    status: u16,
    kind: &'static str,
    message: String,
    /// `details.error_code`.
    detail: Option<&'static str>,
    retry_after: Option<u64>,
    should_retry: Option<bool>,
}

impl Fault {
    /// A 400.
    pub(super) fn invalid(message: String) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// With `details.error_code`.
    pub(super) fn detailed(self, code: &'static str) -> Self {
        Self { detail: Some(code), ..self }
    }

    /// A 400 about the member at this path.
    pub(super) fn at(path: &str, what: &str) -> Self {
        Self::invalid(format!("{path}: {what}"))
    }

    pub(super) fn extra(path: &str) -> Self {
        Self::at(path, "Extra inputs are not permitted")
    }

    pub(super) fn missing(path: &str) -> Self {
        Self::at(path, "Field required")
    }

    pub(super) fn unauthenticated(message: &str) -> Self {
        Self::new(401, "authentication_error", message.to_owned())
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(404, "not_found_error", message.to_owned())
    }

    pub(super) fn no_such_model(name: &str) -> Self {
        Self::not_found(&format!("model: {name}"))
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(405, "invalid_request_error", "Method Not Allowed".to_owned())
    }

    fn new(status: u16, kind: &'static str, message: String) -> Self {
        Self { status, kind, message, detail: None, retry_after: None, should_retry: None }
    }

    /// What a mark or a script asked for: a status or a kind of trouble.
    pub(super) fn asked(kind: &str, retry_after: Option<u64>) -> Self {
        let known = |status, kind, message: &str| Self::new(status, kind, message.to_owned());
        let request = "invalid_request_error";
        let mut fault = match kind {
            "context" => known(400, request, "prompt is too long: 210000 tokens > 200000 maximum"),
            "policy" => known(400, request, "Output blocked by content filtering policy"),
            "401" | "auth" => Self::unauthenticated("invalid x-api-key"),
            "402" | "billing" => {
                known(402, "billing_error", "Your credit balance is too low to access the API.")
            }
            "403" | "permission" => known(
                403,
                "permission_error",
                "Your API key does not have permission to use the specified resource.",
            ),
            "404" | "model" => Self::no_such_model("the-one-you-want"),
            "409" => known(409, "conflict_error", "The resource is in another state."),
            "413" | "large" => known(413, "request_too_large", "Request exceeds the maximum size"),
            "429" => known(429, "rate_limit_error", "This request would exceed your rate limit."),
            "quota" => Self {
                detail: Some("enforced_spend_limit_reached"),
                should_retry: Some(false),
                ..known(429, "rate_limit_error", "You have reached your spend limit.")
            },
            "408" => known(408, "timeout_error", "Request timed out."),
            "504" | "timeout" => known(504, "timeout_error", "Request timed out."),
            "529" | "overloaded" => known(529, "overloaded_error", "Overloaded"),
            _ => match kind.parse() {
                Ok(status @ 500..600) => known(status, "api_error", "Internal server error"),
                Ok(status @ 400..500) => known(status, request, "The request was invalid."),
                _ => Self::invalid(format!("No such error to ask for: '{kind}'.")),
            },
        };
        if matches!(kind, "429" | "529" | "overloaded") || retry_after.is_some() {
            fault.retry_after = Some(retry_after.unwrap_or(1));
        }
        fault
    }

    pub(super) fn into_script(self, number: u64) -> Script {
        let mut error = obj! { "type": self.kind, "message": self.message };
        if let Some(code) = self.detail {
            error = error.with("details", obj! { "error_code": code });
        }
        let body = obj! { "type": "error", "error": error, "request_id": request_id(number) };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut script = Script::of(Reply::json(status, body.to_string()));
        if self.status == 429 {
            script = script.header("anthropic-ratelimit-requests-remaining", "0");
        }
        if let Some(seconds) = self.retry_after {
            script = script.header("retry-after", &seconds.to_string());
        }
        if let Some(should) = self.should_retry {
            script = script.header("x-should-retry", if should { "true" } else { "false" });
        }
        script
    }
}

/// Adds what is on every answer of the vendor's.
pub(super) fn vendor_headers(mut script: Script, number: u64) -> Script {
    let told = std::mem::take(&mut script.manner.headers);
    script = script
        .header("request-id", &request_id(number))
        .header("anthropic-organization-id", "00000000-0000-4000-8000-00000000fake");
    let reset = rfc3339_in(Duration::from_secs(60));
    for (what, limit, remaining) in [
        ("requests", "50", "49"),
        ("tokens", "60000", "59000"),
        ("input-tokens", "50000", "49500"),
        ("output-tokens", "10000", "9500"),
    ] {
        script = script
            .header(&format!("anthropic-ratelimit-{what}-limit"), limit)
            .header(&format!("anthropic-ratelimit-{what}-remaining"), remaining)
            .header(&format!("anthropic-ratelimit-{what}-reset"), &reset);
    }
    script.manner.headers.extend(told);
    script
}
