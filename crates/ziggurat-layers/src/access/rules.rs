//! What is asked of a call's parameters.

use ziggurat_core::{Call, Chat, Error, ErrorKind, Members, OutputFormat, Payload, Str};

use crate::forbidden::printable;

/// What every conversation has, in one dialect or another.
const ALWAYS: [&str; 11] = [
    "model",
    "messages",
    "system",
    "stream",
    "stream_options",
    "contents",
    "systemInstruction",
    "system_instruction",
    "input",
    "instructions",
    "prompt",
];

/// Which parameters there may, may not and must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    allowed: Option<Vec<Str>>,
    denied: Vec<Str>,
    required: Vec<Str>,
}

impl Parameters {
    pub(super) fn allow(&mut self, names: impl Iterator<Item = Str>) {
        self.allowed.get_or_insert_default().extend(names);
    }

    pub(super) fn deny(&mut self, names: impl Iterator<Item = Str>) {
        self.denied.extend(names);
    }

    pub(super) fn require(&mut self, names: impl Iterator<Item = Str>) {
        self.required.extend(names);
    }

    pub(super) fn check(&self, call: &Call) -> Result<(), Error> {
        let payload = call.payload();
        if self.allowed.is_some() || !self.denied.is_empty() {
            if let Some(dialect) = payload.dialect() {
                payload.names().try_for_each(|name| self.may_be(name))?;
                // Other dialects have some of them inside of others (Gemini `generationConfig`): what is forbidden is so there, too.
                if dialect.name() != "openai"
                    && !self.denied.is_empty()
                    && let Ok(chat) = payload.chat()
                {
                    spoken(chat).try_for_each(|name| self.may_not(name))?;
                }
            } else if let Ok(chat) = payload.chat() {
                spoken(chat).try_for_each(|name| self.may_be(name))?;
            }
        }
        self.required.iter().try_for_each(|name| match is_there(payload, name) {
            true => Ok(()),
            false => Err(missing(name)),
        })
    }

    fn may_be(&self, name: &str) -> Result<(), Error> {
        let allowed = self.allowed.as_ref().is_none_or(|allowed| {
            ALWAYS.contains(&name) || allowed.iter().any(|allowed| *allowed == name)
        });
        if allowed { self.may_not(name) } else { Err(forbidden(name)) }
    }

    /// Some servers take a member by its name in any case.
    fn may_not(&self, name: &str) -> Result<(), Error> {
        match self.denied.iter().any(|denied| denied.eq_ignore_ascii_case(name)) {
            true => Err(forbidden(name)),
            false => Ok(()),
        }
    }
}

/// Whether a parameter is there and not null; after a dot comes the name of a member inside it.
fn is_there(payload: &Payload, path: &str) -> bool {
    let (name, inside) = match path.split_once('.') {
        Some((name, inside)) => (name, Some(inside)),
        None => (path, None),
    };
    let value = match payload.member(name) {
        Some(value) => Some(value),
        // A dialect may keep it elsewhere; of a typed conversation there are no members.
        None => payload.chat().ok().and_then(|chat| match (name, payload.dialect()) {
            ("user", _) => chat.user.clone(),
            ("metadata", None) => chat.metadata.clone().map(|value| value.into_text()),
            (name, None) if inside.is_none() => {
                spoken(chat).any(|spoken| spoken == name).then_some(Str::from_static("true"))
            }
            (name, None) => chat.extras.get(name).map(|value| value.clone().into_text()),
            _ => None,
        }),
    };
    let Some(value) = value.filter(|value| *value != "null") else { return false };
    let Some(mut inside) = inside else { return true };
    let mut value = value;
    loop {
        let (name, rest) = match inside.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (inside, None),
        };
        let found = Members::parse(value).ok().and_then(|members| members.get(name).cloned());
        let Some(found) = found.filter(|value| *value != "null") else { return false };
        match rest {
            Some(rest) => (inside, value) = (rest, found),
            None => return true,
        }
    }
}

/// What a typed conversation says, by OpenAI's names.
fn spoken(chat: &Chat) -> impl Iterator<Item = &str> {
    let sampling = &chat.sampling;
    let reasoning = &chat.reasoning;
    let known = [
        ("tools", !chat.tools.is_empty()),
        ("tool_choice", chat.tool_choice.is_some()),
        ("parallel_tool_calls", chat.parallel_tools.is_some()),
        ("max_tokens", chat.max_output_tokens.is_some()),
        ("max_completion_tokens", chat.max_output_tokens.is_some()),
        ("temperature", sampling.temperature.is_some()),
        ("top_p", sampling.top_p.is_some()),
        ("top_k", sampling.top_k.is_some()),
        ("min_p", sampling.min_p.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("repetition_penalty", sampling.repetition_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
        ("stop", !chat.stop.is_empty()),
        ("n", chat.n.is_some()),
        ("logprobs", chat.logprobs.is_some()),
        ("logit_bias", chat.logit_bias.is_some()),
        ("response_format", chat.output != OutputFormat::Text),
        ("reasoning_effort", reasoning.effort.is_some()),
        ("thinking", reasoning.budget_tokens.is_some() || reasoning.mode.is_some()),
        ("verbosity", chat.verbosity.is_some()),
        ("modalities", !chat.modalities.is_empty()),
        ("audio", chat.audio.is_some()),
        ("user", chat.user.is_some()),
        ("metadata", chat.metadata.is_some()),
        ("store", chat.store.is_some()),
        ("service_tier", chat.service_tier.is_some()),
        ("prompt_cache_key", chat.cache.key.is_some()),
        ("prompt_cache_retention", chat.cache.retention.is_some()),
        ("prediction", chat.prediction.is_some()),
        ("web_search_options", chat.web_search.is_some()),
    ];
    let known = known.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
    known.chain(chat.extras.members.iter().map(|(name, _)| name.as_str()))
}

fn forbidden(name: &str) -> Error {
    let name = printable(name);
    let message = format!("the parameter `{name}` is not allowed");
    Error::new(ErrorKind::Permission, message).with_param(name)
}

fn missing(name: &Str) -> Error {
    Error::invalid(format!("the parameter `{name}` is required here")).with_param(name.to_string())
}
