//! Documents: what the provider takes, and the names it insists on.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ziggurat_core::{Content, Loss, LossAction, Losses, Message, Part, RawJson, Source, Str};

use super::check::address;
use crate::converse::block::own_parts;
use crate::converse::media::Medium;
use crate::media;
use crate::plan::Scene;

/// The name of a document that has none.
const NAMELESS: &str = "document";
/// The longest name, in characters.
const LONGEST_NAME: usize = 200;
/// What stands beside a document where its caller said nothing: a message with a document must have a text.
const BESIDE: &str = "(see the document)";

/// How a document is written.
#[derive(Debug)]
pub(super) enum Written<'a> {
    Bytes { format: &'static str, data: &'a str },
    Text { format: &'static str, text: &'a str },
    Parts(RawJson),
    S3 { format: &'static str, uri: &'a str },
}

/// How a document is written, or why it cannot be.
pub(super) fn source<'a>(source: &'a Source, scene: &Scene<'_>) -> Result<Written<'a>, String> {
    match source {
        Source::Base64 { media_type, data } => {
            let kind = true_type(media_type, data);
            match Medium::Document.format(kind) {
                Some(format) => Ok(Written::Bytes { format, data }),
                None => Err(format!("the provider takes no document of the type `{kind}`")),
            }
        }
        Source::Text { media_type, text } => {
            let format = Medium::Document.format(media_type).unwrap_or("txt");
            Ok(Written::Text { format, text })
        }
        Source::Parts(parts) => match own_parts(parts) {
            Some(parts) => Ok(Written::Parts(parts)),
            None => Err("the parts of a document can be text only".to_owned()),
        },
        Source::Url(uri) | Source::File(uri) => match address(uri, scene) {
            None => Ok(Written::S3 { format: Medium::Document.format_of_name(uri), uri }),
            Some(reason) => Err(reason),
        },
        _ => Err("the target has no such document".to_owned()),
    }
}

/// The media type of base64 data: what the first bytes say, else what was said.
pub(super) fn true_type<'a>(said: &'a str, data: &str) -> &'a str {
    media::sniff(data).unwrap_or(said)
}

/// Gives documents the names that the provider takes, each one once, and a text beside them.
pub(super) fn fit(messages: &mut [Message], scene: &Scene<'_>, losses: &mut Losses) {
    let mut names = BTreeSet::new();
    for message in messages {
        let place = || scene.names.message(message);
        let (mut has_text, mut has_document) = (false, false);
        let mut changed = false;
        let mut rename = |part: &mut Part| {
            if let Content::Document { title, .. } = &mut part.content {
                let name = unique(title.as_deref(), &mut names);
                changed |= title.as_ref().is_some_and(|title| *title != name);
                *title = Some(name);
            }
        };
        let at = place();
        for part in &mut message.parts {
            match &mut part.content {
                Content::Text { .. } | Content::Refusal { .. } => has_text = true,
                Content::Document { .. } => {
                    has_document = true;
                    rename(part);
                }
                Content::ToolResult { parts, .. } => parts.iter_mut().for_each(&mut rename),
                _ => {}
            }
        }
        if changed {
            let reason = "documents have names that the provider takes";
            losses.note(Loss::new(at.clone(), reason, LossAction::Emulated));
        }
        if has_document && !has_text {
            message.parts.push(Part::text(BESIDE));
            losses.emulate(at, "a text stands beside the document");
        }
    }
}

/// A name that is taken and was not used yet.
fn unique(title: Option<&str>, names: &mut BTreeSet<Str>) -> Str {
    let name = title.map_or(Cow::Borrowed(NAMELESS), sanitised);
    let mut unique: Str = Str::from(&*name);
    let mut number = 2;
    while !names.insert(unique.clone()) {
        unique = Str::from(format!("{name} ({number})"));
        number += 1;
    }
    unique
}

/// Letters, digits, hyphens, parentheses, brackets, and single spaces in place of all else.
fn sanitised(title: &str) -> Cow<'_, str> {
    let stays = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let mut name = String::with_capacity(title.len());
    for c in title.chars().map(|c| if stays(c) { c } else { ' ' }) {
        if c != ' ' || !(name.is_empty() || name.ends_with(' ')) {
            name.push(c);
        }
        // Room for a number.
        if name.len() == LONGEST_NAME - 10 {
            break;
        }
    }
    let name = name.trim_end();
    if name.is_empty() { Cow::Borrowed(NAMELESS) } else { Cow::Owned(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_is_taken() {
        for (title, name) in [
            ("report", "report"),
            ("Q3 report.pdf", "Q3 report pdf"),
            ("  a\t\n__b  ", "a b"),
            ("[x] (1)-2", "[x] (1)-2"),
            ("größe", "gr e"),
            ("...", "document"),
            ("", "document"),
        ] {
            assert_eq!(sanitised(title), name, "{title:?}");
        }
        assert!(sanitised(&"a".repeat(500)).len() <= LONGEST_NAME);
    }

    #[test]
    fn every_name_comes_once() {
        let mut names = BTreeSet::new();
        let given = [Some("a.b"), Some("a b"), None, None, Some("a b")];
        let given = given.map(|title| unique(title, &mut names).to_string());
        assert_eq!(given, ["a b", "a b (2)", "document", "document (2)", "a b (3)"]);
    }
}
