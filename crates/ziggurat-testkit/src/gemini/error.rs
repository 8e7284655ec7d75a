//! What is refused, in Google's words.

use http::StatusCode;

use crate::{
    Script,
    json::{Json, obj},
    script::Reply,
};

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    code: u16,
    status: &'static str,
    message: String,
    details: Vec<Json>,
}

impl Fault {
    fn new(code: u16, status: &'static str, message: &str) -> Self {
        Self { code, status, message: message.to_owned(), details: Vec::new() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: 400, status: "INVALID_ARGUMENT", message: message.into(), details: Vec::new() }
    }

    /// What validation says of a field.
    pub(super) fn field(path: &str, what: &str) -> Self {
        Self::invalid(format!("* {path}: {what}\n"))
    }

    pub(super) fn unknown(name: &str, path: &str) -> Self {
        let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
        Self::invalid(format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
        ))
    }

    pub(super) fn value(path: &str, kind: &str, given: &serde_json::Value) -> Self {
        Self::invalid(format!("Invalid value at '{path}' ({kind}), {given}"))
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NOT_FOUND", "The requested URL was not found on this server.")
    }

    pub(super) fn no_such_model(name: &str) -> Self {
        let message = format!(
            "models/{name} is not found for API version v1beta, or is not supported for \
             generateContent. Call ListModels to see the list of available models and their \
             supported methods."
        );
        Self::new(404, "NOT_FOUND", &message)
    }

    pub(super) fn no_key() -> Self {
        let message = "Method doesn't allow unregistered callers (callers without established \
                       identity). Please use API Key or other form of API consumer identity to \
                       call this API.";
        Self::new(403, "PERMISSION_DENIED", message)
    }

    pub(super) fn wrong_token() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access \
                       token, login cookie or other valid authentication credential.";
        Self::new(401, "UNAUTHENTICATED", message)
    }

    /// A bad key is an invalid argument.
    pub(super) fn wrong_key() -> Self {
        let mut fault = Self::invalid("API key not valid. Please pass a valid API key.");
        fault.details.push(obj! {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": obj! { "service": "generativelanguage.googleapis.com" },
        });
        fault
    }

    /// The failure that a mark or a test asked for.
    pub(super) fn asked(kind: &str, retry_after: Option<u64>) -> Self {
        let mut fault = match kind {
            "context" => Self::invalid(
                "The input token count (1200000) exceeds the maximum number of tokens allowed \
                 (1048576).",
            ),
            "auth" => Self::wrong_key(),
            "401" => Self::wrong_token(),
            "402" | "billing" => Self::new(
                400,
                "FAILED_PRECONDITION",
                "Gemini API free tier is not available in your country. Please enable billing on \
                 your project in Google AI Studio.",
            ),
            "403" | "permission" => {
                Self::new(403, "PERMISSION_DENIED", "The caller does not have permission")
            }
            "404" | "model" => Self::no_such_model("the-one-you-want"),
            "409" => Self::new(409, "ABORTED", "The operation was aborted."),
            "413" | "large" => {
                Self::invalid("Request payload size exceeds the limit: 20971520 bytes.")
            }
            "429" => Self::new(
                429,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted (e.g. check quota).",
            ),
            "quota" => Self::daily_quota(),
            "499" => Self::new(499, "CANCELLED", "The operation was cancelled."),
            "408" | "504" | "timeout" => Self::new(
                504,
                "DEADLINE_EXCEEDED",
                "Deadline expired before operation could complete.",
            ),
            "503" | "529" | "overloaded" => {
                Self::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
            }
            _ => match kind.parse() {
                Ok(500..600) => Self::new(500, "INTERNAL", "An internal error has occurred."),
                Ok(400..500) => Self::invalid("Request contains an invalid argument."),
                _ => Self::invalid(format!("No such error to ask for: '{kind}'.")),
            },
        };
        if matches!(kind, "429" | "quota") || retry_after.is_some() {
            fault.details.push(obj! {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{}s", retry_after.unwrap_or(1)),
            });
        }
        fault
    }

    fn daily_quota() -> Self {
        let mut fault = Self::new(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
        );
        let violation = obj! {
            "quotaMetric":
                "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        };
        fault.details.push(obj! {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": Json::Array(vec![violation]),
        });
        fault
    }

    pub(super) fn body(&self) -> Json {
        let mut error = obj! {
            "code": u64::from(self.code),
            "message": self.message.as_str(),
            "status": self.status,
        };
        if !self.details.is_empty() {
            error = error.with("details", Json::Array(self.details.clone()));
        }
        obj! { "error": error }
    }

    /// The answer; where an array was asked for, an array of one.
    pub(super) fn into_script(self, in_array: bool) -> Script {
        let body = self.body();
        let body = if in_array { format!("[{body}]") } else { body.to_string() };
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::BAD_REQUEST);
        Script::of(Reply::json(status, body))
    }
}
