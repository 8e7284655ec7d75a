//! What a gateway reads of a whole answer in passing.

use bytes::Bytes;
use ziggurat_core::{Glance, Operation, Outline, Str};

use super::failure;
use crate::node::Node;
use crate::openai_api::{malformed, usage};

/// Reads usage, model and error of a whole answer: one pass over its top level, and nothing is built.
pub(in crate::responses) fn glance(operation: Operation, body: &Bytes) -> Glance {
    let mut glance = Glance::default();
    let outline =
        Str::from_utf8(body.clone()).ok().and_then(|text| Some((Outline::read(&text).ok()?, text)));
    let Some((outline, text)) = outline else {
        glance.error = Some(malformed("it is no JSON object"));
        return glance;
    };
    let member = |name| {
        let value = outline.find(&text, name)?.value(&text);
        (value != "null").then_some(value)
    };
    glance.error = failure(&Node::root("answer", &text), &text);
    if glance.error.is_some() {
        return glance;
    }
    let counts = member("usage");
    glance.usage =
        counts.and_then(|counts| usage::decode(&Node::root("usage", &counts), &usage::RESPONSES));
    glance.model = member("model").and_then(|model| Node::root("model", &model).as_string());
    if operation == Operation::Chat && member("output").is_none() {
        glance.error = Some(malformed("it has no output"));
    }
    glance
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{ErrorKind, Usage};

    use super::*;

    fn at(body: &'static str) -> Glance {
        glance(Operation::Chat, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn usage_and_model_are_seen_in_passing() {
        let glance = at(r#"{"id":"resp_1","model":"gpt-5.6","status":"completed","error":null,
                "output":[{"type":"message","content":[{"text":"\"usage\":{}"}]}],
                "usage":{"input_tokens":8,"output_tokens":2,"total_tokens":10}}"#);
        assert_eq!(glance.usage, Some(Usage::new(8, 2)));
        assert_eq!(glance.model.unwrap(), "gpt-5.6");
        assert!(glance.error.is_none());
    }

    #[test]
    fn a_failed_answer_is_an_error() {
        let kind = |body| at(body).error.unwrap().kind();
        let limited = r#"{"status":"failed","error":{"message":"slow","code":"rate_limit_exceeded"},"output":[]}"#;
        assert_eq!(kind(limited), ErrorKind::RateLimit);
        let policy = r#"{"error":{"message":"no","code":"bio_policy"},"output":[]}"#;
        assert_eq!(kind(policy), ErrorKind::ContentPolicy);
        let image = r#"{"error":{"message":"no","code":"image_too_large"},"output":[]}"#;
        assert_eq!(kind(image), ErrorKind::InvalidRequest);
        assert_eq!(kind(r#"{"status":"cancelled","output":[]}"#), ErrorKind::BadUpstream);
        assert!(at(r#"{"status":"queued","output":[]}"#).error.is_none());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let error = at("<html>502 Bad Gateway</html>").error.unwrap();
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
        assert!(at("").error.is_some());
        assert!(at(r#"{"output":[{"#).error.is_some());
        assert!(at(r#"{"detail":"no"}"#).error.is_some());
    }
}
