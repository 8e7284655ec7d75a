//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use std::ops::Range;

use ziggurat_core::{ChatReply, Choice, Part, Restore, Str};

use crate::anthropic::stop;
use crate::anthropic::usage::Counts;
use crate::spelled::{Spelled, text_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str, restore: &Restore) -> Option<Box<ChatReply>> {
    let (mut id, mut model, mut text, mut reason, mut sequence) = (None, None, None, None, None);
    let (mut kind, mut usage) = (None, None);
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"type" => kind = Some(value.word()?),
            b"role" => drop(value.word()?),
            b"id" => id = Some(value.string()?),
            b"model" => model = Some(value.string()?),
            b"content" => text = Some(value.only_text("text", &[])?),
            b"stop_reason" => reason = Some(value.word()?),
            b"stop_sequence" if !value.passes("null") => sequence = Some(value.string()?),
            b"usage" => usage = Some(Counts::spelled(value)?),
            // What is nothing says nothing.
            b"stop_sequence" => {}
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    if kind != Some(b"message") {
        return None;
    }
    let read =
        |place: Option<Range<usize>>| place.map_or(Some(Str::new()), |at| text_at(&at, body));
    let sequence = sequence.map(|at| text_at(&at, body).ok_or(())).transpose().ok()?;
    let mut reply = Box::new(ChatReply::new(read(id)?, read(model)?));
    let reason = std::str::from_utf8(reason.unwrap_or_default()).ok()?;
    let stop = stop::decode(reason, sequence, None, false);
    let mut part = Part::text(text_at(&text?, body)?);
    super::undo(&mut part, restore);
    reply.choices = vec![Choice::new(0, vec![part], stop)];
    if let Some((counts, tier)) = usage {
        reply.usage = Some(counts.usage());
        reply.service_tier = tier.map(|at| text_at(&at, body).ok_or(())).transpose().ok()?;
    }
    Some(reply)
}
