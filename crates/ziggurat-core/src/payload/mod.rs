//! The body of a call: as it came, as it came with edits, or typed.

mod edit;
mod members;
mod outline;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Body, Chat, Dialect, Embed, Error, Operation, RawJson, Rerank, Segments, Stored, Str};

use edit::{Edit, Edits};
pub use members::Members;
pub use outline::{Member, Outline};

/// The body of a call, immutable and shared: cloning copies nothing.
///
/// It is in one of three states: *wire* (the bytes that came), *wire with edits* (a few top-level members set, put in or cut
/// out), or *typed* (built in code, or rewritten). The typed form of a wire payload is decoded at most once, on demand.
///
/// ```
/// use std::sync::Arc;
/// use ziggurat_core::{Chat, Operation, Payload, Typed};
///
/// let mut payload = Payload::typed(Typed::Chat(Arc::new(Chat::new())));
/// payload.edit_chat(|chat| chat.max_output_tokens = Some(100)).unwrap();
/// assert_eq!(payload.operation(), Operation::Chat);
/// assert_eq!(payload.chat().unwrap().max_output_tokens, Some(100));
/// ```
#[derive(Clone, Debug)]
pub struct Payload {
    base: Arc<Base>,
    edits: Option<Arc<Edits>>,
}

// There is one of these a call, behind an `Arc`: a second box would be a second allocation.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum Base {
    Wire(Wire),
    Typed(Typed),
}

#[derive(Debug)]
struct Wire {
    dialect: Dialect,
    operation: Operation,
    text: Str,
    outline: Outline,
    typed: OnceLock<Result<Typed, Error>>,
}

/// A request in the superset's terms, by operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Typed {
    /// A conversation to continue.
    Chat(Arc<Chat>),
    /// A conversation whose tokens are to be counted.
    CountTokens(Arc<Chat>),
    /// Which models there are; `Some` asks for one of them.
    Models(Option<Str>),
    /// What is to be turned into vectors.
    Embed(Arc<Embed>),
    /// What is to be put in order.
    Rerank(Arc<Rerank>),
    /// What is asked of an answer that was kept.
    Stored(Stored),
    /// Something that only its own dialect has a word for: it can be passed on as it came, and nowhere else.
    Own(Operation),
}

impl Typed {
    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Chat(_) => Operation::Chat,
            Self::CountTokens(_) => Operation::CountTokens,
            Self::Models(_) => Operation::Models,
            Self::Embed(_) => Operation::Embeddings,
            Self::Rerank(_) => Operation::Rerank,
            Self::Stored(_) => Operation::Stored,
            Self::Own(operation) => *operation,
        }
    }

    /// The conversation, if there is one.
    #[must_use]
    pub fn chat(&self) -> Option<&Arc<Chat>> {
        match self {
            Self::Chat(chat) | Self::CountTokens(chat) => Some(chat),
            Self::Models(_) | Self::Embed(_) | Self::Rerank(_) | Self::Stored(_) | Self::Own(_) => {
                None
            }
        }
    }
}

impl Payload {
    /// The bytes of a request as they came. The outline is read at once, the rest when someone asks.
    ///
    /// # Errors
    ///
    /// A 400 when the bytes are not one JSON object in UTF-8, or when two top-level members have one name: a check would see
    /// one of them and the provider the other.
    pub fn wire(dialect: Dialect, operation: Operation, body: Bytes) -> Result<Self, Error> {
        let text = Str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            Error::invalid(format!("the body is not valid UTF-8 (at byte {at})"))
        })?;
        let outline = Outline::read(&text)?;
        let wire = Wire { dialect, operation, text, outline, typed: OnceLock::new() };
        Ok(Self { base: Arc::new(Base::Wire(wire)), edits: None })
    }

    /// A payload built in code.
    #[must_use]
    pub fn typed(typed: Typed) -> Self {
        Self { base: Arc::new(Base::Typed(typed)), edits: None }
    }

    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match &*self.base {
            Base::Wire(wire) => wire.operation,
            Base::Typed(typed) => typed.operation(),
        }
    }

    /// The dialect of the bytes, if there are bytes.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        match &*self.base {
            Base::Wire(wire) => Some(wire.dialect),
            Base::Typed(_) => None,
        }
    }

    /// The bytes as they came, without edits.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        match &*self.base {
            Base::Wire(wire) => Some(wire.text.clone().into_bytes()),
            Base::Typed(_) => None,
        }
    }

    /// A top-level member of a wire payload as JSON text, edits included.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Str> {
        match self.edits.as_deref().and_then(|edits| edits.find(name)) {
            Some(Edit::Set(value)) => return Some(value.clone().into_text()),
            Some(Edit::Remove) => return None,
            None => {}
        }
        match &*self.base {
            Base::Wire(wire) => wire.outline.find(&wire.text, name).map(|m| m.value(&wire.text)),
            Base::Typed(_) => None,
        }
    }

    /// The names of the top-level members of a wire payload, unescaped, edits included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let edits = self.edits.as_deref();
        let wire = match &*self.base {
            Base::Wire(wire) => Some(wire),
            Base::Typed(_) => None,
        };
        let came = wire.into_iter().flat_map(|wire| {
            wire.outline.members().iter().map(|member| wire.outline.name(&wire.text, member))
        });
        let came = came.filter(move |name| edits.is_none_or(|edits| edits.find(name).is_none()));
        let set = edits.into_iter().flat_map(Edits::iter).filter_map(|(name, edit)| match edit {
            Edit::Set(_) => Some(name.as_str()),
            Edit::Remove => None,
        });
        came.chain(set)
    }

    /// Sets a top-level member, in place of what is there. On a typed payload it does nothing: see [`edit_chat`](Self::edit_chat).
    pub fn set(&mut self, name: impl Into<Str>, value: RawJson) {
        self.push(name.into(), Edit::Set(value));
    }

    /// Puts a top-level member in where the caller said nothing, or `null`.
    pub fn set_default(&mut self, name: impl Into<Str>, value: RawJson) {
        let name = name.into();
        if self.member(&name).is_none_or(|old| old == "null") {
            self.set(name, value);
        }
    }

    /// Cuts a top-level member out.
    pub fn remove(&mut self, name: impl Into<Str>) {
        let name = name.into();
        if self.member(&name).is_some() {
            self.push(name, Edit::Remove);
        }
    }

    /// The bytes with the edits applied, as a chain of slices; `None` for a typed payload.
    #[must_use]
    pub fn segments(&self) -> Option<Segments> {
        match &*self.base {
            Base::Wire(wire) => Some(match &self.edits {
                None => Segments::from_iter([wire.text.clone().into_bytes()]),
                Some(edits) => edits.apply(&wire.text, &wire.outline),
            }),
            Base::Typed(_) => None,
        }
    }

    /// [`segments`](Self::segments) with one more member set, which does not cost a changed payload.
    #[must_use]
    pub fn segments_setting(&self, name: &Str, value: &RawJson) -> Option<Segments> {
        let Base::Wire(wire) = &*self.base else { return None };
        let mut edits = self.edits.as_deref().cloned().unwrap_or_default();
        edits.push(name.clone(), Edit::Set(value.clone()));
        Some(edits.apply(&wire.text, &wire.outline))
    }

    /// The body to send, with the edits applied; `None` for a typed payload.
    #[must_use]
    pub fn body(&self) -> Option<Body> {
        self.segments().map(Body::segments)
    }

    /// The request in the superset's terms, decoded at most once.
    ///
    /// # Errors
    ///
    /// A 400 that names the field at fault. It is remembered, too.
    pub fn decode(&self) -> Result<&Typed, Error> {
        let wire = match &*self.base {
            Base::Typed(typed) => return Ok(typed),
            Base::Wire(wire) => wire,
        };
        let (cell, edits) = match self.edits.as_deref() {
            None => (&wire.typed, None),
            Some(edits) => (&edits.typed, Some(edits)),
        };
        let decoded = cell.get_or_init(|| {
            let members = Members::of(&wire.text, &wire.outline, edits);
            wire.dialect.decode_request(wire.operation, &members)
        });
        decoded.as_ref().map_err(Clone::clone)
    }

    /// The conversation, decoded at most once.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode); also when the call is no conversation.
    pub fn chat(&self) -> Result<&Arc<Chat>, Error> {
        let typed = self.decode()?;
        typed.chat().ok_or_else(|| Error::invalid("the call is no conversation"))
    }

    /// Changes the conversation. The payload is typed from then on: its bytes are made anew, by whichever dialect it leaves in.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub fn edit_chat(&mut self, edit: impl FnOnce(&mut Chat)) -> Result<(), Error> {
        let mut chat = Arc::clone(self.chat()?);
        edit(Arc::make_mut(&mut chat));
        let typed = match self.operation() {
            Operation::CountTokens => Typed::CountTokens(chat),
            _ => Typed::Chat(chat),
        };
        *self = Self::typed(typed);
        Ok(())
    }

    fn push(&mut self, name: Str, edit: Edit) {
        if matches!(*self.base, Base::Wire(_)) {
            let edits = self.edits.get_or_insert_default();
            Arc::make_mut(edits).push(name, edit);
        }
    }
}
