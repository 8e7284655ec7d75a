//! The top-level members of a JSON object, found in one pass without building a tree.

use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

use crate::{Error, Str};

/// How deep values may nest.
const MAX_DEPTH: u32 = 128;
/// How many top-level members there may be. The richest dialect knows about fifty.
const MAX_MEMBERS: usize = 512;

/// Where the top-level members of a JSON object are.
///
/// Strings are skipped at the speed of `memchr`. The top level is checked to be JSON; what is inside nested values is only
/// balanced, and left to whoever parses it.
#[derive(Clone, Debug)]
pub struct Outline {
    members: SmallVec<[Member; 12]>,
    /// Names that contain escapes, unescaped, with the place of their member.
    escaped: Vec<(usize, Box<str>)>,
    close: u32,
}

/// One top-level member.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Name with its quotes.
    name: (u32, u32),
    value: (u32, u32),
    escaped: bool,
}

impl Member {
    /// The value, sharing the text.
    #[must_use]
    pub fn value(&self, text: &Str) -> Str {
        text.slice_ref(&text[self.value_span()])
    }

    /// Where the value is.
    #[must_use]
    pub fn value_span(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }

    /// Where the name is, quotes included.
    #[must_use]
    pub fn name_span(&self) -> Range<usize> {
        self.name.0 as usize..self.name.1 as usize
    }
}

impl Outline {
    /// Reads the outline of a JSON object.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object, nests too deeply, or names a member twice. Names that differ in case only count
    /// as one: there are servers that do not tell them apart.
    pub fn read(text: &str) -> Result<Self, Error> {
        Scan { bytes: text.as_bytes(), text, at: 0 }.object()
    }

    /// The members, in order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the object is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The name of one of the members, unescaped.
    #[must_use]
    pub fn name<'a>(&'a self, text: &'a str, member: &Member) -> &'a str {
        if member.escaped {
            let index = self.members.iter().position(|other| other.name == member.name);
            let escaped = self.escaped.iter().find(|(at, _)| Some(*at) == index);
            return escaped.map_or("", |(_, name)| name);
        }
        &text[member.name.0 as usize + 1..member.name.1 as usize - 1]
    }

    /// The member of this name.
    #[must_use]
    pub fn find(&self, text: &str, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| self.name(text, member) == name)
    }

    /// Where the closing brace is.
    pub(super) fn close(&self) -> usize {
        self.close as usize
    }

    fn refuse_twins(&self, text: &str) -> Result<(), Error> {
        /// So many names are compared one by one: nearly all differ in length already.
        const FEW: usize = 64;
        let twin = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let mut names: SmallVec<[&str; FEW]> =
            self.members.iter().map(|member| self.name(text, member)).collect();
        let found = if names.len() <= FEW {
            let twins = names
                .iter()
                .enumerate()
                .find(|(index, name)| names[..*index].iter().any(|other| twin(other, name)));
            twins.map(|(_, name)| *name)
        } else {
            names.sort_by_cached_key(|name| name.to_ascii_lowercase());
            names.windows(2).find(|pair| twin(pair[0], pair[1])).map(|pair| pair[1])
        };
        match found {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(Error::invalid(format!("the body names `{name}` twice")).with_param(name))
            }
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn object(mut self) -> Result<Outline, Error> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(Error::new(crate::ErrorKind::TooLarge, "the body is larger than 4 GiB"));
        }
        let mut outline = Outline { members: SmallVec::new(), escaped: Vec::new(), close: 0 };
        self.space();
        match self.peek() {
            None => return Err(Error::invalid("the body is empty, a JSON object is expected")),
            Some(b'{') => self.at += 1,
            Some(_) => return Err(self.error("a JSON object is expected")),
        }
        self.space();
        if self.peek() != Some(b'}') {
            loop {
                let member = self.member(&mut outline)?;
                if outline.members.len() >= MAX_MEMBERS {
                    return Err(Error::invalid(format!(
                        "the body has more than {MAX_MEMBERS} top-level members"
                    )));
                }
                outline.members.push(member);
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                    }
                    Some(b'}') => break,
                    _ => return Err(self.error("`,` or `}` is expected")),
                }
            }
        }
        outline.close = place(self.at);
        self.at += 1;
        self.space();
        if self.at != self.bytes.len() {
            return Err(self.error("nothing is expected after the JSON object"));
        }
        outline.refuse_twins(self.text)?;
        Ok(outline)
    }

    fn member(&mut self, outline: &mut Outline) -> Result<Member, Error> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.error("a member's name is expected"));
        }
        self.string()?;
        let name = (place(start), place(self.at));
        let escaped = self.bytes[start..self.at].contains(&b'\\');
        if escaped {
            let unescaped = serde_json::from_str::<Box<str>>(&self.text[start..self.at])
                .map_err(|_| self.error("a member's name is malformed"))?;
            outline.escaped.push((outline.members.len(), unescaped));
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.error("`:` is expected"));
        }
        self.at += 1;
        self.space();
        let start = self.at;
        self.value()?;
        Ok(Member { name, value: (place(start), place(self.at)), escaped })
    }

    fn value(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => self.container(),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.scalar(),
            _ => Err(self.error("a value is expected")),
        }
    }

    /// Skips a string.
    fn string(&mut self) -> Result<(), Error> {
        let start = self.at + 1;
        self.at = start;
        // Only quotes are searched for: text is full of escaped line ends, and stopping at each would cost more than looking back.
        while let Some(found) = memchr(b'"', &self.bytes[self.at..]) {
            let quote = self.at + found;
            self.at = quote + 1;
            let escapes =
                self.bytes[start..quote].iter().rev().take_while(|b| **b == b'\\').count();
            if escapes % 2 == 0 {
                return Ok(());
            }
        }
        Err(self.truncated())
    }

    /// Skips an object or an array, checking that its brackets match.
    fn container(&mut self) -> Result<(), Error> {
        // One bit for each open bracket: whether it is a brace.
        let mut braces: u128 = 0;
        let mut depth: u32 = 0;
        loop {
            let Some(byte) = self.peek() else {
                return Err(self.truncated());
            };
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    if depth == MAX_DEPTH {
                        return Err(self.error("the body nests too deeply"));
                    }
                    depth += 1;
                    braces = (braces << 1) | u128::from(byte == b'{');
                }
                b'}' | b']' => {
                    if (braces & 1 == 1) != (byte == b'}') {
                        return Err(self.error("a bracket does not match"));
                    }
                    braces >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn scalar(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') = self.peek() {
            self.at += 1;
        }
        let scalar = &self.bytes[start..self.at];
        let plain = matches!(scalar, b"true" | b"false" | b"null")
            || serde_json::from_slice::<serde::de::IgnoredAny>(scalar).is_ok();
        if plain {
            Ok(())
        } else {
            self.at = start;
            Err(self.error("a value is malformed"))
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn truncated(&self) -> Error {
        Error::invalid("the body is not valid JSON: it ends in the middle")
    }

    fn error(&self, what: &str) -> Error {
        if self.at >= self.bytes.len() {
            return self.truncated();
        }
        Error::invalid(format!("the body is not valid JSON: {what} (at byte {})", self.at))
    }
}

/// A place in a text that is known to be shorter than 4 GiB.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
