//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use ziggurat_core::{ChatReply, Choice, Part, Restore, Str};

use super::{BILLED, restored};
use crate::cohere::{COHERE, stop, usage};
use crate::spelled::{Spelled, text_at, value_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str, restore: &Restore) -> Option<Box<ChatReply>> {
    let (mut id, mut text, mut word, mut counts) = (None, None, None, None);
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"id" => id = Some(value.string()?),
            b"finish_reason" => word = Some(value.word()?),
            b"message" => text = Some(value.only_content(|list| list.only_text("text", &[]))?),
            b"usage" => counts = Some(usage::spelled(value)?),
            // What is nothing says nothing.
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    let text = text_at(&text?, body).filter(|text| !text.is_empty())?;
    let id = id.map_or(Some(Str::new()), |at| text_at(&at, body))?;
    let word = word.map(std::str::from_utf8).transpose().ok()?;
    let mut part = Part::text(text);
    restored(&mut part, restore);
    let mut reply = Box::new(ChatReply::new(id, ""));
    reply.choices = vec![Choice::new(0, vec![part], stop::decode(word, false))];
    reply.extras.dialect = Some(COHERE);
    if let Some((counts, billed)) = counts {
        reply.usage = counts;
        if let Some(billed) = billed {
            reply.extras.push(Str::from_static(BILLED), value_at(billed, body)?);
        }
    }
    Some(reply)
}
