//! Whole answers: read, and written for a caller of each dialect.

use bytes::Bytes;
use ziggurat_core::{
    Answer, ChatReply, Content, Dialect, Extras, LossPolicy, Losses, Operation, Outline, Restore,
};

use crate::chunks::seed;
use crate::error::assert_told;
use crate::mutate::Mutator;
use crate::world::{
    DIALECTS, Manner, ask, assert_bounded, assert_object, assert_stable, is_saturated, restore,
};

/// A provider's answer in `dialect`: whatever is read can be written; what is written can be read, says the same text, and
/// settles when it is written again. What is seen at a glance is what is read.
pub(crate) fn reply(dialect: Dialect, data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let mut mutator = Mutator::new(seed(data));
    let restore = restore(&mut mutator);
    for operation in [Operation::Chat, Operation::CountTokens, Operation::Models] {
        let glance = dialect.glance(operation, &body);
        let answer = match dialect.decode_reply(operation, &body, &restore) {
            Ok(answer) => answer,
            Err(error) => {
                assert_told(&error, data.len());
                continue;
            }
        };
        // Who decodes an answer does not look at it before: what a glance refuses must be refused here as well. Names that come twice
        // have no outline, and the last of them counts where an answer is decoded.
        let has_outline = std::str::from_utf8(data).is_ok_and(|text| Outline::read(text).is_ok());
        assert!(
            glance.error.is_none() || !has_outline,
            "only a glance refuses: {:?}",
            glance.error
        );
        if let Answer::Chat(reply) = &answer
            && glance.error.is_none()
        {
            let usage = glance.usage.unwrap_or_default();
            assert_eq!(usage, reply.usage.unwrap_or_default(), "at a glance");
            assert_eq!(glance.model.unwrap_or_default(), reply.model, "at a glance");
        }
        if let Answer::Chat(reply) = &answer {
            reads_in_full(dialect, data, reply, &restore);
        }
        for caller in DIALECTS {
            written(&answer, dialect, caller, data.len());
        }
    }
}

/// With a member that nobody knows an answer says the same: some are told by their members alone, and this one is not.
fn reads_in_full(dialect: Dialect, data: &[u8], reply: &ChatReply, restore: &Restore) {
    let Some(inner) = data.trim_ascii_end().strip_suffix(b"}") else { return };
    let comma = if inner.trim_ascii() == b"{" { "" } else { "," };
    let more = [inner, comma.as_bytes(), b"\"unheard_of\":[0]}"].concat();
    let read = dialect.decode_reply(Operation::Chat, &more.into(), restore);
    let Ok(Answer::Chat(read)) = read else { panic!("it is an answer no more: {read:?}") };
    let known = |reply: &ChatReply| {
        let mut reply = reply.clone();
        reply.extras = Extras::default();
        reply
    };
    assert_eq!(known(reply), known(&read), "read in full");
}

fn written(answer: &Answer, provider: Dialect, caller: Dialect, input: usize) {
    let ask = ask(answer.operation());
    let write = |answer: &Answer| {
        caller.encode_reply(answer, &ask, &mut Losses::under(LossPolicy::Default))
    };
    let bytes = match write(answer) {
        Ok(bytes) => bytes,
        Err(error) => return assert_told(&error, input),
    };
    assert_object(&bytes);
    assert_bounded(input, bytes.len());

    let read = |bytes: &Bytes| {
        let answer = caller.decode_reply(ask.operation, bytes, &Restore::default());
        answer.unwrap_or_else(|error| {
            panic!("{provider} to {caller}: {error}, {}", bytes.escape_ascii())
        })
    };
    let again = read(&bytes);
    if let (Answer::Chat(first), Answer::Chat(second)) = (answer, &again) {
        assert_eq!(said(first, caller), said(second, caller), "{provider} to {caller}");
    }
    if !is_saturated(answer.usage().as_ref()) {
        // What the provider left out is filled in once; then nothing changes any more.
        let second = write(&again).expect("what was read here can be written here");
        let third = write(&read(&second)).expect("what was read here can be written here");
        assert_stable(&second, &third);
    }
    // An extra member may be called like one of ours but for its case, and such twins have no outline.
    let has_outline = std::str::from_utf8(&bytes).is_ok_and(|text| Outline::read(text).is_ok());
    assert!(caller.glance(ask.operation, &bytes).error.is_none() || !has_outline);
}

/// The first choice's text, where a refusal is one for callers who have no other word for it, and the tools it calls.
fn said(reply: &ChatReply, caller: Dialect) -> (String, Vec<String>) {
    let parts = reply.choices.first().map_or(&[][..], |choice| &choice.parts);
    let text = parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(text.as_str()),
        Content::Refusal { text } if Manner::of(caller).plain => Some(text.as_str()),
        _ => None,
    });
    (text.collect(), reply.tool_calls().map(|(_, name, _)| name.to_owned()).collect())
}
