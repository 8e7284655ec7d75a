//! Parameters that are configured in OpenAI's terms, put in where the caller says nothing of them.

use ziggurat_core::{Payload, RawJson, Str};

use crate::json::{self, Fields, Object};

/// Puts a parameter in. What this dialect has no word for is not.
pub(in crate::converse) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    let inference = Str::from_static("inferenceConfig");
    match name.as_str() {
        "max_tokens" | "max_completion_tokens" => put(payload, inference, "maxTokens", value),
        "temperature" => put(payload, inference, "temperature", value),
        "top_p" => put(payload, inference, "topP", value),
        "stop" | "stop_sequences" => {
            let list = match value.get().starts_with('"') {
                true => RawJson::parse(format!("[{}]", value.get()).into()).ok(),
                false => Some(value.clone()),
            };
            if let Some(list) = list {
                put(payload, inference, "stopSequences", &list);
            }
        }
        "top_k" | "thinking" | "reasoning_effort" => {
            let outer = Str::from_static("additionalModelRequestFields");
            put(payload, outer, name, value);
        }
        "service_tier" => {
            let outer = Str::from_static("serviceTier");
            put(payload, outer, "type", value);
        }
        "guardrailConfig" | "performanceConfig" | "requestMetadata" | "system" => {
            payload.set_default(name.clone(), value.clone());
        }
        _ => {}
    }
}

/// Puts a member into an object of the payload, unless the object has it.
fn put(payload: &mut Payload, outer: Str, name: &str, value: &RawJson) {
    let there = payload.member(&outer);
    let fields = match &there {
        None => Fields::default(),
        Some(text) => match serde_json::from_str::<Fields<'_>>(text) {
            Ok(fields) => fields,
            // The provider tells the caller what is wrong with it.
            Err(_) => return,
        },
    };
    if fields.get(name).is_some() {
        return;
    }
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    for (name, value) in fields.iter() {
        object.raw_named(name, value);
    }
    object.raw_named(name, value.get());
    object.end();
    if let Some(whole) = json::raw_json(out) {
        payload.set(outer, whole);
    }
}
