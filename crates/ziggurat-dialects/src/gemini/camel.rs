//! Names of members: `inlineData`, and `inline_data` for the same, as the format's own rules allow (protobuf's JSON mapping).

use ziggurat_core::Error;

use crate::json::{self, At, Fields};

/// The name in camel case, if it is not in that already.
pub(crate) fn camel(name: &str) -> Option<String> {
    if !name.contains('_') {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for char in name.chars() {
        match char {
            '_' => upper = !out.is_empty(),
            char if upper => {
                out.push(char.to_ascii_uppercase());
                upper = false;
            }
            char => out.push(char),
        }
    }
    Some(out)
}

/// The members of an object, by their names in camel case.
pub(super) fn object<'a>(raw: &'a str, at: At<'_>) -> Result<Fields<'a>, Error> {
    json::read::<Fields<'a>>(raw, at, "an object").map(|fields| fields.renamed(camel))
}

/// The members of an object that is one; of anything else none.
pub(super) fn members(raw: &str) -> Fields<'_> {
    serde_json::from_str::<Fields<'_>>(raw).unwrap_or_default().renamed(camel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        for (name, expected) in [
            ("inline_data", "inlineData"),
            ("generation_config", "generationConfig"),
            ("top_p", "topP"),
            ("_x", "x"),
            ("a__b_", "aB"),
        ] {
            assert_eq!(camel(name).as_deref(), Some(expected));
        }
        assert_eq!(camel("inlineData"), None);
    }
}
