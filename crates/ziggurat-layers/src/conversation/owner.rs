use std::fmt;

use ziggurat_core::Call;

use crate::credentials::credentials;

/// Whose an answer is: a digest of the caller's key, or of the credentials of a caller without one. No secret can be read out of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner([u8; 32]);

impl Owner {
    /// Who makes this call.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let mut digest = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        match call.caller().key().filter(|key| !key.is_empty()) {
            Some(key) => {
                add(b"key");
                add(key.as_bytes());
            }
            None => {
                add(b"credentials");
                for (name, value) in credentials(call) {
                    add(name.as_bytes());
                    add(value);
                }
            }
        }
        Self(*digest.finalize().as_bytes())
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}
