//! Tool calls: arguments are objects, and ids are a newer thing that clients leave out.

use ziggurat_core::{Error, Extras, Str};

use super::OLLAMA;
use crate::json::{self, Array, At, Fields, Object};
use crate::tools::write_input;

/// A call as it came.
#[derive(Debug)]
pub(super) struct Call {
    /// Empty where the server, or the client, gives none.
    pub(super) id: Str,
    pub(super) name: Str,
    /// JSON text.
    pub(super) arguments: Str,
    pub(super) extras: Extras,
}

/// Reads one call.
pub(super) fn decode(raw: &str, body: &Str, at: At<'_>) -> Result<Call, Error> {
    let mut outer: Fields<'_> = json::read(raw, at, "an object")?;
    let id = outer.text("id", body, at)?.unwrap_or_default();
    let inside = at.name("function");
    let function: Option<Fields<'_>> = outer.value("function", at, "an object")?;
    let Some(mut function) = function else {
        return Err(inside.error("this field is required"));
    };
    let name = function.need("name", body, inside)?;
    if name.is_empty() {
        return Err(inside.name("name").error("a tool has a name"));
    }
    let arguments = match function.take("arguments") {
        None => Str::from_static("{}"),
        // Some servers send them as text, as OpenAI's do.
        Some(text) if text.starts_with('"') => {
            json::read_text(text, body, inside.name("arguments"))?
        }
        Some(object) => json::compact(object, body),
    };
    // The place of a call among the others is told by its place.
    function.take("index");
    outer.take("type");
    let mut extras = Extras::default();
    outer.leave(&mut extras, body);
    if !extras.is_empty() {
        extras.dialect = Some(OLLAMA);
    }
    Ok(Call { id, name, arguments, extras })
}

/// Writes one call.
pub(super) fn write(
    list: &mut Array<'_>,
    index: usize,
    id: &str,
    name: &str,
    (arguments, free): (&Str, bool),
    extras: Option<&Extras>,
) {
    let mut call = list.object();
    if !id.is_empty() {
        call.text("id", id);
    }
    let mut function = Object::begin(call.member("function"));
    function.number("index", index);
    function.text("name", name);
    write_input(arguments, free, function.member("arguments"));
    function.end();
    if let Some(extras) = extras.filter(|extras| extras.dialect == Some(OLLAMA)) {
        call.extras(extras);
    }
    call.end();
}
