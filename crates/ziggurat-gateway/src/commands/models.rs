//! `ziggurat models`: what is known of models.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value, json};
use ziggurat_core::{Meter, Terms, Unit};
use ziggurat_providers::{Catalogue, Model};

use super::{List, dollars, each};

/// Which models are told of, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Models {
    /// Only names that contain this
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Only models of this provider, such as `openai`
    #[arg(short, long, value_name = "PROVIDER")]
    pub provider: Option<String>,

    /// Only models for this: `chat`, `embedding`, `rerank`, …
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,

    /// A JSON object a line, with everything that is known
    #[arg(long)]
    pub json: bool,

    /// Which list is asked
    #[command(flatten)]
    pub list: List,
}

/// Writes what is known of the models that are asked for; whether there is any.
///
/// # Errors
///
/// When the list of prices cannot be read, the provider is not known, or `out` cannot be written to.
pub fn models(asked: &Models, out: &mut dyn Write) -> Result<bool, String> {
    asked.list.with(|catalogue| {
        let found = find(asked, catalogue)?;
        let written = if asked.json { write_json(&found, out) } else { write_table(&found, out) };
        match written {
            Ok(()) => Ok(!found.is_empty()),
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn find(asked: &Models, catalogue: &Catalogue) -> Result<Vec<Model>, String> {
    let providers = match &asked.provider {
        Some(provider) if catalogue.names(provider).is_empty() => {
            return Err(format!("no models of a provider `{provider}` are known"));
        }
        Some(provider) => vec![provider.as_str()],
        None => catalogue.providers(),
    };
    let mut found = Vec::new();
    for provider in providers {
        for name in catalogue.names(provider) {
            if asked.name.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
                continue;
            }
            let model = catalogue.find(provider, name);
            let fits = |model: &Model| asked.mode.as_ref().is_none_or(|mode| model.mode == *mode);
            found.extend(model.filter(fits));
        }
    }
    Ok(found)
}

const HEAD: [&str; 7] = ["MODEL", "MODE", "CONTEXT", "OUTPUT", "$/M IN", "$/M OUT", "$/M CACHED"];

fn write_table(models: &[Model], out: &mut dyn Write) -> io::Result<()> {
    let row = |model: &Model| {
        let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
        let rate = |meter| model.price.rate(meter).map_or_else(String::new, dollars);
        [
            format!("{}/{}", model.provider, model.name),
            model.mode.clone(),
            count(model.context),
            count(model.max_output),
            rate(Meter::Input),
            rate(Meter::Output),
            rate(Meter::CacheRead),
        ]
    };
    let rows: Vec<_> =
        std::iter::once(HEAD.map(str::to_owned)).chain(models.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Names to the left, numbers to the right.
            line.push_str(&if column < 2 {
                format!("{cell:width$}  ")
            } else {
                format!("{cell:>width$}  ")
            });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn write_json(models: &[Model], out: &mut dyn Write) -> io::Result<()> {
    for model in models {
        writeln!(out, "{}", describe(model))?;
    }
    Ok(())
}

/// Everything that is known of a model. Amounts are text, so that no reader rounds them.
fn describe(model: &Model) -> Value {
    let mut prices: Vec<Map<String, Value>> = Vec::new();
    let mut last = None;
    for (terms, meter, rate) in model.price.rates() {
        if last != Some(terms) {
            prices.push(head(terms));
            last = Some(terms);
        }
        let amount = if meter.unit() == Unit::Token { dollars(rate) } else { each(rate) };
        if let Some(price) = prices.last_mut() {
            price.insert(meter.name().to_owned(), amount.into());
        }
    }
    json!({
        "id": format!("{}/{}", model.provider, model.name),
        "provider": model.provider,
        "model": model.name,
        "mode": model.mode,
        "context": model.context,
        "max_output": model.max_output,
        "dimensions": model.dimensions,
        "can": model.abilities().collect::<Vec<_>>(),
        "retires": model.retires,
        "prices": prices,
    })
}

fn head(terms: Terms) -> Map<String, Value> {
    let mut price = Map::new();
    if terms.above > 0 {
        price.insert("above_tokens".to_owned(), terms.above.into());
    }
    if let Some(tier) = terms.tier {
        price.insert("tier".to_owned(), tier.name().into());
    }
    price
}
