//! Arguments of a call that come in pieces, each with the place where it belongs (`$.city.names[0]`).

use crate::gemini::camel::members;
use crate::json::{self, Array, Object};

/// The most bytes that are kept of one call.
const MAX_BYTES: usize = 16 << 20;
/// How deep arguments may nest.
const MAX_DEPTH: usize = 64;
/// The longest list.
const MAX_ITEMS: usize = 10_000;

/// A value that grows.
#[derive(Debug, Default)]
enum Node {
    #[default]
    Nothing,
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    /// A number, `true`, `false` or `null`.
    Plain(String),
}

/// The arguments so far.
#[derive(Debug)]
pub(super) struct Partial {
    root: Node,
    size: usize,
    free_text: bool,
}

/// One step of a path.
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl Partial {
    /// None yet. `free_text` says that the tool takes free text from the caller's point of view.
    pub(super) fn new(free_text: bool) -> Self {
        Self { root: Node::Object(Vec::new()), size: 0, free_text }
    }

    pub(super) fn is_free_text(&self) -> bool {
        self.free_text
    }

    /// Takes a piece: `{"jsonPath": "$.city", "stringValue": "Os"}`. Strings grow, everything else is there at once.
    pub(super) fn take(&mut self, piece: &str) -> Result<(), &'static str> {
        let fields = members(piece);
        let path: String = match fields.get("jsonPath").map(serde_json::from_str) {
            Some(Ok(path)) => path,
            _ => return Err("a piece of arguments has no place"),
        };
        let steps = steps(&path).ok_or("a piece of arguments has a place that cannot be read")?;
        self.size += piece.len();
        if self.size > MAX_BYTES {
            return Err("the arguments of a call are too large");
        }
        let mut node = &mut self.root;
        for step in steps {
            node = node.step(step).ok_or("a piece of arguments has no room where it belongs")?;
        }
        if let Some(more) = fields.get("stringValue") {
            let more: String = serde_json::from_str(more).map_err(|_| "a string is no string")?;
            match node {
                Node::Text(text) => text.push_str(&more),
                other => *other = Node::Text(more),
            }
            return Ok(());
        }
        for name in ["numberValue", "boolValue"] {
            if let Some(value) = fields.get(name) {
                *node = Node::Plain(value.to_owned());
                return Ok(());
            }
        }
        if fields.iter().any(|(name, _)| name == "nullValue") {
            *node = Node::Plain("null".to_owned());
        }
        Ok(())
    }

    /// The arguments as JSON.
    pub(super) fn into_json(self) -> String {
        let mut out = Vec::new();
        self.root.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Node {
    fn step(&mut self, step: Step<'_>) -> Option<&mut Self> {
        if let (Node::Nothing, step) = (&*self, &step) {
            *self = match step {
                Step::Name(_) => Node::Object(Vec::new()),
                Step::Index(_) => Node::List(Vec::new()),
            };
        }
        match (self, step) {
            (Node::Object(members), Step::Name(name)) => {
                let found = members.iter().position(|(key, _)| key == name);
                let at = found.unwrap_or_else(|| {
                    members.push((name.to_owned(), Node::Nothing));
                    members.len() - 1
                });
                members.get_mut(at).map(|(_, node)| node)
            }
            (Node::List(items), Step::Index(index)) if index < MAX_ITEMS => {
                while items.len() <= index {
                    items.push(Node::Nothing);
                }
                items.get_mut(index)
            }
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Nothing => out.extend_from_slice(b"null"),
            Node::Object(members) => {
                let mut object = Object::begin(out);
                for (name, node) in members {
                    node.write(object.member_named(name));
                }
                object.end();
            }
            Node::List(items) => {
                let mut array = Array::begin(out);
                for item in items {
                    item.write(array.item());
                }
                array.end();
            }
            Node::Text(text) => json::string(out, text),
            Node::Plain(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// Reads a path: names after dots or in quotes, numbers in brackets.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() >= MAX_DEPTH {
            return None;
        }
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(Step::Name(&name[..end]));
            rest = &name[end..];
            continue;
        }
        let inner = rest.strip_prefix('[')?;
        if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let (name, behind) = inner[1..].split_once(quote)?;
            steps.push(Step::Name(name));
            rest = behind.strip_prefix(']')?;
        } else {
            let (index, behind) = inner.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = behind;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn together(pieces: &[&str]) -> Result<String, &'static str> {
        let mut partial = Partial::new(false);
        for piece in pieces {
            partial.take(piece)?;
        }
        Ok(partial.into_json())
    }

    #[test]
    fn pieces_are_put_where_they_belong() {
        let json = together(&[
            r#"{"jsonPath":"$.city","stringValue":"Os"}"#,
            r#"{"jsonPath":"$.city","stringValue":"lo\n","willContinue":true}"#,
            r#"{"json_path":"$.at[1].lat","numberValue":59.90}"#,
            r#"{"jsonPath":"$['a.b']","boolValue":true}"#,
            r#"{"jsonPath":"$.none","nullValue":"NULL_VALUE"}"#,
        ]);
        assert_eq!(
            json.unwrap(),
            r#"{"city":"Oslo\n","at":[null,{"lat":59.90}],"a.b":true,"none":null}"#
        );
        assert_eq!(together(&[]).unwrap(), "{}");
    }

    #[test]
    fn a_piece_without_a_place_is_refused() {
        for piece in [
            r#"{"stringValue":"x"}"#,
            r#"{"jsonPath":"city","stringValue":"x"}"#,
            r#"{"jsonPath":"$[0]","stringValue":"x"}"#,
            r#"{"jsonPath":"$.a[99999]","stringValue":"x"}"#,
            r#"{"jsonPath":"$.a[","stringValue":"x"}"#,
        ] {
            assert!(together(&[piece]).is_err(), "{piece}");
        }
        let deep = format!(r#"{{"jsonPath":"${}","numberValue":1}}"#, ".a".repeat(100));
        assert!(together(&[&deep]).is_err());
    }
}
