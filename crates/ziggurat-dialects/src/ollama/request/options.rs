//! `options`: what steers the model.

use serde_json::value::RawValue;
use ziggurat_core::{Chat, Error, Losses, Payload, RawJson, Severity, Str};

use super::OPTIONS;
use crate::fields::Field;
use crate::json::{self, Array, At, Fields, Object};
use crate::plan::Scene;

/// Reads the options.
pub(super) fn decode(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut options: Fields<'_> = json::read(value, at, "an object")?;
    let mut number = |name: &'static str| {
        options.take(name).map(|raw| json::read_float(raw, at.name(name))).transpose()
    };
    let sampling = &mut chat.sampling;
    sampling.temperature = number("temperature")?;
    sampling.top_p = number("top_p")?;
    sampling.min_p = number("min_p")?;
    sampling.frequency_penalty = number("frequency_penalty")?;
    sampling.presence_penalty = number("presence_penalty")?;
    sampling.repetition_penalty = number("repeat_penalty")?;
    sampling.top_k = whole(&mut options, "top_k", at)?;
    sampling.seed = whole(&mut options, "seed", at)?;
    // −1 and −2 are no numbers of tokens: they stay as they are.
    if !options.get("num_predict").is_some_and(|raw| raw.starts_with('-')) {
        chat.max_output_tokens = whole(&mut options, "num_predict", at)?;
    }
    if let Some(stop) = options.take("stop") {
        let at = at.name("stop");
        if stop.starts_with('"') {
            chat.stop = vec![json::read_text(stop, value, at)?];
        } else {
            let texts: Vec<&RawValue> = json::read(stop, at, "a list of strings")?;
            let read = |(index, text): (usize, &&RawValue)| {
                json::read_text(text.get(), value, at.index(index))
            };
            chat.stop = texts.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
    }
    for (name, rest) in options.iter().filter(|(_, rest)| *rest != "null") {
        let rest = RawJson::parse(value.slice_ref(rest))
            .map_err(|_| at.name(name).error("this is not valid JSON"))?;
        chat.extras.push(format!("{OPTIONS}{name}").into(), rest);
    }
    Ok(())
}

/// A whole number. `256.0` is one, too.
fn whole<T: std::str::FromStr>(
    options: &mut Fields<'_>,
    name: &'static str,
    at: At<'_>,
) -> Result<Option<T>, Error> {
    let Some(raw) = options.take(name) else { return Ok(None) };
    let digits = raw.split_once('.').map_or(raw, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') { whole } else { raw }
    });
    match digits.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(at.name(name).error("a whole number is expected")),
    }
}

/// The most output tokens that a request asks for, read without decoding it.
pub(in crate::ollama) fn output_bound(payload: &Payload) -> Option<u64> {
    let options = payload.member("options")?;
    let mut options: Fields<'_> = serde_json::from_str(&options).ok()?;
    whole(&mut options, "num_predict", At::root("options")).ok().flatten()
}

/// Puts a configured parameter in where the caller says nothing of it: most are options here.
pub(in crate::ollama) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    let option = match name.as_str() {
        "max_tokens" | "max_completion_tokens" => "num_predict",
        "repetition_penalty" => "repeat_penalty",
        "temperature" | "top_p" | "top_k" | "min_p" | "seed" | "stop" | "frequency_penalty"
        | "presence_penalty" | "num_ctx" | "num_predict" | "repeat_penalty" | "num_gpu"
        | "num_thread" | "repeat_last_n" => name.as_str(),
        "think" | "keep_alive" | "format" => {
            return payload.set_default(name.clone(), value.clone());
        }
        _ => return,
    };
    let said = payload.member("options").filter(|options| *options != "null");
    let Ok(mut fields) = serde_json::from_str::<Fields<'_>>(said.as_deref().unwrap_or("{}")) else {
        // Whoever reads it says what is wrong with it.
        return;
    };
    if fields.get(option).is_some() {
        return;
    }
    fields.take(option);
    let mut out = Vec::new();
    let mut options = Object::begin(&mut out);
    for (name, value) in fields.iter() {
        options.raw_named(name, value);
    }
    match value.get() {
        text if option == "stop" && text.starts_with('"') => {
            options.raw_named(option, &format!("[{text}]"));
        }
        value => options.raw_named(option, value),
    }
    options.end();
    if let Some(options) = json::raw_json(out) {
        payload.set("options", options);
    }
}

/// Writes the options, and the member that holds them, if there is any.
pub(super) fn write(
    object: &mut Object<'_>,
    chat: &Chat,
    scene: &Scene<'_>,
    losses: &mut Losses,
) -> Result<(), Error> {
    let mut out = Vec::new();
    let mut options = Object::begin(&mut out);
    if let Some(most) = bound(chat, scene, losses)? {
        options.number("num_predict", most);
    }
    let sampling = &chat.sampling;
    let draws = scene.target.capabilities.sampling;
    for (field, name, value) in [
        (Field::Temperature, "temperature", sampling.temperature),
        (Field::TopP, "top_p", sampling.top_p),
        (Field::MinP, "min_p", sampling.min_p),
        (Field::FrequencyPenalty, "frequency_penalty", sampling.frequency_penalty),
        (Field::PresencePenalty, "presence_penalty", sampling.presence_penalty),
        (Field::RepetitionPenalty, "repeat_penalty", sampling.repetition_penalty),
    ] {
        let Some(value) = value else { continue };
        let field = scene.names.name(field);
        if draws || scene.is_own() || losses.passes(field) {
            options.float(name, value);
        } else {
            let reason = "the model does not let its sampling be changed";
            losses.drop(Severity::Harmless, field, reason)?;
        }
    }
    if let Some(top_k) = sampling.top_k {
        options.number("top_k", top_k);
    }
    if let Some(seed) = sampling.seed {
        options.number("seed", seed);
    }
    if !chat.stop.is_empty() {
        let mut array = Array::begin(options.member("stop"));
        for text in &chat.stop {
            json::string(array.item(), text);
        }
        array.end();
    }
    if chat.extras.dialect == Some(scene.own) {
        for (name, value) in &chat.extras.members {
            if let Some(name) = name.strip_prefix(OPTIONS) {
                options.raw_named(name, value.get());
            }
        }
    }
    options.end();
    if out.len() > 2 {
        object.member("options").extend_from_slice(&out);
    }
    Ok(())
}

/// The most output tokens.
fn bound(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Option<u64>, Error> {
    let Some(most) = chat.max_output_tokens else { return Ok(None) };
    match scene.target.capabilities.max_output {
        Some(limit) if most > limit => {
            let field = scene.names.name(Field::MaxOutput);
            losses.clamp(field, format!("the model writes at most {limit} tokens"))?;
            Ok(Some(limit))
        }
        _ => Ok(Some(most)),
    }
}
