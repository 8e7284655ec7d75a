//! What Gemini refuses in a request whose fields are in order: top level and generation.

use serde_json::Value;

use super::{
    declare,
    error::Fault,
    models::{Model, Thinking},
    turns,
};

const GENERATION: &str = "GenerateContentRequest.generation_config";

/// Checks a request for this model.
pub(super) fn check(body: &Value, name: &str, model: &Model) -> Result<(), Fault> {
    turns::check(body, model)?;
    let has_functions = declare::check(body, model)?;
    let config = &body["generationConfig"];
    ranges(config, model)?;
    penalties(config, name, model)?;
    output(config, has_functions, model)?;
    thinking(&config["thinkingConfig"], model)?;
    if body.get("cachedContent").is_some()
        && ["systemInstruction", "tools", "toolConfig"].iter().any(|it| body.get(it).is_some())
    {
        return Err(Fault::invalid(
            "CachedContent can not be used with GenerateContent request setting \
             system_instruction, tools or tool_config.",
        ));
    }
    Ok(())
}

fn ranges(config: &Value, model: &Model) -> Result<(), Fault> {
    for (name, snake, least, most) in [
        ("temperature", "temperature", 0.0, 2.0),
        ("topP", "top_p", 0.0, 1.0),
        ("candidateCount", "candidate_count", 1.0, 8.0),
        ("logprobs", "logprobs", 0.0, 20.0),
    ] {
        if let Some(value) = config[name].as_f64().filter(|it| !(least..=most).contains(it)) {
            let what = format!("{snake} must be in the range [{least}, {most}], not {value}");
            return Err(Fault::field(&format!("{GENERATION}.{snake}"), &what));
        }
    }
    let most = model.max_output;
    if let Some(value) = config["maxOutputTokens"].as_i64()
        && !(1..=most).contains(&u64::try_from(value).unwrap_or(0))
    {
        return Err(Fault::invalid(format!(
            "Unable to submit request because it has a maxOutputTokens value of {value} but the \
             supported range is from 1 (inclusive) to {} (exclusive). Update the value and try \
             again.",
            most + 1
        )));
    }
    if let Some(value) = config["seed"].as_i64().filter(|it| i32::try_from(*it).is_err()) {
        let path = "generation_config.seed";
        return Err(Fault::value(path, "TYPE_INT32", &value.into()));
    }
    if config["stopSequences"].as_array().is_some_and(|it| it.len() > 5) {
        let what = "the number of stop sequences must not exceed 5";
        return Err(Fault::field(&format!("{GENERATION}.stop_sequences"), what));
    }
    if config.get("logprobs").is_some() && config["responseLogprobs"] != true {
        let what = "logprobs may only be set when response_logprobs is";
        return Err(Fault::field(&format!("{GENERATION}.logprobs"), what));
    }
    Ok(())
}

fn penalties(config: &Value, name: &str, model: &Model) -> Result<(), Fault> {
    let given = ["presencePenalty", "frequencyPenalty"];
    let mut given = given.iter().filter_map(|name| config[name].as_f64()).peekable();
    if model.signs && given.peek().is_some() {
        return Err(Fault::invalid(format!("Penalty is not enabled for models/{name}")));
    }
    if given.any(|value| !(-2.0..2.0).contains(&value)) {
        return Err(Fault::field(GENERATION, "penalties must be in the range [-2, 2)"));
    }
    Ok(())
}

fn output(config: &Value, has_functions: bool, model: &Model) -> Result<(), Fault> {
    let mime = config["responseMimeType"].as_str().unwrap_or("text/plain");
    if !["text/plain", "application/json", "text/x.enum"].contains(&mime) {
        let what = "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, \
                    `application/yaml` and `text/x.enum`.";
        return Err(Fault::field(&format!("{GENERATION}.response_mime_type"), what));
    }
    let (schema, json) = (config.get("responseSchema"), config.get("responseJsonSchema"));
    if schema.is_some() && json.is_some() {
        let what = "only one of response_schema and response_json_schema may be set";
        return Err(Fault::field(GENERATION, what));
    }
    if (schema.is_some() || json.is_some()) && mime == "text/plain" {
        let what = "a response schema needs response_mime_type `application/json`";
        return Err(Fault::field(&format!("{GENERATION}.response_schema"), what));
    }
    if let Some(schema) = schema {
        declare::schema(schema, &format!("{GENERATION}.response_schema"), model)?;
    }
    if let Some(json) = json {
        declare::json_schema(json, &format!("{GENERATION}.response_json_schema"))?;
    }
    if has_functions && !model.signs && mime != "text/plain" {
        return Err(Fault::invalid(format!(
            "Function calling with a response mime type: '{mime}' is unsupported"
        )));
    }
    Ok(())
}

fn thinking(config: &Value, model: &Model) -> Result<(), Fault> {
    if !config.is_object() {
        return Ok(());
    }
    let (budget, level) = (config["thinkingBudget"].as_i64(), config["thinkingLevel"].as_str());
    if budget.is_some() && level.is_some() {
        return Err(Fault::invalid(
            "You can only set only one of thinking budget and thinking level.",
        ));
    }
    match model.thinking {
        Thinking::Never => Err(Fault::invalid("Thinking is not supported for this model.")),
        Thinking::Budget { .. } if level.is_some() => {
            Err(Fault::invalid("Thinking level is not supported for this model."))
        }
        Thinking::Levels(levels) => match level {
            Some(level) if !levels.contains(&level.to_ascii_uppercase().as_str()) => {
                Err(Fault::invalid(format!(
                    "Thinking level {} is not supported for this model.",
                    level.to_ascii_uppercase()
                )))
            }
            _ => Ok(()),
        },
        Thinking::Budget { least, most, off } => match budget {
            None | Some(-1) => Ok(()),
            Some(0) if !off => {
                Err(Fault::invalid("Budget 0 is invalid. This model only works in thinking mode."))
            }
            Some(0) if config["includeThoughts"] == true => Err(Fault::invalid(
                "Thinking_config.include_thoughts is only enabled when thinking is enabled.",
            )),
            Some(0) => Ok(()),
            Some(budget) if (least..=most).contains(&budget) => Ok(()),
            Some(budget) => Err(Fault::invalid(format!(
                "The thinking budget {budget} is invalid. Please choose a value between {least} \
                 and {most}."
            ))),
        },
    }
}
