//! Errors: read, and written for a caller of each dialect.

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ziggurat_core::{CutOptions, Dialect, Error, Event, Origin, Restore};

use crate::framing::cut;
use crate::world::{DIALECTS, assert_bounded, assert_object};

const STATUSES: &[u16] = &[
    302, 400, 401, 402, 403, 404, 408, 409, 413, 422, 424, 429, 499, 500, 502, 503, 504, 529, 999,
];
const HEADERS: [HeaderName; 3] = [
    RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
];

/// A provider's error in `dialect`, under any status and with the first line as the headers that tell when to come back:
/// whatever it says, it can be written for any caller, whole and into a stream.
pub(crate) fn error(dialect: Dialect, data: &[u8]) {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let value = HeaderValue::from_bytes(line).ok();
    let mut headers: HeaderMap = HEADERS
        .into_iter()
        .zip(std::iter::repeat(value))
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    // A date tells when to come back by the answer's own.
    headers.insert(DATE, HeaderValue::from_static("Fri, 02 Jan 2026 03:04:05 GMT"));
    for status in STATUSES {
        let status = StatusCode::from_u16(*status).expect("all of them are statuses");
        let body = Bytes::copy_from_slice(data);
        let error = dialect.decode_error(status, &headers, body);
        assert_eq!(error.origin(), Origin::Provider);
        assert_eq!(error.provider_status(), Some(status));
        assert_told(&error, data.len());
    }
}

/// An error can be told to any caller, who reads that it is one.
#[track_caller]
pub(crate) fn assert_told(error: &Error, input: usize) {
    for caller in DIALECTS {
        let (status, body) = caller.encode_error(error, Some("request-1"));
        assert!(status.as_u16() >= 400, "{caller}: {status} says success, {error:?}");
        let passed = error.said().is_some_and(|said| said.dialect == Some(caller));
        if !passed {
            assert_object(&body);
        }
        assert_bounded(input, body.len());
        let _ = caller.decode_error(status, &HeaderMap::new(), body);

        let event = caller.encode_stream_error(error, Some("request-1"));
        assert_bounded(input, event.len());
        let (frames, cut_short) =
            cut(caller.cutter(&CutOptions::default()).as_mut(), [event.clone()]);
        assert!(cut_short.is_none() || passed, "{caller}: {cut_short:?}, {}", event.escape_ascii());
        let mut decoder = caller.decoder(&Restore::default());
        let mut events = Vec::new();
        let read = frames.iter().try_for_each(|frame| decoder.decode(frame.bytes(), &mut events));
        if passed && read.is_err() {
            // What a provider of the same dialect said goes on as it is, even if it is no JSON.
            continue;
        }
        let failed = events.iter().filter(|event| matches!(event, Event::Error(_))).count();
        assert_eq!(failed, 1, "{caller}: {read:?} {events:?}, {}", event.escape_ascii());
    }
}
