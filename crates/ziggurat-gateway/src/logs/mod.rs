//! The log: lines on standard error, for people or as JSON.
//!
//! Nothing that is logged holds a prompt, an answer or a secret, at any level. A bare level
//! (`debug`) is that of our own code; everything else stays at `warn` unless it is named, because
//! what libraries say at `trace` is not ours to vouch for.

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{LogFormat, Serve};
use crate::config::Config;

mod writer;

use writer::Lines;

/// What is written to; set when logging begins.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The target of the lines about finished calls.
pub(crate) const CALL: &str = "ziggurat::call";
/// What the targets of our own code begin with.
const OURS: &str = "ziggurat";

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Targets);

impl Default for Filter {
    fn default() -> Self {
        Self::of(LevelFilter::INFO)
    }
}

impl Filter {
    /// Our own code at this level.
    #[must_use]
    pub fn of(level: LevelFilter) -> Self {
        let others = level.min(LevelFilter::WARN);
        Self(Targets::new().with_default(others).with_target(OURS, level))
    }

    /// What the command line, else the environment, else the configuration asks for; and a
    /// complaint, when the environment's cannot be read.
    #[must_use]
    pub fn choose(
        serve: &Serve,
        rust_log: Option<&str>,
        config: &Config,
    ) -> (Self, Option<String>) {
        if let Some(filter) = &serve.log {
            return (filter.clone(), None);
        }
        if serve.detailed_debug {
            return (Self::of(LevelFilter::TRACE), None);
        }
        if serve.debug {
            return (Self::of(LevelFilter::DEBUG), None);
        }
        let usual = if config.litellm.set_verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
        match rust_log.filter(|text| !text.trim().is_empty()).map(parse) {
            None => (Self::of(usual), None),
            Some(Ok(filter)) => (filter, None),
            Some(Err(complaint)) => {
                (Self::of(usual), Some(format!("RUST_LOG is ignored: {complaint}")))
            }
        }
    }
}

/// Reads a level, or targets with levels.
///
/// # Errors
///
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Filter, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if !parts.iter().all(|part| is_directive(part)) {
        return Err("expected a level (error, warn, info, debug, trace, off), or targets with \
                    levels such as info,hyper=debug"
            .to_owned());
    }
    let targets = Targets::from_str(&parts.join(",")).map_err(|error| error.to_string())?;
    // A level among targets is that of our own code, unless that is named.
    let ours = targets.iter().any(|(target, _)| target == OURS);
    Ok(Filter(match targets.default_level().filter(|_| !ours) {
        Some(level) => targets.with_target(OURS, level).with_default(level.min(LevelFilter::WARN)),
        None => targets,
    }))
}

/// `debug`, or `hyper=debug`.
fn is_directive(part: &str) -> bool {
    let is_level = |text: &str| !text.is_empty() && LevelFilter::from_str(text).is_ok();
    let fits = |c: char| c.is_ascii_alphanumeric() || "_:.-".contains(c);
    match part.split_once('=') {
        Some((target, level)) => !target.is_empty() && target.chars().all(fits) && is_level(level),
        None => is_level(part),
    }
}

/// Whether the log is JSON.
#[must_use]
pub fn is_json(serve: &Serve, config: &Config) -> bool {
    match serve.log_format {
        Some(format) => format == LogFormat::Json,
        None => config.litellm.json_logs,
    }
}

/// Begins to log, to standard error, for the whole process.
///
/// # Errors
///
/// When somebody else has begun already, or there is no thread to be had.
pub fn begin(filter: Filter, json: bool) -> io::Result<()> {
    let out = Lines::to(io::stderr())?;
    let lines = tracing_subscriber::fmt::layer().with_writer(out.clone());
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.0))
        .try_init()
        .map_err(io::Error::other)?;
    LINES.get_or_init(|| out);
    Ok(())
}

/// Writes out what waits, for a moment at most: the last thing a program does.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn enabled(filter: &str, target: &str, level: Level) -> bool {
        parse(filter).unwrap().0.would_enable(target, &level)
    }

    #[test]
    fn a_bare_level_is_ours_alone() {
        assert!(enabled("trace", "ziggurat::call", Level::TRACE));
        assert!(enabled("trace", "ziggurat_http::serve", Level::TRACE));
        assert!(!enabled("trace", "hyper::proto", Level::INFO));
        assert!(enabled("trace", "hyper::proto", Level::WARN));
        assert!(!enabled("error", "hyper::proto", Level::WARN));
        assert!(!enabled("off", "ziggurat::call", Level::ERROR));
    }

    #[test]
    fn libraries_speak_when_they_are_named() {
        assert!(enabled("info,hyper=debug", "hyper::proto", Level::DEBUG));
        assert!(enabled("info,hyper=debug", "ziggurat::call", Level::INFO));
        assert!(!enabled("info,hyper=debug", "rustls", Level::INFO));
        assert!(!enabled("info,ziggurat::call=off", "ziggurat::call", Level::ERROR));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "=", "loud", "info,[span]=debug", "a=b", "info,", "=info", "a="] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let mut config = Config::default();
        config.litellm.set_verbose = true;
        let mut serve = Serve::default();
        let choose = |serve: &Serve, env, config: &Config| Filter::choose(serve, env, config).0;
        assert_eq!(choose(&serve, None, &config), Filter::of(LevelFilter::DEBUG));
        assert_eq!(choose(&serve, Some("error"), &config), Filter::of(LevelFilter::ERROR));
        serve.debug = true;
        assert_eq!(choose(&serve, Some("error"), &config), Filter::of(LevelFilter::DEBUG));
        serve.log = Some(parse("warn").unwrap());
        assert_eq!(choose(&serve, Some("error"), &config), Filter::of(LevelFilter::WARN));
        let (filter, complaint) =
            Filter::choose(&Serve::default(), Some("a=b"), &Config::default());
        assert_eq!(filter, Filter::default());
        assert!(complaint.unwrap().starts_with("RUST_LOG is ignored: "));
    }
}
