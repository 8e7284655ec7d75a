//! `ziggurat cost`: what a call costs.

use std::fs;
use std::io::{self, Read, Write};

use clap::Args;
use serde_json::{Value, json};
use ziggurat_core::{Bill, Meter, NanoDollars, Price, ServiceTier, Unit, Usage};

use super::{List, dollars, each, place, rate, usage};

/// Of which model, and what was used.
#[derive(Clone, Debug, Default, Args)]
pub struct Cost {
    /// The model, such as `gpt-4o` or `anthropic/claude-sonnet-4-6`
    #[arg(value_name = "MODEL")]
    pub model: String,

    /// Read what was used from a provider's answer, or its `usage`, in JSON; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "Counts")]
    pub usage: Option<String>,

    /// What was used
    #[command(flatten)]
    pub counts: Counts,

    /// The service tier [default: what the answer says, else the standard one]
    #[arg(long, value_name = "TIER", value_parser = ["standard", "flex", "priority", "batch"])]
    pub tier: Option<String>,

    /// The bill as a JSON object
    #[arg(long)]
    pub json: bool,

    /// Which list is asked
    #[command(flatten)]
    pub list: List,
}

/// What was used, in tokens where nothing else is said. None contains another.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = true)]
pub struct Counts {
    /// Input tokens, neither read from a cache nor written to one
    #[arg(short, long, value_name = "TOKENS")]
    pub input: Option<u64>,

    /// Output tokens, reasoning apart
    #[arg(short, long, value_name = "TOKENS")]
    pub output: Option<u64>,

    /// Input tokens read from the prompt cache
    #[arg(long, value_name = "TOKENS")]
    pub cache_read: Option<u64>,

    /// Input tokens written to the prompt cache for the usual time
    #[arg(long, value_name = "TOKENS")]
    pub cache_write: Option<u64>,

    /// Input tokens written to the prompt cache for an hour
    #[arg(long, value_name = "TOKENS")]
    pub cache_write_1h: Option<u64>,

    /// Reasoning tokens
    #[arg(long, value_name = "TOKENS")]
    pub reasoning: Option<u64>,

    /// Input tokens of audio
    #[arg(long, value_name = "TOKENS")]
    pub audio_input: Option<u64>,

    /// Output tokens of audio
    #[arg(long, value_name = "TOKENS")]
    pub audio_output: Option<u64>,

    /// Output tokens of images
    #[arg(long, value_name = "TOKENS")]
    pub image_output: Option<u64>,

    /// Images out
    #[arg(long, value_name = "IMAGES")]
    pub images: Option<u64>,

    /// Seconds of audio or video in
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,

    /// Searches of the web by the provider's tool
    #[arg(long, value_name = "SEARCHES")]
    pub searches: Option<u64>,

    /// Queries of a reranker
    #[arg(long, value_name = "QUERIES")]
    pub queries: Option<u64>,

    /// Pages of documents
    #[arg(long, value_name = "PAGES")]
    pub pages: Option<u64>,
}

impl Counts {
    fn usage(&self) -> Usage {
        let part = |count: Option<u64>| count.unwrap_or(0);
        let mut usage = Usage::new(
            part(self.input).saturating_add(part(self.audio_input)),
            part(self.output)
                .saturating_add(part(self.audio_output))
                .saturating_add(part(self.image_output)),
        );
        usage.cache_read = self.cache_read;
        usage.cache_write = self
            .cache_write
            .or(self.cache_write_1h)
            .map(|_| part(self.cache_write).saturating_add(part(self.cache_write_1h)));
        usage.cache_write_1h = self.cache_write_1h;
        usage.reasoning = self.reasoning;
        (usage.audio_input, usage.audio_output) = (self.audio_input, self.audio_output);
        usage.image_output = self.image_output;
        usage.units.output_images = part(self.images);
        usage.units.input_ms = part(self.seconds).saturating_mul(1000);
        usage.units.searches = part(self.searches);
        usage.units.queries = part(self.queries);
        usage.units.pages = part(self.pages);
        usage
    }
}

/// Writes the bill; whether the prices of all that was used are known.
///
/// # Errors
///
/// When the model, the usage or the list of prices cannot be read, or `out` cannot be written to.
pub fn cost(asked: &Cost, out: &mut dyn Write) -> Result<bool, String> {
    asked.list.with(|catalogue| {
        let (provider, model) = place(catalogue, &asked.model)?;
        let mut used = match &asked.usage {
            Some(file) => usage::read(&text(file)?)?,
            None => asked.counts.usage(),
        };
        if let Some(tier) = &asked.tier {
            used.tier = ServiceTier::parse(tier);
        }
        let known = catalogue.find(&provider, &model);
        let price = known.map(|model| model.price).unwrap_or_default();
        let name = format!("{provider}/{model}");
        let bill = price.bill(&used);
        let written = if asked.json {
            writeln!(out, "{}", describe(&name, &used, &bill))
        } else {
            write_bill(&name, &price, &used, &bill, out)
        };
        written.map_err(|error| error.to_string())?;
        Ok(bill.cost.is_some_and(|cost| !cost.partial))
    })
}

/// The longest answer that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

fn text(file: &str) -> Result<String, String> {
    let said = |error: io::Error| format!("{file}: {error}");
    let mut text = String::new();
    match file {
        "-" => io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text),
        file => fs::File::open(file).map_err(said)?.take(MOST_BYTES).read_to_string(&mut text),
    }
    .map_err(said)?;
    Ok(text)
}

fn write_bill(
    name: &str,
    price: &Price,
    used: &Usage,
    bill: &Bill,
    out: &mut dyn Write,
) -> io::Result<()> {
    let tier = used.tier.map_or_else(String::new, |tier| format!(", {}", tier.name()));
    writeln!(out, "{name}{tier}")?;
    let told = used.cost.is_some();
    for line in &bill.lines {
        let as_other = match line.rated_as {
            other if other == line.meter => String::new(),
            other => format!(", as {}", other.name()),
        };
        let rate = format!("{}{as_other}", rate(line.meter, line.rate));
        let amount = dollars(line.amount);
        writeln!(
            out,
            "  {:16} {:>12}  {rate:32} ${amount:>14}",
            line.meter.name(),
            count(line.meter, line.count)
        )?;
    }
    for (meter, used) in &bill.unpriced {
        writeln!(out, "  {:16} {:>12}  its price is unknown", meter.name(), count(*meter, *used))?;
    }
    let (label, total) = match bill.cost {
        Some(cost) if told => ("the provider says", Some(cost.total())),
        Some(cost) if cost.partial => ("at least", Some(cost.total())),
        Some(cost) => ("total", Some(cost.total())),
        None => ("total", None),
    };
    match total {
        Some(total) => writeln!(out, "  {label:62} ${:>14}", dollars(total)),
        None if price.is_unknown() => {
            writeln!(out, "  {label}: unknown, as no price of this model is known")
        }
        None => writeln!(out, "  {label}: unknown"),
    }
}

/// How much it was, time in seconds.
fn count(meter: Meter, count: u64) -> String {
    match meter.unit() {
        Unit::Second => format!("{}.{:03}", count / 1000, count % 1000),
        _ => count.to_string(),
    }
}

/// The bill as JSON. Amounts are text, so that no reader rounds them.
fn describe(name: &str, used: &Usage, bill: &Bill) -> Value {
    let lines = bill.lines.iter().map(|line| {
        let (unit, rate) = match line.meter.unit() {
            Unit::Token => ("million tokens", dollars(line.rate)),
            Unit::Second => ("second", each(line.rate)),
            _ => ("each", each(line.rate)),
        };
        json!({
            "meter": line.meter.name(),
            "count": counted(line.meter, line.count),
            "rate": rate,
            "per": unit,
            "rated_as": line.rated_as.name(),
            "amount": dollars(line.amount),
        })
    });
    let unpriced = bill
        .unpriced
        .iter()
        .map(|(meter, count)| json!({ "meter": meter.name(), "count": counted(*meter, *count) }));
    let cost = bill.cost;
    let amount = |amount: NanoDollars| Value::from(dollars(amount));
    json!({
        "model": name,
        "tier": used.tier.map_or("standard", ServiceTier::name),
        "lines": lines.collect::<Vec<_>>(),
        "unpriced": unpriced.collect::<Vec<_>>(),
        "told_by_provider": used.cost.map(amount),
        "total": cost.map(|cost| amount(cost.total())),
        "complete": cost.is_some_and(|cost| !cost.partial),
    })
}

fn counted(meter: Meter, number: u64) -> Value {
    match meter.unit() {
        Unit::Second => Value::from(count(meter, number)),
        _ => number.into(),
    }
}
