//! Sources of an answer. This dialect tells them beside the text, by places in bytes; between dialects each is a citation of the
//! text it belongs to, in OpenAI's form, by places in characters.

use serde_json::value::RawValue;
use ziggurat_core::{RawJson, Str};

use super::camel::members;
use crate::json::{self, Array, Fields, Object};

/// The most citations of one answer that are carried.
const MOST: usize = 1_000;

/// A citation, and the part it belongs to where the provider says which.
#[derive(Debug, PartialEq)]
pub(super) struct Cited {
    pub(super) part: Option<usize>,
    start: usize,
    end: usize,
    url: Str,
    title: Str,
}

impl Cited {
    /// The citation in OpenAI's form. `text` is what it belongs to.
    pub(super) fn of(&self, text: &str) -> RawJson {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("type", "url_citation");
        let mut inner = Object::begin(object.member("url_citation"));
        inner.number("start_index", characters(text, self.start));
        inner.number("end_index", characters(text, self.end));
        inner.text("title", &self.title);
        inner.text("url", &self.url);
        inner.end();
        object.end();
        json::raw_json(out).unwrap_or(RawJson::NULL)
    }
}

/// How many characters stand in this many bytes.
fn characters(text: &str, bytes: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}

/// Where in bytes the character of this number begins.
fn bytes(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// Reads what `groundingMetadata` and `citationMetadata` say of a text.
pub(super) fn decode(grounding: Option<&str>, citations: Option<&str>) -> Vec<Cited> {
    let mut found = Vec::new();
    if let Some(grounding) = grounding {
        supports(&members(grounding), &mut found);
    }
    for citation in citations.map(members).iter().flat_map(|c| list(c.get("citations"))) {
        let fields = members(citation.get());
        let Some(url) = text(&fields, "uri") else { continue };
        let title = text(&fields, "title").unwrap_or_default();
        let (start, end) = (number(&fields, "startIndex"), number(&fields, "endIndex"));
        found.push(Cited { part: None, start, end, url, title });
    }
    found.truncate(MOST);
    found
}

fn supports(grounding: &Fields<'_>, found: &mut Vec<Cited>) {
    let chunks: Vec<Option<(Str, Str)>> = list(grounding.get("groundingChunks"))
        .iter()
        .map(|chunk| {
            let chunk = members(chunk.get());
            let source =
                ["web", "retrievedContext", "maps"].iter().find_map(|kind| chunk.get(kind));
            let source = members(source?);
            Some((text(&source, "uri")?, text(&source, "title").unwrap_or_default()))
        })
        .collect();
    for support in list(grounding.get("groundingSupports")) {
        let support = members(support.get());
        let segment = support.get("segment").map(members).unwrap_or_default();
        let part = segment.get("partIndex").and_then(|raw| raw.parse().ok());
        let (start, end) = (number(&segment, "startIndex"), number(&segment, "endIndex"));
        let indices: Vec<usize> = support
            .get("groundingChunkIndices")
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default();
        for index in indices {
            if found.len() < MOST
                && let Some(Some((url, title))) = chunks.get(index)
            {
                found.push(Cited { part, start, end, url: url.clone(), title: title.clone() });
            }
        }
    }
}

fn list(raw: Option<&str>) -> Vec<&RawValue> {
    raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
}

fn text(fields: &Fields<'_>, name: &str) -> Option<Str> {
    json::shared_text(fields.get(name)?, &Str::new())
}

fn number(fields: &Fields<'_>, name: &str) -> usize {
    fields.get(name).and_then(|raw| raw.parse().ok()).unwrap_or(0)
}

/// `groundingMetadata` of the citations of an answer, put together.
#[derive(Debug, Default)]
pub(super) struct Grounding {
    chunks: Vec<(Str, Str)>,
    supports: Vec<Support>,
}

#[derive(Debug)]
struct Support {
    part: usize,
    start: usize,
    end: usize,
    text: String,
    chunk: usize,
}

impl Grounding {
    /// Adds a citation of a text, which is part number `part` of the answer. `false` if it has no address.
    pub(super) fn add(&mut self, citation: &RawJson, text: &str, part: usize) -> bool {
        let body = citation.clone().into_text();
        let Ok(outer) = citation.read::<Fields<'_>>() else { return false };
        let nested = outer.get("url_citation").and_then(|raw| serde_json::from_str(raw).ok());
        let inner: Fields<'_> = nested.unwrap_or(outer);
        let string = |name| inner.get(name).and_then(|raw| json::shared_text(raw, &body));
        let Some(url) = string("url") else { return false };
        if self.supports.len() >= MOST {
            return true;
        }
        let title = string("title").unwrap_or_default();
        let place = |name| inner.get(name).and_then(|raw| raw.parse::<usize>().ok());
        let start = place("start_index").map_or(0, |at| bytes(text, at));
        let end = place("end_index").map_or(text.len(), |at| bytes(text, at)).max(start);
        let known = self.chunks.iter().position(|(other, _)| *other == url);
        let chunk = known.unwrap_or_else(|| {
            self.chunks.push((url, title));
            self.chunks.len() - 1
        });
        let text = text.get(start..end).unwrap_or_default().to_owned();
        self.supports.push(Support { part, start, end, text, chunk });
        true
    }

    /// Whether nothing is cited.
    pub(super) fn is_empty(&self) -> bool {
        self.supports.is_empty()
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        let mut chunks = Array::begin(object.member("groundingChunks"));
        for (url, title) in &self.chunks {
            let mut chunk = chunks.object();
            let mut web = Object::begin(chunk.member("web"));
            web.text("uri", url);
            web.text("title", title);
            web.end();
            chunk.end();
        }
        chunks.end();
        let mut supports = Array::begin(object.member("groundingSupports"));
        for support in &self.supports {
            let mut item = supports.object();
            let mut segment = Object::begin(item.member("segment"));
            segment.number("partIndex", support.part);
            segment.number("startIndex", support.start);
            segment.number("endIndex", support.end);
            segment.text("text", &support.text);
            segment.end();
            let mut indices = Array::begin(item.member("groundingChunkIndices"));
            json::integer(indices.item(), support.chunk);
            indices.end();
            item.end();
        }
        supports.end();
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Zürich ist groß.";

    #[test]
    fn places_are_counted_in_bytes_here_and_in_characters_elsewhere() {
        let metadata = r#"{"webSearchQueries":["x"],"groundingChunks":[{"web":{"uri":"https://a.test","title":"A"}},{"web":{}}],
            "groundingSupports":[{"segment":{"startIndex":8,"endIndex":17,"text":"ist groß"},"groundingChunkIndices":[0,1,7]}]}"#;
        let cited = decode(Some(metadata), None);
        assert_eq!(cited.len(), 1);
        let citation = cited[0].of(TEXT);
        assert_eq!(
            citation.get(),
            r#"{"type":"url_citation","url_citation":{"start_index":7,"end_index":15,"title":"A","url":"https://a.test"}}"#
        );
        let mut grounding = Grounding::default();
        assert!(grounding.add(&citation, TEXT, 0));
        let mut out = Vec::new();
        grounding.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"groundingChunks":[{"web":{"uri":"https://a.test","title":"A"}}],"groundingSupports":[{"segment":{"partIndex":0,"startIndex":8,"endIndex":17,"text":"ist groß"},"groundingChunkIndices":[0]}]}"#
        );
    }

    #[test]
    fn a_citation_without_an_address_is_none_of_ours() {
        let mut grounding = Grounding::default();
        let raw = |text: &str| RawJson::parse(Str::from(text)).unwrap();
        assert!(!grounding.add(&raw(r#"{"type":"char_location","cited_text":"x"}"#), TEXT, 0));
        assert!(!grounding.add(&raw("1"), TEXT, 0));
        assert!(grounding.is_empty());
        let search =
            r#"{"type":"web_search_result_location","url":"https://b.test","cited_text":"x"}"#;
        assert!(grounding.add(&raw(search), TEXT, 0));
    }

    #[test]
    fn citations_of_recited_text_are_told_too() {
        let metadata = r#"{"citations":[{"startIndex":0,"endIndex":3,"uri":"https://c.test"},{"license":"mit"}]}"#;
        let cited = decode(None, Some(metadata));
        assert_eq!(cited.len(), 1);
        assert!(cited[0].of("abc").get().contains(r#""end_index":3"#));
        assert!(decode(Some("[]"), Some("1")).is_empty());
    }
}
