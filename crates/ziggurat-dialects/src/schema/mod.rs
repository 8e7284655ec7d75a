//! JSON Schemas for targets that take a part of the language only.
//!
//! A schema is changed only when it crosses dialects, and each change is told. Key order stays: models write members in the
//! order in which a schema names them. Size is bounded, as references can make a small schema large.

mod google;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::value::RawValue;
use ziggurat_core::RawJson;

pub(crate) use google::{for_google, of_google, takes_nothing};

use crate::json::{Array, Fields, Object, raw_json, string};

/// How deep schemas may nest.
const MAX_DEPTH: usize = 64;
/// How many values a schema may hold, after references to itself are written out.
const MAX_NODES: usize = 10_000;
/// How many different references a schema may hold.
const MAX_REFERENCES: usize = 200;
/// How often a schema that contains itself is written out.
const UNROLL: usize = 3;

/// A schema that a target takes, and what was changed for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Converted {
    pub(crate) schema: RawJson,
    /// Each change, in a few words.
    pub(crate) changes: Vec<Cow<'static, str>>,
}

/// Why a schema cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unconvertible {
    TooDeep,
    TooLarge,
    Malformed,
}

impl fmt::Display for Unconvertible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "the schema nests more than {MAX_DEPTH} levels deep"),
            Self::TooLarge => write!(f, "the schema holds more than {MAX_NODES} values"),
            Self::Malformed => f.write_str("the schema is no JSON object"),
        }
    }
}

/// The schema in the part of the language that Anthropic takes for structured answers and strict tools: closed objects, no
/// bounds, no recursion. Bounds are told in descriptions instead.
pub(crate) fn strict_subset(schema: &RawJson) -> Result<Converted, Unconvertible> {
    let root = Node::parse(schema)?;
    let mut subset = Subset::new(&root)?;
    let converted = subset.schema(&root, 0, true)?;
    converted.into_converted(subset.changes)
}

/// The schema with a root that is one plain object, as Anthropic takes it for a tool's input. What is below the root is free.
pub(crate) fn object_root(schema: &RawJson) -> Result<Converted, Unconvertible> {
    let fields: Fields<'_> =
        serde_json::from_str(schema.get()).map_err(|_| Unconvertible::Malformed)?;
    let combined = COMBINED.iter().any(|name| fields.get(name).is_some());
    if fields.get("type") == Some("\"object\"") && !combined {
        return Ok(Converted { schema: schema.clone(), changes: Vec::new() });
    }
    let Node::Object(mut members) = Node::parse(schema)? else {
        return Err(Unconvertible::Malformed);
    };
    let mut changes = BTreeSet::new();
    for name in COMBINED {
        let Some(index) = members.iter().position(|(key, _)| key == name) else { continue };
        let (_, variants) = members.remove(index);
        changes.insert(Cow::from(format!("`{name}` at the root is merged into one object")));
        if let Node::List(variants) = variants {
            merge_variants(&mut members, variants, name == "allOf");
        }
    }
    let object = Node::Scalar("\"object\"");
    match members.iter_mut().find(|(key, _)| key == "type") {
        Some((_, kind)) => *kind = object,
        None => members.insert(0, (Cow::from("type"), object)),
    }
    if !members.iter().any(|(key, _)| key == "properties") {
        members.push((Cow::from("properties"), Node::Object(Vec::new())));
    }
    Node::Object(members).into_converted(changes)
}

const COMBINED: [&str; 3] = ["allOf", "anyOf", "oneOf"];

type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;
type Changes = BTreeSet<Cow<'static, str>>;

/// A value whose objects keep their order and whose scalars keep their text.
#[derive(Clone, Debug, PartialEq)]
enum Node<'a> {
    Object(Members<'a>),
    List(Vec<Node<'a>>),
    Scalar(&'a str),
    Text(String),
}

impl<'a> Node<'a> {
    fn parse(schema: &'a RawJson) -> Result<Self, Unconvertible> {
        let mut left = MAX_NODES;
        Self::value(schema.get(), 0, &mut left)
    }

    fn value(text: &'a str, depth: usize, left: &mut usize) -> Result<Self, Unconvertible> {
        if depth > MAX_DEPTH {
            return Err(Unconvertible::TooDeep);
        }
        *left = left.checked_sub(1).ok_or(Unconvertible::TooLarge)?;
        match text.as_bytes().first() {
            Some(b'{') => {
                let fields: Fields<'a> =
                    serde_json::from_str(text).map_err(|_| Unconvertible::Malformed)?;
                let members = fields.iter().map(|(name, value)| {
                    Ok((Cow::Owned(name.to_owned()), Self::value(value, depth + 1, left)?))
                });
                members.collect::<Result<_, _>>().map(Self::Object)
            }
            Some(b'[') => {
                let items: Vec<&'a RawValue> =
                    serde_json::from_str(text).map_err(|_| Unconvertible::Malformed)?;
                let items = items.into_iter().map(|item| Self::value(item.get(), depth + 1, left));
                items.collect::<Result<_, _>>().map(Self::List)
            }
            _ => Ok(Self::Scalar(text)),
        }
    }

    fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text of a string.
    fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(text) => serde_json::from_str(text).ok(),
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The value in one line, for a description.
    fn brief(&self) -> String {
        let mut out = Vec::new();
        match self.text() {
            Some(text) => return text,
            None => self.write(&mut out),
        }
        String::from_utf8(out).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(members) => {
                let mut object = Object::begin(out);
                for (name, value) in members {
                    value.write(object.member_named(name));
                }
                object.end();
            }
            Self::List(items) => {
                let mut array = Array::begin(out);
                for item in items {
                    item.write(array.item());
                }
                array.end();
            }
            Self::Scalar(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => string(out, text),
        }
    }

    fn into_converted(self, changes: Changes) -> Result<Converted, Unconvertible> {
        let mut out = Vec::new();
        self.write(&mut out);
        let schema = raw_json(out).ok_or(Unconvertible::Malformed)?;
        Ok(Converted { schema, changes: changes.into_iter().collect() })
    }
}

/// Puts the members of variants into one object. All variants hold, or one of them does: then what one demands is optional.
fn merge_variants<'a>(members: &mut Members<'a>, variants: Vec<Node<'a>>, all: bool) {
    let mut demanded: Option<Vec<String>> = None;
    for variant in variants {
        let Node::Object(variant) = variant else { continue };
        let mut demands = Vec::new();
        for (name, value) in variant {
            match (name.as_ref(), value) {
                ("properties", Node::Object(more)) => {
                    add_to_object(members, "properties", more);
                }
                ("required", Node::List(names)) => {
                    demands = names.iter().filter_map(Node::text).collect();
                }
                (_, value) => {
                    if !members.iter().any(|(key, _)| *key == name) {
                        members.push((name, value));
                    }
                }
            }
        }
        demanded = Some(match demanded {
            None => demands,
            Some(mut before) if all => {
                before.extend(demands);
                before
            }
            Some(before) => before.into_iter().filter(|name| demands.contains(name)).collect(),
        });
    }
    let demanded = demanded.filter(|names| !names.is_empty());
    for name in demanded.into_iter().flatten() {
        let index = match members.iter().position(|(key, _)| key == "required") {
            Some(index) => index,
            None => {
                members.push((Cow::from("required"), Node::List(Vec::new())));
                members.len() - 1
            }
        };
        if let Node::List(names) = &mut members[index].1
            && !names.iter().any(|other| other.text().as_ref() == Some(&name))
        {
            names.push(Node::Text(name));
        }
    }
}

/// Adds to the object `name`, which is put in where it is missing.
fn add_to_object<'a>(members: &mut Members<'a>, name: &'static str, more: Members<'a>) {
    match members.iter_mut().find(|(key, _)| key == name) {
        Some((_, Node::Object(own))) => {
            for (name, value) in more {
                if !own.iter().any(|(key, _)| *key == name) {
                    own.push((name, value));
                }
            }
        }
        Some((_, other)) => *other = Node::Object(more),
        None => members.push((Cow::from(name), Node::Object(more))),
    }
}

/// Conversion into the part of the language that strict targets take.
struct Subset<'a> {
    root: &'a Node<'a>,
    /// References that lead back to themselves.
    cyclic: BTreeSet<String>,
    /// The cyclic references being written out, from the outside in.
    inside: Vec<String>,
    left: usize,
    changes: Changes,
}

impl<'a> Subset<'a> {
    fn new(root: &'a Node<'a>) -> Result<Self, Unconvertible> {
        let cyclic = cyclic_references(root)?;
        Ok(Self { root, cyclic, inside: Vec::new(), left: MAX_NODES, changes: Changes::new() })
    }

    fn schema(
        &mut self,
        node: &Node<'a>,
        depth: usize,
        is_root: bool,
    ) -> Result<Node<'a>, Unconvertible> {
        if depth > MAX_DEPTH {
            return Err(Unconvertible::TooDeep);
        }
        self.left = self.left.checked_sub(1).ok_or(Unconvertible::TooLarge)?;
        let Node::Object(members) = node else { return Ok(node.clone()) };
        if let Some(target) = node.get("$ref").and_then(Node::text) {
            return self.reference(&target, node, depth);
        }
        let mut kept: Members<'a> = Vec::with_capacity(members.len());
        let mut told: Vec<String> = Vec::new();
        for (name, value) in members {
            match name.as_ref() {
                "properties" | "$defs" | "definitions" => {
                    let value = self.map(name, value, depth)?;
                    if is_root || name == "properties" || !is_empty(&value) {
                        kept.push((name.clone(), value));
                    }
                }
                "items" if matches!(value, Node::Object(_)) => {
                    kept.push((name.clone(), self.schema(value, depth + 1, false)?));
                }
                "anyOf" | "allOf" => kept.push((name.clone(), self.list(value, depth)?)),
                "oneOf" if node.get("anyOf").is_none() => {
                    self.changed("`oneOf` is sent as `anyOf`");
                    kept.push((Cow::from("anyOf"), self.list(value, depth)?));
                }
                "additionalProperties" => kept.push((name.clone(), Node::Scalar("false"))),
                "minItems" if matches!(value, Node::Scalar("0" | "1")) => {
                    kept.push((name.clone(), value.clone()));
                }
                "format" if value.text().is_some_and(|f| FORMATS.contains(&f.as_str())) => {
                    kept.push((name.clone(), value.clone()));
                }
                other if TOLD.contains(&other) => {
                    self.changed(format!("`{other}` is moved to the description"));
                    told.push(format!("{other}: {}", value.brief()));
                }
                _ => kept.push((name.clone(), value.clone())),
            }
        }
        kept.retain(|(name, value)| {
            !(matches!(name.as_ref(), "$defs" | "definitions") && is_empty(value))
        });
        if is_object_schema(&kept) {
            match node.get("additionalProperties") {
                Some(Node::Scalar("false")) => {}
                None | Some(Node::Scalar("true")) => self.changed("objects are closed"),
                Some(open) => {
                    self.changed("`additionalProperties` is moved to the description");
                    told.push(format!("additionalProperties: {}", open.brief()));
                }
            }
            if node.get("additionalProperties").is_none() {
                kept.push((Cow::from("additionalProperties"), Node::Scalar("false")));
            }
        }
        describe(&mut kept, &told);
        merge_single(&mut kept);
        Ok(Node::Object(kept))
    }

    /// The schemas of a map. Definitions that contain themselves are written out where they are used, and go.
    fn map(
        &mut self,
        kind: &str,
        value: &Node<'a>,
        depth: usize,
    ) -> Result<Node<'a>, Unconvertible> {
        let Node::Object(members) = value else { return Ok(value.clone()) };
        let mut schemas = Vec::with_capacity(members.len());
        for (name, schema) in members {
            if kind != "properties" && self.cyclic.contains(&format!("#/{kind}/{name}")) {
                continue;
            }
            schemas.push((name.clone(), self.schema(schema, depth + 1, false)?));
        }
        Ok(Node::Object(schemas))
    }

    fn list(&mut self, value: &Node<'a>, depth: usize) -> Result<Node<'a>, Unconvertible> {
        let Node::List(items) = value else { return Ok(value.clone()) };
        let items = items.iter().map(|item| self.schema(item, depth + 1, false));
        items.collect::<Result<_, _>>().map(Node::List)
    }

    fn reference(
        &mut self,
        target: &str,
        node: &Node<'a>,
        depth: usize,
    ) -> Result<Node<'a>, Unconvertible> {
        let root = self.root;
        let Some(found) = find(root, target) else {
            self.changed("a reference to another document is left out");
            let told = [format!("$ref: {target}")];
            let mut members = Vec::new();
            if let Some(text) = node.get("description") {
                members.push((Cow::from("description"), text.clone()));
            }
            describe(&mut members, &told);
            return Ok(Node::Object(members));
        };
        if !self.cyclic.contains(target) {
            return Ok(node.clone());
        }
        self.changed("a schema that contains itself is written out three levels deep");
        if self.inside.iter().filter(|name| *name == target).count() >= UNROLL {
            let kind = found.get("type").cloned().unwrap_or(Node::Scalar("\"object\""));
            let mut bare = vec![(Cow::from("type"), kind)];
            if is_object_schema(&bare) {
                bare.push((Cow::from("additionalProperties"), Node::Scalar("false")));
            }
            return Ok(Node::Object(bare));
        }
        self.inside.push(target.to_owned());
        let written = self.schema(found, depth + 1, false);
        self.inside.pop();
        written
    }

    fn changed(&mut self, what: impl Into<Cow<'static, str>>) {
        self.changes.insert(what.into());
    }
}

/// String formats that are checked.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Keywords that are not taken, and told in the description instead.
const TOLD: [&str; 32] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "items",
    "additionalItems",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "patternProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "not",
    "if",
    "then",
    "else",
    "oneOf",
    "format",
];

fn is_object_schema(members: &Members<'_>) -> bool {
    members.iter().any(|(name, value)| match (name.as_ref(), value) {
        ("properties", _) => true,
        ("type", Node::Scalar(kind)) => *kind == "\"object\"",
        ("type", Node::List(kinds)) => kinds.contains(&Node::Scalar("\"object\"")),
        _ => false,
    })
}

fn is_empty(node: &Node<'_>) -> bool {
    matches!(node, Node::Object(members) if members.is_empty())
}

/// Adds to a schema's description.
fn describe(members: &mut Members<'_>, told: &[String]) {
    if told.is_empty() {
        return;
    }
    let told = told.join("; ");
    match members.iter_mut().find(|(name, _)| name == "description") {
        Some((_, text)) => {
            *text = Node::Text(format!("{} ({told})", text.text().unwrap_or_default()));
        }
        None => members.push((Cow::from("description"), Node::Text(told))),
    }
}

/// `allOf` of one is that one.
fn merge_single<'a>(members: &mut Members<'a>) {
    let Some(index) = members.iter().position(|(name, _)| name == "allOf") else { return };
    let single = match &members[index].1 {
        Node::List(list) => match list.as_slice() {
            [Node::Object(only)] => only.clone(),
            _ => return,
        },
        _ => return,
    };
    if single.iter().any(|(name, _)| members.iter().any(|(other, _)| other == name)) {
        return;
    }
    members.remove(index);
    members.extend(single);
}

/// What a reference within the document names.
fn find<'n, 'a>(root: &'n Node<'a>, target: &str) -> Option<&'n Node<'a>> {
    let pointer = target.strip_prefix('#')?;
    pointer.split('/').skip(1).try_fold(root, |node, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        match node {
            Node::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.get(&step),
        }
    })
}

/// References from which one gets back to them by following references.
fn cyclic_references(root: &Node<'_>) -> Result<BTreeSet<String>, Unconvertible> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut queue: Vec<String> = references(root)?.into_iter().collect();
    while let Some(target) = queue.pop() {
        if edges.contains_key(&target) {
            continue;
        }
        let next = find(root, &target).map(references).transpose()?.unwrap_or_default();
        queue.extend(next.iter().filter(|name| !edges.contains_key(*name)).cloned());
        edges.insert(target, next);
        if edges.len() > MAX_REFERENCES {
            return Err(Unconvertible::TooLarge);
        }
    }
    let reaches_itself = |start: &&String| {
        let mut seen = BTreeSet::new();
        let mut queue = vec![*start];
        while let Some(at) = queue.pop() {
            for target in edges.get(at).into_iter().flatten() {
                if target == *start {
                    return true;
                }
                if seen.insert(target) {
                    queue.push(target);
                }
            }
        }
        false
    };
    Ok(edges.keys().filter(reaches_itself).cloned().collect())
}

/// The references below a schema, each once.
fn references(node: &Node<'_>) -> Result<BTreeSet<String>, Unconvertible> {
    let mut found = BTreeSet::new();
    let mut queue = vec![node];
    while let Some(node) = queue.pop() {
        match node {
            Node::Object(members) => {
                found.extend(node.get("$ref").and_then(Node::text));
                if found.len() > MAX_REFERENCES {
                    return Err(Unconvertible::TooLarge);
                }
                // The definitions at the root are no use of them.
                let used = |name: &str| name != "$defs" && name != "definitions";
                queue.extend(members.iter().filter(|(name, _)| used(name)).map(|(_, value)| value));
            }
            Node::List(items) => queue.extend(items),
            Node::Scalar(_) | Node::Text(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Str;

    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(Str::from(text)).unwrap()
    }

    fn strict(text: &str) -> (String, Vec<String>) {
        let converted = strict_subset(&raw(text)).unwrap();
        let changes = converted.changes.iter().map(|change| change.to_string()).collect();
        (converted.schema.get().to_owned(), changes)
    }

    #[test]
    fn a_schema_within_the_subset_stays_as_it_is() {
        let text = r##"{"type":"object","properties":{"z":{"type":["string","null"]},"a":{"const":9007199254740993},"m":{"$ref":"#/$defs/m"}},"required":["z"],"additionalProperties":false,"$defs":{"m":{"enum":[1.50]}}}"##;
        assert_eq!(strict(text), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn objects_are_closed() {
        let (schema, changes) = strict(
            r#"{"type":"object","properties":{"a":{"type":"object","additionalProperties":true}}}"#,
        );
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{"a":{"type":"object","additionalProperties":false}},"additionalProperties":false}"#
        );
        assert_eq!(changes, ["objects are closed"]);
    }

    #[test]
    fn bounds_move_to_the_description() {
        let (schema, changes) = strict(
            r#"{"type":"object","additionalProperties":false,"properties":{"n":{"type":"integer","minimum":1,"maximum":9,"description":"How many"},"s":{"type":"string","pattern":"^a\"","format":"color"},"l":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","format":"uuid"}}}}"#,
        );
        assert_eq!(
            schema,
            r#"{"type":"object","additionalProperties":false,"properties":{"n":{"type":"integer","description":"How many (minimum: 1; maximum: 9)"},"s":{"type":"string","description":"pattern: ^a\"; format: color"},"l":{"type":"array","minItems":1,"items":{"type":"string","format":"uuid"},"description":"maxItems: 3"}}}"#
        );
        assert_eq!(changes.len(), 5, "{changes:?}");
    }

    #[test]
    fn one_of_becomes_any_of() {
        let (schema, changes) =
            strict(r#"{"oneOf":[{"type":"string"},{"type":"object","properties":{}}]}"#);
        assert_eq!(
            schema,
            r#"{"anyOf":[{"type":"string"},{"type":"object","properties":{},"additionalProperties":false}]}"#
        );
        assert_eq!(changes, ["`oneOf` is sent as `anyOf`", "objects are closed"]);
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        let (schema, _) = strict(
            r#"{"type":"object","properties":{},"additionalProperties":{"type":"string"},"not":{"required":["a"]}}"#,
        );
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{},"additionalProperties":false,"description":"not: {\"required\":[\"a\"]}; additionalProperties: {\"type\":\"string\"}"}"#
        );
    }

    #[test]
    fn recursion_is_cut_at_depth_three() {
        let (schema, changes) = strict(
            r##"{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}},"additionalProperties":false}}}"##,
        );
        assert_eq!(schema.matches("\"next\"").count(), 3);
        assert!(!schema.contains("$ref"), "{schema}");
        assert_eq!(changes, ["a schema that contains itself is written out three levels deep"]);

        let (schema, _) = strict(
            r##"{"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#"}}},"additionalProperties":false}"##,
        );
        assert_eq!(schema.matches("\"kids\"").count(), 4, "{schema}");
    }

    #[test]
    fn references_that_multiply_are_refused_in_time() {
        let refs: String = (0..20).map(|n| format!(r##""p{n}":{{"$ref":"#"}},"##)).collect();
        let text = format!(r#"{{"type":"object","properties":{{{}"z":{{}}}}}}"#, refs);
        assert_eq!(strict_subset(&raw(&text)), Err(Unconvertible::TooLarge));
        let refs: String = (0..=MAX_REFERENCES)
            .map(|n| format!(r##""p{n}":{{"$ref":"#/$defs/d{n}"}},"##))
            .collect();
        let many = format!(r#"{{"type":"object","properties":{{{refs}"z":{{}}}}}}"#);
        assert_eq!(strict_subset(&raw(&many)), Err(Unconvertible::TooLarge));
        let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(70), "}".repeat(70));
        assert_eq!(strict_subset(&raw(&deep)), Err(Unconvertible::TooDeep));
        let wide = format!("{{\"enum\":[{}1]}}", "1,".repeat(MAX_NODES));
        assert_eq!(strict_subset(&raw(&wide)), Err(Unconvertible::TooLarge));
    }

    #[test]
    fn a_reference_to_elsewhere_goes() {
        let (schema, _) = strict(r#"{"$ref":"https://a.test/s.json","description":"S"}"#);
        assert_eq!(schema, r#"{"description":"S ($ref: https://a.test/s.json)"}"#);
    }

    #[test]
    fn a_tools_input_is_one_object() {
        let same = raw(r#"{ "type": "object", "properties": {"a": {"minimum": 1}} }"#);
        assert_eq!(object_root(&same).unwrap(), Converted { schema: same, changes: Vec::new() });
        assert_eq!(
            object_root(&raw("{}")).unwrap().schema.get(),
            r#"{"type":"object","properties":{}}"#
        );
        let either = object_root(&raw(
            r#"{"anyOf":[{"properties":{"a":{},"b":{}},"required":["a","b"]},{"properties":{"c":{}},"required":["a"]}]}"#,
        ))
        .unwrap();
        assert_eq!(
            either.schema.get(),
            r#"{"type":"object","properties":{"a":{},"b":{},"c":{}},"required":["a"]}"#
        );
        assert_eq!(either.changes.len(), 1);
        let all = object_root(&raw(
            r#"{"type":"object","required":["x"],"allOf":[{"required":["a"]},{"required":["b"]}]}"#,
        ))
        .unwrap();
        assert_eq!(
            all.schema.get(),
            r#"{"type":"object","required":["x","a","b"],"properties":{}}"#
        );
        assert_eq!(object_root(&raw("[]")), Err(Unconvertible::Malformed));
    }
}
