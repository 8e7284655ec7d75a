//! A fake provider as a process of its own, for tests that are not written in Rust.
//!
//! Prints where it listens and serves until it is killed. `GET /__requests` shows what was asked
//! so far, `DELETE /__requests` forgets it. `GET /__disconnects` counts the clients that left in the
//! middle of an answer.

use std::{
    env,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use ziggurat_testkit::{FakeProvider, anthropic::Anthropic, gemini::Gemini, openai::OpenAi};

const USAGE: &str = "\
usage: fake-provider --dialect openai|anthropic|gemini [--port PORT] [--print-port]
                     [--key KEY]... [--model NAME]... [--reasoning-content]

  --dialect D          the vendor to be
  --port PORT          where to listen on 127.0.0.1; 0, the default, takes a free port
  --print-port         print the port alone, not `listening on http://127.0.0.1:PORT`
  --key KEY            take this key, and no longer just any
  --model NAME         serve a model of this name too (openai)
  --reasoning-content  show reasoning, as compatible servers do (openai)
";

struct Options {
    dialect: String,
    port: u16,
    print_port: bool,
    keys: Vec<String>,
    models: Vec<String>,
    reasoning_content: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        dialect: String::new(),
        port: 0,
        print_port: false,
        keys: Vec::new(),
        models: Vec::new(),
        reasoning_content: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--dialect" => options.dialect = value()?,
            "--port" => {
                let port = value()?;
                options.port = port.parse().map_err(|_| format!("'{port}' is no port"))?;
            }
            "--print-port" => options.print_port = true,
            "--key" => options.keys.push(value()?),
            "--model" => options.models.push(value()?),
            "--reasoning-content" => options.reasoning_content = true,
            _ => return Err(format!("unknown argument '{arg}'")),
        }
    }
    match options.dialect.as_str() {
        "openai" => Ok(options),
        "anthropic" | "gemini" if !options.models.is_empty() || options.reasoning_content => {
            Err("--model and --reasoning-content are for openai".to_owned())
        }
        "anthropic" | "gemini" => Ok(options),
        other => Err(format!("--dialect is openai, anthropic or gemini, not '{other}'")),
    }
}

async fn serve(options: Options) -> io::Result<()> {
    let keys = options.keys.iter();
    let builder = match options.dialect.as_str() {
        "openai" => {
            let vendor = keys.fold(OpenAi::default(), |vendor, key| vendor.key(key));
            let vendor = options.models.iter().fold(vendor, |vendor, name| vendor.model(name));
            let shows = options.reasoning_content;
            FakeProvider::of(if shows { vendor.reasoning_content() } else { vendor })
        }
        "gemini" => FakeProvider::of(keys.fold(Gemini::default(), |vendor, key| vendor.key(key))),
        _ => FakeProvider::of(keys.fold(Anthropic::default(), |vendor, key| vendor.key(key))),
    };
    let provider = builder.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
    let mut out = io::stdout();
    if options.print_port {
        writeln!(out, "{}", provider.address().port())?;
    } else {
        writeln!(out, "listening on {}", provider.url())?;
    }
    out.flush()?;
    std::future::pending().await
}

#[tokio::main]
async fn main() -> ExitCode {
    if env::args().any(|arg| arg == "--help" || arg == "-h") {
        let _ = io::stdout().write_all(USAGE.as_bytes());
        return ExitCode::SUCCESS;
    }
    let told = match parse(env::args().skip(1)) {
        Ok(options) => match serve(options).await {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => format!("fake-provider: {error}\n"),
        },
        Err(wrong) => format!("fake-provider: {wrong}\n\n{USAGE}"),
    };
    // Nobody is left to hear of a failure to say so.
    let _ = io::stderr().write_all(told.as_bytes());
    ExitCode::FAILURE
}
