//! Citations: each is carried as its dialect wrote it, so this one has to know its own.

use ziggurat_core::{RawJson, Str};

use crate::json::{self, Array, Fields, Object};

/// Whether this dialect wrote a citation.
pub(super) fn is_own(citation: &RawJson) -> bool {
    let Ok(fields) = citation.read::<Fields<'_>>() else { return false };
    fields.get("type").is_some_and(|kind| kind.ends_with("_location\""))
}

/// Writes the citations of a text that are this dialect's own.
pub(super) fn write(citations: &[RawJson], object: &mut Object<'_>) {
    let mut own = citations.iter().filter(|citation| is_own(citation)).peekable();
    if own.peek().is_none() {
        return;
    }
    let mut array = Array::begin(object.member("citations"));
    for citation in own {
        array.item().extend_from_slice(citation.get().as_bytes());
    }
    array.end();
}

/// A citation in this dialect's form: its own as it is, OpenAI's with an address as a search result. `text` is what it cites.
pub(super) fn adopt(citation: &RawJson, text: &str) -> Option<RawJson> {
    if is_own(citation) {
        return Some(citation.clone());
    }
    let body = citation.clone().into_text();
    let outer: Fields<'_> = citation.read().ok()?;
    let mut inner: Fields<'_> = match outer.get("url_citation") {
        Some(inner) => serde_json::from_str(inner).ok()?,
        None => outer,
    };
    let url = inner.take("url").and_then(|url| json::shared_text(url, &body))?;
    let title = inner.take("title").and_then(|title| json::shared_text(title, &body));
    let mut place = |name| inner.take(name).and_then(|number| number.parse::<usize>().ok());
    let (start, end) = (place("start_index").unwrap_or(0), place("end_index").unwrap_or(0));
    let cited: String = text.chars().skip(start).take(end.saturating_sub(start)).collect();
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.text("type", "web_search_result_location");
    object.text("url", &url);
    match title {
        Some(title) => object.text("title", &title),
        None => object.raw("title", "null"),
    }
    // Only the provider that searched could fill this in.
    object.text("encrypted_index", "");
    object.text("cited_text", &cited);
    object.end();
    RawJson::parse(Str::from_utf8(out.into()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(Str::from(text)).unwrap()
    }

    #[test]
    fn its_own_citations_stay_as_they_are() {
        let own = raw(r#"{"type":"char_location","cited_text":"x","document_index":0}"#);
        assert_eq!(adopt(&own, ""), Some(own));
    }

    #[test]
    fn a_citation_with_an_address_becomes_a_search_result() {
        let openai = raw(
            r#"{"type":"url_citation","url_citation":{"start_index":2,"end_index":4,"url":"https://a.test","title":"A"}}"#,
        );
        assert_eq!(
            adopt(&openai, "häuser").unwrap().get(),
            r#"{"type":"web_search_result_location","url":"https://a.test","title":"A","encrypted_index":"","cited_text":"us"}"#
        );
        assert_eq!(adopt(&raw(r#"{"type":"file_citation"}"#), ""), None);
        assert!(!is_own(&openai));
        assert!(!is_own(&raw("1")));
    }
}
