//! The top-level members of a request, one by one.

use super::edit::{Edit, Edits};
use super::outline::Outline;
use crate::Str;

/// The top-level members of a request, edits included: names unescaped, values as JSON text that shares the body's buffer.
///
/// ```
/// use ziggurat_core::{Members, Str};
///
/// let members = Members::parse(Str::from(r#"{"model":"gpt-4.1","n":1}"#)).unwrap();
/// assert_eq!(members.get("model").unwrap(), "\"gpt-4.1\"");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(Str, Str)>);

impl Members {
    /// The members of a JSON object.
    ///
    /// # Errors
    ///
    /// As [`Payload::wire`](crate::Payload::wire).
    pub fn parse(text: Str) -> Result<Self, crate::Error> {
        let outline = Outline::read(&text)?;
        Ok(Self::of(&text, &outline, None))
    }

    pub(super) fn of(text: &Str, outline: &Outline, edits: Option<&Edits>) -> Self {
        let mut members: Vec<(Str, Str)> = Vec::with_capacity(outline.len());
        for member in outline.members() {
            let name = outline.name(text, member);
            match edits.and_then(|edits| edits.find(name)) {
                Some(_) => {}
                None => members.push((text.slice_ref(name), member.value(text))),
            }
        }
        for (name, edit) in edits.into_iter().flat_map(Edits::iter) {
            if let Edit::Set(value) = edit {
                members.push((name.clone(), value.clone().into_text()));
            }
        }
        Self(members)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}
