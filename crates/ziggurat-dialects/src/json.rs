//! JSON read by borrowing and written without a tree, for all dialects.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use ziggurat_core::{Error, Extras, RawJson, Str};

/// A place in a request, for errors that name it. It costs nothing until it is printed: `messages.0.content`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
    /// Whether items are written in brackets.
    brackets: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// A top-level member.
    pub(crate) fn root(name: &'a str) -> Self {
        Self { up: None, step: Step::Name(name), brackets: false }
    }

    /// With items of lists in brackets: `contents[0].parts`.
    pub(crate) fn in_brackets(self) -> Self {
        Self { brackets: true, ..self }
    }

    /// A member of what is here.
    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self { up: Some(self), step: Step::Name(name), ..*self }
    }

    /// An item of what is here.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { up: Some(self), step: Step::Index(index), ..*self }
    }

    /// A 400 that blames this place.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        let path = self.to_string();
        Error::invalid(format!("{path}: {what}")).with_param(path)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            write!(f, "{up}")?;
        }
        let dot = if self.up.is_some() { "." } else { "" };
        match self.step {
            Step::Name(name) => write!(f, "{dot}{name}"),
            Step::Index(index) if self.brackets => write!(f, "[{index}]"),
            Step::Index(index) => write!(f, "{dot}{index}"),
        }
    }
}

/// Reads a value; `expected` says what it should have been (`a list`).
pub(crate) fn read<'a, T: Deserialize<'a>>(
    text: &'a str,
    at: At<'_>,
    expected: &str,
) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => at.error(format_args!("{expected} is expected")),
        _ => at.error("this is not valid JSON"),
    })
}

/// Reads a number. The shortest text of a number gives that number again, which `serde_json` alone does not promise.
pub(crate) fn read_float(text: &str, at: At<'_>) -> Result<f64, Error> {
    let near: f64 = read(text, at, "a number")?;
    Ok(text.trim().parse().unwrap_or(near))
}

/// Strings of so many bytes are not unescaped before they are read.
const MAY_STAY: usize = 130;

/// Reads a JSON string, sharing `body` where it holds no escapes.
pub(crate) fn read_text(raw: &str, body: &Str, at: At<'_>) -> Result<Str, Error> {
    shared_text(raw, body).ok_or_else(|| at.error("a string is expected"))
}

/// The text of a JSON string, sharing `body` where it holds no escapes, or is long and stays as it is spelled until it is read; `None`
/// if it is no string.
pub(crate) fn shared_text(raw: &str, body: &Str) -> Option<Str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
        // A value that was only balanced so far may still hold characters that JSON forbids.
        // No early exit: the compiler makes it many bytes a step.
        let control = inner.bytes().fold(false, |any, byte| any | (byte < 0x20));
        return (!control).then(|| body.slice_ref(inner));
    }
    match raw.len() {
        MAY_STAY.. => {
            Str::from_json(body.slice_ref(raw)).or_else(|| unescape(inner).map(Str::from))
        }
        _ => unescape(inner).map(Str::from),
    }
}

/// How many bytes at the beginning stand for themselves in a JSON string: up to a quote, a backslash or a control character.
fn plain(bytes: &[u8]) -> usize {
    /// How many are looked at together, without an early exit, so that the compiler makes it one step.
    const STEP: usize = 32;
    let mut at = 0;
    while let Some(step) = bytes[at..].first_chunk::<STEP>()
        && !step.iter().fold(false, |any, byte| any | is_escaped(*byte))
    {
        at += STEP;
    }
    at + plain_word(&bytes[at..])
}

/// The same, of a text that is short.
pub(crate) fn plain_word(bytes: &[u8]) -> usize {
    const WORD: usize = 8;
    let every = |byte: u8| u64::from_le_bytes([byte; WORD]);
    // The high bit of each byte that is less; what is wrong of it is above the first that is right.
    let less = |word: u64, than: u8| word.wrapping_sub(every(than)) & !word & every(0x80);
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<WORD>() {
        let word = u64::from_le_bytes(*word);
        let equal = |byte: u8| less(word ^ every(byte), 1);
        let found = less(word, 0x20) | equal(b'"') | equal(b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|byte| is_escaped(*byte)).unwrap_or(rest.len())
}

fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// The text between the quotes of a JSON string.
fn unescape(inner: &str) -> Option<String> {
    let bytes = inner.as_bytes();
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    loop {
        let start = at;
        at += plain(&bytes[at..]);
        text.push_str(inner.get(start..at)?);
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => return Some(text),
            (Some(b'\\'), Some(escaped)) => text.push(match escaped {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' => char::from(*escaped),
                // Letters by their numbers, which may be halves.
                b'u' => return serde_json::from_str(&format!("\"{inner}\"")).ok(),
                _ => return None,
            }),
            _ => return None,
        }
        at += 2;
    }
}

/// Where the string ends whose content, still escaped, begins here.
pub(crate) fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        // Looking back from a quote is cheaper than stopping at each escape on the way.
        let quote = at + memchr(b'"', text.get(at..)?)?;
        let escapes = text[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

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
        let comma: &[u8] = if self.empty { b"\"" } else { b",\"" };
        self.empty = false;
        self.out.reserve(name.len() + 4);
        self.out.extend_from_slice(comma);
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

/// Takes the line breaks out of JSON. They stand between its tokens: in strings they are escaped.
pub(crate) fn one_line(json: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr2(b'\n', b'\r', &json[at..]) {
        at += found;
        json[at] = b' ';
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

/// Writes a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut at = 0;
    loop {
        let start = at;
        at += plain(&bytes[at..]);
        out.extend_from_slice(&bytes[start..at]);
        let Some(byte) = bytes.get(at) else { break };
        escaped(out, *byte);
        at += 1;
    }
    out.push(b'"');
}

/// Writes a byte that JSON has to escape, by its short name if it has one.
fn escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a number; `null` for what is none in JSON.
pub(crate) fn float(out: &mut Vec<u8>, number: f64) {
    serde_json::to_writer(out, &number).expect("a Vec takes every byte");
}

/// Refuses a member of a request that nobody knows and that has a dot in its name: what stands within another member is kept by such a
/// path, and this would be taken for it.
pub(crate) fn no_path(name: &str) -> Result<(), Error> {
    if !name.contains('.') {
        return Ok(());
    }
    let name: String = name.chars().take(64).collect();
    let error = Error::invalid(format!("Unknown parameter: '{name}'."));
    Err(error.with_param(name).with_code("unknown_parameter"))
}

/// What was written, as a value; `None` if it is not one JSON value.
pub(crate) fn raw_json(written: Vec<u8>) -> Option<RawJson> {
    RawJson::parse(Str::from_utf8(written.into()).ok()?).ok()
}

/// A value that is written in the code.
pub(crate) fn constant(json: &'static str) -> RawJson {
    RawJson::parse(Str::from_static(json)).unwrap_or(RawJson::NULL)
}

/// A value without white space between its tokens. Numbers, key order and escapes stay as they are.
pub(crate) fn compact(json: &str, body: &Str) -> Str {
    let space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if !json.bytes().any(space) {
        return body.slice_ref(json);
    }
    let mut in_string = false;
    let mut escaped = false;
    let mut tight = String::with_capacity(json.len());
    tight.extend(json.chars().filter(|char| {
        if in_string {
            in_string = escaped || *char != '"';
            escaped = !escaped && *char == '\\';
            return true;
        }
        in_string = *char == '"';
        !matches!(char, ' ' | '\t' | '\n' | '\r')
    }));
    if tight.len() == json.len() { body.slice_ref(json) } else { Str::from(tight) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_prints_as_a_path() {
        let messages = At::root("messages");
        let first = messages.index(0);
        let error = first.name("content").error("a list is expected");
        assert_eq!(error.to_string(), "messages.0.content: a list is expected");
        assert_eq!(error.param(), Some("messages.0.content"));
        let contents = At::root("contents").in_brackets();
        assert_eq!(contents.index(2).name("parts").index(0).to_string(), "contents[2].parts[0]");
    }

    proptest::proptest! {
        #[test]
        fn a_string_is_read_as_others_read_it(
            parts in proptest::collection::vec(
                r#"[ -~äé—😀]{0,40}|[\x00-\x1f"]|\\[ntrbf"\\/ux0]|\\u[0-9a-fD]{4}"#, 0..8),
        ) {
            let raw = format!("\"{}\"", parts.concat());
            let read = serde_json::from_str::<String>(&raw).ok();
            // Whoever asks has found its end: what has another within is none.
            let text = shared_text(&raw, &Str::new()).map(|text| text.to_string());
            proptest::prop_assert!(text == read || (read.is_none() && !raw.contains('\\')), "{:?} {:?}", text, raw);
        }

        #[test]
        fn a_string_is_written_as_others_write_it(
            texts in proptest::collection::vec("[ -~äé—😀]{0,40}|[\\x00-\\x1f\"\\\\]", 0..8),
        ) {
            let text = texts.concat();
            let mut out = Vec::new();
            string(&mut out, &text);
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn text_shares_the_body_unless_it_holds_escapes() {
        let body = Str::from(r#""plain""#);
        let text = shared_text(&body, &body).unwrap();
        assert_eq!(text.as_ptr(), body[1..].as_ptr());
        assert_eq!(shared_text(r#""a\nb""#, &body).unwrap(), "a\nb");
        assert_eq!(shared_text("1", &body), None);
        assert_eq!(shared_text("\"a\nb\"", &body), None);
        assert_eq!(shared_text("\"", &body), None);
    }

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

    #[test]
    fn white_space_between_tokens_goes_and_nothing_else() {
        let loose = Str::from("{ \"a b\" : [ 1.50 , \"\\\" x\" ] }\n");
        assert_eq!(compact(&loose, &loose), r#"{"a b":[1.50,"\" x"]}"#);
        let tight = Str::from(r#"{"z":1152921504606846977}"#);
        assert_eq!(compact(&tight, &tight).as_ptr(), tight.as_ptr());
    }
}
