//! Reading members with the vendor's complaints.

use serde_json::{Map, Value};

use super::error::{Fault, list, type_name};

/// A value and the path by which the vendor calls it: `messages[0].role`.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// An object and its path, empty at the top.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    path: String,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    pub(super) fn top(map: &'a Map<String, Value>) -> Self {
        Self { path: String::new(), map }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A member that is there and not null: for the vendor both mean absent.
    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Field { path: self.path(name), value })
    }

    pub(super) fn need(&self, name: &str) -> Result<Field<'a>, Fault> {
        self.get(name).ok_or_else(|| Fault::missing(&self.path(name)))
    }

    /// Refuses members of other names.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Fault> {
        match self.map.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(Fault::unknown(&self.path(name))),
            None => Ok(()),
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn wrong_type(&self, expected: &str) -> Fault {
        let message = format!(
            "Invalid type for '{}': expected {expected}, but got {} instead.",
            self.path,
            type_name(self.value)
        );
        Fault::invalid("invalid_type", &self.path, message)
    }

    /// `Invalid 'path': <what>.`
    pub(super) fn invalid(&self, code: &str, what: &str) -> Fault {
        Fault::invalid(code, &self.path, format!("Invalid '{}': {what}.", self.path))
    }

    pub(super) fn string(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("a boolean"))
    }

    pub(super) fn object(&self) -> Result<Members<'a>, Fault> {
        match self.value {
            Value::Object(map) => Ok(Members { path: self.path.clone(), map }),
            _ => Err(self.wrong_type("an object")),
        }
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>, Fault> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_type("an array"))?;
        let item = |(at, value)| Field { path: format!("{}[{at}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Items, at least one.
    pub(super) fn some_items(&self) -> Result<Vec<Field<'a>>, Fault> {
        let items = self.items()?;
        if items.is_empty() {
            let what = "empty array. Expected an array with minimum length 1, but got an empty \
                        array instead";
            return Err(self.invalid("empty_array", what));
        }
        Ok(items)
    }

    pub(super) fn at_most(&self, count: usize, most: usize) -> Result<(), Fault> {
        if count <= most {
            return Ok(());
        }
        let what = format!(
            "array too long. Expected an array with maximum length {most}, but got an array with \
             length {count} instead"
        );
        Err(self.invalid("array_above_max_length", &what))
    }

    /// A string of at most so many characters.
    pub(super) fn short(&self, most: usize) -> Result<&'a str, Fault> {
        let text = self.string()?;
        let length = text.chars().count();
        if length > most {
            let what = format!(
                "string too long. Expected a string with maximum length {most}, but got a string \
                 with length {length} instead"
            );
            return Err(self.invalid("string_above_max_length", &what));
        }
        Ok(text)
    }

    pub(super) fn name(&self) -> Result<&'a str, Fault> {
        let name = self.short(64)?;
        if !crate::check::is_name(name, 64) {
            let what = "string does not match pattern. Expected a string that matches the \
                        pattern '^[a-zA-Z0-9_-]+$'";
            return Err(self.invalid("invalid_value", what));
        }
        Ok(name)
    }

    pub(super) fn one_of(&self, values: &[&str]) -> Result<&'a str, Fault> {
        let given = self.string()?;
        if values.contains(&given) {
            return Ok(given);
        }
        let message = format!("Invalid value: '{given}'. Supported values are: {}.", list(values));
        Err(Fault::invalid("invalid_value", &self.path, message))
    }

    pub(super) fn integer(&self, least: i64, most: i64) -> Result<i64, Fault> {
        let number = self.value.as_i64().ok_or_else(|| self.wrong_type("an integer"))?;
        self.bounded("integer", number < least, number > most, (&least, &most), &number)?;
        Ok(number)
    }

    pub(super) fn number(&self, least: f64, most: f64) -> Result<f64, Fault> {
        let number = self.value.as_f64().ok_or_else(|| self.wrong_type("a decimal"))?;
        self.bounded("decimal", number < least, number > most, (&least, &most), &number)?;
        Ok(number)
    }

    fn bounded(
        &self,
        kind: &str,
        below: bool,
        above: bool,
        (least, most): (&dyn std::fmt::Display, &dyn std::fmt::Display),
        number: &dyn std::fmt::Display,
    ) -> Result<(), Fault> {
        let (side, sign, bound, code) = match (below, above) {
            (true, _) => ("below minimum", ">=", least, "below_min_value"),
            (_, true) => ("above maximum", "<=", most, "above_max_value"),
            _ => return Ok(()),
        };
        let what = format!(
            "{kind} {side} value. Expected a value {sign} {bound}, but got {number} instead"
        );
        Err(self.invalid(&format!("{kind}_{code}"), &what))
    }
}
