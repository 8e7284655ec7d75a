//! Reading files, and the files that they include.
//!
//! `include` is a list of files, relative to the file that names them. Their `model_list`s are
//! joined, the including file's first; every other section is merged key by key, and a key of the
//! including file, or of a file included before, wins.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::env::Environment;
use super::node::{self, Entry, Kind, MOST_BYTES, Node};
use super::problem::{Place, Problem, ProblemKind, Problems};
use super::read::{At, Reader};

/// How many files one configuration may consist of.
const MOST_FILES: usize = 100;

/// The documents that make up a configuration, those that win first.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) roots: Vec<Node>,
    /// Every file that was read or tried, the first one first.
    pub(super) files: Vec<PathBuf>,
    /// What stood in them.
    pub(super) contents: Contents,
}

/// What stands in files, as hashes; `None` in one that cannot be read.
pub(crate) type Contents = BTreeMap<PathBuf, Option<[u8; 32]>>;

/// What stands in these files now.
pub(crate) fn contents_of(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| (file.clone(), contents(file).ok().map(hash))).collect()
}

fn hash(text: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Reads a file and all it includes.
pub(super) fn read(
    path: &Path,
    env: &dyn Environment,
    problems: Problems,
) -> (Documents, Problems) {
    let mut walk = Walk {
        reader: Reader::new(env, problems),
        documents: Documents::default(),
        open: Vec::new(),
        seen: HashSet::new(),
    };
    walk.visit(path, None);
    (walk.documents, walk.reader.problems)
}

/// Reads one text, which can include nothing.
pub(super) fn read_text(
    text: &[u8],
    name: &str,
    env: &dyn Environment,
    problems: Problems,
) -> (Documents, Problems) {
    let mut reader = Reader::new(env, problems);
    let mut documents = Documents::default();
    if let Some(root) = document(text, &name.into(), &mut reader) {
        if let Some(at) = included(&root, &mut reader).first() {
            reader.problems.error(Problem::new(
                ProblemKind::File,
                at.node.place(),
                at.path.clone(),
                "only a file can include others",
            ));
        }
        documents.roots.push(root);
    }
    (documents, reader.problems)
}

/// One mapping out of several, the first of which wins where two have a key.
pub(super) fn merge(nodes: &[Node]) -> Option<Node> {
    let (first, rest) = nodes.split_first()?;
    rest.iter().try_fold(first.clone(), |merged, next| Some(merge_two(&merged, next)))
}

fn merge_two(first: &Node, second: &Node) -> Node {
    let (Kind::Mapping(ours), Kind::Mapping(theirs)) = (first.kind(), second.kind()) else {
        return first.clone();
    };
    let mut merged: Vec<Entry> = ours.clone();
    let index: HashMap<_, _> =
        ours.iter().enumerate().map(|(index, entry)| (&*entry.key.text, index)).collect();
    for entry in theirs {
        match index.get(&*entry.key.text) {
            Some(index) => merged[*index].value = merge_two(&merged[*index].value, &entry.value),
            None => merged.push(entry.clone()),
        }
    }
    first.with_entries(merged)
}

struct Walk<'e> {
    reader: Reader<'e>,
    documents: Documents,
    /// The files that are being read, each including the next; as the system knows them.
    open: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
}

// === impl Walk ===

impl Walk<'_> {
    fn visit(&mut self, path: &Path, from: Option<&At<'_>>) {
        self.documents.files.push(path.to_owned());
        let place = match from {
            Some(at) => at.node.place().clone(),
            None => Place::whole(path),
        };
        let key = from.map_or("", |at| &at.path);
        let fault = |message: String| Problem::new(ProblemKind::File, &place, key, message);
        let shown = path.display();

        // What cannot be resolved cannot be opened either, which is then told.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&real) {
            self.reader.problems.error(fault(format!("{shown} includes itself")));
            return;
        }
        if !self.seen.insert(real.clone()) {
            let message = format!("{shown} is included already and is not read again");
            self.reader.problems.warn(fault(message));
            return;
        }
        if self.seen.len() > MOST_FILES {
            // Told once, not for every file beyond.
            if self.seen.len() == MOST_FILES + 1 {
                self.reader.problems.error(fault(format!("more than {MOST_FILES} files")));
            }
            return;
        }
        let text = contents(path);
        let hashed = text.as_ref().ok().map(hash);
        self.documents.contents.insert(path.to_owned(), hashed);
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let message = match from {
                    Some(_) => format!("cannot read {shown}: {error}"),
                    None => format!("cannot be read: {error}"),
                };
                self.reader.problems.error(fault(message));
                return;
            }
        };
        let name: Arc<str> = shown.to_string().into();
        let Some(root) = document(&text, &name, &mut self.reader) else { return };
        self.documents.roots.push(root.clone());

        self.open.push(real);
        let folder = path.parent().unwrap_or(Path::new(""));
        for at in included(&root, &mut self.reader) {
            if let Some(file) = self.reader.word(&at) {
                self.visit(&folder.join(file), Some(&at));
            }
        }
        self.open.pop();
    }
}

/// The items of a document's `include`.
fn included<'n>(root: &'n Node, reader: &mut Reader<'_>) -> Vec<At<'n>> {
    let Kind::Mapping(entries) = root.kind() else { return Vec::new() };
    let Some(entry) = entries.iter().find(|entry| &*entry.key.text == "include") else {
        return Vec::new();
    };
    if entry.value.is_null() {
        return Vec::new();
    }
    let at = At { node: &entry.value, path: "include".to_owned() };
    reader.items(&at, "a sequence of file names").unwrap_or_default()
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than is allowed shows that there is more; the length that a file states is
    // none for a pipe.
    let file = File::open(path)?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Parses a document, whose top is a mapping.
fn document(text: &[u8], name: &Arc<str>, reader: &mut Reader<'_>) -> Option<Node> {
    reader.problems.open(name);
    let mut fault = |line: usize, column: usize, message: &str| {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let place = Place { file: Arc::clone(name), line: number(line), column: number(column) };
        reader.problems.error(Problem::new(ProblemKind::Syntax, &place, "", message));
    };
    if text.len() > MOST_BYTES {
        fault(0, 0, &format!("larger than {} MiB", MOST_BYTES >> 20));
        return None;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&text[..error.valid_up_to()]);
            let line = valid.rsplit('\n').next().unwrap_or_default().chars().count();
            fault(valid.matches('\n').count() + 1, line + 1, "not valid UTF-8");
            return None;
        }
    };
    let root = node::parse(text, name, &mut reader.problems)?;
    if !matches!(root.kind(), Kind::Mapping(_)) {
        let at = At { node: &root, path: String::new() };
        let found = root.describe();
        reader.error(&at, format!("expected a mapping at the top level, found {found}"));
        return None;
    }
    Some(root)
}
