//! Whole answers that are one text and nothing else are read in one pass, and all others in full. Whichever way it is read, an answer
//! says the same: here each is read as it is, and with a member that nobody knows, which no fast reader takes.

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{Answer, ChatReply, Dialect, ErrorKind, Operation, Restore};
use ziggurat_dialects::{ANTHROPIC, COHERE, CONVERSE, GEMINI, OLLAMA, RESPONSES};

const NOBODYS: &str = "nobodys";
/// What the text of an answer is replaced by.
const TEXT: &str = "the text";

/// An answer of each provider, as its documentation has it.
fn answers() -> [(Dialect, Value); 6] {
    let anthropic = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 412, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 26, "service_tier": "priority"}
    });
    let responses = json!({
        "id": "resp_1", "object": "response", "created_at": 1_767_323_045, "status": "completed",
        "background": false, "error": null, "incomplete_details": null, "instructions": "Be \"brief\".",
        "max_output_tokens": null, "model": "gpt-4o-2024-08-06", "metadata": {"a": "[{"},
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}]}],
        "parallel_tool_calls": true, "previous_response_id": null, "service_tier": "default",
        "reasoning": {"effort": null, "summary": null}, "store": true, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "user": null,
        "usage": {"input_tokens": 36, "input_tokens_details": {"cached_tokens": 6, "text_tokens": 30},
            "output_tokens": 87, "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 123}
    });
    let gemini = json!({
        "candidates": [{"content": {"parts": [{"text": TEXT}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 412, "cachedContentTokenCount": 12, "candidatesTokenCount": 26,
            "thoughtsTokenCount": 4, "totalTokenCount": 442, "trafficType": "ON_DEMAND",
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 400}, {"modality": "AUDIO", "tokenCount": 12}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 26}]},
        "modelVersion": "gemini-2.5-flash", "responseId": "r1", "createTime": "2026-01-02T03:04:05Z"
    });
    let converse = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 412, "outputTokens": 26, "totalTokens": 441, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1},
        "metrics": {"latencyMs": 551}, "serviceTier": {"type": "priority"}
    });
    let cohere = json!({
        "id": "c14c80c3", "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]},
        "usage": {"billed_units": {"input_tokens": 12, "output_tokens": 20, "search_units": 1},
            "tokens": {"input_tokens": 1200, "output_tokens": 90}, "cached_tokens": 7}
    });
    let ollama = json!({
        "model": "llama3.1", "created_at": "2026-01-02T03:04:05.123456789Z",
        "message": {"role": "assistant", "content": TEXT}, "done": true, "done_reason": "stop",
        "total_duration": 174_560_334, "load_duration": 101_397_084, "prompt_eval_count": 11,
        "prompt_eval_duration": 13_074_791, "eval_count": 18, "eval_duration": 52_479_709
    });
    [
        (ANTHROPIC, anthropic),
        (RESPONSES, responses),
        (GEMINI, gemini),
        (CONVERSE, converse),
        (COHERE, cohere),
        (OLLAMA, ollama),
    ]
}

fn read(dialect: Dialect, body: &str) -> Result<ChatReply, ErrorKind> {
    let body = Bytes::from(body.to_owned());
    match dialect.decode_reply(Operation::Chat, &body, &Restore::default()) {
        Ok(Answer::Chat(reply)) => Ok(*reply),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.kind()),
    }
}

/// Reads it in full.
fn read_in_full(dialect: Dialect, body: &str) -> Result<ChatReply, ErrorKind> {
    let more = body.replacen('{', &format!("{{\"{NOBODYS}\":[],"), 1);
    let mut reply = read(dialect, &more)?;
    reply.extras.members.retain(|(name, _)| name != NOBODYS);
    Ok(reply)
}

fn check(dialect: Dialect, body: &str) {
    let (one, mut other) = (read(dialect, body), read_in_full(dialect, body));
    if let (Ok(one), Ok(other)) = (&one, &mut other)
        && other.extras.members.is_empty()
    {
        // Who has no more members says it or not.
        other.extras.dialect = one.extras.dialect;
    }
    assert_eq!(one, other, "{dialect}: {body}");
}

/// Every object in a value, by its path.
fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let at = format!("{at}/{name}");
                paths(value, &at, out);
                out.push(at);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, &format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn a_usual_answer_says_what_it_says() {
    for (dialect, answer) in answers() {
        let reply = read(dialect, &answer.to_string()).unwrap();
        assert_eq!(reply.text(), TEXT, "{dialect}");
        assert!(reply.usage.is_some_and(|usage| usage.total_output() > 0), "{dialect}");
        check(dialect, &answer.to_string());
        check(dialect, &serde_json::to_string_pretty(&answer).unwrap());
    }
}

#[test]
fn texts_of_all_kinds_are_read_alike() {
    let long = r#"She said: \"no\".\n\tC:\\temp \/ ø€😀 "#.repeat(8);
    let texts = ["", " ", r"\n", "a", r"\u00e9\ud83d\ude00", r"\ud800", r"\x", "a\tb", &long];
    for (dialect, answer) in answers() {
        let answer = answer.to_string();
        for text in texts {
            for text in [text.to_owned(), format!("{text}{long}"), format!("{long}{text}")] {
                check(dialect, &answer.replace(TEXT, &text));
            }
        }
    }
}

#[test]
fn what_is_missing_or_odd_is_read_alike() {
    let odd = [
        json!(null),
        json!("stop"),
        json!(""),
        json!(7),
        json!(-1),
        json!(1.5),
        json!([]),
        json!({}),
        json!(true),
        json!([{}]),
        json!([{"text": "?"}]),
        json!([{"type": "text", "text": "?"}, {"type": "text", "text": "!"}]),
    ];
    for (dialect, answer) in answers() {
        let mut places = Vec::new();
        paths(&answer, "", &mut places);
        for place in places {
            for value in &odd {
                let mut other = answer.clone();
                *other.pointer_mut(&place).unwrap() = value.clone();
                check(dialect, &other.to_string());
            }
            let (outer, name) = place.rsplit_once('/').unwrap();
            let mut less = answer.clone();
            let object = less.pointer_mut(outer).unwrap().as_object_mut().unwrap();
            let value = object.remove(name).unwrap();
            check(dialect, &less.to_string());
            // Another one beside it, within what it stands in.
            let mut more = answer.clone();
            more.pointer_mut(outer).unwrap()["another"] = value;
            check(dialect, &more.to_string());
        }
    }
}

#[test]
fn numbers_may_be_written_as_floats() {
    for (dialect, answer) in answers() {
        let answer = answer.to_string();
        for (end, float) in [(",", ".0,"), ("}", ".00}")] {
            let mut floats = answer.clone();
            for digit in '0'..='9' {
                floats = floats.replace(&format!("{digit}{end}"), &format!("{digit}{float}"));
            }
            check(dialect, &floats);
        }
    }
}
