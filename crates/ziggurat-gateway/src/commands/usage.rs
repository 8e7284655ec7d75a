//! Usage out of any provider's answer.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use ziggurat_core::{Operation, Usage};

/// Reads what was used from a whole answer, or from the part of it that counts, of whichever dialect.
pub(super) fn read(json: &str) -> Result<Usage, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err("the usage is no JSON object".to_owned());
    };
    let (dialect, answer) = recognise(object).ok_or("no provider counts like this")?;
    let known = ziggurat_dialects::named(dialect);
    let known = known.ok_or_else(|| format!("the dialect `{dialect}` is not supported yet"))?;
    let glance = known.glance(Operation::Chat, &Bytes::from(answer.to_string()));
    glance.usage.ok_or_else(|| format!("no counts are read, as {dialect} has them"))
}

/// The dialect, by names that only it has, and the counts within what the dialect takes for an answer.
fn recognise(mut object: Map<String, Value>) -> Option<(&'static str, Value)> {
    if object.contains_key("prompt_eval_count") || object.contains_key("eval_count") {
        object.entry("message").or_insert_with(|| json!({"role": "assistant", "content": ""}));
        object.insert("done".to_owned(), true.into());
        return Some(("ollama", object.into()));
    }
    let tier = object.remove("service_tier").or_else(|| object.remove("serviceTier"));
    let counts = match object.remove("usage").or_else(|| object.remove("usageMetadata")) {
        Some(Value::Object(counts)) => counts,
        _ => object,
    };
    let has = |name: &str| counts.contains_key(name);
    let usage = |counts: Map<String, Value>| Value::from(counts);
    Some(if has("promptTokenCount") || has("totalTokenCount") {
        (
            "gemini",
            json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage(counts)}),
        )
    } else if has("inputTokens") {
        let message = json!({"message": {"role": "assistant", "content": []}});
        let answer = json!({
            "output": message, "stopReason": "end_turn", "usage": usage(counts), "serviceTier": tier,
        });
        ("converse", answer)
    } else if has("billed_units") || has("tokens") {
        let message = json!({"role": "assistant", "content": []});
        (
            "cohere",
            json!({"id": "x", "finish_reason": "COMPLETE", "message": message, "usage": usage(counts)}),
        )
    } else if has("prompt_tokens") || has("completion_tokens") {
        ("openai", json!({"choices": [], "service_tier": tier, "usage": usage(counts)}))
    } else if has("input_tokens_details") || has("total_tokens") {
        let answer = json!({
            "id": "resp_x", "object": "response", "status": "completed", "output": [],
            "service_tier": tier, "usage": usage(counts),
        });
        ("responses", answer)
    } else if has("input_tokens") || has("output_tokens") {
        let answer = json!({
            "id": "msg_x", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage(counts),
        });
        ("anthropic", answer)
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use ziggurat_core::ServiceTier;

    use super::*;

    #[test]
    fn counts_are_recognised_by_their_names() {
        let chat = r#"{"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}"#;
        assert_eq!(read(chat).unwrap(), Usage::new(6, 2).cache_read(4));
        let mut whole: Value = json!({"id": "c", "choices": [{"x": 1}], "service_tier": "flex"});
        whole["usage"] = serde_json::from_str(chat).unwrap();
        assert_eq!(read(&whole.to_string()).unwrap().tier, Some(ServiceTier::Flex));
        let gemini = r#"{"usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 12}}"#;
        assert_eq!(read(gemini).unwrap(), Usage::new(6, 2).cache_read(4));
        let converse = r#"{"inputTokens": 6, "outputTokens": 2, "totalTokens": 12, "cacheReadInputTokens": 4}"#;
        assert_eq!(read(converse).unwrap(), Usage::new(6, 2).cache_read(4));
        let ollama = r#"{"prompt_eval_count": 6, "eval_count": 2}"#;
        assert_eq!(read(ollama).unwrap(), Usage::new(6, 2));
        let messages = r#"{"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 2}"#;
        assert_eq!(read(messages).unwrap(), Usage::new(6, 2).cache_read(4));
    }

    #[test]
    fn what_is_no_usage_is_said_to_be_none() {
        for (json, why) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "no provider counts like this"),
            (r#"{"prompt_tokens": "many"}"#, "no counts are read"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
