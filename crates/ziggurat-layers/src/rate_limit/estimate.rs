//! How many tokens a call may take, before anybody knows.

use memchr::memchr_iter;
use ziggurat_core::{
    Call, Content, End, ErrorKind, LimitKind, Operation, Origin, Outcome, Part, Payload, Source,
    ToolKind, Typed,
};

use super::Limits;

/// Tokens in and out: reserved, or used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

/// What a call is thought to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// Input tokens.
    pub input: u64,
    /// The most output tokens; `None` when the caller sets no bound.
    pub output: Option<u64>,
}

/// Says what a call is thought to take. Closures are estimators, too.
///
/// ```
/// use ziggurat_core::Call;
/// use ziggurat_layers::rate_limit::{Estimate, Estimator};
///
/// fn exact(_: impl Estimator) {}
/// exact(|call: &Call| Estimate::new(call.model().len() as u64, Some(100)));
/// ```
pub trait Estimator: Send + Sync + 'static {
    /// Estimates. Called for calls whose tokens are limited, once each; it must not wait.
    fn estimate(&self, call: &Call) -> Estimate;
}

impl<F> Estimator for F
where
    F: Fn(&Call) -> Estimate + Send + Sync + 'static,
{
    fn estimate(&self, call: &Call) -> Estimate {
        self(call)
    }
}

/// How much output is reserved for a call that sets no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnboundedOutput {
    /// So many tokens.
    Tokens(u64),
    /// So many hundredths of the smallest token limit that applies.
    Percent(u8),
}

/// Four characters are a token; an image, or whatever else is base64, counts by the piece.
///
/// Bytes that came are not decoded for it: their length is taken, less the strings that are base64. So the braces and names of
/// JSON count, too, which errs on the safe side. The bound of the output is read by the [dialect](ziggurat_core::Codec).
#[derive(Clone, Copy, Debug)]
pub struct Characters {
    media: u64,
}

/// What a picture takes at most providers, about; LiteLLM counts 250.
const MEDIA: u64 = 250;
/// Bodies up to this size are not searched for base64.
const SMALL: usize = 2048;
/// Shorter strings are text, whatever they look like.
const SHORTEST_MEDIA: usize = 1024;

impl Tokens {
    /// So many in and out.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self { input, output }
    }

    /// Those that a limit of this kind counts; `None` when it counts no tokens.
    #[must_use]
    pub fn of(self, kind: LimitKind) -> Option<u64> {
        match kind {
            LimitKind::Tokens => Some(self.input.saturating_add(self.output)),
            LimitKind::InputTokens => Some(self.input),
            LimitKind::OutputTokens => Some(self.output),
            _ => None,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self::new(self.input.saturating_add(other.input), self.output.saturating_add(other.output))
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self::new(self.input.saturating_sub(other.input), self.output.saturating_sub(other.output))
    }

    /// What a call used, as far as anybody told; `self` is what was reserved for it, and `sent` whether anything can have
    /// reached a provider.
    pub(super) fn used(self, outcome: &Outcome, sent: bool) -> Self {
        if let Some(usage) = outcome.usage.filter(|usage| !usage.is_unknown()) {
            let input = usage.total_input();
            let told = usage.output.or(usage.reasoning);
            return Self::new(
                if usage.input.is_some() || input > 0 { input } else { self.input },
                told.map_or(self.output, |_| usage.total_output()),
            );
        }
        let nothing = match &outcome.end {
            End::Success => false,
            End::Failure(error) => {
                // An answer that says no costs nothing; one that did not come may have been on its way.
                let lost = error.origin() == Origin::Provider
                    && error.provider_status().is_none()
                    && matches!(error.kind(), ErrorKind::Timeout | ErrorKind::BadUpstream);
                !lost && outcome.first_content.is_none()
            }
            _ => !sent,
        };
        if nothing { Self::default() } else { self }
    }
}

impl Estimate {
    /// So many in, and at most so many out.
    #[must_use]
    pub fn new(input: u64, output: Option<u64>) -> Self {
        Self { input, output }
    }

    /// What to reserve. A guess never makes a call too large for a limit that it would fit without.
    pub(super) fn reserve<'a>(
        self,
        unbounded: UnboundedOutput,
        limits: impl Iterator<Item = &'a Limits>,
    ) -> Tokens {
        let output = self.output.unwrap_or_else(|| {
            let (mut smallest, mut room) = (u64::MAX, u64::MAX);
            for rate in limits.flat_map(Limits::rates) {
                let fits = match rate.kind() {
                    LimitKind::Tokens => rate.most().saturating_sub(self.input),
                    LimitKind::OutputTokens => rate.most(),
                    LimitKind::InputTokens => u64::MAX,
                    _ => continue,
                };
                smallest = smallest.min(rate.most());
                room = room.min(fits);
            }
            let guess = match unbounded {
                UnboundedOutput::Tokens(tokens) => tokens,
                UnboundedOutput::Percent(percent) => smallest / 100 * u64::from(percent),
            };
            guess.min(room)
        });
        Tokens::new(self.input, output)
    }
}

impl Default for UnboundedOutput {
    fn default() -> Self {
        Self::Tokens(256)
    }
}

impl Characters {
    /// The usual.
    #[must_use]
    pub fn new() -> Self {
        Self { media: MEDIA }
    }

    /// How many tokens an image, a sound or a document counts; 250 unless told.
    #[must_use]
    pub fn media(mut self, tokens: u64) -> Self {
        self.media = tokens;
        self
    }

    fn input(&self, payload: &Payload) -> u64 {
        if let Some(bytes) = payload.bytes() {
            return self.text(&bytes).max(1);
        }
        let Ok(Typed::Chat(chat)) = payload.decode() else { return 1 };
        let mut tokens = self.parts(&chat.system);
        for message in &chat.messages {
            tokens += 4 + self.parts(&message.parts);
        }
        for tool in &chat.tools {
            let parameters = match &tool.kind {
                ToolKind::Function { parameters } => parameters.as_ref(),
                ToolKind::Custom { format } => format.as_ref(),
                ToolKind::Server { value, .. } => Some(value),
                _ => None,
            };
            let length = tool.name.len()
                + tool.description.as_ref().map_or(0, |text| text.len())
                + parameters.map_or(0, |json| json.get().len());
            tokens += quarter(length);
        }
        tokens.max(1)
    }

    fn parts(&self, parts: &[Part]) -> u64 {
        parts.iter().map(|part| self.part(part)).sum()
    }

    fn part(&self, part: &Part) -> u64 {
        match &part.content {
            Content::Text { text, .. }
            | Content::Refusal { text }
            | Content::Reasoning { text, .. }
            | Content::Document { source: Source::Text { text, .. }, .. } => quarter(text.len()),
            Content::ToolCall { name, arguments, .. } => quarter(name.len() + arguments.len()),
            Content::ToolResult { parts, .. } => self.parts(parts),
            Content::Opaque { value, .. } => self.text(value.get().as_bytes()),
            _ => self.media,
        }
    }

    /// A quarter of the bytes of JSON, less the strings that are base64.
    pub(super) fn text(&self, bytes: &[u8]) -> u64 {
        if bytes.len() <= SMALL {
            return quarter(bytes.len());
        }
        let (mut length, mut media, mut last) = (bytes.len(), 0, 0);
        // Whether a quote opens or closes does not matter: base64 holds none, and what stands between two strings is short.
        for quote in memchr_iter(b'"', bytes) {
            if quote - last >= SHORTEST_MEDIA && is_base64(&bytes[last + 1..quote]) {
                length -= quote - last;
                media += self.media;
            }
            last = quote;
        }
        quarter(length) + media
    }
}

impl Default for Characters {
    fn default() -> Self {
        Self::new()
    }
}

impl Estimator for Characters {
    fn estimate(&self, call: &Call) -> Estimate {
        if call.operation() != Operation::Chat {
            // Nothing is generated.
            return Estimate::new(0, Some(0));
        }
        let payload = call.payload();
        let output = match payload.dialect() {
            Some(dialect) => dialect.output_bound(payload),
            None => payload.chat().ok().and_then(|chat| {
                let answers = u64::from(chat.n.unwrap_or(1)).max(1);
                Some(chat.max_output_tokens?.saturating_mul(answers))
            }),
        };
        Estimate::new(self.input(payload), output)
    }
}

fn quarter(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// Whether a long string is base64, or an address that holds some: by its beginning, for text has spaces early.
fn is_base64(text: &[u8]) -> bool {
    let plain = |byte: &u8| {
        // Some encoders escape slashes.
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\')
    };
    text.starts_with(b"data:") || text.iter().take(256).all(plain)
}
