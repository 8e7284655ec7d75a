//! Top-level edits, applied as a chain of slices.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::Typed;
use super::outline::Outline;
use crate::{Error, RawJson, Segments, Str};

/// Up to this size a body with edits is written into one buffer: a copy of so little costs less than sending slices.
const ONE_BUFFER: usize = 32 << 10;

/// What happens to a top-level member.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// It gets this value.
    Set(RawJson),
    /// It goes.
    Remove,
}

/// Edits by name; the latest holds.
#[derive(Debug, Default)]
pub(super) struct Edits {
    list: SmallVec<[(Str, Edit); 2]>,
    pub(super) typed: OnceLock<Result<Typed, Error>>,
}

impl Clone for Edits {
    fn clone(&self) -> Self {
        // A clone is made to be changed, so that what was decoded no longer holds.
        Self { list: self.list.clone(), typed: OnceLock::new() }
    }
}

impl Edits {
    pub(super) fn find(&self, name: &str) -> Option<&Edit> {
        self.list.iter().find(|(key, _)| key == name).map(|(_, edit)| edit)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Str, &Edit)> {
        self.list.iter().map(|(name, edit)| (name, edit))
    }

    pub(super) fn push(&mut self, name: Str, edit: Edit) {
        self.typed = OnceLock::new();
        match self.list.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = edit,
            None => self.list.push((name, edit)),
        }
    }

    /// The body with the edits applied.
    pub(super) fn apply(&self, text: &Str, outline: &Outline) -> Segments {
        let bytes = text.clone().into_bytes();
        let fresh: SmallVec<[(RawJson, &RawJson); 2]> = self
            .iter()
            .filter_map(|(name, edit)| match edit {
                Edit::Set(value) if outline.find(text, name).is_none() => {
                    Some((RawJson::string(name), value))
                }
                _ => None,
            })
            .collect();
        let mut out = Writer::new(&bytes);
        // Everything up to `done` of the old body is written or cut.
        let mut done = 0;
        let mut first = true;
        for (index, member) in outline.members().iter().enumerate() {
            match self.find(outline.name(text, member)) {
                None => first = false,
                Some(Edit::Set(value)) => {
                    first = false;
                    let span = member.value_span();
                    out.keep(done..span.start);
                    out.put(value.get());
                    done = span.end;
                }
                Some(Edit::Remove) => {
                    // The comma goes with the member: the one before it, or for the first member that stays the one after.
                    let next = outline.members().get(index + 1);
                    let from = if first || index == 0 {
                        member.name_span().start
                    } else {
                        outline.members()[index - 1].value_span().end
                    };
                    let to = match next {
                        Some(next) if first => next.name_span().start,
                        _ => member.value_span().end,
                    };
                    out.keep(done..from.max(done));
                    done = done.max(to);
                }
            }
        }
        let close = outline.close();
        for (name, value) in &fresh {
            out.keep(done..close.max(done));
            done = done.max(close);
            if !first {
                out.put(",");
            }
            first = false;
            out.put(name.get());
            out.put(":");
            out.put(value.get());
        }
        out.keep(done..bytes.len());
        out.finish()
    }
}

/// Collects pieces of the old body and new ones, and joins them: in one buffer when they are small.
struct Writer<'a> {
    old: &'a Bytes,
    pieces: SmallVec<[&'a [u8]; 12]>,
}

impl<'a> Writer<'a> {
    fn new(old: &'a Bytes) -> Self {
        Self { old, pieces: SmallVec::new() }
    }

    fn keep(&mut self, range: std::ops::Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(&self.old[range]);
        }
    }

    fn put(&mut self, text: &'a str) {
        self.pieces.push(text.as_bytes());
    }

    fn finish(self) -> Segments {
        let length: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        if length <= ONE_BUFFER {
            // A vector that is full becomes `Bytes` as it is.
            return Segments::from_iter([Bytes::from(self.pieces.concat())]);
        }
        let old = self.old.as_ptr_range();
        let mut segments = Segments::new();
        let mut fresh = BytesMut::new();
        for piece in self.pieces {
            if old.contains(&piece.as_ptr()) {
                if !fresh.is_empty() {
                    segments.push(fresh.split().freeze());
                }
                segments.push(self.old.slice_ref(piece));
            } else {
                fresh.extend_from_slice(piece);
            }
        }
        if !fresh.is_empty() {
            segments.push(fresh.freeze());
        }
        segments
    }
}
