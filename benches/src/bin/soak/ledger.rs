//! What callers saw against what the gateway wrote down.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::caller::{Asked, End};

/// A call in the gateway's log.
#[derive(Debug)]
struct Line {
    end: String,
    status: Option<u16>,
}

/// The calls in the gateway's log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: HashMap<u64, Vec<Line>>,
    /// Lines that the gateway could not write.
    pub(crate) dropped: bool,
    pub(crate) calls: u64,
    pub(crate) attempts: u64,
    pub(crate) fallbacks: u64,
    pub(crate) cached: u64,
    /// By their end.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Failures by kind.
    pub(crate) kinds: BTreeMap<String, u64>,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut log = Self::default();
        let file = fs::File::open(path).with_context(|| path.display().to_string())?;
        for line in BufReader::new(file).lines() {
            let line = line?;
            // The banner is in there, too.
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            log.dropped |= line["message"].as_str().is_some_and(|text| text.contains("dropped"));
            if line["target"] != "ziggurat::call" {
                continue;
            }
            log.take(&line);
        }
        Ok(log)
    }

    fn take(&mut self, line: &Value) {
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        // What was asked before the run has no number.
        let id = line["request_id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id else { return };
        let end = line["end"].as_str().unwrap_or_default().to_owned();
        self.calls += 1;
        self.attempts += number("attempts");
        self.fallbacks += number("fallbacks");
        self.cached += u64::from(line["cached"] == true);
        *self.ends.entry(end.clone()).or_default() += 1;
        if let Some(kind) = line["error"].as_str() {
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
        }
        let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        self.lines.entry(id).or_default().push(Line { end, status });
    }

    /// What does not fit together, in words.
    pub(crate) fn compare(&self, calls: &[(Asked, End)]) -> Vec<String> {
        let mut odd = Vec::new();
        for (asked, end) in calls {
            let lines = self.lines.get(&asked.number).map_or(&[][..], Vec::as_slice);
            let [line] = lines else {
                odd.push(format!(
                    "call {} to {} has {} lines: {end:?}",
                    asked.number,
                    asked.model,
                    lines.len()
                ));
                continue;
            };
            let fits = match end {
                End::Complete => line.end == "success",
                End::Told => line.end == "failure",
                End::Refused(status) => line.end == "failure" && line.status == Some(*status),
                // It may have been over already, or go on without its caller.
                End::Left => matches!(&*line.end, "cancelled" | "success" | "failure"),
                // Told of already.
                End::Wrong(_) => true,
            };
            if !fits {
                odd.push(format!(
                    "call {} to {}: {end:?} for its caller, {} {:?} in the log",
                    asked.number, asked.model, line.end, line.status
                ));
            }
        }
        if self.calls != calls.len() as u64 {
            odd.push(format!("{} calls in the log of {}", self.calls, calls.len()));
        }
        odd
    }
}
