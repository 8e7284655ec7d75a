//! Media: inside the call, or behind an address.

use ziggurat_core::{Content, Extras, RawJson, Source, Str};

use crate::json::Object;
use crate::media;

/// Where the media type of a file is kept if its address does not say the same.
const FILE_TYPE: &str = "fileData.mimeType";
/// Where the name of a medium is kept that is no document.
const NAME: &str = "inlineData.displayName";

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Video,
    Document,
}

impl Kind {
    fn of(media_type: &str) -> Self {
        match media_type.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }

    fn content(self, source: Source, title: Option<Str>) -> Content {
        match self {
            Self::Image => Content::Image { source, detail: None },
            Self::Audio => Content::Audio { source },
            Self::Video => Content::Video { source },
            Self::Document => Content::Document { source, title, context: None, citations: None },
        }
    }

    /// The type where nothing says more.
    fn usual(self) -> &'static str {
        match self {
            Self::Image => "image/jpeg",
            Self::Audio => "audio/mpeg",
            Self::Video => "video/mp4",
            Self::Document => "application/pdf",
        }
    }
}

/// A medium inside the call.
pub(super) fn inline(
    media_type: Str,
    data: Str,
    name: Option<Str>,
    extras: &mut Extras,
) -> Content {
    let kind = Kind::of(&media_type);
    let data = media::base64_text(&data, &data);
    let source = Source::Base64 { media_type, data };
    match name {
        Some(name) if kind != Kind::Document => {
            extras.push(Str::from_static(NAME), RawJson::string(&name));
            kind.content(source, None)
        }
        name => kind.content(source, name),
    }
}

/// A medium behind an address. Google's own stores are the provider's files, everything else is anybody's.
pub(super) fn file(media_type: Option<Str>, uri: Str, extras: &mut Extras) -> Content {
    let by_name = type_of(&uri);
    let kind = match (&media_type, by_name) {
        (Some(media_type), _) => Kind::of(media_type),
        (None, Some(media_type)) => Kind::of(media_type),
        (None, None) if is_video(&uri) => Kind::Video,
        (None, None) => Kind::Document,
    };
    if let Some(media_type) = media_type
        && media_type != guess(&uri, kind)
    {
        extras.push(Str::from_static(FILE_TYPE), RawJson::string(&media_type));
    }
    let source = if is_stored(&uri) { Source::File(uri) } else { Source::Url(uri) };
    kind.content(source, None)
}

fn is_stored(uri: &str) -> bool {
    uri.starts_with("gs://")
        || uri.starts_with("files/")
        || uri.starts_with("https://generativelanguage.googleapis.com/")
}

fn is_video(uri: &str) -> bool {
    ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"]
        .iter()
        .any(|start| uri.starts_with(start))
}

/// The type of a medium by its address.
fn guess(uri: &str, kind: Kind) -> &'static str {
    type_of(uri).filter(|media_type| Kind::of(media_type) == kind).unwrap_or(kind.usual())
}

fn type_of(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return media::type_of_name(path),
    })
}

/// The source of a medium.
pub(super) fn source(content: &Content) -> Option<&Source> {
    match content {
        Content::Image { source, .. }
        | Content::Audio { source }
        | Content::Video { source }
        | Content::Document { source, .. } => Some(source),
        _ => None,
    }
}

/// Writes a medium as a member of a part, if it is one that this dialect knows. `named` says that its title goes with it, which
/// not all of Google's servers take.
pub(super) fn write(
    content: &Content,
    extras: &Extras,
    named: bool,
    object: &mut Object<'_>,
) -> bool {
    let (source, kind, title) = match content {
        Content::Image { source, .. } => (source, Kind::Image, None),
        Content::Audio { source } => (source, Kind::Audio, None),
        Content::Video { source } => (source, Kind::Video, None),
        Content::Document { source, title, .. } => (source, Kind::Document, title.as_deref()),
        _ => return false,
    };
    match source {
        Source::Base64 { media_type, data } => {
            let mut inner = Object::begin(object.member("inlineData"));
            let sniffed = media::sniff(data).filter(|sniffed| Kind::of(sniffed) == kind);
            let said = if media_type.is_empty() { kind.usual() } else { media_type };
            inner.text("mimeType", sniffed.unwrap_or(said));
            inner.text("data", data);
            match extras.get(NAME) {
                Some(name) => inner.raw("displayName", name.get()),
                None => {
                    if let Some(title) = title.filter(|_| named) {
                        inner.text("displayName", title);
                    }
                }
            }
            inner.end();
        }
        Source::Url(uri) | Source::File(uri) => {
            let mut inner = Object::begin(object.member("fileData"));
            match extras.get(FILE_TYPE) {
                Some(media_type) => inner.raw("mimeType", media_type.get()),
                None => inner.text("mimeType", guess(uri, kind)),
            }
            inner.text("fileUri", uri);
            inner.end();
        }
        Source::Text { text, .. } => object.text("text", text),
        _ => return false,
    }
    true
}

/// Whether an extra member of a part is written with its medium.
pub(super) fn is_written(name: &str) -> bool {
    matches!(name, FILE_TYPE | NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(media_type: Option<&str>, uri: &str) -> (Content, usize, String) {
        let mut extras = Extras::default();
        let content = file(media_type.map(Str::from), Str::from(uri), &mut extras);
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        assert!(write(&content, &extras, true, &mut object));
        object.end();
        (content, extras.members.len(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_address_says_what_it_is_unless_its_caller_does() {
        let (content, kept, written) =
            there_and_back(Some("image/png"), "https://a.test/b.png?x=1");
        assert!(matches!(content, Content::Image { source: Source::Url(_), .. }));
        assert_eq!(kept, 0, "a caller of another dialect must not be told of a loss");
        assert!(written.contains(r#""mimeType":"image/png""#));
        let (content, kept, written) = there_and_back(Some("application/pdf"), "gs://b/c.bin");
        assert!(matches!(content, Content::Document { source: Source::File(_), .. }));
        assert_eq!(kept, 0);
        assert!(written.contains("application/pdf"));
        let (_, kept, written) = there_and_back(Some("image/avif"), "https://a.test/b.png");
        assert_eq!((kept, written.contains("image/avif")), (1, true));
        let (content, ..) = there_and_back(None, "https://www.youtube.com/watch?v=x");
        assert!(matches!(content, Content::Video { .. }));
    }

    #[test]
    fn a_wrong_type_is_put_right_by_the_first_bytes() {
        let mut extras = Extras::default();
        let png = Str::from("iVBORw0KGgo=");
        let content = inline(Str::from("image/jpeg"), png, None, &mut extras);
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        write(&content, &extras, true, &mut object);
        object.end();
        let expected = r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
