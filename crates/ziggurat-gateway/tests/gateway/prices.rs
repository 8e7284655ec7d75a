//! What the program tells of models and prices.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn ziggurat(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ziggurat"));
    command.args(args).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn models_of_a_provider_are_told_in_columns() {
    let told = ziggurat(&["models", "--provider", "anthropic", "claude-sonnet-4-6"]);
    assert!(told.status.success());
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = lines(&told);
    assert_eq!(words(&lines[0])[..3], ["MODEL", "MODE", "CONTEXT"]);
    let row = words(&lines[1]);
    assert_eq!(row[..2], ["anthropic/claude-sonnet-4-6", "chat"]);
    assert_eq!(row[4..], ["3.00", "15.00", "0.30"]);

    let all = ziggurat(&["models"]);
    assert!(self::lines(&all).len() > 4_000);
    let rerank = ziggurat(&["models", "--mode", "rerank", "-p", "cohere"]);
    assert!(
        self::lines(&rerank).iter().skip(1).all(|line| line.contains(" rerank ")),
        "{rerank:?}"
    );
}

#[test]
fn everything_that_is_known_is_told_in_json() {
    let told = ziggurat(&["models", "--json", "-p", "anthropic", "claude-haiku-5-5"]);
    let model: Value = serde_json::from_str(&lines(&told)[0]).unwrap();
    assert_eq!(model["id"], "anthropic/claude-haiku-5-5");
    assert_eq!((&model["context"], &model["max_output"]), (&json!(1_000_000), &json!(128_000)));
    assert!(model["can"].as_array().unwrap().contains(&json!("tools")));
    assert_eq!(model["prices"][0]["cache_write_1h"], "0.20");
    assert_eq!(model["prices"][1]["above_tokens"], 100_000);
    assert_eq!(model["prices"][2]["tier"], "batch");
}

#[test]
fn nothing_found_is_a_failure() {
    let none = ziggurat(&["models", "no-such-model"]);
    assert_eq!(none.status.code(), Some(1));
    let nobody = ziggurat(&["models", "--provider", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(complaint(&nobody).contains("no models of a provider `nobody`"));
}

#[test]
fn a_bill_has_a_line_for_each_kind() {
    let args = ["cost", "claude-sonnet-4-6", "-i", "100", "--cache-read", "900", "-o", "50"];
    let told = ziggurat(&args);
    assert!(told.status.success(), "{}", complaint(&told));
    let lines = lines(&told);
    assert_eq!(lines[0], "anthropic/claude-sonnet-4-6");
    let words = |at: usize| lines[at].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(1), "input 100 $3.00 a million $ 0.0003");
    assert_eq!(words(2), "cache_read 900 $0.30 a million $ 0.00027");
    assert_eq!(words(3), "output 50 $15.00 a million $ 0.00075");
    assert_eq!(words(4), "total $ 0.00132");

    let json = ziggurat(&[&args[..], &["--json", "--tier", "batch", "--reasoning", "10"]].concat());
    let bill: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&bill["tier"], &bill["total"]), (&json!("batch"), &json!("0.000735")));
    assert_eq!(bill["lines"][3]["rated_as"], "output");
    assert_eq!(bill["complete"], true);
}

#[test]
fn usage_is_read_from_a_providers_answer() {
    let directory = tempfile::tempdir().unwrap();
    let answer = directory.path().join("answer.json");
    let said = json!({"choices": [], "usage": {
        "prompt_tokens": 1200, "completion_tokens": 90,
        "prompt_tokens_details": {"cached_tokens": 1024},
    }});
    std::fs::write(&answer, said.to_string()).unwrap();
    let told = ziggurat(&["cost", "openai/gpt-4.1", "--json", "-u", answer.to_str().unwrap()]);
    let bill: Value = serde_json::from_slice(&told.stdout).unwrap();
    // 176 at two dollars, 1024 at fifty cents, 90 at eight dollars a million.
    assert_eq!(bill["total"], "0.001584");

    let missing = ziggurat(&["cost", "openai/gpt-4.1", "-u", "/nowhere.json"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(complaint(&missing).contains("/nowhere.json"));
}

#[test]
fn an_unknown_price_is_said_and_a_list_can_tell_it() {
    let unknown = ziggurat(&["cost", "openai/my-own", "-i", "1"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(lines(&unknown)[2].contains("no price of this model is known"), "{unknown:?}");

    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("prices.json");
    let prices =
        json!({"openai/my-own": {"litellm_provider": "openai", "input_cost_per_token": 2}});
    std::fs::write(&list, prices.to_string()).unwrap();
    let list = list.to_str().unwrap();
    let known = ziggurat(&["cost", "openai/my-own", "-i", "1", "--price-map", list]);
    assert!(known.status.success() && lines(&known)[2].ends_with("2.00"), "{known:?}");

    let typo = ziggurat(&["cost", "opnai/gpt-4o", "-i", "1"]);
    assert!(complaint(&typo).contains("did you mean `openai/gpt-4o`?"));
}
