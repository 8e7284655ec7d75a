//! What must hold for any bytes: one function per decoder, which takes what was read through every translator.
//!
//! Each function here takes bytes from nowhere in particular and panics when a promise is broken. What else varies (the pieces
//! in which a stream arrives, what a model can do, what may be lost) is drawn from the bytes, so that a file is all that is
//! needed to see a failure again.
//!
//! | target | reads | and then |
//! | --- | --- | --- |
//! | `outline` | the top-level members of a body | |
//! | `edits` | the same | edits them |
//! | `sse` | server-sent events, each dialect's facts | |
//! | `event_stream` | messages of AWS's binary streams | |
//! | `openai_request`, `anthropic_request`, `gemini_request`, `cohere_request`, `ollama_request`, `converse_request`, `responses_request` | a caller's request | writes it for providers of each dialect |
//! | `openai_reply`, `anthropic_reply`, `gemini_reply`, `cohere_reply`, `ollama_reply`, `converse_reply`, `responses_reply` | a provider's whole answer | writes it for callers of each dialect |
//! | `openai_stream`, `anthropic_stream`, `gemini_stream`, `cohere_stream`, `ollama_stream`, `converse_stream`, `responses_stream` | a provider's stream | the same |
//! | `openai_error`, `anthropic_error`, `gemini_error`, `cohere_error`, `ollama_error`, `converse_error`, `responses_error` | a provider's error | the same |
//! | `completions_request` | a caller's prompt | writes it for providers of each dialect |
//! | `vectors` | requests for vectors and orders, and answers to them, by the words of every dialect | writes them for each other |
//!
//! They are run in three ways:
//!
//! - by `cargo test -p ziggurat-fuzz`: the committed corpus, and deterministic mutations of it;
//! - by `cargo xtask ci --only fuzz`: some seconds of libFuzzer each, with any toolchain;
//! - by `cargo +nightly fuzz run TARGET`: for as long as one likes.
//!
//! A new target is a function, a line in [`TARGETS`], a file in `fuzz_targets/` with its `[[bin]]`
//! in the manifest, and a folder of examples in `corpus/`. A found input goes into that folder.

#![allow(clippy::missing_panics_doc, clippy::panic, reason = "a panic is how a target speaks")]

mod binary;
mod chunks;
mod edits;
mod error;
mod framing;
pub mod mutate;
mod outline;
mod replay;
mod reply;
mod request;
mod stream;
mod vectors;
mod world;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

use ziggurat_dialects::{
    ANTHROPIC, COHERE, COMPLETIONS, CONVERSE, GEMINI, OLLAMA, OPENAI, RESPONSES,
};

pub use binary::event_stream;
pub use edits::edits;
pub use framing::sse;
pub use outline::outline;
pub use replay::{corpus, replay};
pub use vectors::vectors;

/// A function that panics when some bytes break a promise.
pub type Target = fn(&[u8]);

/// All targets by name: the name of the function, of the program, of the corpus folder.
pub const TARGETS: &[(&str, Target)] = &[
    ("outline", outline),
    ("edits", edits),
    ("sse", sse),
    ("event_stream", event_stream),
    ("openai_request", openai_request),
    ("openai_reply", openai_reply),
    ("openai_stream", openai_stream),
    ("openai_error", openai_error),
    ("anthropic_request", anthropic_request),
    ("anthropic_reply", anthropic_reply),
    ("anthropic_stream", anthropic_stream),
    ("anthropic_error", anthropic_error),
    ("gemini_request", gemini_request),
    ("gemini_reply", gemini_reply),
    ("gemini_stream", gemini_stream),
    ("gemini_error", gemini_error),
    ("cohere_request", cohere_request),
    ("cohere_reply", cohere_reply),
    ("cohere_stream", cohere_stream),
    ("cohere_error", cohere_error),
    ("ollama_request", ollama_request),
    ("ollama_reply", ollama_reply),
    ("ollama_stream", ollama_stream),
    ("ollama_error", ollama_error),
    ("converse_request", converse_request),
    ("converse_reply", converse_reply),
    ("converse_stream", converse_stream),
    ("converse_error", converse_error),
    ("responses_request", responses_request),
    ("responses_reply", responses_reply),
    ("responses_stream", responses_stream),
    ("responses_error", responses_error),
    ("completions_request", completions_request),
    ("vectors", vectors),
];

/// A request of OpenAI's legacy Completions, written for providers of each dialect.
pub fn completions_request(data: &[u8]) {
    request::request(COMPLETIONS, data);
}

/// A request of OpenAI's Chat Completions, written for providers of each dialect.
pub fn openai_request(data: &[u8]) {
    request::request(OPENAI, data);
}

/// A whole answer of OpenAI's Chat Completions, written for callers of each dialect.
pub fn openai_reply(data: &[u8]) {
    reply::reply(OPENAI, data);
}

/// A stream of OpenAI's Chat Completions, written for callers of each dialect.
pub fn openai_stream(data: &[u8]) {
    stream::stream(OPENAI, data);
}

/// An error of OpenAI's, written for callers of each dialect.
pub fn openai_error(data: &[u8]) {
    error::error(OPENAI, data);
}

/// A request of Anthropic's Messages, written for providers of each dialect.
pub fn anthropic_request(data: &[u8]) {
    request::request(ANTHROPIC, data);
}

/// A whole answer of Anthropic's Messages, written for callers of each dialect.
pub fn anthropic_reply(data: &[u8]) {
    reply::reply(ANTHROPIC, data);
}

/// A stream of Anthropic's Messages, written for callers of each dialect.
pub fn anthropic_stream(data: &[u8]) {
    stream::stream(ANTHROPIC, data);
}

/// An error of Anthropic's, written for callers of each dialect.
pub fn anthropic_error(data: &[u8]) {
    error::error(ANTHROPIC, data);
}

/// A request of Gemini's `generateContent`, written for providers of each dialect.
pub fn gemini_request(data: &[u8]) {
    request::request(GEMINI, data);
}

/// A whole answer of Gemini's `generateContent`, written for callers of each dialect.
pub fn gemini_reply(data: &[u8]) {
    reply::reply(GEMINI, data);
}

/// A stream of Gemini's `generateContent`, written for callers of each dialect.
pub fn gemini_stream(data: &[u8]) {
    stream::stream(GEMINI, data);
}

/// An error of Google's, written for callers of each dialect.
pub fn gemini_error(data: &[u8]) {
    error::error(GEMINI, data);
}

/// A request of Cohere's chat, written for providers of each dialect.
pub fn cohere_request(data: &[u8]) {
    request::request(COHERE, data);
}

/// A whole answer of Cohere's chat, written for callers of each dialect.
pub fn cohere_reply(data: &[u8]) {
    reply::reply(COHERE, data);
}

/// A stream of Cohere's chat, written for callers of each dialect.
pub fn cohere_stream(data: &[u8]) {
    stream::stream(COHERE, data);
}

/// An error of Cohere's chat, written for callers of each dialect.
pub fn cohere_error(data: &[u8]) {
    error::error(COHERE, data);
}

/// A request of Ollama's, written for providers of each dialect.
pub fn ollama_request(data: &[u8]) {
    request::request(OLLAMA, data);
}

/// A whole answer of Ollama's, written for callers of each dialect.
pub fn ollama_reply(data: &[u8]) {
    reply::reply(OLLAMA, data);
}

/// A stream of Ollama's, written for callers of each dialect.
pub fn ollama_stream(data: &[u8]) {
    stream::stream(OLLAMA, data);
}

/// An error of Ollama's, written for callers of each dialect.
pub fn ollama_error(data: &[u8]) {
    error::error(OLLAMA, data);
}

/// The body of a program in `fuzz_targets/`: libFuzzer's entry points in a build by a fuzzer, else a `main` that runs the
/// target over the files and folders named on the command line.
///
/// Every second mutation is libFuzzer's own; the others change the tree of a JSON text in the input, if there is one.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8],
                                              size: usize,
                                              most: usize,
                                              seed: u32| {
            $crate::mutate::for_libfuzzer(data, size, most, seed)
        });

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::$name, std::env::args_os().skip(1))
        }
    };
}

/// A request of Bedrock's Converse, written for providers of each dialect.
pub fn converse_request(data: &[u8]) {
    request::request(CONVERSE, data);
}

/// A whole answer of Bedrock's Converse, written for callers of each dialect.
pub fn converse_reply(data: &[u8]) {
    reply::reply(CONVERSE, data);
}

/// A stream of Bedrock's ConverseStream, an event a line, written for callers of each dialect.
pub fn converse_stream(data: &[u8]) {
    stream::stream(CONVERSE, &binary::framed(data));
}

/// An error of Bedrock's, written for callers of each dialect.
pub fn converse_error(data: &[u8]) {
    error::error(CONVERSE, data);
}

/// A request of OpenAI's Responses, written for providers of each dialect.
pub fn responses_request(data: &[u8]) {
    request::request(RESPONSES, data);
}

/// A whole answer of OpenAI's Responses, written for callers of each dialect.
pub fn responses_reply(data: &[u8]) {
    reply::reply(RESPONSES, data);
}

/// A stream of OpenAI's Responses, written for callers of each dialect.
pub fn responses_stream(data: &[u8]) {
    stream::stream(RESPONSES, data);
}

/// An error of OpenAI's Responses, written for callers of each dialect.
pub fn responses_error(data: &[u8]) {
    error::error(RESPONSES, data);
}
