//! Documents beside the conversation, which the answer cites.

use serde_json::value::RawValue;
use ziggurat_core::{Chat, Content, Error, Message, Part, RawJson, Role, Source, Str};

use crate::cohere::COHERE;
use crate::json::{self, Array, At, Fields, Object};
use crate::plan::{Piece, Turn};

/// How the data of a document is labelled: it is an object.
const DATA: &str = "application/json";

/// Reads the documents: texts, or objects.
pub(super) fn decode(value: &Str, at: At<'_>) -> Result<Vec<Part>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of documents")?;
    let read = |(index, raw): (usize, &&RawValue)| {
        let at = at.index(index);
        match raw.get().starts_with('"') {
            true => {
                let text = json::read_text(raw.get(), value, at)?;
                Ok(document("text/plain", text, None))
            }
            false => decode_one(raw.get(), value, at),
        }
    };
    items.iter().enumerate().map(read).collect()
}

/// Reads one document that is an object: its data, and what it is called.
pub(super) fn decode_one(raw: &str, body: &Str, at: At<'_>) -> Result<Part, Error> {
    let mut fields: Fields<'_> = json::read(raw, at, "a text or an object")?;
    let id = fields.text("id", body, at)?;
    let mut part = match fields.take("data") {
        Some(data) if data.starts_with('"') => {
            document("text/plain", json::read_text(data, body, at.name("data"))?, id)
        }
        Some(data) => document(DATA, json::compact(data, body), id),
        None => return Err(at.name("data").error("this field is required")),
    };
    fields.leave(&mut part.extras, body);
    if !part.extras.is_empty() {
        part.extras.dialect = Some(COHERE);
    }
    Ok(part)
}

fn document(media_type: &'static str, text: Str, title: Option<Str>) -> Part {
    let source = Source::Text { media_type: Str::from_static(media_type), text };
    Part::new(Content::Document { source, title, context: None, citations: Some(true) })
}

/// Puts documents at the beginning of what the user says last.
pub(super) fn attach(chat: &mut Chat, documents: Vec<Part>) {
    if documents.is_empty() {
        return;
    }
    match chat.messages.iter_mut().rev().find(|message| message.role == Role::User) {
        Some(message) => drop(message.parts.splice(0..0, documents)),
        None => chat.messages.push(Message::new(Role::User, documents)),
    }
}

/// The documents among the turns of the user, wherever they stand.
pub(super) fn of<'t, 'a>(turns: &'t [Turn<'a>]) -> impl Iterator<Item = &'a Part> + use<'t, 'a> {
    let users = turns.iter().filter(|turn| turn.role == Role::User);
    users.flat_map(|turn| &turn.pieces).filter_map(|piece| match piece {
        Piece::Document(part) => Some(*part),
        _ => None,
    })
}

/// Writes the list of documents.
pub(super) fn write<'a>(documents: impl Iterator<Item = &'a Part>, out: &mut Vec<u8>) {
    let mut array = Array::begin(out);
    for (index, part) in documents.enumerate() {
        let Content::Document { source: Source::Text { media_type, text }, title, context, .. } =
            &part.content
        else {
            continue;
        };
        if title.is_none() && context.is_none() && media_type != DATA {
            json::string(array.item(), text);
        } else {
            write_one(part, &format!("doc_{index}"), array.item());
        }
    }
    array.end();
}

/// Writes one document as an object; `id` is its name if it has none.
pub(super) fn write_one(part: &Part, id: &str, out: &mut Vec<u8>) {
    let Content::Document { source: Source::Text { media_type, text }, title, context, .. } =
        &part.content
    else {
        return out.extend_from_slice(b"{}");
    };
    let mut object = Object::begin(out);
    if media_type == DATA && RawJson::parse(text.clone()).is_ok_and(|data| data.is_object()) {
        if let Some(title) = title {
            object.text("id", title);
        }
        object.raw("data", text);
    } else {
        object.text("id", title.as_deref().unwrap_or(id));
        let mut data = Object::begin(object.member("data"));
        for (name, value) in [("title", title), ("context", context)] {
            if let Some(value) = value {
                data.text(name, value);
            }
        }
        data.text("text", text);
        data.end();
    }
    if part.extras.dialect == Some(COHERE) {
        object.extras(&part.extras);
    }
    object.end();
}

/// Whether a part is a document that is written here.
pub(super) fn is_cited(part: &Part) -> bool {
    let Content::Document { source, citations, .. } = &part.content else { return false };
    *citations == Some(true) && matches!(source, Source::Text { .. })
}
