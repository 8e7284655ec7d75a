//! JSON that is carried, not understood.

pub(crate) mod canonical;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Dialect, Str};

/// One valid JSON value, kept as the text it came as: key order, big integers and floats survive.
///
/// ```
/// use ziggurat_core::{RawJson, Str};
///
/// let value = RawJson::parse(Str::from(r#"{"top_k":40}"#)).unwrap();
/// assert!(value.is_object());
/// assert_eq!(value.get(), r#"{"top_k":40}"#);
/// assert_eq!(RawJson::of(&[1, 2]).unwrap().get(), "[1,2]");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Str);

impl RawJson {
    /// The value `null`.
    pub const NULL: Self = Self(Str::from_static("null"));
    /// The value `{}`.
    pub const EMPTY_OBJECT: Self = Self(Str::from_static("{}"));

    /// Copies a short value out of the buffer that it is a part of: [`Str::detach`].
    pub fn detach(&mut self) {
        self.0.detach();
    }

    /// Takes a text that holds exactly one JSON value.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, with line and column.
    pub fn parse(text: Str) -> Result<Self, JsonError> {
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(raw) => Ok(Self(text.slice_ref(raw.get()))),
            Err(error) => Err(JsonError(error)),
        }
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    ///
    /// When `value` has no JSON form (a map with keys that are no strings).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        match serde_json::to_string(value) {
            Ok(text) => Ok(Self(text.into())),
            Err(error) => Err(JsonError(error)),
        }
    }

    /// A JSON string with this text.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::of(text).unwrap_or(Self::NULL)
    }

    /// A raw value that a parser found inside `body`, sharing its buffer.
    #[must_use]
    pub fn from_raw(raw: &RawValue, body: &Str) -> Self {
        Self(body.slice_ref(raw.get()))
    }

    /// The JSON text.
    #[must_use]
    pub fn get(&self) -> &str {
        &self.0
    }

    /// The JSON text, shared.
    #[must_use]
    pub fn into_text(self) -> Str {
        self.0
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Reads the value as a type.
    ///
    /// # Errors
    ///
    /// When the value does not have the shape of `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        serde_json::from_str(&self.0).map_err(JsonError)
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Str::from(String::from(Box::<str>::from(raw)))))
    }
}

/// A text is no JSON, or not of the shape that was asked for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct JsonError(serde_json::Error);

/// Members that the superset has no field for, with the dialect they belong to.
///
/// They go out again in the same dialect, and are reported as lost in any other.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Extras {
    /// Whose members these are.
    pub dialect: Option<Dialect>,
    /// Name and value, in the order they came.
    pub members: Vec<(Str, RawJson)>,
}

impl Extras {
    /// No members, of this dialect.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect: Some(dialect), members: Vec::new() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawJson> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Adds a member.
    pub fn push(&mut self, name: Str, value: RawJson) {
        self.members.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_key_order_survive() {
        let text = r#"{"z":1152921504606846977,"a":1.50}"#;
        let raw = RawJson::parse(Str::from(text)).unwrap();
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
    }

    #[test]
    fn two_values_are_not_one() {
        assert!(RawJson::parse(Str::from("1 2")).is_err());
        assert!(RawJson::parse(Str::from("{")).is_err());
    }

    #[test]
    fn white_space_around_the_value_goes() {
        assert_eq!(RawJson::parse(Str::from(" {} \n")).unwrap().get(), "{}");
    }
}
