//! Vectors of texts: the same for the same text, and of length one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::json::Json;

/// How many tokens a text has, roughly.
pub(crate) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4).max(1)
}

/// The vector of a text: this many numbers.
pub(crate) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(dimensions);
    for block in 0_u32.. {
        if numbers.len() >= dimensions {
            break;
        }
        let digest = Sha256::new().chain_update(block.to_le_bytes()).chain_update(text).finalize();
        numbers.extend(digest.iter().map(|byte| f32::from(*byte) - 127.5));
    }
    numbers.truncate(dimensions);
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    numbers.iter().map(|number| number / length).collect()
}

/// As a list.
pub(crate) fn list(vector: &[f32]) -> Json {
    Json::from(vector.iter().map(|number| Json::from(f64::from(*number))).collect::<Vec<_>>())
}

/// As base64.
pub(crate) fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
