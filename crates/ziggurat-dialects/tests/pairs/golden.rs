//! The files under `tests/golden/`.
//!
//! A file is what it is about in lines that begin with `#`, settings (`model: m`, `capabilities: {…}`, `policy: allow`, `restore: {…}`), then
//! `--- in` and `--- out`. Its folder says what goes in, and from which dialect to which: `requests/openai-to-anthropic/`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;
use ziggurat_core::{Error, LossPolicy, Operation};
use ziggurat_dialects::OPENAI;
use ziggurat_testkit::golden;

use crate::harness::{Out, Setting, data, dialect};

#[test]
fn requests_come_out_as_approved() {
    for_each("requests", |setting, text| match setting.request(Operation::Chat, text) {
        Ok(out) => whole(&out),
        Err(error) => refused(setting, &error),
    });
}

#[test]
fn answers_come_out_as_approved() {
    for_each("replies", |setting, text| match setting.reply(Operation::Chat, text) {
        Ok(out) => {
            // An answer that is told by its members is read as any other: with one that nobody knows it is not told.
            let another = setting.reply(Operation::Chat, &with_member(text));
            if setting.caller != setting.provider {
                assert_eq!(another.unwrap().json(), out.json(), "{text}");
            }
            whole(&out)
        }
        Err(error) => refused(setting, &error),
    });
}

#[test]
fn streams_come_out_as_approved_however_they_come_in() {
    for_each("streams", |setting, text| {
        let out = setting.stream(text, usize::MAX);
        for piece in [1, 7, 64] {
            assert_eq!(setting.stream(text, piece), out, "in pieces of {piece}");
        }
        // What is carried as it is keeps its spaces.
        let without = |stream: &str| stream.replace(' ', "");
        for (spelling, text) in [("spaced", spaced(text)), ("with more", with_more(text))] {
            let other = setting.stream(&text, usize::MAX);
            assert_eq!(without(&other), without(&out), "{spelling}: {text}");
        }
        out
    });
}

/// Pieces of every kind, several of each in a row: the first opens a part, and those behind it are told by their bytes.
#[test]
fn pieces_are_read_alike_however_they_are_spelled() {
    let function = |rest: &str| format!(r#"{{"tool_calls":[{{"index":0,{rest}}}]}}"#);
    let deltas = [
        r#"{"role":"assistant","reasoning_content":"Hm, "}"#.to_owned(),
        r#"{"reasoning_content":"\"so\""}"#.to_owned(),
        r#"{"reasoning_content":" it is."}"#.to_owned(),
        r#"{"content":"It "}"#.to_owned(),
        r#"{"content":"said \"é€😀\\\"\n"}"#.to_owned(),
        r#"{"content":" twice."}"#.to_owned(),
        function(r#""id":"c1","type":"function","function":{"name":"f","arguments":""}"#),
        function(r#""function":{"arguments":"{\"a\":"}"#),
        function(r#""function":{"arguments":"\"b\\n\""}"#),
        function(r#""function":{"arguments":"}"}"#),
    ];
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut stream: String = deltas.iter().map(|delta| chunk(delta, "null")).collect();
    stream += &chunk("{}", "\"tool_calls\"");
    stream += "data: [DONE]\n\n";
    for provider in ziggurat_dialects::all().iter().copied() {
        let written = Setting::new(provider, OPENAI).stream(&stream, usize::MAX);
        let setting = Setting::new(OPENAI, provider);
        let read = |stream: &str| said(&setting.stream(stream, usize::MAX));
        let (thought, text, arguments) = read(&written);
        assert_eq!(thought, "Hm, \"so\" it is.", "{provider}: {written}");
        assert_eq!(text, "It said \"é€😀\\\"\n twice.", "{provider}: {written}");
        assert_eq!(arguments, r#"{"a":"b\n"}"#, "{provider}: {written}");
        // Bedrock's own padding.
        let padded = |line: &str| match line.starts_with("contentBlockDelta") {
            true => format!("{},\"p\":\"abcdefgh\"}}", &line[..line.len() - 1]),
            false => line.to_owned(),
        };
        let padded = written.split('\n').map(padded).collect::<Vec<_>>().join("\n");
        for other in [spaced(&written), with_more(&written), padded] {
            let said = read(&other);
            assert_eq!(
                (&said.0, &said.1, &said.2),
                (&thought, &text, &arguments),
                "{provider}: {other}"
            );
        }
    }
}

/// What a stream of OpenAI's says: reasoning, text, and the arguments of its call.
fn said(stream: &str) -> (String, String, String) {
    let (mut thought, mut text, mut arguments) = Default::default();
    for chunk in data(stream) {
        assert!(chunk.get("error").is_none(), "{stream}");
        let delta = &chunk["choices"][0]["delta"];
        let add = |all: &mut String, more: &Value| all.push_str(more.as_str().unwrap_or(""));
        add(&mut thought, &delta["reasoning_content"]);
        add(&mut text, &delta["content"]);
        add(&mut arguments, &delta["tool_calls"][0]["function"]["arguments"]);
    }
    (thought, text, arguments)
}

/// The stream with spaces between the tokens of its events, as some servers write them.
fn spaced(stream: &str) -> String {
    let space = |line: &str| {
        let (mut in_string, mut escaped) = (false, false);
        let mut out = String::new();
        for char in line.chars() {
            out.push(char);
            if in_string {
                in_string = escaped || char != '"';
                escaped = !escaped && char == '\\';
            } else if matches!(char, ':' | ',') {
                out.push(' ');
            } else {
                in_string = char == '"';
            }
        }
        out
    };
    each_object(stream, space)
}

/// The stream with a member in each of its events that nobody has heard of: what comes in the common spelling is told by its bytes,
/// and this is not that.
fn with_more(stream: &str) -> String {
    each_object(stream, with_member)
}

/// An object with a member that nobody has heard of.
fn with_member(object: &str) -> String {
    match object.trim_end().strip_suffix('}') {
        Some(inner) => {
            let comma = if inner.trim_end().ends_with('{') { "" } else { "," };
            format!("{inner}{comma}\"unheard_of\":[0]}}")
        }
        None => object.to_owned(),
    }
}

/// Changes the object that a line of a stream ends with, if there is one. Errors are carried as they are.
fn each_object(stream: &str, change: impl Fn(&str) -> String) -> String {
    let changed = |line: &str| match line.find('{') {
        _ if line.contains("rror") || line.contains("xception") => line.to_owned(),
        Some(at) if serde_json::from_str::<Value>(&line[at..]).is_ok() => {
            let (head, object) = line.split_at(at);
            format!("{head}{}", change(object))
        }
        _ => line.to_owned(),
    };
    stream.split('\n').map(changed).collect::<Vec<_>>().join("\n")
}

/// Runs every file of a kind.
fn for_each(kind: &str, run: impl Fn(&Setting, &str) -> String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let mut files = 0;
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let (from, to) = name.split_once("-to-").unwrap();
        // A request goes from the caller to the provider, everything else the other way.
        let setting = match kind {
            "requests" => Setting::new(dialect(from), dialect(to)),
            _ => Setting::new(dialect(to), dialect(from)),
        };
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            one(&path, setting.clone(), &run);
            files += 1;
        }
    }
    assert!(files > 0, "there are no {kind}");
}

fn one(path: &Path, mut setting: Setting, run: impl Fn(&Setting, &str) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once("--- in\n").unwrap_or_else(|| panic!("{}", path.display()));
    let given = rest.split("\n--- out\n").next().unwrap().trim_end_matches('\n');
    for line in head.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        let json = || -> Value { serde_json::from_str(value).unwrap() };
        match name {
            "capabilities" => setting = setting.capabilities(&json()),
            "restore" => setting = setting.restoring(&json()),
            "model" => setting.model = value.to_owned(),
            "show_reasoning" => setting.show_reasoning = json() == true,
            "policy" => {
                setting.policy = match value {
                    "refuse" => LossPolicy::Refuse,
                    "allow" => LossPolicy::Allow,
                    other => panic!("there is no policy `{other}`"),
                };
            }
            other => panic!("there is no setting `{other}`"),
        }
    }
    // An event ends in a blank line, which stands before the next heading in the file.
    let stream = format!("{given}\n\n");
    let input = if given.starts_with('{') { given } else { &stream };
    let out = run(&setting, input);
    let approved = format!("{head}--- in\n{given}\n\n--- out\n{}\n", out.trim_end_matches('\n'));
    golden::check(path, &approved);
}

fn whole(out: &Out) -> String {
    let mut text = pretty(std::str::from_utf8(&out.body).unwrap());
    if !out.losses.is_empty() {
        text.push_str("\n\n--- losses\n");
        text.push_str(&out.losses.join("\n"));
    }
    text
}

fn refused(setting: &Setting, error: &Error) -> String {
    let (status, body) = setting.caller.encode_error(error, None);
    format!("{}\n{}", status.as_u16(), pretty(std::str::from_utf8(&body).unwrap()))
}

/// JSON with line breaks. Key order and numbers stay as they are.
fn pretty(json: &str) -> String {
    serde_json::from_str::<&RawValue>(json).unwrap();
    let mut out = String::new();
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let break_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&" ".repeat(depth));
    };
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                let close = if c == '{' { '}' } else { ']' };
                if chars.peek() == Some(&close) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            ' ' | '\n' | '\t' | '\r' => {}
            '"' => {
                in_string = true;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}
