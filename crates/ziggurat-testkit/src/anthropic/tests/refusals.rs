use http::Method;
use serde_json::{Value, json};

use super::{
    HEADERS, PNG, accepted, assistant, chat, post, post_with, refused, refused_like, result, says,
    text, told, tool_use, tools, user,
};
use crate::{anthropic::Anthropic, testing::ask};

#[track_caller]
fn messages(messages: Value, message: &str) {
    refused(json!({"messages": messages, "tools": tools()}), message);
}

/// A single user message of these blocks.
#[track_caller]
fn block(block: Value, message: &str) {
    messages(json!([user(json!([block]))]), message);
}

#[test]
fn a_key_is_required_in_either_header() {
    let vendor = Anthropic::default().key("right");
    let get = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("anthropic-version", "2023-06-01")]].concat();
        let told = ask(&vendor, Method::GET, "/v1/models", &headers, "");
        let error = told.json()["error"].clone();
        (told.status, error["type"].clone(), error["message"].clone())
    };
    let refused = |message: &str| (401, json!("authentication_error"), json!(message));
    assert_eq!(get(&[]), refused("x-api-key header is required"));
    assert_eq!(get(&[("x-api-key", "wrong")]), refused("invalid x-api-key"));
    assert_eq!(get(&[("authorization", "Bearer wrong")]), refused("Invalid bearer token"));
    assert_eq!(get(&[("x-api-key", "right")]).0, 200);
    assert_eq!(get(&[("authorization", "Bearer right")]).0, 200);
    let any = Anthropic::default();
    let oauth = [("x-api-key", "sk-ant-oat01"), ("anthropic-version", "2023-06-01")];
    assert_eq!(ask(&any, Method::GET, "/v1/models", &oauth, "").status, 401);
}

#[test]
fn a_version_is_required_and_known() {
    let body = says("hi", json!({}));
    told(
        &post_with("2024-01-01", "", &body),
        "anthropic-version: \"2024-01-01\" is not a valid version",
    );
    let headers = [HEADERS[0], HEADERS[2]];
    let answer = ask(&Anthropic::default(), Method::POST, "/v1/messages", &headers, "{}");
    told(&answer, "anthropic-version: header is required");
    assert_eq!(post_with("2026-10-21", "", &body).status, 200);
}

#[test]
fn only_known_paths_methods_and_models_are_served() {
    let vendor = Anthropic::default();
    let ask = |method, path| ask(&vendor, method, path, &HEADERS, "{}");
    let told = ask(Method::POST, "/messages");
    assert_eq!((told.status, &told.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(ask(Method::GET, "/v1/messages").status, 405);
    let told = chat("hi", json!({"model": "gpt-4o"}));
    let error = told.json()["error"].clone();
    assert_eq!((told.status, &error["message"]), (404, &json!("model: gpt-4o")));
}

#[test]
fn the_body_is_json_says_so_and_is_not_too_large() {
    let vendor = Anthropic::default();
    let ask = |headers: &[(&str, &str)], body: String| {
        ask(&vendor, Method::POST, "/v1/messages", headers, body)
    };
    assert!(ask(&HEADERS, "{".into()).events[0].contains("The request body is not valid JSON"));
    told(&ask(&HEADERS[..2], "{}".into()), "content-type: must be application/json");
    let large = ask(&HEADERS, " ".repeat((32 << 20) + 1));
    assert_eq!((large.status, &large.json()["error"]["type"]), (413, &json!("request_too_large")));
}

#[test]
fn required_fields_are_required() {
    refused(json!({"model": null}), "model: Field required");
    refused(json!({"max_tokens": null}), "max_tokens: Field required");
    refused(json!({"messages": null}), "messages: Field required");
    refused(json!({"messages": []}), "messages: at least one message is required");
    refused(json!({"max_tokens": -1}), "max_tokens: Input should be greater than or equal to 0");
    refused(json!({"max_tokens": "9"}), "max_tokens: Input should be a valid integer");
    let most = "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens \
                for claude-sonnet-4-5";
    refused(json!({"max_tokens": 64001}), most);
}

#[test]
fn extra_fields_are_refused_at_every_level() {
    let extra = |path: &str| format!("{path}: Extra inputs are not permitted");
    for name in ["n", "seed", "response_format", "anthropic_version", "mcp_servers"] {
        refused(json!({name: 1}), &extra(name));
    }
    let named = json!({"role": "user", "content": "x", "name": "bob"});
    messages(json!([named]), &extra("messages.0.name"));
    block(json!({"type": "text", "text": "x", "id": 1}), &extra("messages.0.content.0.text.id"));
    let tool = json!({"name": "f", "input_schema": {"type": "object"}, "parameters": {}});
    refused(json!({"tools": [tool]}), &extra("tools.0.custom.parameters"));
    refused(json!({"metadata": {"team": "x"}}), &extra("metadata.team"));
    refused(json!({"output_config": {"verbosity": "low"}}), &extra("output_config.verbosity"));
    let beta = says("hi", json!({"mcp_servers": []}));
    assert_eq!(post_with("2023-06-01", "mcp-client-2025-04-04", &beta).status, 200);
}

#[test]
fn counting_takes_no_sampling() {
    let count = |body: &Value| {
        let path = "/v1/messages/count_tokens";
        ask(&Anthropic::default(), Method::POST, path, &HEADERS, body.to_string())
    };
    let told_of = count(&says("one two three", json!({"max_tokens": null})));
    assert_eq!(told_of.json(), json!({"input_tokens": 3}));
    told(&count(&says("x", json!({}))), "max_tokens: Extra inputs are not permitted");
}

#[test]
fn roles_and_contents_have_shape() {
    let roles = "messages.0.role: Input should be 'user' or 'assistant'";
    messages(json!([{"role": "tool", "content": "x"}]), roles);
    messages(json!([{"role": "user"}]), "messages.0.content: Field required");
    messages(json!([user(json!(1))]), "messages.0.content: Input should be a valid list");
    let empty = "messages.0: all messages must have non-empty content except for the optional \
                 final assistant message";
    messages(json!([user(json!(""))]), empty);
    messages(json!([user(json!([]))]), empty);
    messages(
        json!([user(json!(" \n"))]),
        "messages: text content blocks must contain non-whitespace text",
    );
    block(text(""), "messages: text content blocks must be non-empty");
    block(text(" "), "messages: text content blocks must contain non-whitespace text");
    accepted(json!({"messages": [user(json!("x")), assistant(json!(""))]}));
    let first = json!([assistant(json!("x")), user(json!("y"))]);
    messages(first.clone(), "messages: first message must use the \"user\" role");
    accepted(json!({"model": "claude-opus-5", "messages": first}));
    let system = json!([{"type": "text", "text": ""}]);
    refused(json!({"system": system}), "system: text content blocks must be non-empty");
}

#[test]
fn blocks_have_known_types_and_a_home() {
    refused_like(
        json!({"messages": [user(json!([{"type": "image_url", "image_url": {}}]))]}),
        "messages.0.content.0: Input tag 'image_url' found using 'type' does not match any of the \
         expected tags: 'text', 'image'",
    );
    block(
        tool_use("a"),
        "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages",
    );
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://a.test/b"}});
    let home = "messages.1.content.0: `image` blocks can only be in `user` messages";
    messages(json!([user(json!("x")), assistant(json!([image])), user(json!("y"))]), home);
}

#[test]
fn media_are_looked_at() {
    let image = |source: Value| json!({"type": "image", "source": source});
    let base64 =
        |mime: &str, data: &str| image(json!({"type": "base64", "media_type": mime, "data": data}));
    let path = "messages.0.content.0.image.source";
    accepted(json!({"messages": [user(json!([base64("image/png", PNG)]))]}));
    let types = "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'";
    block(base64("image/bmp", PNG), &format!("{path}.base64.media_type: {types}"));
    block(base64("image/png", "*"), &format!("{path}.base64.data: Input should be valid base64"));
    block(base64("image/png", "aGVsbG8="), "Could not process image");
    let wrong = "The image was specified using the image/jpeg media type, but the image appears to \
                 be a image/png image";
    block(base64("image/jpeg", PNG), &format!("{path}.base64: {wrong}"));
    let http = image(json!({"type": "url", "url": "http://a.test/b.png"}));
    block(http, &format!("{path}.url.url: Only HTTPS URLs are supported."));
    let tag = "Input tag 's3' found using 'type' does not match any of the expected tags: \
               'base64', 'url', 'file'";
    block(image(json!({"type": "s3"})), &format!("{path}: {tag}"));
    let pdf = |data: &str| json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}});
    accepted(json!({"messages": [user(json!([pdf("JVBERi0=")]))]}));
    block(pdf("aGVsbG8="), "The PDF specified was not valid.");
    let plain = json!({"type": "document", "source": {"type": "text", "media_type": "text/html", "data": "x"}});
    block(
        plain,
        "messages.0.content.0.document.source.text.media_type: Input should be 'text/plain'",
    );
}

#[test]
fn every_call_is_answered_in_the_next_message_before_text() {
    let called = assistant(json!([tool_use("a"), tool_use("b")]));
    let say = user(json!("x"));
    let fine = json!([say, called, user(json!([result("b"), result("a"), text("go on")]))]);
    accepted(json!({"messages": fine, "tools": tools()}));
    let unanswered = |ids: &str| {
        format!(
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: \
             {ids}. Each `tool_use` block must have a corresponding `tool_result` block in the \
             next message."
        )
    };
    messages(json!([say, called, user(json!([result("a")]))]), &unanswered("b"));
    messages(json!([say, called, say]), &unanswered("a, b"));
    messages(json!([say, called]), &unanswered("a, b"));
    let split = json!([say, called, user(json!([result("a")])), user(json!([result("b")]))]);
    messages(split, &unanswered("b"));
    let after_text = json!([say, called, user(json!([result("a"), text("x"), result("b")]))]);
    messages(after_text, &unanswered("b"));
    let orphan = "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: z. \
                  Each `tool_result` block must have a corresponding `tool_use` block in the \
                  previous message.";
    block(result("z"), orphan);
    let twice = json!([say, called, user(json!([result("a"), result("a"), result("b")]))]);
    messages(
        twice,
        "messages.2.content.1: each tool_use must have a single result. Found multiple \
                     `tool_result` blocks with id: a",
    );
    let again =
        json!([say, assistant(json!([tool_use("a"), tool_use("a")])), user(json!([result("a")]))]);
    messages(again, "messages: `tool_use` ids must be unique");
}

#[test]
fn calls_in_history_have_shape_and_tools() {
    let call = |block: Value| {
        json!([user(json!("x")), assistant(json!([block])), user(json!([result("a")]))])
    };
    let path = "messages.1.content.0.tool_use";
    let pattern = "String should match pattern '^[a-zA-Z0-9_-]+$'";
    messages(call(tool_use("a:b")), &format!("{path}.id: {pattern}"));
    let text = json!({"type": "tool_use", "id": "a", "name": "f", "input": "{}"});
    messages(call(text), &format!("{path}.input: Input should be a valid dictionary"));
    let none = json!({"type": "tool_use", "id": "a", "name": "f"});
    messages(call(none), &format!("{path}.input: Field required"));
    let message = "Requests which include `tool_use` or `tool_result` blocks must define tools";
    refused(json!({"messages": call(tool_use("a"))}), message);
}

#[test]
fn tools_have_shape() {
    let tool = |more: Value| {
        let mut tool = json!({"name": "f", "input_schema": {"type": "object"}});
        for (name, value) in more.as_object().unwrap() {
            tool[name] = value.clone();
        }
        tool.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({"tools": [tool]})
    };
    let at = |what: &str| format!("tools.0.custom.{what}");
    let name = "name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";
    refused(tool(json!({"name": "a.b"})), &at(name));
    refused(tool(json!({"input_schema": null})), &at("input_schema: Field required"));
    refused(tool(json!({"input_schema": {}})), &at("input_schema.type: Field required"));
    let array = json!({"input_schema": {"type": "array"}});
    refused(tool(array), &at("input_schema.type: Input should be 'object'"));
    let any = json!({"input_schema": {"type": "object", "anyOf": []}});
    let root =
        "input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level";
    refused(tool(any), &at(root));
    let broken = json!({"input_schema": {"type": "object", "properties": {"a": {"type": "str"}}}});
    refused_like(tool(broken), &at("input_schema: JSON schema is invalid."));
    let strict = json!({"strict": true});
    refused_like(tool(strict), &at("input_schema: For 'object' type, 'additionalProperties'"));
    let twice = json!([{"name": "f", "input_schema": {"type": "object"}}, {"name": "f", "input_schema": {"type": "object"}}]);
    refused(json!({"tools": twice}), "tools: Tool names must be unique.");
    let function = tool(json!({"type": "function"}));
    refused_like(function, "tools.0: Input tag 'function' found using 'type'");
    accepted(json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}));
}

#[test]
fn a_choice_of_tools_has_shape_and_needs_tools() {
    let choice = |choice: Value| json!({"tools": tools(), "tool_choice": choice});
    let tags = "tool_choice: Input tag 'required' found using 'type' does not match any of the \
                expected tags: 'auto', 'any', 'tool', 'none'";
    refused(choice(json!({"type": "required"})), tags);
    refused(choice(json!("auto")), "tool_choice: Input should be a valid dictionary");
    refused(choice(json!({"type": "tool"})), "tool_choice.tool.name: Field required");
    let absent = "tool_choice: Tool 'x' not found in provided tools";
    refused(choice(json!({"type": "tool", "name": "x"})), absent);
    let none = choice(json!({"type": "none", "disable_parallel_tool_use": true}));
    refused(none, "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted");
    let alone = "tool_choice: tool_choice may only be specified while providing tools.";
    refused(json!({"tool_choice": {"type": "auto"}}), alone);
}

#[test]
fn cache_marks_are_few_and_in_order() {
    let mark = |ttl: Value| json!({"type": "ephemeral", "ttl": ttl});
    let marked =
        |ttl: &str| json!({"type": "text", "text": "x", "cache_control": mark(json!(ttl))});
    let many = |count: usize| json!({"messages": [user(Value::from(vec![marked("5m"); count]))]});
    accepted(many(4));
    refused(many(5), "A maximum of 4 blocks with cache_control may be provided. Found 5.");
    let mut four = many(4);
    four["system"] = json!([marked("5m")]);
    refused(four, "A maximum of 4 blocks with cache_control may be provided. Found 5.");
    accepted(json!({"system": [marked("1h")], "messages": [user(json!([marked("5m")]))]}));
    let late = json!({"system": [marked("5m")], "messages": [user(json!([marked("1h")]))]});
    refused_like(
        late,
        "messages.0.content.0.text.cache_control.ttl: a ttl='1h' cache_control block",
    );
    let ttl = "messages.0.content.0.text.cache_control.ttl: Input should be '5m' or '1h'";
    block(marked("2h"), ttl);
    let kind = json!({"type": "text", "text": "x", "cache_control": {"type": "forever"}});
    block(kind, "messages.0.content.0.text.cache_control.type: Input should be 'ephemeral'");
    let mut nested = result("a");
    nested["content"] = json!([marked("5m"), marked("5m"), marked("5m")]);
    nested["cache_control"] = mark(json!("5m"));
    let loop_ = json!([
        user(json!([marked("5m")])),
        assistant(json!([tool_use("a")])),
        user(json!([nested]))
    ]);
    messages(loop_, "A maximum of 4 blocks with cache_control may be provided. Found 5.");
}

#[test]
fn the_rest_has_shape_too() {
    let blank = "stop_sequences: each stop sequence must contain non-whitespace";
    refused(json!({"stop_sequences": ["END", "\n"]}), blank);
    refused(json!({"stop_sequences": "END"}), "stop_sequences: Input should be a valid list");
    refused(json!({"stream": "yes"}), "stream: Input should be a valid boolean");
    let long = "metadata.user_id: String should have at most 256 characters";
    refused(json!({"metadata": {"user_id": "x".repeat(257)}}), long);
    let tier = "service_tier: Input should be 'auto' or 'standard_only'";
    refused(json!({"service_tier": "flex"}), tier);
    refused(json!({"top_k": -1}), "top_k: Input should be greater than or equal to 0");
    refused(json!({"temperature": 1.5}), "temperature: Input should be less than or equal to 1");
    refused(json!({"temperature": "1"}), "temperature: Input should be a valid number");
}

#[test]
fn structured_output_keeps_to_its_subset() {
    let schema = |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let of = |property: Value| {
        schema(
            json!({"type": "object", "properties": {"a": property}, "additionalProperties": false}),
        )
    };
    let path = "output_config.format.schema";
    accepted(of(json!({"type": "string", "format": "uri"})));
    let open = format!(
        "{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    );
    refused(schema(json!({"type": "object", "properties": {}})), &open);
    refused(of(json!({"type": "object", "properties": {}})), &open);
    for (property, what) in [
        (
            json!({"type": "integer", "minimum": 1}),
            "For 'integer' type, property 'minimum' is not supported",
        ),
        (
            json!({"type": "string", "maxLength": 1}),
            "For 'string' type, property 'maxLength' is not supported",
        ),
        (
            json!({"oneOf": [{"type": "string"}]}),
            "For 'any' type, property 'oneOf' is not supported",
        ),
        (
            json!({"type": "array", "minItems": 2}),
            "For 'array' type, 'minItems' values other than 0 or 1 are not supported",
        ),
        (
            json!({"type": "string", "format": "regex"}),
            "For 'string' type, format 'regex' is not supported",
        ),
        (
            json!({"type": "string", "pattern": "(?=x)"}),
            "For 'string' type, pattern '(?=x)' is not supported",
        ),
        (json!({"$ref": "#"}), "Recursive schemas are not supported."),
    ] {
        refused(of(property), &format!("{path}: {what}"));
    }
    let two = json!({"type": "object", "additionalProperties": false,
        "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"type": "string"}}});
    accepted(schema(two));
    let cited = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    let mut body = of(json!({"type": "string"}));
    body["messages"] = json!([user(json!([cited]))]);
    refused(body, "output_config.format: may not be used together with citations");
}

#[test]
fn the_newer_version_is_stricter() {
    let post = |body: Value| post_with("2026-10-21", "", &says("hi", body));
    for name in ["temperature", "top_p", "top_k"] {
        told(&post(json!({name: 1})), &format!("{name}: Extra inputs are not permitted"));
    }
    let source = json!({"type": "text", "media_type": "text/plain", "data": "x"});
    let document = json!({"type": "document", "source": source});
    let history = json!([user(json!("x")), assistant(json!([document])), user(json!("y"))]);
    let home = "messages.1.content.0: `document` blocks can only be in `user` messages";
    told(&post(json!({"messages": history})), home);
    assert_eq!(super::post(&says("", json!({"messages": history}))).status, 200);
    let cites = json!({"type": "text", "text": "x", "citations": [{"type": "char_location"}]});
    let cites = json!({"messages": [user(json!([cites]))]});
    let message =
        "messages.0.content.0.text.citations: citations are not permitted in user messages";
    told(&post(cites.clone()), message);
    assert_eq!(super::post(&says("", cites)).status, 200);
}

#[test]
fn the_shared_fixture_of_a_tool_loop_is_accepted() {
    let body = json!({
        "model": "claude-sonnet-4-6", "max_tokens": 512, "temperature": 0.5,
        "stop_sequences": ["END"], "system": "You are terse.",
        "messages": [
            user(json!("Weather and time in Oslo?")),
            assistant(json!([text("Checking."), tool_use("call_A1"), tool_use("call_B2")])),
            user(json!([result("call_A1"), {"type": "tool_result", "tool_use_id": "call_B2",
                "is_error": true, "content": "timeout"}, text("Go on.")])),
        ],
        "tools": tools(), "tool_choice": {"type": "auto"},
    });
    let told = post(&body);
    assert_eq!(told.status, 200, "{}", told.events[0]);
    let said = "The tool said: noon\nThe tool failed: timeout\nYou said: Go on.";
    assert_eq!(told.json()["content"][0]["text"], said);
}
