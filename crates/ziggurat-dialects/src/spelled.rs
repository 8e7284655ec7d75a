//! JSON of a shape that is known: nearly all events of a stream are spelled alike, and are read without a tree.

use std::ops::Range;

use ziggurat_core::{RawJson, Str};

use crate::json::{plain_word, shared_text, space, string_end, value_end};

/// What is left to read of a text whose shape is known.
///
/// Everything answers `None` where the text has another shape, or is no JSON: then it has to be read in full. White space between
/// tokens is passed over, escapes are not undone.
#[derive(Clone, Debug)]
pub(crate) struct Spelled<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Spelled<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What begins in the middle of a text.
    pub(crate) fn begin_at(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// Where it goes on.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at = space(self.text, self.at);
    }

    /// Passes over a token of one byte if it comes next.
    fn mark(&mut self, byte: u8) -> bool {
        self.space();
        let comes = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(comes);
        comes
    }

    /// Passes over whole tokens, which have no escapes.
    pub(crate) fn pass(&mut self, tokens: &str) -> Option<()> {
        if self.rest().starts_with(tokens.as_bytes()) {
            self.at += tokens.len();
            return Some(());
        }
        let mut in_string = false;
        let mut last = b' ';
        for &byte in tokens.as_bytes() {
            // Within a word there is no white space either.
            let in_word = last.is_ascii_alphanumeric() && byte.is_ascii_alphanumeric();
            if !in_string && !in_word {
                self.space();
            }
            if self.rest().first() != Some(&byte) {
                return None;
            }
            self.at += 1;
            in_string ^= byte == b'"';
            last = byte;
        }
        Some(())
    }

    /// Passes over whole tokens if they come next.
    pub(crate) fn passes(&mut self, tokens: &str) -> bool {
        let before = self.at;
        let passed = self.pass(tokens).is_some();
        if !passed {
            self.at = before;
        }
        passed
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.number(false)
    }

    /// A whole number that is not negative, and may be written as a float.
    pub(crate) fn whole(&mut self) -> Option<u64> {
        self.number(true)
    }

    fn number(&mut self, floats: bool) -> Option<u64> {
        self.space();
        let rest = self.rest();
        let (mut number, mut length) = (0_u64, 0);
        while let Some(byte @ b'0'..=b'9') = rest.get(length) {
            number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            length += 1;
        }
        let (digits, mut behind) = rest.split_at(length);
        if length == 0 || (length > 1 && digits[0] == b'0') {
            return None;
        }
        if floats && let [b'.', b'0', fraction @ ..] = behind {
            let zeros = fraction.iter().take_while(|digit| **digit == b'0').count();
            behind = &fraction[zeros..];
        }
        // What is no end of a number here makes it another one.
        if let Some(b'.' | b'e' | b'E' | b'0'..=b'9') = behind.first() {
            return None;
        }
        self.at += rest.len() - behind.len();
        Some(number)
    }

    /// What `read` reads, and where it stands.
    pub(crate) fn placed<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<(T, Range<usize>)> {
        self.space();
        let start = self.at;
        let value = read(self)?;
        Some((value, start..self.at))
    }

    /// A string without escapes.
    pub(crate) fn word(&mut self) -> Option<&'a [u8]> {
        self.space();
        let rest = self.rest().strip_prefix(b"\"")?;
        let length = plain_word(rest);
        self.at += length + 2;
        (rest.get(length) == Some(&b'"')).then_some(&rest[..length])
    }

    /// A string, still escaped: where it stands, without its quotes.
    pub(crate) fn string(&mut self) -> Option<Range<usize>> {
        self.space();
        let length = string_end(self.rest().strip_prefix(b"\"")?)?;
        let start = self.at + 1;
        self.at = start + length + 1;
        Some(start..start + length)
    }

    /// The members of an object. `each` is told a name, and reads what stands behind it.
    pub(crate) fn members(
        &mut self,
        mut each: impl FnMut(&'a [u8], &mut Self) -> Option<()>,
    ) -> Option<()> {
        if !self.mark(b'{') {
            return None;
        }
        if self.mark(b'}') {
            return Some(());
        }
        loop {
            let name = self.word()?;
            if !self.mark(b':') {
                return None;
            }
            each(name, self)?;
            if !self.mark(b',') {
                return self.mark(b'}').then_some(());
            }
        }
    }

    /// Where the text of a list stands that is one text and nothing else: `[{"type":"text","text":"…"}]`, with its type as `kind`.
    /// Members called `lists` may be there, and empty.
    pub(crate) fn only_text(&mut self, kind: &str, lists: &[&str]) -> Option<Range<usize>> {
        let (mut said, mut text) = (None, None);
        self.pass("[")?;
        self.members(|name, value| {
            match name {
                b"type" => said = Some(value.word()?),
                b"text" => text = Some(value.string()?),
                _ if lists.iter().any(|list| list.as_bytes() == name) => value.pass("[]")?,
                _ => value.pass("null")?,
            }
            Some(())
        })?;
        self.pass("]")?;
        text.filter(|_| said == Some(kind.as_bytes()))
    }

    /// What `read` reads of a message's `content`, if beside its `role` it holds nothing else.
    pub(crate) fn only_content<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut content = None;
        self.members(|name, value| {
            match name {
                b"role" => drop(value.word()?),
                b"content" => content = Some(read(value)?),
                _ => value.pass("null")?,
            }
            Some(())
        })?;
        content
    }

    /// Passes over a value. Of what is nested only the brackets are counted.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.space();
        self.at = value_end(self.text, self.at)?;
        Some(())
    }

    /// The end.
    pub(crate) fn end(mut self) -> Option<()> {
        self.space();
        self.rest().is_empty().then_some(())
    }
}

/// The value that [`Spelled::placed`] found in `body`.
pub(crate) fn value_at(place: Range<usize>, body: &Str) -> Option<RawJson> {
    RawJson::parse(body.slice_ref(body.get(place)?)).ok()
}

/// The text of a string that [`Spelled::string`] found in `body`. `None` if it is no string of JSON.
pub(crate) fn text_at(place: &Range<usize>, body: &Str) -> Option<Str> {
    shared_text(body.get(place.start.checked_sub(1)?..place.end + 1)?, body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Reads objects of strings and numbers, and of objects.
    fn read(spelled: &mut Spelled<'_>, texts: &mut Vec<Range<usize>>) -> Option<()> {
        spelled.members(|_, value| {
            if let Some(place) = value.clone().string() {
                texts.push(place);
                return value.string().map(drop);
            }
            if value.clone().count().is_some() {
                return value.count().map(drop);
            }
            read(value, texts)
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![any::<String>().prop_map(Value::from), any::<u64>().prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::hash_map("[a-zé ]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        });
        prop::collection::hash_map("[a-z]{0,4}", value, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    fn strings(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::String(text) => out.push(text.clone()),
            Value::Object(members) => members.values().for_each(|value| strings(value, out)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_is_there(value in object(), spaced in any::<bool>()) {
            let body = match spaced {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let body = Str::from(body);
            let mut spelled = Spelled::new(body.as_bytes());
            let mut places = Vec::new();
            prop_assert_eq!(read(&mut spelled, &mut places), Some(()));
            prop_assert_eq!(spelled.end(), Some(()));
            let read: Vec<_> =
                places.iter().map(|place| text_at(place, &body).unwrap().to_string()).collect();
            let mut there = Vec::new();
            strings(&value, &mut there);
            prop_assert_eq!(read, there);
        }

        #[test]
        fn what_can_be_read_is_json(text in r#"[{}":,\\a0-9 ]{0,24}"#) {
            let mut spelled = Spelled::new(text.as_bytes());
            let mut places = Vec::new();
            let read = read(&mut spelled, &mut places).and_then(|()| spelled.end());
            let body = Str::from(text.clone());
            let texts = places.iter().all(|place| text_at(place, &body).is_some());
            if read.is_some() && texts {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            }
        }
    }

    #[test]
    fn tokens_may_have_space_between_them_and_not_within() {
        let reads = |text: &str, tokens: &str| {
            let mut spelled = Spelled::new(text.as_bytes());
            spelled.pass(tokens).and_then(|()| spelled.end()).is_some()
        };
        let tokens = r#"{"a b":{"c":false}}"#;
        assert!(reads(tokens, tokens));
        assert!(reads("{ \"a b\" :\n{\"c\" : false } } ", tokens));
        assert!(!reads(r#"{"ab":{"c":false}}"#, tokens));
        assert!(!reads(r#"{" a b":{"c":false}}"#, tokens));
        assert!(!reads(r#"{"a b":{"c":fa lse}}"#, tokens));
        assert!(!reads(r#"{"a b":{"c":false}}}"#, tokens));
        assert!(!reads(r#"{"a b":{"c":false"#, tokens));
    }

    #[test]
    fn a_number_is_read_as_json_has_it() {
        for (text, expected) in
            [("7", Some(7)), (" 70,", Some(70)), ("0", Some(0)), ("07", None), ("7.0", None)]
        {
            assert_eq!(Spelled::new(text.as_bytes()).count(), expected, "{text}");
        }
        for text in ["", "-7", "7e2", "99999999999999999999999"] {
            assert_eq!(Spelled::new(text.as_bytes()).count(), None, "{text}");
            assert_eq!(Spelled::new(text.as_bytes()).whole(), None, "{text}");
        }
        for (text, expected) in [
            ("7", Some(7)),
            ("70.0,", Some(70)),
            ("0.000", Some(0)),
            ("7.", None),
            ("7.01", None),
            ("7.0e1", None),
        ] {
            let mut spelled = Spelled::new(text.as_bytes());
            assert_eq!(spelled.whole(), expected, "{text}");
            assert!(expected.is_none() || spelled.passes(",") || spelled.end().is_some());
        }
    }
}
