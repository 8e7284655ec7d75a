//! What is counted, and so priced.

/// What a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Tokens. People name their prices by the million.
    Token,
    /// Time, in milliseconds; priced by the second.
    Second,
    /// Pieces of anything else: images, searches, pages.
    Each,
}

macro_rules! meters {
    ($($(#[$doc:meta])* $name:ident $word:literal $unit:ident,)*) => {
        /// A kind of thing that a provider puts on its bill. No kind contains another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Meter {
            $($(#[$doc])* $name,)*
        }

        impl Meter {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in lists of prices and in bills.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What it counts.
            #[must_use]
            pub fn unit(self) -> Unit {
                match self {
                    $(Self::$name => Unit::$unit,)*
                }
            }
        }
    };
}

meters! {
    /// Input tokens of text, neither read from a cache nor written to one.
    Input "input" Token,
    /// Input tokens read from the prompt cache.
    CacheRead "cache_read" Token,
    /// Input tokens written to the prompt cache for the usual time.
    CacheWrite "cache_write" Token,
    /// Input tokens written to the prompt cache for an hour.
    CacheWrite1h "cache_write_1h" Token,
    /// Output tokens of text.
    Output "output" Token,
    /// Output tokens of reasoning.
    Reasoning "reasoning" Token,
    /// Input tokens of audio.
    InputAudio "input_audio" Token,
    /// Input tokens of audio, read from the prompt cache.
    CacheReadAudio "cache_read_audio" Token,
    /// Output tokens of audio.
    OutputAudio "output_audio" Token,
    /// Input tokens of images.
    InputImage "input_image" Token,
    /// Output tokens of images.
    OutputImage "output_image" Token,
    /// Input tokens of video.
    InputVideo "input_video" Token,
    /// Images in.
    InputImageEach "input_image_each" Each,
    /// Images out.
    OutputImageEach "output_image_each" Each,
    /// Pixels in.
    InputPixel "input_pixel" Each,
    /// Pixels out.
    OutputPixel "output_pixel" Each,
    /// Seconds of what goes in.
    InputSecond "input_second" Second,
    /// Seconds of what comes out.
    OutputSecond "output_second" Second,
    /// Seconds of audio beside something else that goes in.
    InputAudioSecond "input_audio_second" Second,
    /// Seconds of video beside something else that goes in.
    InputVideoSecond "input_video_second" Second,
    /// Characters in.
    InputCharacter "input_character" Each,
    /// Characters out.
    OutputCharacter "output_character" Each,
    /// Queries, and what rerankers call search units.
    Query "query" Each,
    /// Calls.
    Request "request" Each,
    /// Pages of documents.
    Page "page" Each,
    /// Searches of the web by the provider's own tool.
    WebSearch "web_search_each" Each,
}

impl Meter {
    /// The meter of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|meter| meter.name() == name)
    }

    /// Whose rates hold where its own is unknown, the first that is known.
    pub(super) fn instead(self) -> &'static [Self] {
        match self {
            Self::CacheRead
            | Self::CacheWrite
            | Self::InputAudio
            | Self::InputImage
            | Self::InputVideo => &[Self::Input],
            Self::CacheWrite1h => &[Self::CacheWrite, Self::Input],
            Self::CacheReadAudio => &[Self::CacheRead, Self::InputAudio, Self::Input],
            Self::Reasoning | Self::OutputAudio | Self::OutputImage => &[Self::Output],
            Self::InputAudioSecond | Self::InputVideoSecond => &[Self::InputSecond],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for meter in Meter::ALL {
            assert_eq!(Meter::parse(meter.name()), Some(*meter));
            assert!(
                meter.instead().iter().all(|other| other != meter && other.unit() == meter.unit())
            );
        }
        assert_eq!(Meter::parse("Input"), None);
    }
}
