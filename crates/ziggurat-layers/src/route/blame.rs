//! Whose fault it was.

use ziggurat_core::{Error, ErrorKind, Origin};

/// Whose fault an error was: decided by its kind and its origin, never by its text.
///
/// ```
/// use ziggurat_core::{Error, ErrorKind, ProviderError};
/// use ziggurat_layers::route::Blame;
///
/// let said = |kind| Error::provider(kind, "no", ProviderError::default());
/// assert_eq!(Blame::of(&said(ErrorKind::Overloaded)), Blame::Provider);
/// assert_eq!(Blame::of(&said(ErrorKind::Authentication)), Blame::Credential);
/// assert_eq!(Blame::of(&said(ErrorKind::ContextLength)), Blame::Nobody);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The provider broke, or is busy.
    Provider,
    /// Our credential is wrong, not allowed, or has no credit left.
    Credential,
    /// The provider does not know the model or the path.
    Missing,
    /// Nothing speaks against the deployment: the caller erred or left, or somebody above gave up.
    Nobody,
}

impl Blame {
    /// Whose fault this was.
    ///
    /// An error that the gateway itself raises speaks against a deployment only when it names one: a caller's deadline that
    /// passes is no fault of the deployment's.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.origin() {
            Origin::Provider => {}
            Origin::Gateway if error.deployment().is_some() => {}
            _ => return Self::Nobody,
        }
        match error.kind() {
            ErrorKind::Server
            | ErrorKind::BadUpstream
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::RateLimit => Self::Provider,
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::Billing
            | ErrorKind::QuotaExhausted => Self::Credential,
            ErrorKind::NotFound => Self::Missing,
            _ => Self::Nobody,
        }
    }
}
