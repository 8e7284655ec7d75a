//! JSON Schema, in two directions: instances that conform, and the subsets that vendors take.

use serde_json::{Map, Value, json};

use crate::steer::Marks;

/// Past this depth an instance takes every way out that the schema leaves: null, empty, absent.
const DEEP: usize = 6;
/// Past this depth it ends, whatever the schema says.
const DEEPEST: usize = 32;

/// A value that conforms to the schema; `key=value` among the marks sets a property.
pub(crate) fn instance(schema: &Value, marks: &Marks<'_>) -> Value {
    Maker { root: schema, marks }.make(schema, "text", 0)
}

struct Maker<'a> {
    root: &'a Value,
    marks: &'a Marks<'a>,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(schema) = schema.as_object() else { return json!(name) };
        if depth > DEEPEST {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return found.map_or(Value::Null, |found| self.make(found, name, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.pick(values, name);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(keyword).and_then(Value::as_array) {
                let null = options.iter().find(|option| option["type"] == "null");
                let option = null.filter(|_| depth > DEEP).or(options.first());
                return option.map_or(Value::Null, |option| self.make(option, name, depth + 1));
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all_of(schema, parts, name, depth);
        }
        match kind(schema, depth) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => self.integer(schema, name),
            "number" => self.number(schema, name),
            "boolean" => json!(self.marks.setting(name) != Some("false")),
            "null" => Value::Null,
            _ => self.string(schema, name),
        }
    }

    /// The value that the marks name, else the first.
    fn pick(&self, values: &[Value], name: &str) -> Value {
        let wanted = self.marks.setting(name);
        let named =
            values.iter().find(|value| value.as_str().is_some() && value.as_str() == wanted);
        named.or(values.first()).cloned().unwrap_or_default()
    }

    fn all_of(
        &self,
        schema: &Map<String, Value>,
        parts: &[Value],
        name: &str,
        depth: usize,
    ) -> Value {
        let mut rest = schema.clone();
        rest.remove("allOf");
        let mut merged = Map::new();
        let mut scalar = None;
        let rest = Value::Object(rest);
        let own = rest.get("properties").is_some().then_some(&rest);
        for part in parts.iter().chain(own) {
            match self.make(part, name, depth + 1) {
                Value::Object(members) => merged.extend(members),
                other => scalar = Some(other),
            }
        }
        scalar.filter(|_| merged.is_empty()).unwrap_or(Value::Object(merged))
    }

    fn object(&self, schema: &Map<String, Value>, depth: usize) -> Value {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let members = properties
            .iter()
            .filter(|(name, _)| depth <= DEEP || requires(schema, name))
            .map(|(name, property)| (name.clone(), self.make(property, name, depth + 1)));
        Value::Object(members.collect())
    }

    fn array(&self, schema: &Map<String, Value>, name: &str, depth: usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let count = if depth > DEEP { least } else { least.max(1) };
        let any = json!({});
        let items = schema.get("items").unwrap_or(&any);
        (0..count).map(|_| self.make(items, name, depth + 1)).collect()
    }

    fn integer(&self, schema: &Map<String, Value>, name: &str) -> Value {
        let set = self.marks.setting(name).and_then(|text| text.parse::<i64>().ok());
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
        let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + 1));
        let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - 1));
        let mut value = set.unwrap_or(1);
        value = least.map_or(value, |least| value.max(least));
        value = most.map_or(value, |most| value.min(most));
        if let Some(step) = bound("multipleOf").filter(|step| *step > 0) {
            value += (step - value.rem_euclid(step)) % step;
        }
        json!(value)
    }

    fn number(&self, schema: &Map<String, Value>, name: &str) -> Value {
        let set = self.marks.setting(name).and_then(|text| text.parse::<f64>().ok());
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        let mut value = set.unwrap_or(1.5);
        if let Some(least) = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + 0.5))
        {
            value = value.max(least);
        }
        if let Some(most) = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - 0.5)) {
            value = value.min(most);
        }
        json!(value)
    }

    fn string(&self, schema: &Map<String, Value>, name: &str) -> Value {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        let example = match format {
            "date-time" => "2026-01-02T03:04:05Z",
            "date" => "2026-01-02",
            "time" => "03:04:05Z",
            "duration" => "PT1S",
            "email" => "someone@example.test",
            "hostname" => "example.test",
            "uri" => "https://example.test/",
            "ipv4" => "192.0.2.1",
            "ipv6" => "2001:db8::1",
            "uuid" => "01234567-89ab-4cde-8f01-23456789abcd",
            _ => name,
        };
        let mut text = self.marks.setting(name).unwrap_or(example).to_owned();
        let bound = |keyword: &str| {
            let bound = schema.get(keyword).and_then(Value::as_u64)?;
            usize::try_from(bound).ok()
        };
        // A megabyte of padding is as good as more.
        let least = bound("minLength").unwrap_or(0).min(1 << 20);
        while text.chars().count() < least {
            text.push('x');
        }
        if let Some(most) = bound("maxLength") {
            text = text.chars().take(most).collect();
        }
        json!(text)
    }
}

/// The type to make: of several the first that is not null, while that leads somewhere.
fn kind(schema: &Map<String, Value>, depth: usize) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            let null = kinds.clone().any(|kind| kind == "null");
            if null && depth > DEEP {
                return "null";
            }
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "string",
    }
}

/// Whether an object's schema requires this property.
pub(crate) fn requires(schema: &Map<String, Value>, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|entry| entry == name))
}

/// Calls `check` with every schema in this one and the path to it.
pub(crate) fn visit<E>(
    schema: &Value,
    check: &mut impl FnMut(&Map<String, Value>, &[String]) -> Result<(), E>,
) -> Result<(), E> {
    walk(schema, &mut Vec::new(), check)
}

fn walk<E>(
    schema: &Value,
    path: &mut Vec<String>,
    check: &mut impl FnMut(&Map<String, Value>, &[String]) -> Result<(), E>,
) -> Result<(), E> {
    // A schema comes from a JSON text, whose depth the parser has bounded.
    let Some(members) = schema.as_object() else { return Ok(()) };
    check(members, path)?;
    for keyword in ["properties", "$defs", "definitions", "patternProperties"] {
        for (name, inner) in members.get(keyword).and_then(Value::as_object).into_iter().flatten() {
            path.extend([keyword.to_owned(), name.clone()]);
            walk(inner, path, check)?;
            path.truncate(path.len() - 2);
        }
    }
    for keyword in ["anyOf", "allOf", "oneOf", "prefixItems"] {
        for (at, inner) in
            members.get(keyword).and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            path.extend([keyword.to_owned(), at.to_string()]);
            walk(inner, path, check)?;
            path.truncate(path.len() - 2);
        }
    }
    for keyword in ["items", "additionalProperties", "not"] {
        if let Some(inner) = members.get(keyword) {
            path.push(keyword.to_owned());
            walk(inner, path, check)?;
            path.pop();
        }
    }
    Ok(())
}

/// Whether a schema's type is, or may be, this.
pub(crate) fn is_type(schema: &Map<String, Value>, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{instance, visit};
    use crate::steer::Marks;

    #[test]
    fn instances_conform() {
        let schema = json!({"type":"object","properties":{
            "a":{"type":"string","minLength":4,"maxLength":6},
            "b":{"type":"integer","minimum":10,"multipleOf":4},
            "c":{"type":["null","number"],"maximum":1.0},
            "d":{"enum":["x","y"]},
            "e":{"type":"array","items":{"$ref":"#/$defs/e"},"minItems":2},
            "f":{"anyOf":[{"type":"boolean"},{"type":"null"}]},
            "g":{"allOf":[{"type":"object","properties":{"h":{"const":7}}}]},
            "i":{"type":"string","format":"date"}},
            "$defs":{"e":{"type":"string"}}});
        let expected = json!({"a":"axxx","b":12,"c":1.0,"d":"y","e":["e","e"],"f":true,
            "g":{"h":7},"i":"2026-01-02"});
        assert_eq!(instance(&schema, &Marks::new("d=y")), expected);
    }

    #[test]
    fn recursion_ends() {
        let schema = json!({"type":"object","properties":{
            "next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"]});
        let expected = json!({"next":{"next":{"next":null}}});
        assert_eq!(instance(&schema, &Marks::new("")), expected);
        assert_eq!(instance(&json!({"$ref":"#"}), &Marks::new("")), json!(null));
    }

    #[test]
    fn a_visit_reaches_every_schema() {
        let schema = json!({"properties":{"a":{"items":{"anyOf":[{"type":"string"}]}}},
            "$defs":{"b":{}}});
        let mut seen = Vec::new();
        visit::<()>(&schema, &mut |_, path| {
            seen.push(path.join("."));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            seen,
            ["", "properties.a", "properties.a.items", "properties.a.items.anyOf.0", "$defs.b"]
        );
    }
}
