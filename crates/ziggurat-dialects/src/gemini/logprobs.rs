//! Log probabilities. Between dialects they travel in OpenAI's form, which all of them but this one have.

use ziggurat_core::{RawJson, Str};

use super::camel::members;
use crate::json::{self, Array, Fields, Object};

/// `logprobsResult` in OpenAI's form; `None` if it holds nothing.
pub(super) fn decode(raw: &str) -> Option<RawJson> {
    let mut result = members(raw);
    let list = |raw: Option<&'_ str>| -> Option<Vec<String>> {
        let list: Vec<&serde_json::value::RawValue> = serde_json::from_str(raw?).ok()?;
        Some(list.into_iter().map(|item| item.get().to_owned()).collect())
    };
    let chosen = list(result.take("chosenCandidates"))?;
    let top = list(result.take("topCandidates")).unwrap_or_default();
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    let mut content = Array::begin(object.member("content"));
    for (index, token) in chosen.iter().enumerate() {
        let mut item = content.object();
        token_from(&members(token), &mut item);
        let mut others = Array::begin(item.member("top_logprobs"));
        let candidates = top.get(index).map(|top| members(top));
        for other in list(candidates.as_ref().and_then(|c| c.get("candidates"))).unwrap_or_default()
        {
            let mut item = others.object();
            token_from(&members(&other), &mut item);
            item.end();
        }
        others.end();
        item.end();
    }
    content.end();
    object.raw("refusal", "null");
    object.end();
    json::raw_json(out)
}

fn token_from(token: &Fields<'_>, object: &mut Object<'_>) {
    object.raw("token", token.get("token").unwrap_or("\"\""));
    object.raw("logprob", token.get("logProbability").unwrap_or("0"));
    object.raw("bytes", "null");
    if let Some(id) = token.get("tokenId") {
        object.raw("token_id", id);
    }
}

/// `logprobsResult` of probabilities in OpenAI's form; `None` if they are in another.
pub(super) fn encode(logprobs: &RawJson) -> Option<RawJson> {
    let read = |raw: &str| serde_json::from_str::<Fields<'_>>(raw).ok().map(|_| ());
    read(logprobs.get())?;
    let body: Str = logprobs.clone().into_text();
    let outer: Fields<'_> = serde_json::from_str(&body).ok()?;
    let content: Vec<Fields<'_>> = serde_json::from_str(outer.get("content")?).ok()?;
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    let mut chosen = Array::begin(object.member("chosenCandidates"));
    for token in &content {
        token_to(token, chosen.object());
    }
    chosen.end();
    let mut top = Array::begin(object.member("topCandidates"));
    for token in &content {
        let others: Vec<Fields<'_>> = token
            .get("top_logprobs")
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default();
        let mut item = top.object();
        let mut candidates = Array::begin(item.member("candidates"));
        for other in &others {
            token_to(other, candidates.object());
        }
        candidates.end();
        item.end();
    }
    top.end();
    object.end();
    json::raw_json(out)
}

fn token_to(token: &Fields<'_>, mut object: Object<'_>) {
    object.raw("token", token.get("token").unwrap_or("\"\""));
    if let Some(id) = token.get("token_id") {
        object.raw("tokenId", id);
    }
    object.raw("logProbability", token.get("logprob").unwrap_or("0"));
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_go_there_and_back() {
        let result = r#"{"chosenCandidates":[{"token":"Hi","tokenId":5,"logProbability":-0.25}],"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.25},{"token":"Ho","logProbability":-1.50}]}]}"#;
        let openai = decode(result).unwrap();
        assert_eq!(
            openai.get(),
            r#"{"content":[{"token":"Hi","logprob":-0.25,"bytes":null,"token_id":5,"top_logprobs":[{"token":"Hi","logprob":-0.25,"bytes":null},{"token":"Ho","logprob":-1.50,"bytes":null}]}],"refusal":null}"#
        );
        assert_eq!(encode(&openai).unwrap().get(), result);
    }

    #[test]
    fn what_is_in_no_known_form_is_none() {
        assert_eq!(decode("{}"), None);
        assert_eq!(decode("1"), None);
        assert_eq!(encode(&RawJson::NULL), None);
        assert_eq!(encode(&RawJson::parse(Str::from("[1]")).unwrap()), None);
    }
}
