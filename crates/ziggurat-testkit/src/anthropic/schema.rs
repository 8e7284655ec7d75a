//! The subset of JSON Schema that structured output takes.

use serde_json::{Map, Value};

use crate::schema::{is_type, visit};

const UNSUPPORTED: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "not",
    "oneOf",
    "patternProperties",
];
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// Checks that a schema is one: the keywords that everybody uses have the right types.
pub(super) fn valid(schema: &Value) -> Result<(), ()> {
    visit(schema, &mut |schema, _| {
        let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
        let fits =
            |keyword: &str, fits: &dyn Fn(&Value) -> bool| schema.get(keyword).is_none_or(fits);
        let all = |value: &Value, fits: &dyn Fn(&Value) -> bool| {
            value.as_array().is_some_and(|items| items.iter().all(fits))
        };
        let is_schema = |value: &Value| value.is_object() || value.is_boolean();
        let properties = |value: &Value| {
            value.as_object().is_some_and(|properties| properties.values().all(is_schema))
        };
        let ok = fits("type", &|kind| known(kind) || all(kind, &known))
            && fits("properties", &|value| value.is_null() || properties(value))
            && fits("required", &|list| list.is_null() || all(list, &Value::is_string))
            && fits("enum", &Value::is_array)
            && fits("items", &is_schema)
            && fits("anyOf", &|list| all(list, &is_schema));
        if ok { Ok(()) } else { Err(()) }
    })
}

/// Checks that a schema keeps to what can be enforced: what the vendor says is wrong with it.
pub(super) fn strict(schema: &Value) -> Result<(), String> {
    if valid(schema).is_err() {
        return Err("Invalid schema.".to_owned());
    }
    visit(schema, &mut |schema, _| one(schema))?;
    if recurs(schema, schema, &mut Vec::new(), &mut Vec::new()) {
        return Err("Recursive schemas are not supported.".to_owned());
    }
    Ok(())
}

fn one(schema: &Map<String, Value>) -> Result<(), String> {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("any");
    if let Some(keyword) = UNSUPPORTED.iter().find(|keyword| schema.contains_key(**keyword)) {
        return Err(format!("For '{kind}' type, property '{keyword}' is not supported"));
    }
    if schema.get("minItems").and_then(Value::as_u64).is_some_and(|least| least > 1) {
        return Err(
            "For 'array' type, 'minItems' values other than 0 or 1 are not supported".into()
        );
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        return Err(format!("For 'string' type, format '{format}' is not supported"));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && ["(?=", "(?!", "(?<", "\\b", "\\1"].iter().any(|part| pattern.contains(part))
    {
        return Err(format!("For 'string' type, pattern '{pattern}' is not supported"));
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str)
        && !target.starts_with('#')
    {
        return Err(format!("External $ref '{target}' is not supported"));
    }
    if (is_type(schema, "object") || schema.contains_key("properties"))
        && schema.get("additionalProperties") != Some(&Value::Bool(false))
    {
        return Err(
            "For 'object' type, 'additionalProperties' must be explicitly set to false".to_owned()
        );
    }
    Ok(())
}

/// Whether following references from here leads back to one that is being followed.
fn recurs(
    root: &Value,
    schema: &Value,
    following: &mut Vec<String>,
    done: &mut Vec<String>,
) -> bool {
    for target in references(schema) {
        if following.contains(&target) || target == "#" {
            return true;
        }
        let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
        let Some(found) = found.filter(|_| !done.contains(&target)) else { continue };
        following.push(target);
        if recurs(root, found, following, done) {
            return true;
        }
        done.extend(following.pop());
    }
    false
}

/// What a schema refers to; its definitions count where they are referred to.
fn references(schema: &Value) -> Vec<String> {
    let mut targets = Vec::new();
    let Ok(()) = visit::<std::convert::Infallible>(schema, &mut |schema, path| {
        let defines = path.first().is_some_and(|step| step == "$defs" || step == "definitions");
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).filter(|_| !defines) {
            targets.push(target.to_owned());
        }
        Ok(())
    });
    targets
}
