//! A call turned to another model.

use ziggurat_core::{Call, Chat, FallbackTarget, RawJson};

/// Members that say what the call is: the target's own name is set in another way, and what is streamed stays streamed.
const FIXED: [&str; 2] = ["model", "stream"];

/// The same call for another model, with what the target sets.
pub(super) fn redirect(call: &Call, target: &FallbackTarget) -> Call {
    let mut call = call.clone();
    call.set_model(target.model.clone());
    let params = || target.params.iter().filter(|(name, _)| !FIXED.contains(&name.as_str()));
    if params().next().is_none() {
        return call;
    }
    if call.payload().dialect().is_some() {
        params().for_each(|(name, value)| call.payload_mut().set(name.clone(), value.clone()));
        return call;
    }
    call.with_chat(|chat| params().for_each(|(name, value)| set(chat, name, value)))
}

/// Sets a parameter of a conversation that was built in code, by OpenAI's name; others are the provider's own.
fn set(chat: &mut Chat, name: &str, value: &RawJson) {
    let text = value.get().trim();
    match name {
        "temperature" => chat.sampling.temperature = text.parse().ok(),
        "top_p" => chat.sampling.top_p = text.parse().ok(),
        "top_k" => chat.sampling.top_k = text.parse().ok(),
        "seed" => chat.sampling.seed = text.parse().ok(),
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
            chat.max_output_tokens = text.parse().ok();
        }
        _ => {
            chat.extras.members.retain(|(known, _)| *known != *name);
            chat.extras.push(name.into(), value.clone());
        }
    }
}
