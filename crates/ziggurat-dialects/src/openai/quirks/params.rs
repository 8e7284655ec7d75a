//! Parameters that a provider does not take, or not so.

use serde_json::value::RawValue;
use ziggurat_core::{Error, Losses, Payload, RawJson, Severity, Str};

use super::{Quirks, told};
use crate::Names;
use crate::json::{self, At};

impl Quirks {
    pub(super) fn params(
        &self,
        payload: &mut Payload,
        names: Names,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        if let Some(name) = self.max_tokens_name {
            let [taken, other] = name.names();
            if let Some(bound) = present(payload, other) {
                payload.remove(other);
                payload.set_default(taken, raw(&bound, other)?);
            }
        }
        for name in &self.drop {
            let Some(value) = present(payload, name) else { continue };
            if losses.passes(name) {
                continue;
            }
            let severity = severity(name, &value);
            losses.drop(severity, told(names, name), "the provider does not take it")?;
            payload.remove(name.clone());
        }
        for (name, theirs) in &self.rename {
            if let Some(value) = present(payload, name) {
                payload.remove(name.clone());
                payload.set_default(theirs.clone(), raw(&value, name)?);
            }
        }
        for (name, (least, most)) in &self.clamp {
            let Some(value) = present(payload, name) else { continue };
            let number = json::read_float(&value, At::root(name))?;
            let nearest = number.clamp(*least, *most);
            if nearest.total_cmp(&number).is_ne() {
                let reason = format!("the provider takes {least} to {most}");
                losses.clamp(told(names, name), reason)?;
                let mut text = Vec::new();
                json::float(&mut text, nearest);
                if let Some(nearest) = json::raw_json(text) {
                    payload.set(name.clone(), nearest);
                }
            }
        }
        if self.greedy_top_p {
            self.greedy(payload, names, losses)?;
        }
        if let Some(most) = self.most_stops {
            stops(payload, most, names, losses)?;
        }
        for (name, value) in &self.default {
            payload.set_default(name.clone(), value.raw());
        }
        for (name, value) in &self.set {
            payload.set(name.clone(), value.raw());
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "one of the flags, as its siblings are")]
    fn greedy(
        &self,
        payload: &mut Payload,
        names: Names,
        losses: &mut Losses,
    ) -> Result<(), Error> {
        let number = |name| -> Result<Option<f64>, Error> {
            present(payload, name).map(|value| json::read_float(&value, At::root(name))).transpose()
        };
        let (temperature, top_p) = (number("temperature")?, number("top_p")?);
        // Nothing is chosen by chance then, so that nothing is left to cut off.
        if temperature.is_some_and(|t| t <= 0.0) && top_p.is_some_and(|p| p < 1.0) {
            losses.clamp(told(names, "top_p"), "a temperature of 0 goes with 1 only")?;
            payload.set("top_p", RawJson::parse(Str::from_static("1")).unwrap_or(RawJson::NULL));
        }
        Ok(())
    }
}

fn stops(
    payload: &mut Payload,
    most: usize,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Error> {
    let Some(value) = present(payload, "stop").filter(|value| value.starts_with('[')) else {
        return Ok(());
    };
    let stops: Vec<&RawValue> = json::read(&value, At::root("stop"), "a list of texts")?;
    if stops.len() <= most {
        return Ok(());
    }
    let reason = format!("the provider takes {most} of them");
    losses.drop(Severity::Doubtful, told(names, "stop"), reason)?;
    let kept: Vec<&RawValue> = stops.into_iter().take(most).collect();
    if let Ok(kept) = RawJson::of(&kept) {
        payload.set("stop", kept);
    }
    Ok(())
}

/// A member that is there and not `null`.
pub(super) fn present(payload: &Payload, name: &str) -> Option<Str> {
    payload.member(name).filter(|value| *value != "null")
}

fn raw(value: &Str, name: &str) -> Result<RawJson, Error> {
    RawJson::parse(value.clone()).map_err(|error| At::root(name).error(error))
}

/// What it means when a parameter is left out. One that says what holds anyway is no loss worth a refusal.
fn severity(name: &str, value: &str) -> Severity {
    let idle = matches!(value, "false" | "0" | "0.0" | "[]" | "{}" | "\"auto\"" | "\"none\"");
    match name {
        "n" if value == "1" => Severity::Harmless,
        "tools" | "audio" | "web_search_options" if !idle => Severity::Grave,
        "n" | "logprobs" | "top_logprobs" | "stop" | "response_format" | "tool_choice"
        | "modalities"
            if !idle =>
        {
            Severity::Doubtful
        }
        _ => Severity::Harmless,
    }
}
