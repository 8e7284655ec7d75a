//! Where `os.environ/NAME` is looked up.

use std::collections::{BTreeMap, HashMap};
use std::env::VarError;
use std::fmt;

use super::Secret;

/// The environment that a configuration refers to; given to [`load`](super::load) so that tests
/// and embedders can bring their own.
pub trait Environment {
    /// The value of a variable.
    ///
    /// # Errors
    ///
    /// Returns [`VarError`] when the variable is not set, or is not Unicode.
    fn var(&self, name: &str) -> Result<String, VarError>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

/// The `environment_variables` of a configuration.
///
/// They are looked at before the process environment and never written into it. Code that has a
/// variable of its own to read (a provider's customary `OPENAI_API_KEY`, for one) asks through
/// [`Variables::over`], so that the file can set it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, Secret>);

/// Variables of a configuration over the environment; made by [`Variables::over`].
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    variables: &'a Variables,
    beneath: &'a dyn Environment,
}

// === impl Environment ===

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Result<String, VarError> {
        // `std::env::var` takes such a name for a mistake of the operating system's.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(VarError::NotPresent);
        }
        std::env::var(name)
    }
}

impl Environment for HashMap<String, String> {
    fn var(&self, name: &str) -> Result<String, VarError> {
        self.get(name).cloned().ok_or(VarError::NotPresent)
    }
}

impl Environment for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Result<String, VarError> {
        self.get(name).cloned().ok_or(VarError::NotPresent)
    }
}

// === impl Variables ===

impl Variables {
    /// These variables, and where they have none of a name, those of `beneath`.
    #[must_use]
    pub fn over<'a>(&'a self, beneath: &'a dyn Environment) -> Overlay<'a> {
        Overlay { variables: self, beneath }
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn set(&mut self, name: String, value: Secret) {
        self.0.insert(name, value);
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

// === impl Overlay ===

impl Environment for Overlay<'_> {
    fn var(&self, name: &str) -> Result<String, VarError> {
        match self.variables.0.get(name) {
            Some(value) => Ok(value.expose().to_owned()),
            None => self.beneath.var(name),
        }
    }
}

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Overlay").field(self.variables).finish()
    }
}
