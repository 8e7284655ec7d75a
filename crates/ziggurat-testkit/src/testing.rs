//! Asking vendors without a socket, for the unit tests.

use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;

use crate::{
    Recorded, Script, Vendor,
    script::{Answer, Manner},
};

/// An answer taken apart.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) events: Vec<String>,
    pub(crate) manner: Manner,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.events[0]).expect("a JSON body")
    }

    /// The data of all server-sent events but `[DONE]`.
    pub(crate) fn data(&self) -> Vec<Value> {
        let data = |event: &String| {
            let line = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
            serde_json::from_str(line).ok()
        };
        self.events.iter().filter_map(data).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// Asks a vendor.
pub(crate) fn ask(
    vendor: &impl Vendor,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Told {
    ask_as(vendor, 1, method, target, headers, body)
}

/// Asks a vendor, as the request of this number.
pub(crate) fn ask_as(
    vendor: &impl Vendor,
    number: u64,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Told {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    let request = Recorded {
        method,
        path: path.to_owned(),
        query,
        headers: headers.collect(),
        body: body.into(),
        connection: 1,
    };
    take_apart(vendor.answer(&request, number))
}

pub(crate) fn take_apart(script: Script) -> Told {
    let Script { answer: Answer::Reply(reply), manner } = script else {
        panic!("a vendor replies");
    };
    let mut headers = reply.headers;
    headers.extend(manner.headers.clone());
    let text = |event: &bytes::Bytes| String::from_utf8(event.to_vec()).unwrap();
    Told {
        status: reply.status.as_u16(),
        headers,
        events: reply.events.iter().map(text).collect(),
        manner,
    }
}
