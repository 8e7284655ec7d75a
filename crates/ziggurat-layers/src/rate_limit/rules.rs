//! Which limits apply to a call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use ziggurat_core::{Call, Str};

use super::Limits;

/// Says which limits apply to a call. Closures are rules, too:
///
/// ```
/// use ziggurat_core::Call;
/// use ziggurat_layers::rate_limit::{Dimension, Dimensions, Limiter, Limits, RateLimitLayer};
///
/// let small = Limits::new().rpm(10);
/// let layer = RateLimitLayer::new(Limiter::new(), move |call: &Call, apply: &mut Dimensions<'_>| {
///     if let Some(session) = &call.controls().session {
///         apply.push(Dimension::shared("session", session.clone(), &small));
///     }
/// });
/// # drop(layer);
/// ```
pub trait Rules: Send + Sync + 'static {
    /// Adds the dimensions in which the call is limited.
    fn apply<'a>(&'a self, call: &'a Call, to: &mut Dimensions<'a>);
}

impl<F> Rules for F
where
    F: Fn(&Call, &mut Dimensions<'_>) + Send + Sync + 'static,
{
    fn apply<'a>(&'a self, call: &'a Call, to: &mut Dimensions<'a>) {
        self(call, to);
    }
}

/// The dimensions in which one call is limited.
#[derive(Debug, Default)]
pub struct Dimensions<'a>(pub(super) SmallVec<[Dimension<'a>; 4]>);

/// One of them: what is counted there, and how much of it is allowed.
#[derive(Clone, Debug)]
pub struct Dimension<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) key: Key<'a>,
    pub(super) limits: Limits,
}

/// Whose count it is.
#[derive(Clone, Debug)]
pub(super) enum Key<'a> {
    Borrowed(&'a str),
    Shared(Str),
    /// One of another: the model, of a key.
    Of(&'a str, &'a str),
}

impl<'a> Dimensions<'a> {
    /// Adds a dimension. One without limits is left out, of two that count the same the first holds.
    pub fn push(&mut self, dimension: Dimension<'a>) {
        if !dimension.limits.is_empty() {
            self.0.push(dimension);
        }
    }
}

impl<'a> Dimension<'a> {
    /// The count of `key` in the dimension `name`. The key is the id of something, never a secret: it is told to the caller.
    pub fn new(name: &'a str, key: &'a str, limits: &Limits) -> Self {
        Self { name: Cow::Borrowed(name), key: Key::Borrowed(key), limits: limits.clone() }
    }

    /// The count of a key that was made for the call.
    pub fn shared(name: &'a str, key: Str, limits: &Limits) -> Self {
        Self { name: Cow::Borrowed(name), key: Key::Shared(key), limits: limits.clone() }
    }

    /// The count of `key` within `of`: of a model within a key.
    pub fn within(name: &'a str, of: &'a str, key: &'a str, limits: &Limits) -> Self {
        Self { name: Cow::Borrowed(name), key: Key::Of(key, of), limits: limits.clone() }
    }
}

impl Key<'_> {
    /// The key, and of what it is one.
    pub(super) fn parts(&self) -> (&str, &str) {
        match self {
            Key::Borrowed(key) => (key, ""),
            Key::Shared(key) => (key, ""),
            Key::Of(key, of) => (key, of),
        }
    }
}

/// By which fact of a call something is counted.
///
/// A call that does not have the fact (an anonymous caller's key) is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// All calls together.
    All,
    /// The caller's key.
    Key,
    /// The caller's user.
    User,
    /// The caller's team.
    Team,
    /// The caller's organisation.
    Organization,
    /// The model asked for.
    Model,
    /// The model asked for, for each key by itself.
    KeyModel,
    /// The model asked for, for each team by itself.
    TeamModel,
    /// Each tag of the caller and of the call.
    Tag,
}

impl By {
    /// The dimension's name: `key`, `model`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Key => "key",
            Self::User => "user",
            Self::Team => "team",
            Self::Organization => "organization",
            Self::Model => "model",
            Self::KeyModel => "model per key",
            Self::TeamModel => "model per team",
            Self::Tag => "tag",
        }
    }
}

/// Rules by the facts of a call: in each dimension limits for everyone, for the ones that are named, and for those that a
/// function knows.
///
/// ```
/// use ziggurat_layers::rate_limit::{By, LimitRules, Limits};
///
/// let rules = LimitRules::new()
///     // Every key has these limits,
///     .each(By::Key, Limits::new().rpm(60).tpm(100_000).max_parallel(10))
///     // but this one has its own.
///     .one(By::Key, "key-7", Limits::new().rpm(600))
///     // A model for everybody together.
///     .one(By::Model, "gpt-4.1", Limits::new().tpm(2_000_000))
///     // Whatever else one can compute from a call.
///     .by("region", |call| call.head().headers.get("x-region")?.to_str().ok().map(Into::into), Limits::new().rpm(1000));
/// # drop(rules);
/// ```
#[derive(Clone, Debug, Default)]
pub struct LimitRules {
    rules: Vec<Rule>,
}

#[derive(Clone)]
struct Rule {
    name: Str,
    source: Source,
    each: Limits,
    named: HashMap<Str, Limits>,
    lookup: Option<Arc<Lookup>>,
}

#[derive(Clone)]
enum Source {
    Fact(By),
    Fixed(Str),
    Made(Arc<Make>),
}

type Make = dyn Fn(&Call) -> Option<Str> + Send + Sync;

type Lookup = dyn Fn(&Call, &str) -> Option<Limits> + Send + Sync;

impl LimitRules {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits that each one has for itself: each key, each model.
    #[must_use]
    pub fn each(mut self, by: By, limits: Limits) -> Self {
        self.rule(by).each = limits;
        self
    }

    /// The limits of one, in place of those that [each](Self::each) has. For a model within a key or team: of this model, for
    /// each of them.
    #[must_use]
    pub fn one(mut self, by: By, name: impl Into<Str>, limits: Limits) -> Self {
        self.rule(by).named.insert(name.into(), limits);
        self
    }

    /// Looks the limits up, by the call and the name in this dimension; what it does not know has the other limits. It runs
    /// with every call, and must not wait: limits that are kept elsewhere ride in the caller, or in a map.
    #[must_use]
    pub fn lookup(
        mut self,
        by: By,
        lookup: impl Fn(&Call, &str) -> Option<Limits> + Send + Sync + 'static,
    ) -> Self {
        self.rule(by).lookup = Some(Arc::new(lookup));
        self
    }

    /// Limits by whatever can be computed from a call. `None` is not counted.
    #[must_use]
    pub fn by(
        mut self,
        name: impl Into<Str>,
        key: impl Fn(&Call) -> Option<Str> + Send + Sync + 'static,
        limits: Limits,
    ) -> Self {
        self.rules.push(Rule::new(name.into(), Source::Made(Arc::new(key)), limits));
        self
    }

    /// Limits of one thing that all calls through this layer go to: a deployment, a provider.
    #[must_use]
    pub fn fixed(mut self, name: impl Into<Str>, key: impl Into<Str>, limits: Limits) -> Self {
        self.rules.push(Rule::new(name.into(), Source::Fixed(key.into()), limits));
        self
    }

    fn rule(&mut self, by: By) -> &mut Rule {
        let known = self
            .rules
            .iter()
            .position(|rule| matches!(rule.source, Source::Fact(known) if known == by));
        let at = known.unwrap_or_else(|| {
            self.rules.push(Rule::new(
                Str::from_static(by.name()),
                Source::Fact(by),
                Limits::new(),
            ));
            self.rules.len() - 1
        });
        &mut self.rules[at]
    }
}

impl Rules for LimitRules {
    fn apply<'a>(&'a self, call: &'a Call, to: &mut Dimensions<'a>) {
        for rule in &self.rules {
            rule.apply(call, to);
        }
    }
}

impl Rule {
    fn new(name: Str, source: Source, each: Limits) -> Self {
        Self { name, source, each, named: HashMap::new(), lookup: None }
    }

    fn apply<'a>(&'a self, call: &'a Call, to: &mut Dimensions<'a>) {
        let caller = call.caller();
        let model = call.model().as_str();
        let by = match &self.source {
            Source::Fact(by) => *by,
            Source::Fixed(key) => return self.add(call, key, Key::Borrowed(key), to),
            Source::Made(make) => {
                if let Some(key) = make(call) {
                    self.add(call, &key.clone(), Key::Shared(key), to);
                }
                return;
            }
        };
        let within = |of: Option<&'a str>| of.map(|of| (model, Key::Of(model, of)));
        let plain = |key: &'a str| (key, Key::Borrowed(key));
        let found = match by {
            By::All => Some(plain("")),
            By::Key => caller.key().map(plain),
            By::User => caller.user_id().map(plain),
            By::Team => caller.team_id().map(plain),
            By::Organization => caller.organization_id().map(plain),
            By::Model => Some(plain(model)),
            By::KeyModel => within(caller.key()),
            By::TeamModel => within(caller.team_id()),
            By::Tag => {
                for tag in caller.tags().iter().chain(&call.controls().tags) {
                    self.add(call, tag, Key::Borrowed(tag), to);
                }
                None
            }
        };
        if let Some((name, key)) = found {
            self.add(call, name, key, to);
        }
    }

    fn add<'a>(&'a self, call: &Call, name: &str, key: Key<'a>, to: &mut Dimensions<'a>) {
        let looked = self.lookup.as_ref().and_then(|lookup| lookup(call, name));
        let limits = match looked {
            Some(limits) => limits,
            // The map is mostly empty, and a hash costs something.
            None if self.named.is_empty() => self.each.clone(),
            None => self.named.get(name).unwrap_or(&self.each).clone(),
        };
        to.push(Dimension { name: Cow::Borrowed(&self.name), key, limits });
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("name", &self.name)
            .field("each", &self.each)
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}
