use std::{fmt, sync::Arc};

/// Why a command was not answered.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<Arc<str>>,
}

/// What is to be done about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no connection, and the command was not sent.
    Away,
    /// No answer came in time. The command may have been carried out.
    Slow,
    /// The connection broke. The command may have been carried out.
    Broken,
    /// Redis answered, with a refusal or with something else than was asked for.
    Refused,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, detail: None }
    }

    pub(crate) fn of(kind: ErrorKind, source: &redis::RedisError) -> Self {
        Self { kind, detail: Some(source.to_string().into()) }
    }

    /// What is to be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Away => "Redis is away",
            ErrorKind::Slow => "Redis did not answer in time",
            ErrorKind::Broken => "the connection to Redis broke",
            ErrorKind::Refused => "Redis refused",
        })?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
