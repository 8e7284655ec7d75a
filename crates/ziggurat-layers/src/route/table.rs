//! The table of models.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ziggurat_core::{Call, Error, ErrorKind, Str};

use super::fleet::{Fleet, Making};
use super::pattern::{Pattern, fill};
use super::{Endpoint, Registry, Rules};

/// How many models of one pattern are kept ready. Names come from callers, so there is a bound; what is beyond it is made anew
/// for each call.
pub(super) const MOST_OPEN: usize = 512;
/// The longest name of a model, in bytes.
const LONGEST: usize = 256;

/// Which deployments answer for which names. See the [module](super).
///
/// ```
/// use ziggurat_core::CallService;
/// use ziggurat_layers::route::{Endpoint, Registry, Table};
///
/// fn table<S: CallService>(azure: S, openai: S, ollama: S) -> Table<S> {
///     Table::builder(&Registry::new())
///         .group("gpt", [Endpoint::new("azure", azure), Endpoint::new("openai", openai)])
///         .alias("gpt-4", "gpt")
///         .pattern("local/*", move |captured| {
///             Ok(vec![Endpoint::new("ollama", ollama.clone()).model(captured.fill("*"))])
///         })
///         .build()
/// }
/// ```
pub struct Table<S> {
    registry: Registry,
    groups: HashMap<Str, Arc<Group<S>>>,
    by_id: HashMap<Str, Arc<Group<S>>>,
    aliases: HashMap<Str, Str>,
    /// The most specific first.
    patterns: Vec<Open<S>>,
    /// Names and patterns, in the order in which they were given.
    names: Vec<Str>,
}

/// Makes a [`Table`].
pub struct TableBuilder<S> {
    table: Table<S>,
    rules: Rules,
}

/// The deployments that answer for one name.
pub struct Group<S> {
    pub(super) fleet: Fleet,
    pub(super) endpoints: Box<[Endpoint<S>]>,
}

/// What a model's name has where its pattern has stars.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'c> {
    name: &'c str,
    parts: &'c [&'c str],
}

/// Whatever model is asked for: made when it is.
struct Open<S> {
    pattern: Pattern,
    rules: Rules,
    make: Box<Make<S>>,
    made: RwLock<HashMap<Str, Arc<Group<S>>>>,
}

type Make<S> = dyn Fn(Captured<'_>) -> Result<Vec<Endpoint<S>>, Error> + Send + Sync;

impl<S: Clone> Table<S> {
    /// Begins a table whose deployments have their health in this registry.
    #[must_use]
    pub fn builder(registry: &Registry) -> TableBuilder<S> {
        let table = Self {
            registry: registry.clone(),
            groups: HashMap::new(),
            by_id: HashMap::new(),
            aliases: HashMap::new(),
            patterns: Vec::new(),
            names: Vec::new(),
        };
        TableBuilder { table, rules: Rules::new() }
    }

    /// The registry that has the deployments' health.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The names and patterns that are served, in the order in which they were given.
    #[must_use]
    pub fn names(&self) -> &[Str] {
        &self.names
    }

    /// The deployments of all names that are no patterns.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group<S>>> {
        self.names.iter().filter_map(|name| self.groups.get(name))
    }

    /// The group that answers for a name: by its alias, its name, as the id of one deployment, or by the most specific pattern.
    ///
    /// # Errors
    ///
    /// When a pattern fits but its deployments cannot be made.
    pub fn find(&self, name: &str) -> Result<Option<Arc<Group<S>>>, Error> {
        let name = self.aliases.get(name).map_or(name, Str::as_str);
        if let Some(group) = self.groups.get(name).or_else(|| self.by_id.get(name)) {
            return Ok(Some(Arc::clone(group)));
        }
        if self.patterns.is_empty() || !is_sound(name) {
            return Ok(None);
        }
        for open in &self.patterns {
            if let Some(captured) = open.pattern.capture(name) {
                return open.group(name, &captured, &self.registry).map(Some);
            }
        }
        Ok(None)
    }

    /// That there is no such model, and which there are for this caller.
    #[must_use]
    pub fn unknown(&self, call: &Call, asked: &str) -> Error {
        const MOST: usize = 5;
        let names = self.names.iter().filter(|name| call.caller().may_use(name));
        let mut message = format!("there is no model `{}`", printable(asked));
        for (at, name) in names.clone().take(MOST).enumerate() {
            message.push_str(if at == 0 { "; there is " } else { ", " });
            message.push_str(&format!("`{name}`"));
        }
        let more = names.count().saturating_sub(MOST);
        if more > 0 {
            message.push_str(&format!(" and {more} more"));
        }
        Error::new(ErrorKind::NotFound, message).with_param("model").with_code("model_not_found")
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.patterns.iter().map(|open| open.made.read().map_or(0, |made| made.len())).sum()
    }
}

/// A caller's name for something, as it may stand in a message.
pub(super) fn printable(name: &str) -> String {
    let mut text: String = name.chars().take(100).filter(|c| !c.is_control()).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

/// Whether a caller's name for a model can be one: nothing in it walks about in paths or ends them.
fn is_sound(name: &str) -> bool {
    let strange = |c: char| c.is_control() || c.is_whitespace() || "?#%\\".contains(c);
    name.len() <= LONGEST
        && !name.contains(strange)
        && name.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

// === impl TableBuilder ===

impl<S: Clone> TableBuilder<S> {
    /// How deployments are chosen in the groups and patterns that follow.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// These deployments answer for this name. A group without deployments is none; the later of two with one name holds.
    #[must_use]
    pub fn group(
        mut self,
        name: impl Into<Str>,
        endpoints: impl IntoIterator<Item = Endpoint<S>>,
    ) -> Self {
        let name = name.into();
        let endpoints: Box<[Endpoint<S>]> = endpoints.into_iter().collect();
        if endpoints.is_empty() {
            return self;
        }
        let table = &mut self.table;
        let mut making =
            Making { registry: &table.registry, rules: &self.rules, open: false, forced: true };
        for endpoint in &endpoints {
            let alone = Box::from([endpoint.clone()]);
            let alone = Group::new(endpoint.id.clone(), alone, &making);
            table.by_id.entry(endpoint.id.clone()).or_insert_with(|| Arc::new(alone));
        }
        making.forced = false;
        let group = Group::new(name.clone(), endpoints, &making);
        if table.groups.insert(name.clone(), Arc::new(group)).is_none() {
            table.names.push(name);
        }
        self
    }

    /// What `make` makes answers for the names that fit this pattern, in which `*` stands for any text. At most 512 models of
    /// a pattern are kept.
    #[must_use]
    pub fn pattern(
        mut self,
        pattern: impl Into<Str>,
        make: impl Fn(Captured<'_>) -> Result<Vec<Endpoint<S>>, Error> + Send + Sync + 'static,
    ) -> Self {
        let name = pattern.into();
        let open = Open {
            pattern: Pattern::new(name.as_str()),
            rules: self.rules.clone(),
            make: Box::new(make),
            made: RwLock::default(),
        };
        self.table.names.push(name);
        self.table.patterns.push(open);
        self
    }

    /// Another name for a model.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<Str>, model: impl Into<Str>) -> Self {
        self.table.aliases.insert(alias.into(), model.into());
        self
    }

    /// The table.
    #[must_use]
    pub fn build(mut self) -> Table<S> {
        self.table.patterns.sort_by(|a, b| a.pattern.by_specificity(&b.pattern));
        self.table
    }
}

// === impl Open ===

impl<S: Clone> Open<S> {
    fn group(
        &self,
        name: &str,
        captured: &[&str],
        registry: &Registry,
    ) -> Result<Arc<Group<S>>, Error> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(group) = made {
            return Ok(group);
        }
        let endpoints = (self.make)(Captured { name, parts: captured })?;
        let making = Making { registry, rules: &self.rules, open: true, forced: false };
        let group = Arc::new(Group::new(name.into(), endpoints.into(), &making));
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if made.len() < MOST_OPEN {
            return Ok(Arc::clone(made.entry(name.into()).or_insert(group)));
        }
        Ok(group)
    }
}

// === impl Captured ===

impl<'c> Captured<'c> {
    /// The model asked for.
    #[must_use]
    pub fn name(&self) -> &'c str {
        self.name
    }

    /// What stands where the stars are, in order.
    #[must_use]
    pub fn parts(&self) -> &'c [&'c str] {
        self.parts
    }

    /// Puts it into the place of each `*` of `template`; what is too many or too few is left out.
    #[must_use]
    pub fn fill(&self, template: &str) -> String {
        fill(template, self.parts)
    }
}

// === impl Group ===

impl<S> Group<S> {
    pub(super) fn new(name: Str, endpoints: Box<[Endpoint<S>]>, making: &Making<'_>) -> Self {
        let deployments = endpoints.iter().map(|endpoint| (&endpoint.id, &endpoint.settings));
        Self { fleet: Fleet::new(name, deployments, making), endpoints }
    }

    /// The name that callers use.
    #[must_use]
    pub fn name(&self) -> &Str {
        self.fleet.name()
    }

    /// The deployments.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint<S>] {
        &self.endpoints
    }
}

impl<S> fmt::Debug for Group<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", self.name())
            .field("endpoints", &self.endpoints)
            .finish()
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for TableBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableBuilder").field("table", &self.table).finish_non_exhaustive()
    }
}
