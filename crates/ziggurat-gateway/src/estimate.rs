//! How many tokens a conversation has, where nobody can be asked. Every number from here is marked as an
//! estimate.

use http::{HeaderName, HeaderValue};
use ziggurat_core::{Answer, Call, Error, Reply, TokenCount};

/// The header that says that a count is an estimate: no dialect has a field for it.
pub const ESTIMATED: HeaderName = HeaderName::from_static("x-ziggurat-estimated");

/// Answers a call that asks for a count of tokens.
///
/// # Errors
///
/// When the call's body cannot be read.
pub fn reply(call: &Call) -> Result<Reply, Error> {
    let input_tokens = call.payload().chat()?.estimated_input_tokens();
    let mut reply = Reply::answer(Answer::TokenCount(TokenCount { input_tokens, estimated: true }));
    reply.head_mut().headers.insert(ESTIMATED, HeaderValue::from_static("true"));
    Ok(reply)
}

/// The tokens of a text.
#[must_use]
pub fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}
