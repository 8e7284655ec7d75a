//! Requests: read, and written for a provider of each dialect.

use bytes::Bytes;
use ziggurat_core::{
    Chat, Content, Dialect, ErrorKind, Losses, Members, Operation, Str, Target, Typed,
};

use crate::chunks::seed;
use crate::error::assert_told;
use crate::mutate::Mutator;
use crate::world::{PROVIDERS, assert_bounded, assert_object, assert_stable, capabilities, policy};

/// A caller's request in `dialect`: whatever is read can be written or is refused with a reason; what is written can be read
/// and written again, and settles.
pub(crate) fn request(dialect: Dialect, data: &[u8]) {
    let Some(members) = members(&Bytes::copy_from_slice(data)) else { return };
    let mut mutator = Mutator::new(seed(data));
    for operation in [Operation::Chat, Operation::CountTokens, Operation::Models] {
        let typed = match dialect.decode_request(operation, &members) {
            Ok(typed) => typed,
            Err(error) => {
                assert_told(&error, data.len());
                continue;
            }
        };
        assert_eq!(typed.operation(), operation);
        for target in PROVIDERS {
            written(&mut mutator, &typed, dialect, target, data.len());
        }
    }
}

fn members(body: &Bytes) -> Option<Members> {
    Members::parse(Str::from_utf8(body.clone()).ok()?).ok()
}

fn written(mutator: &mut Mutator, typed: &Typed, source: Dialect, target: Dialect, input: usize) {
    let capabilities = capabilities(mutator);
    let policy = policy(mutator);
    let write = |typed: &Typed, source: Option<Dialect>| {
        let to = Target::new("model-at-provider", &capabilities, source);
        target.encode_request(typed, &to, &mut Losses::under(policy))
    };
    let encoded = match write(typed, Some(source)) {
        Ok(encoded) => encoded,
        Err(error) => return assert_told(&error, input),
    };
    if encoded.body.is_empty() {
        // There is nothing to say: the path says it all.
        return;
    }
    assert_object(&encoded.body);
    assert_bounded(input, encoded.body.len());

    if members(&encoded.body).is_none() {
        // An extra member is called like one of ours but for its case, and such twins have no outline.
        return;
    }
    if typed.chat().is_some_and(|chat| has_twin_calls(chat)) {
        // Which of two calls of one id a result is for, nobody can say: repairs differ from reading to reading.
        return;
    }
    // What came in a form that is not ours is brought into it once (a list of one text is a text); then nothing changes any
    // more. Brought into it, it may say something in a place where it cannot be said.
    let again = |body: &Bytes| {
        let members = members(body).expect("what has an outline keeps it");
        let typed = target.decode_request(typed.operation(), &members);
        let typed = match typed {
            Ok(typed) => typed,
            // Messages that say nothing are left out, and a list of none asks nothing.
            Err(error) if matches!(error.param(), Some("messages" | "input")) => return None,
            Err(error) => {
                panic!("{source} to {target}, again: {error}, {}", body.escape_ascii())
            }
        };
        match write(&typed, Some(target)) {
            Ok(encoded) => Some(encoded),
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => panic!("{source} to {target}, again: {error}, {}", body.escape_ascii()),
        }
    };
    let Some(second) = again(&encoded.body) else { return };
    let Some(third) = again(&second.body) else { return };
    assert_stable(&second.body, &third.body);
    assert_eq!(second.headers, third.headers, "{source} to {target}");
}

/// Whether two calls of the conversation have one id.
fn has_twin_calls(chat: &Chat) -> bool {
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    let mut ids: Vec<&str> = parts
        .filter_map(|part| match &part.content {
            Content::ToolCall { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ids.len() < all
}
