//! What came of the call.

use std::sync::Arc;

use bytes::Bytes;
use ziggurat_core::{Answer, Error, ReplyHead, Usage};

use crate::cache::memory::Held;

/// What came of the call.
#[derive(Clone)]
pub(in crate::cache) enum Landing {
    /// A store had the answer.
    Held(Arc<Held>),
    /// A whole answer.
    Whole(Arc<Whole>),
    /// A stream has begun.
    Stream(Arc<Begun>),
    /// It failed.
    Failed(Error),
}

#[derive(Clone)]
pub(in crate::cache) struct Whole {
    pub(in crate::cache) head: ReplyHead,
    pub(in crate::cache) body: WholeBody,
    pub(in crate::cache) usage: Option<Usage>,
}

#[derive(Clone)]
pub(in crate::cache) enum WholeBody {
    Bytes(Bytes),
    Answer(Answer),
}

pub(in crate::cache) struct Begun {
    pub(in crate::cache) head: ReplyHead,
    pub(in crate::cache) decodes: bool,
}
