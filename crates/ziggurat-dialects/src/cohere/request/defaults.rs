//! Configured parameters in requests that leave as they came.

use ziggurat_core::{Payload, RawJson, Str};

/// Puts a parameter, in OpenAI's terms or this dialect's own, in where the caller says nothing.
pub(in crate::cohere) fn set_default(payload: &mut Payload, name: &Str, value: &RawJson) {
    let own = match name.as_str() {
        "max_tokens" | "max_completion_tokens" => "max_tokens",
        "top_p" => "p",
        "top_k" => "k",
        "stop" => {
            let list = match value.get().starts_with('"') {
                true => RawJson::parse(format!("[{}]", value.get()).into()).ok(),
                false => Some(value.clone()),
            };
            if let Some(list) = list {
                payload.set_default("stop_sequences", list);
            }
            return;
        }
        "temperature" | "p" | "k" | "seed" | "frequency_penalty" | "presence_penalty"
        | "stop_sequences" | "thinking" | "safety_mode" | "citation_options" | "priority" => {
            name.as_str()
        }
        _ => return,
    };
    payload.set_default(own, value.clone());
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Operation;

    use super::*;
    use crate::COHERE;

    #[test]
    fn configured_parameters_are_spelled_as_the_caller_would() {
        let body = bytes::Bytes::from_static(br#"{"p":0.5,"max_tokens":null}"#);
        let mut payload = Payload::wire(COHERE, Operation::Chat, body).unwrap();
        for (name, value) in [
            ("max_completion_tokens", "9"),
            ("top_p", "1"),
            ("top_k", "5"),
            ("stop", "\"END\""),
            ("logit_bias", "{}"),
        ] {
            set_default(&mut payload, &name.into(), &RawJson::parse(value.into()).unwrap());
        }
        let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            r#"{"p":0.5,"max_tokens":9,"k":5,"stop_sequences":["END"]}"#
        );
    }
}
