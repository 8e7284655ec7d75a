//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use std::ops::Range;

use smallvec::SmallVec;
use ziggurat_core::{ChatReply, Choice, Part, RawJson, Restore, Stop, StopReason, Str};

use super::decode::answer_part;
use crate::clock::unix_seconds;
use crate::gemini::{GEMINI, stop, usage};
use crate::json::{self, Object};
use crate::spelled::{Spelled, text_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str, restore: &Restore) -> Option<Box<ChatReply>> {
    let (mut candidate, mut counts) = (None, None);
    let (mut id, mut model, mut created) = (None, None, None);
    let mut rest: Rest<'_> = SmallVec::new();
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"candidates" => candidate = Some(Candidate::only(value)?),
            b"usageMetadata" => {
                rest.clear();
                counts = usage::spelled(value, |name, place| rest.push((name, place)))?;
            }
            b"modelVersion" => model = Some(value.string()?),
            b"responseId" => id = Some(value.string()?),
            b"createTime" => created = Some(value.word()?),
            // What is nothing says nothing.
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    let read =
        |place: Option<Range<usize>>| place.map_or(Some(Str::new()), |at| text_at(&at, body));
    let mut reply = Box::new(ChatReply::new(read(id)?, read(model)?));
    reply.choices = vec![candidate?.choice(body, &reply.id, restore)?];
    reply.created = created.and_then(|time| unix_seconds(std::str::from_utf8(time).ok()?));
    reply.usage = counts;
    if !rest.is_empty() {
        reply.extras.dialect = Some(GEMINI);
        reply.extras.push(Str::from_static("usageMetadata"), object(&rest, body)?);
    }
    Some(reply)
}

/// Counts that the superset has no field for: name and place.
type Rest<'a> = SmallVec<[(&'a [u8], Range<usize>); 4]>;

fn object(rest: &Rest<'_>, body: &str) -> Option<RawJson> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    for (name, place) in rest {
        object.raw_named(std::str::from_utf8(name).ok()?, body.get(place.clone())?);
    }
    object.end();
    json::raw_json(out)
}

#[derive(Default)]
struct Candidate<'a> {
    index: u64,
    text: Option<Range<usize>>,
    word: Option<&'a [u8]>,
}

impl<'a> Candidate<'a> {
    fn only(list: &mut Spelled<'a>) -> Option<Self> {
        let mut candidate = Self::default();
        list.pass("[")?;
        list.members(|name, value| match name {
            b"content" => {
                candidate.text = None;
                value.members(|name, value| match name {
                    b"parts" => {
                        value.pass(r#"[{"text":"#)?;
                        candidate.text = Some(value.string()?);
                        value.pass("}]")
                    }
                    b"role" => value.word().map(drop),
                    _ => None,
                })
            }
            b"finishReason" => value.word().map(|word| candidate.word = Some(word)),
            b"index" => value.count().map(|index| candidate.index = index),
            _ => value.pass("null"),
        })?;
        list.pass("]")?;
        Some(candidate)
    }

    fn choice(self, body: &Str, reply: &str, restore: &Restore) -> Option<Choice> {
        let text = text_at(&self.text?, body).filter(|text| !text.is_empty())?;
        let index = u32::try_from(self.index).ok()?;
        let mut part = Part::text(text);
        answer_part(&mut part, reply, index, &mut 0, restore);
        let stop = match self.word {
            Some(word) => stop::decode(std::str::from_utf8(word).ok()?, None, false),
            None => Stop::new(StopReason::Other),
        };
        Some(Choice::new(index, vec![part], stop))
    }
}
