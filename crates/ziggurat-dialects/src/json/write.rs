//! Objects and lists, written.

use std::borrow::Cow;

use memchr::memchr2;
use ziggurat_core::{Extras, RawJson, Str};

use super::string::{plain, string};

/// Writes a JSON object.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Where it begins.
    start: usize,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens it.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        Self { out, start, empty: true }
    }

    /// Writes a name that needs no escapes; the value is for the caller to write.
    pub(crate) fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        debug_assert_eq!(plain(name.as_bytes()), name.len(), "{name} needs escapes");
        self.out.reserve(name.len() + 4);
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Members that are always the same, as they are written.
    pub(crate) fn always(&mut self, members: &'static str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.extend_from_slice(members.as_bytes());
    }

    /// Writes a name of somebody else's.
    pub(crate) fn member_named(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &'static str, text: &(impl Text + ?Sized)) {
        text.write(self.member(name));
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &'static str, json: &str) {
        self.member(name).extend_from_slice(json.as_bytes());
    }

    /// A value that is JSON already, under a name of somebody else's.
    pub(crate) fn raw_named(&mut self, name: &str, json: &str) {
        self.member_named(name).extend_from_slice(json.as_bytes());
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &'static str, number: impl itoa::Integer) {
        integer(self.member(name), number);
    }

    /// A number.
    pub(crate) fn float(&mut self, name: &'static str, number: f64) {
        float(self.member(name), number);
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &'static str, flag: bool) {
        self.raw(name, if flag { "true" } else { "false" });
    }

    /// All members of another object, as they are.
    pub(crate) fn members_of(&mut self, object: &RawJson) {
        let inner = object.get().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let Some(inner) = inner.map(str::trim).filter(|inner| !inner.is_empty()) else { return };
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.extend_from_slice(inner.as_bytes());
    }

    /// Extra members.
    pub(crate) fn extras(&mut self, extras: &Extras) {
        for (name, value) in &extras.members {
            self.raw_named(name, value.get());
        }
    }

    /// Closes it, and gives the buffer back.
    pub(crate) fn end(self) -> &'a mut Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    /// Closes it on one line, as a stream of events or lines needs it: values that are taken as they are may have line breaks.
    pub(crate) fn end_on_one_line(self) -> &'a mut Vec<u8> {
        let start = self.start;
        let out = self.end();
        one_line(&mut out[start..]);
        out
    }
}

/// Writes a JSON array.
#[derive(Debug)]
pub(crate) struct Array<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Array<'a> {
    /// Opens it.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, empty: true }
    }

    /// Begins an item; the value is for the caller to write.
    pub(crate) fn item(&mut self) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out
    }

    /// Begins an object.
    pub(crate) fn object(&mut self) -> Object<'_> {
        Object::begin(self.item())
    }

    /// Closes it.
    pub(crate) fn end(self) {
        self.out.push(b']');
    }
}

/// What is written as a JSON string.
pub(crate) trait Text {
    /// Writes it.
    fn write(&self, out: &mut Vec<u8>);
}

impl Text for str {
    fn write(&self, out: &mut Vec<u8>) {
        string(out, self);
    }
}

impl Text for String {
    fn write(&self, out: &mut Vec<u8>) {
        string(out, self);
    }
}

impl Text for Str {
    fn write(&self, out: &mut Vec<u8>) {
        match self.as_json() {
            // What came as JSON goes as it came.
            Some(json) => out.extend_from_slice(json.as_bytes()),
            None => string(out, self),
        }
    }
}

impl<T: Text + ToOwned<Owned: Text> + ?Sized> Text for Cow<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Cow::Borrowed(text) => text.write(out),
            Cow::Owned(text) => text.write(out),
        }
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// Texts in a row with `between` between them. One alone is not copied, nor read.
pub(crate) fn joined<'a>(texts: &[&'a Str], between: &str) -> Cow<'a, Str> {
    match texts {
        [] => Cow::Owned(Str::new()),
        [only] => Cow::Borrowed(only),
        _ => {
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
            Cow::Owned(texts.join(between).into())
        }
    }
}

/// Writes a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a number; `null` for what is none in JSON.
pub(crate) fn float(out: &mut Vec<u8>, number: f64) {
    serde_json::to_writer(out, &number).expect("a Vec takes every byte");
}

/// Takes the line breaks out of JSON. They stand between its tokens: in strings they are escaped.
pub(crate) fn one_line(json: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr2(b'\n', b'\r', &json[at..]) {
        at += found;
        json[at] = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_in_order() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("a", "x\"y");
        object.members_of(&RawJson::parse(Str::from(r#"{ "b": {} }"#)).unwrap());
        object.members_of(&RawJson::EMPTY_OBJECT);
        object.float("c", 0.5);
        let mut array = Array::begin(object.member("d"));
        array.object().end();
        integer(array.item(), 1u8);
        array.end();
        object.end();
        assert_eq!(out, br#"{"a":"x\"y","b": {},"c":0.5,"d":[{},1]}"#);
    }
}
