//! The names of keys.

use std::fmt::Write as _;

use ziggurat_layers::rate_limit::LeaseDimension;

/// Keys may be texts of the caller's.
const LONGEST: usize = 256;

/// The hash and the leases of a dimension, in the slot of its group.
pub(super) fn pair(
    prefix: &str,
    group: Option<&str>,
    dimension: &LeaseDimension<'_>,
) -> [String; 2] {
    let group = escape(group.unwrap_or("all"));
    // An empty tag is none, and an escaped name is never one character that is not in it.
    let group = if group.is_empty() { "%" } else { &group };
    let mut name = escape(dimension.name);
    name.push(':');
    name.push_str(&escape(dimension.key));
    if !dimension.of.is_empty() {
        name.push(':');
        name.push_str(&escape(dimension.of));
    }
    if name.len() > LONGEST {
        name = format!("%{}", blake3::hash(name.as_bytes()).to_hex());
    }
    ["h", "l"].map(|what| format!("{prefix}limit:{{{group}}}:{what}:{name}"))
}

/// Without what parts a name or a tag.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '%' | ':' | '{' | '}' | ' ') {
            // A write to a string does not fail.
            let _ = write!(escaped, "%{:02x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_cannot_be_made_to_meet() {
        assert_eq!(escape("a:b{c}%d"), "a%3ab%7bc%7d%25d");
        assert_ne!(escape("%3a"), escape(":"));
    }
}
