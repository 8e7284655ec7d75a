//! Typed reading: every reader gives a value, or collects what is wrong and gives nothing.
//!
//! One rule for all numbers and booleans: text that reads as one (in quotes, or out of the
//! environment, where there is nothing but text) is one. Text is never made of anything else:
//! `model_name: 1.10` is an error that asks for quotes, not the model `1.1`.

use std::borrow::Cow;
use std::env::VarError;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::Secret;
use super::env::Environment;
use super::node::{Entry, Key, Kind, Node, join};
use super::problem::{Problem, ProblemKind, Problems};
use super::quantity;
use super::scalar::{self, Plain};

/// A node and the path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

/// Reads nodes; holds what they refer to and what is wrong with them.
pub(super) struct Reader<'e> {
    env: &'e dyn Environment,
    pub(super) problems: Problems,
}

/// A scalar with its references followed.
enum Scalar<'n> {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'n, str>, Origin<'n>),
    /// No scalar, or nothing.
    Other,
}

#[derive(Clone, Copy)]
enum Origin<'n> {
    File,
    Environment(&'n str),
}

// === impl Reader ===

impl<'e> Reader<'e> {
    pub(super) fn new(env: &'e dyn Environment, problems: Problems) -> Self {
        Self { env, problems }
    }

    pub(super) fn error(&mut self, at: &At<'_>, message: impl Into<String>) {
        let problem = Problem::new(ProblemKind::Value, at.node.place(), at.path.clone(), message);
        self.problems.error(problem);
    }

    pub(super) fn boolean(&mut self, at: &At<'_>) -> Option<bool> {
        let scalar = self.scalar(at)?;
        match scalar.meaning() {
            Plain::Bool(value) => Some(value),
            _ => self.expected(at, "a boolean", &scalar),
        }
    }

    /// A whole number that is not below zero.
    pub(super) fn count(&mut self, at: &At<'_>) -> Option<u64> {
        self.whole(at, 0..=i128::from(u64::MAX), "an integer, 0 or above")
    }

    /// A whole number above zero.
    pub(super) fn positive_count(&mut self, at: &At<'_>) -> Option<NonZeroU32> {
        let number = self.whole(at, 1..=i128::from(u32::MAX), "an integer above 0")?;
        NonZeroU32::new(number)
    }

    /// A whole number within bounds, which `what` names.
    pub(super) fn whole<T: TryFrom<i128>>(
        &mut self,
        at: &At<'_>,
        bounds: std::ops::RangeInclusive<i128>,
        what: &str,
    ) -> Option<T> {
        let scalar = self.scalar(at)?;
        let value = match scalar.meaning() {
            Plain::Integer(value) => Some(value),
            Plain::Float(value) => whole_float(value),
            _ => return self.expected(at, what, &scalar),
        };
        match value {
            Some(value) if bounds.contains(&value) => T::try_from(value).ok(),
            Some(_) => {
                self.error(at, format!("expected {what}, found one out of range"));
                None
            }
            None => self.expected(at, what, &scalar),
        }
    }

    /// A finite number that is not below zero.
    pub(super) fn amount(&mut self, at: &At<'_>) -> Option<f64> {
        let scalar = self.scalar(at)?;
        match scalar.number() {
            Some(value) if value.is_finite() && value >= 0.0 => Some(value),
            Some(_) => {
                self.error(at, "expected a number, 0 or above, found one out of range");
                None
            }
            None => self.expected(at, "a number", &scalar),
        }
    }

    /// A number of seconds, above zero: what LiteLLM calls a timeout.
    pub(super) fn seconds(&mut self, at: &At<'_>) -> Option<Duration> {
        let scalar = self.scalar(at)?;
        let Some(number) = scalar.number() else {
            return self.expected(at, "a number of seconds", &scalar);
        };
        self.positive(at, quantity::seconds(number))
    }

    /// A number of seconds, or text with a unit; zero means without waiting.
    pub(super) fn duration(&mut self, at: &At<'_>) -> Option<Duration> {
        let scalar = self.scalar(at)?;
        let duration = match (scalar.number(), &scalar) {
            (Some(number), _) => quantity::seconds(number),
            (None, Scalar::Text(text, _)) if quantity::duration(text).is_some() => {
                quantity::duration(text)
            }
            _ => {
                let what = "a duration (seconds, or text such as 500ms, 2s, 5m, 1h)";
                return self.expected(at, what, &scalar);
            }
        };
        if duration.is_none() {
            self.error(at, "expected a duration from 0 to 365 days, found one out of range");
        }
        duration
    }

    /// A duration above zero.
    pub(super) fn timeout(&mut self, at: &At<'_>) -> Option<Duration> {
        let duration = self.duration(at)?;
        self.positive(at, Some(duration))
    }

    fn positive(&mut self, at: &At<'_>, duration: Option<Duration>) -> Option<Duration> {
        let duration = duration.filter(|duration| !duration.is_zero());
        if duration.is_none() {
            self.error(at, "expected a time above 0 and at most 365 days, found one out of range");
        }
        duration
    }

    /// A number of bytes, or text with a unit; at least `least` bytes.
    pub(super) fn size(&mut self, at: &At<'_>, least: u64) -> Option<u64> {
        let scalar = self.scalar(at)?;
        let size = match (scalar.number(), &scalar) {
            (Some(number), _) => quantity::bytes(number),
            (None, Scalar::Text(text, _)) if quantity::size(text).is_some() => quantity::size(text),
            _ => {
                let what = "a size (bytes, or text such as 64KiB, 10MB)";
                return self.expected(at, what, &scalar);
            }
        };
        let size = size.filter(|size| *size >= least);
        if size.is_none() {
            let message =
                format!("expected a size of at least {least} bytes, found one out of range");
            self.error(at, message);
        }
        size
    }

    /// Text, which may be empty.
    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        match self.scalar(at)? {
            Scalar::Text(text, _) => Some(text.into_owned()),
            other => self.expected(at, "a string", &other),
        }
    }

    /// Text of at least one character.
    pub(super) fn word(&mut self, at: &At<'_>) -> Option<String> {
        let text = self.text(at)?;
        if text.trim().is_empty() {
            self.error(at, "expected a string, found an empty one");
            return None;
        }
        Some(text)
    }

    /// A scalar as the value of an environment variable.
    pub(super) fn variable(&mut self, at: &At<'_>) -> Option<Secret> {
        match (at.node.kind(), self.scalar(at)?) {
            (Kind::Null, _) => None,
            (_, Scalar::Text(text, _)) => Some(Secret::new(text)),
            (_, Scalar::Other) => self.mismatch(at, "a string"),
            _ => Some(Secret::new(at.node.text())),
        }
    }

    /// A password, which may be any text, or a number. Its value is never told.
    pub(super) fn password(&mut self, at: &At<'_>) -> Option<Secret> {
        match self.scalar(at)? {
            Scalar::Text(text, _) if text.is_empty() => None,
            Scalar::Text(text, _) => Some(Secret::new(text)),
            // The text of a number is what its author wrote.
            Scalar::Integer(_) | Scalar::Float(_) => Some(Secret::new(at.node.text())),
            other => self.expected(at, "a string", &other),
        }
    }

    /// What `os.environ/NAME` is looked up in.
    pub(super) fn environment(&self) -> &'e dyn Environment {
        self.env
    }

    /// Whether a variable is not set, or empty.
    pub(super) fn variable_is_empty(&self, name: &str) -> bool {
        match self.env.var(name) {
            Ok(value) => value.is_empty(),
            Err(error) => error == VarError::NotPresent,
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, at: &At<'_>, words: &[(&str, T)]) -> Option<T> {
        if let Scalar::Text(text, _) = self.scalar(at)?
            && let Some((_, value)) = words.iter().find(|(word, _)| *word == text)
        {
            return Some(*value);
        }
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.error(at, format!("expected one of {}", words.join(", ")));
        None
    }

    /// The address of a server.
    pub(super) fn url(&mut self, at: &At<'_>) -> Option<String> {
        let url = self.text(at)?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let whole = |rest: &str| {
            !rest.is_empty()
                && !rest.starts_with(['/', '?', '#'])
                && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if !rest.is_some_and(whole) {
            self.error(at, "expected a URL that begins with https:// or http://");
            return None;
        }
        Some(url)
    }

    /// A credential: visible ASCII, so that it can travel in a header. Its value is never told.
    pub(super) fn secret(&mut self, at: &At<'_>) -> Option<Secret> {
        self.guarded(at, false)
    }

    /// The value of a header: as a credential, but spaces are allowed.
    pub(super) fn header_value(&mut self, at: &At<'_>) -> Option<Secret> {
        self.guarded(at, true)
    }

    fn guarded(&mut self, at: &At<'_>, spaces: bool) -> Option<Secret> {
        let (text, origin) = match self.scalar(at)? {
            Scalar::Text(text, origin) => (text, origin),
            // The text of a number is what its author wrote.
            Scalar::Integer(_) | Scalar::Float(_) if spaces => {
                return Some(Secret::new(at.node.text()));
            }
            other => return self.expected(at, "a string", &other),
        };
        let written_empty = spaces && matches!(origin, Origin::File);
        let fault = if text.is_empty() && !written_empty {
            "is empty"
        } else if let Origin::File = origin
            && (text.starts_with("oidc/") || text.starts_with("secret/"))
        {
            // Sent as it stands it would reach the provider as a key.
            "refers to a secret store, which is not supported yet"
        } else if spaces && !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            "has line breaks or other characters that no header has"
        } else if !spaces && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "has white space or other characters that no credential has"
        } else {
            return Some(Secret::new(text));
        };
        let whose = match origin {
            Origin::File => "the value".to_owned(),
            Origin::Environment(name) => format!("the environment variable `{name}`"),
        };
        self.error(at, format!("{whose} {fault}"));
        None
    }

    /// A sequence of strings.
    pub(super) fn words(&mut self, at: &At<'_>) -> Option<Vec<String>> {
        let items = self.items(at, "a sequence of strings")?;
        items.iter().map(|item| self.word(item)).collect()
    }

    /// The items of a sequence.
    pub(super) fn items<'n>(&mut self, at: &At<'n>, what: &str) -> Option<Vec<At<'n>>> {
        match at.node.kind() {
            Kind::Sequence(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| At { node, path: format!("{}[{index}]", at.path) })
                    .collect(),
            ),
            _ => self.mismatch(at, what),
        }
    }

    /// The entries of a mapping.
    pub(super) fn entries<'n>(
        &mut self,
        at: &At<'n>,
        what: &str,
    ) -> Option<Vec<(&'n Key, At<'n>)>> {
        match at.node.kind() {
            Kind::Mapping(entries) => {
                let under = |entry: &'n Entry| {
                    let path = join(&at.path, &entry.key.text);
                    (&entry.key, At { node: &entry.value, path })
                };
                Some(entries.iter().map(under).collect())
            }
            _ => self.mismatch(at, what),
        }
    }

    /// Anything, as JSON, with its references followed.
    pub(super) fn json(&mut self, at: &At<'_>) -> Option<Value> {
        match at.node.kind() {
            Kind::Null => Some(Value::Null),
            Kind::Sequence(_) => {
                let items = self.items(at, "a sequence")?;
                // Read to the end, so that every problem is found.
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                items.into_iter().collect::<Option<_>>().map(Value::Array)
            }
            Kind::Mapping(_) => {
                let entries = self.entries(at, "a mapping")?;
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| Some((key.text.to_string(), self.json(value)?)))
                    .collect();
                entries.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            _ => match self.scalar(at)? {
                Scalar::Text(text, _) => Some(Value::String(text.into_owned())),
                scalar => self.json_scalar(at, scalar.meaning()),
            },
        }
    }

    /// A number as JSON.
    pub(super) fn json_number(&mut self, at: &At<'_>, whole: bool) -> Option<Value> {
        let scalar = self.scalar(at)?;
        let meaning = match scalar.meaning() {
            Plain::Float(value) if whole => whole_float(value).map(Plain::Integer),
            meaning @ (Plain::Integer(_) | Plain::Float(_)) => Some(meaning),
            _ => None,
        };
        match meaning {
            Some(meaning) => self.json_scalar(at, meaning),
            None => self.expected(at, if whole { "an integer" } else { "a number" }, &scalar),
        }
    }

    fn json_scalar(&mut self, at: &At<'_>, meaning: Plain) -> Option<Value> {
        let value = match meaning {
            Plain::Null | Plain::Text => return Some(Value::Null),
            Plain::Bool(value) => return Some(Value::Bool(value)),
            Plain::Integer(value) => Number::from_i128(value),
            Plain::Float(value) => Number::from_f64(value),
        };
        if value.is_none() {
            self.error(at, "expected a number that JSON can hold, found one out of range");
        }
        value.map(Value::Number)
    }

    /// A scalar with its reference followed; nothing when that fails, which is then told.
    fn scalar<'n>(&mut self, at: &At<'n>) -> Option<Scalar<'n>> {
        Some(match at.node.kind() {
            Kind::Null | Kind::Sequence(_) | Kind::Mapping(_) => Scalar::Other,
            Kind::Bool(value) => Scalar::Bool(*value),
            Kind::Integer(value) => Scalar::Integer(*value),
            Kind::Float(value) => Scalar::Float(*value),
            Kind::Text => {
                let text = at.node.text();
                let Some(name) = text.strip_prefix("os.environ/") else {
                    return Some(Scalar::Text(Cow::Borrowed(text), Origin::File));
                };
                let fault = match self.env.var(name) {
                    Ok(value) => {
                        return Some(Scalar::Text(Cow::Owned(value), Origin::Environment(name)));
                    }
                    // Somebody may have put the key itself where its variable's name belongs.
                    Err(_) if !is_variable(name) => {
                        "`os.environ/` must be followed by the name of a variable".to_owned()
                    }
                    Err(VarError::NotPresent) => {
                        format!("the environment variable `{name}` is not set")
                    }
                    Err(VarError::NotUnicode(_)) => {
                        format!("the environment variable `{name}` is not valid UTF-8")
                    }
                };
                let place = at.node.place();
                self.problems.error(Problem::new(
                    ProblemKind::Environment,
                    place,
                    at.path.clone(),
                    fault,
                ));
                return None;
            }
        })
    }

    pub(super) fn mismatch<T>(&mut self, at: &At<'_>, what: &str) -> Option<T> {
        self.expected(at, what, &Scalar::Other)
    }

    fn expected<T>(&mut self, at: &At<'_>, what: &str, found: &Scalar<'_>) -> Option<T> {
        let found = match found {
            Scalar::Text(_, Origin::Environment(name)) => {
                format!("other text in the environment variable `{name}`")
            }
            Scalar::Text(text, Origin::File) if text.is_empty() => "an empty string".to_owned(),
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) if what == "a string" => {
                format!("{} (put it in quotes if it is meant as text)", at.node.describe())
            }
            _ => at.node.describe().to_owned(),
        };
        self.error(at, format!("expected {what}, found {found}"));
        None
    }
}

// === impl Scalar ===

impl Scalar<'_> {
    fn meaning(&self) -> Plain {
        match self {
            Self::Bool(value) => Plain::Bool(*value),
            Self::Integer(value) => Plain::Integer(*value),
            Self::Float(value) => Plain::Float(*value),
            Self::Text(text, _) => scalar::resolve(text.trim()),
            Self::Other => Plain::Null,
        }
    }

    fn number(&self) -> Option<f64> {
        match self.meaning() {
            #[expect(clippy::cast_precision_loss, reason = "asked for as a float")]
            Plain::Integer(value) => Some(value as f64),
            Plain::Float(value) => Some(value),
            Plain::Null | Plain::Bool(_) | Plain::Text => None,
        }
    }
}

/// `100.0` as an integer; YAML written by programs has such.
fn whole_float(value: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "exact below 2^53")]
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i128)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
