//! Requests, written.

use bytes::Bytes;
use ziggurat_core::{
    Changes, Chat, EncodedRequest, Error, Losses, OutputFormat, Restore, Role, Severity, Source,
    Str, Target, ToolChoice, Typed,
};

use super::{documents, params};
use crate::cohere::{COHERE, content};
use crate::fields::Field;
use crate::json::{self, Array, Object};
use crate::normalise::{Conversation, MidSystem, Profile, normalise};
use crate::plain_error;
use crate::plan::{Abilities, Choice, Piece, Scene, Tools, Turn, turns};
use crate::schema;
use crate::tools::ANY_NAMES;

/// Writes a request.
pub(in crate::cohere) fn encode(
    request: &Typed,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    match request {
        Typed::Chat(chat) => encode_chat(chat, target, losses),
        Typed::Models(_) => Ok(EncodedRequest::new(Bytes::new())),
        other => Err(plain_error::unknown(other.operation())),
    }
}

fn encode_chat(
    chat: &Chat,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<EncodedRequest, Error> {
    // Tools are strict all at once or not at all, and what a strict schema may hold is another part of the language.
    let mut able = target.capabilities.clone();
    able.structured_output = false;
    let narrowed = Target::new(target.model, &able, target.source);
    let scene = Scene::new(&narrowed, COHERE, ANY_NAMES);

    let mut tools = Tools::listed(chat, &scene, losses)?;
    if let Some(ToolChoice::Tool { name }) = &chat.tool_choice {
        let reason = "only the tool that is to be called is sent";
        losses.emulate(scene.names.name(Field::ToolChoice), reason);
        let name = tools.name(name);
        tools.list.retain(|sent| sent.name == name);
    }
    let mut talk = Conversation::of(chat);
    if !scene.is_own() || !able.prefill || !able.mid_system {
        let mut profile = Profile::free();
        profile.prefill = able.prefill;
        profile.mid_system = if able.mid_system { MidSystem::Keep } else { MidSystem::Wrap };
        normalise(&mut talk, &profile, scene.names, losses)?;
    }
    let form = form(chat, &talk, &mut tools, &scene, losses)?;
    talk.instruct(&tools.instructions);
    let can = Abilities { picture_urls: true, documents: true };
    let turns = turns(&talk, &scene, can, &mut tools, losses)?;

    let size: usize = turns.iter().map(Turn::size_hint).sum();
    let mut out = Vec::with_capacity(1024 + size);
    let mut object = Object::begin(&mut out);
    object.text("model", target.model);
    let mut array = Array::begin(object.member("messages"));
    for turn in &turns {
        message(&mut array, turn);
    }
    array.end();
    if !tools.list.is_empty() {
        write_tools(&tools, &mut object);
    }
    let mut cited = documents::of(&turns).peekable();
    if cited.peek().is_some() {
        documents::write(cited, object.member("documents"));
    }
    if let Some(form) = form {
        object.raw("response_format", &form);
    }
    params::write(&mut object, chat, &scene, losses)?;
    object.end();

    let mut changes = Changes::default();
    changes.tool_names = tools.names.into_changed();
    changes.custom_tools = tools.custom.into_iter().collect();
    changes.strip_fence = tools.strip_fence;
    let mut request = EncodedRequest::new(out.into());
    request.restore = Restore::new(changes);
    Ok(request)
}

/// The form of the answer, as JSON. Beside tools and documents there is none: then the model is told.
fn form(
    chat: &Chat,
    talk: &Conversation<'_>,
    tools: &mut Tools<'_>,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Option<String>, Error> {
    let path = scene.names.name(Field::Output);
    let parts = talk.messages.iter().flat_map(|message| &message.parts);
    let busy = !tools.list.is_empty() || parts.into_iter().any(documents::is_cited);
    let schema = match &chat.output {
        OutputFormat::Json => None,
        OutputFormat::Schema(output) => Some(&output.schema),
        _ => return Ok(None),
    };
    if busy && !scene.is_own() {
        losses.drop(
            Severity::Doubtful,
            path,
            "the model can be asked for JSON beside tools, but not bound to it",
        )?;
        tools.strip_fence = true;
        tools.instructions.push(match schema {
            None => "Answer with one JSON object and nothing else.".to_owned(),
            Some(schema) => format!(
                "Answer with one JSON value that matches this JSON Schema, and nothing else: {}",
                schema.get()
            ),
        });
        return Ok(None);
    }
    let Some(schema) = schema else { return Ok(Some(r#"{"type":"json_object"}"#.to_owned())) };
    let bound = |schema: &str| format!(r#"{{"type":"json_object","json_schema":{schema}}}"#);
    if scene.is_own() {
        return Ok(Some(bound(schema.get())));
    }
    match schema::strict_subset(schema) {
        Ok(converted) => {
            for change in converted.changes {
                losses.emulate(path, change);
            }
            Ok(Some(bound(converted.schema.get())))
        }
        Err(reason) => {
            losses.drop(Severity::Grave, path, reason.to_string())?;
            Ok(None)
        }
    }
}

fn message(array: &mut Array<'_>, turn: &Turn<'_>) {
    match turn.role {
        Role::Assistant => assistant(array, turn),
        Role::Tool => tool(array, turn),
        Role::User => user(array, turn),
        _ => {
            let mut object = array.object();
            object.text("role", "system");
            object.text("content", &turn.text("\n\n"));
            end(object, turn);
        }
    }
}

fn end(mut object: Object<'_>, turn: &Turn<'_>) {
    if let Some(extras) = turn.extras {
        object.extras(extras);
    }
    object.end();
}

fn user(array: &mut Array<'_>, turn: &Turn<'_>) {
    let said = || turn.pieces.iter().filter(|piece| !matches!(piece, Piece::Document(_)));
    if said().next().is_none() && !turn.pieces.is_empty() {
        // Documents stand elsewhere.
        return;
    }
    let mut object = array.object();
    object.text("role", "user");
    match (said().next(), said().nth(1)) {
        (None, _) => object.text("content", ""),
        (Some(Piece::Text { text, .. }), None) => object.text("content", text),
        _ => {
            let mut list = Array::begin(object.member("content"));
            for piece in said() {
                write_piece(&mut list, piece);
            }
            list.end();
        }
    }
    end(object, turn);
}

fn write_piece(list: &mut Array<'_>, piece: &Piece<'_>) {
    match piece {
        Piece::Text { text, .. } => content::write_text(list.item(), "text", text),
        Piece::Thought(text) => content::write_text(list.item(), "thinking", text),
        Piece::Own(value) => list.item().extend_from_slice(value.get().as_bytes()),
        Piece::Document(part) => {
            let mut object = list.object();
            object.text("type", "document");
            documents::write_one(part, "doc_0", object.member("document"));
            object.end();
        }
        Piece::Picture { source, detail, extras } => {
            let mut object = list.object();
            object.text("type", "image_url");
            let mut image = Object::begin(object.member("image_url"));
            match source {
                Source::Base64 { media_type, data } => {
                    let said = if media_type.is_empty() { "image/png" } else { media_type };
                    image.text("url", &["data:", said, ";base64,", data].concat());
                }
                Source::Url(url) => image.text("url", url),
                _ => {}
            }
            if let Some(detail) = detail {
                image.text("detail", detail);
            }
            image.end();
            if extras.dialect == Some(COHERE) {
                object.extras(extras);
            }
            object.end();
        }
    }
}

/// What an assistant says beside its calls is its plan.
fn assistant(array: &mut Array<'_>, turn: &Turn<'_>) {
    let mut object = array.object();
    object.text("role", "assistant");
    let texts = || turn.pieces.iter().filter(|piece| matches!(piece, Piece::Text { .. }));
    let planned = usize::from(!turn.calls.is_empty());
    if let Some(text) = turn.texts().next().filter(|_| planned > 0) {
        object.text("tool_plan", text);
    }
    let others = || turn.pieces.iter().filter(|piece| !matches!(piece, Piece::Text { .. }));
    let thinks = others().next().is_some();
    if thinks {
        let mut list = Array::begin(object.member("content"));
        for piece in others().chain(texts().skip(planned)) {
            write_piece(&mut list, piece);
        }
        list.end();
    } else if planned == 0 || texts().nth(1).is_some() {
        let said: Vec<&Str> = turn.texts().skip(planned).collect();
        object.text("content", &json::joined(&said, ""));
    }
    let citations = turn.pieces.iter().flat_map(|piece| match piece {
        Piece::Text { citations, .. } => *citations,
        _ => &[],
    });
    content::write_citations(&mut object, citations);
    if !turn.calls.is_empty() {
        let mut list = Array::begin(object.member("tool_calls"));
        for call in &turn.calls {
            let arguments = (call.arguments.as_str(), call.free);
            content::write_call(list.object(), call.id, &call.name, arguments, call.extras);
        }
        list.end();
    }
    end(object, turn);
}

fn tool(array: &mut Array<'_>, turn: &Turn<'_>) {
    let mut object = array.object();
    object.text("role", "tool");
    if let Some(answers) = &turn.answers {
        object.text("tool_call_id", answers.id);
    }
    if turn.pieces.iter().all(|piece| matches!(piece, Piece::Text { .. })) {
        object.text("content", &turn.text("\n"));
    } else {
        let mut list = Array::begin(object.member("content"));
        for piece in &turn.pieces {
            write_piece(&mut list, piece);
        }
        list.end();
    }
    end(object, turn);
}

fn write_tools(tools: &Tools<'_>, object: &mut Object<'_>) {
    let mut array = Array::begin(object.member("tools"));
    for sent in &tools.list {
        let mut tool = array.object();
        tool.text("type", "function");
        let mut function = Object::begin(tool.member("function"));
        function.text("name", &sent.name);
        if let Some(description) = &sent.description {
            function.text("description", description);
        }
        function.raw("parameters", sent.schema.get());
        function.end();
        tool.end();
    }
    array.end();
    match tools.choice {
        Some(Choice::Any | Choice::Tool(_)) => object.text("tool_choice", "REQUIRED"),
        Some(Choice::None) => object.text("tool_choice", "NONE"),
        _ => {}
    }
    if let Some(strict) = tools.list.first().and_then(|first| first.strict) {
        object.flag("strict_tools", strict);
    }
}
