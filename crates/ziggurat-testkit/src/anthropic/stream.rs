//! The answer as named events.

use bytes::Bytes;

use super::{
    Context,
    reply::{Block, blocks, frame, stop_details, stop_reason, stop_sequence, usage},
};
use crate::{
    json::{Json, obj},
    prompt::{Speech, halves, word_by_word},
};

pub(super) struct Events {
    pub(super) events: Vec<Bytes>,
    /// How many events there are up to the second delta, or up to the last of fewer.
    pub(super) two_deltas: usize,
}

pub(super) fn events(context: &Context, speech: &Speech) -> Events {
    let start = frame(context, Vec::new())
        .with("stop_reason", Json::NULL)
        .with("stop_sequence", Json::NULL)
        .with("usage", usage(speech, 1));
    let mut events = vec![event("message_start", obj! { "message": start })];
    let ping = event("ping", obj! {});
    let mut two_deltas = 1;
    let mut deltas = 0;
    for (index, block) in blocks(context, speech).into_iter().enumerate() {
        let (opening, pieces) = in_pieces(&block);
        let opening = obj! { "index": index, "content_block": opening };
        events.push(event("content_block_start", opening));
        if index == 0 {
            events.push(ping.clone());
        }
        for delta in pieces {
            events.push(event("content_block_delta", obj! { "index": index, "delta": delta }));
            deltas += 1;
            if deltas <= 2 {
                two_deltas = events.len();
            }
        }
        events.push(event("content_block_stop", obj! { "index": index }));
    }
    if events.len() == 1 {
        events.push(ping);
    }
    let mut delta = obj! {
        "stop_reason": stop_reason(speech),
        "stop_sequence": stop_sequence(speech),
    };
    if let Some(details) = stop_details(speech) {
        delta = delta.with("stop_details", details);
    }
    let usage = usage(speech, speech.usage.output);
    events.push(event("message_delta", obj! { "delta": delta, "usage": usage }));
    events.push(event("message_stop", obj! {}));
    Events { events, two_deltas }
}

/// A block as it opens, and its deltas.
fn in_pieces(block: &Block<'_>) -> (Json, Vec<Json>) {
    match block {
        Block::Thinking { thinking, signature } => {
            let opening = obj! { "type": "thinking", "thinking": "", "signature": "" };
            let words = word_by_word(thinking).into_iter();
            let deltas = words.map(|word| obj! { "type": "thinking_delta", "thinking": word });
            let signature = obj! { "type": "signature_delta", "signature": signature.as_str() };
            (opening, deltas.chain([signature]).collect())
        }
        Block::Redacted { data } => {
            (obj! { "type": "redacted_thinking", "data": data.as_str() }, Vec::new())
        }
        Block::Text(text) => {
            let words = word_by_word(text).into_iter();
            let deltas = words.map(|word| obj! { "type": "text_delta", "text": word });
            (obj! { "type": "text", "text": "" }, deltas.collect())
        }
        Block::Call { id, name, input } => {
            let opening =
                obj! { "type": "tool_use", "id": id.as_str(), "name": *name, "input": obj! {} };
            let (first, second) = if *input == "{}" { ("", "") } else { halves(input) };
            let rest = [first, second].into_iter().filter(|piece| !piece.is_empty());
            let delta = |json| obj! { "type": "input_json_delta", "partial_json": json };
            (opening, [""].into_iter().chain(rest).map(delta).collect())
        }
    }
}

/// An event; its data begin with its name.
fn event(name: &'static str, members: Json) -> Bytes {
    let mut data = obj! { "type": name };
    if let Json::Object(members) = members {
        for (name, value) in members {
            data = data.with(name, value);
        }
    }
    format!("event: {name}\ndata: {data}\n\n").into()
}
