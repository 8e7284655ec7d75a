//! Changes to the tree of a JSON text.

use std::ops::Range;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::Mutator;

/// Strings that some reader takes for more than a string.
const TEXTS: &[&str] = &[
    "",
    "x",
    "\u{0}",
    "\n",
    "\"\\",
    "\u{1f600}\u{301}",
    "auto",
    "none",
    "user",
    "assistant",
    "system",
    "tool",
    "text",
    "stop",
    "error",
    "{\"a\":1}",
    "{",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:,",
    "https://example.com/a.png",
    "```json\n{}\n```",
];

/// The names and words in the fuzzer's dictionary.
static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let words = include_str!("../../dictionary.txt").lines();
    let words = words.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words
        .filter(|word| {
            word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
        })
        .collect()
});

/// Changes one node of one JSON text in `data`. Says whether there was one.
pub(super) fn change(mutator: &mut Mutator, data: &mut Vec<u8>, other: &[u8]) -> bool {
    let Some((place, mut root)) = pick(mutator, data) else { return false };
    let donor = pick(mutator, other).map_or_else(|| root.clone(), |(_, donor)| donor);
    let at = mutator.below(count(&root));
    if let Some(node) = nth(&mut root, at) {
        change_node(mutator, node, &donor);
    }
    data.splice(place, root.to_string().into_bytes());
    true
}

/// A JSON text in `data`: all of it, or what one of its `data:` lines holds.
fn pick(mutator: &mut Mutator, data: &[u8]) -> Option<(Range<usize>, Value)> {
    if let Ok(root) = serde_json::from_slice(data) {
        return Some((0..data.len(), root));
    }
    let mut found = Vec::new();
    let mut start = 0;
    for line in data.split(|byte| *byte == b'\n') {
        if let Some(text) = line.strip_prefix(b"data:")
            && let Ok(root) = serde_json::from_slice::<Value>(text)
        {
            found.push((start + line.len() - text.len()..start + line.len(), root));
        }
        start += line.len() + 1;
    }
    let at = mutator.below(found.len().max(1));
    (!found.is_empty()).then(|| found.swap_remove(at))
}

fn change_node(mutator: &mut Mutator, node: &mut Value, donor: &Value) {
    match (mutator.below(3), &mut *node) {
        (0, Value::Object(members)) => change_object(mutator, members, donor),
        (0, Value::Array(items)) => change_array(mutator, items, donor),
        (0 | 1, Value::String(text)) => {
            let more = TEXTS[mutator.below(TEXTS.len())];
            match mutator.below(3) {
                0 => text.push_str(more),
                1 => text.insert_str(0, more),
                _ => *text = text.repeat(1 + mutator.below(40)),
            }
        }
        _ => *node = value(mutator, donor),
    }
}

fn change_object(mutator: &mut Mutator, members: &mut Map<String, Value>, donor: &Value) {
    let names: Vec<String> = members.keys().cloned().collect();
    let name = names.get(mutator.below(names.len().max(1))).cloned().unwrap_or_default();
    match mutator.below(4) {
        0 => drop(members.remove(&name)),
        1 => {
            let value = members.remove(&name).unwrap_or_default();
            let renamed = self::name(mutator, donor).unwrap_or(name);
            members.insert(renamed, value);
        }
        _ => {
            let added = self::name(mutator, donor).unwrap_or(name);
            members.insert(added, value(mutator, donor));
        }
    }
}

fn change_array(mutator: &mut Mutator, items: &mut Vec<Value>, donor: &Value) {
    let at = mutator.below(items.len().max(1));
    match mutator.below(4) {
        0 if at < items.len() => drop(items.remove(at)),
        1 if at < items.len() => items.insert(at, items[at].clone()),
        2 if !items.is_empty() => {
            let with = mutator.below(items.len());
            items.swap(at, with);
        }
        _ => items.insert(at.min(items.len()), value(mutator, donor)),
    }
}

/// A value from somewhere in `donor`, or a plain one.
fn value(mutator: &mut Mutator, donor: &Value) -> Value {
    match mutator.below(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(1e308),
        6 => json!(0.5),
        7 => json!([]),
        8 => json!({}),
        9 => json!(TEXTS[mutator.below(TEXTS.len())]),
        10 => json!(WORDS[mutator.below(WORDS.len())]),
        _ => {
            let mut donor = donor.clone();
            let at = mutator.below(count(&donor));
            nth(&mut donor, at).map(Value::take).unwrap_or_default()
        }
    }
}

/// The name of some member in `donor`, or one that some dialect knows.
fn name(mutator: &mut Mutator, donor: &Value) -> Option<String> {
    if mutator.below(2) == 0 {
        return Some(WORDS[mutator.below(WORDS.len())].to_owned());
    }
    let mut donor = donor.clone();
    for _ in 0..8 {
        let at = mutator.below(count(&donor));
        if let Some(Value::Object(members)) = nth(&mut donor, at) {
            let at = mutator.below(members.len().max(1));
            return members.keys().nth(at).cloned();
        }
    }
    None
}

fn count(node: &Value) -> usize {
    1 + match node {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The node of this number, counted from the root down.
fn nth(node: &mut Value, mut at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(node);
    }
    at -= 1;
    let children: Box<dyn Iterator<Item = &mut Value>> = match node {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(members) => Box::new(members.values_mut()),
        _ => return None,
    };
    for child in children {
        let size = count(child);
        if at < size {
            return nth(child, at);
        }
        at -= size;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_has_words() {
        assert!(WORDS.len() > 300 && WORDS.contains(&"cache_control"));
    }

    #[test]
    fn every_node_has_a_number() {
        let mut root = json!({"a": [1, {"b": 2}], "c": null});
        let nodes: Vec<String> =
            (0..count(&root)).filter_map(|at| nth(&mut root, at).map(|n| n.to_string())).collect();
        assert_eq!(nodes[1..], [r#"[1,{"b":2}]"#, "1", r#"{"b":2}"#, "2", "null"]);
        assert!(nth(&mut root, 6).is_none());
    }

    #[test]
    fn a_changed_tree_is_json_again_and_the_rest_of_a_stream_stays() {
        let mut mutator = Mutator::new(5);
        let mut changes = 0;
        for _ in 0..500 {
            let mut data = b"event: x\ndata: {\"a\":[1,\"b\"]}\n\nrest".to_vec();
            assert!(change(&mut mutator, &mut data, br#"{"c":{"d":0}}"#));
            let text = String::from_utf8(data).unwrap();
            let inner = text.strip_prefix("event: x\ndata:").unwrap();
            let inner = inner.strip_suffix("\n\nrest").unwrap();
            let value: Value = serde_json::from_str(inner).unwrap();
            changes += usize::from(value != json!({"a": [1, "b"]}));
        }
        assert!(changes > 400, "{changes}");
        assert!(!change(&mut mutator, &mut b"no json".to_vec(), b""));
    }
}
