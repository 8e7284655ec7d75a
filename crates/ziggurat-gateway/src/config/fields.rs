//! The fields of a mapping: each is asked for by its name, and what nobody asked for is told.

use super::node::{Entry, Key, Kind, join};
use super::read::{At, Reader};

/// The entries of one mapping while they are read. What nobody asked for is told at the end.
pub(super) struct Fields<'r, 'n, 'e> {
    reader: &'r mut Reader<'e>,
    at: At<'n>,
    /// The entries that nobody has asked for.
    left: Vec<&'n Entry>,
    asked: Vec<&'static str>,
}

// === impl Reader ===

impl<'e> Reader<'e> {
    /// The fields of a mapping.
    pub(super) fn fields<'n>(&mut self, at: &At<'n>) -> Option<Fields<'_, 'n, 'e>> {
        match at.node.kind() {
            Kind::Mapping(entries) => Some(Fields {
                left: entries.iter().collect(),
                asked: Vec::new(),
                at: at.clone(),
                reader: self,
            }),
            _ => self.mismatch(at, "a mapping"),
        }
    }
}

// === impl Fields ===

impl<'n, 'e> Fields<'_, 'n, 'e> {
    pub(super) fn reader(&mut self) -> &mut Reader<'e> {
        self.reader
    }

    /// The value of a key; nothing when it is absent, or null, which is how YAML leaves it out.
    pub(super) fn get(&mut self, name: &'static str) -> Option<At<'n>> {
        self.asked.push(name);
        let index = self.left.iter().position(|entry| &*entry.key.text == name)?;
        let entry = self.left.remove(index);
        let at = At { node: &entry.value, path: join(&self.at.path, name) };
        (!at.node.is_null()).then_some(at)
    }

    /// Reads the value of a key, where there is one.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'e>, &At<'n>) -> Option<T>,
    ) -> Option<T> {
        let at = self.get(name)?;
        read(self.reader, &at)
    }

    /// Reads the value of a key, and it is an error that there is none.
    pub(super) fn require<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(&mut Reader<'e>, &At<'n>) -> Option<T>,
    ) -> Option<T> {
        if let Some(at) = self.get(name) {
            return read(self.reader, &at);
        }
        let at = At { node: self.at.node, path: join(&self.at.path, name) };
        self.reader.error(&at, format!("missing; expected {what}"));
        None
    }

    /// Reads all entries whose keys are of a kind.
    pub(super) fn take_if(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        mut read: impl FnMut(&mut Reader<'e>, &str, &At<'n>),
    ) {
        let (taken, left) = self.left.drain(..).partition(|entry| wanted(&entry.key.text));
        self.left = left;
        let taken: Vec<&Entry> = taken;
        for entry in taken.into_iter().filter(|entry| !entry.value.is_null()) {
            let at = At { node: &entry.value, path: join(&self.at.path, &entry.key.text) };
            read(self.reader, &entry.key.text, &at);
        }
    }

    /// Warns of all entries whose keys are of a family that is not supported yet.
    pub(super) fn unsupported_if(&mut self, family: impl Fn(&str) -> bool) {
        let (taken, left) = self.left.drain(..).partition(|entry| family(&entry.key.text));
        self.left = left;
        let taken: Vec<&Entry> = taken;
        for entry in taken {
            let path = join(&self.at.path, &entry.key.text);
            self.reader.problems.unsupported(&entry.key.place, path);
        }
    }

    /// Leaves out what begins with `x-`: there people keep what they refer to by aliases.
    pub(super) fn skip_extensions(&mut self) {
        self.left.retain(|entry| !entry.key.text.starts_with("x-"));
    }

    /// Names to suggest beside those that are asked for.
    pub(super) fn suggest(&mut self, names: &[&'static str]) {
        self.asked.extend(names);
    }

    /// The entries that nobody has asked for, taken out.
    pub(super) fn rest(&mut self) -> Vec<(&'n Key, At<'n>)> {
        let path = &self.at.path;
        self.left
            .drain(..)
            .map(|entry| (&entry.key, At { node: &entry.value, path: join(path, &entry.key.text) }))
            .collect()
    }

    /// The names that were asked for.
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// Warns of what nobody has asked for: keys that are not supported yet, and unknown keys. For
    /// an unknown key `hint` may know where it belongs.
    pub(super) fn finish(
        mut self,
        unsupported: &[&str],
        hint: impl Fn(&str) -> Option<&'static str>,
    ) {
        for (key, at) in self.rest() {
            if unsupported.contains(&&*key.text) {
                self.reader.problems.unsupported(&key.place, at.path);
            } else if let Some(section) = hint(&key.text) {
                let message = format!("unknown key here, it belongs under `{section}`");
                self.reader.problems.unknown(&key.place, at.path, message);
            } else {
                let names = self.asked.iter().chain(unsupported).copied();
                let message = match self.reader.problems.nearest(&key.text, names) {
                    Some(near) => format!("unknown key, did you mean `{near}`?"),
                    None => "unknown key".to_owned(),
                };
                self.reader.problems.unknown(&key.place, at.path, message);
            }
        }
    }
}
