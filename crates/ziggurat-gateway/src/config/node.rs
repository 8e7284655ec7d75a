//! A YAML document as a tree in which everything knows its place.
//!
//! The parser underneath gives events; no type of its leaves this file. Aliases share the node
//! they name, so that they cost no memory, and count in full against [`MOST_WEIGHT`], so that a
//! small file cannot make a large configuration.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::{Place, Problem, ProblemKind, Problems};
use super::scalar::{self, Plain};

/// The largest file that is read, in bytes.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// How many sequences and mappings may stand inside each other, aliases included.
const MOST_DEPTH: usize = 64;
/// How many nodes a document may have with every alias written out, each 64 bytes of text
/// counted as one more.
const MOST_WEIGHT: u64 = 2_000_000;

/// A value and its place. Cloning copies a handle.
#[derive(Clone, Debug)]
pub(super) struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    kind: Kind,
    /// A scalar as it is written, without its quotes.
    text: Box<str>,
    weight: u64,
    height: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Node,
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: Arc<str>,
    pub(super) place: Place,
}

/// Reads a document; what is wrong with its syntax goes to `problems`.
///
/// Gives nothing when nothing can be made of it, which is then told. With a duplicate key the tree
/// is still given, so that its other problems are found at once.
pub(super) fn parse(text: &str, file: &Arc<str>, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder {
        file: Arc::clone(file),
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        weight: 0,
        problems,
    };
    let fault = match (builder.build(text), builder.root) {
        (Ok(()), Some(root)) => return Some(root),
        (Ok(()), None) => {
            let place = Place { file: Arc::clone(file), line: 0, column: 0 };
            let message = "expected a mapping at the top level, found nothing";
            Problem::new(ProblemKind::Value, &place, "", message)
        }
        (Err(fault), _) => *fault,
    };
    builder.problems.error(fault);
    None
}

// === impl Node ===

impl Node {
    pub(super) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// A scalar as it is written, without its quotes.
    pub(super) fn text(&self) -> &str {
        &self.0.text
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.0.kind, Kind::Null)
    }

    /// A reference to a variable that no file has.
    pub(super) fn reference(place: Place, variable: &str) -> Self {
        Self::scalar(place, Kind::Text, &format!("os.environ/{variable}"))
    }

    /// A mapping in place of this one, with other entries.
    pub(super) fn with_entries(&self, entries: Vec<Entry>) -> Self {
        Self::collection(self.place().clone(), Kind::Mapping(entries))
    }

    /// What this is, for a sentence that begins with "found".
    pub(super) fn describe(&self) -> &'static str {
        match self.kind() {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Text => "a string",
            Kind::Sequence(_) => "a sequence",
            Kind::Mapping(_) => "a mapping",
        }
    }

    fn scalar(place: Place, kind: Kind, text: &str) -> Self {
        let weight = weight_of(text);
        Self(Arc::new(Inner { place, kind, text: text.into(), weight, height: 0 }))
    }

    fn collection(place: Place, kind: Kind) -> Self {
        let (mut weight, mut height) = (1_u64, 0);
        let mut count = |child: &Self, key: u64| {
            weight = weight.saturating_add(child.0.weight).saturating_add(key);
            height = height.max(child.0.height);
        };
        match &kind {
            Kind::Sequence(items) => items.iter().for_each(|item| count(item, 0)),
            Kind::Mapping(entries) => {
                entries.iter().for_each(|entry| count(&entry.value, weight_of(&entry.key.text)));
            }
            _ => {}
        }
        Self(Arc::new(Inner { place, kind, text: "".into(), weight, height: height + 1 }))
    }
}

fn weight_of(text: &str) -> u64 {
    1 + text.len() as u64 / 64
}

/// Keys of a path: `a.b`, and `a["b c"]` for what is not a plain word.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let key: String = if !key.is_empty() && key.len() <= 80 && key.chars().all(plain) {
        key.to_owned()
    } else {
        let shown: String = key.chars().take(80).flat_map(char::escape_debug).collect();
        return format!("{path}[\"{shown}\"]");
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Makes the tree out of events.
struct Builder<'p> {
    file: Arc<str>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    weight: u64,
    problems: &'p mut Problems,
}

/// A sequence or mapping that has not ended.
struct Frame {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// The places of the keys so far.
        seen: HashMap<Arc<str>, u32>,
        /// The key whose value is awaited.
        key: Option<(Key, Role)>,
        /// What `<<` names, in the order of precedence.
        merged: Vec<Entry>,
    },
}

/// What is to become of the value of a key.
#[derive(Clone, Copy)]
enum Role {
    Entry,
    Merge,
    /// The key is there already, which has been told.
    Repeated,
}

/// The key of YAML 1.1 that takes over another mapping's entries.
const MERGE: &str = "<<";

type Step = Result<(), Box<Problem>>;

// === impl Builder ===

impl Builder<'_> {
    fn build(&mut self, text: &str) -> Step {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let place = self.place(span);
            match event {
                Event::DocumentStart(_) if self.root.is_some() => {
                    return Err(self.fault(&place, "expected one document, found a second"));
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                Event::Alias(id) => self.alias(id, &place)?,
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == ScalarStyle::Plain;
                    let kind = match self.scalar_kind(&text, plain, tag.as_deref()) {
                        Ok(kind) => kind,
                        Err(message) => return Err(self.fault(&place, message)),
                    };
                    let merge = plain && tag.is_none() && text == MERGE;
                    let node = Node::scalar(place, kind, &text);
                    self.add(node, anchor, merge)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.open(place, anchor, tag.as_deref(), "seq", Content::Sequence(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    let content = Content::Mapping {
                        entries: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                        merged: Vec::new(),
                    };
                    self.open(place, anchor, tag.as_deref(), "map", content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        place: Place,
        anchor: usize,
        tag: Option<&Tag>,
        core: &str,
        content: Content,
    ) -> Step {
        if self.stack.len() >= MOST_DEPTH {
            return Err(self.fault(&place, format!("nested more than {MOST_DEPTH} deep")));
        }
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == core)) {
            return Err(self.fault(&place, UNKNOWN_TAG));
        }
        if matches!(
            self.stack.last(),
            Some(Frame { content: Content::Mapping { key: None, .. }, .. })
        ) {
            return Err(self.fault(&place, "a key must be plain text"));
        }
        self.stack.push(Frame { place, anchor, content });
        Ok(())
    }

    fn close(&mut self) -> Step {
        let Some(Frame { place, anchor, content }) = self.stack.pop() else { return Ok(()) };
        let kind = match content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { mut entries, mut seen, merged, .. } => {
                for entry in merged {
                    // What is written here wins over what is merged, and the first over the next.
                    if seen.insert(Arc::clone(&entry.key.text), 0).is_none() {
                        entries.push(entry);
                    }
                }
                Kind::Mapping(entries)
            }
        };
        self.add(Node::collection(place, kind), anchor, false)
    }

    fn alias(&mut self, id: usize, place: &Place) -> Step {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(self.fault(place, "an alias cannot stand inside what it names"));
        };
        if self.stack.len() + node.0.height > MOST_DEPTH {
            return Err(self.fault(place, format!("nested more than {MOST_DEPTH} deep")));
        }
        self.weigh(node.0.weight, place)?;
        self.attach(node, false)
    }

    /// Takes in a finished node.
    fn add(&mut self, node: Node, anchor: usize, merge: bool) -> Step {
        // The parts of a collection are counted already.
        let own = if node.0.height == 0 { node.0.weight } else { 1 };
        self.weigh(own, &node.place().clone())?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node, merge)
    }

    fn weigh(&mut self, weight: u64, place: &Place) -> Step {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MOST_WEIGHT {
            return Err(self.fault(place, "the document is too large with its aliases written out"));
        }
        Ok(())
    }

    fn attach(&mut self, node: Node, merge: bool) -> Step {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { seen, key: slot @ None, .. } => {
                if matches!(node.kind(), Kind::Sequence(_) | Kind::Mapping(_)) {
                    let place = node.place().clone();
                    return Err(self.fault(&place, "a key must be plain text"));
                }
                let text: Arc<str> = node.text().into();
                let key = Key { text: Arc::clone(&text), place: node.place().clone() };
                let Some(first) = seen.get(&text).copied() else {
                    seen.insert(text, key.place.line);
                    *slot = Some((key, if merge { Role::Merge } else { Role::Entry }));
                    return Ok(());
                };
                *slot = Some((key.clone(), Role::Repeated));
                let message = format!("this key is given already at line {first}");
                let kind = ProblemKind::Syntax;
                self.problems.error(Problem::new(kind, &key.place, self.path(), message));
            }
            Content::Mapping { entries, key, merged, .. } => {
                match key.take() {
                    Some((key, Role::Entry)) => {
                        entries.push(Entry { key, value: node });
                        return Ok(());
                    }
                    Some((_, Role::Merge)) => {}
                    Some((_, Role::Repeated)) | None => return Ok(()),
                }
                let sources = match node.kind() {
                    Kind::Sequence(items) => items.as_slice(),
                    _ => std::slice::from_ref(&node),
                };
                let mut weight = 0;
                for source in sources {
                    let Kind::Mapping(from) = source.kind() else {
                        let found = source.describe();
                        let message = format!("expected a mapping to merge, found {found}");
                        let place = source.place().clone();
                        return Err(self.fault(&place, message));
                    };
                    merged.extend(from.iter().cloned());
                    weight += source.0.weight;
                }
                let place = node.place().clone();
                self.weigh(weight, &place)?;
            }
        }
        Ok(())
    }

    /// The path of the key that was read last.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.content {
                Content::Sequence(items) => path = format!("{path}[{}]", items.len()),
                Content::Mapping { key: Some((key, _)), .. } => path = join(&path, &key.text),
                Content::Mapping { key: None, .. } => {}
            }
        }
        path
    }

    fn scalar_kind(
        &self,
        text: &str,
        plain: bool,
        tag: Option<&Tag>,
    ) -> Result<Kind, &'static str> {
        let meaning = match (tag, scalar::resolve(text)) {
            (None, meaning) if plain => meaning,
            (None, _) => Plain::Text,
            (Some(tag), meaning) => match (tag.is_yaml_core_schema(), &*tag.suffix, meaning) {
                (true, "str", _) => Plain::Text,
                (false, "!", _) if tag.handle.is_empty() => Plain::Text,
                (true, "null", Plain::Null)
                | (true, "bool", Plain::Bool(_))
                | (true, "int", Plain::Integer(_))
                | (true, "float", Plain::Float(_)) => meaning,
                #[expect(clippy::cast_precision_loss, reason = "that is what the tag asks for")]
                (true, "float", Plain::Integer(value)) => Plain::Float(value as f64),
                (true, "null" | "bool" | "int" | "float", _) => {
                    return Err("the value is not what its tag says");
                }
                _ => return Err(UNKNOWN_TAG),
            },
        };
        Ok(match meaning {
            Plain::Null => Kind::Null,
            Plain::Bool(value) => Kind::Bool(value),
            Plain::Integer(value) => Kind::Integer(value),
            Plain::Float(value) => Kind::Float(value),
            Plain::Text => Kind::Text,
        })
    }

    fn place(&self, span: Span) -> Place {
        self.place_of(span.start)
    }

    fn place_of(&self, marker: Marker) -> Place {
        // The parser counts lines from one and columns from zero.
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(marker.col() + 1).unwrap_or(u32::MAX);
        Place { file: Arc::clone(&self.file), line, column }
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        // These texts are fixed; none repeats what the file says beyond one character.
        self.fault(&self.place_of(*error.marker()), error.info())
    }

    fn fault(&self, place: &Place, message: impl Into<String>) -> Box<Problem> {
        Box::new(Problem::new(ProblemKind::Syntax, place, "", message))
    }
}

const UNKNOWN_TAG: &str = "this tag is not known";
