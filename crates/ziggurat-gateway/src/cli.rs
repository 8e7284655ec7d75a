//! The command line.
//!
//! Flags are spelled with dashes; LiteLLM's spelling with underscores is understood wherever the
//! meaning is the same, so that a start script need not change.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::cost::Cost;
use crate::commands::models::Models;
use crate::logs::{self, Filter};

const ABOUT: &str = "One doorway to every large language model, for the clients of every vendor";

const LONG_ABOUT: &str = "\
One doorway to every large language model, for the clients of every vendor.

Started without a configuration it serves every provider whose key is in the environment \
(OPENAI_API_KEY, ANTHROPIC_API_KEY, …) under names such as `openai/gpt-4o`, and `mock/echo`, which \
needs no key.";

const EXAMPLES: &str = "\
Examples:
  ziggurat                              every provider whose key is in the environment
  ziggurat --model claude-sonnet-4-6    one model, whatever callers ask for
  ziggurat --config config.yaml         what the file says
  ziggurat check config.yaml            say what is wrong with a file
  ziggurat models --provider openai     what is known of a provider's models
  ziggurat cost gpt-4o -i 1000 -o 200   what a call costs";

const COST_EXAMPLES: &str = "\
Examples:
  ziggurat cost gpt-4o --input 1000 --output 200
  ziggurat cost claude-sonnet-4-6 -i 100 --cache-read 900 -o 50 --tier batch
  curl … | ziggurat cost gpt-4o --usage -";

/// What was asked for on the command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "ziggurat",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do other than serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do other than serve.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with a configuration file, and serve nothing
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Tell what is known of models: how long their prompts may be, what they cost
    Models(Models),
    /// Tell what a call costs, line by line
    #[command(after_help = COST_EXAMPLES)]
    Cost(Box<Cost>),
}

/// How to serve.
#[derive(Clone, Debug, Default, Args)]
pub struct Serve {
    /// Serve what this file says (LiteLLM's config.yaml)
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Send every call to this model, such as `gpt-4o` or `anthropic/claude-sonnet-4-6`
    #[arg(short, long, value_name = "MODEL", conflicts_with = "config")]
    pub model: Option<String>,

    /// The name under which that model is listed
    #[arg(long, value_name = "NAME", requires = "model")]
    pub alias: Option<String>,

    /// Where that model's provider is, if not at its usual address
    #[arg(long, alias = "api_base", value_name = "URL", requires = "model")]
    pub api_base: Option<String>,

    /// The version of that provider's API, where it has versions
    #[arg(long, alias = "api_version", value_name = "VERSION", requires = "model")]
    pub api_version: Option<String>,

    /// Temperature of that model's calls that set none
    #[arg(long, value_name = "NUMBER", requires = "model", value_parser = finite)]
    pub temperature: Option<f64>,

    /// Most output tokens of that model's calls that set none
    #[arg(long, alias = "max_tokens", value_name = "TOKENS", requires = "model")]
    pub max_tokens: Option<u64>,

    /// Where to listen: an address or a name. 0.0.0.0 is everywhere [env: HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    /// The port to listen on; 0 picks a free one
    #[arg(long, value_name = "PORT", env = "PORT", hide_env_values = true, default_value_t = 4000)]
    pub port: u16,

    /// Threads that serve [default: one for each core]
    #[arg(
        long,
        aliases = ["num_workers", "num-workers"],
        value_name = "THREADS",
        env = "NUM_WORKERS",
        hide_env_values = true
    )]
    pub workers: Option<NonZeroUsize>,

    /// Drop parameters that a model cannot take, also where that may change the answer
    #[arg(long, alias = "drop_params")]
    pub drop_params: bool,

    /// Seconds that a call to a provider may take
    #[arg(long, alias = "request_timeout", value_name = "SECONDS", value_parser = seconds)]
    pub request_timeout: Option<f64>,

    /// What to log: a level, or targets with levels such as `info,hyper=debug` [env: RUST_LOG]
    /// [default: info]
    #[arg(long, value_name = "FILTER", value_parser = logs::parse)]
    pub log: Option<Filter>,

    /// The form of the log
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Log what is of interest when looking for a mistake
    #[arg(long, hide = true)]
    pub debug: bool,

    /// Log everything that Ziggurat has to say
    #[arg(long, alias = "detailed_debug", hide = true)]
    pub detailed_debug: bool,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Human,
    /// A JSON object a line
    Json,
}

fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("expected a finite number".to_owned()) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = finite(text)?;
    if number > 0.0 { Ok(number) } else { Err("expected a number above 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("ziggurat").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn litellms_spelling_is_understood() {
        let line = "--model gpt-4o --alias fast --api_base http://x/v1 --api_version 2024-10-21 \
                    --max_tokens 10 --temperature 0.5 --num_workers 2 --drop_params \
                    --request_timeout 30 --detailed_debug --debug --port 8000 --host 0.0.0.0";
        let serve = parse(line).unwrap().serve;
        assert_eq!(serve.model.as_deref(), Some("gpt-4o"));
        assert_eq!(serve.alias.as_deref(), Some("fast"));
        assert_eq!(serve.api_base.as_deref(), Some("http://x/v1"));
        assert_eq!(serve.api_version.as_deref(), Some("2024-10-21"));
        assert_eq!(serve.max_tokens, Some(10));
        assert_eq!(serve.workers.map(NonZeroUsize::get), Some(2));
        assert!(serve.drop_params && serve.debug && serve.detailed_debug);
        assert_eq!(serve.port, 8000);
    }

    #[test]
    fn the_usual_port_is_4000() {
        assert_eq!(parse("").unwrap().serve.port, 4000);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--model m --config c.yaml",
            "--alias fast",
            "--api-base http://x",
            "--model m --temperature NaN",
            "--request-timeout 0",
            "--workers 0",
            "--port 65536",
            "--log =",
            "check",
            "--port 1 check c.yaml",
            "--unknown",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_file_is_checked() {
        let Some(Command::Check { file }) = parse("check config.yaml").unwrap().command else {
            panic!("it is a command");
        };
        assert_eq!(file, PathBuf::from("config.yaml"));
    }

    #[test]
    fn what_was_used_is_told_once() {
        let Some(Command::Cost(cost)) = parse("cost gpt-4o -i 5 -o 2 --tier flex").unwrap().command
        else {
            panic!("it is a command");
        };
        assert_eq!((cost.counts.input, cost.counts.output), (Some(5), Some(2)));
        for line in ["cost", "cost m --usage x -i 1", "cost m --tier slow", "cost m -i -1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_shows_no_hidden_spelling() {
        let help = Cli::command().render_long_help().to_string();
        for word in ["--config <FILE>", "--model <MODEL>", "--host <HOST>", "ziggurat check"] {
            assert!(help.contains(word), "{word}\n{help}");
        }
        for word in ["num_workers", "detailed", "api_base"] {
            assert!(!help.contains(word), "{word}");
        }
    }
}
