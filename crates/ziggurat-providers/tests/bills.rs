//! What answers cost, from the bytes of each provider's answer to the nano-dollar: counts are read by the dialect, prices are the
//! catalogue's, and the sums were worked out by hand.

use bytes::Bytes;
use ziggurat_core::{Bill, Meter, Operation};
use ziggurat_providers::price;

/// The bill for an answer of this model in this dialect.
fn bill(dialect: &str, model: &str, answer: &str) -> Bill {
    let (provider, name) = model.split_once('/').expect("a provider and a model");
    let dialect = ziggurat_dialects::named(dialect).expect("a dialect");
    let glance = dialect.glance(Operation::Chat, &Bytes::from(answer.to_owned()));
    assert!(glance.error.is_none(), "{:?}", glance.error);
    price(provider, name).unwrap_or_default().bill(&glance.usage.expect("usage"))
}

/// Checks the lines, each a meter, a count and an amount, and their sum.
fn check(bill: &Bill, lines: &[(Meter, u64, u64)], total: &str) {
    let billed: Vec<_> =
        bill.lines.iter().map(|line| (line.meter, line.count, line.amount.0)).collect();
    assert_eq!(billed, lines);
    let cost = bill.cost.expect("known prices");
    assert_eq!(cost.total().to_string(), total);
    assert!(!cost.estimated && !cost.partial, "{bill:?}");
    let sum: u64 = lines.iter().map(|(_, _, amount)| amount).sum();
    assert_eq!(sum, cost.total().0);
}

fn chat(rest: &str) -> String {
    format!(r#"{{"id":"c","object":"chat.completion","model":"m","choices":[],{rest}}}"#)
}

#[test]
fn openai_chat_counts_parts_within_the_whole() {
    // Four dollars in, 0.40 read, 5 written, 20 out.
    let usage = r#""usage":{"prompt_tokens":1200,"completion_tokens":90,"total_tokens":1290,
        "prompt_tokens_details":{"cached_tokens":1024,"cache_write_tokens":100,"audio_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0}}"#;
    let lines = [
        (Meter::Input, 76, 304_000),
        (Meter::CacheRead, 1024, 409_600),
        (Meter::CacheWrite, 100, 500_000),
        (Meter::Output, 26, 520_000),
        (Meter::Reasoning, 64, 1_280_000),
    ];
    check(&bill("openai", "openai/gpt-5.6", &chat(usage)), &lines, "0.003013600");

    let flex = format!(r#""service_tier":"flex",{usage}"#);
    let halves = lines.map(|(meter, count, amount)| (meter, count, amount / 2));
    check(&bill("openai", "openai/gpt-5.6", &chat(&flex)), &halves, "0.001506800");
    let usual = format!(r#""service_tier":"default",{usage}"#);
    check(&bill("openai", "openai/gpt-5.6", &chat(&usual)), &lines, "0.003013600");
}

#[test]
fn a_long_prompt_is_dear_from_its_first_token_on_and_in_a_tier_as_well() {
    let usage = r#""usage":{"prompt_tokens":272001,"completion_tokens":10,"total_tokens":272011}"#;
    let lines = [(Meter::Input, 272_001, 2_176_008_000), (Meter::Output, 10, 300_000)];
    check(&bill("openai", "openai/gpt-5.6", &chat(usage)), &lines, "2.176308000");
    let priority = format!(r#""service_tier":"priority",{usage}"#);
    // The list has 8 and 40 dollars for prompts of ordinary length: twice as much in, half as much again out.
    let lines = [(Meter::Input, 272_001, 4_352_016_000), (Meter::Output, 10, 600_000)];
    check(&bill("openai", "openai/gpt-5.6", &chat(&priority)), &lines, "4.352616000");
}

#[test]
fn openrouter_says_itself_what_it_costs() {
    let answer = chat(
        r#""usage":{"prompt_tokens":1200,"completion_tokens":90,"total_tokens":1290,"cost":0.00135,"is_byok":false}"#,
    );
    let bill = bill("openai", "openrouter/anthropic/claude-sonnet-4.5", &answer);
    assert_eq!(bill.cost.unwrap().total().to_string(), "0.001350000");
    assert_eq!(bill.cost.unwrap().told.0, 1_350_000);
}

#[test]
fn deepseek_and_xai_count_in_their_own_ways() {
    let hit = chat(
        r#""usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,
            "prompt_cache_hit_tokens":900,"prompt_cache_miss_tokens":100}"#,
    );
    let lines = [
        // 0.28 in, 0.028 read, 0.42 out.
        (Meter::Input, 100, 28_000),
        (Meter::CacheRead, 900, 25_200),
        (Meter::Output, 10, 4_200),
    ];
    check(&bill("openai", "deepseek/deepseek-chat", &hit), &lines, "0.000057400");
    // Reasoning beside the completion, as the total shows: 1.25 in, 2.50 out.
    let beside = chat(
        r#""usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,
            "completion_tokens_details":{"reasoning_tokens":94}}"#,
    );
    let lines =
        [(Meter::Input, 32, 40_000), (Meter::Output, 9, 22_500), (Meter::Reasoning, 94, 235_000)];
    check(&bill("openai", "xai/grok-4.3", &beside), &lines, "0.000297500");
}

#[test]
fn anthropic_counts_its_cache_beside_the_input() {
    let answer = r#"{"id":"msg_01X","type":"message","role":"assistant","model":"claude-sonnet-4-6",
        "content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,
        "usage":{"input_tokens":21,"cache_creation_input_tokens":188,"cache_read_input_tokens":1024,
            "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":88},
            "output_tokens":90,"output_tokens_details":{"thinking_tokens":40},
            "server_tool_use":{"web_search_requests":2},"service_tier":"standard"}}"#;
    // Three dollars in, 0.30 read, 3.75 and 6 written, 15 out, a cent for a search.
    let lines = [
        (Meter::Input, 21, 63_000),
        (Meter::CacheRead, 1024, 307_200),
        (Meter::CacheWrite, 100, 375_000),
        (Meter::CacheWrite1h, 88, 528_000),
        (Meter::Output, 50, 750_000),
        (Meter::Reasoning, 40, 600_000),
        (Meter::WebSearch, 2, 20_000_000),
    ];
    check(&bill("anthropic", "anthropic/claude-sonnet-4-6", answer), &lines, "0.022623200");
    // In a batch everything that is listed for batches costs half: not the hour in the cache, nor the searches.
    let batched = answer.replace("\"standard\"", "\"batch\"");
    let batch = bill("anthropic", "anthropic/claude-sonnet-4-6", &batched);
    let amounts: Vec<_> = batch.lines.iter().map(|line| line.amount.0).collect();
    assert_eq!(amounts, [31_500, 153_600, 187_500, 528_000, 375_000, 300_000, 20_000_000]);
}

#[test]
fn an_unknown_price_is_no_bill_and_a_free_model_costs_nothing() {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
    let unknown = bill("openai", "openai/unheard-of", &chat(usage));
    assert_eq!((unknown.cost, unknown.unpriced.len()), (None, 2));
    let free = bill("openai", "zai/glm-4.5-flash", &chat(usage));
    check(&free, &[(Meter::Input, 3, 0), (Meter::Output, 4, 0)], "0.000000000");
}

#[test]
fn gemini_counts_thoughts_beside_the_answer() {
    let answer = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":1200,"cachedContentTokenCount":1024,"candidatesTokenCount":26,
            "thoughtsTokenCount":64,"toolUsePromptTokenCount":10,"totalTokenCount":1300},
        "modelVersion":"gemini-2.5-flash"}"#;
    // 0.30 in, what tools added included; 0.03 read, 2.50 out.
    let lines = [
        (Meter::Input, 186, 55_800),
        (Meter::CacheRead, 1024, 30_720),
        (Meter::Output, 26, 65_000),
        (Meter::Reasoning, 64, 160_000),
    ];
    check(&bill("gemini", "gemini/gemini-2.5-flash", answer), &lines, "0.000311520");
}

#[test]
fn bedrock_counts_its_cache_beside_the_input_and_a_region_has_its_price() {
    let answer = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn",
        "usage":{"inputTokens":21,"outputTokens":90,"totalTokens":1323,"cacheReadInputTokens":1024,
            "cacheWriteInputTokens":188},"metrics":{"latencyMs":1}}"#;
    // A tenth more than elsewhere: 3.30 in, 0.33 read, 4.125 written, 16.50 out.
    let lines = [
        (Meter::Input, 21, 69_300),
        (Meter::CacheRead, 1024, 337_920),
        (Meter::CacheWrite, 188, 775_500),
        (Meter::Output, 90, 1_485_000),
    ];
    let model = "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    check(&bill("converse", model, answer), &lines, "0.002667720");
}

#[test]
fn cohere_bills_other_tokens_than_it_counts() {
    let usage = |counts: &str| {
        format!(
            r#"{{"id":"c","finish_reason":"COMPLETE","message":{{"role":"assistant","content":[{{"type":"text","text":"Hi"}}]}},"usage":{counts}}}"#
        )
    };
    // 2.50 in, 10 out.
    let lines = [(Meter::Input, 12, 30_000), (Meter::Output, 20, 200_000)];
    let both = usage(
        r#"{"billed_units":{"input_tokens":12.0,"output_tokens":20.0},"tokens":{"input_tokens":1200.0,"output_tokens":90.0},"cached_tokens":0.0}"#,
    );
    check(&bill("cohere", "cohere_chat/command-a-03-2025", &both), &lines, "0.000230000");
    let alone = usage(r#"{"billed_units":{"input_tokens":12,"output_tokens":20}}"#);
    check(&bill("cohere", "cohere_chat/command-a-03-2025", &alone), &lines, "0.000230000");
    let counted = usage(r#"{"tokens":{"input_tokens":12,"output_tokens":20}}"#);
    check(&bill("cohere", "cohere_chat/command-a-03-2025", &counted), &lines, "0.000230000");
}

#[test]
fn ollama_is_free() {
    let answer = r#"{"model":"codellama","message":{"role":"assistant","content":"Hi"},"done":true,
        "done_reason":"stop","prompt_eval_count":26,"eval_count":298}"#;
    let lines = [(Meter::Input, 26, 0), (Meter::Output, 298, 0)];
    check(&bill("ollama", "ollama_chat/codellama", answer), &lines, "0.000000000");
}

#[test]
fn openai_responses_counts_like_chat() {
    let answer = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5.6","output":[],
        "usage":{"input_tokens":1200,"input_tokens_details":{"cached_tokens":1024,"cache_write_tokens":0},
            "output_tokens":90,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":1290}}"#;
    let lines = [
        (Meter::Input, 176, 704_000),
        (Meter::CacheRead, 1024, 409_600),
        (Meter::Output, 26, 520_000),
        (Meter::Reasoning, 64, 1_280_000),
    ];
    check(&bill("responses", "openai/gpt-5.6", answer), &lines, "0.002913600");
}
