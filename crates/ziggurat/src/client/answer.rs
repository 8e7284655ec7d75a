//! A whole answer.

use std::ops::Deref;

use ziggurat_core::{
    Answer, ChatReply, End, Error, ErrorKind, Operation, Origin, Reply, ReplyBody, ReplyHead,
    Restore,
};

/// The whole answer to a conversation: what was said, and who said it.
///
/// It derefs to what was said: [`text`](ChatReply::text), [`tool_calls`](ChatReply::tool_calls), `usage`, `choices`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChatAnswer {
    /// Who answered, and what was lost in translation.
    pub head: ReplyHead,
    /// What was said.
    pub chat: ChatReply,
}

impl Deref for ChatAnswer {
    type Target = ChatReply;

    fn deref(&self) -> &ChatReply {
        &self.chat
    }
}

impl ChatAnswer {
    pub(super) fn new(head: ReplyHead, chat: ChatReply) -> Self {
        Self { head, chat }
    }

    /// Reads a reply that is not in frames, and settles its call.
    pub(super) fn read(mut reply: Reply) -> Result<Self, Error> {
        match decode(&mut reply) {
            Ok(chat) => {
                if let Some(usage) = &chat.usage {
                    reply.report_usage(usage);
                }
                reply.end(&End::Success);
                Ok(Self::new(std::mem::take(reply.head_mut()), chat))
            }
            Err(error) => {
                reply.end(&End::Failure(error.clone()));
                Err(error)
            }
        }
    }
}

/// The conversation's answer in a reply, whose call stays open: taking the body would settle it, and it may prove unreadable.
fn decode(reply: &mut Reply) -> Result<ChatReply, Error> {
    let answer = match reply.body() {
        ReplyBody::Answer(answer) => answer.clone(),
        ReplyBody::Whole(bytes) => {
            let dialect = reply.head().dialect.ok_or_else(no_chat)?;
            dialect.decode_reply(Operation::Chat, bytes, &Restore::default())?
        }
        _ => return Err(no_chat()),
    };
    match answer {
        Answer::Chat(chat) => Ok(*chat),
        _ => Err(no_chat()),
    }
}

pub(super) fn no_chat() -> Error {
    Error::new(ErrorKind::BadUpstream, "what came back is no answer to a conversation")
        .with_origin(Origin::Provider)
}
