//! What depends on the model, and on thinking.

use serde_json::{Value, json};

use super::{
    accepted, answer, assistant, chat, post_with, refused, refused_like, result, says, text, told,
    tool_use, tools, user,
};

fn on(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn sampling_is_gated_by_model() {
    for model in ["claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5"] {
        accepted(on(model, json!({"temperature": 1.0})));
        let deprecated = |name: &str| format!("`{name}` is deprecated for this model.");
        refused(on(model, json!({"temperature": 0.5})), &deprecated("temperature"));
        refused(on(model, json!({"top_p": 1})), &deprecated("top_p"));
        refused(on(model, json!({"top_k": 5})), &deprecated("top_k"));
    }
    let both = json!({"temperature": 0.5, "top_p": 0.9});
    let message = "`temperature` and `top_p` cannot both be specified for this model. Please use \
                   only one.";
    refused(on("claude-sonnet-4-5", both.clone()), message);
    accepted(on("claude-opus-4-1", both));
    accepted(on("claude-sonnet-4-6", json!({"temperature": 0.5})));
}

#[test]
fn prefill_is_gated_by_model_and_has_no_trailing_space() {
    let history = |end: Value| json!({"messages": [user(json!("x")), assistant(end)]});
    accepted(on("claude-haiku-4-5", history(json!("Sure:"))));
    let prefill = "This model does not support assistant message prefill. The conversation must \
                   end with a user message.";
    refused(on("claude-sonnet-4-6", history(json!("Sure:"))), prefill);
    refused(on("claude-opus-5", history(json!([text("Sure:")]))), prefill);
    let space = "messages: final assistant content cannot end with trailing whitespace";
    refused(history(json!("Sure: ")), space);
    refused(history(json!([text("Sure:\n")])), space);
    let mut thinks = history(json!("Sure:"));
    thinks["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    refused(thinks, "Assistant message prefill is not supported when thinking is enabled.");
    let mut format = history(json!("Sure:"));
    format["output_config"] = json!({"format": {"type": "json_schema",
        "schema": {"type": "object", "additionalProperties": false}}});
    refused(
        format,
        "Assistant message prefill is not supported together with output_config.format.",
    );
}

#[test]
fn system_messages_are_gated_by_model_and_follow_users() {
    let system = json!({"role": "system", "content": "Be kind."});
    let after_user = json!({"messages": [user(json!("x")), system]});
    accepted(on("claude-opus-4-8", after_user.clone()));
    let role = "messages.1.role: role 'system' is not supported on this model";
    refused(on("claude-opus-4-7", after_user), role);
    let first = json!({"messages": [system, user(json!("x"))]});
    let follow = "messages.0.role: role 'system' must directly follow a user message";
    refused(on("claude-opus-4-8", first), follow);
}

#[test]
fn kinds_of_thinking_are_gated_by_model() {
    let enabled = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let kind = |kind: &str| json!({"thinking": {"type": kind}});
    accepted(on("claude-opus-4-1", enabled.clone()));
    accepted(on("claude-sonnet-4-6", enabled.clone()));
    for model in ["claude-opus-4-7", "claude-fable-5"] {
        refused_like(on(model, enabled.clone()), "\"thinking.type.enabled\" is not supported");
    }
    refused(
        on("claude-sonnet-4-5", kind("adaptive")),
        "adaptive thinking is not supported on this model",
    );
    accepted(on("claude-sonnet-4-6", kind("adaptive")));
    accepted(on("claude-opus-4-7", kind("disabled")));
    let disabled = "\"thinking.type.disabled\" is not supported for this model.";
    refused(on("claude-mythos-5", kind("disabled")), disabled);
    accepted(on("claude-sonnet-5-5", kind("between_tools")));
    refused_like(on("claude-opus-4-7", kind("between_tools")), "\"thinking.type.between_tools\"");
    let mut high = kind("disabled");
    high["output_config"] = json!({"effort": "high"});
    accepted(on("claude-opus-5", high.clone()));
    high["output_config"] = json!({"effort": "max"});
    refused_like(on("claude-opus-5", high), "\"thinking.type.disabled\" is not supported");
    let tags = "thinking: Input tag 'on' found using 'type' does not match any of the expected \
                tags: 'enabled', 'adaptive', 'disabled', 'between_tools'";
    refused(kind("on"), tags);
}

#[test]
fn efforts_and_formats_are_gated_by_model() {
    let effort = |effort: &str| json!({"output_config": {"effort": effort}});
    accepted(on("claude-opus-4-5", effort("high")));
    let message = "This model does not support the effort parameter.";
    refused(on("claude-opus-4-1", effort("high")), message);
    let max = "output_config.effort: effort 'max' is not supported on this model";
    refused(on("claude-opus-4-5", effort("max")), max);
    accepted(on("claude-sonnet-4-6", effort("max")));
    refused_like(on("claude-sonnet-4-6", effort("xhigh")), "output_config.effort");
    accepted(on("claude-opus-4-7", effort("xhigh")));
    refused_like(effort("minimal"), "output_config.effort: Input should be 'low', 'medium'");
    let format = json!({"output_config": {"format": {"type": "json_schema",
        "schema": {"type": "object", "additionalProperties": false}}}});
    refused_like(on("claude-opus-4-1", format), "output_config.format: structured outputs are not");
}

#[test]
fn forced_calls_are_gated_by_model_and_thinking() {
    for choice in [json!({"type": "any"}), json!({"type": "tool", "name": "get_time"})] {
        let forced = json!({"tools": tools(), "tool_choice": choice});
        accepted(on("claude-opus-5", forced.clone()));
        refused_like(on("claude-opus-5-5", forced.clone()), "tool_choice: type '");
        let mut thinks = forced;
        thinks["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
        refused(thinks, "Thinking may not be enabled when tool_choice forces tool use.");
    }
}

#[test]
fn a_budget_is_large_and_below_the_limit() {
    let budget = |budget: u64| json!({"thinking": {"type": "enabled", "budget_tokens": budget}});
    accepted(budget(4095));
    let least = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
    refused(budget(1023), least);
    refused(budget(4096), "`max_tokens` must be greater than `thinking.budget_tokens`.");
    let missing = json!({"thinking": {"type": "enabled"}});
    refused(missing, "thinking.enabled.budget_tokens: Field required");
    let beta = "interleaved-thinking-2025-05-14";
    assert_eq!(post_with("2023-06-01", beta, &says("hi", budget(9000))).status, 200);
    let extra = json!({"thinking": {"type": "disabled", "budget_tokens": 1024}});
    refused(extra, "thinking.disabled.budget_tokens: Extra inputs are not permitted");
}

#[test]
fn thinking_restricts_sampling() {
    let thinks = |more: Value| {
        let mut body = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    accepted(thinks(json!({"temperature": 1})));
    accepted(thinks(json!({"top_p": 0.95})));
    let temperature = "`temperature` may only be set to 1 when thinking is enabled.";
    refused(thinks(json!({"temperature": 0.5})), temperature);
    refused(thinks(json!({"top_k": 1})), "`top_k` must be unset when thinking is enabled.");
    refused_like(thinks(json!({"top_p": 0.5})), "`top_p` must be greater than or equal to 0.95");
}

#[test]
fn thinking_comes_back_only_as_it_left() {
    let enabled = json!({"type": "enabled", "budget_tokens": 1024});
    let said = answer("[tool:get_time]", json!({"thinking": enabled, "tools": tools()}));
    let blocks = said["content"].as_array().unwrap();
    let (thinking, call) = (&blocks[0], &blocks[1]);
    assert_eq!((&thinking["type"], &call["type"]), (&json!("thinking"), &json!("tool_use")));
    let id = call["id"].as_str().unwrap();
    let history = |blocks: Value| {
        json!({"messages": [user(json!("x")), assistant(blocks), user(json!([result(id)]))],
            "tools": tools(), "thinking": enabled})
    };
    accepted(history(json!([thinking, call])));
    let invalid = "messages.1.content.0: Invalid `signature` in `thinking` block";
    let mut altered = thinking.clone();
    altered["thinking"] = json!("Something else.");
    refused(history(json!([altered, call])), invalid);
    let foreign = json!({"type": "thinking", "thinking": "Call it.", "signature": "EqQB"});
    refused(history(json!([foreign, call])), invalid);
    refused(on("claude-opus-4-5", history(json!([thinking, call]))), invalid);
    refused_like(
        history(json!([call])),
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
    );
    // Without thinking the call may stand alone.
    let mut off = history(json!([tool_use(id)]));
    off.as_object_mut().unwrap().remove("thinking");
    accepted(off);
    let marked = json!({"type": "thinking", "thinking": "x", "signature": "x",
        "cache_control": {"type": "ephemeral"}});
    let extra = "messages.1.content.0.thinking.cache_control: Extra inputs are not permitted";
    refused(history(json!([marked, call])), extra);
}

#[test]
fn redacted_thinking_comes_back_only_as_it_left() {
    let said = answer("[think] [redacted]", json!({}));
    let block = said["content"][0].clone();
    assert_eq!(block["type"], "redacted_thinking");
    let history = |block: Value| json!({"messages": [user(json!("x")), assistant(json!([block, text("y")])), user(json!("z"))]});
    accepted(history(block));
    let foreign = json!({"type": "redacted_thinking", "data": "eA=="});
    let invalid = "messages.1.content.0: Invalid `data` in `redacted_thinking` block";
    told(&chat("", history(foreign)), invalid);
}
