use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{LossPolicy, Prepared};

use super::*;
use crate::OPENAI;

/// The request as it goes to a provider with these quirks, and what was lost.
fn under(
    policy: LossPolicy,
    quirks: Value,
    request: &Value,
) -> Result<(Value, Vec<String>), Error> {
    let quirks: Quirks = serde_json::from_value(quirks).unwrap();
    let body = Bytes::from(request.to_string());
    let mut payload = Payload::wire(OPENAI, Operation::Chat, body).unwrap();
    let mut losses = Losses::under(policy);
    let mut prepared = Prepared::default();
    quirks.apply(&mut payload, &mut prepared, Names::OpenAi, &mut losses)?;
    let sent: Vec<u8> = payload.segments().unwrap().into_iter().flatten().collect();
    let told = losses.found().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&sent).unwrap(), told))
}

fn fitted(quirks: Value, request: &Value) -> (Value, Vec<String>) {
    under(LossPolicy::Default, quirks, request).unwrap()
}

fn messages(quirks: Value, messages: &Value) -> (Value, Vec<String>) {
    let (sent, losses) = fitted(quirks, &json!({"messages": messages}));
    (sent["messages"].clone(), losses)
}

#[test]
fn without_quirks_nothing_changes() {
    let body = json!({"messages": [{"role": "developer", "content": null}], "new": 1});
    assert_eq!(fitted(json!({}), &body), (body, vec![]));
    assert!(Quirks::default().is_empty());
    assert!(serde_json::from_str::<Quirks>(r#"{"flatten": true}"#).is_err());
}

#[test]
fn the_bound_has_the_providers_name() {
    let old = json!({"max_tokens_name": "max_tokens"});
    let both = json!({"max_completion_tokens": 5});
    assert_eq!(fitted(old.clone(), &both).0, json!({"max_tokens": 5}));
    assert_eq!(fitted(old, &json!({"max_tokens": 7})).0, json!({"max_tokens": 7}));
    let new = json!({"max_tokens_name": "max_completion_tokens"});
    assert_eq!(fitted(new, &json!({"max_tokens": 5})).0, json!({"max_completion_tokens": 5}));
}

#[test]
fn options_of_the_stream_go_where_they_are_not_taken() {
    let body = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (sent, losses) = fitted(json!({"no_stream_usage": true}), &body);
    assert_eq!((sent, losses.len()), (json!({"stream": true}), 0));
}

#[test]
fn what_is_not_taken_is_dropped_and_told_or_refused() {
    let quirks = || json!({"drop": ["user", "n", "logprobs"]});
    let (sent, losses) = fitted(quirks(), &json!({"user": "u", "n": 1, "logprobs": false}));
    assert_eq!(sent, json!({}));
    assert_eq!(losses, ["user=dropped", "n=dropped", "logprobs=dropped"]);
    let error = under(LossPolicy::Default, quirks(), &json!({"n": 3})).unwrap_err();
    assert_eq!(error.param(), Some("n"));
    let (sent, losses) = under(LossPolicy::Allow, quirks(), &json!({"n": 3})).unwrap();
    assert_eq!((sent, losses), (json!({}), vec!["n=dropped".to_owned()]));
    let tools = json!({"tools": [{}]});
    under(LossPolicy::Allow, json!({"drop": ["tools"]}), &tools).unwrap_err();
}

#[test]
fn parameters_are_renamed_set_and_held_in_bounds() {
    let quirks = json!({
        "rename": {"seed": "random_seed"},
        "clamp": {"temperature": [0, 1]},
        "set": {"store": false},
        "default": {"usage": {"include": true}},
    });
    let (sent, losses) = fitted(quirks, &json!({"seed": 7, "temperature": 1.5, "store": true}));
    let usage = json!({"include": true});
    assert_eq!(sent, json!({"random_seed": 7, "temperature": 1.0, "store": false, "usage": usage}));
    assert_eq!(losses, ["temperature=clamped"]);
}

#[test]
fn a_temperature_of_nothing_goes_with_everything() {
    let quirks = || json!({"greedy_top_p": true});
    let (sent, losses) = fitted(quirks(), &json!({"temperature": 0, "top_p": 0.9}));
    assert_eq!(sent, json!({"temperature": 0, "top_p": 1}));
    assert_eq!(losses, ["top_p=clamped"]);
    let warm = json!({"temperature": 0.5, "top_p": 0.9});
    assert_eq!(fitted(quirks(), &warm).0, warm);
}

#[test]
fn only_so_many_stop_texts_are_taken() {
    let quirks = || json!({"most_stops": 1});
    let body = json!({"stop": ["a", "b"]});
    under(LossPolicy::Default, quirks(), &body).unwrap_err();
    let (sent, losses) = under(LossPolicy::Allow, quirks(), &body).unwrap();
    assert_eq!((sent, losses), (json!({"stop": ["a"]}), vec!["stop=dropped".to_owned()]));
    assert_eq!(fitted(quirks(), &json!({"stop": ["a"]})).1, Vec::<String>::new());
}

#[test]
fn a_tool_is_forced_in_the_providers_words() {
    let any = fitted(json!({"tool_choice_any": true}), &json!({"tool_choice": "required"}));
    assert_eq!(any, (json!({"tool_choice": "any"}), vec![]));
    let few = || json!({"tool_choices": ["auto"]});
    under(LossPolicy::Default, few(), &json!({"tool_choice": "required"})).unwrap_err();
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "f"}}});
    let (sent, losses) = under(LossPolicy::Allow, few(), &named).unwrap();
    assert_eq!((sent, losses), (json!({}), vec!["tool_choice=dropped".to_owned()]));
    // Nobody may call a tool who was told not to.
    let none = fitted(few(), &json!({"tool_choice": "none", "tools": []}));
    assert_eq!(none, (json!({}), vec!["tool_choice=emulated".to_owned()]));
    assert_eq!(fitted(few(), &json!({"tool_choice": "auto"})).1, Vec::<String>::new());
}

#[test]
fn tools_lose_what_older_servers_refuse() {
    let schema = json!({"$schema": "s", "additionalProperties": false, "type": "object",
        "properties": {"strict": {"type": "object", "additionalProperties": false}}});
    let function = json!({"name": "f", "strict": true, "parameters": schema});
    let body = json!({"tools": [{"type": "function", "function": function}]});
    let (strict, _) = fitted(json!({"no_strict": true}), &body);
    let sent = &strict["tools"][0]["function"];
    assert_eq!(sent, &json!({"name": "f", "parameters": schema}));
    let (plain, _) = fitted(json!({"plain_schemas": true}), &body);
    assert_eq!(
        plain["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {"strict": {"type": "object"}}})
    );
}

#[test]
fn texts_become_one_where_content_is_a_string() {
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let quirks = || json!({"flatten_content": true});
    let (sent, losses) = messages(quirks(), &json!([{"role": "user", "content": parts}]));
    assert_eq!(sent, json!([{"role": "user", "content": "a\nb"}]));
    assert_eq!(losses, ["messages[0].content=emulated"]);
    let picture = json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]);
    let body = json!({"messages": [{"role": "user", "content": picture}]});
    let error = under(LossPolicy::Allow, quirks(), &body).unwrap_err();
    assert_eq!(error.param(), Some("messages[0].content[0]"));
}

#[test]
fn messages_have_the_members_that_the_provider_knows() {
    let given = json!([
        {"role": "developer", "content": "d", "name": "dev"},
        {"role": "assistant", "content": null, "refusal": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "name": "f", "content": "r"},
    ]);
    let quirks = json!({"no_developer": true, "no_nulls": true, "no_names": true});
    let (sent, losses) = messages(quirks, &given);
    assert_eq!(
        sent,
        json!([
            {"role": "system", "content": "d"},
            {"role": "assistant", "tool_calls": []},
            {"role": "tool", "tool_call_id": "1", "name": "f", "content": "r"},
        ])
    );
    assert_eq!(losses, ["messages[0].name=dropped"]);
}

#[test]
fn cache_marks_go_where_they_are_not_known() {
    let mark = json!({"type": "ephemeral"});
    let part = json!({"type": "text", "text": "a", "cache_control": mark});
    let quirks = json!({"no_cache_marks": true});
    let (sent, losses) = messages(quirks, &json!([{"role": "user", "content": [part]}]));
    assert_eq!(sent, json!([{"role": "user", "content": [{"type": "text", "text": "a"}]}]));
    assert_eq!(losses, ["messages[0].content=dropped"]);
}

#[test]
fn a_call_and_its_result_have_one_short_id() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f"}});
    let given = json!([
        {"role": "assistant", "tool_calls": [call("call_1"), call("abcDEF123")]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": ""},
    ]);
    let (sent, _) = messages(json!({"short_tool_ids": true}), &given);
    let id = sent[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(sent[1]["tool_call_id"], *id);
    assert_eq!(sent[0]["tool_calls"][1]["id"], "abcDEF123");
    assert_eq!(sent[2]["tool_call_id"], "abcDEF123");
}

#[test]
fn the_assistant_has_its_say() {
    let call = json!({"role": "assistant", "tool_calls": [{"id": "1"}]});
    let tool = json!({"role": "tool", "tool_call_id": "1", "content": "r"});
    let user = json!({"role": "user", "content": "u"});
    let begun = json!({"role": "assistant", "content": "So"});
    let (sent, losses) =
        messages(json!({"answer_after_tools": true}), &json!([call, tool, user, begun]));
    assert_eq!(sent[2], json!({"role": "assistant", "content": "OK."}));
    assert_eq!(sent[3], user);
    assert_eq!(losses, ["messages=emulated"]);

    let (sent, _) = messages(json!({"prefix_last": "prefix"}), &json!([begun, user, begun]));
    assert_eq!(sent[0], begun);
    assert_eq!(sent[2], json!({"role": "assistant", "content": "So", "prefix": true}));

    let (sent, _) = messages(json!({"echo_reasoning": true}), &json!([call, begun]));
    assert_eq!(sent[0]["reasoning_content"], " ");
    assert_eq!(sent[1], begun);
}

#[test]
fn losses_are_told_in_the_callers_words() {
    let quirks: Quirks = serde_json::from_str(r#"{"drop": ["stop"]}"#).unwrap();
    let body = Bytes::from_static(br#"{"stop": ["a"]}"#);
    let mut payload = Payload::wire(OPENAI, Operation::Chat, body).unwrap();
    let error = quirks
        .apply(&mut payload, &mut Prepared::default(), Names::Anthropic, &mut Losses::default())
        .unwrap_err();
    assert_eq!(error.param(), Some("stop_sequences"));
}
