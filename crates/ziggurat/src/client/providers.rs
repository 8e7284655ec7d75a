//! Every provider that the table knows, as one service.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;

use ziggurat_core::{Body, BoxError, Call, Error, ErrorKind, Origin, Reply, Secret, Str};
use ziggurat_http::{Deployment, TranslateLayer, Transport};
use ziggurat_providers::{Provider, Providers as Table, Resolved};

/// How many models are remembered. Further ones are looked up at every call.
const MAX_KNOWN: usize = 1024;

/// Answers calls for `provider/model` at that provider.
///
/// The provider's name is one of [`ziggurat_providers::providers`]; a model that everybody knows by its bare name (`gpt-4.1`,
/// `claude-sonnet-4`) needs none. What the model can do and what it costs come from the same tables. Keys and addresses come
/// from the environment, by each provider's own variables (`ANTHROPIC_API_KEY`, `OPENAI_BASE_URL` …), unless they are given
/// here. They are read when a model is first called and then remembered.
///
/// ```
/// use ziggurat::{Secret, client::Providers};
///
/// # fn main() -> Result<(), ziggurat::Error> {
/// let providers = Providers::from_env()
///     .key("anthropic", Secret::new("sk-ant-…"))?
///     .base_url("hosted_vllm", "http://10.0.0.7:8000/v1".parse().unwrap())?;
/// let deployment = providers.deployment("hosted_vllm/llama")?;
/// assert_eq!(deployment.model.as_deref(), Some("llama"));
/// # Ok(())
/// # }
/// ```
///
/// It is a [`CallService`](ziggurat_core::CallService): any layers over calls go around it, and `T`, any service over
/// `http::Request`, carries its requests.
#[derive(Clone, Debug)]
pub struct Providers<T = Transport> {
    transport: T,
    settings: Settings,
    known: Arc<RwLock<HashMap<Str, Arc<Deployment>>>>,
}

#[derive(Clone, Debug)]
struct Settings {
    table: Table,
    keys: HashMap<Str, Secret>,
    addresses: HashMap<Str, Uri>,
    variables: Variables,
}

#[derive(Clone)]
struct Variables(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

impl Providers {
    /// The providers, with keys and addresses from the environment, over the default transport.
    #[must_use]
    pub fn from_env() -> Self {
        Self::over(Transport::new())
    }
}

impl<T> Providers<T> {
    /// The providers, with keys and addresses from the environment, over this transport.
    #[must_use]
    pub fn over(transport: T) -> Self {
        let variables = Variables(Arc::new(|name| std::env::var(name).ok()));
        let settings = Settings {
            table: Table::default(),
            keys: HashMap::new(),
            addresses: HashMap::new(),
            variables,
        };
        Self { transport, settings, known: Arc::default() }
    }

    /// Looks variables up by this function, not in the environment.
    #[must_use]
    pub fn variables(
        mut self,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.variables = Variables(Arc::new(variable));
        self.forget()
    }

    /// With further providers: a list of rows, as [`ziggurat_providers::Providers`] has them. One with a prefix that is there
    /// already takes its place.
    ///
    /// ```
    /// use ziggurat::client::Providers;
    ///
    /// let providers = Providers::from_env().and(
    ///     r#"[{"prefix": "my-lab", "dialect": "anthropic", "base_url": "http://10.0.0.7:8000"}]"#,
    /// )?;
    /// assert_eq!(providers.deployment("my-lab/small")?.model.as_deref(), Some("small"));
    /// # Ok::<(), ziggurat::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the JSON is malformed, or names a dialect or a quirk that does not exist.
    pub fn and(mut self, rows: &str) -> Result<Self, Error> {
        let table = self.settings.table.with(rows);
        self.settings.table = table.map_err(|why| misconfigured(why.to_string()))?;
        Ok(self.forget())
    }

    /// With this key for a provider, whatever the environment says.
    ///
    /// # Errors
    ///
    /// When there is no such provider.
    pub fn key(mut self, provider: &str, key: Secret) -> Result<Self, Error> {
        let prefix = self.settings.named(provider)?.prefix().into();
        self.settings.keys.insert(prefix, key);
        Ok(self.forget())
    }

    /// With this address for a provider, whatever the environment says.
    ///
    /// # Errors
    ///
    /// When there is no such provider.
    pub fn base_url(mut self, provider: &str, base: Uri) -> Result<Self, Error> {
        let prefix = self.settings.named(provider)?.prefix().into();
        self.settings.addresses.insert(prefix, base);
        Ok(self.forget())
    }

    /// Where a call for this model goes.
    ///
    /// # Errors
    ///
    /// When nobody is known to serve the model, or its provider's key or address is missing. The message says what to write or
    /// to set.
    pub fn deployment(&self, model: &str) -> Result<Arc<Deployment>, Error> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned();
        if let Some(deployment) = known {
            return Ok(deployment);
        }
        let deployment = Arc::new(self.settings.deployment(model)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_KNOWN {
            known.insert(model.into(), Arc::clone(&deployment));
        }
        Ok(deployment)
    }

    /// What was remembered is no longer true. Clones made before keep theirs.
    fn forget(mut self) -> Self {
        self.known = Arc::default();
        self
    }
}

impl Settings {
    fn deployment(&self, name: &str) -> Result<Deployment, Error> {
        let Resolved { provider, model, .. } = self.table.resolve(name).map_err(|why| {
            Error::new(ErrorKind::NotFound, why.to_string()).with_param("model").with_source(why)
        })?;
        let key = self.key(&provider);
        let given = self.addresses.get(provider.prefix()).map(ToString::to_string);
        let place = provider
            .place(model, given.as_deref(), &*self.variables.0)
            .map_err(|why| misconfigured(why.to_string()).with_source(why))?;
        let address: Uri = place.address.parse().map_err(|why| {
            let name = provider.name();
            misconfigured(format!("the address of {name} is no address"))
                .with_source(BoxError::from(http::Error::from(why)))
        })?;
        // A server of one's own may do without a key; a vendor's would only say so later, and less clearly.
        let published = given.is_none() && provider.base_url() == Some(&*place.address);
        if published && key.is_none() && address.scheme_str() == Some("https") {
            only_if_keyless(&provider)?;
        }
        let mut deployment = Deployment::new(name, place.variant.dialect, address)
            .variant(place.variant)
            .model(place.model)
            .capabilities(ziggurat_providers::capabilities(provider.prefix(), model));
        if let Some(price) = ziggurat_providers::price(provider.prefix(), model) {
            deployment = deployment.price(price);
        }
        Ok(match key {
            Some(key) => deployment.key(key),
            None => deployment,
        })
    }

    fn key(&self, provider: &Provider) -> Option<Secret> {
        let given = self.keys.get(provider.prefix()).cloned();
        given.or_else(|| provider.key(&*self.variables.0))
    }

    fn named(&self, provider: &str) -> Result<&Provider, Error> {
        let found = self.table.get(provider);
        found.ok_or_else(|| misconfigured(format!("there is no provider `{provider}`")))
    }
}

fn only_if_keyless(provider: &Provider) -> Result<(), Error> {
    let names = provider.key_names();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("there is no key for {}: set {}", provider.name(), names.join(" or "));
    Err(Error::new(ErrorKind::Authentication, message).with_origin(Origin::Gateway))
}

fn misconfigured(message: String) -> Error {
    Error::invalid(message).with_origin(Origin::Gateway)
}

impl<T, RB> Service<Call> for Providers<T>
where
    T: Service<Request<Body>, Response = Response<RB>, Error: Into<BoxError> + 'static> + Clone,
    T::Future: Send + 'static,
    RB: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.transport.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let deployment = match self.deployment(call.model()) {
            Ok(deployment) => deployment,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        // The instance that was made ready is the one that is called.
        let next = self.transport.clone();
        let ready = std::mem::replace(&mut self.transport, next);
        Box::pin(TranslateLayer::new(deployment).layer(ready).call(call))
    }
}
