//! Places in a request.

use std::fmt;

use ziggurat_core::Error;

/// A place in a request, for errors that name it. It costs nothing until it is printed: `messages.0.content`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
    /// Whether items are written in brackets.
    brackets: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// A top-level member.
    pub(crate) fn root(name: &'a str) -> Self {
        Self { up: None, step: Step::Name(name), brackets: false }
    }

    /// With items of lists in brackets: `contents[0].parts`.
    pub(crate) fn in_brackets(self) -> Self {
        Self { brackets: true, ..self }
    }

    /// A member of what is here.
    pub(crate) fn name(&'a self, name: &'a str) -> Self {
        Self { up: Some(self), step: Step::Name(name), ..*self }
    }

    /// An item of what is here.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { up: Some(self), step: Step::Index(index), ..*self }
    }

    /// A 400 that blames this place.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        let path = self.to_string();
        Error::invalid(format!("{path}: {what}")).with_param(path)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            write!(f, "{up}")?;
        }
        let dot = if self.up.is_some() { "." } else { "" };
        match self.step {
            Step::Name(name) => write!(f, "{dot}{name}"),
            Step::Index(index) if self.brackets => write!(f, "[{index}]"),
            Step::Index(index) => write!(f, "{dot}{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_prints_as_a_path() {
        let messages = At::root("messages");
        let first = messages.index(0);
        let error = first.name("content").error("a list is expected");
        assert_eq!(error.to_string(), "messages.0.content: a list is expected");
        assert_eq!(error.param(), Some("messages.0.content"));
        let contents = At::root("contents").in_brackets();
        assert_eq!(contents.index(2).name("parts").index(0).to_string(), "contents[2].parts[0]");
    }
}
