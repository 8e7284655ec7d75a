//! What is shared and not copied: bodies, and what was decoded of them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use ziggurat_core::{Call, CallHead, Content, Operation, Payload, Str};
use ziggurat_dialects::{ANTHROPIC, OPENAI};

fn vision(image: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
    ))
}

#[test]
fn a_clone_of_a_call_shares_its_body_and_what_was_decoded_of_it() {
    let body = vision("iVBORw0KGgo=");
    let payload = Payload::wire(OPENAI, Operation::Chat, body.clone()).unwrap();
    let id = Str::from("call");
    let head =
        CallHead::new(Method::POST, Uri::default(), HeaderMap::new(), Some(OPENAI), id.clone(), id);
    let call = Call::new(Arc::new(head), "m", false, payload);
    let clone = call.clone();
    assert_eq!(clone.payload().bytes().unwrap().as_ptr(), body.as_ptr());
    // The clone decodes, the first finds it done.
    let decoded = clone.payload().chat().unwrap();
    assert!(Arc::ptr_eq(decoded, call.payload().chat().unwrap()));
}

#[test]
fn a_body_that_cannot_be_decoded_is_remembered_as_such() {
    let body = Bytes::from_static(br#"{"model":"m","messages":"no list"}"#);
    for dialect in [OPENAI, ANTHROPIC] {
        let payload = Payload::wire(dialect, Operation::Chat, body.clone()).unwrap();
        let first = payload.chat().unwrap_err();
        let second = payload.clone().chat().unwrap_err();
        assert_eq!(first.status(), 400);
        assert_eq!(first.message().as_ptr(), second.message().as_ptr());
    }
}

#[test]
fn a_large_image_is_decoded_without_a_copy() {
    let body = vision(&"iVBORw0KGgoA".repeat(1 << 18));
    let payload = Payload::wire(OPENAI, Operation::Chat, body.clone()).unwrap();
    let chat = payload.chat().unwrap();
    let Content::Image { source, .. } = &chat.messages[0].parts[0].content else {
        panic!("the part is an image");
    };
    let data = match source {
        ziggurat_core::Source::Base64 { data, .. } => data,
        other => panic!("{other:?}"),
    };
    assert_eq!(data.len(), 12 << 18);
    assert!(body.as_ptr_range().contains(&data.as_ptr()));
}
