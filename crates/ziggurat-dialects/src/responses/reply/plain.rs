//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use std::ops::Range;

use ziggurat_core::{ChatReply, Choice, Part, Str};

use super::decode::is_repeated;
use crate::openai_api::usage::{self, Counts};
use crate::responses::wire;
use crate::spelled::{Spelled, text_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str) -> Option<Box<ChatReply>> {
    let (mut id, mut model, mut tier, mut text) = (None, None, None, None);
    let (mut status, mut created, mut counts) = (None, None, None);
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"id" => id = Some(value.string()?),
            b"model" => model = Some(value.string()?),
            b"created_at" => created = Some(value.whole()?),
            b"status" => status = Some(value.word()?),
            b"usage" => counts = Some(usage::spelled(value, &usage::RESPONSES)?),
            b"output" => {
                value.pass("[")?;
                text = Some(message(value)?);
                value.pass("]")?;
            }
            b"service_tier" if !value.passes("null") => tier = Some(value.string()?),
            b"incomplete_details" => value.pass("null")?,
            name if is_repeated(name) => value.skip()?,
            // What is nothing says nothing.
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    if !matches!(status, None | Some(b"completed")) {
        return None;
    }
    let read =
        |place: Option<Range<usize>>| place.map_or(Some(Str::new()), |at| text_at(&at, body));
    let mut reply = Box::new(ChatReply::new(read(id)?, read(model)?));
    reply.created = created;
    reply.usage = counts.as_ref().and_then(Counts::usage);
    reply.service_tier = tier.map(|at| text_at(&at, body).ok_or(())).transpose().ok()?;
    let stop = wire::decode_stop(None, None, false, false);
    reply.choices = vec![Choice::new(0, vec![Part::text(text_at(&text?, body)?)], stop)];
    Some(reply)
}

/// Where the text of a message stands that is nothing else.
pub(super) fn message(item: &mut Spelled<'_>) -> Option<Range<usize>> {
    let (mut kind, mut text) = (None, None);
    item.members(|name, value| {
        match name {
            b"type" => kind = Some(value.word()?),
            b"id" | b"role" | b"status" | b"phase" => drop(value.word()?),
            b"content" => {
                text = Some(value.only_text("output_text", &["annotations", "logprobs"])?);
            }
            _ => return None,
        }
        Some(())
    })?;
    text.filter(|_| kind == Some(b"message"))
}
