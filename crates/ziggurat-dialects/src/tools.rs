//! Names of tools and of tool calls, fitted to what a dialect allows.
//!
//! What fits is sent unchanged. Everything else is derived from the original alone, so that a call and its result, in this
//! request or a later one, get the same name without a table that outlives the request.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use ziggurat_core::{
    Answer, ChatReply, Content, Error, ErrorKind, Origin, Restore, Str, ToolCallKind,
};

use crate::json::{self, Fields, Object};

/// What a dialect allows in a name.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The most characters.
    pub max: usize,
    /// Which characters, all of them ASCII.
    pub allows: fn(u8) -> bool,
    /// Which of them may be the first.
    pub begins: fn(u8) -> bool,
}

/// How a failed tool's answer begins where a dialect has no other way to say it.
pub(crate) const FAILED: &str = "Error: ";

/// Letters, digits, `_` and `-`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_ascii(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// Letters, digits, `_`, `-`, `.` and `:`.
fn is_plain_or_dotted(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'.' | b':')
}

fn is_any(_: u8) -> bool {
    true
}

fn is_gemini(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'.' | b':')
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Names where a dialect sets no rule.
pub const ANY_NAMES: Rule = Rule { max: 256, allows: is_ascii, begins: is_any };
/// Names of OpenAI's tools.
pub const OPENAI_NAMES: Rule = Rule { max: 64, allows: is_plain, begins: is_any };
/// Ids of OpenAI's tool calls: anything, but not longer than 40 characters (`string_above_max_length`).
pub const OPENAI_IDS: Rule = Rule { max: 40, allows: is_any, begins: is_any };
/// Names of tools of Bedrock's Converse.
pub const CONVERSE_NAMES: Rule = Rule { max: 64, allows: is_plain, begins: is_any };
/// Ids of tool calls of Bedrock's Converse.
pub const CONVERSE_IDS: Rule = Rule { max: 64, allows: is_plain_or_dotted, begins: is_any };
/// Names of the tools of OpenAI Responses.
pub const RESPONSES_NAMES: Rule = Rule { max: 128, allows: is_plain, begins: is_any };
/// Ids of the tool calls of OpenAI Responses.
pub const RESPONSES_IDS: Rule = Rule { max: 64, allows: is_any, begins: is_any };
/// Names of Anthropic's tools.
pub const ANTHROPIC_NAMES: Rule = Rule { max: 128, allows: is_plain, begins: is_any };
/// Ids of Anthropic's tool calls. Their length has no documented limit.
pub const ANTHROPIC_IDS: Rule = Rule { max: 256, allows: is_plain, begins: is_any };
/// Names of Gemini's tools.
pub const GEMINI_NAMES: Rule = Rule { max: 64, allows: is_gemini, begins: is_letter };

impl Rule {
    /// Whether `name` may be sent as it is.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        name.bytes().next().is_some_and(self.begins)
            && name.chars().count() <= self.max
            && name.bytes().all(|byte| (self.allows)(byte))
    }

    /// The id to send for `id`: itself where it fits, else one derived from it.
    #[must_use]
    pub fn fit_id(&self, id: &Str) -> Str {
        if self.takes(id) { id.clone() } else { made_id(&[id]) }
    }

    /// The name to send for `name`: itself where it fits, else made of what is allowed of it and a hash.
    fn fit_name(&self, name: &Str) -> Str {
        if self.takes(name) {
            return name.clone();
        }
        let allowed =
            |c: char| u8::try_from(c).is_ok_and(|byte| byte.is_ascii() && (self.allows)(byte));
        let kept = self.max.saturating_sub(9);
        let begins = name.bytes().next().is_some_and(self.begins);
        let first = if begins { "" } else { "_" }.chars();
        let name_allowed = name.chars().map(|c| if allowed(c) { c } else { '_' });
        let mut fitted: String = first.chain(name_allowed).take(kept).collect();
        fitted.push_str(&format!("_{:08x}", hash(name.as_bytes(), FIRST) >> 32));
        fitted.into()
    }
}

/// An id made of these texts: the same for the same texts, and as good as unique. It fits every dialect's rule.
#[must_use]
pub fn made_id(of: &[&str]) -> Str {
    let [mut first, mut second] = [FIRST, SECOND];
    for text in of {
        // A separator that is no UTF-8, so that ("a", "b") is not ("ab", "").
        first = hash(b"\xff", hash(text.as_bytes(), first));
        second = hash(b"\xff", hash(text.as_bytes(), second));
    }
    Str::from(format!("call_{first:016x}{second:016x}"))
}

/// The id to send to a model of Mistral's: itself where it is nine letters or digits, else nine made of it.
#[must_use]
pub fn mistral_id(id: &Str) -> Str {
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.clone();
    }
    // 62^9 is less than 2^64, so that every digit depends on all of the hash's bits but the few highest.
    let mut left = hash(id.as_bytes(), FIRST);
    let mut digit = || {
        let digit = DIGITS[usize::try_from(left % 62).unwrap_or(0)];
        left /= 62;
        char::from(digit)
    };
    (0..9).map(|_| digit()).collect::<String>().into()
}

const FIRST: u64 = 0xcbf2_9ce4_8422_2325;
const SECOND: u64 = 0x6c62_272e_07bb_0142;

/// FNV-1a: stable over versions and platforms. Nobody gains by a collision but trouble with their own request.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    bytes
        .iter()
        .fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The names of one request's tools, as the caller has them and as they are sent.
#[derive(Debug)]
pub struct ToolNames {
    rule: Rule,
    /// Name sent, caller's name; only those that differ.
    changed: Vec<(Str, Str)>,
    /// Where each of these stands: a request can name many tools.
    places: BTreeMap<Str, usize>,
}

impl ToolNames {
    /// No names yet, under this rule.
    #[must_use]
    pub fn under(rule: Rule) -> Self {
        Self { rule, changed: Vec::new(), places: BTreeMap::new() }
    }

    /// The name to send for `name`.
    ///
    /// # Errors
    ///
    /// When two names of the caller's would be sent as one.
    pub fn fit(&mut self, name: &Str) -> Result<Str, Error> {
        let known = self.places.get(name).map(|place| &self.changed[*place]);
        match known {
            Some((sent, original)) if original == name => return Ok(sent.clone()),
            Some((_, original)) => {
                let message =
                    format!("the tool names `{name}` and `{original}` cannot be told apart");
                return Err(Error::invalid(message).with_param("tools"));
            }
            None => {}
        }
        let sent = self.rule.fit_name(name);
        if sent != *name {
            let place = self.changed.len();
            self.places.insert(sent.clone(), place);
            self.places.insert(name.clone(), place);
            self.changed.push((sent.clone(), name.clone()));
        }
        Ok(sent)
    }

    /// The names that were changed: as sent, and as the caller has them.
    #[must_use]
    pub fn into_changed(self) -> Vec<(Str, Str)> {
        self.changed
    }
}

/// Writes arguments as an object, which they mostly are: then as they stand. Those of a tool that takes free text become the
/// member `input` of one.
pub(crate) fn write_input(arguments: &Str, free_text: bool, out: &mut Vec<u8>) {
    if free_text {
        let mut object = Object::begin(out);
        object.text("input", arguments);
        object.end();
        return;
    }
    if arguments.trim().is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    match serde_json::from_str::<&RawValue>(arguments) {
        Ok(raw) if raw.get().starts_with('{') => out.extend_from_slice(raw.get().as_bytes()),
        Ok(raw) => {
            let mut object = Object::begin(out);
            object.raw("value", raw.get());
            object.end();
        }
        Err(_) => {
            let mut object = Object::begin(out);
            object.text("_raw", arguments);
            object.end();
        }
    }
}

/// A whole answer, unless it calls what nobody can run: a tool that is not named.
///
/// # Errors
///
/// When a call has no name.
pub(crate) fn runnable(reply: ChatReply) -> Result<Answer, Error> {
    let nameless = reply
        .choices
        .iter()
        .flat_map(|choice| &choice.parts)
        .any(|part| matches!(&part.content, Content::ToolCall { name, .. } if name.is_empty()));
    if nameless {
        let message = "the provider's answer is malformed: a tool call has no name";
        return Err(Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider));
    }
    Ok(Answer::Chat(Box::new(reply)))
}

/// Arguments of a tool that takes free text, as an object.
pub(crate) fn free_arguments(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut object = Object::begin(&mut out);
    object.text("input", text);
    object.end();
    String::from_utf8(out).unwrap_or_default()
}

/// The text that a tool was called with which takes free text.
pub(crate) fn free_text(arguments: &Str) -> Str {
    let fields = serde_json::from_str::<Fields<'_>>(arguments);
    let input = fields.ok().and_then(|mut fields| fields.take("input"));
    input.and_then(|input| json::shared_text(input, arguments)).unwrap_or_else(|| arguments.clone())
}

/// A call as its caller knows it: name, arguments and kind. What was changed in the request for the provider's sake is undone.
pub(crate) fn undo(name: Str, arguments: Str, restore: &Restore) -> (Str, Str, ToolCallKind) {
    let (arguments, kind) = match restore.is_custom(&name) {
        true => (free_text(&arguments), ToolCallKind::Custom),
        false => (arguments, ToolCallKind::Function),
    };
    (restore.tool_name(&name).unwrap_or(name), arguments, kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_sent_unchanged() {
        let mut names = ToolNames::under(OPENAI_NAMES);
        assert_eq!(names.fit(&Str::from("get_weather")).unwrap(), "get_weather");
        assert!(names.into_changed().is_empty());
        let id = Str::from("toolu_01-x");
        assert_eq!(OPENAI_IDS.fit_id(&id), id);
        assert_eq!(ANTHROPIC_IDS.fit_id(&id), id);
    }

    #[test]
    fn a_long_id_is_the_same_for_call_and_result() {
        let id = Str::from("x".repeat(41));
        let fitted = OPENAI_IDS.fit_id(&id);
        assert!(fitted.len() <= 40);
        assert_eq!(OPENAI_IDS.fit_id(&id), fitted);
        assert_ne!(OPENAI_IDS.fit_id(&Str::from("x".repeat(42))), fitted);
        assert!(ANTHROPIC_IDS.takes(&ANTHROPIC_IDS.fit_id(&Str::from("fc:1"))));
    }

    /// MAPPING 20 and 32: ids of other providers differ in their beginnings, and hold what Mistral refuses.
    #[test]
    fn mistrals_ids_are_stable_short_and_distinct() {
        let short = |id: &str| mistral_id(&Str::from(id));
        assert_eq!(short("abcDEF123"), "abcDEF123");
        for id in ["call_aaaaaaaa1", "call_aaaaaaaa2", "tooluse_a-_b", "", "abc_ef123"] {
            let made = short(id);
            assert_eq!((made.len(), &made), (9, &short(id)));
            assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{made}");
        }
        assert_ne!(short("call_aaaaaaaa1"), short("call_aaaaaaaa2"));
    }

    #[test]
    fn names_that_look_alike_stay_apart() {
        let mut names = ToolNames::under(OPENAI_NAMES);
        let [dot, colon] = ["files.read", "files:read"].map(Str::from);
        let sent = names.fit(&dot).unwrap();
        assert_eq!(names.fit(&dot).unwrap(), sent);
        assert_ne!(names.fit(&colon).unwrap(), sent);
        assert!(sent.starts_with("files_read_"), "{sent}");
        // A caller who uses the very name that was made is refused.
        assert!(names.fit(&sent).is_err());
        assert_eq!(names.into_changed().len(), 2);
    }

    #[test]
    fn a_name_begins_as_its_dialect_wants() {
        let mut names = ToolNames::under(GEMINI_NAMES);
        assert_eq!(names.fit(&Str::from("files.read:all")).unwrap(), "files.read:all");
        assert!(names.fit(&Str::from("3d")).unwrap().starts_with("_3d_"));
    }

    #[test]
    fn texts_in_an_id_do_not_run_together() {
        assert_ne!(made_id(&["a", "b"]), made_id(&["ab", ""]));
        assert_eq!(made_id(&["a", "b"]), made_id(&["a", "b"]));
    }

    proptest! {
        #[test]
        fn whatever_is_fitted_fits(name in ".{0,150}") {
            let name = Str::from(name);
            for rule in [OPENAI_NAMES, ANTHROPIC_NAMES, GEMINI_NAMES] {
                let sent = ToolNames::under(rule).fit(&name).unwrap();
                prop_assert!(rule.takes(&sent), "{sent}");
            }
            for rule in [OPENAI_IDS, ANTHROPIC_IDS] {
                prop_assert!(rule.takes(&rule.fit_id(&name)));
            }
        }
    }
}
