//! Who asks.

use std::sync::Arc;

use crate::Str;

/// Who asks, and for which models. Put into a call by authentication; anonymous by default, who may use everything.
///
/// ```
/// use ziggurat_core::Caller;
///
/// let caller = Caller::new("key-7").team("search").models(["openai/*", "claude-sonnet-4-6"]);
/// assert!(caller.may_use("openai/gpt-4.1"));
/// assert!(!caller.may_use("claude-opus-4-8"));
/// assert!(Caller::anonymous().may_use("anything"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<Arc<Facts>>);

#[derive(Clone, Debug, Default)]
struct Facts {
    key: Str,
    user: Option<Str>,
    team: Option<Str>,
    organization: Option<Str>,
    tags: Vec<Str>,
    models: Option<Vec<Str>>,
}

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(None)
    }

    /// The holder of a key. `key` is the key's id (a hash or an alias), never the secret.
    pub fn new(key: impl Into<Str>) -> Self {
        Self(Some(Arc::new(Facts { key: key.into(), ..Facts::default() })))
    }

    /// On behalf of this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<Str>) -> Self {
        self.facts().user = Some(user.into());
        self
    }

    /// As a member of this team.
    #[must_use]
    pub fn team(mut self, team: impl Into<Str>) -> Self {
        self.facts().team = Some(team.into());
        self
    }

    /// Within this organisation.
    #[must_use]
    pub fn organization(mut self, organization: impl Into<Str>) -> Self {
        self.facts().organization = Some(organization.into());
        self
    }

    /// With this tag added.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Str>) -> Self {
        self.facts().tags.push(tag.into());
        self
    }

    /// Who may use only these models. A name ending in `*` allows every model that begins with what is before it.
    #[must_use]
    pub fn models<I: IntoIterator<Item: Into<Str>>>(mut self, models: I) -> Self {
        self.facts().models = Some(models.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the caller may use this model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        let Some(models) = self.0.as_ref().and_then(|facts| facts.models.as_ref()) else {
            return true;
        };
        models.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => allowed == model,
        })
    }

    /// The key's id.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.as_ref().map(|facts| facts.key.as_str())
    }

    /// The user.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.0.as_ref().and_then(|facts| facts.user.as_deref())
    }

    /// The team.
    #[must_use]
    pub fn team_id(&self) -> Option<&str> {
        self.0.as_ref().and_then(|facts| facts.team.as_deref())
    }

    /// The organisation.
    #[must_use]
    pub fn organization_id(&self) -> Option<&str> {
        self.0.as_ref().and_then(|facts| facts.organization.as_deref())
    }

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &[Str] {
        self.0.as_ref().map_or(&[], |facts| &facts.tags)
    }

    fn facts(&mut self) -> &mut Facts {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}
