//! `generationConfig`, read.

use serde_json::value::RawValue;
use ziggurat_core::{
    Chat, Effort, Error, Expose, OutputFormat, OutputSchema, RawJson, ReasoningMode, Str,
};

use super::CONFIG;
use crate::gemini::camel::object;
use crate::json::{self, At, Fields};
use crate::schema;

const WHOLE: &str = "a whole number, 0 or more";

/// Reads it into the request.
pub(super) fn decode(chat: &mut Chat, value: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config = object(value, at)?;
    let mut float =
        |name| config.take(name).map(|raw| json::read_float(raw, at.name(name))).transpose();
    chat.sampling.temperature = float("temperature")?;
    chat.sampling.top_p = float("topP")?;
    chat.sampling.presence_penalty = float("presencePenalty")?;
    chat.sampling.frequency_penalty = float("frequencyPenalty")?;
    // A number with a point to clients, and a count all the same.
    if let Some(raw) = config.take("topK") {
        let count = raw.strip_suffix(".0").unwrap_or(raw);
        chat.sampling.top_k = Some(json::read(count, at.name("topK"), WHOLE)?);
    }
    chat.sampling.seed = config.value("seed", at, "a whole number")?;
    chat.max_output_tokens = config.value("maxOutputTokens", at, WHOLE)?;
    chat.n = config.value("candidateCount", at, WHOLE)?;
    let stops: Option<Vec<&RawValue>> = config.value("stopSequences", at, "a list of strings")?;
    let at_stops = at.name("stopSequences");
    for (index, text) in stops.unwrap_or_default().into_iter().enumerate() {
        chat.stop.push(json::read_text(text.get(), value, at_stops.index(index))?);
    }
    let probabilities: Option<bool> = config.value("responseLogprobs", at, "true or false")?;
    if probabilities == Some(true) {
        chat.logprobs = Some(config.value("logprobs", at, "a whole number up to 20")?.unwrap_or(0));
    }
    let modalities: Option<Vec<&RawValue>> =
        config.value("responseModalities", at, "a list of strings")?;
    let at_modalities = at.name("responseModalities");
    for (index, word) in modalities.unwrap_or_default().into_iter().enumerate() {
        let word = json::read_text(word.get(), value, at_modalities.index(index))?;
        chat.modalities.push(Str::from(word.to_ascii_lowercase()));
    }
    output(chat, &mut config, value, at)?;
    if let Some(raw) = config.take("thinkingConfig") {
        thinking(chat, raw, value, at.name("thinkingConfig"))?;
    }
    keep(chat, &config, CONFIG);
    Ok(())
}

/// Keeps members that the superset has no field for, by their path.
pub(super) fn keep(chat: &mut Chat, fields: &Fields<'_>, prefix: &str) {
    for (name, value) in fields.iter().filter(|(_, value)| *value != "null") {
        if let Ok(value) = RawJson::parse(Str::from(value)) {
            chat.extras.push(Str::from(format!("{prefix}{name}")), value);
        }
    }
}

/// The form of the answer. One that is not understood stays as it is.
fn output(chat: &mut Chat, config: &mut Fields<'_>, body: &Str, at: At<'_>) -> Result<(), Error> {
    let said = config.get("responseMimeType");
    let media_type = said.map(|raw| json::read_text(raw, body, at.name("responseMimeType")));
    let media_type = media_type.transpose()?.unwrap_or_default();
    let json = match media_type.as_str() {
        "application/json" => true,
        "" | "text/plain" => false,
        _ => return Ok(()),
    };
    config.take("responseMimeType");
    let mut schema = |name| -> Result<Option<RawJson>, Error> {
        let Some(raw) = config.take(name) else { return Ok(None) };
        let at = at.name(name);
        if !raw.starts_with('{') {
            return Err(at.error("an object is expected"));
        }
        RawJson::parse(body.slice_ref(raw))
            .map(Some)
            .map_err(|_| at.error("this is not valid JSON"))
    };
    let [own, plain] = [schema("responseSchema")?, schema("responseJsonSchema")?];
    chat.output = match (own, plain) {
        (Some(_), Some(_)) => {
            let message = "only one of `responseSchema` and `responseJsonSchema` is expected";
            return Err(at.name("responseJsonSchema").error(message));
        }
        (Some(own), None) => {
            let schema = schema::of_google(&own)
                .map_err(|reason| at.name("responseSchema").error(reason))?;
            OutputFormat::Schema(OutputSchema::new(schema))
        }
        (None, Some(plain)) => OutputFormat::Schema(OutputSchema::new(plain)),
        (None, None) if json => OutputFormat::Json,
        (None, None) => OutputFormat::Text,
    };
    Ok(())
}

fn thinking(chat: &mut Chat, raw: &str, body: &Str, at: At<'_>) -> Result<(), Error> {
    let mut config = object(raw, at)?;
    let reasoning = &mut chat.reasoning;
    let shown: Option<bool> = config.value("includeThoughts", at, "true or false")?;
    reasoning.expose = shown.map(|shown| if shown { Expose::Summary } else { Expose::Nothing });
    match config.value::<i64>("thinkingBudget", at, "a whole number, or -1")? {
        None => {}
        Some(0) => reasoning.mode = Some(ReasoningMode::Off),
        // As the model likes.
        Some(budget) if budget < 0 => reasoning.mode = Some(ReasoningMode::Auto),
        Some(budget) => {
            reasoning.mode = Some(ReasoningMode::On);
            reasoning.budget_tokens = u64::try_from(budget).ok();
        }
    }
    // A word that is not known stays among what is kept.
    if let Some(raw) = config.get("thinkingLevel")
        && let Some(word) = json::shared_text(raw, body)
        && let Some(effort) = Effort::parse(&word.to_ascii_lowercase())
    {
        reasoning.effort = Some(effort);
        config.take("thinkingLevel");
    }
    keep(chat, &config, &format!("{CONFIG}thinkingConfig."));
    Ok(())
}
