//! Whole answers that are one text and nothing else, told by their names: they are read in one pass.

use ziggurat_core::{ChatReply, Choice, Extras, Part, Str, Usage};

use crate::clock::unix_seconds;
use crate::ollama::{OLLAMA, stop};
use crate::spelled::{Spelled, text_at, value_at};

/// Reads such an answer. `None`: it is another, and has to be read in full.
pub(super) fn decode(body: &Str) -> Option<Box<ChatReply>> {
    let (mut model, mut created, mut word, mut text) = (None, None, None, None);
    let mut usage = Usage::default();
    let mut extras = Extras::default();
    let mut answer = Spelled::new(body.as_bytes());
    answer.members(|name, value| {
        match name {
            b"model" => model = Some(value.string()?),
            b"created_at" => created = Some(value.word()?),
            b"done_reason" => word = Some(value.word()?),
            b"done" => value.passes("true").then_some(())?,
            b"message" => text = Some(value.only_content(Spelled::string)?),
            b"prompt_eval_count" => usage.input = Some(value.count()?),
            b"eval_count" => usage.output = Some(value.count()?),
            // How long it took.
            name if name.ends_with(b"_duration") => {
                let (_, place) = value.placed(Spelled::count)?;
                let name = body.slice_ref(std::str::from_utf8(name).ok()?);
                extras.push(name, value_at(place, body)?);
            }
            // What is nothing says nothing.
            _ => value.pass("null")?,
        }
        Some(())
    })?;
    answer.end()?;
    let text = text_at(&text?, body).filter(|text| !text.is_empty())?;
    let model = model.map_or(Some(Str::new()), |at| text_at(&at, body))?;
    let mut reply = Box::new(ChatReply::new("", model));
    reply.created = created.and_then(|time| unix_seconds(std::str::from_utf8(time).ok()?));
    reply.usage = Some(usage).filter(|usage| usage.input.is_some() || usage.output.is_some());
    let word = word.map(std::str::from_utf8).transpose().ok()?;
    let stop = stop::decode(word, false);
    reply.choices = vec![Choice::new(0, vec![Part::text(text)], stop)];
    if !extras.is_empty() {
        extras.dialect = Some(OLLAMA);
    }
    reply.extras = extras;
    Some(reply)
}
