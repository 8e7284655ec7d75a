//! Which deployments answer for which name.

use std::collections::HashMap;
use std::sync::Arc;

use ziggurat_core::{Error, Str};
use ziggurat_layers::route::{Captured, Endpoint, Table};

use super::Maker;
use crate::config::Config;
use crate::models::{Catalogue, Listed};
use crate::policies;
use crate::registries::Registries;
use crate::upstream::Upstream;

/// The table of what these make, and the catalogue of it. `created` is the time that lists of models name, in seconds since 1970.
pub(crate) fn catalogue(
    config: &Config,
    makers: Vec<Maker>,
    registries: &Registries,
    created: u64,
) -> Catalogue {
    let mut groups: Vec<(String, Vec<Maker>)> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for maker in makers {
        let name = maker.entry().model_name.clone();
        let at = *by_name.entry(name.clone()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, makers)) => makers.push(maker),
            None => groups.push((name, vec![maker])),
        }
    }
    let mut listed = Vec::new();
    let mut table = Table::builder(&registries.health).rules(policies::route(config));
    for (name, makers) in groups {
        let name = Str::from(name);
        if let Some(first) = makers.first() {
            let (owner, provider) = first.owner();
            let deployments = makers.len();
            listed.push(Listed { name: name.clone(), provider, deployments, owner });
        }
        let fixed: Option<Vec<Endpoint<Upstream>>> =
            makers.iter().map(|maker| maker.fixed.clone()).collect();
        table = match fixed.filter(|_| !name.contains('*')) {
            Some(endpoints) => table.group(name, endpoints),
            None => table.pattern(name, move |captured| made(&makers, &captured)),
        };
    }
    for alias in &config.router.aliases {
        table = table.alias(alias.name.as_str(), config.router.resolve(&alias.name));
    }
    Catalogue::new(Arc::new(table.build()), listed, config, created)
}

/// The deployments that can be made for a model; why none can, if so.
fn made(makers: &[Maker], captured: &Captured<'_>) -> Result<Vec<Endpoint<Upstream>>, Error> {
    let mut endpoints = Vec::with_capacity(makers.len());
    let mut why = None;
    for maker in makers {
        match maker.endpoint(captured) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => why = why.or(Some(error)),
        }
    }
    match why {
        Some(error) if endpoints.is_empty() => Err(error),
        _ => Ok(endpoints),
    }
}
