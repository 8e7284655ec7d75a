//! Reading members with the vendor's complaints, which are those of Python's pydantic.

use serde_json::{Map, Value};

use super::error::Fault;

/// A value and the path by which the vendor calls it: `messages.0.content.1.text.text`.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// An object and its path, empty at the top.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    pub(super) path: String,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    pub(super) fn top(map: &'a Map<String, Value>) -> Self {
        Self { path: String::new(), map }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A member, null or not.
    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let value = self.map.get(name)?;
        Some(Field { path: self.path(name), value })
    }

    /// A member for which the vendor takes null as absent.
    pub(super) fn nullable(&self, name: &str) -> Option<Field<'a>> {
        self.get(name).filter(|field| !field.value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<Field<'a>, Fault> {
        self.get(name).ok_or_else(|| Fault::missing(&self.path(name)))
    }

    /// Refuses members of other names.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Fault> {
        match self.map.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(Fault::extra(&self.path(name))),
            None => Ok(()),
        }
    }

    /// The same object, called by its tag: `content.0` becomes `content.0.text`.
    pub(super) fn tagged(mut self, tag: &str) -> Self {
        self.path = self.path(tag);
        self
    }

    /// The object's `type`, one of these.
    pub(super) fn tag(&self, tags: &[&str]) -> Result<&'a str, Fault> {
        let Some(tag) = self.get("type") else {
            let what = "Unable to extract tag using discriminator 'type'";
            return Err(Fault::at(&self.path, what));
        };
        let tag = tag.string()?;
        if tags.contains(&tag) {
            return Ok(tag);
        }
        let known: Vec<_> = tags.iter().map(|tag| format!("'{tag}'")).collect();
        let what = format!(
            "Input tag '{tag}' found using 'type' does not match any of the expected tags: {}",
            known.join(", ")
        );
        Err(Fault::at(&self.path, &what))
    }
}

impl<'a> Field<'a> {
    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::at(&self.path, what)
    }

    pub(super) fn string(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.fault("Input should be a valid string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.fault("Input should be a valid boolean"))
    }

    pub(super) fn object(&self) -> Result<Members<'a>, Fault> {
        match self.value {
            Value::Object(map) => Ok(Members { path: self.path.clone(), map }),
            _ => Err(self.fault("Input should be a valid dictionary")),
        }
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>, Fault> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.fault("Input should be a valid list"))?;
        let item = |(at, value)| Field { path: format!("{}.{at}", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn integer(&self, least: u64) -> Result<u64, Fault> {
        if self.value.as_i64().is_none() && self.value.as_u64().is_none() {
            return Err(self.fault("Input should be a valid integer"));
        }
        match self.value.as_u64().filter(|number| *number >= least) {
            Some(number) => Ok(number),
            None => Err(self.fault(&format!("Input should be greater than or equal to {least}"))),
        }
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&self) -> Result<f64, Fault> {
        let number = self.value.as_f64();
        let number = number.ok_or_else(|| self.fault("Input should be a valid number"))?;
        if number < 0.0 {
            return Err(self.fault("Input should be greater than or equal to 0"));
        }
        if number > 1.0 {
            return Err(self.fault("Input should be less than or equal to 1"));
        }
        Ok(number)
    }

    pub(super) fn one_of(&self, values: &[&str]) -> Result<&'a str, Fault> {
        let given = self.value.as_str().filter(|given| values.contains(given));
        given.ok_or_else(|| {
            let quoted: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
            let list = match quoted.as_slice() {
                [start @ .., last] if !start.is_empty() => {
                    format!("{} or {last}", start.join(", "))
                }
                other => other.concat(),
            };
            self.fault(&format!("Input should be {list}"))
        })
    }
}
