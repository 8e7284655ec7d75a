//! A conversation as turns of text and pictures, for dialects in which a tool's answer is text (Ollama, Cohere).
//!
//! What such a dialect cannot carry is reported or refused here, so that whoever writes the turns has nothing left to decide.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;
use ziggurat_core::{
    Content, Error, Extras, Loss, LossAction, Losses, Message, Part, RawJson, Role, Severity,
    Source, Str, ToolCallKind,
};

use super::{Scene, Tools};
use crate::fields::{self, Field, Place};
use crate::normalise::Conversation;
use crate::tools::FAILED;
use crate::{Names, json, media};

/// What else a message may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Abilities {
    /// Pictures by their address.
    pub(crate) picture_urls: bool,
    /// Documents to be cited, beside the conversation.
    pub(crate) documents: bool,
}

/// What one speaker says.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// `System`, `User`, `Assistant` or `Tool`.
    pub(crate) role: Role,
    pub(crate) pieces: Vec<Piece<'a>>,
    /// What the assistant calls.
    pub(crate) calls: Vec<Call<'a>>,
    /// What a tool answers.
    pub(crate) answers: Option<Answers<'a>>,
    /// What else the message holds, in the dialect's own words.
    pub(crate) extras: Option<&'a Extras>,
}

/// A piece of a turn.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Text {
        text: Cow<'a, Str>,
        citations: &'a [RawJson],
    },
    Picture {
        source: &'a Source,
        detail: Option<&'a str>,
        extras: &'a Extras,
    },
    /// A document to be cited.
    Document(&'a Part),
    Thought(&'a str),
    /// As the dialect itself wrote it.
    Own(&'a RawJson),
}

impl<'a> Piece<'a> {
    fn text(text: &'a Str) -> Self {
        Self::Text { text: Cow::Borrowed(text), citations: &[] }
    }

    /// A text of ours.
    fn made(text: impl Into<Str>) -> Self {
        Self::Text { text: Cow::Owned(text.into()), citations: &[] }
    }
}

/// A call, by the names that are sent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: &'a Str,
    pub(crate) name: Str,
    pub(crate) arguments: &'a Str,
    /// Whether the arguments are free text.
    pub(crate) free: bool,
    pub(crate) extras: Option<&'a Extras>,
}

/// Which call is answered.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) id: &'a Str,
    /// The tool, where it is known.
    pub(crate) name: Option<Str>,
}

impl<'a> Turn<'a> {
    fn new(role: Role, pieces: Vec<Piece<'a>>) -> Self {
        Self { role, pieces, calls: Vec::new(), answers: None, extras: None }
    }

    /// What was thought.
    pub(crate) fn thoughts(&self) -> impl Iterator<Item = &'a str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Thought(text) => Some(*text),
            _ => None,
        })
    }

    /// About how many bytes it takes when it is written: pictures are nearly all of it.
    pub(crate) fn size_hint(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text { text, .. } => text.json_len() + 32,
            Piece::Picture { source: Source::Base64 { data, .. }, .. } => data.len() + 64,
            Piece::Thought(text) => text.len() + 32,
            _ => 128,
        });
        let calls = self.calls.iter().map(|call| call.arguments.len() + 128);
        64 + pieces.sum::<usize>() + calls.sum::<usize>()
    }

    /// The texts, joined by `between`.
    pub(crate) fn text(&self, between: &str) -> Cow<'_, Str> {
        let texts: SmallVec<[&Str; 2]> = self.texts().collect();
        json::joined(&texts, between)
    }

    /// The texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
    }
}

/// Takes a conversation apart.
pub(crate) fn turns<'a>(
    talk: &'a Conversation<'a>,
    scene: &Scene<'_>,
    can: Abilities,
    tools: &mut Tools<'_>,
    losses: &mut Losses,
) -> Result<Vec<Turn<'a>>, Error> {
    let mut taker = Taker {
        scene,
        can,
        tools,
        losses,
        turns: Vec::with_capacity(talk.messages.len() + 1),
        shown: Vec::new(),
        names: BTreeMap::new(),
    };
    taker.prompt(&talk.system)?;
    for message in talk.messages.iter() {
        taker.message(message)?;
    }
    taker.show();
    Ok(taker.turns)
}

struct Taker<'a, 't, 'p> {
    scene: &'t Scene<'t>,
    can: Abilities,
    tools: &'t mut Tools<'p>,
    losses: &'t mut Losses,
    turns: Vec<Turn<'a>>,
    /// Pictures in tools' answers: only the user can show them.
    shown: Vec<(String, Piece<'a>)>,
    /// Which tool a call called.
    names: BTreeMap<&'a str, Str>,
}

impl<'a> Taker<'a, '_, '_> {
    fn prompt(&mut self, parts: &'a [Part]) -> Result<(), Error> {
        let names = self.scene.names;
        let mut pieces = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let place = || match names {
                Names::Anthropic | Names::Superset => names.item(names.name(Field::System), index),
                _ => names.name(Field::System).into(),
            };
            pieces.extend(self.operator(part, &place)?.map(|piece| (piece, &part.extras)));
        }
        if self.scene.is_own() {
            // Each was a message of its own.
            self.turns.extend(pieces.into_iter().map(|(piece, extras)| {
                let extras = (!extras.is_empty()).then_some(extras);
                Turn { extras, ..Turn::new(Role::System, vec![piece]) }
            }));
        } else if !pieces.is_empty() {
            let pieces = pieces.into_iter().map(|(piece, _)| piece).collect();
            self.turns.push(Turn::new(Role::System, pieces));
        }
        Ok(())
    }

    /// What the operator says: text only.
    fn operator(&mut self, part: &'a Part, place: Place<'_>) -> Result<Option<Piece<'a>>, Error> {
        self.beside(part, place)?;
        match part.shared_text() {
            Some(text) => Ok(Some(Piece::text(text))),
            None => {
                let reason = "a system prompt is text only";
                self.losses.drop(Severity::Grave, place(), reason)?;
                Ok(None)
            }
        }
    }

    fn message(&mut self, message: &'a Message) -> Result<(), Error> {
        let names = self.scene.names;
        if message.name.is_some() {
            let path = names.member(&names.message(message), "name");
            self.losses.drop(Severity::Harmless, path, "speakers have no names there")?;
        }
        self.extras(&message.extras, || names.message(message))?;
        match message.role {
            Role::User | Role::Tool => self.user(message),
            Role::Assistant => {
                self.show();
                self.assistant(message)
            }
            _ => {
                self.show();
                let mut pieces = Vec::with_capacity(message.parts.len());
                for (index, part) in message.parts.iter().enumerate() {
                    pieces.extend(self.operator(part, &|| names.part(message, index))?);
                }
                self.push(Turn::new(Role::System, pieces), message);
                Ok(())
            }
        }
    }

    /// What the tools answered, then what the user says.
    fn user(&mut self, message: &'a Message) -> Result<(), Error> {
        let names = self.scene.names;
        let mut said = Vec::with_capacity(message.parts.len());
        let mut results = 0;
        for (index, part) in message.parts.iter().enumerate() {
            let place = || names.part(message, index);
            if let Content::ToolResult { .. } = part.content {
                results += 1;
                self.result(message, part, &place)?;
            } else {
                self.beside(part, &place)?;
                said.extend(self.piece(part, &place)?);
            }
        }
        if results > 0 && said.is_empty() {
            return Ok(());
        }
        let mut pieces = Vec::with_capacity(said.len() + self.shown.len());
        self.take_shown(&mut pieces);
        pieces.append(&mut said);
        let turn = Turn::new(Role::User, pieces);
        if results == 0 {
            self.push(turn, message);
        } else {
            self.turns.push(turn);
        }
        Ok(())
    }

    /// Adds a turn that is a whole message.
    fn push(&mut self, mut turn: Turn<'a>, message: &'a Message) {
        let own = message.extras.dialect == Some(self.scene.own) && !message.extras.is_empty();
        turn.extras = own.then_some(&message.extras);
        self.turns.push(turn);
    }

    fn take_shown(&mut self, pieces: &mut Vec<Piece<'a>>) {
        for (label, piece) in self.shown.drain(..) {
            pieces.push(Piece::made(format!("[{label}]")));
            pieces.push(piece);
        }
    }

    /// Shows what tools showed as a message of the user, if nobody did so yet.
    fn show(&mut self) {
        if !self.shown.is_empty() {
            let mut pieces = Vec::with_capacity(self.shown.len());
            self.take_shown(&mut pieces);
            self.turns.push(Turn::new(Role::User, pieces));
        }
    }

    fn result(
        &mut self,
        message: &'a Message,
        part: &'a Part,
        place: Place<'_>,
    ) -> Result<(), Error> {
        let Content::ToolResult { call_id, name, parts, is_error } = &part.content else {
            return Ok(());
        };
        self.beside(part, place)?;
        let mut pieces = Vec::with_capacity(parts.len());
        for inner in parts {
            self.beside(inner, place)?;
            match self.piece(inner, place)? {
                Some(piece @ Piece::Picture { .. }) => {
                    let label = format!("image {}", self.shown.len() + 1);
                    pieces.push(Piece::made(format!("[{label} below]")));
                    let reason = "what a tool shows is shown by the user";
                    self.losses.emulate(place(), reason);
                    self.shown.push((label, piece));
                }
                piece => pieces.extend(piece),
            }
        }
        if *is_error {
            // There is no other way to say it.
            match pieces.first_mut() {
                Some(Piece::Text { text, .. }) => {
                    *text = Cow::Owned(format!("{FAILED}{text}").into());
                }
                _ => pieces.insert(0, Piece::made(Str::from_static(FAILED))),
            }
        } else if pieces.is_empty() && !self.scene.is_own() {
            pieces.push(Piece::made(Str::from_static("(empty)")));
        }
        let name = match name {
            Some(name) => Some(self.tools.name(name)),
            None if self.scene.is_own() => None,
            None => self.names.get(call_id.as_str()).cloned(),
        };
        let mut turn = Turn::new(Role::Tool, pieces);
        turn.answers = Some(Answers { id: call_id, name });
        if message.parts.len() == 1 {
            self.push(turn, message);
        } else {
            self.turns.push(turn);
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<(), Error> {
        let names = self.scene.names;
        let own = self.scene.is_own();
        let mut turn = Turn::new(Role::Assistant, Vec::with_capacity(message.parts.len()));
        for (index, part) in message.parts.iter().enumerate() {
            let place = || names.part(message, index);
            self.beside(part, &place)?;
            match &part.content {
                Content::ToolCall { id, name, arguments, kind, .. } => {
                    let name = self.tools.name(name);
                    let free = *kind == ToolCallKind::Custom || self.tools.is_custom(&name);
                    self.names.insert(id.as_str(), name.clone());
                    let extras = own.then_some(&part.extras);
                    turn.calls.push(Call { id, name, arguments, free, extras });
                }
                Content::Reasoning { text, redacted: None, .. } if own => {
                    turn.pieces.push(Piece::Thought(text));
                }
                Content::Reasoning { .. } => {
                    let reason = "reasoning is not sent to another provider";
                    let place = names.message(message);
                    self.losses.note(Loss::new(place, reason, LossAction::Dropped));
                }
                // What another provider's own tools did is state of that provider's.
                Content::Opaque { .. } if part.extras.dialect != Some(self.scene.own) => {
                    let reason = "it means something to its own provider only";
                    self.losses.note(Loss::new(place(), reason, LossAction::Dropped));
                }
                Content::Text { citations, .. } if !own && !citations.is_empty() => {
                    let reason = "citations of another provider are left out";
                    turn.pieces.extend(self.piece(part, &place)?);
                    self.losses.note(Loss::new(place(), reason, LossAction::Dropped));
                }
                _ => turn.pieces.extend(self.piece(part, &place)?),
            }
        }
        let silent = turn.pieces.is_empty() && turn.calls.is_empty();
        if !silent || message.parts.is_empty() {
            self.push(turn, message);
        }
        Ok(())
    }

    fn piece(&mut self, part: &'a Part, place: Place<'_>) -> Result<Option<Piece<'a>>, Error> {
        let refuse = |losses: &mut Losses, reason: &'static str| {
            losses.drop(Severity::Grave, place(), reason).map(|()| None)
        };
        match &part.content {
            Content::Text { text, citations } => {
                let citations = if self.scene.is_own() { &citations[..] } else { &[] };
                Ok(Some(Piece::Text { text: Cow::Borrowed(text), citations }))
            }
            Content::Refusal { text } => {
                self.losses.emulate(place(), "a refusal is sent as text");
                Ok(Some(Piece::text(text)))
            }
            Content::Image { source, detail } => match source {
                Source::Url(_) if !self.can.picture_urls => {
                    refuse(self.losses, "a picture must be in the request itself there")
                }
                Source::Url(_) | Source::Base64 { .. } => {
                    let detail = detail.as_deref();
                    // Whoever takes no addresses takes the bytes alone.
                    if !self.can.picture_urls && detail.is_some_and(|detail| detail != "auto") {
                        let path = self.scene.names.member(&place(), "detail");
                        let reason = "the target has no such field";
                        self.losses.drop(Severity::Harmless, path, reason)?;
                    }
                    Ok(Some(Piece::Picture { source, detail, extras: &part.extras }))
                }
                _ => refuse(self.losses, "the picture is with another provider"),
            },
            Content::Document { .. } => self.document(part, place),
            Content::Audio { .. } => refuse(self.losses, "the target does not hear"),
            Content::Video { .. } => refuse(self.losses, "the target does not watch"),
            Content::Opaque { value, .. } if part.extras.dialect == Some(self.scene.own) => {
                Ok(Some(Piece::Own(value)))
            }
            _ => refuse(self.losses, "it means something in its own dialect only"),
        }
    }

    /// A document: to be cited, or as text.
    fn document(&mut self, part: &'a Part, place: Place<'_>) -> Result<Option<Piece<'a>>, Error> {
        let Content::Document { source, title, context, citations } = &part.content else {
            return Ok(None);
        };
        let text = match source {
            Source::Text { text, .. } => {
                if self.can.documents && *citations == Some(true) {
                    return Ok(Some(Piece::Document(part)));
                }
                text.clone()
            }
            Source::Base64 { media_type, data } => match unpacked(media_type, data) {
                Some(text) => text,
                None => {
                    let reason = "the target reads no documents but text";
                    self.losses.drop(Severity::Grave, place(), reason)?;
                    return Ok(None);
                }
            },
            _ => {
                let reason = "a document must be in the request itself there, as text";
                self.losses.drop(Severity::Grave, place(), reason)?;
                return Ok(None);
            }
        };
        self.losses.emulate(place(), "the document is sent as text");
        if *citations == Some(true) {
            let path = self.scene.names.member(&place(), "citations");
            self.losses.drop(Severity::Harmless, path, "documents are not cited there")?;
        }
        let head: String =
            [title, context].into_iter().flatten().map(|text| format!("{text}\n")).collect();
        Ok(Some(Piece::made(head + &text)))
    }

    /// What a part holds beside its content: marks, and members of another dialect.
    fn beside(&mut self, part: &Part, place: Place<'_>) -> Result<(), Error> {
        if part.cache.is_some() {
            let name = self.scene.names.name(Field::CacheAuto);
            self.losses.drop(
                Severity::Harmless,
                name,
                "prompts are not marked for a cache there",
            )?;
        }
        self.extras(&part.extras, place)
    }

    fn extras(
        &mut self,
        extras: &Extras,
        path: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<(), Error> {
        if extras.is_empty() || extras.dialect == Some(self.scene.own) {
            return Ok(());
        }
        let path = path();
        for (name, _) in &extras.members {
            fields::lose(extras.dialect, format!("{path}.{name}"), self.losses)?;
        }
        Ok(())
    }
}

/// The text that was packed as base64, if it is text.
fn unpacked(media_type: &str, data: &str) -> Option<Str> {
    let kind = media::sniff(data).unwrap_or(media_type);
    let is_text = kind.starts_with("text/")
        || matches!(kind, "application/json" | "application/xml" | "application/yaml");
    let bytes = is_text.then(|| STANDARD.decode(data.as_bytes()).ok()).flatten()?;
    String::from_utf8(bytes).ok().map(Str::from)
}
