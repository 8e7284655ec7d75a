//! The members of a nested object, read with `serde_json`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use ziggurat_core::{Error, Extras, RawJson, Str};

use super::{At, Object, raw_json, read, read_text};

/// How many members an object may have that is looked at one by one.
const MAX_MEMBERS: usize = 10_000;

/// The members of a nested object. Those that are taken are understood, the rest becomes extras.
///
/// Of two members with one name the last counts, as it does for most parsers.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(SmallVec<[(Name<'a>, &'a RawValue); 6]>);

/// A member's name, borrowed where it holds no escapes.
#[derive(Debug)]
enum Name<'a> {
    Borrowed(&'a str),
    Owned(Box<str>),
}

impl Name<'_> {
    fn get(&self) -> &str {
        match self {
            Self::Borrowed(name) => name,
            Self::Owned(name) => name,
        }
    }
}

impl<'a> Fields<'a> {
    /// Takes a member out. `null` counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let mut found = None;
        self.0.retain(|(key, value)| {
            let other = key.get() != name;
            if !other {
                found = Some(value.get());
            }
            other
        });
        found.filter(|value| *value != "null")
    }

    /// Looks at a member. `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(key, _)| key.get() == name);
        found.map(|(_, value)| value.get()).filter(|value| *value != "null")
    }

    /// Takes a string out.
    pub(crate) fn text(
        &mut self,
        name: &str,
        body: &Str,
        at: At<'_>,
    ) -> Result<Option<Str>, Error> {
        self.take(name).map(|raw| read_text(raw, body, at.name(name))).transpose()
    }

    /// Takes a string out that must be there.
    pub(crate) fn need(&mut self, name: &str, body: &Str, at: At<'_>) -> Result<Str, Error> {
        match self.text(name, body, at)? {
            Some(text) => Ok(text),
            None => Err(at.name(name).error("this field is required")),
        }
    }

    /// Takes a value out.
    pub(crate) fn value<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        at: At<'_>,
        expected: &str,
    ) -> Result<Option<T>, Error> {
        self.take(name).map(|raw| read(raw, at.name(name), expected)).transpose()
    }

    /// With other names where `name` gives one.
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> Option<String>) -> Self {
        for (key, _) in &mut self.0 {
            if let Some(other) = name(key.get()) {
                *key = Name::Owned(other.into());
            }
        }
        self
    }

    /// Whether nothing is left but `null`s.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, value)| value.get() == "null")
    }

    /// Names and values that are left.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.get(), value.get()))
    }

    /// What is left, as extras. `null` says nothing and goes.
    pub(crate) fn leave(self, extras: &mut Extras, body: &Str) {
        for (name, value) in self.0 {
            if value.get() != "null" {
                extras.push(body.slice_ref(name.get()), RawJson::from_raw(value, body));
            }
        }
    }

    /// What is left, as one object; `None` if that is nothing.
    pub(crate) fn object(&self) -> Option<RawJson> {
        if self.is_empty() {
            return None;
        }
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        for (name, value) in self.iter() {
            object.raw_named(name, value);
        }
        object.end();
        raw_json(out)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(member) = map.next_entry()? {
                    if fields.0.len() == MAX_MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    fields.0.push(member);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name::Owned(text.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_left() {
        let body = Str::from(r#"{"a":1,"b":null,"c":{"d":[1.50]},"a":2}"#);
        let mut fields: Fields<'_> = serde_json::from_str(&body).unwrap();
        assert_eq!(fields.take("a"), Some("2"));
        assert_eq!(fields.object().unwrap().get(), r#"{"b":null,"c":{"d":[1.50]}}"#);
        let mut extras = Extras::default();
        fields.leave(&mut extras, &body);
        assert_eq!(extras.members.len(), 1);
        assert_eq!(extras.get("c").unwrap().get(), r#"{"d":[1.50]}"#);
    }

    #[test]
    fn an_object_without_end_is_refused() {
        let members: String = (0..=MAX_MEMBERS).map(|n| format!("\"{n}\":0,")).collect();
        assert!(serde_json::from_str::<Fields<'_>>(&format!("{{{members}\"x\":0}}")).is_err());
    }
}
