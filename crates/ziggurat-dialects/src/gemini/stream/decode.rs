//! Chunks into events.

use bytes::Bytes;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use ziggurat_core::{Error, Event, Restore, Start, Str, StreamDecoder, Usage};

use super::candidate::Candidate;
use super::piece::Piece;
use crate::clock::unix_seconds;
use crate::framing::sse::{self, EventReader, SseEvent};
use crate::gemini::camel::{members, object};
use crate::gemini::reply::misread;
use crate::gemini::{error, stop, usage};
use crate::json::{self, At, Fields};
use crate::spelled::text_at;

/// The most answers: callers can ask for eight.
const MAX_CANDIDATES: usize = 128;

/// Decodes a stream of chunks.
#[derive(Debug)]
pub(in crate::gemini) struct Decoder {
    restore: Restore,
    id: Str,
    started: bool,
    ended: bool,
    /// What was told of the usage last.
    usage: Option<Usage>,
    candidates: SmallVec<[Candidate; 1]>,
}

impl EventReader for Decoder {
    fn restoring(restore: &Restore) -> Self {
        Self {
            restore: restore.clone(),
            id: Str::new(),
            started: false,
            ended: false,
            usage: None,
            candidates: SmallVec::new(),
        }
    }

    fn read(&mut self, event: &SseEvent<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        if event.is_comment() {
            events.push(Event::Ping);
            return Ok(());
        }
        let data = event.share();
        if data.trim_ascii().is_empty() {
            return Ok(());
        }
        let body = Str::from_utf8(data)
            .map_err(|_| error::malformed("an event of the stream is not valid UTF-8"))?;
        self.chunk(&body, events).map_err(misread)
    }

    fn has_ended(&self) -> bool {
        self.ended
    }
}

impl Decoder {
    fn chunk(&mut self, body: &Str, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.plain(body, events)? {
            return Ok(());
        }
        let at = At::root("chunk").in_brackets();
        if !body.trim_start().starts_with('{') {
            // A few proxies send an error as a list of one; anything else is no chunk.
            serde_json::from_str::<&RawValue>(body)
                .map_err(|_| error::malformed("an event of the stream is no JSON"))?;
            if body.trim_start().starts_with('[') && body.contains("\"error\"") {
                self.fail(error::in_body(body, body.clone().into_bytes()), events);
            }
            return Ok(());
        }
        let mut chunk = object(body, at)
            .map_err(|_| error::malformed("an event of the stream is no JSON object"))?;
        if chunk.get("error").is_some() {
            self.fail(error::in_body(body, body.clone().into_bytes()), events);
            return Ok(());
        }
        let counts = chunk.take("usageMetadata").and_then(usage::read);
        let candidates: Vec<&RawValue> =
            chunk.value("candidates", at, "a list")?.unwrap_or_default();
        let feedback = chunk.take("promptFeedback").map(members);
        let blocked = feedback.as_ref().and_then(|feedback| feedback.get("blockReason"));
        self.start(&mut chunk, body, counts, events);
        for (place, raw) in candidates.iter().enumerate() {
            self.candidate(raw.get(), place, body, events)?;
        }
        if candidates.is_empty()
            && self.candidates.is_empty()
            && let Some(reason) = blocked.and_then(|raw| json::shared_text(raw, body))
        {
            let message = feedback.as_ref().and_then(|feedback| feedback.get("blockReasonMessage"));
            let message = message.and_then(|raw| json::shared_text(raw, body));
            let mut candidate = Candidate::new(0);
            candidate.end(stop::blocked(&reason, message), events);
            self.candidates.push(candidate);
        }
        self.counted(counts, events);
        Ok(())
    }

    /// Reads a chunk that is nothing but more of an answer that has begun, and counts. `false`: it is not, or has to be looked at.
    fn plain(&mut self, body: &Str, events: &mut Vec<Event>) -> Result<bool, Error> {
        let Some(piece) = Piece::find(body.as_bytes()) else { return Ok(false) };
        let mut candidates = self.candidates.iter_mut();
        let candidate = candidates.find(|candidate| u64::from(candidate.number()) == piece.index);
        let Some(candidate) = candidate.filter(|candidate| candidate.takes_text()) else {
            return Ok(false);
        };
        let Some(text) = text_at(&piece.text, body) else { return Ok(false) };
        candidate.plain(&text, piece.thought, &self.restore, events)?;
        self.counted(piece.usage, events);
        Ok(true)
    }

    /// Cumulative: what is the same as before says nothing.
    fn counted(&mut self, counts: Option<Usage>, events: &mut Vec<Event>) {
        if let Some(counts) = counts.filter(|counts| self.usage.as_ref() != Some(counts)) {
            self.usage = Some(counts);
            events.push(Event::Usage(Box::new(counts)));
        }
    }

    fn start(
        &mut self,
        chunk: &mut Fields<'_>,
        body: &Str,
        counts: Option<Usage>,
        events: &mut Vec<Event>,
    ) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut text = |name| chunk.take(name).and_then(|raw| json::shared_text(raw, body));
        let mut start = Start::new(
            text("responseId").unwrap_or_default(),
            text("modelVersion").unwrap_or_default(),
        );
        start.created = text("createTime").and_then(|time| unix_seconds(&time));
        // What is known of the input at once is told at once.
        start.usage = counts;
        self.usage = counts;
        self.id = start.id.clone();
        events.push(Event::Start(Box::new(start)));
    }

    fn candidate(
        &mut self,
        raw: &str,
        place: usize,
        body: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let root = At::root("candidates").in_brackets();
        let at = root.index(place);
        let mut fields = object(raw, at)?;
        let number: Option<u16> = fields.value("index", at, "a small whole number")?;
        let number = number.unwrap_or(u16::try_from(place).unwrap_or(u16::MAX));
        let found = self.candidates.iter().position(|candidate| candidate.number() == number);
        if found.is_none() && self.candidates.len() >= MAX_CANDIDATES {
            return Err(error::malformed("it has too many candidates"));
        }
        let found = found.unwrap_or_else(|| {
            self.candidates.push(Candidate::new(number));
            self.candidates.len() - 1
        });
        self.candidates[found].read(fields, body, at, &self.id, &self.restore, events)
    }

    fn fail(&mut self, error: Error, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start(Box::default()));
        }
        for candidate in &mut self.candidates {
            candidate.close(events);
        }
        self.ended = true;
        events.push(Event::Error(error));
    }
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, bytes: &Bytes, events: &mut Vec<Event>) -> Result<(), Error> {
        for event in sse::events(bytes) {
            self.read(&event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if self.candidates.is_empty() || !self.candidates.iter().all(Candidate::has_ended) {
            self.fail(error::truncated(), events);
            return;
        }
        for candidate in &mut self.candidates {
            candidate.close(events);
        }
        self.ended = true;
        events.push(Event::End);
    }
}
