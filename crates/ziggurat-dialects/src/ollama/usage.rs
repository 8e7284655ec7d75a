//! Usage: two counts, each of everything. Thinking counts as output, and what came from a cache is not told apart.

use ziggurat_core::Usage;

use crate::json::{Fields, Object};

/// Takes the counts out of an answer; `None` if there is none. Older servers leave the prompt's out when it was cached.
pub(super) fn take(fields: &mut Fields<'_>) -> Option<Usage> {
    let mut count = |name| fields.take(name)?.parse::<u64>().ok();
    let mut usage = Usage::default();
    usage.input = count("prompt_eval_count");
    usage.output = count("eval_count");
    (usage.input.is_some() || usage.output.is_some()).then_some(usage)
}

/// Writes the counts. What nobody told is left out.
pub(super) fn write(usage: &Usage, object: &mut Object<'_>) {
    let input = [usage.input, usage.cache_read, usage.cache_write, usage.tool_prompt];
    if input.iter().any(Option::is_some) {
        object.number("prompt_eval_count", usage.total_input());
    }
    if usage.output.is_some() || usage.reasoning.is_some() {
        object.number("eval_count", usage.total_output());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(usage: &Usage) -> Option<Usage> {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        write(usage, &mut object);
        object.end();
        take(&mut serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn everything_is_counted_once() {
        let usage = Usage::new(100, 40).cache_read(900).cache_write(200).reasoning(60);
        assert_eq!(there_and_back(&usage), Some(Usage::new(1200, 100)));
        assert_eq!(there_and_back(&Usage::new(0, 0)), Some(Usage::new(0, 0)));
    }

    #[test]
    fn what_nobody_told_is_not_zero() {
        assert_eq!(there_and_back(&Usage::default()), None);
        let mut fields: Fields<'_> = serde_json::from_str(r#"{"eval_count":9}"#).unwrap();
        assert_eq!(take(&mut fields).unwrap().input, None);
    }
}
