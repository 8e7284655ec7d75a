//! Tokens, as they are counted here: parts are counted within the whole.

use ziggurat_core::{NanoDollars, Usage};

use crate::json::Object;
use crate::node::Node;
use crate::spelled::Spelled;

/// What a dialect calls the counts.
#[derive(Debug)]
pub(crate) struct Words {
    input: &'static str,
    output: &'static str,
    input_details: &'static str,
    output_details: &'static str,
    /// Whether clients look for every count.
    complete: bool,
}

/// Chat Completions.
pub(crate) static CHAT: Words = Words {
    input: "prompt_tokens",
    output: "completion_tokens",
    input_details: "prompt_tokens_details",
    output_details: "completion_tokens_details",
    complete: false,
};

/// Responses.
pub(crate) static RESPONSES: Words = Words {
    input: "input_tokens",
    output: "output_tokens",
    input_details: "input_tokens_details",
    output_details: "output_tokens_details",
    complete: true,
};

/// Reads usage. The input and output that it names include everything; what does not add up is clamped.
///
/// Some servers (xAI) count reasoning beside the completion: they are known by their total.
pub(crate) fn decode(node: &Node<'_>, words: &Words) -> Option<Usage> {
    fn counts<const N: usize>(node: Option<&Node<'_>>, names: [&str; N]) -> [Option<u64>; N] {
        let picked = node.and_then(|node| node.pick(names).ok().map(|p| p.map(|n| n?.as_count())));
        picked.unwrap_or([None; N])
    }

    // One pass for the objects, one for what stands in each: this is read from every answer.
    let [
        prompt,
        completion,
        total,
        prompt_details,
        completion_details,
        hit,
        cached,
        cost,
        searches,
    ] = node
        .pick([
            words.input,
            words.output,
            "total_tokens",
            words.input_details,
            words.output_details,
            // DeepSeek and Moonshot say it on this level.
            "prompt_cache_hit_tokens",
            "cached_tokens",
            // OpenRouter and Perplexity.
            "cost",
            "num_search_queries",
        ])
        .ok()?;
    let count = |node: Option<Node<'_>>| node.and_then(|node| node.as_count());
    let mut told = Counts::default();
    (told.prompt, told.completion, told.total) = (count(prompt), count(completion), count(total));
    [told.read, told.write, told.audio_input, told.image_input] = counts(
        prompt_details.as_ref(),
        ["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"],
    );
    [told.reasoning, told.audio_output, told.image_output] =
        counts(completion_details.as_ref(), ["reasoning_tokens", "audio_tokens", "image_tokens"]);
    told.read = told.read.or_else(|| count(hit)).or_else(|| count(cached));
    let mut usage = told.usage()?;
    usage.units.searches = count(searches).unwrap_or(0);
    usage.cost = cost.and_then(|cost| self::told(&cost, node));
    Some(usage)
}

/// Reads counts as they are nearly always spelled. `None`: they have to be read in full.
pub(crate) fn spelled(object: &mut Spelled<'_>, words: &Words) -> Option<Counts> {
    let mut counts = Counts::default();
    object.members(|name, value| {
        if name == words.input.as_bytes() {
            counts.prompt = Some(value.whole()?);
        } else if name == words.output.as_bytes() {
            counts.completion = Some(value.whole()?);
        } else if name == b"total_tokens" {
            counts.total = Some(value.whole()?);
        } else if name == words.input_details.as_bytes() {
            [counts.read, counts.write, counts.audio_input, counts.image_input] = details(
                value,
                ["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"],
            )?;
        } else if name == words.output_details.as_bytes() {
            [counts.reasoning, counts.audio_output, counts.image_output] =
                details(value, ["reasoning_tokens", "audio_tokens", "image_tokens"])?;
        } else {
            return None;
        }
        Some(())
    })?;
    Some(counts)
}

/// The counts of these names in an object of counts.
fn details<const N: usize>(object: &mut Spelled<'_>, names: [&str; N]) -> Option<[Option<u64>; N]> {
    let mut counts = [None; N];
    object.members(|name, value| {
        let count = value.whole()?;
        if let Some(at) = names.iter().position(|known| known.as_bytes() == name) {
            counts[at] = Some(count);
        }
        Some(())
    })?;
    Some(counts)
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    read: Option<u64>,
    write: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    image_input: Option<u64>,
    image_output: Option<u64>,
}

impl Counts {
    /// The counts as all dialects have them; `None` if nothing is counted.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let &Self { prompt, completion, total, read, write, reasoning, .. } = self;
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        let mut usage = Usage::default();
        usage.cache_read = read;
        // A server that says more was written than there was besides what it read is wrong about the writing.
        let unread = prompt.unwrap_or(0).saturating_sub(read.unwrap_or(0));
        usage.cache_write = write.map(|write| write.min(unread));
        usage.input = prompt.map(|_| unread.saturating_sub(usage.cache_write.unwrap_or(0)));

        let beside = reasoning.filter(|reasoning| {
            let sum = [prompt, completion, Some(*reasoning)].into_iter().flatten();
            *reasoning > 0 && total == Some(sum.fold(0, u64::saturating_add))
        });
        usage.reasoning = match completion {
            Some(completion) if beside.is_none() => reasoning.map(|tokens| tokens.min(completion)),
            _ => reasoning,
        };
        usage.output = completion.map(|completion| match beside {
            Some(_) => completion,
            None => completion - usage.reasoning.unwrap_or(0),
        });
        (usage.audio_input, usage.audio_output) = (self.audio_input, self.audio_output);
        (usage.image_input, usage.image_output) = (self.image_input, self.image_output);
        Some(usage)
    }
}

/// What the call cost by the server's own word, in dollars: OpenRouter's `cost`, to which it adds what the provider behind it takes where
/// the caller's own key is used there; Perplexity's `cost.total_cost`.
fn told(cost: &Node<'_>, usage: &Node<'_>) -> Option<NanoDollars> {
    let amount = |node: &Node<'_>| NanoDollars::parse(node.text());
    if cost.is_object() {
        return amount(&cost.get("total_cost")?);
    }
    let own = usage.get("is_byok").is_some_and(|flag| flag.text() == "true");
    let details = usage.get("cost_details").filter(|_| own);
    let upstream = details.as_ref().and_then(|details| details.get("upstream_inference_cost"));
    Some(amount(cost)? + upstream.as_ref().and_then(amount).unwrap_or_default())
}

/// Writes usage. What nobody told is left out, or nothing where clients look for a number.
pub(crate) fn encode(out: &mut Vec<u8>, usage: &Usage, words: &Words) {
    let details = |out: &mut Vec<u8>, counts: &[(&'static str, Option<u64>)]| {
        let mut object = Object::begin(out);
        for (name, count) in counts {
            if let Some(count) = count {
                object.number(name, *count);
            }
        }
        object.end();
    };
    let count = |count: Option<u64>| if words.complete { count.or(Some(0)) } else { count };
    let input = [
        ("cached_tokens", count(usage.cache_read)),
        ("cache_write_tokens", count(usage.cache_write)),
        ("audio_tokens", usage.audio_input),
        ("image_tokens", usage.image_input),
    ];
    let output = [
        ("reasoning_tokens", count(usage.reasoning)),
        ("audio_tokens", usage.audio_output),
        ("image_tokens", usage.image_output),
    ];
    let any =
        |counts: &[(&'static str, Option<u64>)]| counts.iter().any(|(_, count)| count.is_some());
    let mut object = Object::begin(out);
    object.number(words.input, usage.total_input());
    object.number(words.output, usage.total_output());
    object.number("total_tokens", usage.total());
    if any(&input) {
        details(object.member(words.input_details), &input);
    }
    if any(&output) {
        details(object.member(words.output_details), &output);
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Str;

    use super::*;

    fn usage(json: &str) -> Usage {
        let body = Str::from(json);
        decode(&Node::root("usage", &body), &CHAT).unwrap()
    }

    fn written(usage: &Usage) -> serde_json::Value {
        let mut out = Vec::new();
        encode(&mut out, usage, &CHAT);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_server_may_say_what_it_costs() {
        let told = |more: &str| {
            usage(&format!(r#"{{"prompt_tokens":1,"completion_tokens":1,{more}}}"#))
                .cost
                .map(|cost| cost.0)
        };
        assert_eq!(told(r#""cost":0.00014"#), Some(140_000));
        assert_eq!(
            told(r#""cost":1.4e-4,"is_byok":false,"cost_details":{"upstream_inference_cost":1}"#),
            Some(140_000)
        );
        assert_eq!(
            told(
                r#""cost":0.00001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0001}"#
            ),
            Some(110_000)
        );
        assert_eq!(told(r#""cost":{"input_tokens_cost":0.1,"total_cost":0.5}"#), Some(500_000_000));
        for none in [r#""cost":null"#, r#""cost":"a lot""#, r#""cost":-1"#, r#""cost":{}"#] {
            assert_eq!(told(none), None, "{none}");
        }
    }

    #[test]
    fn usage_goes_there_and_back() {
        // Input uncached, read, written; output visible, reasoning; then as OpenAI counts.
        for ([input, read, write, output, reasoning], [prompt, completion, total]) in [
            ([100, 900, 200, 40, 60], [1200, 100, 1300]),
            ([80, 0, 0, 30, 0], [80, 30, 110]),
            ([0, 75, 0, 1, 0], [75, 1, 76]),
            ([7, 0, 0, 0, 512], [7, 512, 519]),
        ] {
            let canonical =
                Usage::new(input, output).cache_read(read).cache_write(write).reasoning(reasoning);
            let json = written(&canonical);
            assert_eq!(json["prompt_tokens"], prompt);
            assert_eq!(json["completion_tokens"], completion);
            assert_eq!(json["total_tokens"], total);
            assert_eq!(json["prompt_tokens_details"]["cached_tokens"], read);
            assert_eq!(usage(&json.to_string()), canonical);
        }
    }

    #[test]
    fn usage_that_does_not_add_up_is_clamped() {
        let clamped = usage(
            r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,
                "prompt_tokens_details":{"cached_tokens":120,"cache_write_tokens":7}}"#,
        );
        assert_eq!(clamped, Usage::new(0, 5).cache_read(120).cache_write(0));
        let clamped = usage(
            r#"{"prompt_tokens":1,"completion_tokens":5,
                "completion_tokens_details":{"reasoning_tokens":9}}"#,
        );
        assert_eq!(clamped, Usage::new(1, 0).reasoning(5));
    }

    #[test]
    fn reasoning_beside_the_completion_is_known_by_the_total() {
        let xai = usage(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,
                "completion_tokens_details":{"reasoning_tokens":20}}"#,
        );
        assert_eq!(xai, Usage::new(10, 5).reasoning(20));
        assert_eq!(written(&xai)["completion_tokens"], 25);
    }

    #[test]
    fn what_nobody_told_is_not_zero() {
        let usage = usage(r#"{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}"#);
        assert_eq!(usage, Usage::new(8, 2));
        let json = written(&usage);
        assert_eq!(json.as_object().unwrap().len(), 3, "{json}");
    }

    #[test]
    fn responses_tells_every_count() {
        let mut out = Vec::new();
        encode(&mut out, &Usage::new(8, 2), &RESPONSES);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"input_tokens":8,"output_tokens":2,"total_tokens":10,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens_details":{"reasoning_tokens":0}}"#
        );
    }
}
