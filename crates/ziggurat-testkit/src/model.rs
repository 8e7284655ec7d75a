//! The fake model: what it says to a prompt. The same prompt is always answered the same.

use crate::{
    prompt::{
        BreakDown, Call, Choice, End, Output, Prompt, Speech, Tool, Usage, halves, word_by_word,
        words,
    },
    schema,
    steer::Marks,
};

/// What the model thinks when it reasons.
const THOUGHT: &str = "The user said something, so I answer.";
const REFUSAL: &str = "I'm sorry, but I can't help with that.";
const PREFACE: &str = "Let me look.";

/// A failure that a mark asked for: its kind, and `retry-after` in seconds.
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) retry_after: Option<u64>,
}

/// Answers a prompt; `choice` counts the answers to one request from 0.
pub(crate) fn respond(prompt: &Prompt, choice: usize) -> Result<Speech, Failure> {
    let marks = Marks::new(&prompt.said);
    if let Some((kind, retry_after)) = marks.error().filter(|_| prompt.said_now) {
        return Err(Failure { kind: kind.to_owned(), retry_after });
    }
    let mut speech = Speech {
        reasoning: (prompt.reasons || marks.has("think")).then(|| THOUGHT.to_owned()),
        redacted: marks.has("redacted"),
        pace: marks.pace(),
        interleave: marks.has("interleave"),
        break_down: match () {
            () if marks.has("midstream-error") => Some(BreakDown::Error),
            () if marks.has("cut") => Some(BreakDown::Cut),
            () => None,
        },
        ..Speech::default()
    };
    if marks.has("refuse") {
        let late = marks.value("refuse") == Some("late");
        speech.text = if late { PREFACE.to_owned() } else { String::new() };
        speech.refusal = Some(REFUSAL.to_owned());
        speech.end = End::Refused;
    } else {
        speech.calls = calls(prompt, &marks);
        if speech.calls.is_empty() {
            speech.text = text(prompt, &marks, choice);
            stop(&mut speech, &prompt.stop, &marks);
        } else {
            speech.text = if marks.has("preface") { PREFACE.to_owned() } else { String::new() };
            speech.end = End::Calls;
        }
        if marks.has("length") {
            halve(&mut speech, End::Length);
        } else if marks.has("filter") {
            halve(&mut speech, End::Filtered);
        }
    }
    if let Some(most) = prompt.max_tokens {
        limit(&mut speech, most);
    }
    speech.usage = usage(&speech, prompt, marks.has("cached"));
    Ok(speech)
}

/// Which tools the model calls.
fn calls(prompt: &Prompt, marks: &Marks<'_>) -> Vec<Call> {
    let tools = &prompt.tools;
    let named = |name: &str| tools.iter().find(|tool| tool.name == name);
    // Whoever brings results asks for words, unless a new message asks for another call.
    let asked = prompt.results.is_empty() || prompt.said_now;
    let picked: Vec<&Tool> = match &prompt.choice {
        Choice::Never => Vec::new(),
        Choice::This(name) => named(name).into_iter().collect(),
        Choice::Any | Choice::Auto if asked && marks.has("tools2") => {
            tools.iter().cycle().take(if prompt.parallel { 2 } else { 1 }).collect()
        }
        Choice::Any | Choice::Auto if asked && marks.has("tool") => {
            marks.value("tool").map_or_else(|| tools.first(), named).into_iter().collect()
        }
        Choice::Any => tools.first().into_iter().collect(),
        Choice::Auto => Vec::new(),
    };
    picked
        .into_iter()
        .map(|tool| Call {
            name: tool.name.clone(),
            arguments: match &tool.schema {
                Some(schema) => schema::instance(schema, marks).to_string(),
                None => format!("free text for {}", tool.name),
            },
            free: tool.schema.is_none(),
        })
        .collect()
}

fn text(prompt: &Prompt, marks: &Marks<'_>, choice: usize) -> String {
    let mut lines = Vec::new();
    for result in &prompt.results {
        let verb = if result.failed { "failed" } else { "said" };
        lines.push(format!("The tool {verb}: {}", result.text));
    }
    if marks.has("system?") {
        lines.push(format!("System: {}", prompt.system));
    } else if prompt.said_now || lines.is_empty() {
        lines.push(format!("You said: {}", prompt.said));
    }
    lines.extend_from_slice(&prompt.media);
    if choice > 0 {
        lines.push(format!("(choice {choice})"));
    }
    let plain = lines.join("\n");
    match &prompt.output {
        Output::Text => plain,
        Output::Json => serde_json::json!({ "answer": plain }).to_string(),
        Output::Schema(schema) => schema::instance(schema, marks).to_string(),
    }
}

/// Ends the text before the first stop sequence in it.
fn stop(speech: &mut Speech, sequences: &[String], marks: &Marks<'_>) {
    let asked = marks.value("stop").and_then(|sequence| {
        // The mark's own text is where the sequence is produced.
        let at = speech.text.find("[stop:")?;
        sequences.iter().find(|known| *known == sequence).map(|sequence| (at, sequence))
    });
    let found = sequences
        .iter()
        .filter_map(|sequence| Some((speech.text.find(sequence.as_str())?, sequence)))
        .chain(asked)
        .min_by_key(|(at, _)| *at);
    if let Some((at, sequence)) = found {
        let kept = speech.text[..at].trim_end().len();
        speech.text.truncate(kept);
        speech.end = End::Stop(sequence.clone());
    }
}

/// Breaks an answer off half way.
fn halve(speech: &mut Speech, end: End) {
    match speech.calls.last_mut() {
        Some(call) => {
            let half = halves(&call.arguments).0.len();
            call.arguments.truncate(half);
        }
        None => {
            let half = words(&speech.text).div_ceil(2);
            keep_words(&mut speech.text, half);
        }
    }
    speech.end = end;
}

/// Breaks an answer off where it passes `most` tokens: reasoning, then text, then calls.
fn limit(speech: &mut Speech, most: u64) {
    let mut left = most;
    if let Some(reasoning) = &mut speech.reasoning {
        let size = words(reasoning);
        if size > left {
            keep_words(reasoning, left);
        }
        left = left.saturating_sub(size);
    }
    let size = words(&speech.text);
    let mut cut = size > left;
    if cut {
        keep_words(&mut speech.text, left);
    }
    left = left.saturating_sub(size);
    for at in 0..speech.calls.len() {
        let size = call_size(&speech.calls[at]);
        if size > left {
            cut = true;
            speech.calls.truncate(at);
            break;
        }
        left -= size;
    }
    if cut || most == 0 {
        speech.end = End::Length;
    }
}

/// The name is a token, and so is every word of the arguments.
fn call_size(call: &Call) -> u64 {
    1 + words(&call.arguments)
}

fn keep_words(text: &mut String, count: u64) {
    let kept: usize = word_by_word(text)
        .into_iter()
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .map(str::len)
        .sum();
    text.truncate(kept);
}

fn usage(speech: &Speech, prompt: &Prompt, cached: bool) -> Usage {
    let reasoning = speech.reasoning.as_deref().map_or(0, words);
    let calls: u64 = speech.calls.iter().map(call_size).sum();
    let refusal = speech.refusal.as_deref().map_or(0, words);
    Usage {
        prompt: prompt.tokens,
        cache_read: if cached { prompt.tokens / 2 } else { 0 },
        cache_write: if cached { prompt.tokens / 4 } else { 0 },
        output: reasoning + words(&speech.text) + calls + refusal,
        reasoning,
    }
}

#[cfg(test)]
mod tests {
    use super::respond;
    use crate::prompt::{Choice, End, Prompt, Tool, ToolResult};

    fn said(text: &str) -> Prompt {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            schema: Some(serde_json::json!({"type":"object","properties":{
                "city":{"type":"string"},"days":{"type":"integer"}}})),
        };
        Prompt {
            said: text.to_owned(),
            said_now: true,
            tools: vec![tool("first"), tool("second")],
            parallel: true,
            tokens: 20,
            ..Prompt::default()
        }
    }

    fn speech(prompt: &Prompt) -> crate::prompt::Speech {
        respond(prompt, 0).ok().unwrap()
    }

    #[test]
    fn plain_text_is_repeated() {
        let speech = speech(&said("hello there"));
        assert_eq!((speech.text.as_str(), speech.end), ("You said: hello there", End::Done));
        assert_eq!((speech.usage.prompt, speech.usage.output), (20, 4));
    }

    #[test]
    fn a_mark_calls_tools_with_arguments_from_schema_and_text() {
        let one = speech(&said("[tool] city=Oslo days=3"));
        assert_eq!((one.calls.len(), one.end), (1, End::Calls));
        assert_eq!(one.calls[0].arguments, r#"{"city":"Oslo","days":3}"#);
        let named = speech(&said("[tool:second]"));
        assert_eq!(named.calls[0].name, "second");
        let two = speech(&said("[tools2] [preface]"));
        assert_eq!(two.calls.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(two.text, "Let me look.");
        let serial = speech(&Prompt { parallel: false, ..said("[tools2]") });
        assert_eq!(serial.calls.len(), 1);
    }

    #[test]
    fn a_choice_of_tools_is_obeyed() {
        let forced = Prompt { choice: Choice::This("second".to_owned()), ..said("hi") };
        assert_eq!(speech(&forced).calls[0].name, "second");
        let any = Prompt { choice: Choice::Any, ..said("hi") };
        assert_eq!(speech(&any).calls[0].name, "first");
        let none = Prompt { choice: Choice::Never, ..said("[tool]") };
        assert!(speech(&none).calls.is_empty());
    }

    #[test]
    fn results_are_repeated_and_end_the_calling() {
        let result = |text: &str, failed| ToolResult { text: text.to_owned(), failed };
        let mut prompt = said("[tool]");
        prompt.said_now = false;
        prompt.results = vec![result("4 C", false), result("timeout", true)];
        assert_eq!(speech(&prompt).text, "The tool said: 4 C\nThe tool failed: timeout");
        let prompt = Prompt { said: "Go on.".to_owned(), said_now: true, ..prompt };
        let text = speech(&prompt).text;
        assert_eq!(text, "The tool said: 4 C\nThe tool failed: timeout\nYou said: Go on.");
    }

    #[test]
    fn a_stop_sequence_ends_the_answer_if_it_is_listed() {
        let stop = vec!["XYZ".to_owned(), "END".to_owned()];
        let listed = speech(&Prompt { stop: stop.clone(), ..said("one [stop:XYZ] two") });
        assert_eq!(listed.text, "You said: one");
        assert_eq!(listed.end, End::Stop("XYZ".to_owned()));
        let echoed = speech(&Prompt { stop, ..said("one END two") });
        assert_eq!((&*echoed.text, echoed.end), ("You said: one", End::Stop("END".to_owned())));
        let other = speech(&said("one [stop:XYZ] two"));
        assert_eq!((&*other.text, other.end), ("You said: one [stop:XYZ] two", End::Done));
    }

    #[test]
    fn no_answer_is_longer_than_it_may_be() {
        for most in 0..12 {
            for text in ["a b c d e f", "[think] a b", "[tools2]", "[think] [tool]", "[length] a"] {
                let speech = speech(&Prompt { max_tokens: Some(most), ..said(text) });
                assert!(speech.usage.output <= most, "{text}: {speech:?}");
                if speech.usage.output == 0 {
                    assert_eq!(speech.end, End::Length);
                }
            }
        }
    }

    #[test]
    fn length_breaks_off_half_way() {
        let text = speech(&said("[length] a b c d"));
        assert_eq!((&*text.text, text.end), ("You said: [length] a", End::Length));
        let call = speech(&said("[length] [tool]"));
        assert!(serde_json::from_str::<serde_json::Value>(&call.calls[0].arguments).is_err());
        assert_eq!(call.end, End::Length);
    }

    #[test]
    fn cached_tokens_are_part_of_the_prompt() {
        let usage = speech(&said("[cached]")).usage;
        assert_eq!((usage.prompt, usage.cache_read, usage.cache_write), (20, 10, 5));
    }
}
