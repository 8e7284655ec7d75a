//! Checks that both vendors make of media and names.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Decodes standard base64, padding and all.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The media type that the first bytes tell of.
pub(crate) fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let is_riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    Some(match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        _ if is_riff(b"WEBP") => "image/webp",
        [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
        _ => return None,
    })
}

/// The image types that both vendors take.
pub(crate) const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Splits `data:<type>;base64,<data>` into type and data.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    Some((head.strip_suffix(";base64")?, data))
}

/// Whether `text` is `http(s)://` with a host.
pub(crate) fn is_web_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

/// Whether `name` is 1 to `most` letters, digits, `_` and `-`.
pub(crate) fn is_name(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::{base64, data_url, is_name, is_web_url, sniff};

    #[test]
    fn media_is_known_by_its_first_bytes() {
        assert_eq!(sniff(&base64("iVBORw0KGgo=").unwrap()), Some("image/png"));
        assert_eq!(sniff(b"RIFF....WEBPVP8 "), Some("image/webp"));
        assert_eq!(sniff(b"RIFF....WAVE"), None);
        assert_eq!(sniff(b"%PDF-1.7"), Some("application/pdf"));
        assert_eq!(sniff(b""), None);
    }

    #[test]
    fn base64_is_strict() {
        assert!(base64("iVBORw0KGgo").is_none(), "padding is required");
        assert!(base64("iVBOR\nw0KGgo=").is_none(), "white space is refused");
        assert!(base64("_-8=").is_none(), "the URL alphabet is refused");
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(data_url("data:image/png;base64,AA=="), Some(("image/png", "AA==")));
        assert_eq!(data_url("data:image/png,AA"), None);
        assert!(is_web_url("https://example.test/cat.png") && !is_web_url("file:///etc/passwd"));
        assert!(!is_web_url("/cat.png"));
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("get_weather-2", 64));
        assert!(!is_name("", 64) && !is_name("a.b", 64) && !is_name("abc", 2));
    }
}
