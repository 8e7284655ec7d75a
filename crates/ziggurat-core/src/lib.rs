//! The vocabulary of the Ziggurat LLM gateway.
//!
//! A [`Call`] is one request, a [`Reply`] what comes back, an [`Error`] why it did not. Layers are tower layers around a
//! [`CallService`]; they decide on these types and never look into a wire format. What a wire format must be able to do is
//! [`Codec`]; how the end of a call is told to everyone who must know is [`settle`].
//!
//! ```
//! use ziggurat_core::{Call, LossPolicy};
//!
//! let mut call = Call::chat("anthropic/claude-sonnet-4").user("Hello!");
//! call.set_loss_policy(LossPolicy::Refuse);
//! assert!(!call.is_streamed());
//! ```
//!
//! There is no I/O here, and no wire format.

mod answer;
mod body;
mod call;
mod caller;
mod capabilities;
mod chat;
mod controls;
mod credentials;
mod dialect;
mod embed;
mod error;
mod event;
mod frame;
mod json;
mod limits;
mod loss;
mod money;
mod operation;
mod outcome;
mod payload;
mod raw;
mod reply;
mod rerank;
mod secret;
mod service;
pub mod settle;
mod stored;
mod text;
mod time;
mod usage;

pub use answer::{Answer, ModelInfo, TokenCount};
pub use body::{Body, Segments};
pub use call::{Call, CallHead};
pub use caller::Caller;
pub use capabilities::Capabilities;
pub use chat::{
    CacheHints, CacheMark, Chat, ChatReply, Choice, Content, Effort, Expose, Message, OutputFormat,
    OutputSchema, Part, Reasoning, ReasoningMode, Role, Sampling, Source, Stop, StopReason, Tool,
    ToolCallKind, ToolChoice, ToolKind, estimated_tokens,
};
pub use controls::{CacheControls, Controls, FallbackTarget};
pub use credentials::{Credentials, Fetching};
pub use dialect::{
    Ask, Changes, Codec, CutOptions, Cutter, Dialect, EncodedRequest, Glance, Prepared, Restore,
    StreamDecoder, StreamEncoder, Target,
};
pub use embed::{Embed, EmbedInput, EmbedTask, Embeddings, Truncate, Vector, VectorForm};
pub use error::{BoxError, Error, ErrorKind, Origin, ProviderError};
pub use event::{Event, PartId, PartKind, Start};
pub use frame::{Facts, Frame};
pub use json::{Extras, JsonError, RawJson};
pub use limits::{LimitKind, LimitState, RateLimits};
pub use loss::{Loss, LossAction, LossPolicy, Losses, Severity};
pub use money::{Bill, Cost, Line, Meter, NanoDollars, Price, ServiceTier, Terms, Unit};
pub use operation::Operation;
pub use outcome::{Attempt, Outcome};
pub use payload::{Member, Members, Outline, Payload, Typed};
pub use reply::{Frames, Reply, ReplyBody, ReplyHead};
pub use rerank::{Ranked, Ranking, Rerank};
pub use secret::Secret;
pub use service::CallService;
pub use settle::{Closed, End, Guard, Scope, Settle, Settlement, Ticket};
pub use stored::{Stored, StoredAction};
pub use text::Str;
pub use time::{Ambient, Instant, System};
pub use usage::{BilledTokens, Units, Usage};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_threads_may() {
        fn both<T: Send + Sync>() {}
        fn send<T: Send>() {}
        both::<Call>();
        both::<Payload>();
        both::<Error>();
        both::<Scope>();
        both::<Guard>();
        both::<Outcome>();
        both::<Event>();
        both::<Frame>();
        send::<Reply>();
    }
}
