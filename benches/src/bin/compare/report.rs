//! The table for people and the file for machines.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use clap::ValueEnum as _;
use serde::Serialize;

use crate::{
    readings::{Compared, Metric, Outcome, Side},
    server::Field,
};
use ziggurat_benches::stats::{BUCKETS_MS, Histogram, Spread};

/// From so many foreign cores on, in the middle of its rounds, a scenario is marked as disturbed.
const DISTURBED: f64 = 0.1;

/// Prints one scenario.
pub(crate) fn print(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    let about = outcome.scenario.to_possible_value();
    let name = about.as_ref().map_or("", |about| about.get_name());
    let help = about.as_ref().and_then(|about| about.get_help()).map(ToString::to_string);
    writeln!(out, "\n{name}: {}", help.unwrap_or_default())?;
    if let Some(failure) = &outcome.failure {
        return writeln!(out, "  FAILED: {failure}");
    }
    let (metric, bare, gateway) = ("", "bare", "gateway");
    writeln!(
        out,
        "  {metric:<30} {bare:>12} {gateway:>12}  gateway beside bare (95 % sure) [least, most]"
    )?;
    for compared in &outcome.summary {
        print_line(compared, out)?;
    }
    for side in Side::BOTH {
        for (what, histogram) in outcome.histograms(side) {
            let label = format!("{}, {what}", side.name());
            writeln!(out, "  {label:<30} {}", in_words(&histogram))?;
        }
        for (reason, count) in outcome.faults(side) {
            writeln!(out, "  FAULT: {}, {count} times: {reason}", side.name())?;
        }
    }
    Ok(())
}

fn print_line(compared: &Compared, out: &mut impl Write) -> io::Result<()> {
    let Compared { metric, unit, bare, gateway, ratio, added } = compared;
    let (name, _, _) = metric.about();
    let name = if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") };
    let relation = match (ratio, added) {
        (Some(Spread { min, median, max, sure: (from, to) }), _) => {
            format!("× {median:.3} ({from:.3}–{to:.3}) [{min:.3}, {max:.3}]")
        }
        (_, Some(Spread { min, median, max, sure: (from, to) })) => {
            format!("{median:+.1} ({from:+.1} to {to:+.1}) [{min:+.1}, {max:+.1}]")
        }
        // A few rounds that were disturbed are none in the middle.
        _ if *metric == Metric::Others && bare.sure.1.max(gateway.sure.1) >= DISTURBED => {
            format!("up to {:.2}: this run was DISTURBED", bare.max.max(gateway.max))
        }
        _ if *metric == Metric::Others => format!("up to {:.2}", bare.max.max(gateway.max)),
        _ => String::new(),
    };
    let (bare, gateway) = (bare.median, gateway.median);
    writeln!(out, "  {name:<30} {bare:>12.2} {gateway:>12.2}  {relation}")
}

/// `<1: 12  1–2: 3  …` in milliseconds, empty buckets left out.
fn in_words(histogram: &Histogram) -> String {
    let mut words = Vec::new();
    for (at, count) in histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let from = at.checked_sub(1).map_or(0.0, |before| BUCKETS_MS[before]);
        words.push(match BUCKETS_MS.get(at) {
            Some(to) => format!("{from}–{to} ms: {count}"),
            None => format!("from {from} ms: {count}"),
        });
    }
    words.join("   ")
}

/// The file.
#[derive(Serialize)]
struct Run<'a> {
    gateway: String,
    server_core: Option<usize>,
    cores: usize,
    cpu: String,
    scenarios: &'a [Outcome],
}

/// Writes every number of the run.
pub(crate) fn write_json(outcomes: &[Outcome], field: &Field, path: &Path) -> anyhow::Result<()> {
    let run = Run {
        gateway: field.gateway_name(),
        server_core: field.core(),
        cores: std::thread::available_parallelism()?.get(),
        cpu: cpu_name(),
        scenarios: outcomes,
    };
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut file, &run)?;
    Ok(file.flush()?)
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':'])).to_owned()
}
