//! Google's two schema languages: the part of JSON Schema that its newer models take, and the older one in which clients write,
//! which follows OpenAPI 3.0.

use std::borrow::Cow;

use ziggurat_core::RawJson;

use super::{
    Changes, Converted, MAX_DEPTH, MAX_NODES, Members, Node, Unconvertible, describe,
    merge_variants,
};
use crate::json::Fields;

/// Keywords that are taken as they are.
const TAKEN: [&str; 20] = [
    "$id",
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

/// Keywords that say nothing of what is allowed.
const NOTES: [&str; 7] =
    ["$schema", "$comment", "examples", "example", "deprecated", "readOnly", "writeOnly"];

/// The schema in the part of JSON Schema that Google takes (`responseJsonSchema`, `parametersJsonSchema`). What is not taken is
/// told in descriptions instead.
pub(crate) fn for_google(schema: &RawJson) -> Result<Converted, Unconvertible> {
    let root = Node::parse(schema)?;
    if !matches!(root, Node::Object(_)) {
        return Err(Unconvertible::Malformed);
    }
    let mut subset = Subset { left: MAX_NODES, changes: Changes::new() };
    let converted = subset.schema(root, 0)?;
    converted.into_converted(subset.changes)
}

/// Whether a tool of these parameters takes nothing.
pub(crate) fn takes_nothing(schema: &RawJson) -> bool {
    let Ok(fields) = schema.read::<Fields<'_>>() else { return false };
    let known = ["type", "properties", "additionalProperties", "required", "$schema", "title"];
    let empty = |name| fields.get(name).is_none_or(|raw| matches!(raw, "{}" | "[]" | "false"));
    fields.iter().all(|(name, _)| known.contains(&name))
        && fields.get("type").is_none_or(|kind| kind == "\"object\"")
        && empty("properties")
        && empty("required")
        && empty("additionalProperties")
}

struct Subset {
    left: usize,
    changes: Changes,
}

impl Subset {
    fn schema<'a>(&mut self, node: Node<'a>, depth: usize) -> Result<Node<'a>, Unconvertible> {
        if depth > MAX_DEPTH {
            return Err(Unconvertible::TooDeep);
        }
        self.left = self.left.checked_sub(1).ok_or(Unconvertible::TooLarge)?;
        let Node::Object(mut members) = node else { return Ok(node) };
        if let Some(at) = members.iter().position(|(name, _)| name == "allOf") {
            let (_, variants) = members.remove(at);
            self.all_of(&mut members, variants);
        }
        let mut kept: Members<'a> = Vec::with_capacity(members.len());
        let mut told = Vec::new();
        for (name, value) in members {
            match name.as_ref() {
                "properties" => kept.push((name, self.map(value, depth)?)),
                "$defs" => kept.push((name, self.map(value, depth)?)),
                "definitions" => {
                    self.changed("`definitions` is sent as `$defs`");
                    kept.push((Cow::from("$defs"), self.map(value, depth)?));
                }
                "items" | "additionalProperties" => {
                    kept.push((name, self.schema(value, depth + 1)?));
                }
                "anyOf" | "oneOf" | "prefixItems" => kept.push((name, self.list(value, depth)?)),
                "const" => {
                    self.changed("`const` is sent as an `enum` of one");
                    kept.push((Cow::from("enum"), Node::List(vec![value])));
                }
                "$ref" => kept.push((name, reference(value))),
                taken if TAKEN.contains(&taken) => kept.push((name, value)),
                note if NOTES.contains(&note) => {}
                other => {
                    self.changed(format!("`{other}` is moved to the description"));
                    told.push(format!("{other}: {}", value.brief()));
                }
            }
        }
        describe(&mut kept, &told);
        Ok(Node::Object(self.lone_reference(kept)))
    }

    /// A schema with a reference may hold nothing else: the reference becomes the only variant.
    fn lone_reference<'a>(&mut self, mut members: Members<'a>) -> Members<'a> {
        let at = members.iter().position(|(name, _)| name == "$ref");
        let alone = members.iter().all(|(name, _)| name.starts_with('$'));
        let Some(at) = at.filter(|_| !alone) else { return members };
        if members.iter().any(|(name, _)| name == "anyOf") {
            self.changed("what stands beside both `$ref` and `anyOf` is left out");
            members.retain(|(name, _)| name.starts_with('$'));
            return members;
        }
        let (name, target) = members.remove(at);
        let only = Node::Object(vec![(name, target)]);
        members.push((Cow::from("anyOf"), Node::List(vec![only])));
        members
    }

    /// Merges what all must hold. A reference among them cannot be merged, and stands for all if it is the only one.
    fn all_of<'a>(&mut self, members: &mut Members<'a>, variants: Node<'a>) {
        let Node::List(variants) = variants else { return };
        let (references, plain): (Vec<_>, Vec<_>) =
            variants.into_iter().partition(|variant| variant.get("$ref").is_some());
        match (&references[..], plain.is_empty()) {
            ([Node::Object(only)], true) => members.extend(only.iter().cloned()),
            ([], _) => {
                self.changed("`allOf` is merged");
                merge_variants(members, plain, true);
            }
            _ => {
                self.changed("`allOf` with references is sent as `anyOf`");
                let mut all = references;
                all.extend(plain);
                members.push((Cow::from("anyOf"), Node::List(all)));
            }
        }
    }

    fn map<'a>(&mut self, value: Node<'a>, depth: usize) -> Result<Node<'a>, Unconvertible> {
        let Node::Object(members) = value else { return Ok(value) };
        let schemas =
            members.into_iter().map(|(name, schema)| Ok((name, self.schema(schema, depth + 1)?)));
        schemas.collect::<Result<_, _>>().map(Node::Object)
    }

    fn list<'a>(&mut self, value: Node<'a>, depth: usize) -> Result<Node<'a>, Unconvertible> {
        let Node::List(items) = value else { return Ok(value) };
        let items = items.into_iter().map(|item| self.schema(item, depth + 1));
        items.collect::<Result<_, _>>().map(Node::List)
    }

    fn changed(&mut self, what: impl Into<Cow<'static, str>>) {
        self.changes.insert(what.into());
    }
}

/// A reference to one of the definitions, wherever these stood.
fn reference(target: Node<'_>) -> Node<'_> {
    let renamed = target
        .text()
        .and_then(|text| text.strip_prefix("#/definitions/").map(|name| format!("#/$defs/{name}")));
    renamed.map_or(target, Node::Text)
}

/// The JSON Schema of a schema in Google's older language (`responseSchema`, `parameters`).
pub(crate) fn of_google(schema: &RawJson) -> Result<RawJson, Unconvertible> {
    let root = Node::parse(schema)?;
    if !matches!(root, Node::Object(_)) {
        return Err(Unconvertible::Malformed);
    }
    Ok(plain(root).into_converted(Changes::new())?.schema)
}

fn plain(node: Node<'_>) -> Node<'_> {
    let Node::Object(members) = node else { return node };
    let nullable = members
        .iter()
        .any(|(name, value)| name == "nullable" && matches!(value, Node::Scalar("true")));
    let order = members.iter().find(|(name, _)| is(name, "propertyOrdering"));
    let order: Vec<String> = match order {
        Some((_, Node::List(names))) => names.iter().filter_map(Node::text).collect(),
        _ => Vec::new(),
    };
    let mut out: Members<'_> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let name = camel(name);
        match name.as_ref() {
            "nullable" | "propertyOrdering" | "example" => {}
            "type" => out.push((name, kind(value, nullable))),
            "format" if value.text().as_deref() == Some("enum") => {}
            "properties" => out.push((name, ordered(value, &order))),
            "items" | "additionalProperties" => out.push((name, plain(value))),
            "anyOf" => {
                let Node::List(mut variants) = value else { continue };
                if nullable {
                    let null = (Cow::from("type"), Node::Scalar("\"null\""));
                    variants.push(Node::Object(vec![null]));
                }
                out.push((name, Node::List(variants.into_iter().map(plain).collect())));
            }
            "defs" => out.push((Cow::from("$defs"), ordered(value, &[]))),
            "ref" => out.push((Cow::from("$ref"), value)),
            // Whole numbers of 64 bits are strings in protobuf's JSON.
            "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength"
            | "maxLength" => out.push((name, unquoted(value))),
            _ => out.push((name, value)),
        }
    }
    Node::Object(out)
}

fn is(name: &str, expected: &str) -> bool {
    name == expected || crate::gemini::camel_name(name).as_deref() == Some(expected)
}

fn camel(name: Cow<'_, str>) -> Cow<'_, str> {
    match crate::gemini::camel_name(&name) {
        Some(camel) => Cow::Owned(camel),
        None => name,
    }
}

/// `STRING` is `string`, and with `nullable` it is that or `null`.
fn kind(value: Node<'_>, nullable: bool) -> Node<'_> {
    let Some(word) = value.text() else { return value };
    let word = word.to_ascii_lowercase();
    match (word.as_str(), nullable) {
        ("type_unspecified", _) => Node::Text("string".to_owned()),
        (_, true) => Node::List(vec![Node::Text(word), Node::Scalar("\"null\"")]),
        _ => Node::Text(word),
    }
}

/// Properties in the order that is asked for: models write them as a schema names them.
fn ordered<'a>(value: Node<'a>, order: &[String]) -> Node<'a> {
    let Node::Object(mut members) = value else { return value };
    let place = |name: &str| order.iter().position(|other| other == name).unwrap_or(order.len());
    members.sort_by_key(|(name, _)| place(name));
    Node::Object(members.into_iter().map(|(name, schema)| (name, plain(schema))).collect())
}

fn unquoted(value: Node<'_>) -> Node<'_> {
    match value {
        Node::Scalar(text) => {
            let number = text.trim_matches('"');
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            Node::Scalar(if digits { number } else { text })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Str;

    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(Str::from(text)).unwrap()
    }

    fn converted(text: &str) -> (String, Vec<String>) {
        let converted = for_google(&raw(text)).unwrap();
        let changes = converted.changes.iter().map(ToString::to_string).collect();
        (converted.schema.get().to_owned(), changes)
    }

    #[test]
    fn what_is_taken_stays_as_it_is() {
        let schema = r##"{"type":"object","properties":{"a":{"type":["string","null"],"format":"date"},"n":{"type":"integer","minimum":1},"t":{"$ref":"#/$defs/t"}},"required":["a"],"additionalProperties":false,"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":3}}}"##;
        assert_eq!(converted(schema), (schema.to_owned(), vec![]));
    }

    #[test]
    fn what_is_not_taken_is_told() {
        let (schema, changes) = converted(
            r#"{"$schema":"x","type":"object","properties":{"a":{"const":"x"},"s":{"type":"string","pattern":"^a","minLength":2,"description":"S"},"n":{"not":{"type":"null"}}}}"#,
        );
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{"a":{"enum":["x"]},"s":{"type":"string","description":"S (pattern: ^a; minLength: 2)"},"n":{"description":"not: {\"type\":\"null\"}"}}}"#
        );
        assert_eq!(changes.len(), 4, "{changes:?}");
    }

    #[test]
    fn a_reference_stands_alone() {
        let (schema, changes) = converted(
            r##"{"properties":{"a":{"$ref":"#/definitions/t","description":"A"},"b":{"allOf":[{"$ref":"#/definitions/t"}]}},"definitions":{"t":{"type":"string"}}}"##,
        );
        assert_eq!(
            schema,
            r##"{"properties":{"a":{"description":"A","anyOf":[{"$ref":"#/$defs/t"}]},"b":{"$ref":"#/$defs/t"}},"$defs":{"t":{"type":"string"}}}"##
        );
        assert_eq!(changes, ["`definitions` is sent as `$defs`"]);
    }

    #[test]
    fn what_all_must_hold_is_merged() {
        let (schema, _) = converted(
            r#"{"allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}"#,
        );
        assert_eq!(schema, r#"{"properties":{"a":{"type":"string"},"b":{}},"required":["a","b"]}"#);
    }

    #[test]
    fn a_hostile_schema_is_refused_in_time() {
        let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(70), "}".repeat(70));
        assert_eq!(for_google(&raw(&deep)), Err(Unconvertible::TooDeep));
        assert_eq!(for_google(&raw("[]")), Err(Unconvertible::Malformed));
        assert_eq!(of_google(&raw("1")), Err(Unconvertible::Malformed));
    }

    #[test]
    fn the_older_language_is_read() {
        let schema = of_google(&raw(
            r#"{"type":"OBJECT","nullable":true,"propertyOrdering":["b","a"],"properties":{"a":{"type":"STRING","format":"enum","enum":["x"]},"b":{"type":"ARRAY","min_items":"2","items":{"type":"NUMBER","example":1}},"c":{"anyOf":[{"type":"BOOLEAN"}],"nullable":true}},"required":["a"]}"#,
        ))
        .unwrap();
        assert_eq!(
            schema.get(),
            r#"{"type":["object","null"],"properties":{"b":{"type":"array","minItems":2,"items":{"type":"number"}},"a":{"type":"string","enum":["x"]},"c":{"anyOf":[{"type":"boolean"},{"type":"null"}]}},"required":["a"]}"#
        );
        let lower = r#"{"type":"string"}"#;
        assert_eq!(of_google(&raw(lower)).unwrap().get(), lower);
    }

    #[test]
    fn a_tool_that_takes_nothing_is_known() {
        assert!(takes_nothing(&raw(r#"{"type":"object","properties":{}}"#)));
        assert!(takes_nothing(&raw("{}")));
        assert!(!takes_nothing(&raw(r#"{"type":"object","properties":{"a":{}}}"#)));
        assert!(!takes_nothing(&raw(r#"{"type":"object","additionalProperties":true}"#)));
        assert!(!takes_nothing(&raw(r#"{"anyOf":[]}"#)));
    }
}
