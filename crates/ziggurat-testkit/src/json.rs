//! JSON whose members keep the order in which they were written.
//!
//! `serde_json`'s own map sorts them. Vendors put `type` and `id` first, and a reader that relies
//! on it, or is fast because of it, should find it so here.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A JSON value to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Value(Value),
    Object(Vec<(&'static str, Json)>),
    Array(Vec<Json>),
}

/// An object: `obj! { "type": "ping", "n": 1 }`.
macro_rules! obj {
    ($($name:literal : $value:expr),* $(,)?) => {
        $crate::json::Json::Object(vec![$(($name, $crate::json::Json::from($value))),*])
    };
}
pub(crate) use obj;

impl Json {
    pub(crate) const NULL: Self = Self::Value(Value::Null);

    /// Adds a member to an object.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Self>) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((name, value.into()));
        }
        self
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
            Self::Array(items) => serializer.collect_seq(items),
        }
    }
}

macro_rules! from_value {
    ($($type:ty),*) => {
        $(impl From<$type> for Json {
            fn from(value: $type) -> Self {
                Self::Value(Value::from(value))
            }
        })*
    };
}

from_value!(&str, String, bool, u64, usize, f64, Value);

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NULL, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn members_keep_their_order() {
        let nested = obj! { "z": 1_u64, "a": vec!["x"], "n": Json::NULL };
        let made = obj! { "type": "t", "inner": nested, "alone": None::<u64> }.with("b", true);
        let expected = r#"{"type":"t","inner":{"z":1,"a":["x"],"n":null},"alone":null,"b":true}"#;
        assert_eq!(made.to_string(), expected);
    }
}
