//! The outline of a body against a whole JSON parser.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use ziggurat_core::Outline;

/// Where the scan stops counting: what it refuses for its size alone says nothing here.
const MOST_MEMBERS: usize = 512;

/// The scan finds the members that a whole parser finds: else a check sees one model and the
/// provider another.
///
/// The scan only balances nested values, so that it may accept what the parser refuses; but then
/// the fault is inside one member's value.
pub fn outline(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = serde_json::from_str::<Pairs<'_>>(text);
    match (Outline::read(text), parsed) {
        (Ok(outline), Ok(Pairs(pairs))) => {
            assert_eq!(outline.len(), pairs.len());
            for (member, (name, value)) in outline.members().iter().zip(&pairs) {
                assert_eq!(outline.name(text, member), name);
                assert_eq!(&text[member.value_span()], value.get());
                let found = outline.find(text, name).expect("a listed member is found");
                assert_eq!(found.value_span(), member.value_span(), "two members of one name");
            }
        }
        (Ok(outline), Err(error)) => {
            let whole = outline.members().iter().all(|member| {
                is_json(&text[member.name_span()]) && is_json(&text[member.value_span()])
            });
            assert!(!whole, "every member is valid and the whole is not: {error}");
        }
        (Err(error), Ok(Pairs(pairs))) => {
            let refused = pairs.len() > MOST_MEMBERS || has_twins(&pairs) || is_deep(text);
            assert!(refused, "valid JSON is refused: {error}");
        }
        (Err(_), Err(_)) => {}
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn has_twins(pairs: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let mut names: Vec<_> = pairs.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether there are enough brackets for it to nest too deeply.
fn is_deep(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() > 128
}

/// The members of an object in their order, twins included.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    pairs.push((name.0, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A name, owned where it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
