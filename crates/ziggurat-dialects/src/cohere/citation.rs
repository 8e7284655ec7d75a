//! Citations: each is carried as its dialect wrote it, so this one has to know its own, and what the others' say.

use ziggurat_core::{RawJson, Str};

use crate::json::{self, Array, Fields, Object, raw_json};

/// Whether this dialect wrote a citation.
pub(super) fn is_own(citation: &RawJson) -> bool {
    let Ok(fields) = citation.read::<Fields<'_>>() else { return false };
    fields.get("sources").is_some() && fields.get("start").is_some()
}

/// Which content a citation of this dialect's own is about.
pub(super) fn content_index(citation: &str) -> Option<u64> {
    let fields: Fields<'_> = serde_json::from_str(citation).ok()?;
    fields.get("content_index")?.parse().ok()
}

/// A citation in this dialect's form: its own as it is, another's with what it tells of the source. `text` is what it cites, and
/// `content` the place of that among the contents.
pub(super) fn adopt(citation: &RawJson, text: &str, content: usize) -> Option<RawJson> {
    if is_own(citation) {
        return Some(citation.clone());
    }
    let body = citation.clone().into_text();
    let outer: Fields<'_> = citation.read().ok()?;
    // OpenAI's stand in a member of their own.
    let inner: Fields<'_> = match outer.get("url_citation") {
        Some(inner) => serde_json::from_str(inner).ok()?,
        None => outer,
    };
    let said = |name: &str| -> Option<Str> { json::shared_text(inner.get(name)?, &body) };
    let place = |name: &str| inner.get(name).and_then(|number| number.parse::<usize>().ok());
    let (url, title) = (said("url"), said("title").or_else(|| said("document_title")));
    let id = url.clone().or_else(|| title.clone())?;
    let whole = text.chars().count();
    let end = place("end_index").unwrap_or(whole).min(whole);
    let start = place("start_index").unwrap_or(0).min(end);
    let cited: String = text.chars().skip(start).take(end - start).collect();

    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.number("start", start);
    object.number("end", end);
    object.text("text", &cited);
    let mut sources = Array::begin(object.member("sources"));
    let mut source = sources.object();
    source.text("type", "document");
    source.text("id", &id);
    let mut document = Object::begin(source.member("document"));
    document.text("id", &id);
    for (name, value) in [("url", url), ("title", title), ("snippet", said("cited_text"))] {
        if let Some(value) = value {
            document.text(name, &value);
        }
    }
    document.end();
    source.end();
    sources.end();
    object.number("content_index", content);
    object.text("type", "TEXT_CONTENT");
    object.end();
    raw_json(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> RawJson {
        RawJson::parse(Str::from_static(text)).unwrap()
    }

    #[test]
    fn its_own_stay_as_they_are() {
        let own = raw(r#"{"start":0,"end":2,"text":"Hi","content_index":3,"sources":[]}"#);
        assert_eq!(adopt(&own, "Hi", 0), Some(own.clone()));
        assert_eq!(content_index(own.get()), Some(3));
    }

    #[test]
    fn an_address_is_a_source() {
        let openai = raw(
            r#"{"type":"url_citation","url_citation":{"url":"https://a.test","title":"A","start_index":1,"end_index":2}}"#,
        );
        assert_eq!(
            adopt(&openai, "äbc", 1).unwrap().get(),
            r#"{"start":1,"end":2,"text":"b","sources":[{"type":"document","id":"https://a.test","document":{"id":"https://a.test","url":"https://a.test","title":"A"}}],"content_index":1,"type":"TEXT_CONTENT"}"#
        );
    }

    #[test]
    fn a_document_is_one_too() {
        let claude = raw(
            r#"{"type":"char_location","cited_text":"It rains.","document_index":0,"document_title":"Notes","start_char_index":0,"end_char_index":9}"#,
        );
        let adopted = adopt(&claude, "Rain.", 0).unwrap();
        assert!(adopted.get().contains(r#""title":"Notes","snippet":"It rains.""#), "{adopted:?}");
        assert!(adopted.get().starts_with(r#"{"start":0,"end":5,"text":"Rain.""#), "{adopted:?}");
        assert_eq!(adopt(&raw(r#"{"type":"char_location"}"#), "x", 0), None);
    }
}
