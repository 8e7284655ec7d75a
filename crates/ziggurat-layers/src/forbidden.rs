//! A model that a caller may not use.

use ziggurat_core::{Error, ErrorKind};

pub(crate) fn forbidden(model: &str) -> Error {
    let message = format!("this key may not use the model `{}`", printable(model));
    Error::new(ErrorKind::Permission, message).with_param("model")
}

/// A name as it may stand in a message.
pub(crate) fn printable(name: &str) -> String {
    let mut text: String = name.chars().take(100).filter(|c| !c.is_control()).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}
