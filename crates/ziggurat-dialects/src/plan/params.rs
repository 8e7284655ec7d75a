//! Parameters beside the conversation: which go on, which are changed, and which are lost.

use ziggurat_core::{Chat, Error, Losses, Severity, Str};

use super::Scene;
use crate::fields::{self, Field};
use crate::json::{self, Object};

/// Parameters as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u64>,
    pub(crate) stop: Vec<Str>,
    /// Sent on because the operator says so, although this dialect has no such field.
    passed: Vec<(&'static str, String)>,
}

impl Params {
    /// Decides on the sampling. `thinks` says that thinking is on, which narrows it.
    pub(crate) fn sampling(
        &mut self,
        chat: &Chat,
        scene: &Scene<'_>,
        thinks: bool,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let caps = scene.target.capabilities;
        let name = |field| scene.names.name(field);
        self.temperature = chat.sampling.temperature;
        self.top_p = chat.sampling.top_p;
        self.top_k = chat.sampling.top_k;
        if let Some(warm) = self.temperature.filter(|warm| *warm > 1.0) {
            losses.clamp(name(Field::Temperature), format!("{warm} is above the greatest, 1"))?;
            self.temperature = Some(1.0);
        }
        // Said or not, 1 is what the model does.
        let is_one = |value: f64| (value - 1.0).abs() < f64::EPSILON;
        let refusal = match (caps.sampling, thinks) {
            (false, _) => Some("the model takes no sampling parameters"),
            (true, true) => Some("the model does not take it while it thinks"),
            (true, false) => None,
        };
        if let Some(reason) = refusal {
            let kept = |value: f64| thinks && caps.sampling && (0.95..=1.0).contains(&value);
            let [temperature, top_p] = [self.temperature.take(), self.top_p.take()];
            self.top_p = top_p.filter(|value| kept(*value));
            for (field, value) in [
                (Field::Temperature, temperature),
                (Field::TopP, top_p.filter(|value| !kept(*value))),
            ] {
                if let Some(given) = value.filter(|value| !is_one(*value))
                    && !self.pass_float(name(field), given, losses)
                {
                    losses.drop(Severity::Harmless, name(field), reason)?;
                }
            }
            if self.top_k.take().is_some() {
                losses.drop(Severity::Harmless, name(Field::TopK), reason)?;
            }
        }
        let alone = self.temperature.is_some() && !caps.temperature_with_top_p;
        if alone && self.top_p.take().is_some_and(|given| !is_one(given)) {
            let reason = "the model does not take it beside `temperature`";
            losses.drop(Severity::Harmless, name(Field::TopP), reason)?;
        }
        Ok(())
    }

    /// Decides on the stop texts.
    pub(crate) fn stop(
        &mut self,
        chat: &Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let name = scene.names.name(Field::Stop);
        let (stop, blank): (Vec<_>, Vec<_>) =
            chat.stop.iter().cloned().partition(|text| !text.trim().is_empty());
        if !blank.is_empty() {
            let reason = "a stop text of white space only is not taken";
            losses.drop(Severity::Harmless, name, reason)?;
        }
        if !stop.is_empty() && !scene.target.capabilities.stop {
            losses.drop(Severity::Doubtful, name, "the model takes no stop texts")?;
            return Ok(());
        }
        self.stop = stop;
        Ok(())
    }

    /// What the dialect has no field for, but for these. A value that says what would happen anyway is no loss.
    pub(crate) fn lost(
        &mut self,
        chat: &Chat,
        has: &[Field],
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        use Field::*;
        use Severity::{Doubtful, Grave, Harmless};

        let sampling = &chat.sampling;
        let not = |value: Option<f64>, default: f64| {
            value.filter(|value| (value - default).abs() > f64::EPSILON).map(number)
        };
        let quoted = |text: &Option<Str>| text.as_deref().map(text_json);
        let raw = |value: &Option<ziggurat_core::RawJson>| {
            value.as_ref().map(|value| value.get().to_owned())
        };
        let speaks = chat.modalities.iter().any(|kind| kind != "text");
        let mut lose = |field: Field, value: Option<String>, severity: Severity| {
            let Some(value) = value.filter(|_| !has.contains(&field)) else { return Ok(()) };
            let name = scene.names.name(field);
            if losses.passes(name) {
                self.passed.push((name, value));
                return Ok(());
            }
            losses.drop(severity, name, "the target has no such field")
        };
        lose(N, chat.n.filter(|n| *n != 1).map(|n| n.to_string()), Grave)?;
        lose(MinP, not(sampling.min_p, 0.0), Harmless)?;
        lose(FrequencyPenalty, not(sampling.frequency_penalty, 0.0), Harmless)?;
        lose(PresencePenalty, not(sampling.presence_penalty, 0.0), Harmless)?;
        lose(RepetitionPenalty, not(sampling.repetition_penalty, 1.0), Harmless)?;
        lose(Seed, sampling.seed.map(|seed| seed.to_string()), Harmless)?;
        lose(Logprobs, chat.logprobs.map(|_| "true".to_owned()), Doubtful)?;
        lose(LogitBias, raw(&chat.logit_bias).filter(|bias| bias != "{}"), Harmless)?;
        lose(Verbosity, quoted(&chat.verbosity), Harmless)?;
        lose(Modalities, speaks.then(|| list(&chat.modalities)), Grave)?;
        lose(Audio, raw(&chat.audio), Harmless)?;
        lose(Metadata, raw(&chat.metadata).filter(|labels| labels != "{}"), Harmless)?;
        lose(Store, chat.store.filter(|store| *store).map(|_| "true".to_owned()), Harmless)?;
        lose(CacheKey, quoted(&chat.cache.key), Harmless)?;
        lose(CacheRetention, quoted(&chat.cache.retention), Harmless)?;
        lose(Prediction, raw(&chat.prediction), Harmless)?;
        lose(WebSearch, raw(&chat.web_search), Doubtful)?;
        if chat.extras.dialect != Some(scene.own) {
            for (name, _) in &chat.extras.members {
                if !losses.passes(name) {
                    fields::lose(chat.extras.dialect, name.to_string(), losses)?;
                }
            }
        }
        Ok(())
    }

    /// What dialects of plain text have no field for either: who asks, tiers, single calls, marks for a cache.
    pub(crate) fn lost_beside(
        &mut self,
        chat: &Chat,
        scene: &Scene<'_>,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let single = chat.parallel_tools == Some(false) && !chat.tools.is_empty();
        let marked = chat.tools.iter().any(|tool| tool.cache.is_some());
        for (field, said) in [
            (Field::User, chat.user.is_some()),
            (Field::ServiceTier, chat.service_tier.is_some()),
            (Field::ParallelTools, single),
            (Field::CacheAuto, chat.cache.auto.is_some() || marked),
        ] {
            if said {
                let name = scene.names.name(field);
                losses.drop(Severity::Harmless, name, "the target has no such field")?;
            }
        }
        Ok(())
    }

    fn pass_float(&mut self, name: &'static str, value: f64, losses: &Losses) -> bool {
        let passes = losses.passes(name);
        if passes {
            self.passed.push((name, number(value)));
        }
        passes
    }

    /// Whether the operator lets something pass.
    pub(crate) fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// Writes what the operator lets pass.
    pub(crate) fn write_passed(&self, object: &mut Object<'_>) {
        for (name, value) in &self.passed {
            object.raw(name, value);
        }
    }
}

fn number(value: f64) -> String {
    let mut out = Vec::new();
    json::float(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

fn text_json(text: &str) -> String {
    let mut out = Vec::new();
    json::string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

fn list(texts: &[Str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| text_json(text)).collect();
    format!("[{}]", texts.join(","))
}
