//! Tokens, counted once each.

/// Tokens of a call by kind, in one arithmetic for all providers.
///
/// No kind contains another, apart from the two audio counts: the input of a call is
/// `input + cache_read + cache_write + tool_prompt`, its output `output + reasoning`.
/// `None` means that nobody told; it is not zero.
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
    /// The part of the input that is audio.
    pub audio_input: Option<u64>,
    /// The part of the output that is audio.
    pub audio_output: Option<u64>,
    /// Whether any of these is an estimate of ours and not the provider's word.
    pub estimated: bool,
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

    /// Takes what a later report says, field by field; what it does not say stays.
    ///
    /// Reports within one stream are cumulative (Anthropic Messages, `message_delta.usage`).
    pub fn update(&mut self, later: &Self) {
        fn take(field: &mut Option<u64>, later: Option<u64>) {
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
        take(&mut self.audio_output, later.audio_output);
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
        plus(&mut self.input, other.input);
        plus(&mut self.cache_read, other.cache_read);
        plus(&mut self.cache_write, other.cache_write);
        plus(&mut self.cache_write_1h, other.cache_write_1h);
        plus(&mut self.tool_prompt, other.tool_prompt);
        plus(&mut self.output, other.output);
        plus(&mut self.reasoning, other.reasoning);
        plus(&mut self.audio_input, other.audio_input);
        plus(&mut self.audio_output, other.audio_output);
        self.estimated |= other.estimated;
    }
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
    }
}
