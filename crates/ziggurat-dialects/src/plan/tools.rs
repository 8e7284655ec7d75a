//! Tools, which of them to call, and structured answers by means of a tool.

use std::collections::BTreeSet;

use ziggurat_core::{
    Changes, Chat, Content, Error, Losses, Message, OutputFormat, OutputSchema, RawJson, Restore,
    Severity, Str, Tool, ToolChoice, ToolKind,
};

use super::Scene;
use crate::Names;
use crate::fields::Field;
use crate::json;
use crate::schema;
use crate::tools::ToolNames;

/// The tool whose input is the answer.
const ANSWER_TOOL: &str = "respond_json";
/// The input of a tool that takes free text.
const FREE_TEXT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;
/// The input of a tool that takes nothing, or of which nobody knows what it takes.
const NO_INPUT: &str = r#"{"type":"object","properties":{}}"#;

/// The tools that are sent, which of them to call, and what the system prompt must say instead.
#[derive(Debug)]
pub(crate) struct Tools<'a> {
    pub(crate) list: Vec<Sent<'a>>,
    pub(crate) choice: Option<Choice>,
    /// Whether only one may be called at once.
    pub(crate) single: Option<bool>,
    /// Names that had to be changed.
    pub(crate) names: ToolNames,
    /// Tools that take free text, by the name sent.
    pub(crate) custom: BTreeSet<Str>,
    /// The tool whose input is the answer.
    pub(crate) answer: Option<Str>,
    /// The schema to which the answer is bound.
    pub(crate) format: Option<RawJson>,
    /// Whether the answer is asked for as JSON in words.
    pub(crate) strip_fence: bool,
    /// What is added to the system prompt.
    pub(crate) instructions: Vec<String>,
}

/// One tool.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) name: Str,
    pub(crate) description: Option<Str>,
    pub(crate) schema: RawJson,
    /// The caller's tool; none for one that is put in.
    pub(crate) tool: Option<&'a Tool>,
    pub(crate) strict: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    None,
    Auto,
    Any,
    Tool(Str),
}

impl<'a> Tools<'a> {
    /// Decides which tools are sent, and how the answer is bound to a form.
    pub(crate) fn plan(
        chat: &'a Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let mut tools = Self::listed(chat, scene, losses)?;
        if tools.list.is_empty() && !scene.is_own() {
            tools.remember(&chat.messages, scene, losses);
        }
        tools.output(chat, scene, losses)?;
        if !tools.list.is_empty() {
            tools.single = chat.parallel_tools.map(|parallel| !parallel);
        }
        Ok(tools)
    }

    /// What has to be undone in the answer.
    pub(crate) fn restore(self) -> Restore {
        let mut changes = Changes::default();
        changes.tool_names = self.names.into_changed();
        changes.custom_tools = self.custom.into_iter().collect();
        changes.answer_tool = self.answer;
        changes.strip_fence = self.strip_fence;
        Restore::new(changes)
    }

    /// Decides which tools are sent, and which of them is to be called, for a dialect that binds answers by itself.
    pub(crate) fn listed(
        chat: &'a Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Error> {
        let mut tools = Self {
            list: Vec::with_capacity(chat.tools.len()),
            choice: None,
            single: None,
            names: ToolNames::under(scene.tool_names),
            custom: BTreeSet::new(),
            answer: None,
            format: None,
            strip_fence: false,
            instructions: Vec::new(),
        };
        let allowed: Option<BTreeSet<&Str>> = match &chat.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => Some(names.iter().collect()),
            _ => None,
        };
        let mut seen = BTreeSet::new();
        for (index, tool) in chat.tools.iter().enumerate() {
            if allowed.as_ref().is_none_or(|names| names.contains(&tool.name)) {
                let sent = tools.tool(tool, index, scene, losses)?;
                if !seen.insert(sent.name.clone()) {
                    let at = scene.names.item(scene.names.name(Field::Tools), index);
                    let message = format!("`{at}`: two tools have the name `{}`", tool.name);
                    return Err(Error::invalid(message).with_param(at));
                }
                tools.list.push(sent);
            }
        }
        tools.choose(chat, scene, losses)?;
        Ok(tools)
    }

    /// Whether a tool must be called.
    pub(crate) fn is_forced(&self) -> bool {
        matches!(self.choice, Some(Choice::Any | Choice::Tool(_)))
    }

    /// The name by which a tool is sent.
    pub(crate) fn name(&mut self, callers: &Str) -> Str {
        self.names.fit(callers).unwrap_or_else(|_| callers.clone())
    }

    pub(crate) fn is_custom(&self, sent: &str) -> bool {
        self.custom.contains(sent)
    }

    fn tool(
        &mut self,
        tool: &'a Tool,
        index: usize,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<Sent<'a>, Error> {
        let at = scene.names.item(scene.names.name(Field::Tools), index);
        let mut sent = Sent {
            name: tool.name.clone(),
            description: tool.description.clone(),
            schema: RawJson::NULL,
            tool: Some(tool),
            strict: tool.strict,
        };
        match &tool.kind {
            ToolKind::Server { server_type, .. } => {
                if tool.extras.dialect.is_some_and(|dialect| dialect != scene.own) {
                    let reason = format!("`{server_type}` is run by another provider");
                    losses.drop(Severity::Grave, at, reason)?;
                }
                return Ok(sent);
            }
            ToolKind::Custom { format } => {
                losses.emulate(at.clone(), "a tool with one text member `input`");
                if let Some(format) = format {
                    // A grammar cannot be enforced, but it can be told.
                    let text = sent.description.as_deref().unwrap_or_default();
                    let format = json::compact(format.get(), &Str::new());
                    let told = format!("{text}\nThe input must have this format: {format}");
                    sent.description = Some(told.trim_start().to_owned().into());
                }
                sent.schema = RawJson::parse(Str::from_static(FREE_TEXT)).unwrap_or(RawJson::NULL);
                sent.strict = None;
            }
            ToolKind::Function { parameters } => {
                sent.schema = self.parameters(tool, parameters.as_ref(), &at, scene, losses)?;
                let strict = scene.target.capabilities.structured_output;
                if !scene.is_own() && (!strict || tool.strict == Some(false)) {
                    sent.strict = None;
                    if tool.strict == Some(true) {
                        let path = scene.names.member(&at, "strict");
                        losses.drop(Severity::Harmless, path, "the model knows no strict tools")?;
                    }
                }
            }
            _ => losses.drop(Severity::Grave, at.clone(), "the target has no such tools")?,
        }
        sent.name = self.fit_name(&tool.name, &at, losses)?;
        if matches!(tool.kind, ToolKind::Custom { .. }) {
            self.custom.insert(sent.name.clone());
        }
        if !tool.extras.is_empty() && tool.extras.dialect != Some(scene.own) {
            for (name, _) in &tool.extras.members {
                let path = scene.names.member(&at, name);
                losses.drop(Severity::Harmless, path, "the target has no such field")?;
            }
        }
        Ok(sent)
    }

    fn parameters(
        &self,
        tool: &Tool,
        parameters: Option<&RawJson>,
        at: &str,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<RawJson, Error> {
        let no_input = || RawJson::parse(Str::from_static(NO_INPUT)).unwrap_or(RawJson::NULL);
        let Some(parameters) = parameters else { return Ok(no_input()) };
        if scene.is_own() {
            return Ok(parameters.clone());
        }
        let strict = tool.strict == Some(true) && scene.target.capabilities.structured_output;
        let rooted = schema::object_root(parameters);
        let converted = rooted.and_then(|rooted| {
            if !strict {
                return Ok(rooted);
            }
            let mut converted = schema::strict_subset(&rooted.schema)?;
            converted.changes.extend(rooted.changes);
            Ok(converted)
        });
        let path = scene.names.member(
            at,
            match scene.names {
                Names::OpenAi | Names::Cohere | Names::Ollama => "function.parameters",
                Names::Anthropic => "input_schema",
                _ => "parameters",
            },
        );
        match converted {
            Ok(converted) => {
                for change in converted.changes {
                    losses.emulate(path.clone(), change);
                }
                Ok(converted.schema)
            }
            Err(reason) => {
                losses.drop(Severity::Grave, path, reason.to_string())?;
                Ok(no_input())
            }
        }
    }

    fn choose(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let path = scene.names.name(Field::ToolChoice);
        let mut choice = match &chat.tool_choice {
            None => return Ok(()),
            Some(ToolChoice::None) => Choice::None,
            Some(ToolChoice::Auto) => Choice::Auto,
            Some(ToolChoice::Any) => Choice::Any,
            Some(ToolChoice::Tool { name }) => {
                let known = chat.tools.iter().any(|tool| tool.name == *name);
                if !known && !scene.is_own() {
                    let message = format!("`{path}` names `{name}`, which is none of the tools");
                    return Err(Error::invalid(message).with_param(path));
                }
                Choice::Tool(self.name(name))
            }
            Some(ToolChoice::Allowed { required, names }) => {
                let known: BTreeSet<&Str> = chat.tools.iter().map(|tool| &tool.name).collect();
                if let Some(stranger) = names.iter().find(|name| !known.contains(name)) {
                    let message =
                        format!("`{path}` names `{stranger}`, which is none of the tools");
                    return Err(Error::invalid(message).with_param(path));
                }
                losses.emulate(path, "only the allowed tools are sent");
                if *required { Choice::Any } else { Choice::Auto }
            }
            Some(_) => {
                losses.drop(Severity::Doubtful, path, "the target has no such choice")?;
                Choice::Auto
            }
        };
        if self.list.is_empty() && !scene.is_own() {
            if matches!(choice, Choice::Any | Choice::Tool(_)) {
                let message = format!("`{path}` asks for a tool, and there is none");
                return Err(Error::invalid(message).with_param(path));
            }
            return Ok(());
        }
        if !scene.target.capabilities.forced_tools
            && matches!(choice, Choice::Any | Choice::Tool(_))
        {
            losses.drop(Severity::Doubtful, path, "the model can be asked, but not forced")?;
            self.instructions.push(match &choice {
                Choice::Tool(name) => format!("Answer by calling the tool `{name}`."),
                _ => "Answer by calling one of the tools.".to_owned(),
            });
            choice = Choice::Auto;
        }
        self.choice = Some(choice);
        Ok(())
    }

    /// Declares the tools that the history calls: without a declaration the history is refused.
    fn remember(&mut self, messages: &[Message], scene: &Scene<'_>, losses: &mut Losses) {
        let parts = messages.iter().flat_map(|message| &message.parts);
        let mut seen = BTreeSet::new();
        for part in parts {
            let Content::ToolCall { name, .. } = &part.content else { continue };
            if !seen.insert(name) {
                continue;
            }
            let at = scene.names.name(Field::Tools);
            let Ok(name) = self.fit_name(name, at, losses) else { continue };
            losses.emulate(at, "tools that the history calls are declared");
            self.list.push(Sent {
                name,
                description: None,
                schema: RawJson::parse(Str::from_static(NO_INPUT)).unwrap_or(RawJson::NULL),
                tool: None,
                strict: None,
            });
        }
        if !self.list.is_empty() {
            self.choice = Some(Choice::None);
        }
    }

    fn output(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let path = scene.names.name(Field::Output);
        match &chat.output {
            OutputFormat::Text => {}
            OutputFormat::Schema(output) if scene.is_own() => {
                self.format = Some(output.schema.clone());
            }
            OutputFormat::Schema(output) if scene.target.capabilities.structured_output => {
                match schema::strict_subset(&output.schema) {
                    Ok(converted) => {
                        for change in converted.changes {
                            losses.emulate(path, change);
                        }
                        self.format = Some(converted.schema);
                    }
                    Err(reason) => losses.drop(Severity::Grave, path, reason.to_string())?,
                }
            }
            OutputFormat::Schema(output) => self.emulate(output, path, scene, losses)?,
            OutputFormat::Json => {
                losses.emulate(path, "JSON is asked for in words");
                self.instructions.push("Answer with one JSON object and nothing else.".to_owned());
                self.strip_fence = true;
            }
            _ => losses.drop(Severity::Grave, path, "the target has no such form of answer")?,
        }
        Ok(())
    }

    /// Binds the answer to a schema where the model cannot: by a tool that it must call, or in words.
    fn emulate(
        &mut self,
        output: &OutputSchema,
        path: &'static str,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let can_force = self.list.is_empty() && scene.target.capabilities.forced_tools;
        if can_force && let Ok(rooted) = schema::object_root(&output.schema) {
            losses.emulate(path, "the answer is asked for as a tool's input");
            let name = Str::from_static(ANSWER_TOOL);
            let description = output.description.clone();
            self.list.push(Sent {
                name: name.clone(),
                description: Some(description.unwrap_or(Str::from_static("Gives the answer."))),
                schema: rooted.schema,
                tool: None,
                strict: None,
            });
            self.choice = Some(Choice::Tool(name.clone()));
            self.answer = Some(name);
            return Ok(());
        }
        losses.drop(
            Severity::Doubtful,
            path,
            "the model can be asked for the schema, but not bound to it",
        )?;
        self.instructions.push(format!(
            "Answer with one JSON value that matches this JSON Schema, and nothing else: {}",
            output.schema.get()
        ));
        self.strip_fence = true;
        Ok(())
    }

    /// A name that is taken.
    fn fit_name(&mut self, name: &Str, at: &str, losses: &mut Losses) -> Result<Str, Error> {
        let fit = self.names.fit(name)?;
        if fit != *name {
            losses.emulate(at.to_owned(), format!("the tool goes by the name `{fit}`"));
        }
        Ok(fit)
    }

    /// Whether there is anything to say about which of them to call.
    pub(crate) fn has_choice(&self) -> bool {
        self.choice.is_some() || self.single == Some(true)
    }
}
