//! Calls through two dialects, without a network.

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::{
    Ask, Capabilities, Changes, CutOptions, Cutter, Dialect, Effort, Error, Event, Frame,
    LossPolicy, Losses, Members, Operation, Restore, Str, StreamDecoder, Target,
};

use crate::wire;

/// The dialect of this name.
pub(crate) fn dialect(name: &str) -> Dialect {
    ziggurat_dialects::named(name).unwrap_or_else(|| panic!("there is no dialect `{name}`"))
}

/// How a call is translated.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The caller's dialect.
    pub(crate) caller: Dialect,
    /// The provider's dialect.
    pub(crate) provider: Dialect,
    /// The model, as its provider calls it.
    pub(crate) model: String,
    pub(crate) capabilities: Capabilities,
    pub(crate) policy: LossPolicy,
    pub(crate) restore: Restore,
    pub(crate) show_reasoning: bool,
}

/// What came out, and what was lost on the way.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) body: Bytes,
    pub(crate) losses: Vec<String>,
    pub(crate) restore: Restore,
}

impl Out {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Setting {
    pub(crate) fn new(caller: Dialect, provider: Dialect) -> Self {
        Self {
            caller,
            provider,
            model: "m".to_owned(),
            capabilities: Capabilities::default(),
            policy: LossPolicy::Default,
            restore: Restore::default(),
            show_reasoning: true,
        }
    }

    pub(crate) fn capabilities(mut self, changes: &Value) -> Self {
        let c = &mut self.capabilities;
        for (name, value) in changes.as_object().unwrap() {
            let flag = || value.as_bool().unwrap();
            match name.as_str() {
                "sampling" => c.sampling = flag(),
                "temperature_with_top_p" => c.temperature_with_top_p = flag(),
                "prefill" => c.prefill = flag(),
                "thinking_budget" => c.thinking_budget = flag(),
                "thinking_adaptive" => c.thinking_adaptive = flag(),
                "thinking_off" => c.thinking_off = flag(),
                "thinking_between_tools" => c.thinking_between_tools = flag(),
                "reasoning_model" => c.reasoning_model = flag(),
                "reasoning" => c.reasoning = flag(),
                "forced_tools" => c.forced_tools = flag(),
                "mid_system" => c.mid_system = flag(),
                "structured_output" => c.structured_output = flag(),
                "stop" => c.stop = flag(),
                "cache_marks" => c.cache_marks = flag(),
                "penalties" => c.penalties = flag(),
                "output_with_tools" => c.output_with_tools = flag(),
                "signed_calls" => c.signed_calls = flag(),
                "least_budget" => c.least_budget = value.as_u64(),
                "most_budget" => c.most_budget = value.as_u64(),
                "max_output" => c.max_output = value.as_u64(),
                "efforts" => {
                    let efforts = value.as_array().unwrap().iter();
                    let effort = |word: &Value| Effort::parse(word.as_str().unwrap()).unwrap();
                    c.efforts = efforts.map(effort).collect();
                }
                other => panic!("there is no capability `{other}`"),
            }
        }
        self
    }

    pub(crate) fn restoring(mut self, changes: &Value) -> Self {
        let mut restore = Changes::default();
        let text = |value: &Value| Str::from(value.as_str().unwrap());
        if let Some(names) = changes["tool_names"].as_object() {
            restore.tool_names =
                names.iter().map(|(sent, own)| (Str::from(sent.as_str()), text(own))).collect();
        }
        if let Some(tools) = changes["custom_tools"].as_array() {
            restore.custom_tools = tools.iter().map(text).collect();
        }
        restore.answer_tool = changes.get("answer_tool").map(text);
        restore.strip_fence = changes["strip_fence"] == true;
        let stops = changes["stop"].as_array().into_iter().flatten();
        restore.stop = stops.map(text).collect();
        self.restore = Restore::new(restore);
        self
    }

    /// A request on its way to the provider.
    pub(crate) fn request(&self, operation: Operation, body: &str) -> Result<Out, Error> {
        let members = Members::parse(Str::from(body))?;
        let typed = self.caller.decode_request(operation, &members)?;
        let target = Target::new(&self.model, &self.capabilities, Some(self.caller));
        let mut losses = Losses::under(self.policy);
        let request = self.provider.encode_request(&typed, &target, &mut losses)?;
        let losses = told(&losses);
        Ok(Out { body: request.body, losses, restore: request.restore })
    }

    /// A whole answer on its way back.
    pub(crate) fn reply(&self, operation: Operation, body: &str) -> Result<Out, Error> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = self.provider.decode_reply(operation, &body, &self.restore)?;
        let mut losses = Losses::default();
        let body = self.caller.encode_reply(&answer, &self.ask(operation), &mut losses)?;
        Ok(Out { body, losses: told(&losses), restore: Restore::default() })
    }

    /// A stream on its way back, in pieces of this size. Where it is no text it is written as text, event by event.
    pub(crate) fn stream(&self, stream: &str, piece: usize) -> String {
        let mut cutter = self.provider.cutter(&CutOptions::default());
        let decoded = self.cut(stream, piece, cutter, Some(self.provider.decoder(&self.restore)));
        cutter = self.provider.cutter(&CutOptions::default());
        if cutter.carry_events(&self.restore) {
            assert_eq!(self.cut(stream, piece, cutter, None), decoded, "the cutter's own events");
        }
        decoded
    }

    /// The same, its events read by the decoder, or by the cutter where there is none.
    fn cut(
        &self,
        stream: &str,
        piece: usize,
        mut cutter: Box<dyn Cutter>,
        mut decoder: Option<Box<dyn StreamDecoder>>,
    ) -> String {
        let stream = wire::sent(self.provider, stream);
        let mut encoder = self.caller.encoder(&self.ask(Operation::Chat));
        let mut out = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut read = |frame: Frame, events: &mut Vec<Event>| match &mut decoder {
            Some(decoder) => decoder.decode(frame.bytes(), events).err(),
            None => {
                events.extend_from_slice(frame.events().unwrap_or_default());
                None
            }
        };
        let mut failed = None;
        let mut ended = false;
        let mut feed = |events: &mut Vec<Event>, out: &mut Vec<u8>| {
            for event in events.drain(..) {
                ended |= matches!(event, Event::End | Event::Error(_));
                encoder.encode(&event, out);
            }
            ended
        };
        'stream: for piece in stream.chunks(piece.max(1)) {
            cutter.push(Bytes::copy_from_slice(piece));
            loop {
                match cutter.next_frame() {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        failed = read(frame, &mut events);
                        feed(&mut events, &mut out);
                    }
                    Err(error) => failed = Some(error),
                }
                if failed.is_some() {
                    break 'stream;
                }
            }
        }
        if failed.is_none() {
            match cutter.finish() {
                Ok(Some(frame)) => failed = read(frame, &mut events),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            if let Some(decoder) = decoder.as_mut().filter(|_| failed.is_none()) {
                decoder.finish(&mut events);
            }
        }
        let ended = feed(&mut events, &mut out);
        if let Some(error) = failed.filter(|_| !ended) {
            out.extend_from_slice(&self.caller.encode_stream_error(&error, None));
        }
        wire::readable(self.caller, out)
    }

    fn ask(&self, operation: Operation) -> Ask {
        let mut ask = Ask::new(operation, "m");
        ask.call_id = Str::from("1");
        ask.created = 1_767_323_045;
        ask.stream_usage = true;
        ask.show_reasoning = self.show_reasoning;
        ask
    }
}

fn told(losses: &Losses) -> Vec<String> {
    losses.found().iter().map(|loss| format!("{loss} ({})", loss.reason)).collect()
}

/// A provider's error on its way to the caller: status and body.
pub(crate) fn error(provider: Dialect, caller: Dialect, status: u16, body: &str) -> (u16, Value) {
    let status = http::StatusCode::from_u16(status).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let error = provider.decode_error(status, &http::HeaderMap::new(), body);
    let (status, body) = caller.encode_error(&error, Some("req_1"));
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

/// The data of a stream's events.
pub(crate) fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}
