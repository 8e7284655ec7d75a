//! The vendor asked without a socket.

use http::Method;
use serde_json::{Value, json};

use super::{Gemini, signature::sign};
use crate::testing::{Told, ask};

const HEADERS: [(&str, &str); 1] = [("x-goog-api-key", "AIza-test")];

fn post(target: &str, body: &Value) -> Told {
    ask(&Gemini::default(), Method::POST, target, &HEADERS, body.to_string())
}

/// Asks a model of the third generation, with more members.
fn says(text: &str, more: &Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn answer(text: &str, more: &Value) -> Value {
    let told = post("/v1beta/models/gemini-3.5-flash:generateContent", &says(text, more));
    assert_eq!(told.status, 200, "{}", told.events[0]);
    told.json()
}

/// Asserts that a model refuses a request in words that begin like this.
#[track_caller]
fn refused(model: &str, more: &Value, start: &str) {
    let told = post(&format!("/v1beta/models/{model}:generateContent"), &says("hi", more));
    let body = told.json();
    assert_eq!(
        (told.status, &body["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT")),
        "{body}"
    );
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(start), "{message}");
}

#[track_caller]
fn accepted(model: &str, more: &Value) {
    let told = post(&format!("/v1beta/models/{model}:generateContent"), &says("hi", more));
    assert_eq!(told.status, 200, "{}", told.events[0]);
}

fn tools() -> Value {
    json!([{"functionDeclarations": [
        {"name": "get_weather", "parametersJsonSchema":
            {"type": "object", "properties": {"city": {"type": "string"}}}},
        {"name": "get_time"},
    ]}])
}

fn history(signature: Option<&str>, responses: &[&str]) -> Value {
    let mut call = json!({"functionCall": {"name": "get_time", "args": {}}});
    if let Some(signature) = signature {
        call["thoughtSignature"] = json!(signature);
    }
    let second = json!({"functionCall": {"name": "get_weather", "args": {}}});
    let answers: Vec<_> = responses
        .iter()
        .map(|name| json!({"functionResponse": {"name": name, "response": {"output": "noon"}}}))
        .collect();
    json!({"tools": tools(), "contents": [
        {"role": "user", "parts": [{"text": "When?"}]},
        {"role": "model", "parts": [call, second]},
        {"role": "user", "parts": answers},
    ]})
}

#[test]
fn plain_text_is_answered_in_the_vendors_shape() {
    let told = post("/v1/models/gemini-2.0-flash:generateContent", &says("hi you", &json!({})));
    let expected = concat!(
        r#"{"candidates":[{"content":{"parts":[{"text":"You said: hi you"}],"role":"model"},"#,
        r#""finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":2,"#,
        r#""candidatesTokenCount":4,"totalTokenCount":6,"promptTokensDetails":[{"#,
        r#""modality":"TEXT","tokenCount":2}]},"modelVersion":"gemini-2.0-flash","#,
    );
    assert!(told.events[0].starts_with(expected), "{}", told.events[0]);
}

#[test]
fn streams_are_events_without_an_end_or_one_array() {
    let body = says("hi", &json!({}));
    let events = post("/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse", &body);
    assert!(events.events.iter().all(|event| event.ends_with("}\r\n\r\n")), "{:?}", events.events);
    let data = events.data();
    let array = post("/v1beta/models/gemini-3-pro:streamGenerateContent", &body);
    assert_eq!(array.header("content-type"), "application/json");
    let array: Vec<Value> = serde_json::from_str(&array.events.concat()).unwrap();
    assert_eq!(array, data);
    let text = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].clone();
    assert_eq!(data.iter().map(text).collect::<Vec<_>>(), ["You", " said:", " hi"]);
    assert_eq!(data[0]["candidates"][0].get("finishReason"), None);
    assert_eq!(data[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(data[2]["usageMetadata"]["totalTokenCount"], 4);
    let broken = post(
        "/v1beta/models/gemini-3-pro:streamGenerateContent",
        &says("[midstream-error] a b c", &json!({})),
    );
    let broken: Vec<Value> = serde_json::from_str(&broken.events.concat()).unwrap();
    assert_eq!((broken.len(), &broken[2]["error"]["status"]), (3, &json!("UNAVAILABLE")));
}

#[test]
fn calls_are_whole_signed_once_and_no_reason_to_end() {
    let said = answer("[tools2] city=Oslo", &json!({"tools": tools()}));
    let candidate = &said["candidates"][0];
    assert_eq!(candidate["finishReason"], "STOP");
    let parts = candidate["content"]["parts"].as_array().unwrap();
    assert_eq!(parts[0]["functionCall"]["args"], json!({"city": "Oslo"}));
    assert!(parts[0]["functionCall"]["id"].is_string() && parts[0]["thoughtSignature"].is_string());
    assert_eq!((parts.len(), parts[1].get("thoughtSignature")), (2, None));
    let any =
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}});
    let said = answer("hi", &json!({"tools": tools(), "tool_config": any}));
    assert_eq!(said["candidates"][0]["content"]["parts"][0]["functionCall"]["name"], "get_time");
}

#[test]
fn thoughts_are_shown_to_who_asks_and_counted_beside_the_answer() {
    let config = json!({"thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}});
    let said = answer("hi", &json!({"generationConfig": config}));
    let parts = &said["candidates"][0]["content"]["parts"];
    assert_eq!((&parts[0]["thought"], &parts[1]["text"]), (&json!(true), &json!("You said: hi")));
    assert!(parts[1]["thoughtSignature"].is_string());
    let usage = &said["usageMetadata"];
    assert_eq!(
        (&usage["candidatesTokenCount"], &usage["thoughtsTokenCount"]),
        (&json!(3), &json!(7))
    );
    assert_eq!(usage["totalTokenCount"], 11);
}

#[test]
fn prompts_and_answers_are_blocked() {
    let said = answer("[refuse]", &json!({}));
    assert_eq!(said["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert_eq!(said.get("candidates"), None);
    let said = answer("[filter] a b c d", &json!({}));
    assert_eq!(said["candidates"][0]["finishReason"], "SAFETY");
    let said = answer("[length] a b c d", &json!({}));
    assert_eq!(said["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[test]
fn candidates_schemas_logprobs_and_results_are_told() {
    let config = json!({"candidateCount": 2, "responseLogprobs": true, "logprobs": 2});
    let said = answer("hi", &json!({"generationConfig": config}));
    let second = &said["candidates"][1];
    assert_eq!(
        (&second["index"], second["logprobsResult"]["topCandidates"].as_array().unwrap().len()),
        (&json!(1), 5)
    );
    let config = json!({"responseMimeType": "application/json", "responseSchema":
        {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}});
    let said = answer("n=3", &json!({"generationConfig": config}));
    assert_eq!(said["candidates"][0]["content"]["parts"][0]["text"], r#"{"n":3}"#);
    let said = answer("", &history(Some(&sign("1 0")), &["get_time", "get_weather"]));
    let text = "The tool said: noon\nThe tool said: noon";
    assert_eq!(said["candidates"][0]["content"]["parts"][0]["text"], text);
}

#[test]
fn unknown_names_and_wrong_types_are_refused_where_they_stand() {
    let name = "Invalid JSON payload received. Unknown name";
    let model = "gemini-2.5-flash";
    refused(model, &json!({"stream": true}), &format!("{name} \"stream\": Cannot find field."));
    let config = json!({"generation_config": {"top_x": 1}});
    refused(model, &config, &format!("{name} \"top_x\" at 'generation_config': Cannot find"));
    let part = json!({"contents": [{"parts": [{"text": "a", "cache_control": {}}]}]});
    refused(model, &part, &format!("{name} \"cache_control\" at 'contents[0].parts[0]': Cannot"));
    let config = json!({"generationConfig": {"maxOutputTokens": 1.5}});
    refused(
        model,
        &config,
        "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), 1.5",
    );
    let setting = json!({"safetySettings": [{"category": "X", "threshold": "OFF"}]});
    refused(model, &setting, "Invalid value at 'safety_settings[0].category' (TYPE_ENUM), \"X\"");
    let data = json!({"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "?"}}]}]});
    refused(
        model,
        &data,
        "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64",
    );
    accepted(
        model,
        &json!({"system_instruction": {"parts": [{"text": "Be terse."}]}, "labels": null}),
    );
}

#[test]
fn contents_are_refused_that_are_out_of_order() {
    let model = "gemini-3.5-flash";
    refused(model, &json!({"contents": []}), "* GenerateContentRequest.contents: contents is not");
    let role = json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]});
    refused(model, &role, "Please use a valid role: user, model.");
    let empty = json!({"contents": [{"role": "user", "parts": []}]});
    refused(model, &empty, "* GenerateContentRequest.contents[0].parts: contents.parts must not");
    let none = json!({"contents": [{"role": "user", "parts": [{}]}]});
    refused(model, &none, "* GenerateContentRequest.contents[0].parts[0].data: required oneof");
    let two = json!({"contents": [{"role": "user", "parts": [{"text": "a", "fileData": {}}]}]});
    refused(model, &two, "Invalid value at 'contents[0].parts[0]' (oneof)");
    let known = sign("1 0");
    let few = history(Some(&known), &["get_time"]);
    refused(model, &few, "Please ensure that the number of function response parts is equal");
    let turned = history(Some(&known), &["get_weather", "get_time"]);
    refused(model, &turned, "Please ensure that function responses are in the order");
    let both = ["get_time", "get_weather"];
    refused(model, &history(None, &both), "Function call is missing a thought_signature");
    refused(model, &history(Some("AAAA"), &both), "Corrupted thought signature.");
    accepted(model, &history(Some("skip_thought_signature_validator"), &both));
    accepted("gemini-2.5-flash", &history(None, &both));
    let mut ids = history(None, &both);
    ids["contents"][1]["parts"][0]["functionCall"]["id"] = json!("a");
    let told = "Invalid JSON payload received. Unknown name \"id\" at 'contents[1].parts[0].function_call'";
    refused("gemini-2.5-flash", &ids, told);
}

#[test]
fn models_take_what_is_theirs() {
    let thinking = |config: Value| json!({"generationConfig": {"thinkingConfig": config}});
    let budget = |tokens: i64| thinking(json!({"thinkingBudget": tokens}));
    refused("gemini-2.5-pro", &budget(0), "Budget 0 is invalid.");
    refused("gemini-2.5-pro", &budget(64), "The thinking budget 64 is invalid.");
    accepted("gemini-2.5-flash", &budget(0));
    refused("gemini-2.0-flash", &budget(0), "Thinking is not supported");
    let level = thinking(json!({"thinkingLevel": "MINIMAL"}));
    refused("gemini-2.5-flash", &level, "Thinking level is not supported");
    refused("gemini-3-pro", &level, "Thinking level MINIMAL is not supported");
    let both = thinking(json!({"thinkingBudget": 1, "thinkingLevel": "LOW"}));
    refused("gemini-3-pro", &both, "You can only set only one");
    let penalty = json!({"generationConfig": {"presencePenalty": 0.5}});
    refused("gemini-3-pro", &penalty, "Penalty is not enabled for models/gemini-3-pro");
    accepted("gemini-2.5-flash", &penalty);
    let output =
        json!({"tools": tools(), "generationConfig": {"responseMimeType": "application/json"}});
    refused("gemini-2.5-flash", &output, "Function calling with a response mime type");
    accepted("gemini-3-pro", &output);
    let mixed = json!({"tools": [tools()[0], {"googleSearch": {}}]});
    refused("gemini-2.5-flash", &mixed, "Tool use with function calling is unsupported");
    for (name, value) in [
        ("temperature", json!(2.5)),
        ("candidateCount", json!(9)),
        ("topP", json!(-1)),
        ("stopSequences", json!(["a", "b", "c", "d", "e", "f"])),
        ("logprobs", json!(2)),
    ] {
        refused(
            "gemini-3-pro",
            &json!({"generationConfig": {name: value}}),
            "* GenerateContentRequest",
        );
    }
    let most = json!({"generationConfig": {"maxOutputTokens": 8193}});
    refused("gemini-2.0-flash", &most, "Unable to submit request because it has a maxOutputTokens");
}

#[test]
fn schemas_and_declarations_are_refused_beyond_the_subset() {
    let declared = |more: Value| {
        let mut function = json!({"name": "f"});
        function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tools": [{"functionDeclarations": [function]}]})
    };
    let model = "gemini-2.5-flash";
    let at = "* GenerateContentRequest.tools[0].function_declarations[0]";
    refused(model, &declared(json!({"name": "1f"})), &format!("{at}.name: Invalid function name."));
    let json = json!({"parametersJsonSchema": {"type": "object", "const": 1}});
    refused(model, &declared(json), &format!("{at}.parameters_json_schema.const: keyword"));
    let json =
        json!({"parametersJsonSchema": {"properties": {"a": {"$ref": "#/$defs/a", "title": "A"}}}});
    refused(
        model,
        &declared(json),
        &format!("{at}.parameters_json_schema.properties.title: may not"),
    );
    let open = json!({"parameters": {"type": "OBJECT", "properties": {}}});
    refused(model, &declared(open), &format!("{at}.parameters.properties: should be non-empty"));
    let open = json!({"parameters": {"type": "OBJECT", "$ref": "x"}});
    refused(
        model,
        &declared(open),
        "Invalid JSON payload received. Unknown name \"$ref\" at 'tools[0]",
    );
    let format =
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "format": "date"}}});
    refused(
        model,
        &declared(json!({"parameters": format})),
        &format!("{at}.parameters.properties[a].format"),
    );
    let config =
        json!({"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["get_time"]}});
    refused(
        model,
        &json!({"tools": tools(), "toolConfig": config}),
        "Allowed function names can only",
    );
}

#[test]
fn keys_paths_models_and_counts_are_as_the_vendors() {
    let google = Gemini::default().key("right");
    let target = "/v1beta/models/gemini-3-pro:generateContent";
    let body = says("hi", &json!({})).to_string();
    let status = |target: &str, headers: &[(&str, &str)]| {
        let told = ask(&google, Method::POST, target, headers, body.clone());
        (told.status, told.json()["error"]["status"].as_str().map(str::to_owned))
    };
    let told = |code, name: &str| (code, Some(name.to_owned()));
    assert_eq!(status(target, &[]), told(403, "PERMISSION_DENIED"));
    assert_eq!(status(target, &[("x-goog-api-key", "wrong")]), told(400, "INVALID_ARGUMENT"));
    assert_eq!(status(target, &[("authorization", "Bearer x")]), told(401, "UNAUTHENTICATED"));
    assert_eq!(status(&format!("{target}?key=right"), &[]), (200, None));
    let right = [("x-goog-api-key", "right")];
    assert_eq!(status("/v1beta/models/gpt-5:generateContent", &right), told(404, "NOT_FOUND"));
    assert_eq!(status("/v2/models", &right), told(404, "NOT_FOUND"));
    let list = ask(&google, Method::GET, "/v1beta/models", &right, "").json();
    assert_eq!(list["models"][0]["name"], "models/gemini-2.0-flash");
    let one = ask(&google, Method::GET, "/v1beta/models/gemini-3-pro", &right, "").json();
    assert_eq!(one["outputTokenLimit"], 65_536);
    let count = "/v1beta/models/gemini-3-pro:countTokens";
    assert_eq!(post(count, &says("a b c", &json!({}))).json()["totalTokens"], 3);
    let mut whole = says("a b c", &json!({"systemInstruction": {"parts": [{"text": "d"}]}}));
    assert_eq!(post(count, &whole).status, 400, "a system text needs the whole request");
    whole["model"] = json!("models/gemini-3-pro");
    let whole = json!({"generateContentRequest": whole});
    assert_eq!(post(count, &whole).json()["totalTokens"], 4);
}

#[test]
fn errors_that_are_asked_for_tell_when_to_come_back() {
    let target = "/v1beta/models/gemini-3-pro:streamGenerateContent";
    let told = post(&format!("{target}?alt=sse"), &says("[error:429:7]", &json!({})));
    assert_eq!((told.status, told.header("retry-after")), (429, ""));
    assert_eq!(told.json()["error"]["details"][0]["retryDelay"], "7s");
    let told = post(target, &says("[error:overloaded]", &json!({})));
    assert_eq!(told.json()[0]["error"]["code"], 503, "an array was asked for");
    let told = post(&format!("{target}?alt=sse"), &says("[error:policy]", &json!({})));
    assert_eq!(told.data()[0]["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
}
