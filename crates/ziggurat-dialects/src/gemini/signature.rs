//! Thought signatures: opaque state that goes back to the model that made it, and to no other.
//!
//! The member holds bytes in base64, and clients check that. A mark of the gateway's is told to them in base64, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ziggurat_core::Str;

use crate::origin::{self, MARK, Origin};

/// Stands in for the signature of a call that another model made: the provider does not check it then (ai.google.dev, "Thought
/// signatures"). `skip_thought_signature_validator`, in base64.
pub(super) const SKIP: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// How the base64 of a mark begins.
pub(super) const MARK_BASE64: &str = "emlnMS";

/// The signature in a caller's words: a mark of the gateway's is unpacked.
pub(super) fn read(signature: Str) -> Str {
    if !signature.starts_with(MARK_BASE64) {
        return signature;
    }
    let marked = STANDARD.decode(signature.as_bytes()).ok();
    match marked.and_then(|marked| String::from_utf8(marked).ok()) {
        Some(marked) if marked.starts_with(MARK) => marked.into(),
        _ => signature,
    }
}

/// The signature for a caller, with the mark of `model` if it comes from a model of another dialect.
pub(super) fn write(signature: &str, model: Option<&str>) -> String {
    let marked = origin::mark(model, signature);
    if marked.starts_with(MARK) { STANDARD.encode(marked.as_bytes()) } else { marked.into_owned() }
}

/// What goes to `model` of a signature: itself if nobody marked it, or if this model made it.
pub(super) fn for_model<'a>(signature: &'a str, model: &str) -> Option<&'a str> {
    match origin::origin(signature) {
        Origin::Unknown => Some(signature).filter(|signature| !signature.is_empty()),
        Origin::Ours => None,
        Origin::Model(name, made) => (name == model).then_some(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_base64_for_clients_and_known_again() {
        let told = write("EqQB", Some("claude-opus-5"));
        assert!(told.starts_with(MARK_BASE64));
        let back = read(Str::from(told));
        assert_eq!(for_model(&back, "claude-opus-5"), Some("EqQB"));
        assert_eq!(for_model(&back, "gemini-3-pro"), None);
        assert_eq!(write("EqQB", None), "EqQB");
        let own = Str::from("Q2lRQg==");
        assert_eq!(for_model(&read(own), "m"), Some("Q2lRQg=="));
        assert_eq!(read(Str::from("emlnMS?")), "emlnMS?");
        assert_eq!(for_model("zig1.bQ==", "m"), None);
    }

    #[test]
    fn what_stands_in_for_a_signature_is_base64() {
        assert_eq!(STANDARD.decode(SKIP).unwrap(), b"skip_thought_signature_validator");
    }
}
