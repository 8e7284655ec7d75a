//! Citations: each is carried as its dialect wrote it, and written in the form of the one that shows it.

use ziggurat_core::{RawJson, Str};

use crate::json::{self, Object};
use crate::node::Node;

/// A citation of an address, in either form, or another dialect's that has one.
struct Address {
    url: Str,
    title: Str,
    /// Where the text begins and ends that it is for, in characters of that text, if it says.
    place: Option<(u64, u64)>,
}

impl Address {
    fn read(citation: &Node<'_>) -> Option<Self> {
        let nested = citation.get("url_citation");
        let node = nested.as_ref().unwrap_or(citation);
        let [url, title, start, end] =
            node.pick(["url", "title", "start_index", "end_index"]).ok()?;
        let place = start.and_then(|start| start.as_count());
        let place = place.zip(end.and_then(|end| end.as_count()));
        let title = title.and_then(|title| title.as_string()).unwrap_or_default();
        Some(Self { url: url?.as_string()?, title, place })
    }

    fn write(&self, object: &mut Object<'_>, start: u64, end: u64) {
        object.number("start_index", start);
        object.number("end_index", end);
        object.text("title", &self.title);
        object.text("url", &self.url);
    }
}

/// A citation as Chat Completions writes it, if it has an address. `span` is where the text that it is for stands in the
/// message, in characters.
pub(crate) fn nested(citation: &RawJson, span: (usize, usize)) -> Option<RawJson> {
    let body = citation.clone().into_text();
    let node = Node::root("citation", &body);
    if node.get("url_citation").is_some() {
        return Some(citation.clone());
    }
    let address = Address::read(&node)?;
    let (from, to) = (span.0 as u64, span.1 as u64);
    let (start, end) = match address.place {
        Some((start, end)) => (from.saturating_add(start), from.saturating_add(end)),
        None => (from, to),
    };
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.text("type", "url_citation");
    let mut inner = Object::begin(object.member("url_citation"));
    address.write(&mut inner, start, end);
    inner.end();
    object.end();
    json::raw_json(out)
}

/// A citation as Responses writes it, if it has an address or is one of its own. `span` is where the text that it is for stands
/// in its part, in characters.
pub(crate) fn flat(citation: &RawJson, span: (usize, usize)) -> Option<RawJson> {
    const OWN: [&str; 4] =
        ["url_citation", "file_citation", "container_file_citation", "file_path"];
    let body = citation.clone().into_text();
    let node = Node::root("citation", &body);
    let kind = node.get("type").and_then(|kind| kind.as_string()).unwrap_or_default();
    if OWN.contains(&kind.as_str()) && node.get(&kind).is_none() {
        return Some(citation.clone());
    }
    let address = Address::read(&node)?;
    let (start, end) = address.place.unwrap_or((span.0 as u64, span.1 as u64));
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.text("type", "url_citation");
    address.write(&mut object, start, end);
    object.end();
    json::raw_json(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> RawJson {
        RawJson::parse(Str::from(json)).unwrap()
    }

    #[test]
    fn citations_with_an_address_are_written_in_both_forms() {
        let anthropic = raw(
            r#"{"type":"web_search_result_location","url":"https://a.test/","title":"A","cited_text":"x"}"#,
        );
        let inner = r#""start_index":3,"end_index":7,"title":"A","url":"https://a.test/""#;
        let as_nested = raw(&format!(r#"{{"type":"url_citation","url_citation":{{{inner}}}}}"#));
        let as_flat = raw(&format!(r#"{{"type":"url_citation",{inner}}}"#));
        assert_eq!(nested(&anthropic, (3, 7)).unwrap(), as_nested);
        assert_eq!(flat(&anthropic, (3, 7)).unwrap(), as_flat);
        assert_eq!(nested(&as_nested, (0, 0)).unwrap(), as_nested);
        assert_eq!(flat(&as_flat, (0, 0)).unwrap(), as_flat);
        assert_eq!(flat(&as_nested, (0, 0)).unwrap(), as_flat);
        assert_eq!(nested(&as_flat, (0, 9)).unwrap(), as_nested);
    }

    #[test]
    fn a_place_in_a_part_is_another_in_the_message() {
        let part = raw(
            r#"{"type":"url_citation","start_index":1,"end_index":2,"title":"","url":"https://a.test/"}"#,
        );
        let moved = nested(&part, (10, 20)).unwrap();
        assert!(moved.get().contains(r#""start_index":11,"end_index":12"#), "{moved:?}");
    }

    #[test]
    fn a_citation_without_an_address_has_one_form() {
        let location = raw(r#"{"type":"char_location"}"#);
        assert_eq!(nested(&location, (0, 1)), None);
        assert_eq!(flat(&location, (0, 1)), None);
        let file = raw(r#"{"type":"file_citation","file_id":"f","filename":"a","index":0}"#);
        assert_eq!(flat(&file, (0, 1)), Some(file.clone()));
        assert_eq!(nested(&file, (0, 1)), None);
    }
}
