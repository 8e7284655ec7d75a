//! State that only the model can read which made it, on its way through callers of this dialect.
//!
//! Redacted reasoning is bytes here, so that a mark of its origin is inside the base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ziggurat_core::Str;

use crate::origin::{self, MARK};

/// What base64 of a [`MARK`] begins with, up to where the next byte tells.
pub(super) const MARK_BASE64: &str = "emlnMS";

/// Redacted reasoning as the superset holds it: marked in the open, else as it came.
pub(super) fn read_redacted(data: &Str) -> Str {
    let marked = data.starts_with(MARK_BASE64).then(|| STANDARD.decode(data.as_bytes()).ok());
    let marked = marked.flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    match marked.filter(|text| text.starts_with(MARK)) {
        Some(marked) => marked.into(),
        None => data.clone(),
    }
}

/// Redacted reasoning as a caller gets it who may ask another model next.
pub(super) fn write_redacted(origin: Option<&str>, data: &str) -> String {
    match origin {
        Some(_) => STANDARD.encode(origin::mark(origin, data).as_bytes()),
        None if is_base64(data) => data.to_owned(),
        // Whatever it is, here it is bytes.
        None => STANDARD.encode(data.as_bytes()),
    }
}

/// Whether a text can be base64, told without reading it.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() < 3
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_being_bytes() {
        let sent = write_redacted(Some("claude"), "EqQB");
        assert!(sent.starts_with(MARK_BASE64));
        assert!(STANDARD.decode(&sent).is_ok());
        let read = read_redacted(&sent.into());
        assert_eq!(origin::origin(&read), origin::Origin::Model("claude".into(), "EqQB"));
        assert_eq!(read_redacted(&"EqQB".into()), "EqQB");
        assert_eq!(write_redacted(None, "EqQB"), "EqQB");
        assert_eq!(write_redacted(None, "AA@A"), STANDARD.encode("AA@A"));
    }
}
