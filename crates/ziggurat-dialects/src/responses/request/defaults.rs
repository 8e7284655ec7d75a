//! Configured parameters in requests that leave as they came.

use ziggurat_core::{Payload, RawJson, Str};

/// Puts a parameter, in the terms of Chat Completions or this dialect's own, in where the caller says nothing.
pub(in crate::responses) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    let nested =
        |member: &str| RawJson::parse(format!("{{\"{member}\":{}}}", value.get()).into()).ok();
    match name.as_str() {
        "max_tokens" | "max_completion_tokens" => {
            payload.set_default("max_output_tokens", value.clone());
        }
        "reasoning_effort" => {
            if let Some(reasoning) = nested("effort") {
                payload.set_default("reasoning", reasoning);
            }
        }
        "verbosity" => {
            if let Some(text) = nested("verbosity") {
                payload.set_default("text", text);
            }
        }
        // What Chat Completions alone knows.
        "n" | "seed" | "stop" | "frequency_penalty" | "presence_penalty" | "logit_bias"
        | "logprobs" | "prediction" | "modalities" | "audio" | "messages" | "functions"
        | "function_call" | "response_format" | "web_search_options" | "top_k" | "min_p"
        | "repetition_penalty" => {}
        _ => payload.set_default(name.clone(), value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Operation;

    use super::*;
    use crate::RESPONSES;

    #[test]
    fn configured_parameters_are_spelled_as_the_caller_would() {
        let body = bytes::Bytes::from_static(br#"{"temperature":0.5}"#);
        let mut payload = Payload::wire(RESPONSES, Operation::Chat, body).unwrap();
        for (name, value) in [
            ("max_tokens", "9"),
            ("reasoning_effort", r#""low""#),
            ("temperature", "1"),
            ("seed", "1"),
            ("truncation", r#""auto""#),
        ] {
            let value = RawJson::parse(Str::from_static(value)).unwrap();
            RESPONSES.set_default(&mut payload, &Str::from_static(name), &value);
        }
        let member = |name| payload.member(name).map(|value| value.to_string());
        assert_eq!(member("max_output_tokens").as_deref(), Some("9"));
        assert_eq!(member("reasoning").as_deref(), Some(r#"{"effort":"low"}"#));
        assert_eq!(member("temperature").as_deref(), Some("0.5"));
        assert_eq!(member("truncation").as_deref(), Some(r#""auto""#));
        assert_eq!(member("seed"), None);
    }
}
