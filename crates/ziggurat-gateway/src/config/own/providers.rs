//! `ziggurat.providers`: providers as rows of data.

use serde_json::Value;
use ziggurat_providers::Providers;

use crate::config::read::{At, Reader};

/// Reads a list of rows, as [`Providers`] has them, over those that are built in.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Providers> {
    let rows = reader.json(at)?;
    if !matches!(rows, Value::Array(_)) {
        return reader.mismatch(at, "a sequence of providers");
    }
    match Providers::builtin().with(&rows.to_string()) {
        Ok(providers) => Some(providers),
        Err(why) => {
            reader.error(at, why.to_string());
            None
        }
    }
}
