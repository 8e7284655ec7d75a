//! Formats of media: this dialect has short words where others have media types.

use std::borrow::Cow;

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Image,
    Document,
    Video,
    Audio,
}

/// Formats of documents and their media types.
const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// Formats of pictures whose words are those of their media types.
const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];

/// Formats of videos and their media types.
const VIDEOS: [(&str, &str); 9] = [
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("flv", "video/x-flv"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("wmv", "video/x-ms-wmv"),
    ("three_gp", "video/3gpp"),
];

/// Formats of audio and their media types.
const AUDIO: [(&str, &str); 15] = [
    ("mp3", "audio/mpeg"),
    ("opus", "audio/opus"),
    ("wav", "audio/wav"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("mp4", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("mkv", "audio/x-matroska"),
    ("mka", "audio/mka"),
    ("x-aac", "audio/x-aac"),
    ("m4a", "audio/m4a"),
    ("mpeg", "audio/mpg"),
    ("mpga", "audio/mpga"),
    ("pcm", "audio/pcm"),
    ("webm", "audio/webm"),
];

impl Medium {
    /// The member of a content block that holds it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    fn table(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Image => &[],
            Self::Document => &DOCUMENTS,
            Self::Video => &VIDEOS,
            Self::Audio => &AUDIO,
        }
    }

    /// The media type of a format. One that is not listed keeps its word.
    pub(super) fn media_type(self, format: &str) -> Cow<'static, str> {
        match self.table().iter().find(|(word, _)| *word == format) {
            Some((_, media_type)) => Cow::Borrowed(media_type),
            None if self == Self::Document => format!("application/{format}").into(),
            None => format!("{}/{format}", self.word()).into(),
        }
    }

    /// The format of a media type; `None` if the provider takes none such.
    pub(super) fn format(self, media_type: &str) -> Option<&'static str> {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let listed = self.table().iter().find(|(_, listed)| *listed == media_type);
        if let Some((word, _)) = listed {
            return Some(word);
        }
        match (self, media_type) {
            (Self::Image, "image/jpg") => Some("jpeg"),
            (Self::Image, _) => {
                let word = media_type.strip_prefix("image/")?;
                IMAGES.into_iter().find(|image| *image == word)
            }
            (Self::Audio, "audio/x-wav" | "audio/wave") => Some("wav"),
            (Self::Audio, "audio/mp3") => Some("mp3"),
            (Self::Document, text) => {
                let is_text = text.starts_with("text/")
                    || matches!(text, "application/json" | "application/xml" | "application/yaml");
                is_text.then_some("txt")
            }
            _ => None,
        }
    }

    /// The format of a file by its name or address; the likeliest where that does not tell.
    pub(super) fn format_of_name(self, name: &str) -> &'static str {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let extension = extension.to_ascii_lowercase();
        let words = self.table().iter().map(|(word, _)| *word);
        match (self, extension.as_str()) {
            (Self::Image, "jpg") => "jpeg",
            (Self::Image, other) => {
                IMAGES.into_iter().find(|image| *image == other).unwrap_or("png")
            }
            (Self::Video, "3gp") => "three_gp",
            (Self::Document, "htm") => "html",
            (medium, other) => {
                words.into_iter().find(|word| *word == other).unwrap_or(match medium {
                    Self::Video => "mp4",
                    Self::Audio => "mp3",
                    _ => "pdf",
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_goes_there_and_back() {
        for medium in [Medium::Document, Medium::Video, Medium::Audio] {
            for (format, _) in medium.table() {
                assert_eq!(medium.format(&medium.media_type(format)), Some(*format));
                if *format != "three_gp" {
                    assert_eq!(medium.format_of_name(&format!("s3://b/a.{format}")), *format);
                }
            }
        }
        for format in IMAGES {
            assert_eq!(Medium::Image.format(&Medium::Image.media_type(format)), Some(format));
        }
    }

    #[test]
    fn other_spellings_are_understood_and_other_formats_are_none() {
        assert_eq!(Medium::Image.format("image/jpg"), Some("jpeg"));
        assert_eq!(Medium::Image.format("image/tiff"), None);
        assert_eq!(Medium::Audio.format("audio/x-wav"), Some("wav"));
        assert_eq!(Medium::Document.format("text/plain; charset=utf-8"), Some("txt"));
        assert_eq!(Medium::Document.format("application/json"), Some("txt"));
        assert_eq!(Medium::Document.format("application/zip"), None);
        assert_eq!(Medium::Image.format_of_name("s3://b/a.JPG"), "jpeg");
        assert_eq!(Medium::Video.format_of_name("s3://b/a.3gp"), "three_gp");
        assert_eq!(Medium::Document.format_of_name("s3://b/a"), "pdf");
    }
}
