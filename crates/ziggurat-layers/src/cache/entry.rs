//! An answer that is kept.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use ziggurat_core::{
    Answer, Ask, BilledTokens, CutOptions, Dialect, Facts, Frame, Loss, LossAction, Losses,
    Operation, ReplyHead, StopReason, Str, Usage,
};

/// What entries in a network store begin with: ours, in this version. Anything else is a miss.
const MAGIC: &[u8; 4] = b"ZGC\x01";
/// What a frame costs beside its bytes, roughly.
const FRAME: usize = 96;
/// What an entry costs beside its body, roughly.
const OVERHEAD: usize = 512;

/// A whole, successful answer, as the bytes of its provider's dialect.
///
/// ```
/// use ziggurat_layers::cache::Entry;
///
/// assert!(Entry::from_bytes("anything else".into(), &[]).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    dialect: Dialect,
    body: Kept,
    model: Option<Str>,
    deployment: Option<Str>,
    usage: Option<Usage>,
    created: Duration,
    ttl: Duration,
    losses: Vec<Loss>,
}

#[derive(Clone, Debug)]
pub(super) enum Kept {
    Whole(Bytes),
    /// With usage events beside the bytes, for those who did not ask.
    Frames(Box<[Frame]>),
}

/// When an answer came, and how long it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// Since 1970.
    pub(super) created: Duration,
    pub(super) ttl: Duration,
}

impl Entry {
    /// The dialect of the bytes.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it came in frames.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        matches!(self.body, Kept::Frames(_))
    }

    /// The tokens that it took.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// When it came, since 1970.
    #[must_use]
    pub fn created(&self) -> Duration {
        self.created
    }

    /// How long it is kept from then on.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    pub(super) fn body(&self) -> &Kept {
        &self.body
    }

    /// The head of a reply that repeats it.
    pub(super) fn head(&self) -> ReplyHead {
        let mut head = ReplyHead::default();
        head.dialect = Some(self.dialect);
        head.model = self.model.clone();
        head.deployment = self.deployment.clone();
        head.losses = self.losses.clone();
        head.cached = true;
        head.attempts = 0;
        head
    }

    /// How long the body is, in bytes.
    pub(super) fn length(&self) -> usize {
        let frame = |frame: &Frame| frame.bytes().len() + frame.withheld().map_or(0, Bytes::len);
        match &self.body {
            Kept::Whole(bytes) => bytes.len(),
            Kept::Frames(frames) => frames.iter().map(frame).sum(),
        }
    }

    /// What it weighs in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let frames = match &self.body {
            Kept::Whole(_) => 0,
            Kept::Frames(frames) => frames.len(),
        };
        OVERHEAD + frames * FRAME + self.length()
    }

    /// Keeps a whole answer, as bytes.
    pub(super) fn whole(head: &ReplyHead, bytes: &Bytes, life: Life) -> Option<Self> {
        let dialect = head.dialect?;
        let glance = dialect.glance(Operation::Chat, bytes);
        if glance.error.is_some() {
            return None;
        }
        // A slice would keep the whole buffer that the transport read into.
        let bytes = Bytes::copy_from_slice(bytes);
        Some(Self::new(head, dialect, Kept::Whole(bytes), glance.usage, life))
    }

    /// Keeps a whole answer that was decoded: its names may have been changed since it came. One that never was on a wire is
    /// kept in its asker's dialect.
    pub(super) fn answer(
        head: &ReplyHead,
        answer: &Answer,
        ask: &Ask,
        asker: Option<Dialect>,
        life: Life,
    ) -> Option<Self> {
        let Answer::Chat(reply) = answer else { return None };
        if reply.choices.iter().any(|choice| choice.stop.reason == StopReason::Error) {
            return None;
        }
        let dialect = head.dialect.or(asker)?;
        let bytes = dialect.encode_reply(answer, ask, &mut Losses::default()).ok()?;
        Some(Self::new(head, dialect, Kept::Whole(bytes), answer.usage(), life))
    }

    /// Keeps a stream that was read to its end. One that never was on a wire is kept in its asker's dialect.
    pub(super) fn stream<'a>(
        head: &ReplyHead,
        frames: impl Iterator<Item = &'a Frame> + Clone,
        ask: &Ask,
        asker: Option<Dialect>,
        life: Life,
    ) -> Option<Self> {
        let has_no_bytes = || frames.clone().all(Frame::is_changed);
        let dialect = head.dialect.or_else(|| asker.filter(|_| has_no_bytes()))?;
        // Where the events differ from the bytes the events hold. The encoder sees all of them, so that it knows where it is.
        let changed = frames.clone().any(Frame::is_changed);
        let mut encoder = changed.then(|| dialect.encoder(ask));
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for frame in frames {
            let before = bytes.len();
            if let Some(encoder) = &mut encoder {
                for event in frame.events().unwrap_or_default() {
                    encoder.encode(event, &mut bytes);
                }
            }
            if !frame.is_changed() {
                bytes.truncate(before);
                bytes.extend_from_slice(frame.bytes());
                bytes.extend_from_slice(frame.withheld().map_or(&[], |events| &events[..]));
            }
            ends.push(bytes.len());
        }
        // Allocators shrink in place, down to half: a copy takes what it needs.
        let bytes = Bytes::copy_from_slice(&bytes);
        let mut start = 0;
        let pieces =
            ends.into_iter().map(|end| bytes.slice(std::mem::replace(&mut start, end)..end));
        let (frames, usage) = cut(dialect, pieces)?;
        Some(Self::new(head, dialect, Kept::Frames(frames), usage, life))
    }

    fn new(
        head: &ReplyHead,
        dialect: Dialect,
        body: Kept,
        usage: Option<Usage>,
        life: Life,
    ) -> Self {
        Self {
            dialect,
            body,
            model: own(head.model.as_ref()),
            deployment: own(head.deployment.as_ref()),
            usage,
            created: life.created,
            ttl: life.ttl,
            losses: head.losses.clone(),
        }
    }

    /// The bytes for a store.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let meta = Meta {
            dialect: self.dialect.name().into(),
            streamed: self.is_streamed(),
            model: self.model.as_deref().map(Cow::Borrowed),
            deployment: self.deployment.as_deref().map(Cow::Borrowed),
            usage: self.usage.as_ref().map(Tokens::of),
            created_ms: millis(self.created),
            ttl_ms: millis(self.ttl),
            losses: self.losses.iter().map(Lost::of).collect(),
        };
        let meta = serde_json::to_vec(&meta).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(MAGIC.len() + meta.len() + self.weight());
        bytes.put_slice(MAGIC);
        put_piece(&mut bytes, [meta.as_slice()]);
        match &self.body {
            Kept::Whole(whole) => put_piece(&mut bytes, [&whole[..]]),
            Kept::Frames(frames) => {
                for frame in frames {
                    let withheld = frame.withheld().map_or(&[][..], |events| &events[..]);
                    put_piece(&mut bytes, [&frame.bytes()[..], withheld]);
                }
            }
        }
        bytes.freeze()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, in a dialect that is among these. `None` when it is anything else.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, dialects: &[Dialect]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let mut rest = bytes.slice(MAGIC.len()..);
        let meta = take_piece(&mut rest)?;
        let meta: Meta<'_> = serde_json::from_slice(&meta).ok()?;
        let dialect = *dialects.iter().find(|dialect| dialect.name() == meta.dialect)?;
        let (body, cut_usage) = if meta.streamed {
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                pieces.push(take_piece(&mut rest)?);
            }
            let (frames, usage) = cut(dialect, pieces.into_iter())?;
            (Kept::Frames(frames), usage)
        } else {
            let whole = take_piece(&mut rest).filter(|_| rest.is_empty())?;
            let glance = dialect.glance(Operation::Chat, &whole);
            if glance.error.is_some() {
                return None;
            }
            (Kept::Whole(whole), glance.usage)
        };
        let owned = |text: Cow<'_, str>| Str::from(text.into_owned());
        Some(Self {
            dialect,
            body,
            model: meta.model.map(owned),
            deployment: meta.deployment.map(owned),
            usage: meta.usage.map(|tokens| tokens.usage()).or(cut_usage),
            created: Duration::from_millis(meta.created_ms),
            ttl: Duration::from_millis(meta.ttl_ms),
            losses: meta.losses.into_iter().map(Lost::loss).collect(),
        })
    }
}

/// A text that keeps nothing of what it was read from.
fn own(text: Option<&Str>) -> Option<Str> {
    let mut text = text?.clone();
    text.detach();
    Some(text)
}

/// Cuts the pieces of a stream into frames anew, with their facts and with usage set aside. `None` unless it is complete.
fn cut(
    dialect: Dialect,
    pieces: impl Iterator<Item = Bytes>,
) -> Option<(Box<[Frame]>, Option<Usage>)> {
    let mut cutter = dialect.cutter(&CutOptions::default().withhold_usage(true));
    let mut frames = Vec::with_capacity(pieces.size_hint().0);
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        cutter.push(piece);
        while let Some(frame) = cutter.next_frame().ok()? {
            frames.push(frame);
        }
    }
    frames.extend(cutter.finish().ok()?);
    let mut facts = Facts::NONE;
    let mut usage: Option<Usage> = None;
    for frame in &frames {
        facts |= frame.facts();
        if let Some(more) = frame.usage() {
            usage.get_or_insert_default().update(more);
        }
    }
    let complete = facts.has(Facts::TERMINATOR | Facts::STOP) && !facts.any(Facts::ERROR);
    complete.then(|| (frames.into_boxed_slice(), usage))
}

fn put_piece<const N: usize>(to: &mut BytesMut, parts: [&[u8]; N]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // Nothing that is kept comes near the bound: entries are bounded far below.
    to.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
    for part in parts {
        to.put_slice(part);
    }
}

fn take_piece(from: &mut Bytes) -> Option<Bytes> {
    let length: [u8; 4] = from.get(..4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if from.len() - 4 < length {
        return None;
    }
    drop(from.split_to(4));
    Some(from.split_to(length))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Deserialize, Serialize)]
struct Meta<'a> {
    #[serde(borrow)]
    dialect: Cow<'a, str>,
    streamed: bool,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    deployment: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Tokens>,
    created_ms: u64,
    ttl_ms: u64,
    #[serde(default)]
    losses: Vec<Lost>,
}

#[derive(Deserialize, Serialize)]
#[serde(default)]
#[derive(Default)]
struct Tokens {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    tool_prompt: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    /// Input and output.
    billed: Option<(u64, u64)>,
    estimated: bool,
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        Self {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            cache_write_1h: usage.cache_write_1h,
            tool_prompt: usage.tool_prompt,
            output: usage.output,
            reasoning: usage.reasoning,
            audio_input: usage.audio_input,
            audio_output: usage.audio_output,
            billed: usage.billed.map(|billed| (billed.input, billed.output)),
            estimated: usage.estimated,
        }
    }

    fn usage(self) -> Usage {
        let mut usage = Usage::default();
        usage.input = self.input;
        usage.cache_read = self.cache_read;
        usage.cache_write = self.cache_write;
        usage.cache_write_1h = self.cache_write_1h;
        usage.tool_prompt = self.tool_prompt;
        usage.output = self.output;
        usage.reasoning = self.reasoning;
        usage.audio_input = self.audio_input;
        usage.audio_output = self.audio_output;
        usage.billed = self.billed.map(|(input, output)| BilledTokens::new(input, output));
        usage.estimated = self.estimated;
        usage
    }
}

#[derive(Deserialize, Serialize)]
struct Lost {
    path: String,
    reason: String,
    action: String,
}

impl Lost {
    fn of(loss: &Loss) -> Self {
        Self {
            path: loss.path.to_string(),
            reason: loss.reason.to_string(),
            action: loss.action.to_string(),
        }
    }

    fn loss(self) -> Loss {
        let action = match self.action.as_str() {
            "clamped" => LossAction::Clamped,
            "emulated" => LossAction::Emulated,
            "refused" => LossAction::Refused,
            _ => LossAction::Dropped,
        };
        Loss::new(self.path, self.reason, action)
    }
}
