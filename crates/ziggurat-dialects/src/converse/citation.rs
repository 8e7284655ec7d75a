//! Citations. The superset holds them in Anthropic's spelling, which says the same: most models that cite here are Claudes.

use serde_json::value::RawValue;
use ziggurat_core::{RawJson, Str};

use crate::json::{self, Array, Fields, Object};

/// A kind of place: this dialect's word and members, Anthropic's type and members.
struct Place {
    word: &'static str,
    members: [&'static str; 3],
    kind: &'static str,
    theirs: [&'static str; 3],
}

const PLACES: [Place; 4] = [
    Place {
        word: "documentChar",
        members: ["documentIndex", "start", "end"],
        kind: "char_location",
        theirs: ["document_index", "start_char_index", "end_char_index"],
    },
    Place {
        word: "documentPage",
        members: ["documentIndex", "start", "end"],
        kind: "page_location",
        theirs: ["document_index", "start_page_number", "end_page_number"],
    },
    Place {
        word: "documentChunk",
        members: ["documentIndex", "start", "end"],
        kind: "content_block_location",
        theirs: ["document_index", "start_block_index", "end_block_index"],
    },
    Place {
        word: "searchResultLocation",
        members: ["searchResultIndex", "start", "end"],
        kind: "search_result_location",
        theirs: ["search_result_index", "start_block_index", "end_block_index"],
    },
];

/// Reads a citation into the superset's spelling. What is not understood stays as it is.
pub(super) fn read(citation: &RawJson) -> RawJson {
    translate(citation).unwrap_or_else(|| citation.clone())
}

fn translate(citation: &RawJson) -> Option<RawJson> {
    let body = citation.clone().into_text();
    let mut fields: Fields<'_> = citation.read().ok()?;
    let mut location: Fields<'_> = serde_json::from_str(fields.take("location")?).ok()?;
    let text = |fields: &Fields<'_>, name: &str| {
        fields.get(name).and_then(|raw| json::shared_text(raw, &body))
    };
    let cited = fields.get("sourceContent").map(|raw| cited_text(raw, &body)).unwrap_or_default();
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    let title = |object: &mut Object<'_>, name: &'static str| match text(&fields, "title") {
        Some(title) => object.text(name, &title),
        None => object.raw(name, "null"),
    };
    if let Some(web) = location.take("web") {
        let web: Fields<'_> = serde_json::from_str(web).ok()?;
        object.text("type", "web_search_result_location");
        object.text("url", &text(&web, "url")?);
        title(&mut object, "title");
        // Only the provider that searched could fill this in.
        object.text("encrypted_index", "");
        object.text("cited_text", &cited);
    } else {
        let (place, raw) =
            PLACES.iter().find_map(|place| Some((place, location.take(place.word)?)))?;
        let inner: Fields<'_> = serde_json::from_str(raw).ok()?;
        object.text("type", place.kind);
        object.text("cited_text", &cited);
        for (ours, theirs) in place.members.iter().zip(place.theirs) {
            object.raw(theirs, inner.get(ours).unwrap_or("0"));
        }
        let of_search = place.kind == "search_result_location";
        title(&mut object, if of_search { "title" } else { "document_title" });
        if let Some(source) = text(&fields, "source") {
            object.text("source", &source);
        }
    }
    object.end();
    json::raw_json(out)
}

fn cited_text(raw: &str, body: &Str) -> String {
    let pieces: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let text = |raw: &RawValue| {
        let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
        json::shared_text(fields.get("text")?, body)
    };
    pieces.into_iter().filter_map(text).map(|text| text.to_string()).collect()
}

/// A citation in this dialect's spelling, whoever wrote it; `None` if it cannot be told. `cites` is the text that it belongs to.
pub(super) fn adopt(citation: &RawJson, cites: &str) -> Option<RawJson> {
    let body = citation.clone().into_text();
    let outer: Fields<'_> = citation.read().ok()?;
    if outer.get("location").is_some_and(|location| location.starts_with('{')) {
        return Some(citation.clone());
    }
    let fields: Fields<'_> = match outer.get("url_citation") {
        Some(inner) => serde_json::from_str(inner).ok()?,
        None => outer,
    };
    let text = |name: &str| fields.get(name).and_then(|raw| json::shared_text(raw, &body));
    let kind = text("type").unwrap_or_default();
    let place = PLACES.iter().find(|place| kind == place.kind);
    let url = text("url").filter(|_| place.is_none());
    if place.is_none() && url.is_none() {
        return None;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    if let Some(title) = text("document_title").or_else(|| text("title")) {
        object.text("title", &title);
    }
    if let Some(source) = text("source") {
        object.text("source", &source);
    }
    let number = |name: &str| fields.get(name).and_then(|number| number.parse::<usize>().ok());
    let cited: Str = text("cited_text").unwrap_or_else(|| {
        let (start, end) = (number("start_index").unwrap_or(0), number("end_index").unwrap_or(0));
        cites.chars().skip(start).take(end.saturating_sub(start)).collect::<String>().into()
    });
    if !cited.is_empty() {
        let mut pieces = Array::begin(object.member("sourceContent"));
        let mut piece = pieces.object();
        piece.text("text", &cited);
        piece.end();
        pieces.end();
    }
    let mut location = Object::begin(object.member("location"));
    match (place, url) {
        (Some(place), _) => {
            let mut inner = Object::begin(location.member(place.word));
            for (ours, theirs) in place.members.iter().zip(place.theirs) {
                inner.number(ours, number(theirs).unwrap_or(0));
            }
            inner.end();
        }
        (None, url) => {
            let mut web = Object::begin(location.member("web"));
            web.text("url", &url.unwrap_or_default());
            web.end();
        }
    }
    location.end();
    object.end();
    json::raw_json(out)
}

/// Writes a text with citations, in this dialect's spelling, as a block of its own kind.
pub(super) fn write(text: &str, citations: impl Iterator<Item = RawJson>, object: &mut Object<'_>) {
    let mut outer = Object::begin(object.member("citationsContent"));
    let mut content = Array::begin(outer.member("content"));
    let mut piece = content.object();
    piece.text("text", text);
    piece.end();
    content.end();
    let mut array = Array::begin(outer.member("citations"));
    for citation in citations {
        array.item().extend_from_slice(citation.get().as_bytes());
    }
    array.end();
    outer.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(Str::from(text)).unwrap()
    }

    #[test]
    fn every_place_goes_there_and_back() {
        for (ours, theirs) in [
            (
                r#"{"title":"R","sourceContent":[{"text":"4 C"}],"location":{"documentChar":{"documentIndex":0,"start":1,"end":4}}}"#,
                r#"{"type":"char_location","cited_text":"4 C","document_index":0,"start_char_index":1,"end_char_index":4,"document_title":"R"}"#,
            ),
            (
                r#"{"sourceContent":[{"text":"4 C"}],"location":{"documentPage":{"documentIndex":2,"start":1,"end":2}}}"#,
                r#"{"type":"page_location","cited_text":"4 C","document_index":2,"start_page_number":1,"end_page_number":2,"document_title":null}"#,
            ),
            (
                r#"{"title":"S","source":"https://a.test","sourceContent":[{"text":"x"}],"location":{"searchResultLocation":{"searchResultIndex":1,"start":0,"end":1}}}"#,
                r#"{"type":"search_result_location","cited_text":"x","search_result_index":1,"start_block_index":0,"end_block_index":1,"title":"S","source":"https://a.test"}"#,
            ),
            (
                r#"{"title":"W","sourceContent":[{"text":"x"}],"location":{"web":{"url":"https://a.test"}}}"#,
                r#"{"type":"web_search_result_location","url":"https://a.test","title":"W","encrypted_index":"","cited_text":"x"}"#,
            ),
        ] {
            assert_eq!(read(&raw(ours)).get(), theirs);
            assert_eq!(adopt(&raw(theirs), "").unwrap().get(), ours);
        }
    }

    #[test]
    fn openais_addresses_are_told_and_what_is_unknown_is_not() {
        let openai = raw(
            r#"{"type":"url_citation","url_citation":{"start_index":2,"end_index":4,"url":"https://a.test","title":"A"}}"#,
        );
        assert_eq!(
            adopt(&openai, "häuser").unwrap().get(),
            r#"{"title":"A","sourceContent":[{"text":"us"}],"location":{"web":{"url":"https://a.test"}}}"#
        );
        assert_eq!(adopt(&raw(r#"{"type":"file_citation"}"#), ""), None);
        assert_eq!(adopt(&raw("1"), ""), None);
        let new = raw(r#"{"location":{"moon":{}}}"#);
        assert_eq!(read(&new), new);
        assert_eq!(adopt(&new, ""), Some(new));
    }
}
