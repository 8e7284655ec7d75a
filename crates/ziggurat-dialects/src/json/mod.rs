//! JSON read by borrowing and written without a tree, for all dialects.

mod at;
mod fields;
mod scan;
mod string;
mod write;

use serde::de::Deserialize;
use serde_json::error::Category;
use ziggurat_core::{Error, RawJson, Str};

pub(crate) use at::At;
pub(crate) use fields::Fields;
pub(crate) use scan::{space, string_end, value_end};
pub(crate) use string::{plain_word, shared_text, string};
pub(crate) use write::{Array, Object, Text, float, integer, joined, one_line};

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

/// Reads a JSON string, sharing `body` where it holds no escapes.
pub(crate) fn read_text(raw: &str, body: &Str, at: At<'_>) -> Result<Str, Error> {
    shared_text(raw, body).ok_or_else(|| at.error("a string is expected"))
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
    fn white_space_between_tokens_goes_and_nothing_else() {
        let loose = Str::from("{ \"a b\" : [ 1.50 , \"\\\" x\" ] }\n");
        assert_eq!(compact(&loose, &loose), r#"{"a b":[1.50,"\" x"]}"#);
        let tight = Str::from(r#"{"z":1152921504606846977}"#);
        assert_eq!(compact(&tight, &tight).as_ptr(), tight.as_ptr());
    }
}
