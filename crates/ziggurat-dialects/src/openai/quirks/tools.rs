//! Tools as a provider takes them.

use serde_json::value::RawValue;
use ziggurat_core::{Error, Losses, Payload, RawJson, Severity, Str};

use super::params::present;
use super::{Quirks, told};
use crate::Names;
use crate::json::{self, Array, At, Fields, Object};

/// Members of schemas that older servers refuse.
const NEWER: [&str; 4] = ["$id", "$schema", "additionalProperties", "strict"];

impl Quirks {
    pub(super) fn tools(
        &self,
        payload: &mut Payload,
        names: Names,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        if let Some(choice) = present(payload, "tool_choice") {
            self.choice(payload, &choice, names, losses)?;
        }
        if !(self.no_strict || self.plain_schemas) {
            return Ok(());
        }
        let Some(tools) = present(payload, "tools") else { return Ok(()) };
        let at = At::root("tools");
        let list: Vec<&RawValue> = json::read(&tools, at, "a list of tools")?;
        let mut out = Vec::with_capacity(tools.len());
        let mut array = Array::begin(&mut out);
        for (index, raw) in list.into_iter().enumerate() {
            let fields: Fields<'_> = json::read(raw.get(), at.index(index), "an object")?;
            let mut tool = array.object();
            for (name, value) in fields.iter() {
                match name == "function" {
                    true => self.function(value, at.index(index), tool.member_named(name))?,
                    false => tool.raw_named(name, value),
                }
            }
            tool.end();
        }
        array.end();
        if let Some(rewritten) = json::raw_json(out) {
            payload.set("tools", rewritten);
        }
        Ok(())
    }

    fn choice(
        &self,
        payload: &mut Payload,
        choice: &str,
        names: Names,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let plain = choice.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
        if self.tool_choice_any && plain == Some("required") {
            payload.set("tool_choice", RawJson::string("any"));
            return Ok(());
        }
        let word = plain.unwrap_or("function");
        if self.tool_choices.is_empty() || self.tool_choices.iter().any(|taken| taken == word) {
            return Ok(());
        }
        // Who wants no call at all gets none by having no tools.
        if word == "none" {
            losses.emulate(told(names, "tool_choice"), "the tools are left out");
            payload.remove("tool_choice");
            payload.remove("tools");
            return Ok(());
        }
        let severity = match word {
            "auto" => Severity::Harmless,
            _ => Severity::Doubtful,
        };
        let reason = "the model can be asked, but not forced";
        losses.drop(severity, told(names, "tool_choice"), reason)?;
        payload.remove("tool_choice");
        Ok(())
    }

    fn function(&self, function: &str, at: At<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let fields: Fields<'_> = json::read(function, at.name("function"), "an object")?;
        let mut object = Object::begin(out);
        for (name, value) in fields.iter().filter(|(name, _)| *name != "strict") {
            match name == "parameters" && self.plain_schemas {
                true => plain(value, object.member_named(name)),
                false => object.raw_named(name, value),
            }
        }
        object.end();
        Ok(())
    }
}

/// A schema without what older servers refuse, however deep it stands. A property that merely has such a name stays.
fn plain(schema: &str, out: &mut Vec<u8>) {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(schema) else {
        out.extend_from_slice(schema.as_bytes());
        return;
    };
    strip(&mut value);
    let text = serde_json::to_string(&value).unwrap_or_else(|_| schema.to_owned());
    out.extend_from_slice(text.as_bytes());
}

fn strip(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(members) => {
            members.retain(|name, _| !NEWER.contains(&name.as_str()));
            for (name, value) in members.iter_mut() {
                match (name.as_str(), value) {
                    // What is in there are names of the caller's.
                    (
                        "properties" | "$defs" | "definitions" | "patternProperties",
                        serde_json::Value::Object(named),
                    ) => named.values_mut().for_each(strip),
                    ("enum" | "const" | "default" | "examples", _) => {}
                    (_, value) => strip(value),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// An id of a tool call as short as it has to be; `None` where it is.
pub(super) fn short_id(raw: &str) -> Option<Str> {
    let id: Str = serde_json::from_str(raw).ok()?;
    Some(crate::tools::mistral_id(&id)).filter(|short| *short != id)
}
