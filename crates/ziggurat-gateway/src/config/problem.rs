//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// More problems of one sort than anybody reads; the rest is counted in one last line.
const MOST: usize = 1000;

/// A position in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, written as it was given or included.
    pub file: Arc<str>,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// The column, from 1, in characters; 0 when the file as a whole is meant.
    pub column: u32,
}

/// One thing that is wrong, or that will not do what its author may expect.
///
/// `Display` gives one line: `config.yaml:7:16: model_list[0].litellm_params.timeout: expected a
/// number of seconds, found a sequence`. It names keys, types and environment variables, and never
/// a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, written as it was given or included.
    pub file: Arc<str>,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// The column, from 1, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// The key, such as `model_list[0].litellm_params.timeout`; empty when no key is meant. An
    /// index counts within its own file.
    pub path: String,
    /// The sort of problem.
    pub kind: ProblemKind,
    /// What is wrong, in a few words.
    pub message: String,
}

/// The sorts of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is not YAML, or not the YAML that is accepted here. An error.
    Syntax,
    /// A value is missing, of the wrong type or out of range. An error.
    Value,
    /// A variable that is referred to is not set or cannot be used. An error.
    Environment,
    /// A file cannot be read or included. An error, except for a file that was included already.
    File,
    /// A key that LiteLLM knows and that has no effect here yet. A warning.
    Unsupported,
    /// A key that nobody knows. A warning.
    Unknown,
}

/// Everything that is wrong with a configuration that cannot be used.
///
/// `Display` gives one line for each problem, errors first, each with the word `error` or
/// `warning` before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What must be put right; in the order of the files and their lines.
    pub errors: Vec<Problem>,
    /// What has no effect; in the same order.
    pub warnings: Vec<Problem>,
}

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Heap,
    warnings: Heap,
    /// The files in the order in which they were opened.
    files: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct Heap {
    kept: Vec<Problem>,
    more: usize,
}

// === impl Place ===

impl Place {
    /// A file as a whole.
    pub(super) fn whole(file: &Path) -> Self {
        Self { file: file.display().to_string().into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(
        kind: ProblemKind,
        place: &Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: Arc::clone(&place.file),
            line: place.line,
            column: place.column,
            path: path.into(),
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            // "`key` is not supported" is a sentence about the key; the others stand beside it.
            f.write_str(if self.kind == ProblemKind::Unsupported { " " } else { ": " })?;
        }
        f.write_str(&self.message)
    }
}

// === impl Report ===

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.errors.iter().map(|problem| ("error", problem));
        let warnings = self.warnings.iter().map(|problem| ("warning", problem));
        for (at, (word, problem)) in errors.chain(warnings).enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{word}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

// === impl Problems ===

impl Problems {
    /// Fixes the place of a file in the order of the report.
    pub(super) fn open(&mut self, file: &Arc<str>) {
        if !self.files.contains(file) {
            self.files.push(Arc::clone(file));
        }
    }

    pub(super) fn error(&mut self, problem: Problem) {
        self.errors.push(problem);
    }

    pub(super) fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    /// Warns of a key that has no effect yet.
    pub(super) fn unsupported(&mut self, key: &Place, path: String) {
        let message = "is not supported yet and is ignored";
        self.warn(Problem::new(ProblemKind::Unsupported, key, path, message));
    }

    /// The name that was probably meant.
    pub(super) fn nearest<'a>(
        &self,
        key: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        // A third of the letters may be wrong; longer keys than these nobody mistypes.
        let length = key.chars().count();
        if length > 64 || self.is_flooded() {
            return None;
        }
        names
            .map(|name| (strsim::osa_distance(key, name), name))
            .filter(|(distance, _)| *distance <= (length / 3).clamp(1, 3))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    }

    /// Warns of a key that nobody knows.
    pub(super) fn unknown(&mut self, key: &Place, path: String, message: String) {
        self.warn(Problem::new(ProblemKind::Unknown, key, path, message));
    }

    /// Whether another warning would only be counted, so that no work need go into it.
    pub(super) fn is_flooded(&self) -> bool {
        self.warnings.kept.len() >= MOST
    }

    pub(super) fn is_fatal(&self) -> bool {
        !self.errors.kept.is_empty()
    }

    pub(super) fn into_report(self) -> Report {
        let Self { errors, warnings, files } = self;
        Report { errors: errors.sorted(&files), warnings: warnings.sorted(&files) }
    }
}

impl Heap {
    fn push(&mut self, problem: Problem) {
        if self.kept.len() < MOST {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn sorted(mut self, files: &[Arc<str>]) -> Vec<Problem> {
        let rank = |file: &Arc<str>| files.iter().position(|known| known == file);
        self.kept.sort_by_key(|problem| (rank(&problem.file), problem.line, problem.column));
        if let (1.., Some(last)) = (self.more, self.kept.last()) {
            let place = Place { file: Arc::clone(&last.file), line: 0, column: 0 };
            let message = format!("{} more like these are not shown", self.more);
            self.kept.push(Problem::new(last.kind, &place, "", message));
        }
        self.kept
    }
}
