//! Media inside requests: data URLs, and what the bytes really are.

use memchr::memchr;
use ziggurat_core::{Content, Source, Str};

/// The address of a medium that is given by one.
pub(crate) fn address(content: &Content) -> Option<&str> {
    match content {
        Content::Image { source, .. }
        | Content::Audio { source, .. }
        | Content::Video { source, .. }
        | Content::Document { source, .. } => match source {
            Source::Url(url) => Some(url),
            _ => None,
        },
        _ => None,
    }
}

/// A medium given as an address: inside it if that is a data URL, else behind it.
#[must_use]
pub fn source(url: &Str) -> Source {
    parse_data_url(url).unwrap_or_else(|| Source::Url(url.clone()))
}

/// Reads a data URL (RFC 2397). The base64 text shares the URL's buffer unless it must be repaired.
///
/// A missing or wrong media type is put right by the first bytes: providers refuse a PNG that is called a JPEG. White space and
/// the URL-safe alphabet are taken. `None` when it is no data URL, or its data is not base64.
#[must_use]
pub fn parse_data_url(url: &Str) -> Option<Source> {
    let rest = strip_scheme(url)?;
    let comma = memchr(b',', rest.as_bytes())?;
    let (head, data) = (&rest[..comma], &rest[comma + 1..]);
    let mut head = head.split(';');
    let media_type = head.next().unwrap_or_default().trim();
    if !head.any(|parameter| parameter.trim().eq_ignore_ascii_case("base64")) {
        return None;
    }
    let data = base64_text(url, data);
    Some(Source::Base64 { media_type: true_type(media_type, &data), data })
}

fn strip_scheme(url: &str) -> Option<&str> {
    let scheme = url.get(..5)?;
    scheme.eq_ignore_ascii_case("data:").then(|| &url[5..])
}

/// Base64 in the standard alphabet without white space, sharing `body` where it is that already.
#[must_use]
pub fn base64_text(body: &Str, data: &str) -> Str {
    // No early exit, so that the compiler makes it one pass at many bytes a step.
    let odd = data.bytes().fold(false, |odd, byte| odd | is_odd(byte));
    if !odd {
        return body.slice_ref(data);
    }
    let standard = |c: char| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    data.chars().filter(|c| !c.is_ascii_whitespace()).map(standard).collect::<String>().into()
}

fn is_odd(byte: u8) -> bool {
    byte <= b' ' || byte == b'-' || byte == b'_'
}

/// The media type of base64 data: what the first bytes say, else what was said.
#[must_use]
pub fn true_type(said: &str, data: &str) -> Str {
    match sniff(data) {
        Some(media_type) => Str::from_static(media_type),
        None => Str::from(said),
    }
}

/// What the first bytes of base64 data say.
#[must_use]
pub fn sniff(data: &str) -> Option<&'static str> {
    // 16 characters are 12 bytes, enough for every mark.
    let bytes = decode_start(data.as_bytes().get(..16).unwrap_or(data.as_bytes()));
    let bytes = &bytes[..];
    Some(match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
        [b'I', b'D', b'3', ..] => "audio/mpeg",
        _ => return None,
    })
}

fn decode_start(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12);
    for group in data.chunks_exact(4) {
        let digit = |byte: u8| match byte {
            b'A'..=b'Z' => Some(u32::from(byte - b'A')),
            b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
            b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        };
        let digits = [digit(group[0]), digit(group[1]), digit(group[2]), digit(group[3])];
        let padding = digits.iter().filter(|digit| digit.is_none()).count();
        let word = digits.iter().fold(0, |word, digit| (word << 6) | digit.unwrap_or(0));
        let [_, group @ ..] = word.to_be_bytes();
        bytes.extend_from_slice(&group[..3 - padding.min(3)]);
        if padding > 0 {
            break;
        }
    }
    bytes
}

/// OpenAI's word for a kind of audio (`wav`, `mp3`).
#[must_use]
pub fn audio_format(media_type: &str) -> &str {
    match media_type {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}

/// The media type of OpenAI's word for a kind of audio.
#[must_use]
pub fn audio_type(format: &str) -> Str {
    match format {
        "mp3" => Str::from_static("audio/mpeg"),
        "wav" => Str::from_static("audio/wav"),
        other => Str::from(format!("audio/{other}")),
    }
}

/// The media type of a file by its name.
#[must_use]
pub fn type_of_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn parsed(url: &str) -> Option<(String, String)> {
        match parse_data_url(&Str::from(url)) {
            Some(Source::Base64 { media_type, data }) => {
                Some((media_type.to_string(), data.to_string()))
            }
            _ => None,
        }
    }

    fn pair(media_type: &str, data: &str) -> Option<(String, String)> {
        Some((media_type.to_owned(), data.to_owned()))
    }

    #[test]
    fn a_data_url_is_taken_apart_without_a_copy() {
        let url = Str::from("data:image/png;base64,iVBORw0KGgo=");
        let Some(Source::Base64 { data, .. }) = parse_data_url(&url) else { panic!() };
        assert_eq!(data.as_ptr(), url[22..].as_ptr());
    }

    #[test]
    fn data_urls_of_every_spelling_are_read() {
        let png = "iVBORw0KGgo=";
        for (url, expected) in [
            ("data:image/png;base64,iVBORw0KGgo=", pair("image/png", png)),
            ("DATA:image/png;charset=utf-8;BASE64,iVBORw0KGgo=", pair("image/png", png)),
            ("data:;base64,iVBORw0KGgo=", pair("image/png", png)),
            ("data:image/jpeg;base64,iVBORw0KGgo=", pair("image/png", png)),
            ("data:text/csv;base64,YQ==", pair("text/csv", "YQ==")),
            ("data:x/y;base64,YQ-_ \nYQ", pair("x/y", "YQ+/YQ")),
            ("data:text/plain,hello", None),
            ("https://a.test/b.png", None),
            ("data:", None),
            ("", None),
            ("dätä:image/png;base64,AAAA", None),
        ] {
            assert_eq!(parsed(url), expected, "{url}");
        }
    }

    #[test]
    fn the_first_bytes_say_what_it_is() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n0000"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0aaaaaaaa", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", Some("audio/wav")),
            (b"%PDF-1.7\n", Some("application/pdf")),
            (b"ID3\x04", Some("audio/mpeg")),
            (b"hello", None),
            (b"", None),
        ] {
            assert_eq!(sniff(&STANDARD.encode(bytes)), expected, "{bytes:?}");
        }
    }

    #[test]
    fn audio_has_two_names() {
        for (format, media_type) in
            [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("flac", "audio/flac")]
        {
            assert_eq!(audio_type(format), media_type);
            assert_eq!(audio_format(media_type), format);
        }
    }
}
