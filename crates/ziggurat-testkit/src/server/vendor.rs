use bytes::Bytes;
use http::StatusCode;

use crate::{Recorded, Script};

/// How a provider answers requests that no script was queued for.
///
/// [`openai::OpenAi`](crate::openai::OpenAi), [`anthropic::Anthropic`](crate::anthropic::Anthropic)
/// and [`gemini::Gemini`](crate::gemini::Gemini) are the vendors at hand; a test of another dialect may bring its own.
pub trait Vendor: Send + Sync + 'static {
    /// Answers a request. `number` counts this provider's requests from 1 and makes ids unique.
    fn answer(&self, request: &Recorded, number: u64) -> Script;

    /// The vendor's error of this status, for [`Script::error`].
    fn error(&self, status: StatusCode, number: u64) -> Script;

    /// The event that tells of an error inside a stream, for [`Script::error_event_after`].
    fn error_event(&self, number: u64) -> Bytes;

    /// The path that clients of this vendor have in their base URL, such as `/v1`.
    fn base_path(&self) -> &'static str {
        ""
    }
}

/// No vendor: whoever asks without a script is told so.
pub(super) struct Bare;

impl Vendor for Bare {
    fn answer(&self, request: &Recorded, _number: u64) -> Script {
        let told = format!("no script was queued for {} {}", request.method, request.path);
        Script::reply(500, &[("content-type", "text/plain")], told)
    }

    fn error(&self, status: StatusCode, _number: u64) -> Script {
        Script::reply(status.as_u16(), &[("content-type", "text/plain")], status.to_string())
    }

    fn error_event(&self, _number: u64) -> Bytes {
        Bytes::from_static(b"event: error\ndata: {\"error\":{\"message\":\"scripted\"}}\n\n")
    }
}
