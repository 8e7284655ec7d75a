//! What requests and answers write alike: contents, calls, citations.

use ziggurat_core::{Extras, RawJson};

use super::COHERE;
use crate::json::{Array, Object, Text};
use crate::tools::free_arguments;

/// Writes a content of this kind, whose member has the kind's name.
pub(super) fn write_text(out: &mut Vec<u8>, kind: &'static str, text: &(impl Text + ?Sized)) {
    let mut object = Object::begin(out);
    object.text("type", kind);
    object.text(kind, text);
    object.end();
}

/// Writes a call. Clients parse the arguments: none are an empty object.
pub(super) fn write_call(
    mut object: Object<'_>,
    id: &str,
    name: &str,
    (arguments, free): (&str, bool),
    extras: Option<&Extras>,
) {
    object.text("id", id);
    object.text("type", "function");
    let mut function = Object::begin(object.member("function"));
    function.text("name", name);
    match arguments {
        text if free => function.text("arguments", &free_arguments(text)),
        "" => function.text("arguments", "{}"),
        arguments => function.text("arguments", arguments),
    }
    function.end();
    if let Some(extras) = extras.filter(|extras| extras.dialect == Some(COHERE)) {
        object.extras(extras);
    }
    object.end();
}

/// Writes citations, if there is any.
pub(super) fn write_citations<'a>(
    object: &mut Object<'_>,
    citations: impl Iterator<Item = &'a RawJson>,
) {
    let mut citations = citations.peekable();
    if citations.peek().is_none() {
        return;
    }
    let mut list = Array::begin(object.member("citations"));
    for citation in citations {
        list.item().extend_from_slice(citation.get().as_bytes());
    }
    list.end();
}
