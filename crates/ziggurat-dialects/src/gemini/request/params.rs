//! `generationConfig`, and what this dialect has no field for.

use ziggurat_core::{Chat, Error, Losses, Severity, Str};

use super::CONFIG;
use super::thinking::Thinking;
use super::tools::Form;
use crate::fields::Field;
use crate::gemini::GEMINI;
use crate::json::{self, Array, Object};
use crate::plan::{Params as Others, Scene};

/// How many stop texts are taken.
const MOST_STOPS: usize = 5;
/// How many answers are given at once.
const MOST_ANSWERS: u32 = 8;
/// How many alternatives of a token are told.
const MOST_ALTERNATIVES: u8 = 20;

/// Parameters as they are sent.
#[derive(Debug, Default)]
pub(super) struct Params {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    seed: Option<i32>,
    stop: Vec<Str>,
    most: Option<u64>,
    logprobs: Option<u8>,
    thinking: Thinking,
    pub(super) service_tier: Option<&'static str>,
}

impl Params {
    /// Decides on the parameters.
    pub(super) fn plan(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
        use Field::{FrequencyPenalty, Logprobs, Metadata, Modalities, N, PresencePenalty, Seed};
        let mut params = Self { thinking: Thinking::plan(chat, scene, losses)?, ..Self::default() };
        params.sampling(chat, scene, losses)?;
        params.bounds(chat, scene, losses)?;
        params.tier(chat, scene, losses)?;
        let mut has = vec![N, FrequencyPenalty, PresencePenalty, Seed, Logprobs];
        // Search goes with the tools.
        has.push(Field::WebSearch);
        if scene.is_own() {
            has.extend([Modalities, Metadata, Field::Store]);
        }
        Others::default().lost(chat, &has, scene, losses)?;
        if chat.user.is_some() {
            let name = scene.names.name(Field::User);
            losses.drop(Severity::Harmless, name, "the target has no such field")?;
        }
        if chat.cache.auto.is_some() {
            let reason = "prompts are cached without being marked here";
            losses.drop(Severity::Harmless, scene.names.name(Field::CacheAuto), reason)?;
        }
        Ok(params)
    }

    fn sampling(
        &mut self,
        chat: &Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let caps = scene.target.capabilities;
        let own = scene.is_own();
        let mut taken = |field, value: Option<f64>, nothing: f64, takes: bool, reason| {
            let Some(given) = value.filter(|_| !takes && !own) else { return Ok(value) };
            if (given - nothing).abs() > f64::EPSILON {
                losses.drop(Severity::Harmless, scene.names.name(field), reason)?;
            }
            Ok::<_, Error>(None)
        };
        let sampling = &chat.sampling;
        let fixed = "the model does not let its sampling be changed";
        let penalties = "the model takes no penalties";
        self.temperature =
            taken(Field::Temperature, sampling.temperature, 1.0, caps.sampling, fixed)?;
        self.top_p = taken(Field::TopP, sampling.top_p, 1.0, caps.sampling, fixed)?;
        self.presence_penalty = taken(
            Field::PresencePenalty,
            sampling.presence_penalty,
            0.0,
            caps.penalties,
            penalties,
        )?;
        self.frequency_penalty = taken(
            Field::FrequencyPenalty,
            sampling.frequency_penalty,
            0.0,
            caps.penalties,
            penalties,
        )?;
        self.top_k = sampling.top_k;
        if self.top_k.is_some() && !caps.sampling && !own {
            losses.drop(Severity::Harmless, scene.names.name(Field::TopK), fixed)?;
            self.top_k = None;
        }
        let ranges = [
            (Field::Temperature, &mut self.temperature, 0.0..=2.0),
            (Field::PresencePenalty, &mut self.presence_penalty, -2.0..=2.0),
            (Field::FrequencyPenalty, &mut self.frequency_penalty, -2.0..=2.0),
        ];
        for (field, value, range) in ranges {
            let Some(given) = value.filter(|given| !own && !range.contains(given)) else {
                continue;
            };
            let near = given.clamp(*range.start(), *range.end());
            let reason = format!("{near} is the nearest value that is taken");
            losses.clamp(scene.names.name(field), reason)?;
            *value = Some(near);
        }
        if let Some(seed) = sampling.seed {
            self.seed = i32::try_from(seed).ok();
            if self.seed.is_none() {
                let reason = "seeds are whole numbers of 32 bits";
                losses.drop(Severity::Harmless, scene.names.name(Field::Seed), reason)?;
            }
        }
        Ok(())
    }

    fn bounds(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let caps = scene.target.capabilities;
        let own = scene.is_own();
        self.most = chat.max_output_tokens;
        let limit =
            caps.max_output.filter(|limit| !own && self.most.is_some_and(|most| most > *limit));
        if let Some(limit) = limit {
            let reason = format!("the model writes at most {limit} tokens");
            losses.clamp(scene.names.name(Field::MaxOutput), reason)?;
            self.most = Some(limit);
        }
        let field = scene.names.name(Field::Stop);
        if !chat.stop.is_empty() && !caps.stop && !own {
            losses.drop(Severity::Doubtful, field, "the model takes no stop texts")?;
        } else {
            self.stop.clone_from(&chat.stop);
            if self.stop.len() > MOST_STOPS && !own {
                let reason =
                    format!("at most {MOST_STOPS} stop texts are taken: the first ones are kept");
                losses.clamp(field, reason)?;
                self.stop.truncate(MOST_STOPS);
            }
        }
        if let Some(n) = chat.n.filter(|n| *n > MOST_ANSWERS && !own) {
            let reason = format!("at most {MOST_ANSWERS} answers are given, not {n}");
            losses.drop(Severity::Grave, scene.names.name(Field::N), reason)?;
        }
        self.logprobs = chat.logprobs;
        if chat.logprobs.is_some_and(|most| most > MOST_ALTERNATIVES) && !own {
            let reason = format!("at most {MOST_ALTERNATIVES} alternatives are told");
            losses.clamp(scene.names.name(Field::Logprobs), reason)?;
            self.logprobs = Some(MOST_ALTERNATIVES);
        }
        Ok(())
    }

    fn tier(&mut self, chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<(), Error> {
        let Some(tier) = &chat.service_tier else { return Ok(()) };
        self.service_tier = match tier.as_str() {
            "default" | "standard_only" | "standard" => Some("standard"),
            "flex" => Some("flex"),
            "priority" | "fast" => Some("priority"),
            // What happens anyway.
            "auto" => None,
            other => {
                let reason = format!("the provider has no tier `{other}`");
                losses.drop(Severity::Harmless, scene.names.name(Field::ServiceTier), reason)?;
                None
            }
        };
        Ok(())
    }

    /// Writes `generationConfig`, if there is anything in it.
    pub(super) fn write(&self, chat: &Chat, form: &Form, object: &mut Object<'_>) {
        let mut out = Vec::new();
        let mut config = Object::begin(&mut out);
        self.write_members(chat, form, &mut config);
        config.end();
        if out.len() > 2 {
            object.member("generationConfig").extend_from_slice(&out);
        }
    }

    fn write_members(&self, chat: &Chat, form: &Form, config: &mut Object<'_>) {
        if let Some(most) = self.most {
            config.number("maxOutputTokens", most);
        }
        let floats = [("temperature", self.temperature), ("topP", self.top_p)];
        let penalties = [
            ("presencePenalty", self.presence_penalty),
            ("frequencyPenalty", self.frequency_penalty),
        ];
        for (name, value) in floats {
            if let Some(value) = value {
                config.float(name, value);
            }
        }
        if let Some(top_k) = self.top_k {
            config.number("topK", top_k);
        }
        for (name, value) in penalties {
            if let Some(value) = value {
                config.float(name, value);
            }
        }
        if let Some(seed) = self.seed {
            config.number("seed", seed);
        }
        if let Some(n) = chat.n.filter(|n| *n != 1 || chat.extras.dialect == Some(GEMINI)) {
            config.number("candidateCount", n);
        }
        if !self.stop.is_empty() {
            let mut list = Array::begin(config.member("stopSequences"));
            for text in &self.stop {
                json::string(list.item(), text);
            }
            list.end();
        }
        if let Some(alternatives) = self.logprobs {
            config.flag("responseLogprobs", true);
            if alternatives > 0 {
                config.number("logprobs", alternatives);
            }
        }
        match form {
            Form::Text => {}
            Form::Json => config.text("responseMimeType", "application/json"),
            Form::Schema(schema) => {
                config.text("responseMimeType", "application/json");
                config.raw("responseJsonSchema", schema.get());
            }
        }
        if !chat.modalities.is_empty() {
            let mut list = Array::begin(config.member("responseModalities"));
            for kind in &chat.modalities {
                json::string(list.item(), &kind.to_ascii_uppercase());
            }
            list.end();
        }
        let own = chat.extras.dialect == Some(GEMINI);
        let extras = chat
            .extras
            .members
            .iter()
            .filter(|_| own)
            .filter_map(|(name, value)| name.strip_prefix(CONFIG).map(|short| (short, value)));
        const THINKING: &str = "thinkingConfig.";
        let (nested, plain): (Vec<_>, Vec<_>) =
            extras.partition(|(name, _)| name.starts_with(THINKING));
        if !self.thinking.is_unsaid() || !nested.is_empty() {
            let mut inner = Object::begin(config.member("thinkingConfig"));
            self.thinking.write(&mut inner);
            for (name, value) in nested {
                inner.raw_named(&name[THINKING.len()..], value.get());
            }
            inner.end();
        }
        for (name, value) in plain {
            config.raw_named(name, value.get());
        }
    }
}
