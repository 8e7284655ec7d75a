//! What Gemini refuses in tools and in schemas.

use serde_json::Value;

use super::{error::Fault, models::Model};

/// What `parametersJsonSchema` and `responseJsonSchema` may hold.
const JSON_SCHEMA: [&str; 21] = [
    "$id",
    "$defs",
    "$ref",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "anyOf",
    "oneOf",
    "properties",
    "additionalProperties",
    "required",
    "propertyOrdering",
];

/// Checks tools and what is said of calling them; returns whether there are functions.
pub(super) fn check(body: &Value, model: &Model) -> Result<bool, Fault> {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names = Vec::new();
    let mut built_in = false;
    for (at, tool) in tools.iter().enumerate() {
        let tool = tool.as_object().into_iter().flatten();
        for (kind, value) in tool {
            if kind != "functionDeclarations" {
                built_in = true;
                continue;
            }
            for (index, declared) in value.as_array().into_iter().flatten().enumerate() {
                let path =
                    format!("GenerateContentRequest.tools[{at}].function_declarations[{index}]");
                let name = declaration(declared, &path, model)?;
                if names.contains(&name) {
                    let message = format!("Duplicate function declaration found: {name}");
                    return Err(Fault::invalid(message));
                }
                names.push(name);
            }
        }
    }
    if built_in && !names.is_empty() && !model.signs {
        return Err(Fault::invalid("Tool use with function calling is unsupported"));
    }
    calling(&body["toolConfig"]["functionCallingConfig"], &names)?;
    Ok(!names.is_empty())
}

fn declaration<'a>(declared: &'a Value, path: &str, model: &Model) -> Result<&'a str, Fault> {
    let name = declared["name"].as_str().unwrap_or_default();
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if !begins || name.len() > 128 || !name.bytes().all(rest) {
        let what = "Invalid function name. Must start with a letter or an underscore. Must be \
                    alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes \
                    (-), with a maximum length of 128.";
        return Err(Fault::field(&format!("{path}.name"), what));
    }
    match (declared.get("parameters"), declared.get("parametersJsonSchema")) {
        (Some(_), Some(_)) => {
            let what = "only one of parameters and parameters_json_schema may be set";
            return Err(Fault::field(path, what));
        }
        (Some(parameters), None) => {
            let path = format!("{path}.parameters");
            schema(parameters, &path, model)?;
            if !parameters["type"].as_str().unwrap_or_default().eq_ignore_ascii_case("object") {
                let what = "functionDeclaration parameters schema should be of type OBJECT";
                return Err(Fault::field(&path, what));
            }
        }
        (None, Some(parameters)) => {
            json_schema(parameters, &format!("{path}.parameters_json_schema"))?;
        }
        (None, None) => {}
    }
    Ok(name)
}

fn calling(config: &Value, names: &[&str]) -> Result<(), Fault> {
    let mode = config["mode"].as_str().unwrap_or("AUTO");
    let allowed = config["allowedFunctionNames"].as_array();
    if names.is_empty() && (matches!(mode, "ANY" | "VALIDATED") || allowed.is_some()) {
        return Err(Fault::invalid(
            "Function calling config is set without function_declarations.",
        ));
    }
    if allowed.is_some() && !matches!(mode, "ANY" | "VALIDATED") {
        return Err(Fault::invalid(
            "Allowed function names can only be set when the function calling mode is ANY or \
             VALIDATED.",
        ));
    }
    let unknown = allowed
        .into_iter()
        .flatten()
        .find(|it| !names.iter().any(|name| it.as_str() == Some(name)));
    match unknown {
        Some(name) => Err(Fault::invalid(format!(
            "allowed_function_names contains {name}, which is not declared."
        ))),
        None => Ok(()),
    }
}

/// Checks a schema of the subset of OpenAPI.
pub(super) fn schema(schema: &Value, path: &str, model: &Model) -> Result<(), Fault> {
    let kind = schema["type"].as_str().unwrap_or_default().to_ascii_uppercase();
    let properties = schema["properties"].as_object();
    match kind.as_str() {
        "OBJECT" if !model.signs && properties.is_none_or(serde_json::Map::is_empty) => {
            let what = "should be non-empty for OBJECT type";
            return Err(Fault::field(&format!("{path}.properties"), what));
        }
        "ARRAY" if schema.get("items").is_none() => {
            return Err(Fault::field(&format!("{path}.items"), "missing field."));
        }
        "STRING" => {
            if let Some(format) = schema["format"].as_str()
                && !["enum", "date-time"].contains(&format)
            {
                let what = "only 'enum' and 'date-time' are supported for STRING type";
                return Err(Fault::field(&format!("{path}.format"), what));
            }
        }
        "" if schema.get("anyOf").is_none() => {
            return Err(Fault::field(&format!("{path}.type"), "must be specified"));
        }
        _ => {}
    }
    if !matches!(kind.as_str(), "STRING" | "") && schema.get("enum").is_some() {
        return Err(Fault::field(&format!("{path}.enum"), "only allowed for STRING type"));
    }
    for (at, name) in schema["required"].as_array().into_iter().flatten().enumerate() {
        let known =
            name.as_str().is_some_and(|name| properties.is_some_and(|it| it.contains_key(name)));
        if !known {
            return Err(Fault::field(&format!("{path}.required[{at}]"), "property is not defined"));
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        self::schema(property, &format!("{path}.properties[{name}]"), model)?;
    }
    for (at, any) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        self::schema(any, &format!("{path}.any_of[{at}]"), model)?;
    }
    schema.get("items").map_or(Ok(()), |it| self::schema(it, &format!("{path}.items"), model))
}

/// Checks a schema of the subset of JSON Schema.
pub(super) fn json_schema(schema: &Value, path: &str) -> Result<(), Fault> {
    let members = match schema {
        Value::Object(members) => members,
        Value::Bool(_) => return Ok(()),
        _ => return Err(Fault::field(path, "must be a JSON Schema")),
    };
    for (name, value) in members {
        let path = format!("{path}.{name}");
        if !JSON_SCHEMA.contains(&name.as_str()) {
            return Err(Fault::field(&path, "keyword is not supported"));
        }
        if members.contains_key("$ref") && !name.starts_with('$') {
            return Err(Fault::field(&path, "may not stand beside $ref"));
        }
        let inner: Vec<_> = match (name.as_str(), value) {
            ("properties" | "$defs", Value::Object(members)) => members.values().collect(),
            ("anyOf" | "oneOf" | "prefixItems", Value::Array(items)) => items.iter().collect(),
            ("items" | "additionalProperties", _) => vec![value],
            ("properties" | "$defs" | "anyOf" | "oneOf" | "prefixItems", _) => {
                return Err(Fault::field(&path, "has a value of another type"));
            }
            _ => Vec::new(),
        };
        inner.into_iter().try_for_each(|inner| json_schema(inner, &path))?;
    }
    Ok(())
}
