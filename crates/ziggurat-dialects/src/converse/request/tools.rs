//! Tools, and which of them to call. There is no choice of none.

use ziggurat_core::{Content, Losses, Message, RawJson, Tool, ToolKind};

use crate::converse::CONVERSE;
use crate::converse::block::write_mark;
use crate::fields::Field;
use crate::json::{Array, Object};
use crate::plan::{Budget, Choice, Scene, Tools};

/// Expresses the choice of no tool: no tools are sent, unless the history calls some, as then it must be known which.
pub(super) fn without_none(
    tools: &mut Tools<'_>,
    messages: &[Message],
    scene: &Scene<'_>,
    losses: &mut Losses,
) {
    if tools.choice != Some(Choice::None) {
        return;
    }
    tools.choice = None;
    let parts = messages.iter().flat_map(|message| &message.parts);
    let used = parts
        .into_iter()
        .any(|part| matches!(part.content, Content::ToolCall { .. } | Content::ToolResult { .. }));
    let name = scene.names.name(Field::ToolChoice);
    if used {
        losses.emulate(name, "the model is told to call no tool");
        tools.instructions.push("Do not call any tool.".to_owned());
    } else {
        losses.emulate(name, "no tools are sent");
        tools.list.clear();
    }
}

/// Writes the tools and which of them to call.
pub(super) fn write(
    tools: &Tools<'_>,
    rest: Option<&RawJson>,
    marks: &mut Budget,
    object: &mut Object<'_>,
) {
    if tools.list.is_empty() && rest.is_none() {
        return;
    }
    let mut config = Object::begin(object.member("toolConfig"));
    if !tools.list.is_empty() {
        let mut array = Array::begin(config.member("tools"));
        for sent in &tools.list {
            if let Some(Tool { kind: ToolKind::Server { value, .. }, .. }) = sent.tool {
                array.item().extend_from_slice(value.get().as_bytes());
            } else {
                let mut outer = array.object();
                let mut spec = Object::begin(outer.member("toolSpec"));
                spec.text("name", &sent.name);
                if let Some(description) = sent.description.as_ref().filter(|it| !it.is_empty()) {
                    spec.text("description", description);
                }
                let mut schema = Object::begin(spec.member("inputSchema"));
                schema.raw("json", sent.schema.get());
                schema.end();
                if let Some(strict) = sent.strict {
                    spec.flag("strict", strict);
                }
                if let Some(tool) = sent.tool
                    && tool.extras.dialect == Some(CONVERSE)
                {
                    spec.extras(&tool.extras);
                }
                spec.end();
                outer.end();
            }
            if let Some(mark) = marks.take(sent.tool.and_then(|tool| tool.cache)) {
                write_mark(mark, &mut array);
            }
        }
        array.end();
    }
    // With the switch for parallel calls the choice goes to the model in its own words.
    if let Some(choice) = tools.choice.as_ref().filter(|_| tools.single != Some(true)) {
        let mut outer = Object::begin(config.member("toolChoice"));
        match choice {
            Choice::Any => outer.raw("any", "{}"),
            Choice::Tool(name) => {
                let mut tool = Object::begin(outer.member("tool"));
                tool.text("name", name);
                tool.end();
            }
            Choice::Auto | Choice::None => outer.raw("auto", "{}"),
        }
        outer.end();
    }
    rest.into_iter().for_each(|rest| config.members_of(rest));
    config.end();
}
