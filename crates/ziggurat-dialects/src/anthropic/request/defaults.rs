//! Configured parameters in requests that leave as they came.

use ziggurat_core::{Payload, RawJson, Str};

/// Puts a parameter, in OpenAI's terms or this dialect's own, in where the caller says nothing.
pub(in crate::anthropic) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    match name.as_str() {
        "max_completion_tokens" => payload.set_default("max_tokens", value.clone()),
        "stop" => {
            let list = match value.get().starts_with('"') {
                true => RawJson::parse(format!("[{}]", value.get()).into()).ok(),
                false => Some(value.clone()),
            };
            if let Some(list) = list {
                payload.set_default("stop_sequences", list);
            }
        }
        "max_tokens" | "temperature" | "top_p" | "top_k" | "thinking" | "stop_sequences"
        | "system" | "output_config" | "container" | "mcp_servers" => {
            payload.set_default(name.clone(), value.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Operation;

    use super::*;
    use crate::ANTHROPIC;

    #[test]
    fn configured_parameters_are_spelled_as_the_caller_would() {
        let body = br#"{"temperature":0.5,"max_tokens":null}"#;
        let body = bytes::Bytes::from_static(body);
        let mut payload = Payload::wire(ANTHROPIC, Operation::Chat, body).unwrap();
        for (name, value) in [
            ("max_completion_tokens", "9"),
            ("stop", r#""END""#),
            ("temperature", "1"),
            ("logit_bias", "{}"),
        ] {
            let value = RawJson::parse(Str::from_static(value)).unwrap();
            ANTHROPIC.set_default(&mut payload, &Str::from_static(name), &value);
        }
        let member = |name| payload.member(name).map(|value| value.to_string());
        assert_eq!(member("max_tokens").as_deref(), Some("9"));
        assert_eq!(member("stop_sequences").as_deref(), Some(r#"["END"]"#));
        assert_eq!(member("temperature").as_deref(), Some("0.5"));
        assert_eq!(member("logit_bias"), None);
    }
}
