//! Edits of a body against a map of its members.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::value::RawValue;
use ziggurat_core::{Members, Operation, Payload, RawJson, Segments, Str};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

use crate::chunks::seed;
use crate::mutate::Mutator;

/// Names that edits are about, beside those that the body has.
const NAMES: &[&str] = &["model", "stream", "stream_options", "max_tokens", "new", "qu\"ote", ""];
const VALUES: &[&str] = &["null", "true", "\"gpt-4.1\"", "{\"include_usage\":true}", "[1, 2]"];

/// A body with edits says what a map of its members with the same edits says, and the members that nobody edited are the
/// bytes that came.
pub fn edits(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let Ok(mut payload) = Payload::wire(OPENAI, Operation::Chat, body.clone()) else { return };
    let Ok(mut model) = serde_json::from_slice::<Map>(data) else { return };
    assert_same(&payload, &model);
    assert_eq!(payload.segments().map(joined), Some(data.to_vec()), "untouched bytes");

    let mut mutator = Mutator::new(seed(data));
    for _ in 0..=mutator.below(6) {
        edit(&mut mutator, &mut payload, &mut model);
        assert_same(&payload, &model);
    }
    prepared(&payload);
    prepared(&Payload::wire(ANTHROPIC, Operation::Chat, body).expect("it was one before"));
}

type Map = BTreeMap<String, Box<RawValue>>;

fn edit(mutator: &mut Mutator, payload: &mut Payload, model: &mut Map) {
    let known = model.keys().nth(mutator.below(model.len().max(1))).cloned();
    let drawn = NAMES[mutator.below(NAMES.len())].to_owned();
    let name = known.filter(|_| mutator.below(3) > 0).unwrap_or(drawn);
    let value = VALUES[mutator.below(VALUES.len())].to_owned();
    let json = RawJson::parse(Str::from(value.clone())).expect("the values are JSON");
    let raw = RawValue::from_string(value).expect("the values are JSON");
    match mutator.below(4) {
        0 => {
            payload.remove(name.clone());
            model.remove(&name);
        }
        1 => {
            payload.set_default(name.clone(), json);
            if model.get(&name).is_none_or(|old| old.get() == "null") {
                model.insert(name, raw);
            }
        }
        2 => {
            // One more member, without a change to the payload.
            let segments = payload.segments_setting(&Str::from(name.clone()), &json);
            let mut model = model.clone();
            model.insert(name, raw);
            assert_bytes(&joined(segments.expect("a wire payload has bytes")), &model);
        }
        _ => {
            payload.set(name.clone(), json);
            model.insert(name, raw);
        }
    }
}

fn assert_same(payload: &Payload, model: &Map) {
    let bytes = joined(payload.segments().expect("a wire payload has bytes"));
    assert_bytes(&bytes, model);
    let mut names: Vec<&str> = payload.names().collect();
    names.sort_unstable();
    assert_eq!(names, model.keys().collect::<Vec<_>>());
    for (name, value) in model {
        assert_eq!(payload.member(name).expect("a named member is there"), value.get());
    }
    for name in NAMES.iter().filter(|name| !model.contains_key(**name)) {
        assert!(payload.member(name).is_none());
    }
    let lower: BTreeSet<String> = model.keys().map(|name| name.to_ascii_lowercase()).collect();
    if lower.len() < model.len() {
        // Names that differ in case only are refused on arrival, and an edit has now made some.
        return;
    }
    // What a decoder sees is what a provider sees.
    let text = Str::from_utf8(bytes.into()).expect("edits keep UTF-8");
    let members = Members::parse(text).expect("edits keep the outline");
    assert_eq!(members.iter().count(), model.len());
    assert!(members.iter().all(|(name, value)| model[name.as_str()].get() == value.as_str()));
}

fn assert_bytes(bytes: &[u8], model: &Map) {
    let read: Map = serde_json::from_slice(bytes).expect("edits keep JSON");
    let plain = |map: &Map| -> Vec<(String, String)> {
        map.iter().map(|(name, value)| (name.clone(), value.get().to_owned())).collect()
    };
    assert_eq!(plain(&read), plain(model), "{}", bytes.escape_ascii());
}

/// What a dialect edits in a request that leaves as it came leaves JSON behind, and nothing that is done twice.
fn prepared(payload: &Payload) {
    let Some(dialect) = payload.dialect() else { return };
    for stream in [false, true] {
        let mut first = payload.clone();
        if dialect.prepare(&mut first, stream).is_err() {
            continue;
        }
        let bytes = joined(first.segments().expect("it stays a wire payload"));
        assert!(serde_json::from_slice::<Map>(&bytes).is_ok());
        let mut second = first.clone();
        let prepared = dialect.prepare(&mut second, stream).expect("it was prepared before");
        assert!(!prepared.withhold_usage, "usage is asked for already");
        assert_eq!(second.segments().map(joined), Some(bytes));
    }
}

fn joined(segments: Segments) -> Vec<u8> {
    segments.into_iter().flat_map(Vec::from).collect()
}
