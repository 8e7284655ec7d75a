//! How many tokens a conversation has, where its provider has no endpoint to be asked. With the feature `tiktoken` text is counted exactly
//! for OpenAI's models; every other number from here is marked as an estimate ([how far off it
//! is](ziggurat_providers::count_chat)).

use http::{HeaderName, HeaderValue};
use ziggurat_core::{Answer, Call, Error, Reply, estimated_tokens};
use ziggurat_providers::count_chat;

/// The header that says that a count is an estimate: no dialect has a field for it.
pub const ESTIMATED: HeaderName = HeaderName::from_static("x-ziggurat-estimated");

/// Answers a call that asks for a count of tokens, for its model at this provider.
///
/// # Errors
///
/// When the call's body cannot be read.
pub fn reply(call: &Call, provider: &str) -> Result<Reply, Error> {
    let count = count_chat(provider, call.model(), call.payload().chat()?);
    let mut reply = Reply::answer(Answer::TokenCount(count));
    if count.estimated {
        reply.head_mut().headers.insert(ESTIMATED, HeaderValue::from_static("true"));
    }
    Ok(reply)
}

/// About how many tokens a text has.
#[must_use]
pub fn text_tokens(text: &str) -> u64 {
    estimated_tokens(text)
}
