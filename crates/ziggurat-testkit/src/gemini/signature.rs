//! Signatures of thoughts: they come back as they left, or not at all.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::proto::bytes;

/// All fakes are one vendor: what one signed the others know.
const SECRET: &[u8] = b"a fake Google's secret";
/// What stands in for a signature in a history of another model's.
const SKIP: &str = "skip_thought_signature_validator";

/// Signs a thought.
pub(super) fn sign(seed: &str) -> String {
    STANDARD.encode([seed.as_bytes(), &seal(seed.as_bytes())].concat())
}

pub(super) fn is_known(signature: &str) -> bool {
    let decoded = bytes(signature).unwrap_or_default();
    let (seed, sealed) = decoded.split_at(decoded.len().saturating_sub(16));
    signature == SKIP || decoded == SKIP.as_bytes() || sealed == seal(seed)
}

fn seal(seed: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(SECRET);
    hash.update(seed);
    let mut seal = [0; 16];
    seal.copy_from_slice(&hash.finalize()[..16]);
    seal
}

#[cfg(test)]
mod tests {
    use super::{is_known, sign};

    #[test]
    fn only_its_own_signatures_are_known() {
        let signature = sign("1 0");
        assert!(is_known(&signature));
        assert!(!is_known(&format!("A{}", &signature[1..])) && !is_known("") && !is_known("AAAA"));
        assert!(
            is_known("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="),
            "the documented stand-in"
        );
    }
}
