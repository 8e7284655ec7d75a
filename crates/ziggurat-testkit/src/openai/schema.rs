//! The subset of JSON Schema that `strict` takes.

use serde_json::Value;

use crate::schema::{is_type, requires, visit};

const COMPOSITION: [&str; 9] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
];
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// Checks a schema that need not be strict: what the vendor says is wrong with it.
pub(super) fn loose(schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        let given = schema["type"].as_str().unwrap_or("None");
        return Err(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{given}\"'."
        ));
    }
    if let Some(keyword) =
        ["oneOf", "anyOf", "allOf", "enum", "not"].iter().find(|key| schema.get(*key).is_some())
    {
        return Err(format!(
            "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at \
             the top level, but has '{keyword}'."
        ));
    }
    if schema.get("properties").is_none() {
        return Err("In context=(), object schema missing properties.".to_owned());
    }
    visit(schema, &mut |schema, path| {
        if is_type(schema, "array") && !schema.contains_key("items") {
            return Err(format!("{}array schema missing items.", context(path)));
        }
        Ok(())
    })
}

/// Checks a schema in strict mode.
pub(super) fn strict(schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        let given = schema["type"].as_str().unwrap_or("None");
        return Err(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{given}\"'."
        ));
    }
    if schema.get("anyOf").is_some() {
        return Err("In context=(), 'anyOf' is not permitted at the root.".to_owned());
    }
    visit(schema, &mut |schema, path| {
        let at = context(path);
        if let Some(keyword) = COMPOSITION.iter().find(|keyword| schema.contains_key(**keyword)) {
            return Err(format!("{at}'{keyword}' is not permitted."));
        }
        if schema.contains_key("default") {
            return Err(format!("{at}'default' is not permitted."));
        }
        if !["type", "$ref", "anyOf", "enum", "const"].iter().any(|key| schema.contains_key(*key)) {
            return Err(format!("{at}schema must have a 'type' key."));
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && !FORMATS.contains(&format)
        {
            return Err(format!("{at}'{format}' is not a valid format."));
        }
        if is_type(schema, "array") && !schema.contains_key("items") {
            return Err(format!("{at}array schema missing items."));
        }
        if !is_type(schema, "object") && !schema.contains_key("properties") {
            return Ok(());
        }
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(format!(
                "{at}'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        if let Some((name, _)) =
            properties.into_iter().flatten().find(|(name, _)| !requires(schema, name))
        {
            return Err(format!(
                "{at}'required' is required to be supplied and to be an array including every \
                 key in properties. Missing '{name}'."
            ));
        }
        Ok(())
    })
}

/// The place in a schema, as a Python tuple.
fn context(path: &[String]) -> String {
    let quoted: Vec<_> = path.iter().map(|step| format!("'{step}'")).collect();
    let comma = if quoted.len() == 1 { "," } else { "" };
    format!("In context=({}{comma}), ", quoted.join(", "))
}
