//! Configured parameters in requests that leave as they came.

use ziggurat_core::{Payload, RawJson, Str};

use crate::gemini::camel::{camel, members};
use crate::json::{self, Object};

const CONFIG: &str = "generationConfig";

/// Puts a parameter, in OpenAI's terms or this dialect's own, in where the caller says nothing.
pub(in crate::gemini) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    let own = match name.as_str() {
        "max_completion_tokens" | "max_tokens" => "maxOutputTokens",
        "temperature" => "temperature",
        "top_p" => "topP",
        "top_k" => "topK",
        "frequency_penalty" => "frequencyPenalty",
        "presence_penalty" => "presencePenalty",
        "seed" => "seed",
        "n" => "candidateCount",
        "stop" => "stopSequences",
        "safetySettings" | "safety_settings" => {
            return put(payload, "safetySettings", value.clone());
        }
        "labels" | "cachedContent" | "serviceTier" => return put(payload, name, value.clone()),
        _ => return,
    };
    let value = match value.get().starts_with('"') && own == "stopSequences" {
        true => format!("[{}]", value.get()),
        false => value.get().to_owned(),
    };
    let place = spelling(payload, CONFIG);
    let there = payload.member(&place).filter(|there| *there != "null");
    let config = there.as_deref().map(members).unwrap_or_default();
    if config.get(own).is_some() {
        return;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    for (name, value) in config.iter() {
        object.raw_named(name, value);
    }
    object.raw(own, &value);
    object.end();
    if let Some(config) = json::raw_json(out) {
        payload.set(place, config);
    }
}

fn put(payload: &mut Payload, name: &str, value: RawJson) {
    let place = spelling(payload, name);
    payload.set_default(place, value);
}

/// The name by which the caller has a member.
fn spelling(payload: &Payload, name: &str) -> Str {
    let found = payload.names().find(|other| camel(other).as_deref() == Some(name));
    Str::from(found.unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ziggurat_core::Operation;

    use super::*;
    use crate::GEMINI;

    fn with(body: &'static str, defaults: &[(&'static str, &'static str)]) -> String {
        let body = Bytes::from_static(body.as_bytes());
        let mut payload = Payload::wire(GEMINI, Operation::Chat, body).unwrap();
        for (name, value) in defaults {
            let value = RawJson::parse(Str::from_static(value)).unwrap();
            GEMINI.set_default(&mut payload, &Str::from_static(name), &value);
        }
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn configured_parameters_are_spelled_as_the_caller_would() {
        let defaults =
            [("max_tokens", "9"), ("temperature", "1"), ("stop", "\"END\""), ("logit_bias", "{}")];
        assert_eq!(
            with(r#"{"generation_config":{"temperature":0.5}}"#, &defaults),
            r#"{"generation_config":{"temperature":0.5,"maxOutputTokens":9,"stopSequences":["END"]}}"#
        );
        assert_eq!(
            with("{}", &[("safety_settings", "[]"), ("top_k", "3")]),
            r#"{"safetySettings":[],"generationConfig":{"topK":3}}"#
        );
    }
}
