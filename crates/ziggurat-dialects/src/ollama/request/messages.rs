//! The messages of a request, read.

use serde_json::value::RawValue;
use ziggurat_core::{Chat, Content, Error, Extras, Message, Part, Role, Source, Str, ToolCallKind};

use crate::json::{self, At, Fields};
use crate::media;
use crate::ollama::{OLLAMA, call};
use crate::tools::{self, FAILED};

/// How many messages are taken.
const MAX_MESSAGES: usize = 100_000;

/// Reads the messages. What the operator says first is the system prompt.
pub(super) fn decode(value: &Str, at: At<'_>, chat: &mut Chat) -> Result<(), Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of messages")?;
    if items.len() > MAX_MESSAGES {
        return Err(at.error(format_args!("at most {MAX_MESSAGES} messages are taken")));
    }
    let mut waiting = Waiting::default();
    for (index, raw) in items.into_iter().enumerate() {
        let message = message(raw.get(), value, at.index(index), index, &mut waiting)?;
        if message.role == Role::System && chat.messages.is_empty() {
            prompt(message, chat);
        } else {
            chat.messages.push(message.at(index));
        }
    }
    Ok(())
}

/// Adds a leading message to the system prompt. What the prompt has no room for stays with its first part.
fn prompt(mut message: Message, chat: &mut Chat) {
    if let Some(first) = message.parts.first_mut()
        && !message.extras.is_empty()
    {
        first.extras = message.extras;
    }
    chat.system.append(&mut message.parts);
}

fn message(
    raw: &str,
    body: &Str,
    at: At<'_>,
    index: usize,
    waiting: &mut Waiting,
) -> Result<Message, Error> {
    let mut fields: Fields<'_> = json::read(raw, at, "an object")?;
    let role = fields.need("role", body, at)?;
    let role = match role.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let wrong =
                format_args!("`system`, `user`, `assistant` or `tool` is expected, not `{other}`");
            return Err(at.name("role").error(wrong));
        }
    };
    let mut parts = Vec::new();
    if role == Role::Assistant
        && let Some(text) = fields.text("thinking", body, at)?.filter(|text| !text.is_empty())
    {
        parts.push(Part::new(Content::Reasoning { text, signature: None, redacted: None }));
    }
    // The server shows a model the pictures of a message before its text.
    let pictures: Option<Vec<&RawValue>> = fields.value("images", at, "a list of base64 texts")?;
    for (index, picture) in pictures.into_iter().flatten().enumerate() {
        let text = json::read_text(picture.get(), body, at.name("images").index(index))?;
        parts.push(Part::new(Content::Image { source: picture_source(&text), detail: None }));
    }
    let text = fields.text("content", body, at)?.filter(|text| !text.is_empty());
    parts.extend(text.map(Part::text));
    match role {
        Role::Tool => {
            let id = fields.text("tool_call_id", body, at)?.filter(|id| !id.is_empty());
            let name = match fields.text("tool_name", body, at)? {
                // Older clients.
                None => fields.text("name", body, at)?,
                name => name,
            };
            let call_id = waiting.answered(id, name.as_deref(), index);
            parts = vec![result(call_id, name, parts)];
        }
        Role::Assistant => {
            waiting.assistant_speaks();
            let calls: Option<Vec<&RawValue>> =
                fields.value("tool_calls", at, "a list of calls")?;
            for (ordinal, raw) in calls.into_iter().flatten().enumerate() {
                let call = call(raw.get(), body, at.name("tool_calls").index(ordinal), index)?;
                if let Content::ToolCall { id, name, .. } = &call.content {
                    waiting.calls.push((id.clone(), name.clone()));
                }
                parts.push(call);
            }
        }
        _ => waiting.others_speak(),
    }
    let mut message = Message::new(role, parts);
    let mut extras = Extras::default();
    fields.leave(&mut extras, body);
    if !extras.is_empty() {
        extras.dialect = Some(OLLAMA);
    }
    message.extras = extras;
    Ok(message)
}

/// One call. Without an id it is named after its place, so that it has the same name in a later request.
fn call(raw: &str, body: &Str, at: At<'_>, index: usize) -> Result<Part, Error> {
    let mut call = call::decode(raw, body, at)?;
    if call.id.is_empty() {
        let (index, place) = (index.to_string(), at.to_string());
        call.id = tools::made_id(&["ollama", &index, &place]);
    }
    let mut part = Part::new(Content::ToolCall {
        id: call.id,
        name: call.name,
        arguments: call.arguments,
        kind: ToolCallKind::Function,
        signature: None,
    });
    part.extras = call.extras;
    Ok(part)
}

/// A picture: base64 without a head, though some clients send one.
fn picture_source(text: &Str) -> Source {
    media::parse_data_url(text).unwrap_or_else(|| {
        let data = media::base64_text(text, text);
        Source::Base64 { media_type: media::true_type("", &data), data }
    })
}

/// A tool's answer. One that failed says so at its beginning.
fn result(call_id: Str, name: Option<Str>, mut parts: Vec<Part>) -> Part {
    let mut is_error = false;
    for part in &mut parts {
        if let Content::Text { text, .. } = &mut part.content
            && let Some(rest) = text.strip_prefix(FAILED)
        {
            is_error = true;
            *text = text.slice_ref(rest);
        }
    }
    parts.retain(|part| !part.is_empty_text());
    Part::new(Content::ToolResult { call_id, name, parts, is_error })
}

/// Calls of the latest turn that wait for their results, id and name. Results name their call by its id, by its tool, or only by
/// their order.
#[derive(Default)]
struct Waiting {
    calls: Vec<(Str, Str)>,
    over: bool,
}

impl Waiting {
    fn assistant_speaks(&mut self) {
        if std::mem::take(&mut self.over) {
            self.calls.clear();
        }
    }

    /// With this the turn is over.
    fn others_speak(&mut self) {
        self.over = true;
    }

    /// The call that a result answers.
    fn answered(&mut self, id: Option<Str>, name: Option<&str>, index: usize) -> Str {
        self.over = true;
        let at = match (&id, name) {
            (Some(id), _) => self.calls.iter().position(|(call, _)| call == id),
            (None, Some(name)) => self.calls.iter().position(|(_, tool)| tool == name),
            (None, None) => (!self.calls.is_empty()).then_some(0),
        };
        match (at, id) {
            (Some(at), _) => self.calls.remove(at).0,
            (None, Some(id)) => id,
            (None, None) => tools::made_id(&["ollama", &index.to_string()]),
        }
    }
}
