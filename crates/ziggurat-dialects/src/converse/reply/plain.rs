//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use std::ops::Range;

use ziggurat_core::{ChatReply, Choice, Part, Restore, ServiceTier, Str};

use super::undo;
use crate::converse::{CONVERSE, stop, usage};
use crate::spelled::{Spelled, text_at, value_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str, restore: &Restore) -> Option<Box<ChatReply>> {
    let (mut text, mut word, mut counts, mut tier, mut metrics) = (None, None, None, None, None);
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"output" => text = Some(output(value)?),
            b"stopReason" => word = Some(value.string()?),
            b"usage" => counts = usage::spelled(value)?,
            b"serviceTier" => {
                value.pass(r#"{"type":"#)?;
                tier = Some(value.string()?);
                value.pass("}")?;
            }
            // A name that comes twice would be kept once.
            b"metrics" if metrics.is_none() => {
                let time = |value: &mut Spelled<'_>| {
                    value.pass(r#"{"latencyMs":"#)?;
                    value.count()?;
                    value.pass("}")
                };
                metrics = Some((name, value.placed(time)?.1));
            }
            // What is nothing says nothing.
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    let read = |place: Range<usize>| text_at(&place, body);
    let mut part = Part::text(read(text?)?);
    undo(&mut part, restore);
    let word = word.map_or(Some(Str::new()), read)?;
    let mut reply = Box::new(ChatReply::new("", ""));
    reply.choices = vec![Choice::new(0, vec![part], stop::decode(&word, None, false))];
    reply.usage = counts;
    if let Some(tier) = tier {
        let tier = read(tier)?;
        if let Some(usage) = &mut reply.usage {
            usage.tier = ServiceTier::parse(&tier);
        }
        reply.service_tier = Some(tier);
    }
    if let Some((name, place)) = metrics {
        reply.extras.dialect = Some(CONVERSE);
        let name = body.slice_ref(std::str::from_utf8(name).ok()?);
        reply.extras.push(name, value_at(place, body)?);
    }
    Some(reply)
}

/// Where the only text of a message stands.
fn output(object: &mut Spelled<'_>) -> Option<Range<usize>> {
    object.pass(r#"{"message":"#)?;
    let text = object.only_content(|list| {
        list.pass(r#"[{"text":"#)?;
        let text = list.string()?;
        list.pass("}]")?;
        Some(text)
    })?;
    object.pass("}")?;
    Some(text)
}
