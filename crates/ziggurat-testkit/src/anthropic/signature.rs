//! Signatures of thinking blocks: a block comes back only as it left.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::models::undated;

/// All fakes are one vendor: what one signed the others know.
const SECRET: &[u8] = b"a fake vendor's secret";

/// Signs thinking for the model that thought it.
pub(super) fn sign(model: &str, thinking: &str) -> String {
    let mut hash = Sha256::new();
    for part in [SECRET, undated(model).as_bytes(), thinking.as_bytes()] {
        // With its length, so that no two lists of parts look the same.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}

pub(super) fn is_signed(model: &str, thinking: &str, signature: &str) -> bool {
    sign(model, thinking) == signature
}

/// What stands in `data` of a redacted block.
pub(super) fn redact(model: &str) -> String {
    sign(model, "redacted")
}

#[cfg(test)]
mod tests {
    use super::{is_signed, sign};

    #[test]
    fn a_signature_is_bound_to_text_and_model() {
        let signature = sign("claude-sonnet-4-5", "Hm.");
        assert!(is_signed("claude-sonnet-4-5-20250929", "Hm.", &signature), "snapshots share it");
        assert!(!is_signed("claude-sonnet-4-5", "Hm", &signature));
        assert!(!is_signed("claude-opus-4-5", "Hm.", &signature));
    }
}
