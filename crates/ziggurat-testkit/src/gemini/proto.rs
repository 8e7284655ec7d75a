//! JSON read as protocol buffers read it: names in camelCase or snake_case, nothing unknown, and
//! every value of its field's type.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::error::Fault;

/// The type of a field.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Int,
    Number,
    /// One of these.
    Enum(&'static [&'static str]),
    /// Any value.
    Any,
    /// An object of any members (`google.protobuf.Struct`).
    Struct,
    One(&'static Message),
    Many(&'static Kind),
    /// Members of any names.
    Map(&'static Kind),
}

/// A message: its fields in camelCase.
#[derive(Debug)]
pub(super) struct Message(pub(super) &'static [(&'static str, Kind)]);

impl Kind {
    /// Reads a value; its names are in camelCase then, and no null is left.
    pub(super) fn read(&self, value: &Value, path: &str) -> Result<Value, Fault> {
        let wrong = |kind: &str| Err(Fault::value(path, kind, value));
        match self {
            Self::Text if !value.is_string() => wrong("TYPE_STRING"),
            Self::Bool if !value.is_boolean() => wrong("TYPE_BOOL"),
            Self::Number if !value.is_number() => wrong("TYPE_FLOAT"),
            Self::Int => match (value.as_i64(), value.as_str()) {
                (Some(number), _) => Ok(number.into()),
                (None, Some(text)) if text.parse::<i64>().is_ok() => {
                    Ok(text.parse::<i64>().unwrap_or_default().into())
                }
                _ => wrong("TYPE_INT32"),
            },
            Self::Enum(names) if !value.as_str().is_some_and(|name| names.contains(&name)) => {
                wrong("TYPE_ENUM")
            }
            Self::Bytes => match value.as_str() {
                Some(text) if bytes(text).is_some() => Ok(value.clone()),
                Some(_) => Err(Fault::invalid(format!(
                    "Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {value}"
                ))),
                None => wrong("TYPE_BYTES"),
            },
            Self::Struct if !value.is_object() => {
                wrong("type.googleapis.com/google.protobuf.Struct")
            }
            Self::One(message) => message.read(value, path),
            Self::Many(kind) => match value {
                Value::Array(items) => items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| kind.read(item, &format!("{path}[{at}]")))
                    .collect(),
                _ => wrong("repeated"),
            },
            Self::Map(kind) => match value {
                Value::Object(members) => members
                    .iter()
                    .map(|(name, value)| {
                        let path = format!("{path}[{name}]");
                        Ok((name.clone(), kind.read(value, &path)?))
                    })
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::Object),
                _ => wrong("map"),
            },
            _ => Ok(value.clone()),
        }
    }
}

impl Message {
    fn read(&self, value: &Value, path: &str) -> Result<Value, Fault> {
        let Value::Object(members) = value else {
            return Err(Fault::value(path, "message", value));
        };
        let mut read = Map::new();
        for (name, value) in members {
            let snake = |known: &str| snake(known) == *name;
            let field = self.0.iter().find(|(known, _)| known == name || snake(known));
            let Some((known, kind)) = field else { return Err(Fault::unknown(name, path)) };
            if value.is_null() {
                continue;
            }
            let path = join(path, &self::snake(known));
            if read.insert((*known).to_owned(), kind.read(value, &path)?).is_some() {
                return Err(Fault::invalid(format!("Invalid value at '{path}': given twice")));
            }
        }
        Ok(Value::Object(read))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// `inlineData` as `inline_data`.
fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}

/// Decodes base64 of either alphabet, with its padding or without.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url = text.contains(['-', '_']);
    let letters = if url { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&letters, lenient).decode(text).ok()
}
