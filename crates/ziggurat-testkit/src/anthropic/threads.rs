//! Threads: conversations that the vendor holds between calls, so that each sends only what is new.
//!
//! In beta; the facts are those in the vendor's own Python client, 2.12, whose tool runner uses
//! threads unless told otherwise.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use super::error::Fault;

const BETA: &str = "message-threads-";
/// What a thread keeps from the call that began it. A later call must not repeat it.
const KEPT: [&str; 2] = ["system", "tools"];
/// How many answers can be continued from; the oldest go first.
const MOST: usize = 1024;

/// The conversations, by the id of the answer that they end with.
#[derive(Debug, Default)]
pub(super) struct Threads(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    threads: HashMap<String, Thread>,
    order: VecDeque<String>,
}

#[derive(Clone, Debug)]
struct Thread {
    messages: Vec<Value>,
    kept: Map<String, Value>,
    continued: bool,
}

/// A call whose answer is to be held.
pub(super) struct Turn {
    /// The answer that it goes on from.
    previous: Option<String>,
    messages: Vec<Value>,
    kept: Map<String, Value>,
}

impl Threads {
    /// Makes a whole conversation of a request that continues one. `None` where nothing is held.
    pub(super) fn resume(
        &self,
        body: &mut Map<String, Value>,
        betas: &[String],
    ) -> Result<Option<Turn>, Fault> {
        let Some(asked) = body.get("thread").filter(|thread| !thread.is_null()).cloned() else {
            return Ok(None);
        };
        if !betas.iter().any(|beta| beta.starts_with(BETA)) {
            return Err(Fault::extra("thread"));
        }
        let previous = match (asked["type"].as_str(), asked["previous_message_id"].as_str()) {
            (Some("create"), None) => None,
            (Some("continue"), Some(id)) => Some(self.find(id, body)?),
            _ => return Err(Fault::at("thread", "Input should be a thread to create or continue")),
        };
        let messages = body.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
        let kept =
            KEPT.iter().filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())));
        Ok(Some(Turn { previous, messages, kept: kept.collect() }))
    }

    /// Puts what is held of a conversation into the request that continues it.
    fn find(&self, id: &str, body: &mut Map<String, Value>) -> Result<String, Fault> {
        let held = self.lock();
        let Some(thread) = held.threads.get(id) else {
            let message = "No thread was found for `previous_message_id`.";
            return Err(Fault::not_found(message).detailed("thread_not_found"));
        };
        if thread.continued {
            let message = "The response has already been continued.".to_owned();
            return Err(Fault::invalid(message).detailed("thread_already_continued"));
        }
        if let Some(repeated) = KEPT.iter().find(|name| body.contains_key(**name)) {
            let fault = Fault::at(repeated, "must not be sent when continuing a thread");
            return Err(fault.detailed("thread_fingerprint_mismatch"));
        }
        let new = body.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
        body.insert("messages".to_owned(), [thread.messages.clone(), new].concat().into());
        body.extend(thread.kept.clone());
        Ok(id.to_owned())
    }

    /// Holds a conversation, ending with this answer, under the answer's id.
    pub(super) fn hold(&self, mut turn: Turn, id: String, content: Value) {
        turn.messages.push(json!({"role": "assistant", "content": content}));
        let thread = Thread { messages: turn.messages, kept: turn.kept, continued: false };
        let mut held = self.lock();
        if let Some(previous) = turn.previous.and_then(|id| held.threads.get_mut(&id)) {
            previous.continued = true;
        }
        held.order.push_back(id.clone());
        held.threads.insert(id, thread);
        if held.order.len() > MOST
            && let Some(oldest) = held.order.pop_front()
        {
            held.threads.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
