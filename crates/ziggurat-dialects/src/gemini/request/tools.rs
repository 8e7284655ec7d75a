//! Tools, which of them to call, and the form of the answer.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Error, LossPolicy, Losses, OutputFormat, RawJson, Severity, Str, Tool, ToolChoice,
    ToolKind,
};

use super::decode::raw;
use super::{CALLING, TOOL_CONFIG, config};
use crate::Names;
use crate::fields::Field;
use crate::gemini::GEMINI;
use crate::gemini::camel::object;
use crate::json::{self, Array, At, Object};
use crate::plan::Scene;
use crate::schema;
use crate::tools::ToolNames;

/// How many tools are taken: far more than a model can tell apart.
const MAX_TOOLS: usize = 10_000;
/// The input of a tool that takes free text.
const FREE_TEXT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;
/// The provider's tools that other dialects' servers have, too: how theirs begin, and what ours are called.
const SHARED: [(&str, &str); 3] = [
    ("web_search", "googleSearch"),
    ("code_execution", "codeExecution"),
    ("web_fetch", "urlContext"),
];

// === reading ===

/// Reads the list of tools. Each of the provider's own is kept as it is, for this dialect only.
pub(super) fn decode(value: &Str, at: At<'_>) -> Result<Vec<Tool>, Error> {
    let items: Vec<&RawValue> = json::read(value, at, "a list of tools")?;
    let mut tools = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let at = at.index(index);
        let mut fields = object(item.get(), at)?;
        let functions: Option<Vec<&RawValue>> =
            fields.value("functionDeclarations", at, "a list of functions")?;
        let at_functions = at.name("functionDeclarations");
        for (index, function) in functions.unwrap_or_default().into_iter().enumerate() {
            tools.push(declaration(function.get(), value, at_functions.index(index))?);
        }
        for (name, member) in fields.iter().filter(|(_, member)| *member != "null") {
            let mut out = Vec::with_capacity(name.len() + member.len() + 8);
            let mut object = Object::begin(&mut out);
            object.raw_named(name, member);
            object.end();
            let value = json::raw_json(out).ok_or_else(|| at.error("this is not valid JSON"))?;
            let name = Str::from(name);
            let mut tool = Tool::new(name.clone(), ToolKind::Server { server_type: name, value });
            tool.extras.dialect = Some(GEMINI);
            tools.push(tool);
        }
        if tools.len() > MAX_TOOLS {
            return Err(at.error(format_args!("at most {MAX_TOOLS} tools are taken")));
        }
    }
    Ok(tools)
}

fn declaration(item: &str, body: &Str, at: At<'_>) -> Result<Tool, Error> {
    let mut fields = object(item, at)?;
    let name = fields.need("name", body, at)?;
    let mut schema = |name| -> Result<Option<RawJson>, Error> {
        match fields.take(name) {
            Some(value) if value.starts_with('{') => {
                raw(&body.slice_ref(value), at.name(name)).map(Some)
            }
            Some(_) => Err(at.name(name).error("an object is expected")),
            None => Ok(None),
        }
    };
    let [own, plain] = [schema("parameters")?, schema("parametersJsonSchema")?];
    let parameters = match (own, plain) {
        (Some(_), Some(_)) => {
            let message = "only one of `parameters` and `parametersJsonSchema` is expected";
            return Err(at.name("parameters").error(message));
        }
        (Some(own), None) => {
            let schema = schema::of_google(&own);
            Some(schema.map_err(|reason| at.name("parameters").error(reason))?)
        }
        (None, plain) => plain,
    };
    let mut tool = Tool::function(name, parameters);
    tool.description = fields.text("description", body, at)?;
    fields.leave(&mut tool.extras, body);
    if !tool.extras.is_empty() {
        tool.extras.dialect = Some(GEMINI);
    }
    Ok(tool)
}

/// Reads `toolConfig`.
pub(super) fn decode_config(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut outer = object(value, at)?;
    if let Some(inner) = outer.take("functionCallingConfig") {
        let at = at.name("functionCallingConfig");
        let mut calling = object(inner, at)?;
        let names: Option<Vec<&RawValue>> =
            calling.value("allowedFunctionNames", at, "a list of names")?;
        let at_names = at.name("allowedFunctionNames");
        let names = names.unwrap_or_default().into_iter().enumerate();
        let names = names.map(|(i, raw)| json::read_text(raw.get(), value, at_names.index(i)));
        let mut names = names.collect::<Result<Vec<Str>, Error>>()?;
        let mode = calling.get("mode").map(|raw| json::read_text(raw, value, at.name("mode")));
        let mode = mode.transpose()?.map(|mode| mode.to_ascii_uppercase());
        chat.tool_choice = match mode.as_deref() {
            None => None,
            Some("NONE") => Some(ToolChoice::None),
            Some("ANY") => Some(match names.len() {
                0 => ToolChoice::Any,
                1 => ToolChoice::Tool { name: names.remove(0) },
                _ => ToolChoice::Allowed { required: true, names },
            }),
            // Calls as the model likes, but such as the schemas allow: the latter is this dialect's own.
            Some("VALIDATED") if names.is_empty() => Some(ToolChoice::Auto),
            Some("VALIDATED") => Some(ToolChoice::Allowed { required: false, names }),
            Some(_) => Some(ToolChoice::Auto),
        };
        if mode.is_none_or(|mode| ["AUTO", "ANY", "NONE", "MODE_UNSPECIFIED"].contains(&&*mode)) {
            calling.take("mode");
        }
        config::keep(chat, &calling, CALLING);
    }
    config::keep(chat, &outer, TOOL_CONFIG);
    Ok(())
}

// === writing ===

/// The tools that are sent, which of them to call, the form of the answer, and what the system prompt must say instead.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    functions: Vec<Sent<'a>>,
    /// The provider's own, each as it is written.
    servers: Vec<String>,
    choice: Option<Choice>,
    /// Names that had to be changed.
    pub(super) names: ToolNames,
    /// Tools that take free text, by the name sent.
    pub(super) custom: BTreeSet<Str>,
    pub(super) form: Form,
    /// Whether the answer is asked for as JSON in words.
    pub(super) strip_fence: bool,
    /// What is added to the system prompt.
    pub(super) instructions: Vec<String>,
}

#[derive(Debug)]
struct Sent<'a> {
    name: Str,
    description: Option<Str>,
    schema: Option<RawJson>,
    tool: &'a Tool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    None,
    Auto,
    /// Some tool, or some of these.
    Any(Vec<Str>),
    /// As the model likes among these.
    Validated(Vec<Str>),
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Text,
    Json,
    Schema(RawJson),
}

impl<'a> Tools<'a> {
    /// Decides which tools are sent.
    pub(super) fn plan(
        chat: &'a Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let mut tools = Self {
            functions: Vec::with_capacity(chat.tools.len()),
            servers: Vec::new(),
            choice: None,
            names: ToolNames::under(scene.tool_names),
            custom: BTreeSet::new(),
            form: Form::Text,
            strip_fence: false,
            instructions: Vec::new(),
        };
        // Only where a call is forced can some of the tools be named.
        let only: Option<BTreeSet<&Str>> = match &chat.tool_choice {
            Some(ToolChoice::Allowed { required: false, names }) if !scene.is_own() => {
                Some(names.iter().collect())
            }
            _ => None,
        };
        let mut seen = BTreeSet::new();
        for (index, tool) in chat.tools.iter().enumerate() {
            if only.as_ref().is_some_and(|names| !names.contains(&tool.name)) {
                continue;
            }
            let at = scene.names.item(scene.names.name(Field::Tools), index);
            if let ToolKind::Server { server_type, value } = &tool.kind {
                tools.server(tool, server_type, value, &at, losses)?;
                continue;
            }
            let sent = tools.function(tool, &at, scene, losses)?;
            if !seen.insert(sent.name.clone()) {
                let message = format!("`{at}`: two tools have the name `{}`", tool.name);
                return Err(Error::invalid(message).with_param(at));
            }
            tools.functions.push(sent);
        }
        tools.search(chat, scene, losses)?;
        tools.choose(chat, scene, losses)?;
        tools.output(chat, scene, losses)?;
        if chat.parallel_tools == Some(false) && !tools.functions.is_empty() {
            let reason = "the model may call several tools at once";
            losses.drop(Severity::Harmless, scene.names.name(Field::ParallelTools), reason)?;
        }
        Ok(tools)
    }

    /// The name by which a tool is sent.
    pub(super) fn name(&mut self, callers: &Str) -> Str {
        self.names.fit(callers).unwrap_or_else(|_| callers.clone())
    }

    fn server(
        &mut self,
        tool: &Tool,
        server_type: &str,
        value: &RawJson,
        at: &str,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        if tool.extras.dialect.is_none_or(|dialect| dialect == GEMINI) {
            self.servers.push(value.get().to_owned());
            return Ok(());
        }
        let ours = SHARED.iter().find(|(theirs, _)| server_type.starts_with(theirs));
        match ours {
            // Another provider's search is another search: it takes its place if the operator says so.
            Some((_, ours)) if losses.policy() == LossPolicy::Allow => {
                losses.emulate(
                    at.to_owned(),
                    format!("`{ours}` is this provider's tool of the kind"),
                );
                self.servers.push(format!("{{\"{ours}\":{{}}}}"));
                Ok(())
            }
            _ => {
                let reason = format!("`{server_type}` is run by another provider");
                losses.drop(Severity::Grave, at.to_owned(), reason)
            }
        }
    }

    /// The search that other dialects ask for beside the tools.
    fn search(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        if chat.web_search.is_none() {
            return Ok(());
        }
        let path = scene.names.name(Field::WebSearch);
        if losses.policy() == LossPolicy::Allow {
            losses.emulate(path, "`googleSearch` is this provider's search");
            self.servers.push("{\"googleSearch\":{}}".to_owned());
            return Ok(());
        }
        losses.drop(Severity::Doubtful, path, "another provider's search is another search")
    }

    fn function(
        &mut self,
        tool: &'a Tool,
        at: &str,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Sent<'a>, Error> {
        let name = self.names.fit(&tool.name)?;
        if name != tool.name {
            losses.emulate(at.to_owned(), format!("the tool goes by the name `{name}`"));
        }
        let mut sent = Sent { name, description: tool.description.clone(), schema: None, tool };
        match &tool.kind {
            ToolKind::Function { parameters } => {
                sent.schema = parameters_of(parameters.as_ref(), at, scene, losses)?;
            }
            ToolKind::Custom { format } => {
                losses.emulate(at.to_owned(), "a tool with one text member `input`");
                if let Some(format) = format {
                    // A grammar cannot be enforced, but it can be told.
                    let text = sent.description.as_deref().unwrap_or_default();
                    let format = json::compact(format.get(), &Str::new());
                    let told = format!("{text}\nThe input must have this format: {format}");
                    sent.description = Some(told.trim_start().to_owned().into());
                }
                sent.schema = RawJson::parse(Str::from_static(FREE_TEXT)).ok();
                self.custom.insert(sent.name.clone());
            }
            _ => losses.drop(Severity::Grave, at.to_owned(), "the target has no such tools")?,
        }
        if tool.strict == Some(true) {
            let path = scene.names.member(at, "strict");
            losses.drop(Severity::Harmless, path, "the target knows no strict tools")?;
        }
        if tool.cache.is_some() {
            let path = scene.names.member(at, "cache_control");
            losses.drop(
                Severity::Harmless,
                path,
                "prompts are cached without being marked here",
            )?;
        }
        if tool.extras.dialect.is_some_and(|dialect| dialect != GEMINI) {
            for (name, _) in &tool.extras.members {
                let path = scene.names.member(at, name);
                losses.drop(Severity::Harmless, path, "the target has no such field")?;
            }
        }
        Ok(sent)
    }

    fn choose(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let path = scene.names.name(Field::ToolChoice);
        let mut fit = |names: &[Str]| -> Result<Vec<Str>, Error> {
            let unknown = |name: &&Str| chat.tools.iter().all(|tool| tool.name != **name);
            if let Some(stranger) = names.iter().find(unknown).filter(|_| !scene.is_own()) {
                let message = format!("`{path}` names `{stranger}`, which is none of the tools");
                return Err(Error::invalid(message).with_param(path));
            }
            names.iter().map(|name| self.names.fit(name)).collect()
        };
        let mut choice = match &chat.tool_choice {
            None => return Ok(()),
            Some(ToolChoice::None) => Choice::None,
            Some(ToolChoice::Auto) => Choice::Auto,
            Some(ToolChoice::Any) => Choice::Any(Vec::new()),
            Some(ToolChoice::Tool { name }) => Choice::Any(fit(std::slice::from_ref(name))?),
            Some(ToolChoice::Allowed { required: true, names }) => Choice::Any(fit(names)?),
            Some(ToolChoice::Allowed { names, .. }) => {
                let names = fit(names)?;
                if scene.is_own() {
                    Choice::Validated(names)
                } else {
                    losses.emulate(path, "only the allowed tools are sent");
                    Choice::Auto
                }
            }
            Some(_) => {
                losses.drop(Severity::Doubtful, path, "the target has no such choice")?;
                Choice::Auto
            }
        };
        if self.functions.is_empty() && !scene.is_own() {
            if matches!(choice, Choice::Any(_)) {
                let message = format!("`{path}` asks for a tool, and there is none");
                return Err(Error::invalid(message).with_param(path));
            }
            return Ok(());
        }
        if !scene.target.capabilities.forced_tools
            && !scene.is_own()
            && let Choice::Any(names) = &choice
        {
            losses.drop(Severity::Doubtful, path, "the model can be asked, but not forced")?;
            self.instructions.push(match names.first() {
                Some(name) => format!("Answer by calling the tool `{name}`."),
                None => "Answer by calling one of the tools.".to_owned(),
            });
            choice = Choice::Auto;
        }
        self.choice = Some(choice);
        Ok(())
    }

    fn output(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let caps = scene.target.capabilities;
        let path = scene.names.name(Field::Output);
        let bound =
            (self.functions.is_empty() && self.servers.is_empty()) || caps.output_with_tools;
        match &chat.output {
            OutputFormat::Text => {}
            OutputFormat::Schema(output) if scene.is_own() => {
                self.form = Form::Schema(output.schema.clone());
            }
            OutputFormat::Json if scene.is_own() || bound => self.form = Form::Json,
            OutputFormat::Json => {
                losses.emulate(path, "JSON is asked for in words");
                self.instructions.push("Answer with one JSON object and nothing else.".to_owned());
                self.strip_fence = true;
            }
            OutputFormat::Schema(output) if bound && caps.structured_output => {
                match schema::for_google(&output.schema) {
                    Ok(converted) => {
                        for change in converted.changes {
                            losses.emulate(path, change);
                        }
                        self.form = Form::Schema(converted.schema);
                    }
                    Err(reason) => losses.drop(Severity::Grave, path, reason.to_string())?,
                }
            }
            OutputFormat::Schema(output) => {
                let reason = "the model can be asked for the schema, but not bound to it";
                losses.drop(Severity::Doubtful, path, reason)?;
                self.instructions.push(format!(
                    "Answer with one JSON value that matches this JSON Schema, and nothing else: {}",
                    output.schema.get()
                ));
                self.strip_fence = true;
            }
            _ => losses.drop(Severity::Grave, path, "the target has no such form of answer")?,
        }
        Ok(())
    }

    /// Writes the list, if there is one, and which of them to call.
    pub(super) fn write(&self, chat: &Chat, object: &mut Object<'_>) {
        if !self.functions.is_empty() || !self.servers.is_empty() {
            let mut list = Array::begin(object.member("tools"));
            if !self.functions.is_empty() {
                let mut item = list.object();
                let mut functions = Array::begin(item.member("functionDeclarations"));
                for sent in &self.functions {
                    sent.write(functions.object());
                }
                functions.end();
                item.end();
            }
            for server in &self.servers {
                list.item().extend_from_slice(server.as_bytes());
            }
            list.end();
        }
        let own = chat.extras.dialect == Some(GEMINI);
        let extra = |prefix: &'static str| {
            chat.extras.members.iter().filter_map(move |(name, value)| {
                let short = name.strip_prefix(prefix).filter(|short| !short.contains('.'));
                short.filter(|_| own).map(|short| (short, value))
            })
        };
        let some = self.choice.is_some();
        if !some && extra(CALLING).next().is_none() && extra(TOOL_CONFIG).next().is_none() {
            return;
        }
        let mut outer = Object::begin(object.member("toolConfig"));
        if some || extra(CALLING).next().is_some() {
            let mut calling = Object::begin(outer.member("functionCallingConfig"));
            self.write_choice(extra(CALLING).any(|(name, _)| name == "mode"), &mut calling);
            for (name, value) in extra(CALLING) {
                calling.raw_named(name, value.get());
            }
            calling.end();
        }
        for (name, value) in extra(TOOL_CONFIG) {
            outer.raw_named(name, value.get());
        }
        outer.end();
    }

    /// `mode` and the names; with `kept` the mode is among what the caller's own words hold.
    fn write_choice(&self, kept: bool, object: &mut Object<'_>) {
        let (mode, names) = match &self.choice {
            None => return,
            Some(Choice::None) => ("NONE", &[][..]),
            Some(Choice::Auto) => ("AUTO", &[][..]),
            Some(Choice::Any(names)) => ("ANY", &names[..]),
            Some(Choice::Validated(names)) => ("VALIDATED", &names[..]),
        };
        if !kept {
            object.text("mode", mode);
        }
        if !names.is_empty() {
            let mut list = Array::begin(object.member("allowedFunctionNames"));
            for name in names {
                json::string(list.item(), name);
            }
            list.end();
        }
    }
}

impl Sent<'_> {
    fn write(&self, mut object: Object<'_>) {
        object.text("name", &self.name);
        if let Some(description) = &self.description {
            object.text("description", description);
        }
        if let Some(schema) = &self.schema {
            object.raw("parametersJsonSchema", schema.get());
        }
        if self.tool.extras.dialect == Some(GEMINI) {
            object.extras(&self.tool.extras);
        }
        object.end();
    }
}

/// What a tool takes. An object without members is nothing, and older models refuse it.
fn parameters_of(
    parameters: Option<&RawJson>,
    at: &str,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<Option<RawJson>, Error> {
    let Some(parameters) = parameters else { return Ok(None) };
    if scene.is_own() {
        return Ok(Some(parameters.clone()));
    }
    if schema::takes_nothing(parameters) {
        return Ok(None);
    }
    let path = scene.names.member(
        at,
        match scene.names {
            Names::OpenAi => "function.parameters",
            Names::Anthropic => "input_schema",
            _ => "parameters",
        },
    );
    let rooted = schema::object_root(parameters);
    let converted = rooted.and_then(|rooted| {
        let mut converted = schema::for_google(&rooted.schema)?;
        converted.changes.extend(rooted.changes);
        Ok(converted)
    });
    match converted {
        Ok(converted) => {
            for change in converted.changes {
                losses.emulate(path.clone(), change);
            }
            Ok(Some(converted.schema))
        }
        Err(reason) => {
            losses.drop(Severity::Grave, path, reason.to_string())?;
            Ok(None)
        }
    }
}
