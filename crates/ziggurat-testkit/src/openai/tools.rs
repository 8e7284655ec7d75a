//! What OpenAI refuses in tools, tool choice and response format.

use super::{
    error::Fault,
    fields::{Field, Members},
    schema,
};

/// The most tools a request may bring.
const MOST_TOOLS: usize = 128;

pub(super) fn check(top: &Members<'_>) -> Result<(), Fault> {
    let mut names = Vec::new();
    if let Some(field) = top.get("tools") {
        let tools = field.some_items()?;
        field.at_most(tools.len(), MOST_TOOLS)?;
        for item in &tools {
            names.push(tool(&item.object()?)?);
        }
    }
    if let Some(field) = top.get("parallel_tool_calls") {
        field.boolean()?;
        if names.is_empty() {
            let message = "'parallel_tool_calls' is only allowed when 'tools' are specified.";
            return Err(Fault::only_with("parallel_tool_calls", message));
        }
    }
    if let Some(field) = top.get("tool_choice") {
        if names.is_empty() {
            let message = "'tool_choice' is only allowed when 'tools' are specified.";
            return Err(Fault::only_with("tool_choice", message));
        }
        choice(&field, &names)?;
    }
    functions(top)
}

/// A tool's kind and name.
type Known<'a> = (&'a str, &'a str);

fn tool<'a>(tool: &Members<'a>) -> Result<Known<'a>, Fault> {
    let kind = tool.need("type")?.one_of(&["function", "custom"])?;
    tool.only(&["type", kind])?;
    let inner = tool.need(kind)?.object()?;
    let name = inner.need("name")?.name()?;
    inner.get("description").map(|text| text.string()).transpose()?;
    if kind == "custom" {
        inner.only(&["name", "description", "format"])?;
        inner.get("format").map(|format| format.object()).transpose()?;
    } else {
        inner.only(&["name", "description", "parameters", "strict"])?;
        let strict = inner.get("strict").map(|strict| strict.boolean()).transpose()?;
        parameters(&inner, name, strict == Some(true))?;
    }
    Ok((kind, name))
}

fn parameters(function: &Members<'_>, name: &str, strict: bool) -> Result<(), Fault> {
    let Some(field) = function.get("parameters") else { return Ok(()) };
    field.object()?;
    let checked = if strict { schema::strict(field.value) } else { schema::loose(field.value) };
    checked.map_err(|what| {
        let message = format!("Invalid schema for function '{name}': {what}");
        Fault::invalid("invalid_function_parameters", &field.path, message)
    })
}

fn choice(field: &Field<'_>, names: &[Known<'_>]) -> Result<(), Fault> {
    if field.value.is_string() {
        field.one_of(&["none", "auto", "required"])?;
        return Ok(());
    }
    if !field.value.is_object() {
        let expected = "one of a string or an object";
        return Err(field.wrong_type(expected));
    }
    let choice = field.object()?;
    if choice.need("type")?.string()? != "allowed_tools" {
        return named(&choice, names);
    }
    choice.only(&["type", "allowed_tools"])?;
    let allowed = choice.need("allowed_tools")?.object()?;
    allowed.only(&["mode", "tools"])?;
    allowed.need("mode")?.one_of(&["auto", "required"])?;
    for item in allowed.need("tools")?.some_items()? {
        named(&item.object()?, names)?;
    }
    Ok(())
}

/// `{"type":"function","function":{"name":…}}` of a tool that is there.
fn named(choice: &Members<'_>, names: &[Known<'_>]) -> Result<(), Fault> {
    let kind = choice.need("type")?.one_of(&["function", "allowed_tools", "custom"])?;
    choice.only(&["type", kind])?;
    let inner = choice.need(kind)?.object()?;
    inner.only(&["name"])?;
    let name = inner.need("name")?.string()?;
    if names.contains(&(kind, name)) {
        return Ok(());
    }
    let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
    Err(Fault::invalid("", "tool_choice", message))
}

/// The predecessors of tools.
fn functions(top: &Members<'_>) -> Result<(), Fault> {
    let mut names = Vec::new();
    if let Some(field) = top.get("functions") {
        let functions = field.some_items()?;
        field.at_most(functions.len(), MOST_TOOLS)?;
        for item in functions {
            let function = item.object()?;
            function.only(&["name", "description", "parameters"])?;
            let name = function.need("name")?.name()?;
            function.get("description").map(|text| text.string()).transpose()?;
            parameters(&function, name, false)?;
            names.push(name);
        }
        if top.get("tools").is_some() {
            let message = "'functions' and 'tools' cannot both be specified.";
            return Err(Fault::only_with("functions", message));
        }
    }
    let Some(field) = top.get("function_call") else { return Ok(()) };
    if names.is_empty() {
        let message = "'function_call' is only allowed when 'functions' are specified.";
        return Err(Fault::only_with("function_call", message));
    }
    if field.value.is_string() {
        field.one_of(&["none", "auto"])?;
        return Ok(());
    }
    let name = field.object()?.need("name")?.string()?;
    if names.contains(&name) {
        return Ok(());
    }
    let message = format!("Function '{name}' not found in 'functions' parameter.");
    Err(Fault::invalid("", "function_call", message))
}

pub(super) fn response_format(top: &Members<'_>) -> Result<(), Fault> {
    let Some(field) = top.get("response_format") else { return Ok(()) };
    let format = field.object()?;
    match format.need("type")?.one_of(&["json_object", "json_schema", "text"])? {
        "json_schema" => {
            format.only(&["type", "json_schema"])?;
            json_schema(&format.need("json_schema")?.object()?)
        }
        kind => {
            format.only(&["type"])?;
            if kind == "json_object" { says_json(top) } else { Ok(()) }
        }
    }
}

fn json_schema(format: &Members<'_>) -> Result<(), Fault> {
    format.only(&["name", "description", "schema", "strict"])?;
    let name = format.need("name")?.name()?;
    format.get("description").map(|text| text.string()).transpose()?;
    let strict = format.get("strict").map(|strict| strict.boolean()).transpose()?;
    let Some(schema) = format.get("schema") else {
        return if strict == Some(true) {
            Err(Fault::missing(&format.path("schema")))
        } else {
            Ok(())
        };
    };
    schema.object()?;
    if strict != Some(true) {
        return Ok(());
    }
    schema::strict(schema.value).map_err(|what| {
        let message = format!("Invalid schema for response_format '{name}': {what}");
        Fault::invalid("", "response_format", message)
    })
}

/// The vendor wants the word in the conversation, or models ramble in white space.
fn says_json(top: &Members<'_>) -> Result<(), Fault> {
    let messages = top.need("messages")?;
    let said = messages.items()?.iter().any(|message| {
        let content = &message.value["content"];
        let parts = content.as_array().into_iter().flatten();
        let texts = parts.filter_map(|part| part["text"].as_str()).chain(content.as_str());
        texts.into_iter().any(|text| text.to_ascii_lowercase().contains("json"))
    });
    if said {
        return Ok(());
    }
    let message = "'messages' must contain the word 'json' in some form, to use \
                   'response_format' of type 'json_object'.";
    Err(Fault::invalid("", "messages", message.to_owned()))
}
