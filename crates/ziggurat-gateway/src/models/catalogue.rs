//! What is served.

use std::sync::Arc;

use ziggurat_core::{Caller, ModelInfo, Str};
use ziggurat_layers::route::Table;

use crate::config::Config;
use crate::upstream::Upstream;

/// What is served, under which names.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) table: Arc<Table<Upstream>>,
    listed: Arc<[Listed]>,
    /// Those that are not hidden.
    aliases: Arc<[Alias]>,
    /// Since when, in seconds since 1970.
    created: u64,
}

/// What is served under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name, or the pattern.
    pub name: Str,
    /// Who answers, for people: the name of a provider.
    pub provider: String,
    /// How many deployments there are.
    pub deployments: usize,
    /// Whose model it is, as lists of models have it.
    pub owner: Str,
}

#[derive(Clone, Debug)]
struct Alias {
    name: Str,
    owner: Str,
}

impl Catalogue {
    /// A catalogue of this table. `created` is the time that lists of models name, in seconds since 1970.
    pub(crate) fn new(
        table: Arc<Table<Upstream>>,
        listed: Vec<Listed>,
        config: &Config,
        created: u64,
    ) -> Self {
        let shown = config.router.aliases.iter().filter(|alias| !alias.hidden);
        let aliases = shown.filter_map(|alias| {
            let owner = owner(&table, &alias.name)?;
            Some(Alias { name: alias.name.as_str().into(), owner })
        });
        let aliases = aliases.collect();
        Self { table, listed: listed.into(), aliases, created }
    }

    /// What is served, in the order of the configuration, without aliases.
    pub fn listed(&self) -> impl Iterator<Item = &Listed> {
        self.listed.iter()
    }

    /// The deployments.
    pub(crate) fn table(&self) -> &Arc<Table<Upstream>> {
        &self.table
    }

    /// The names that this caller may ask for; of patterns, the patterns.
    pub(super) fn models(&self, caller: &Caller) -> Vec<ModelInfo> {
        let names = self.listed.iter().map(|listed| (&listed.name, &listed.owner));
        let aliases = self.aliases.iter().map(|alias| (&alias.name, &alias.owner));
        names
            .chain(aliases)
            .filter(|(name, _)| caller.may_use(name))
            .map(|(name, owner)| self.info(name, owner))
            .collect()
    }

    /// What is known of one.
    pub(super) fn model(&self, name: &str) -> Option<ModelInfo> {
        Some(self.info(name, &owner(&self.table, name)?))
    }

    fn info(&self, name: &str, owner: &Str) -> ModelInfo {
        ModelInfo::new(name, owner.clone(), self.created)
    }
}

/// Whose model it is. That a pattern fits does not mean that somebody serves it.
fn owner(table: &Table<Upstream>, name: &str) -> Option<Str> {
    let group = table.find(name).ok()??;
    Some(group.endpoints().first()?.service().owner().clone())
}
