//! What a gateway reads of a whole answer in passing.

use bytes::Bytes;
use ziggurat_core::{Glance, Operation, Outline, ServiceTier, Str};

use crate::json;
use crate::node::Node;
use crate::openai::OPENAI;
use crate::openai_api::{error, malformed, usage};

/// Reads usage, model and error of a whole answer: one pass over its top level, and nothing is built.
pub(in crate::openai) fn glance(operation: Operation, body: &Bytes) -> Glance {
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
    let (failed, usage, model) = (member("error"), member("usage"), member("model"));
    let choices = member("choices");
    if let Some(failed) = &failed {
        glance.error = Some(error::in_stream(OPENAI, &Node::root("error", failed), &text));
        return glance;
    }
    glance.usage =
        usage.and_then(|usage| usage::decode(&Node::root("usage", &usage), &usage::CHAT));
    if let (Some(usage), Some(tier)) = (&mut glance.usage, member("service_tier")) {
        usage.tier = json::shared_text(&tier, &tier).and_then(|tier| ServiceTier::parse(&tier));
    }
    glance.model = model.and_then(|model| Node::root("model", &model).as_string());
    if operation == Operation::Chat && choices.is_none() {
        glance.error = Some(malformed("it has no choices"));
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
        let glance =
            at(r#"{"id":"x","model":"gpt-5.6","choices":[{"message":{"content":"\"usage\":{}"}}],
                "usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#);
        assert_eq!(glance.usage, Some(Usage::new(8, 2)));
        assert_eq!(glance.model.unwrap(), "gpt-5.6");
        assert!(glance.error.is_none());
        let tier = at(r#"{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":8}}"#);
        assert_eq!(tier.usage.unwrap().tier, Some(ServiceTier::Flex));
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        let kind = |body| at(body).error.unwrap().kind();
        let limited = r#"{"error":{"message":"slow down","code":429},"choices":[]}"#;
        assert_eq!(kind(limited), ErrorKind::RateLimit);
        assert_eq!(kind(r#"{"error":"it broke"}"#), ErrorKind::BadUpstream);
        assert!(at(r#"{"error":null,"choices":[]}"#).error.is_none());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let error = at("<html>502 Bad Gateway</html>").error.unwrap();
        assert_eq!(error.kind(), ErrorKind::BadUpstream);
        assert!(at("").error.is_some());
        assert!(at(r#"{"choices":[{"#).error.is_some());
        assert!(at(r#"{"detail":"no"}"#).error.is_some());
    }
}
