//! Request parameters that a deployment sets.

use std::fmt;

use serde_json::Value;

use super::fields::Fields;
use super::known;
use super::node::{Key, Kind};
use super::read::{At, Reader};

/// Names and JSON values, in the order of the file. `Debug` prints the names only, because a value
/// may have come out of the environment.
#[derive(Clone, Default, PartialEq)]
pub struct Parameters(Vec<(String, Value)>);

/// What a known parameter looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Integer,
    Boolean,
    Text,
    List,
    Map,
    TextOrList,
    TextOrMap,
    /// It differs between dialects.
    Any,
}

// === impl Parameters ===

impl Parameters {
    /// Names and values, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a mapping of anything.
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let entries = reader.entries(at, "a mapping")?;
        // Read to the end, so that every problem is found.
        let read: Vec<_> = entries
            .iter()
            .map(|(key, value)| Some((key.text.to_string(), reader.json(value)?)))
            .collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }

    /// Reads what is left of `litellm_params` once the settings are taken out of it.
    pub(super) fn defaults(fields: &mut Fields<'_, '_, '_>) -> Self {
        let mut parameters = Self::default();
        for (key, at) in fields.rest() {
            let shape = known::DEFAULTS.iter().find(|(name, _)| **name == *key.text);
            let value = match shape {
                // Null is how YAML leaves something out.
                Some(_) if at.node.is_null() => None,
                Some((_, shape)) => shape.read(fields.reader(), &at),
                None => unknown(fields, key, at),
            };
            parameters.0.extend(value.map(|value| (key.text.to_string(), value)));
        }
        parameters
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A parameter that is in no list: LiteLLM sends it to the provider as it is, and so do we, unless
/// it is one of LiteLLM's own settings or looks like a credential, which belongs in no body.
fn unknown(fields: &mut Fields<'_, '_, '_>, key: &Key, at: At<'_>) -> Option<Value> {
    if known::PARAMS.contains(&&*key.text) {
        fields.reader().problems.unsupported(&key.place, at.path);
        return None;
    }
    let credential = looks_secret(&key.text);
    let fate = if credential {
        "its name is that of a credential, so it is not sent to the provider"
    } else {
        "it is sent to the provider as it is"
    };
    let asked = fields.asked().to_vec();
    let names = asked.iter().chain(known::PARAMS).copied();
    let names = names.chain(known::DEFAULTS.iter().map(|(name, _)| *name));
    let reader = fields.reader();
    let message = match reader.problems.nearest(&key.text, names) {
        Some(near) => format!("unknown parameter, did you mean `{near}`? {}", capital(fate)),
        None => format!("unknown parameter; {fate}"),
    };
    reader.problems.unknown(&key.place, at.path.clone(), message);
    if credential || at.node.is_null() { None } else { reader.json(&at) }
}

fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["api_key", "apikey", "access_key", "secret", "password", "credentials", "private_key"]
        .iter()
        .any(|word| key.contains(word))
        || key.ends_with("_token")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

// === impl Shape ===

impl Shape {
    fn read(self, reader: &mut Reader<'_>, at: &At<'_>) -> Option<Value> {
        let kind = at.node.kind();
        match self {
            Self::Number => reader.json_number(at, false),
            Self::Integer => reader.json_number(at, true),
            Self::Boolean => reader.boolean(at).map(Value::Bool),
            Self::Text => reader.text(at).map(Value::String),
            Self::TextOrList if matches!(kind, Kind::Text | Kind::Sequence(_)) => reader.json(at),
            Self::TextOrMap if matches!(kind, Kind::Text | Kind::Mapping(_)) => reader.json(at),
            Self::List if matches!(kind, Kind::Sequence(_)) => reader.json(at),
            Self::Map if matches!(kind, Kind::Mapping(_)) => reader.json(at),
            Self::Any => reader.json(at),
            Self::TextOrList => reader.mismatch(at, "a string or a sequence"),
            Self::TextOrMap => reader.mismatch(at, "a string or a mapping"),
            Self::List => reader.mismatch(at, "a sequence"),
            Self::Map => reader.mismatch(at, "a mapping"),
        }
    }
}
