//! What a provider said of a failure: when its caller reads it word for word.

use ziggurat_core::{Dialect, Error, ErrorKind, Origin, ProviderError};

/// What a provider of this dialect said, if that is the caller's to read.
pub(crate) fn said_here(error: &Error, dialect: Dialect) -> Option<&ProviderError> {
    let said = error.said()?;
    let pass = error.origin() == Origin::Provider
        && said.dialect == Some(dialect)
        && !is_our_credential(error);
    pass.then_some(said)
}

/// Whether a provider refused the credential that this gateway presented: that is not the caller's doing.
pub(crate) fn is_our_credential(error: &Error) -> bool {
    error.origin() == Origin::Provider
        && matches!(error.kind(), ErrorKind::Authentication | ErrorKind::Permission)
}
