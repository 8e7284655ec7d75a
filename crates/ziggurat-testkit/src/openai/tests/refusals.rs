use http::Method;
use serde_json::{Value, json};

use super::{HEADERS, PNG, chat, post, says, tools};
use crate::{openai::OpenAi, testing::ask};

/// Asserts that the request is refused with 400, this code (none if empty), parameter and words.
#[track_caller]
fn refused(body: &Value, code: &str, param: &str, words: &str) {
    let told = post(&OpenAi::default(), body);
    let error = &told.json()["error"];
    assert_eq!(told.status, 400, "{}", told.events[0]);
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(error["code"].as_str().unwrap_or_default(), code, "{error}");
    assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    assert_eq!(error.as_object().unwrap().len(), 4, "all four keys are always there");
}

#[track_caller]
fn with(more: Value, code: &str, param: &str, words: &str) {
    refused(&says("hi", more), code, param, words);
}

#[track_caller]
fn messages(messages: Value, code: &str, param: &str, words: &str) {
    refused(&json!({"model": "gpt-4.1", "messages": messages}), code, param, words);
}

#[track_caller]
fn accepted(more: Value) {
    let told = chat("hi", more);
    assert_eq!(told.status, 200, "{}", told.events[0]);
}

#[test]
fn a_key_is_required() {
    let vendor = OpenAi::default().key("sk-right");
    let status = |headers: &[(&str, &str)]| {
        let told = ask(&vendor, Method::GET, "/v1/models", headers, "");
        (told.status, told.json()["error"]["code"].clone())
    };
    assert_eq!(status(&[]), (401, Value::Null));
    assert_eq!(status(&[("authorization", "Basic eA==")]), (401, Value::Null));
    assert_eq!(status(&[("authorization", "Bearer sk-x")]), (401, json!("invalid_api_key")));
    assert_eq!(status(&[("authorization", "Bearer sk-right")]).0, 200);
}

#[test]
fn only_known_paths_and_methods_are_served() {
    let vendor = OpenAi::default();
    let ask = |method, path| ask(&vendor, method, path, &HEADERS, "{}");
    let told = ask(Method::POST, "/chat/completions");
    assert_eq!(told.status, 404);
    assert_eq!(told.json()["error"]["message"], "Invalid URL (POST /chat/completions)");
    assert_eq!(ask(Method::DELETE, "/v1/chat/completions").status, 405);
    assert_eq!(ask(Method::GET, "/v1/models/nothing").json()["error"]["code"], "model_not_found");
}

#[test]
fn the_body_is_a_json_object_and_says_so() {
    let vendor = OpenAi::default();
    let told = ask(&vendor, Method::POST, "/v1/chat/completions", &HEADERS, "{");
    assert_eq!(told.status, 400);
    assert!(told.events[0].contains("We could not parse the JSON body"));
    let told = ask(&vendor, Method::POST, "/v1/chat/completions", &HEADERS[..1], "{}");
    assert_eq!(told.json()["error"]["code"], "unsupported_content_type");
}

#[test]
fn a_model_must_be_named_and_exist() {
    refused(&json!({"messages": []}), "", "", "you must provide a model parameter");
    let told = chat("hi", json!({"model": "gpt"}));
    assert_eq!((told.status, &told.json()["error"]["code"]), (404, &json!("model_not_found")));
    let vendor = OpenAi::default().model("my-model");
    assert_eq!(post(&vendor, &says("hi", json!({"model": "my-model"}))).status, 200);
}

#[test]
fn unknown_parameters_are_refused_at_every_level() {
    let words = "Unrecognized request argument supplied: top_k";
    with(json!({"top_k": 1}), "unknown_parameter", "top_k", words);
    let text = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let path = "messages[0].content[0].cache_control";
    messages(json!([{"role": "user", "content": [text]}]), "unknown_parameter", path, path);
    let path = "messages[0].reasoning_content";
    let message = json!({"role": "assistant", "content": "x", "reasoning_content": "y"});
    messages(json!([message]), "unknown_parameter", path, "Unknown parameter");
    let tool = json!({"type": "function", "function": {"name": "f"}, "cache_control": {}});
    with(json!({"tools": [tool]}), "unknown_parameter", "tools[0].cache_control", "Unknown");
}

#[test]
fn null_is_the_same_as_absent() {
    accepted(json!({"temperature": null, "stop": null, "tools": null, "tool_choice": null,
        "stream_options": null, "n": null, "response_format": null, "metadata": null}));
}

#[test]
fn messages_have_shape() {
    refused(&json!({"model": "gpt-4.1"}), "missing_required_parameter", "messages", "messages");
    with(json!({"messages": "hi"}), "invalid_type", "messages", "expected an array");
    messages(json!([]), "empty_array", "messages", "minimum length 1");
    messages(json!([{"content": "x"}]), "missing_required_parameter", "messages[0].role", "role");
    let roles = "Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
                 'developer'.";
    messages(json!([{"role": "bot", "content": "x"}]), "invalid_value", "messages[0].role", roles);
    let content = "messages[0].content";
    messages(json!([{"role": "user"}]), "missing_required_parameter", content, content);
    let null = json!([{"role": "user", "content": null}]);
    messages(null, "missing_required_parameter", content, content);
    let words = "expected one of a string or array of objects, but got an integer instead.";
    messages(json!([{"role": "user", "content": 1}]), "invalid_type", content, words);
    messages(json!([{"role": "user", "content": []}]), "empty_array", content, "empty array");
    let silent = json!([{"role": "assistant"}]);
    messages(silent, "missing_required_parameter", content, content);
}

#[test]
fn parts_fit_the_role() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.test/a.png"}});
    for role in ["system", "developer", "assistant"] {
        let said = json!([{"role": role, "content": [image]}]);
        messages(
            said,
            "invalid_value",
            "messages[0].content[0].type",
            "Invalid value: 'image_url'",
        );
    }
    let unknown = json!([{"role": "user", "content": [{"type": "image", "source": {}}]}]);
    messages(unknown, "invalid_value", "messages[0].content[0].type", "Invalid value: 'image'");
}

#[test]
fn media_are_looked_at() {
    let image = |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let path = "messages[0].content[0].image_url.url";
    let good = format!("data:image/png;base64,{PNG}");
    assert_eq!(chat("", json!({"messages": image(&good)})).status, 200);
    messages(image("cat.png"), "invalid_image_url", path, "Invalid image URL");
    messages(image("data:image/png,x"), "invalid_image_url", path, "base64");
    messages(image("data:text/plain;base64,eA=="), "invalid_value", path, "MIME type 'text/plain'");
    messages(image("data:image/png;base64,***"), "invalid_base64", path, "base64");
    let text = "data:image/png;base64,aGVsbG8=";
    messages(image(text), "invalid_image_format", path, "unsupported image");
    let part = |part: Value| json!([{"role": "user", "content": [part]}]);
    let sound =
        json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}});
    let path = "messages[0].content[0].input_audio";
    messages(part(sound.clone()), "invalid_value", path, "not supported with this model");
    let spoken = json!({"model": "gpt-audio", "messages": part(sound)});
    assert_eq!(post(&OpenAi::default(), &spoken).status, 200);
    let file = |file: Value| part(json!({"type": "file", "file": file}));
    let path = "messages[0].content[0].file.file_data";
    let text = file(json!({"filename": "a", "file_data": "data:text/plain;base64,eA=="}));
    messages(text, "invalid_value", path, "application/pdf");
    let named = file(json!({"file_data": "data:application/pdf;base64,JVBERi0="}));
    messages(named, "missing_required_parameter", "messages[0].content[0].file.filename", "");
    messages(
        file(json!({"file_id": "x"})),
        "invalid_value",
        "messages[0].content[0].file.file_id",
        "",
    );
}

#[test]
fn every_call_is_answered_before_anything_else() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let called = |ids: &[&str]| {
        let calls: Vec<_> = ids.iter().map(|id| call(id)).collect();
        json!({"role": "assistant", "tool_calls": calls})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let user = json!({"role": "user", "content": "x"});

    let fine = json!([called(&["a", "b"]), result("b"), result("a"), user]);
    assert_eq!(chat("", json!({"messages": fine})).status, 200);
    let orphan = "must be a response to a preceeding message with 'tool_calls'";
    messages(json!([user, result("a")]), "", "messages[1].role", orphan);
    let late = json!([called(&["a"]), result("a"), user, result("a")]);
    messages(late, "", "messages[3].role", orphan);
    let other = json!([called(&["a"]), result("z")]);
    messages(other, "", "messages[1].tool_call_id", "'z' not found in 'tool_calls'");
    let unanswered = "did not have response messages: b";
    let half = json!([called(&["a", "b"]), result("a"), user]);
    messages(half, "", "messages[2].role", unanswered);
    messages(json!([called(&["b"])]), "", "messages", unanswered);
}

#[test]
fn calls_in_history_have_shape() {
    let call = |call: Value| json!([{"role": "assistant", "tool_calls": [call]}]);
    let path = "messages[0].tool_calls[0]";
    let id = "x".repeat(41);
    let long = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": ""}});
    messages(call(long), "string_above_max_length", &format!("{path}.id"), "maximum length 40");
    let object = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}});
    let arguments = format!("{path}.function.arguments");
    messages(call(object), "invalid_type", &arguments, "expected a string, but got an object");
    let untyped = json!({"id": "a", "function": {"name": "f", "arguments": ""}});
    messages(call(untyped), "missing_required_parameter", &format!("{path}.type"), "type");
    let none = json!([{"role": "assistant", "content": "x", "tool_calls": []}]);
    messages(none, "empty_array", "messages[0].tool_calls", "empty array");
}

#[test]
fn tools_have_shape() {
    let tool = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    let name = "tools[0].function.name";
    with(tool(json!({})), "missing_required_parameter", name, "name");
    with(tool(json!({"name": "a.b"})), "invalid_value", name, "pattern '^[a-zA-Z0-9_-]+$'");
    let long = json!({"name": "a".repeat(65)});
    with(tool(long), "string_above_max_length", name, "maximum length 64");
    with(json!({"tools": []}), "empty_array", "tools", "empty array");
    let many: Vec<_> = (0..129)
        .map(|at| json!({"type": "function", "function": {"name": format!("f{at}")}}))
        .collect();
    with(json!({"tools": many}), "array_above_max_length", "tools", "maximum length 128");
    with(json!({"tools": [{"type": "web_search"}]}), "invalid_value", "tools[0].type", "'custom'");
    let path = "tools[0].function.parameters";
    let code = "invalid_function_parameters";
    with(tool(json!({"name": "f", "parameters": {}})), code, path, "got 'type: \"None\"'");
    let bare = json!({"name": "f", "parameters": {"type": "object"}});
    with(tool(bare), code, path, "object schema missing properties");
    let list = json!({"type": "object", "properties": {"a": {"type": "array"}}});
    with(tool(json!({"name": "f", "parameters": list})), code, path, "array schema missing items");
    let choice = json!({"type": "object", "properties": {}, "oneOf": []});
    with(tool(json!({"name": "f", "parameters": choice})), code, path, "'oneOf'");
    let open = json!({"type": "object", "properties": {}});
    let strict = json!({"name": "f", "strict": true, "parameters": open});
    with(tool(strict), code, path, "In context=(), 'additionalProperties' is required");
}

#[test]
fn a_choice_of_tools_needs_tools() {
    let words = "only allowed when 'tools' are specified";
    for choice in ["auto", "none", "required"] {
        with(json!({"tool_choice": choice}), "", "tool_choice", words);
    }
    with(json!({"parallel_tool_calls": true}), "", "parallel_tool_calls", words);
    with(json!({"function_call": "auto"}), "", "function_call", "'functions' are specified");
    let chosen = |choice: Value| json!({"tools": tools(), "tool_choice": choice});
    with(chosen(json!("any")), "invalid_value", "tool_choice", "'required'");
    let absent = json!({"type": "function", "function": {"name": "nothing"}});
    with(chosen(absent.clone()), "", "tool_choice", "'nothing' not found");
    let allowed = json!({"type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [absent]}});
    with(chosen(allowed), "", "tool_choice", "'nothing' not found");
    with(chosen(json!({"name": "get_time"})), "missing_required_parameter", "tool_choice.type", "");
}

#[test]
fn numbers_have_types_and_ranges() {
    for (name, value, code) in [
        ("temperature", json!(2.5), "decimal_above_max_value"),
        ("temperature", json!(-1), "decimal_below_min_value"),
        ("temperature", json!("1"), "invalid_type"),
        ("top_p", json!(1.5), "decimal_above_max_value"),
        ("presence_penalty", json!(-2.5), "decimal_below_min_value"),
        ("frequency_penalty", json!(3), "decimal_above_max_value"),
        ("n", json!(0), "integer_below_min_value"),
        ("n", json!(129), "integer_above_max_value"),
        ("n", json!(1.5), "invalid_type"),
        ("max_tokens", json!(0), "integer_below_min_value"),
        ("max_completion_tokens", json!("9"), "invalid_type"),
        ("seed", json!(1.5), "invalid_type"),
        ("stream", json!("true"), "invalid_type"),
        ("user", json!(1), "invalid_type"),
        ("store", json!(1), "invalid_type"),
        ("verbosity", json!("loud"), "invalid_value"),
        ("service_tier", json!("gold"), "invalid_value"),
        ("reasoning_effort", json!("huge"), "invalid_value"),
        ("safety_identifier", json!("x".repeat(129)), "string_above_max_length"),
        ("stop", json!(1), "invalid_type"),
        ("stop", json!(["1", "2", "3", "4", "5"]), "array_above_max_length"),
        ("modalities", json!(["text", "audio"]), "unsupported_value"),
        ("audio", json!({"voice": "alloy", "format": "wav"}), "unsupported_parameter"),
    ] {
        with(json!({name: value}), code, name, "");
    }
    let words = "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 \
                 instead.";
    with(json!({"n": 129}), "integer_above_max_value", "n", words);
    with(json!({"stop": ["a", 1]}), "invalid_type", "stop[1]", "expected a string");
    with(json!({"logit_bias": {"1": 101}}), "integer_above_max_value", "logit_bias.1", "100");
    with(json!({"logit_bias": {"x": 1}}), "invalid_value", "logit_bias.x", "token id");
    let both = json!({"max_tokens": 1, "max_completion_tokens": 1});
    with(both, "invalid_parameter_combination", "max_tokens", "at the same time");
}

#[test]
fn some_parameters_need_others() {
    let words = "only allowed when 'stream' is enabled";
    let usage = json!({"include_usage": true});
    with(json!({"stream_options": usage}), "", "stream_options", words);
    with(json!({"stream": false, "stream_options": usage}), "", "stream_options", words);
    let unknown = json!({"stream": true, "stream_options": {"x": 1}});
    with(unknown, "unknown_parameter", "stream_options.x", "Unknown parameter");
    with(json!({"top_logprobs": 2}), "", "top_logprobs", "'logprobs' is enabled");
    with(
        json!({"logprobs": true, "top_logprobs": 21}),
        "integer_above_max_value",
        "top_logprobs",
        "",
    );
}

#[test]
fn models_that_reason_take_no_sampling() {
    for (name, value, code) in [
        ("temperature", json!(0.5), "unsupported_value"),
        ("top_p", json!(0.5), "unsupported_value"),
        ("presence_penalty", json!(1), "unsupported_value"),
        ("frequency_penalty", json!(1), "unsupported_value"),
        ("logprobs", json!(true), "unsupported_parameter"),
        ("logit_bias", json!({"1": 1}), "unsupported_parameter"),
        ("max_tokens", json!(9), "unsupported_parameter"),
        ("stop", json!("x"), "unsupported_parameter"),
    ] {
        for model in ["o3", "gpt-5", "gpt-5.6-terra", "gpt-6-sol"] {
            with(json!({"model": model, name: value}), code, name, "with this model");
        }
        accepted(json!({"model": "gpt-5-chat-latest", name: value}));
    }
    accepted(json!({"model": "gpt-5", "temperature": 1, "top_p": 1.0, "presence_penalty": 0}));
    accepted(json!({"model": "gpt-5.6", "reasoning_effort": "none", "temperature": 0.5}));
    let six = json!({"model": "gpt-6-sol", "reasoning_effort": "none", "temperature": 0.5});
    with(six, "unsupported_value", "temperature", "Only the default (1) value is supported.");
    let hint = "Use 'max_completion_tokens' instead.";
    with(json!({"model": "o3", "max_tokens": 1}), "unsupported_parameter", "max_tokens", hint);
}

#[test]
fn models_take_their_own_efforts() {
    let effort = |model: &str, effort: &str| json!({"model": model, "reasoning_effort": effort});
    let name = "reasoning_effort";
    with(effort("gpt-4.1", "low"), "unsupported_parameter", name, "not supported");
    with(effort("o3", "minimal"), "unsupported_value", name, "'low', 'medium', and 'high'");
    with(effort("gpt-6-astra", "none"), "unsupported_value", name, "does not support 'none'");
    accepted(effort("gpt-6-sol", "none"));
    accepted(effort("gpt-5", "minimal"));
    let cache = json!({"mode": "explicit"});
    let name = "prompt_cache_options";
    with(json!({name: cache}), "unsupported_parameter", name, "with this model");
    accepted(json!({"model": "gpt-5.6", name: cache}));
    let name = "prompt_cache_retention";
    with(json!({"model": "gpt-6-sol", name: "24h"}), "unsupported_parameter", name, "");
    accepted(json!({name: "24h"}));
}

#[test]
fn response_formats_keep_their_rules() {
    let format = |format: Value| json!({"response_format": format});
    let words = "must contain the word 'json'";
    with(format(json!({"type": "json_object"})), "", "messages", words);
    let said = chat("answer in JSON", format(json!({"type": "json_object"})));
    assert_eq!(said.status, 200);
    with(format(json!({"type": "xml"})), "invalid_value", "response_format.type", "'json_schema'");
    let schema = |strict: bool, schema: Value| {
        format(json!({"type": "json_schema",
            "json_schema": {"name": "out", "strict": strict, "schema": schema}}))
    };
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    accepted(schema(false, open.clone()));
    let words = "Invalid schema for response_format 'out': In context=(), 'additionalProperties' \
                 is required to be supplied and to be false.";
    with(schema(true, open), "", "response_format", words);
    let strict = |properties: Value, required: Value| {
        schema(
            true,
            json!({"type": "object", "properties": properties, "required": required,
            "additionalProperties": false}),
        )
    };
    let text = json!({"type": "string"});
    accepted(strict(json!({"a": text}), json!(["a"])));
    with(strict(json!({"a": text}), json!([])), "", "response_format", "Missing 'a'");
    for (bad, words) in [
        (json!({"type": "object", "properties": {}}), "context=('properties', 'a')"),
        (json!({"oneOf": [text]}), "'oneOf' is not permitted"),
        (json!({"allOf": [text]}), "'allOf' is not permitted"),
        (json!({"type": "string", "default": "x"}), "'default' is not permitted"),
        (json!({"type": "string", "format": "uri"}), "'uri' is not a valid format"),
        (json!({"description": "x"}), "schema must have a 'type' key"),
    ] {
        with(strict(json!({"a": bad}), json!(["a"])), "", "response_format", words);
    }
    with(schema(true, json!({"type": "array"})), "", "response_format", "got 'type: \"array\"'");
    let unnamed = format(json!({"type": "json_schema", "json_schema": {"schema": {}}}));
    let path = "response_format.json_schema.name";
    with(unnamed, "missing_required_parameter", path, path);
}

#[test]
fn metadata_is_small() {
    let many: Value = (0..17).map(|at| (at.to_string(), json!("x"))).collect();
    with(json!({"metadata": many}), "object_above_max_properties", "metadata", "at most 16");
    let long = json!({"metadata": {"k": "x".repeat(513)}});
    with(long, "string_above_max_length", "metadata.k", "maximum length 512");
    with(json!({"metadata": {"k": 1}}), "invalid_type", "metadata.k", "expected a string");
    let key = "k".repeat(65);
    with(json!({"metadata": {key: "x"}}), "property_name_above_max_length", "metadata", "64");
}
