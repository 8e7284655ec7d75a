//! The table of models.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ziggurat_core::{Caller, Error, ModelInfo, Str};

use super::parallel::{Parallel, Place};
use super::pattern::{Pattern, fill};
use crate::config::DeploymentConfig;
use crate::deployments::Maker;
use crate::stack::Target;

/// How many models of one pattern are kept ready. Names come from callers, so there is a bound; what
/// is beyond it is made anew for each call.
const MOST_OPEN: usize = 512;
/// The longest name of a model, in bytes.
const LONGEST: usize = 256;

/// Which deployments answer for which names.
#[derive(Debug)]
pub struct Table {
    /// In the order of the configuration.
    groups: Vec<Group>,
    exact: HashMap<Str, usize>,
    /// The most specific first.
    patterns: Vec<usize>,
    /// The model of every call, whatever is asked for.
    only: Option<Str>,
    /// Since when, in seconds since 1970.
    created: u64,
}

/// What a table serves under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name, or the pattern.
    pub name: String,
    /// Who answers, for people: the name of a provider.
    pub provider: String,
    /// How many deployments take turns.
    pub deployments: usize,
}

/// The deployments of one name.
#[derive(Debug)]
struct Group {
    name: Pattern,
    owner: Str,
    provider: String,
    entries: Vec<Entry>,
    turn: AtomicUsize,
}

/// One deployment.
struct Entry {
    maker: Maker,
    parallel: Option<Arc<Parallel>>,
    kind: Kind,
}

enum Kind {
    /// One model.
    Fixed(Arc<Target>),
    /// Whatever model is asked for: made when it is.
    Open(RwLock<HashMap<Str, Arc<Target>>>),
}

/// The group that serves a name.
pub(super) struct Found<'t, 'n> {
    group: &'t Group,
    captured: Vec<&'n str>,
}

impl Table {
    /// A table of these deployments. `only` is the model of every call, whatever is asked for;
    /// `created` the time that lists of models name, in seconds since 1970.
    pub(crate) fn new(makers: Vec<Maker>, only: Option<&str>, created: u64) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        for maker in makers {
            let name = maker.entry().model_name.clone();
            let at = *by_name.entry(name.clone()).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Group::new(name, &maker));
            }
            groups[at].entries.push(Entry::new(maker));
        }
        let is_pattern = |at: &usize| groups[*at].name.as_str().contains('*');
        let mut patterns: Vec<usize> = (0..groups.len()).filter(is_pattern).collect();
        patterns.sort_by(|a, b| groups[*a].name.by_specificity(&groups[*b].name));
        let exact = (0..groups.len())
            .filter(|at| !is_pattern(at))
            .map(|at| (Str::from(groups[at].name.as_str()), at))
            .collect();
        Self { groups, exact, patterns, only: only.map(Str::from), created }
    }

    /// What is served.
    pub fn listed(&self) -> impl Iterator<Item = Listed> {
        self.groups.iter().map(|group| Listed {
            name: group.name.as_str().to_owned(),
            provider: group.provider.clone(),
            deployments: group.entries.len(),
        })
    }

    /// The model that a call for this one goes to.
    pub(super) fn effective(&self, asked: &Str) -> Str {
        self.only.as_ref().unwrap_or(asked).clone()
    }

    pub(super) fn find<'t, 'n>(&'t self, name: &'n str) -> Option<Found<'t, 'n>> {
        if let Some(at) = self.exact.get(name) {
            return Some(Found { group: &self.groups[*at], captured: Vec::new() });
        }
        if !is_sound(name) {
            return None;
        }
        self.patterns.iter().find_map(|at| {
            let group = &self.groups[*at];
            Some(Found { group, captured: group.name.capture(name)? })
        })
    }

    /// The names that this caller may ask for; of patterns, the patterns.
    pub(super) fn models(&self, caller: &Caller) -> Vec<ModelInfo> {
        self.groups
            .iter()
            .filter(|group| caller.may_use(group.name.as_str()))
            .map(|group| self.info(group.name.as_str(), group))
            .collect()
    }

    /// What is known of one.
    pub(super) fn model(&self, name: &str) -> Option<ModelInfo> {
        let found = self.find(name)?;
        // That a pattern fits does not mean that somebody serves it.
        let mut entries = found.group.entries.iter();
        let served = entries.any(|entry| entry.target(&found.captured).is_ok());
        served.then(|| self.info(name, found.group))
    }

    /// How many models of patterns are kept ready.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let entries = self.groups.iter().flat_map(|group| &group.entries);
        entries
            .map(|entry| match &entry.kind {
                Kind::Open(made) => made.read().map_or(0, |made| made.len()),
                Kind::Fixed(_) => 0,
            })
            .sum()
    }

    fn info(&self, name: &str, group: &Group) -> ModelInfo {
        ModelInfo::new(name, group.owner.clone(), self.created)
    }
}

/// Whether a caller's name for a model can be one: nothing in it walks about in paths or ends them.
fn is_sound(name: &str) -> bool {
    let strange = |c: char| c.is_control() || c.is_whitespace() || "?#%\\".contains(c);
    name.len() <= LONGEST
        && !name.contains(strange)
        && name.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

// === impl Group ===

impl Group {
    fn new(name: String, first: &Maker) -> Self {
        let (owner, provider) = first.owner();
        Self {
            name: Pattern::new(name),
            owner,
            provider,
            entries: Vec::new(),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Entry {
    fn new(maker: Maker) -> Self {
        let parallel = maker.parallel();
        let kind = match maker.fixed() {
            Some(target) => Kind::Fixed(Arc::new(target)),
            None => Kind::Open(RwLock::default()),
        };
        Self { maker, parallel, kind }
    }

    fn config(&self) -> &DeploymentConfig {
        self.maker.entry()
    }

    fn target(&self, captured: &[&str]) -> Result<Arc<Target>, Error> {
        let made = match &self.kind {
            Kind::Fixed(target) => return Ok(Arc::clone(target)),
            Kind::Open(made) => made,
        };
        let model = fill(&self.config().model, captured);
        let ready =
            made.read().unwrap_or_else(PoisonError::into_inner).get(model.as_str()).cloned();
        if let Some(target) = ready {
            return Ok(target);
        }
        let target = Arc::new(self.maker.open(&model)?);
        let mut made = made.write().unwrap_or_else(PoisonError::into_inner);
        if made.len() < MOST_OPEN {
            made.insert(model.into(), Arc::clone(&target));
        }
        Ok(target)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.config().id).finish_non_exhaustive()
    }
}

// === impl Found ===

impl Found<'_, '_> {
    /// The deployment whose turn it is, of those that have a place.
    pub(super) fn choose(&self) -> Result<(Arc<Target>, Option<Place>), Error> {
        let entries = &self.group.entries;
        let turn = self.group.turn.fetch_add(1, Ordering::Relaxed);
        for step in 0..entries.len() {
            let entry = &entries[turn.wrapping_add(step) % entries.len()];
            let place = match &entry.parallel {
                None => None,
                Some(parallel) => match Parallel::take(parallel) {
                    Some(place) => Some(place),
                    None => continue,
                },
            };
            return Ok((entry.target(&self.captured)?, place));
        }
        Err(super::full())
    }
}
