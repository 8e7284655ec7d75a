//! Vectors and orders: what asks for them, and what answers.

use bytes::Bytes;
use ziggurat_core::{
    Answer, Ask, Dialect, LossPolicy, Losses, Members, Operation, Restore, Str, Target,
};
use ziggurat_dialects::all;

use crate::chunks::seed;
use crate::error::assert_told;
use crate::mutate::Mutator;
use crate::world::{ask, assert_bounded, assert_object, capabilities, policy};

/// A request for vectors, or for documents in order, or an answer to one, by the words of any dialect: whatever is read can be written for any other
/// or is refused with a reason, and what is written can be read.
pub fn vectors(data: &[u8]) {
    let mut mutator = Mutator::new(seed(data));
    let body = Bytes::copy_from_slice(data);
    for &dialect in all() {
        for operation in [Operation::Embeddings, Operation::Rerank] {
            request(&mut mutator, dialect, operation, &body);
            reply(dialect, operation, &body);
        }
    }
}

fn request(mutator: &mut Mutator, dialect: Dialect, operation: Operation, body: &Bytes) {
    let text = Str::from_utf8(body.clone()).ok();
    let Some(members) = text.and_then(|text| Members::parse(text).ok()) else { return };
    let typed = match dialect.decode_request(operation, &members) {
        Ok(typed) => typed,
        Err(error) => return assert_told(&error, body.len()),
    };
    let capabilities = capabilities(mutator);
    let policy = policy(mutator);
    for provider in all() {
        let target = Target::new("model-at-provider", &capabilities, Some(dialect));
        let mut losses = Losses::under(policy);
        match provider.encode_request(&typed, &target, &mut losses) {
            Err(error) => assert_told(&error, body.len()),
            Ok(encoded) if encoded.body.is_empty() => {}
            Ok(encoded) => {
                assert_object(&encoded.body);
                assert_bounded(body.len(), encoded.body.len());
            }
        }
    }
}

fn reply(dialect: Dialect, operation: Operation, body: &Bytes) {
    dialect.glance(operation, body);
    let answer = match dialect.decode_reply(operation, body, &Restore::default()) {
        Ok(answer) => answer,
        Err(error) => return assert_told(&error, body.len()),
    };
    let ask: Ask = ask(operation);
    for caller in all() {
        let mut losses = Losses::under(LossPolicy::Default);
        let Ok(written) = caller.encode_reply(&answer, &ask, &mut losses) else { continue };
        assert_object(&written);
        if *caller == dialect {
            let again = caller.decode_reply(operation, &written, &Restore::default());
            let again = again.unwrap_or_else(|error| {
                panic!("{caller}, again: {error}, {}", written.escape_ascii())
            });
            assert_eq!(count(&answer), count(&again), "{caller}");
        }
    }
}

/// How many vectors or documents there are.
fn count(answer: &Answer) -> usize {
    match answer {
        Answer::Embeddings(embeddings) => embeddings.vectors.len(),
        Answer::Ranking(ranking) => ranking.results.len(),
        _ => 0,
    }
}
