//! What a call used, counted once each.

use crate::{Meter, NanoDollars, ServiceTier};

/// Tokens of a call by kind, in one arithmetic for all providers.
///
/// The input of a call is `input + cache_read + cache_write + tool_prompt`, its output `output + reasoning`. None of these contains
/// another; the counts of audio, images and video are parts of them. `None` means that nobody told; it is not zero.
///
/// ```
/// use ziggurat_core::Usage;
///
/// // OpenAI counts cached tokens inside the prompt: 1200 = 100 + 900 + 200.
/// let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
/// assert_eq!(usage.total_input(), 1200);
/// assert_eq!(usage.total_output(), 100);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens at full price: neither read from a cache nor written to one.
    pub input: Option<u64>,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to the provider's prompt cache, whatever their time to live.
    pub cache_write: Option<u64>,
    /// The part of `cache_write` that is kept for an hour.
    pub cache_write_1h: Option<u64>,
    /// Input tokens that the provider's own tools added.
    pub tool_prompt: Option<u64>,
    /// Output tokens that the caller sees.
    pub output: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// The part of the input that is audio, cached or not.
    pub audio_input: Option<u64>,
    /// The part of `cache_read` that is audio.
    pub audio_cache_read: Option<u64>,
    /// The part of `output` that is audio.
    pub audio_output: Option<u64>,
    /// The part of the input, as far as it is not cached, that is images.
    pub image_input: Option<u64>,
    /// The part of `output` that is images.
    pub image_output: Option<u64>,
    /// The part of the input, as far as it is not cached, that is video.
    pub video_input: Option<u64>,
    /// What is not counted in tokens.
    pub units: Units,
    /// The tokens that are billed, where they are others than those that were counted (Cohere, `billed_units`).
    pub billed: Option<BilledTokens>,
    /// The tier that served the call, where it has a price of its own.
    pub tier: Option<ServiceTier>,
    /// What it cost by the provider's own word.
    pub cost: Option<NanoDollars>,
    /// Whether any of these is an estimate of ours and not the provider's word.
    pub estimated: bool,
}

/// Tokens that a provider bills, all at the full price, where it does not bill those that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BilledTokens {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

impl BilledTokens {
    /// These tokens.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self { input, output }
    }
}

/// What a call used that is not counted in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Units {
    /// Images in.
    pub input_images: u64,
    /// Images out.
    pub output_images: u64,
    /// Pixels in.
    pub input_pixels: u64,
    /// Pixels out.
    pub output_pixels: u64,
    /// Milliseconds of what went in.
    pub input_ms: u64,
    /// Milliseconds of what came out.
    pub output_ms: u64,
    /// Milliseconds of audio beside something else that went in.
    pub audio_ms: u64,
    /// Milliseconds of video beside something else that went in.
    pub video_ms: u64,
    /// Characters in.
    pub input_characters: u64,
    /// Characters out.
    pub output_characters: u64,
    /// Queries; of rerankers, search units.
    pub queries: u64,
    /// Pages of documents.
    pub pages: u64,
    /// Searches of the web by the provider's own tool.
    pub searches: u64,
}

impl Units {
    fn counts(&mut self) -> [(Meter, &mut u64); 13] {
        [
            (Meter::InputImageEach, &mut self.input_images),
            (Meter::OutputImageEach, &mut self.output_images),
            (Meter::InputPixel, &mut self.input_pixels),
            (Meter::OutputPixel, &mut self.output_pixels),
            (Meter::InputSecond, &mut self.input_ms),
            (Meter::OutputSecond, &mut self.output_ms),
            (Meter::InputAudioSecond, &mut self.audio_ms),
            (Meter::InputVideoSecond, &mut self.video_ms),
            (Meter::InputCharacter, &mut self.input_characters),
            (Meter::OutputCharacter, &mut self.output_characters),
            (Meter::Query, &mut self.queries),
            (Meter::Page, &mut self.pages),
            (Meter::WebSearch, &mut self.searches),
        ]
    }

    fn merge(&mut self, mut other: Self, merge: fn(&mut u64, u64)) {
        for ((_, count), (_, other)) in self.counts().into_iter().zip(other.counts()) {
            merge(count, *other);
        }
    }
}

impl Usage {
    /// Usage with these input and output tokens.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self { input: Some(input), output: Some(output), ..Self::default() }
    }

    /// With tokens read from the prompt cache.
    #[must_use]
    pub fn cache_read(mut self, tokens: u64) -> Self {
        self.cache_read = Some(tokens);
        self
    }

    /// With tokens written to the prompt cache.
    #[must_use]
    pub fn cache_write(mut self, tokens: u64) -> Self {
        self.cache_write = Some(tokens);
        self
    }

    /// With reasoning tokens.
    #[must_use]
    pub fn reasoning(mut self, tokens: u64) -> Self {
        self.reasoning = Some(tokens);
        self
    }

    /// Marked as an estimate.
    #[must_use]
    pub fn estimated(mut self) -> Self {
        self.estimated = true;
        self
    }

    /// All input tokens.
    #[must_use]
    pub fn total_input(&self) -> u64 {
        sum([self.input, self.cache_read, self.cache_write, self.tool_prompt])
    }

    /// All output tokens.
    #[must_use]
    pub fn total_output(&self) -> u64 {
        sum([self.output, self.reasoning])
    }

    /// All tokens.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.total_output())
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.input.is_none() && self.output.is_none() && self.total() == 0
    }

    /// Shows everything that was used, split into what is priced apart, each once. Parts that are more than their whole are cut.
    pub(crate) fn metered(&self, mut see: impl FnMut(Meter, u64)) {
        let mut tell = |meter, count| {
            if count > 0 {
                see(meter, count);
            }
        };
        match self.billed {
            Some(billed) => {
                tell(Meter::Input, billed.input);
                tell(Meter::Output, billed.output);
            }
            None => self.metered_tokens(&mut tell),
        }
        let mut units = self.units;
        for (meter, count) in units.counts() {
            tell(meter, *count);
        }
    }

    /// The tokens that were counted.
    fn metered_tokens(&self, tell: &mut impl FnMut(Meter, u64)) {
        let known = |count: Option<u64>| count.unwrap_or(0);

        let mut text = known(self.input).saturating_add(known(self.tool_prompt));
        let mut cached = known(self.cache_read);
        let cached_audio = take(&mut cached, known(self.audio_cache_read));
        let audio = known(self.audio_input).saturating_sub(cached_audio);
        let audio = take(&mut text, audio);
        let image = take(&mut text, known(self.image_input));
        let video = take(&mut text, known(self.video_input));
        let mut written = known(self.cache_write);
        let hour = take(&mut written, known(self.cache_write_1h));
        tell(Meter::Input, text);
        tell(Meter::InputAudio, audio);
        tell(Meter::InputImage, image);
        tell(Meter::InputVideo, video);
        tell(Meter::CacheRead, cached);
        tell(Meter::CacheReadAudio, cached_audio);
        tell(Meter::CacheWrite, written);
        tell(Meter::CacheWrite1h, hour);

        let mut text = known(self.output);
        let audio = take(&mut text, known(self.audio_output));
        let image = take(&mut text, known(self.image_output));
        tell(Meter::Output, text);
        tell(Meter::OutputAudio, audio);
        tell(Meter::OutputImage, image);
        tell(Meter::Reasoning, known(self.reasoning));
    }

    /// Takes what a later report says, field by field; what it does not say stays.
    ///
    /// Reports within one stream are cumulative (Anthropic Messages, `message_delta.usage`).
    pub fn update(&mut self, later: &Self) {
        fn take<T>(field: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *field = later;
            }
        }
        take(&mut self.input, later.input);
        take(&mut self.cache_read, later.cache_read);
        take(&mut self.cache_write, later.cache_write);
        take(&mut self.cache_write_1h, later.cache_write_1h);
        take(&mut self.tool_prompt, later.tool_prompt);
        take(&mut self.output, later.output);
        take(&mut self.reasoning, later.reasoning);
        take(&mut self.audio_input, later.audio_input);
        take(&mut self.audio_cache_read, later.audio_cache_read);
        take(&mut self.audio_output, later.audio_output);
        take(&mut self.image_input, later.image_input);
        take(&mut self.image_output, later.image_output);
        take(&mut self.video_input, later.video_input);
        take(&mut self.billed, later.billed);
        take(&mut self.tier, later.tier);
        take(&mut self.cost, later.cost);
        self.units.merge(later.units, |count, later| *count = later.max(*count));
        self.estimated = later.estimated;
    }

    /// Adds the usage of another attempt.
    pub fn add(&mut self, other: &Self) {
        fn plus(field: &mut Option<u64>, other: Option<u64>) {
            *field = match (*field, other) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            };
        }
        if self.billed.or(other.billed).is_some() {
            let billed = |usage: &Self| {
                let counted = || BilledTokens::new(usage.total_input(), usage.total_output());
                usage.billed.unwrap_or_else(counted)
            };
            let (ours, others) = (billed(self), billed(other));
            self.billed = Some(BilledTokens::new(
                ours.input.saturating_add(others.input),
                ours.output.saturating_add(others.output),
            ));
        }
        plus(&mut self.input, other.input);
        plus(&mut self.cache_read, other.cache_read);
        plus(&mut self.cache_write, other.cache_write);
        plus(&mut self.cache_write_1h, other.cache_write_1h);
        plus(&mut self.tool_prompt, other.tool_prompt);
        plus(&mut self.output, other.output);
        plus(&mut self.reasoning, other.reasoning);
        plus(&mut self.audio_input, other.audio_input);
        plus(&mut self.audio_cache_read, other.audio_cache_read);
        plus(&mut self.audio_output, other.audio_output);
        plus(&mut self.image_input, other.image_input);
        plus(&mut self.image_output, other.image_output);
        plus(&mut self.video_input, other.video_input);
        self.units.merge(other.units, |count, other| *count = count.saturating_add(other));
        // Costs are summed as costs: of two attempts only one may have told its own.
        self.cost = None;
        self.tier = self.tier.filter(|tier| other.tier == Some(*tier));
        self.estimated |= other.estimated;
    }
}

/// Takes a part out of a whole, at most all of it.
fn take(whole: &mut u64, part: u64) -> u64 {
    let part = part.min(*whole);
    *whole -= part;
    part
}

fn sum<const N: usize>(counts: [Option<u64>; N]) -> u64 {
    counts.into_iter().flatten().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_overwrites_and_keeps_what_it_does_not_name() {
        let mut usage = Usage::new(30, 1).cache_read(50);
        usage.update(&Usage { output: Some(30), ..Usage::default() });
        assert_eq!(usage, Usage::new(30, 30).cache_read(50));
    }

    #[test]
    fn attempts_add_up_and_unknown_is_not_zero() {
        let mut usage = Usage::new(1, 2);
        usage.add(&Usage::new(10, 20).reasoning(5));
        assert_eq!(usage, Usage::new(11, 22).reasoning(5));
        assert_eq!(usage.cache_read, None);
        usage.units.searches = 1;
        usage.add(&usage.clone());
        assert_eq!(usage.units.searches, 2);
    }

    #[test]
    fn what_is_billed_takes_the_place_of_what_was_counted() {
        let mut usage = Usage::new(1200, 90).cache_read(5);
        usage.billed = Some(BilledTokens::new(12, 20));
        usage.units.searches = 1;
        let metered = |usage: &Usage| {
            let mut seen = Vec::new();
            usage.metered(|meter, count| seen.push((meter, count)));
            seen
        };
        let lines = [(Meter::Input, 12), (Meter::Output, 20), (Meter::WebSearch, 1)];
        assert_eq!(metered(&usage), lines);
        assert_eq!(usage.total_input(), 1205);
        // Another attempt, at a provider that bills what it counts.
        usage.add(&Usage::new(3, 4).cache_read(2));
        assert_eq!(usage.billed, Some(BilledTokens::new(17, 24)));
    }

    #[test]
    fn what_is_priced_apart_adds_up_to_all_tokens() {
        let mut usage = Usage::new(60, 50).cache_read(40).cache_write(7).reasoning(5);
        usage.tool_prompt = Some(3);
        usage.cache_write_1h = Some(2);
        usage.audio_input = Some(30);
        usage.audio_cache_read = Some(10);
        (usage.image_input, usage.video_input) = (Some(4), Some(400));
        (usage.audio_output, usage.image_output) = (Some(20), Some(6));
        let mut sum = 0;
        usage.metered(|_, count| sum += count);
        assert_eq!(sum, usage.total());
    }
}
