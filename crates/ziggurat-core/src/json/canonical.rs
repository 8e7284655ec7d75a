//! One spelling for JSON values that mean the same.

use serde_json::value::RawValue;

/// How deep values may be nested. Deeper ones have no canonical form, and are then equal only letter by letter.
const DEEPEST: usize = 128;

/// The value without white space, members in the order of their names, strings and fractions in one spelling; integers stay as
/// they were written, however large. `None` when the text is not one JSON value, or nested too deeply.
pub(crate) fn text(text: &str) -> Option<String> {
    // Everything below relies on the text being valid.
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut writer = Writer { text: raw.get(), at: 0, out: String::with_capacity(text.len()) };
    writer.value(0)?;
    Some(writer.out)
}

struct Writer<'a> {
    text: &'a str,
    at: usize,
    out: String,
}

impl Writer<'_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            _ if depth > DEEPEST => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push('{');
        let start = self.out.len();
        // Where the members end in what was written, and where their names do.
        let mut members: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
        loop {
            self.skip_space();
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let from = self.out.len();
                    self.string()?;
                    let name = self.out.len();
                    self.skip_space();
                    // The colon.
                    self.at += 1;
                    self.out.push(':');
                    self.value(depth + 1)?;
                    self.out.push(',');
                    members.push((from..self.out.len(), name));
                }
            }
        }
        self.at += 1;
        let out = &self.out;
        let name = |member: &(std::ops::Range<usize>, usize)| &out[member.0.start..member.1];
        if !members.is_sorted_by(|a, b| name(a) <= name(b)) {
            // Members of one name stay in their order.
            members.sort_by(|a, b| name(a).cmp(name(b)));
            let sorted: String = members.iter().map(|(span, _)| &out[span.clone()]).collect();
            self.out.truncate(start);
            self.out.push_str(&sorted);
        }
        if !members.is_empty() {
            self.out.pop();
        }
        self.out.push('}');
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.out.push('[');
        let mut any = false;
        loop {
            self.skip_space();
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => {
                    any = true;
                    self.value(depth + 1)?;
                    self.out.push(',');
                }
            }
        }
        self.at += 1;
        if any {
            self.out.pop();
        }
        self.out.push(']');
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let mut end = 1;
        let mut escaped = false;
        loop {
            end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
            if bytes[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        let written = &rest[..=end];
        self.at += written.len();
        if escaped
            && let Ok(text) = serde_json::from_str::<String>(written)
            && let Ok(again) = serde_json::to_string(&text)
        {
            self.out.push_str(&again);
        } else {
            self.out.push_str(written);
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = rest.bytes().take_while(number).count();
        let written = &rest[..length];
        self.at += length;
        let fraction = written.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        match written.parse::<f64>() {
            Ok(value) if fraction && value.is_finite() => {
                use std::fmt::Write;
                write!(self.out, "{value:?}").ok()?;
            }
            _ => self.out.push_str(written),
        }
        Some(())
    }

    /// `true`, `false`, `null`.
    fn word(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        if length == 0 {
            return None;
        }
        self.out.push_str(&rest[..length]);
        self.at += length;
        Some(())
    }

    fn skip_space(&mut self) {
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text[self.at..].bytes().take_while(space).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn one_spelling_for_one_value() {
        for (written, canonical) in [
            (" { } ", "{}"),
            ("[ 1 , 2 ]", "[1,2]"),
            (r#"{"b":1,"a":{"d":[],"c":null}}"#, r#"{"a":{"c":null,"d":[]},"b":1}"#),
            (r#"{"a":1,"a":0}"#, r#"{"a":1,"a":0}"#),
            (r#""A\/\u00e9""#, r#""A/é""#),
            (r#""\ud800""#, r#""\ud800""#),
            ("1.50", "1.5"),
            ("15e-1", "1.5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e999", "1e999"),
            ("true", "true"),
        ] {
            assert_eq!(text(written).as_deref(), Some(canonical), "{written}");
        }
        for wrong in ["", "{", "1 2", "nul", "\"", "{\"a\"}"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn deep_nesting_has_no_form_and_no_danger() {
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(text(&deep(100)), Some(deep(100)));
        assert_eq!(text(&deep(100_000)), None);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Eighths are read exactly by every parser.
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(Map::from_iter(members))),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_value_stays_and_the_form_is_its_own(value in values()) {
            let once = text(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&once).unwrap(), &value);
            prop_assert_eq!(text(&once).unwrap(), once);
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(any in ".{0,40}") {
            let valid = serde_json::from_str::<&RawValue>(&any).is_ok();
            prop_assert_eq!(text(&any).is_some(), valid);
        }
    }
}
