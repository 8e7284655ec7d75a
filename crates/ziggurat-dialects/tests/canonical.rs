//! Conversations that ask for the same have one canonical form, in whatever dialect and however they were written.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{Dialect, Members, Operation, Str};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

fn form_of_text(dialect: Dialect, body: String) -> Vec<u8> {
    let members = Members::parse(Str::from(body)).unwrap();
    let typed = dialect.decode_request(Operation::Chat, &members).unwrap();
    let mut form = Vec::new();
    typed.chat().unwrap().canonical(&mut |piece| form.extend_from_slice(piece));
    form
}

fn form(dialect: Dialect, body: &Value) -> Vec<u8> {
    form_of_text(dialect, body.to_string())
}

fn assert_same(openai: &Value, anthropic: &Value) {
    assert_eq!(form(OPENAI, openai), form(ANTHROPIC, anthropic), "{openai}\n{anthropic}");
}

#[test]
fn both_dialects_spell_one_conversation() {
    assert_same(
        &json!({
            "model": "m", "max_completion_tokens": 50, "temperature": 1,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello!"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": [{"type": "text", "text": "Bye."}]},
            ],
        }),
        &json!({
            "model": "m", "max_tokens": 50, "temperature": 1.0, "system": "Be brief.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello!"}]},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "Bye."},
            ],
        }),
    );
}

#[test]
fn tools_their_calls_and_their_results_are_the_same_in_both() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    assert_same(
        &json!({
            "model": "m", "max_tokens": 50,
            "tools": [{"type": "function", "function":
                {"name": "weather", "description": "Tells it", "parameters": schema}}],
            "tool_choice": "auto",
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function":
                        {"name": "weather", "arguments": "{ \"city\": \"Ur\", \"day\": 1 }"}},
                    {"id": "b", "type": "function", "function":
                        {"name": "weather", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "Sun"},
                {"role": "tool", "tool_call_id": "b", "content": "Rain"},
                {"role": "user", "content": "And tomorrow?"},
            ],
        }),
        &json!({
            "model": "m", "max_tokens": 50,
            "tools": [{"name": "weather", "description": "Tells it", "input_schema": schema}],
            "tool_choice": {"type": "auto"},
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"day": 1, "city": "Ur"}},
                    {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "Sun"},
                    {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "Rain"}]},
                    {"type": "text", "text": "And tomorrow?"},
                ]},
            ],
        }),
    );
}

#[test]
fn pictures_and_stop_texts_are_the_same_in_both() {
    assert_same(
        &json!({
            "model": "m", "max_tokens": 50, "stop": ["END"], "top_p": 0.5,
            "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
            ]}],
        }),
        &json!({
            "model": "m", "max_tokens": 50, "stop_sequences": ["END"], "top_p": 0.5,
            "messages": [{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
            ]}],
        }),
    );
}

#[test]
fn marks_for_the_providers_prompt_cache_and_labels_change_nothing() {
    let plain = json!({
        "model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}],
    });
    let mut marked = plain.clone();
    marked["system"][0]["cache_control"] = json!({"type": "ephemeral"});
    marked["messages"][0]["content"][0]["cache_control"] =
        json!({"type": "ephemeral", "ttl": "1h"});
    assert_eq!(form(ANTHROPIC, &plain), form(ANTHROPIC, &marked));
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "Hello!"}]});
    let mut labelled = plain.clone();
    labelled["metadata"] = json!({"job": "7"});
    labelled["store"] = json!(true);
    labelled["prompt_cache_key"] = json!("k");
    labelled["stream"] = json!(true);
    labelled["stream_options"] = json!({"include_usage": true});
    assert_eq!(form(OPENAI, &plain), form(OPENAI, &labelled));
}

/// The conversation, and with each of these members in turn: all have forms of their own.
fn assert_all_differ(dialect: Dialect, base: &Value, members: &[(&str, Value)]) {
    let mut seen = vec![("", form(dialect, base))];
    for (pointer, value) in members {
        let mut other = base.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match other.pointer_mut(parent).unwrap() {
            Value::Array(items) => items.push(value.clone()),
            object => object[name] = value.clone(),
        }
        let form = form(dialect, &other);
        let same = seen.iter().find(|(_, known)| *known == form);
        assert_eq!(same.map(|(known, _)| known), None, "{dialect}: {pointer} {value}");
        seen.push((pointer, form));
    }
}

#[test]
fn whatever_may_change_the_answer_changes_the_form() {
    let picture = |detail| {
        json!({"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": detail}},
        ]})
    };
    let base = json!({"model": "m", "messages": [{"role": "user", "content": "Hello!"}]});
    let function =
        |name: &str| json!([{"type": "function", "function": {"name": name, "parameters": {}}}]);
    let schema = |strict| {
        json!({"type": "json_schema", "json_schema":
            {"name": "s", "strict": strict, "schema": {"type": "object"}}})
    };
    assert_all_differ(
        OPENAI,
        &base,
        &[
            ("/messages/0/content", json!("Hello")),
            ("/messages/0/content", json!(" Hello!")),
            (
                "/messages/0/content",
                json!([{"type": "text", "text": "Hello"}, {"type": "text", "text": "!"}]),
            ),
            ("/messages/0/role", json!("system")),
            ("/messages/0/role", json!("assistant")),
            ("/messages/0/name", json!("ann")),
            ("/messages/-", json!({"role": "user", "content": "Hello!"})),
            ("/messages/-", picture("low")),
            ("/messages/-", picture("high")),
            ("/tools", function("a")),
            ("/tools", function("b")),
            ("/tool_choice", json!("none")),
            ("/tool_choice", json!("required")),
            ("/parallel_tool_calls", json!(false)),
            ("/parallel_tool_calls", json!(true)),
            ("/max_completion_tokens", json!(1)),
            ("/max_completion_tokens", json!(2)),
            ("/temperature", json!(0)),
            ("/temperature", json!(0.5)),
            ("/top_p", json!(0.5)),
            ("/frequency_penalty", json!(0.5)),
            ("/presence_penalty", json!(0.5)),
            ("/seed", json!(1)),
            ("/stop", json!(["a"])),
            ("/stop", json!(["a", "b"])),
            ("/n", json!(2)),
            ("/logprobs", json!(true)),
            ("/logit_bias", json!({"1": 2})),
            ("/response_format", json!({"type": "json_object"})),
            ("/response_format", schema(true)),
            ("/response_format", schema(false)),
            ("/reasoning_effort", json!("low")),
            ("/reasoning_effort", json!("high")),
            ("/verbosity", json!("low")),
            ("/modalities", json!(["text", "audio"])),
            ("/audio", json!({"voice": "v", "format": "wav"})),
            ("/user", json!("ann")),
            ("/service_tier", json!("flex")),
            ("/prediction", json!({"type": "content", "content": "Hi"})),
            ("/web_search_options", json!({})),
        ],
    );
    let base = json!({
        "model": "m", "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hello!"}],
    });
    let tool = |name: &str| json!([{"name": name, "input_schema": {"type": "object"}}]);
    let document = |title| {
        json!({"role": "user", "content": [{"type": "document", "title": title, "source":
            {"type": "text", "media_type": "text/plain", "data": "d"}}]})
    };
    let thinking = |signature| {
        json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": signature},
        ]})
    };
    assert_all_differ(
        ANTHROPIC,
        &base,
        &[
            ("/system", json!("s")),
            ("/system", json!([{"type": "text", "text": "s"}, {"type": "text", "text": "t"}])),
            ("/messages/-", document("a")),
            ("/messages/-", document("b")),
            ("/messages/-", thinking("a")),
            ("/messages/-", thinking("b")),
            ("/max_tokens", json!(6)),
            ("/tools", tool("a")),
            ("/tools", tool("b")),
            ("/tool_choice", json!({"type": "any"})),
            ("/tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})),
            ("/tool_choice", json!({"type": "tool", "name": "a"})),
            ("/temperature", json!(0.5)),
            ("/top_p", json!(0.5)),
            ("/top_k", json!(5)),
            ("/stop_sequences", json!(["a"])),
            ("/thinking", json!({"type": "enabled", "budget_tokens": 1024})),
            ("/thinking", json!({"type": "enabled", "budget_tokens": 2048})),
            ("/thinking", json!({"type": "disabled"})),
            ("/metadata", json!({"user_id": "ann"})),
            ("/service_tier", json!("standard_only")),
        ],
    );
}

#[test]
fn a_parameter_that_nobody_knows_is_part_of_what_is_asked() {
    for dialect in [OPENAI, ANTHROPIC] {
        let mut body = json!({
            "model": "m", "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hello!"}],
        });
        let mut forms = vec![form(dialect, &body)];
        body["invented_yesterday"] = json!({"a": 1, "b": [1, 2]});
        forms.push(form(dialect, &body));
        body["invented_yesterday"] = json!({"a": 1, "b": [2, 1]});
        forms.push(form(dialect, &body));
        forms.sort();
        forms.dedup();
        assert_eq!(forms.len(), 3, "{dialect}");
    }
}

/// The value with the members of all objects in another order, and white space wherever it may be.
fn respelled(value: &Value, seed: u64) -> String {
    let space = [" ", "\n", "", "\t  "][usize::try_from(seed % 4).unwrap()];
    let next = seed / 4 + 7;
    match value {
        Value::Object(members) => {
            let mut list: Vec<String> = members
                .iter()
                .map(|(name, value)| {
                    format!("{space}{}{space}:{space}{}", json!(name), respelled(value, next))
                })
                .collect();
            let middle = usize::try_from(seed).unwrap_or(0) % list.len().max(1);
            list.rotate_left(middle);
            format!("{{{}{space}}}", list.join(","))
        }
        Value::Array(items) => {
            let list: Vec<String> =
                items.iter().map(|item| format!("{space}{}", respelled(item, next))).collect();
            format!("[{}{space}]", list.join(","))
        }
        other => other.to_string(),
    }
}

fn texts() -> impl Strategy<Value = String> {
    "[ -~äß日\u{1F600}\\n]{1,20}"
}

/// A conversation of turns, in both dialects.
fn turns() -> impl Strategy<Value = (Value, Value)> {
    let turns = prop::collection::vec(texts(), 1..6);
    (turns, any::<Option<u8>>(), prop::option::of(texts())).prop_map(|(turns, tokens, system)| {
        let mut messages: Vec<Value> = turns
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let role = if index % 2 == 0 { "user" } else { "assistant" };
                json!({"role": role, "content": text})
            })
            .collect();
        let tokens = u64::from(tokens.unwrap_or(9)) + 1;
        let mut anthropic = json!({"model": "m", "max_tokens": tokens, "messages": messages});
        if let Some(system) = system {
            anthropic["system"] = json!(system);
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        (json!({"model": "m", "max_tokens": tokens, "messages": messages}), anthropic)
    })
}

proptest! {
    #[test]
    fn how_a_conversation_is_written_changes_nothing(
        (openai, anthropic) in turns(),
        seed in any::<u32>(),
    ) {
        let form = form(OPENAI, &openai);
        prop_assert_eq!(&form, &form_of_text(OPENAI, respelled(&openai, seed.into())));
        prop_assert_eq!(&form, &form_of_text(ANTHROPIC, respelled(&anthropic, seed.into())));
    }

    #[test]
    fn two_conversations_have_two_forms((one, _) in turns(), (two, _) in turns()) {
        prop_assert_eq!(form(OPENAI, &one) == form(OPENAI, &two), one == two);
    }
}
