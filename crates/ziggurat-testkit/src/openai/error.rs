//! Errors in the vendor's shape, and the headers on every answer.

use http::{Method, StatusCode};

use super::id;
use crate::{Script, json::obj, script::Reply};

/// A refusal or failure, as OpenAI words it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    kind: &'static str,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    pub(super) message: String,
    retry_after: Option<u64>,
}

impl Fault {
    /// A 400 about this parameter.
    pub(super) fn invalid(code: &str, param: &str, message: String) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: (!code.is_empty()).then(|| code.to_owned()),
            param: (!param.is_empty()).then(|| param.to_owned()),
            message,
            retry_after: None,
        }
    }

    pub(super) fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::invalid("missing_required_parameter", param, message)
    }

    pub(super) fn unknown(param: &str) -> Self {
        let message = format!("Unknown parameter: '{param}'.");
        Self::invalid("unknown_parameter", param, message)
    }

    /// A parameter that belongs to another.
    pub(super) fn only_with(param: &str, message: &str) -> Self {
        let message = format!("Invalid value for '{param}': {message}");
        Self::invalid("", param, message)
    }

    pub(super) fn unsupported(param: &str, hint: &str) -> Self {
        let message =
            format!("Unsupported parameter: '{param}' is not supported with this model.{hint}");
        Self::invalid("unsupported_parameter", param, message)
    }

    pub(super) fn unsupported_value(param: &str, value: &str, hint: &str) -> Self {
        let message =
            format!("Unsupported value: '{param}' does not support {value} with this model.{hint}");
        Self::invalid("unsupported_value", param, message)
    }

    fn status(status: u16, kind: &'static str, code: &str, message: &str) -> Self {
        Self { status, kind, ..Self::invalid(code, "", message.to_owned()) }
    }

    pub(super) fn no_key() -> Self {
        let message = "You didn't provide an API key. You need to provide your API key in an \
                       Authorization header using Bearer auth (i.e. Authorization: Bearer \
                       YOUR_KEY).";
        Self::status(401, "invalid_request_error", "", message)
    }

    pub(super) fn wrong_key(key: &str) -> Self {
        let shown: String = key.chars().take(6).collect();
        let message = format!(
            "Incorrect API key provided: {shown}****. You can find your API key at \
             https://platform.openai.com/account/api-keys."
        );
        Self::status(401, "invalid_request_error", "invalid_api_key", &message)
    }

    pub(super) fn no_such_url(method: &Method, path: &str) -> Self {
        let message = format!("Invalid URL ({method} {path})");
        Self::status(404, "invalid_request_error", "", &message)
    }

    pub(super) fn no_such_method(method: &Method, allowed: &Method) -> Self {
        let message = format!("Not allowed to {method} on this URL. (HINT: use {allowed})");
        Self::status(405, "invalid_request_error", "method_not_supported", &message)
    }

    pub(super) fn no_such_model(name: &str) -> Self {
        let message = format!("The model `{name}` does not exist or you do not have access to it.");
        Self::status(404, "invalid_request_error", "model_not_found", &message)
    }

    /// What a mark or a script asked for: a status or a kind of trouble.
    pub(super) fn asked(kind: &str, retry_after: Option<u64>) -> Self {
        let wait = retry_after.unwrap_or(1);
        let request = "invalid_request_error";
        let mut fault = match kind {
            "context" => {
                let told = "This model's maximum context length is 128000 tokens. However, your \
                            messages resulted in 131072 tokens. Please reduce the length of the \
                            messages.";
                Self::invalid("context_length_exceeded", "messages", told.to_owned())
            }
            "policy" => {
                let told = "Your request was rejected as a result of our safety system.";
                Self::status(400, request, "content_policy_violation", told)
            }
            "401" | "auth" => Self::wrong_key("sk-fake"),
            "402" => Self::status(402, "insufficient_quota", "insufficient_quota", QUOTA),
            "quota" | "billing" => {
                Self::status(429, "insufficient_quota", "insufficient_quota", QUOTA)
            }
            "403" | "permission" => {
                let told = "You have insufficient permissions for this operation.";
                Self::status(403, request, "permission_denied", told)
            }
            "404" | "model" => Self::no_such_model("the-one-you-want"),
            "413" | "large" => {
                Self::status(413, request, "request_too_large", "Request body too large.")
            }
            "429" => {
                let told = format!(
                    "Rate limit reached for this model in organization org-fake on requests per \
                     min (RPM): Limit 500, Used 500, Requested 1. Please try again in {wait}s."
                );
                Self::status(429, "requests", "rate_limit_exceeded", &told)
            }
            "overloaded" | "503" => Self::status(
                503,
                "service_unavailable_error",
                "server_is_overloaded",
                "The engine is currently overloaded, please try again later",
            ),
            "timeout" | "504" => {
                Self::status(504, "server_error", "timeout", "The request timed out.")
            }
            _ => match kind.parse() {
                Ok(status @ 500..600) => Self::status(
                    status,
                    "server_error",
                    "",
                    "The server had an error while processing your request. Sorry about that!",
                ),
                Ok(status @ 400..500) => {
                    Self::status(status, request, "invalid_value", "The request was invalid.")
                }
                _ => {
                    let told = format!("No such error to ask for: '{kind}'.");
                    Self::invalid("invalid_value", "messages", told)
                }
            },
        };
        if matches!(kind, "429" | "503" | "529" | "overloaded") || retry_after.is_some() {
            fault.retry_after = Some(wait);
        }
        fault
    }

    pub(super) fn into_script(self) -> Script {
        let error = obj! {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let script = Script::of(Reply::json(status, obj! { "error": error }.to_string()));
        let script = if self.status == 429 {
            script.header("x-ratelimit-remaining-requests", "0")
        } else {
            script
        };
        match self.retry_after {
            Some(seconds) => script
                .header("retry-after", &seconds.to_string())
                .header("retry-after-ms", &(seconds.saturating_mul(1000)).to_string()),
            None => script,
        }
    }
}

const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details.";

/// Adds what is on every answer of the vendor's.
pub(super) fn vendor_headers(mut script: Script, number: u64) -> Script {
    let told = std::mem::take(&mut script.manner.headers);
    let mut script = script
        .header("x-request-id", &id("req_", &number.to_string()))
        .header("openai-organization", "org-fake")
        .header("openai-processing-ms", "7")
        .header("openai-version", "2020-10-01")
        .header("x-ratelimit-limit-requests", "500")
        .header("x-ratelimit-remaining-requests", "499")
        .header("x-ratelimit-reset-requests", "120ms")
        .header("x-ratelimit-limit-tokens", "30000")
        .header("x-ratelimit-remaining-tokens", "29900")
        .header("x-ratelimit-reset-tokens", "6m0s");
    script.manner.headers.extend(told);
    script
}

/// The vendor's name for a JSON value's type, with an article.
pub(super) fn type_name(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A list of values as the vendor writes it: `'a', 'b', and 'c'`.
pub(super) fn list(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [start @ .., last] => format!("{}, and {last}", start.join(", ")),
    }
}
