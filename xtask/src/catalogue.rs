//! The catalogue of models: the compact file that is compiled in, made from a list in JSON.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};
use ziggurat_core::{Meter, ServiceTier, Terms};
use ziggurat_providers::{CatalogueBuilder, Model};

use crate::workspace::Workspace;

const FILE: &str = "crates/ziggurat-providers/data/models.txt";

/// Reads the list at the path that is the only argument, and writes the file.
///
/// The list is an array of objects: `id`, `provider`, `mode`, `context`, `max_output`, `dimensions`, `can`, `retires`, and prices in
/// dollars for a million tokens or for one of anything else: `price` by meter, `over` by size of the prompt and meter, `tiers` by service
/// tier and meter.
///
/// # Errors
///
/// The list cannot be read, or says something that the catalogue has no word for: nothing is left out silently.
pub(crate) fn build(workspace: &Workspace, args: &[String]) -> Result<()> {
    let [source] = args else { bail!("usage: cargo xtask catalogue MODELS.JSON") };
    let json = fs::read(source).with_context(|| format!("cannot read {source}"))?;
    let text = convert(&json)?;
    let file = workspace.path(FILE);
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    println!(
        "{}: {} lines, {} bytes (the list has {})",
        Path::new(FILE).display(),
        text.lines().count(),
        text.len(),
        json.len()
    );
    Ok(())
}

fn convert(json: &[u8]) -> Result<String> {
    let list: Vec<Map<String, Value>> =
        serde_json::from_slice(json).context("not a list of models")?;
    let mut builder = CatalogueBuilder::new();
    for fields in &list {
        let id = fields.get("id").and_then(Value::as_str).unwrap_or("?");
        let model = model(id, fields).with_context(|| format!("the model {id}"))?;
        if !builder.add(model) {
            bail!("{id} cannot be the name of a model");
        }
    }
    Ok(builder.text())
}

fn model(id: &str, fields: &Map<String, Value>) -> Result<Model> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let provider = text("provider").context("it has no provider")?;
    let mut model = Model::new(provider, id, text("mode").context("it has no mode")?);
    for (name, value) in fields {
        let number = || value.as_u64().with_context(|| format!("{name} is no count"));
        match name.as_str() {
            "id" | "provider" | "mode" => {}
            "context" => model.context = Some(number()?),
            "max_output" => model.max_output = Some(number()?),
            "dimensions" => model.dimensions = Some(number()?),
            "retires" => model.retires = text("retires").map(str::to_owned),
            "can" => {
                for word in value.as_array().context("can is no list")? {
                    let word = word.as_str().unwrap_or_default();
                    if !model.allow(word) {
                        bail!("there is no ability {word:?}");
                    }
                }
            }
            "price" => rates(&mut model, Terms::default(), value)?,
            "over" => {
                for (above, value) in object(value)? {
                    let above = above.parse().with_context(|| format!("{above} is no count"))?;
                    rates(&mut model, Terms::above(above), value)?;
                }
            }
            "tiers" => {
                for (tier, value) in object(value)? {
                    let tier = ServiceTier::parse(tier)
                        .with_context(|| format!("there is no tier {tier:?}"))?;
                    rates(&mut model, Terms::tier(tier), value)?;
                }
            }
            other => bail!("there is no place for {other:?}"),
        }
    }
    Ok(model)
}

fn rates(model: &mut Model, terms: Terms, value: &Value) -> Result<()> {
    for (name, dollars) in object(value)? {
        let meter = Meter::parse(name).with_context(|| format!("there is no meter {name:?}"))?;
        if !model.set_rate(terms, meter, &dollars.to_string()) {
            bail!("{dollars} is no price for {name}");
        }
    }
    Ok(())
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().context("prices are an object")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_lines() {
        let list = br#"[
            {"id": "p/b", "provider": "p", "mode": "chat", "context": 10, "can": ["tools"],
             "price": {"input": 0.1, "web_search_each": 0.01}, "over": {"5": {"input": 2}},
             "tiers": {"batch": {"input": 0.05}}, "retires": "2027-01-31"},
            {"id": "a", "provider": "p", "mode": "embedding", "dimensions": 3}
        ]"#;
        let text = "\tp\na\tembedding\t\t\t3\nb\tchat\t10\t\t\tt\t2027-01-31\ti0.1 s0.01 >5 i2 /batch i0.05\n";
        assert_eq!(convert(list).unwrap(), text);
    }

    #[test]
    fn what_has_no_word_is_an_error() {
        for fields in [
            r#""price": {"input": -1}"#,
            r#""price": {"smell": 1}"#,
            r#""can": ["fly"]"#,
            r#""tiers": {"slow": {"input": 1}}"#,
            r#""colour": "red""#,
            r#""context": "long""#,
        ] {
            let list = format!(r#"[{{"id": "a", "provider": "p", "mode": "chat", {fields}}}]"#);
            assert!(convert(list.as_bytes()).is_err(), "{fields}");
        }
    }
}
