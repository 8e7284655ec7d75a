//! JSON values that are found first and read when someone asks, with the place where they stand.
//!
//! An object is taken apart without building anything: strings are skipped at the speed of `memchr`, and only what is asked for
//! is unescaped. The path is a chain on the stack, written out when an error must name it (`messages[0].content[1].type`).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use ziggurat_core::{Dialect, Error, Extras, RawJson, Str};

use crate::json::{self, space, value_end};
use crate::spelled::Spelled;

/// A JSON value that has been found but not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    text: &'a str,
    body: &'a Str,
    up: Option<&'a Node<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Node<'a> {
    /// A top-level member, or a whole document with the name by which errors call it.
    pub(crate) fn root(name: &'a str, body: &'a Str) -> Self {
        Node { text: body.trim(), body, up: None, step: Step::Name(name) }
    }

    /// The JSON text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn is_null(&self) -> bool {
        self.text == "null"
    }

    pub(crate) fn is_string(&self) -> bool {
        self.text.starts_with('"')
    }

    pub(crate) fn is_object(&self) -> bool {
        self.text.starts_with('{')
    }

    pub(crate) fn is_list(&self) -> bool {
        self.text.starts_with('[')
    }

    /// The text of a string, sharing the body's buffer where it holds no escapes.
    pub(crate) fn string(&self) -> Result<Str, Error> {
        json::shared_text(self.text, self.body).ok_or_else(|| self.expected("a string"))
    }

    /// The text of a string, if it is one.
    pub(crate) fn as_string(&self) -> Option<Str> {
        json::shared_text(self.text, self.body)
    }

    /// The text of a string, if it is one. A string with a fault in it is an error: it must not pass for nothing.
    pub(crate) fn if_string(&self) -> Result<Option<Str>, Error> {
        if self.is_string() { self.string().map(Some) } else { Ok(None) }
    }

    pub(crate) fn flag(&self) -> Result<bool, Error> {
        self.read("true or false")
    }

    pub(crate) fn float(&self) -> Result<f64, Error> {
        self.read("a number")
    }

    /// A whole number that is not negative. `512.0` is one, too.
    pub(crate) fn count(&self) -> Result<u64, Error> {
        self.as_count().ok_or_else(|| self.expected("a whole number"))
    }

    /// A whole number that is not negative, if it is one.
    pub(crate) fn as_count(&self) -> Option<u64> {
        let whole = self.text.split_once('.').map_or(self.text, |(whole, fraction)| {
            if fraction.bytes().all(|digit| digit == b'0') { whole } else { self.text }
        });
        whole.parse().ok()
    }

    /// The text of a string that stands here within the value, between its quotes; `None` if it is none.
    pub(crate) fn text_at(&self, place: &Range<usize>) -> Option<Str> {
        let quoted = place.start.checked_sub(1)?..place.end + 1;
        json::shared_text(self.text.get(quoted)?, self.body)
    }

    /// Text of the body that this value borrows, sharing the body's buffer.
    pub(crate) fn share(&self, text: &str) -> Str {
        self.body.slice_ref(text)
    }

    /// Reads a value as a type.
    pub(crate) fn read<T: DeserializeOwned>(&self, expected: &str) -> Result<T, Error> {
        serde_json::from_str(self.text).map_err(|_| self.expected(expected))
    }

    /// The value to carry on as it is, checked to be JSON.
    pub(crate) fn raw(&self) -> Result<RawJson, Error> {
        RawJson::parse(self.body.slice_ref(self.text)).map_err(|error| {
            self.error("invalid_value", format_args!("this is not valid JSON: {error}"))
        })
    }

    /// The value to carry on as it is, checked to be an object.
    pub(crate) fn raw_object(&self) -> Result<RawJson, Error> {
        if self.is_object() { self.raw() } else { Err(self.expected("an object")) }
    }

    /// Keeps the value for its own dialect.
    pub(crate) fn keep(
        &self,
        dialect: Dialect,
        extras: &mut Extras,
        name: &str,
    ) -> Result<(), Error> {
        let raw = self.raw()?;
        extras.dialect = Some(dialect);
        extras.push(self.body.slice_ref(name), raw);
        Ok(())
    }

    /// The members of an object, in order. `null` equals absent.
    pub(crate) fn members<F>(&self, mut each: F) -> Result<(), Error>
    where
        F: FnMut(&str, Node<'_>) -> Result<(), Error>,
    {
        self.walk(|name, place| {
            let text = self.text.get(place).unwrap_or_default();
            each(name, Node { text, body: self.body, up: Some(self), step: Step::Name(name) })
        })
    }

    /// Names and places of the members of an object.
    fn walk<F>(&self, mut each: F) -> Result<(), Error>
    where
        F: FnMut(&str, Range<usize>) -> Result<(), Error>,
    {
        let bytes = self.text.as_bytes();
        if bytes.first() != Some(&b'{') {
            return Err(self.expected("an object"));
        }
        let mut at = space(bytes, 1);
        while bytes.get(at) == Some(&b'"') {
            let (name, name_end) = name(self.text, at).ok_or_else(|| self.malformed())?;
            at = space(bytes, name_end);
            if bytes.get(at) != Some(&b':') {
                return Err(self.malformed());
            }
            let start = space(bytes, at + 1);
            let end = value_end(bytes, start).ok_or_else(|| self.malformed())?;
            if bytes.get(start..end) != Some(b"null") {
                each(&name, start..end)?;
            }
            at = space(bytes, end);
            if bytes.get(at) == Some(&b',') {
                at = space(bytes, at + 1);
            }
        }
        // Nothing follows: two values are none.
        if bytes.get(at..) == Some(b"}") { Ok(()) } else { Err(self.malformed()) }
    }

    /// The items of a list, in order.
    pub(crate) fn items<F>(&self, mut each: F) -> Result<(), Error>
    where
        F: FnMut(usize, Node<'_>) -> Result<(), Error>,
    {
        let mut items = self.list()?;
        while let Some((index, item)) = items.next()? {
            each(index, item)?;
        }
        Ok(())
    }

    /// The items of a list, one after the other.
    pub(crate) fn list(&'a self) -> Result<Items<'a>, Error> {
        match self.text.as_bytes().first() {
            Some(b'[') => Ok(Items { list: self, at: space(self.text.as_bytes(), 1), index: 0 }),
            _ => Err(self.expected("a list")),
        }
    }

    /// The member of this name; `None` when there is none, it is `null`, or this is no object.
    pub(crate) fn get(&'a self, name: &'a str) -> Option<Node<'a>> {
        let [found] = self.seek([name]);
        found
    }

    /// The members of these names, found in one pass. What follows a malformed member is not seen.
    pub(crate) fn seek<const N: usize>(&'a self, names: [&'a str; N]) -> [Option<Node<'a>>; N] {
        let mut picked = [None; N];
        drop(self.pick_into(names, &mut picked));
        picked
    }

    /// The members of these names, found in one pass.
    pub(crate) fn pick<const N: usize>(
        &'a self,
        names: [&'a str; N],
    ) -> Result<[Option<Node<'a>>; N], Error> {
        let mut picked = [None; N];
        self.pick_into(names, &mut picked)?;
        Ok(picked)
    }

    fn pick_into<const N: usize>(
        &'a self,
        names: [&'a str; N],
        picked: &mut [Option<Node<'a>>; N],
    ) -> Result<(), Error> {
        self.walk(|key, place| {
            if let Some(found) = names.iter().position(|name| *name == key) {
                let text = self.text.get(place).unwrap_or_default();
                let step = Step::Name(names[found]);
                picked[found] = Some(Node { text, body: self.body, up: Some(self), step });
            }
            Ok(())
        })
    }

    /// The member of this name, which must be there.
    pub(crate) fn need(&'a self, name: &'a str) -> Result<Node<'a>, Error> {
        if !self.is_object() {
            return Err(self.expected("an object"));
        }
        self.get(name).ok_or_else(|| {
            let path = format!("{self}.{name}");
            Error::invalid(format!("`{path}` is required"))
                .with_param(path)
                .with_code("missing_required_parameter")
        })
    }

    /// A 400: something else is expected here.
    pub(crate) fn expected(&self, expected: &str) -> Error {
        let kind = match self.text.as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        let number: String = self.text.chars().take(32).collect();
        let found = if kind == expected || kind == "a number" { &number } else { kind };
        self.error("invalid_type", format_args!("{expected} is expected, not {found}"))
    }

    /// A 400: none of the words that are known here.
    pub(crate) fn unknown(&self, known: &str) -> Error {
        let word: String = self.text.chars().take(64).collect();
        self.error("invalid_value", format_args!("{word} is none of {known}"))
    }

    /// A 400 that names this place.
    pub(crate) fn error(&self, code: &'static str, what: impl fmt::Display) -> Error {
        let path = self.to_string();
        Error::invalid(format!("`{path}`: {what}")).with_param(path).with_code(code)
    }

    fn malformed(&self) -> Error {
        self.error("invalid_value", "this is not valid JSON")
    }
}

/// What is left of a list.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    list: &'a Node<'a>,
    at: usize,
    index: usize,
}

impl<'a> Items<'a> {
    /// The next item if it is of a shape that `read` knows, with its number. Places are those in the list.
    pub(crate) fn next_spelled<T>(
        &mut self,
        read: impl FnOnce(&mut Spelled<'a>) -> Option<T>,
    ) -> Option<(usize, T)> {
        let mut item = Spelled::begin_at(self.list.text.as_bytes(), self.at);
        let value = read(&mut item)?;
        Some((self.pass(item.place()), value))
    }

    /// The next item, with its number.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Node<'a>)>, Error> {
        let list = self.list;
        let bytes = list.text.as_bytes();
        if bytes.get(self.at).is_none_or(|byte| *byte == b']') {
            // Nothing follows.
            return match bytes.get(self.at..) {
                Some(b"]") => Ok(None),
                _ => Err(list.malformed()),
            };
        }
        let end = value_end(bytes, self.at).ok_or_else(|| list.malformed())?;
        let text = list.text.get(self.at..end).ok_or_else(|| list.malformed())?;
        let index = self.pass(end);
        let step = Step::Index(index);
        Ok(Some((index, Node { text, body: list.body, up: Some(list), step })))
    }

    /// Goes on behind an item that ends here, and tells its number.
    fn pass(&mut self, end: usize) -> usize {
        let bytes = self.list.text.as_bytes();
        self.at = space(bytes, end);
        if bytes.get(self.at) == Some(&b',') {
            self.at = space(bytes, self.at + 1);
        }
        self.index += 1;
        self.index - 1
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        match (self.step, self.up) {
            (Step::Name(name), None) => f.write_str(name),
            (Step::Name(name), Some(_)) => write!(f, ".{name}"),
            (Step::Index(index), _) => write!(f, "[{index}]"),
        }
    }
}

/// The name that begins at `at`, and its end. Names are short, and hardly any has escapes.
fn name(text: &str, at: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    let start = at + 1;
    let end = start + json::plain_word(bytes.get(start..)?);
    if bytes.get(end)? == &b'"' {
        return Some((Cow::Borrowed(text.get(start..end)?), end + 1));
    }
    let end = value_end(bytes, at)?;
    let name = serde_json::from_str(text.get(at..end)?).ok()?;
    Some((Cow::Owned(name), end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_names_the_place_and_the_type() {
        let body = Str::from(r#"[{"role":5,"content":[{"text":{}}]}]"#);
        let node = Node::root("messages", &body);
        let error = node.items(|_, item| item.need("role")?.string().map(drop)).unwrap_err();
        assert_eq!(error.param(), Some("messages[0].role"));
        assert_eq!(error.message(), "`messages[0].role`: a string is expected, not 5");
        assert_eq!(error.code(), Some("invalid_type"));
        let error = node
            .items(|_, item| {
                item.need("content")?.items(|_, part| part.need("text")?.string().map(drop))
            })
            .unwrap_err();
        assert_eq!(
            error.message(),
            "`messages[0].content[0].text`: a string is expected, not an object"
        );
        let error = node.items(|_, item| item.need("name").map(drop)).unwrap_err();
        assert_eq!(error.param(), Some("messages[0].name"));
        assert_eq!(error.code(), Some("missing_required_parameter"));
    }

    #[test]
    fn text_shares_the_body() {
        let body = Str::from(r#"{ "a" : { "b" : "plain" , "c\u0064" : "x\ny" } }"#);
        let node = Node::root("body", &body);
        let inner = node.get("a").unwrap();
        assert_eq!(inner.get("b").unwrap().string().unwrap().as_ptr(), body[17..].as_ptr());
        assert_eq!(inner.get("cd").unwrap().string().unwrap(), "x\ny");
        assert!(inner.get("none").is_none());
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        for (text, count) in [("5", Some(5)), ("5.0", Some(5)), ("5.5", None), ("-1", None)] {
            let body = Str::from(text);
            assert_eq!(Node::root("n", &body).as_count(), count, "{text}");
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error_and_no_panic() {
        let whole = r#"{"a":[1,"x\"y",{"b":null}],"c":"ä"}"#;
        for end in 0..whole.len() {
            if let Some(part) = whole.get(..end) {
                let body = Str::from(part);
                assert!(Node::root("body", &body).members(|_, _| Ok(())).is_err(), "{part}");
            }
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_looked_at(text in ".{0,40}") {
            let body = Str::from(text);
            let node = Node::root("body", &body);
            drop(node.members(|_, node| node.items(|_, item| item.string().map(drop))));
            drop(node.items(|_, node| node.members(|_, member| member.raw().map(drop))));
        }

        #[test]
        fn braces_in_any_order_are_no_panic(text in "[\\[\\]{},:\"\\\\a1 ]{0,40}") {
            let body = Str::from(text);
            let node = Node::root("body", &body);
            drop(node.members(|_, node| node.items(|_, item| item.string().map(drop))));
            drop(node.items(|_, node| node.members(|_, member| member.raw().map(drop))));
        }
    }
}
