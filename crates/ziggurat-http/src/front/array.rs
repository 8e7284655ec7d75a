//! Streams as one JSON array, as Gemini writes them to whoever does not ask for events.

use bytes::Bytes;

use ziggurat_dialects::framing::sse;

/// Turns events into the elements of an array.
#[derive(Debug, Default)]
pub(super) struct ArrayWriter {
    begun: bool,
}

impl ArrayWriter {
    /// The elements for whole events. Empty where the events say nothing.
    pub(super) fn write(&mut self, events: &Bytes) -> Bytes {
        let mut out = Vec::with_capacity(events.len());
        for event in sse::events(events) {
            let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
            out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
            out.extend_from_slice(&data);
            self.begun = true;
        }
        out.into()
    }

    /// What closes the array.
    pub(super) fn end(&self) -> Bytes {
        Bytes::from_static(if self.begun { b"]" } else { b"[]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_the_elements_of_one_array() {
        let mut writer = ArrayWriter::default();
        let mut out = Vec::new();
        for events in ["data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n", ": hm\n\n", "data: 3\n\n"]
        {
            out.extend_from_slice(&writer.write(&Bytes::from(events)));
        }
        out.extend_from_slice(&writer.end());
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, serde_json::json!([{"a": 1}, {"b": 2}, 3]));
        assert_eq!(ArrayWriter::default().end(), "[]");
    }
}
