//! From entries of the configuration to deployments: provider, address, key, abilities, price; and which of them answer for which
//! name.

mod bedrock;
mod cloud;
mod settings;
mod table;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};
use tower::util::option_layer;
use tower_layer::Layer;
use ziggurat_core::{Capabilities, Credentials, Error, ErrorKind, Price, RawJson, Secret, Str};
use ziggurat_dialects::{ANTHROPIC, CONVERSE, GEMINI, KeyHeader, MaxTokensName, OPENAI, RESPONSES};
use ziggurat_http::transport::TransportOptions;
use ziggurat_http::{Deployment, Fetcher, Transport};
use ziggurat_layers::RateLimitLayer;
use ziggurat_layers::route::{Captured, Endpoint};
use ziggurat_providers::{Catalogue, Provider, Providers, UnknownModel};

use crate::config::{Config, DeploymentConfig, Environment, ModelInfo, Problem};
use crate::mock::{self, Mock};
use crate::policies;
use crate::registries::Registries;
use crate::stack::{self, Limited};
use crate::upstream::Upstream;

use self::bedrock::Signers;
use self::cloud::{Asker, Askers, Cloud};

pub(crate) use settings::allowed_fails;
pub(crate) use table::catalogue;

/// Makes the deployments of one entry.
#[derive(Debug)]
pub(crate) struct Maker {
    entry: DeploymentConfig,
    shared: Arc<Shared>,
    owner: Owner,
    limits: Option<RateLimitLayer>,
    signers: Signers,
    askers: Askers,
    fixed: Option<Endpoint<Upstream>>,
}

/// What all makers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    registries: Registries,
    options: TransportOptions,
    transport: Transport,
    /// Fetches what providers take only as bytes.
    fetcher: Option<Fetcher>,
    providers: Providers,
    /// What the environment says of keys and addresses.
    variables: HashMap<Str, Secret>,
    /// What is known of models; the built-in one, when absent.
    catalogue: Option<Arc<Catalogue>>,
}

/// Whose models they are.
#[derive(Clone, Debug)]
enum Owner {
    Mock,
    Provider(Provider),
    /// Whoever is known to serve what is asked for.
    Anybody,
}

/// Why an entry makes no deployment.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The configuration is wrong.
    Wrong(Problem),
    /// It is right, but not for us yet.
    Unsupported(Problem),
}

impl Shared {
    /// What the configuration and the environment say.
    #[must_use]
    pub(crate) fn new(
        config: &Config,
        env: &dyn Environment,
        registries: &Registries,
    ) -> (Arc<Self>, Vec<Problem>) {
        let (catalogue, problems) = registries.catalogue(config);
        let env = config.variables.over(env);
        let providers = config.ziggurat.providers.clone();
        let names = providers.as_slice().iter().flat_map(Provider::variables);
        let clouds = cloud::variables().map(Str::from_static);
        let variables = names
            .cloned()
            .chain(clouds)
            .filter_map(|name| Some((name.clone(), Secret::new(env.var(&name).ok()?))))
            .collect();
        let mut options = TransportOptions::default();
        options.connect_timeout = config.ziggurat.timeouts.connect;
        options.http2_shards = config
            .ziggurat
            .http2_shards
            .map_or(0, |shards| usize::try_from(shards.get()).unwrap_or(usize::MAX));
        let shared = Self {
            fetcher: policies::fetcher(config),
            config: config.clone(),
            registries: registries.clone(),
            transport: registries.transport(&options),
            options,
            providers,
            variables,
            catalogue,
        };
        (Arc::new(shared), problems)
    }
}

// === impl Shared ===

impl Shared {
    fn catalogue(&self) -> &Catalogue {
        self.catalogue.as_deref().unwrap_or_else(|| Catalogue::builtin())
    }

    /// How providers are connected to.
    pub(crate) fn transport_options(&self) -> &TransportOptions {
        &self.options
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| value.expose().to_owned())
    }
}

// === impl Maker ===

impl Maker {
    /// A maker for this entry, and what is to be said about it.
    pub(crate) fn new(
        entry: &DeploymentConfig,
        shared: &Arc<Shared>,
    ) -> Result<(Self, Vec<Problem>), Fault> {
        let owner = owner(entry, &shared.providers).map_err(|unknown| {
            let problem = entry.problem(unknown.to_string());
            if unknown.is_unsupported() {
                Fault::Unsupported(entry.problem(format!("{unknown}: this model is not served")))
            } else {
                Fault::Wrong(problem)
            }
        })?;
        let limits = settings::limits(&shared.config, entry, &shared.registries)
            .map_err(|bad| Fault::Wrong(shared.config.problem("redis", bad.to_string())))?;
        let mut maker = Self {
            entry: entry.clone(),
            shared: Arc::clone(shared),
            owner,
            limits,
            signers: Signers::default(),
            askers: Askers::default(),
            fixed: None,
        };
        let mut warnings = Vec::new();
        if let Owner::Provider(provider) = &maker.owner {
            warnings.extend(maker.missing_key(provider).map(|missing| entry.problem(missing)));
        }
        if maker.is_open() {
            // What is wrong whatever the model is found here, too.
            if let Owner::Provider(provider) = &maker.owner {
                maker
                    .deployment(provider, "*")
                    .map_err(|wrong| Fault::Wrong(entry.problem(wrong)))?;
            }
        } else {
            let made = maker.make(&entry.model);
            maker.fixed = Some(
                made.map_err(|wrong| Fault::Wrong(entry.problem(wrong.message().to_owned())))?,
            );
        }
        Ok((maker, warnings))
    }

    /// The entry.
    pub(crate) fn entry(&self) -> &DeploymentConfig {
        &self.entry
    }

    /// Who serves it, for lists of models and for people.
    pub(crate) fn owner(&self) -> (Str, String) {
        match &self.owner {
            Owner::Mock => (Str::from_static(mock::PROVIDER), "no provider".to_owned()),
            Owner::Provider(provider) => (provider.prefix().into(), provider.name().to_owned()),
            Owner::Anybody => (Str::from_static("ziggurat"), "whoever serves it".to_owned()),
        }
    }

    /// The deployment, for the model that a caller asked for where the model is open.
    pub(crate) fn endpoint(&self, captured: &Captured<'_>) -> Result<Endpoint<Upstream>, Error> {
        match &self.fixed {
            Some(endpoint) => Ok(endpoint.clone()),
            None => self.make(&captured.fill(&self.entry.model)),
        }
    }

    fn is_open(&self) -> bool {
        self.entry.model.contains('*')
    }

    fn make(&self, model: &str) -> Result<Endpoint<Upstream>, Error> {
        let id = self.entry.id.as_str();
        let qualified = qualified(&self.entry, model);
        let own = qualified.strip_prefix(mock::PROVIDER).and_then(|rest| rest.strip_prefix('/'));
        if let Some(text) = &self.entry.mock_response {
            return Ok(self.mock(Mock::saying(id, text.clone()), model));
        }
        if let Some(model) = own {
            return Ok(self.mock(Mock::new(id), model));
        }
        let found = self.shared.providers.resolve(&qualified).map_err(|error| unserved(&error))?;
        if matches!(self.owner, Owner::Anybody)
            && let Some(missing) = self.missing_key(&found.provider)
        {
            return Err(unserved(&missing));
        }
        let (deployment, credentials) =
            self.deployment(&found.provider, found.model).map_err(Error::invalid)?;
        let deployment = Arc::new(deployment);
        let stack = |streamed| {
            let timeouts = self.shared.config.timeouts(&self.entry, streamed);
            let config = &self.shared.config;
            let transport = self.shared.transport.clone();
            let credentials = credentials.clone();
            let deployment = Arc::clone(&deployment);
            let fetcher = self.shared.fetcher.clone();
            let stack =
                stack::provider(deployment, credentials, config, &timeouts, fetcher, transport);
            self.limited(stack)
        };
        let service = Upstream::provider(
            found.provider.prefix().into(),
            [stack(false), stack(true)],
            counts(&deployment, &found.provider),
        );
        Ok(self.around(service, found.model, deployment.price.clone()))
    }

    fn mock(&self, mock: Mock, model: &str) -> Endpoint<Upstream> {
        let service = Upstream::mock(Str::from_static(mock::PROVIDER), self.limited(mock));
        self.around(service, model, None)
    }

    fn limited<S>(&self, service: S) -> Limited<S> {
        // The same book, and so the same limits, for all that stand for this deployment.
        option_layer(self.limits.clone()).layer(service)
    }

    fn around(&self, service: Upstream, model: &str, price: Option<Price>) -> Endpoint<Upstream> {
        let settings = settings::of(&self.shared.config, &self.entry, model.into(), price);
        Endpoint::new(self.entry.id.as_str(), service).settings(settings)
    }

    /// Whether a model goes by a name that OpenAI gives its own.
    fn is_openais(&self, model: &str) -> bool {
        let found = self.shared.providers.resolve(model);
        found.is_ok_and(|found| found.provider.prefix() == "openai")
    }

    /// The deployment, and what is put into its requests last.
    fn deployment(
        &self,
        provider: &Provider,
        model: &str,
    ) -> Result<(Deployment, Option<Arc<dyn Credentials>>), String> {
        let entry = &self.entry;
        let config = &self.shared.config;
        if let Some(fault) = bedrock::fault(&entry.aws) {
            return Err(fault.to_owned());
        }
        let bedrock = match bedrock::is_signed(provider.dialect()) {
            true => Some(bedrock::Place::of(entry, model, self.region().as_deref())?),
            false => None,
        };
        let model = bedrock.as_ref().map_or(model, |place| place.model);
        let credentials = bedrock
            .as_ref()
            .filter(|_| self.key(provider).is_none())
            .map(|place| self.signers.of(&entry.aws, &place.region));
        let asker = match Cloud::of(provider.prefix()) {
            Some(cloud) if self.key(provider).is_none() => {
                let variable = |name: &str| self.shared.variable(name);
                self.askers.of(cloud, entry, variable, &self.shared.transport)?
            }
            _ => None,
        };
        let given = bedrock.as_ref().map(|place| place.address.as_str());
        let given = given.or(entry.api_base.as_deref());
        let mut place = provider
            .place(model, given, |name| self.setting(name))
            .map_err(|missing| missing.to_string())?;
        let elsewhere = provider.prefix() == "openai" && entry.api_base.is_some();
        if elsewhere && place.variant.dialect == OPENAI && !self.is_openais(&place.model) {
            // Somebody else's server, which mostly knows the older word alone. The other dialects have but one.
            let quirks = Arc::make_mut(&mut place.variant.quirks);
            quirks.max_tokens_name.get_or_insert(MaxTokensName::MaxTokens);
        }
        let mut bearer = None;
        let base: Uri =
            place.address.parse().map_err(|_| "the provider's address is no URL".to_owned())?;
        if base.scheme().is_none() || base.authority().is_none() {
            return Err("the provider's address is no URL".to_owned());
        }
        let credentials = match asker {
            None => credentials,
            Some(asker) => {
                // Tokens are a bearer's, where keys have a header of their own.
                place.variant.key = Some(KeyHeader::bearer());
                match asker {
                    Asker::Token(token) => {
                        bearer = Some(token);
                        credentials
                    }
                    Asker::Tokens(tokens) => Some(tokens),
                }
            }
        };
        let known_as = entry.info.base_model.as_deref().unwrap_or(model);
        let mut deployment = Deployment::new(entry.id.as_str(), place.variant.dialect, base)
            .variant(place.variant)
            .model(place.model)
            .capabilities(capabilities(provider, known_as, &entry.info))
            .loss_policy(config.loss_policy(entry))
            .forward_headers(config.general.forward_client_headers)
            .allow(entry.allowed_openai_params.iter().map(String::as_str))
            .drop_params(entry.additional_drop_params.iter().map(String::as_str))
            .max_event(
                usize::try_from(config.ziggurat.limits.max_event_bytes).unwrap_or(usize::MAX),
            );
        if let Some(key) = self.key(provider).or(bearer) {
            deployment = deployment.key(key);
        }
        if let Some(bytes) = config.general.max_response_bytes {
            deployment = deployment.max_reply(bytes);
        }
        for (name, value) in entry.defaults.iter() {
            deployment = deployment.default_param(name, json(value)?);
        }
        for (name, value) in entry.extra_body.iter() {
            deployment = deployment.extra_body(name, json(value)?);
        }
        if let Some(organization) = &entry.organization {
            let name = HeaderName::from_static("openai-organization");
            deployment = deployment.header(name, header(organization)?);
        }
        for (name, value) in &entry.headers {
            let name = HeaderName::try_from(name).map_err(|_| "a header has no legal name")?;
            deployment = deployment.header(name, header(value.expose())?);
        }
        if let Some(price) = price(self.shared.catalogue(), provider, known_as, &entry.info) {
            deployment = deployment.price(price);
        }
        Ok((deployment, credentials))
    }

    /// What fills a gap in an address: a parameter of the entry, or a variable.
    fn setting(&self, name: &str) -> Option<String> {
        match name {
            "api_version" => self.entry.api_version.clone(),
            "vertex_project" => {
                cloud::project(&self.entry.google, |name| self.shared.variable(name))
            }
            "vertex_location" => self.entry.google.location.clone(),
            name => self.shared.variable(name),
        }
    }

    /// The region of AWS that the environment names.
    fn region(&self) -> Option<String> {
        bedrock::REGIONS.into_iter().find_map(|name| self.shared.variable(name))
    }

    fn key(&self, provider: &Provider) -> Option<Secret> {
        let given = self.entry.api_key.clone();
        given.or_else(|| provider.key(|name| self.shared.variable(name)))
    }

    /// What to say when the provider wants a key and there is none.
    fn missing_key(&self, provider: &Provider) -> Option<String> {
        let names = provider.key_names();
        let has = self.key(provider).is_some();
        // Whoever runs a server of their own may have one that asks for no key.
        let cloud = Cloud::of(provider.prefix());
        let asked = cloud.is_some_and(|cloud| {
            let variable = |name: &str| self.shared.variable(name);
            let asker = self.askers.of(cloud, &self.entry, variable, &self.shared.transport);
            // What is wrong with it is told where the deployment is made.
            !matches!(asker, Ok(None))
        });
        let signed = bedrock::is_signed(provider.dialect()) || asked;
        if has || names.is_empty() || signed || self.entry.api_base.is_some() {
            return None;
        }
        let names = names.join(" or ");
        Some(format!("there is no key for {}: set `api_key` or {names}", provider.name()))
    }
}

/// `model`, with the provider's prefix that may stand apart from it.
fn qualified<'a>(entry: &DeploymentConfig, model: &'a str) -> Cow<'a, str> {
    match &entry.provider {
        Some(provider) => {
            let has = model.strip_prefix(provider.as_str()).is_some_and(|r| r.starts_with('/'));
            if has { Cow::Borrowed(model) } else { Cow::Owned(format!("{provider}/{model}")) }
        }
        None => Cow::Borrowed(model),
    }
}

fn owner(entry: &DeploymentConfig, providers: &Providers) -> Result<Owner, UnknownModel> {
    let model = qualified(entry, &entry.model);
    if entry.mock_response.is_some() || model.split('/').next() == Some(mock::PROVIDER) {
        return Ok(Owner::Mock);
    }
    // The provider is only known when the model is.
    if model.split('/').next().is_some_and(|prefix| prefix.contains('*')) {
        return Ok(Owner::Anybody);
    }
    Ok(Owner::Provider(providers.resolve(&model)?.provider))
}

/// Whether the provider counts tokens.
fn counts(deployment: &Deployment, provider: &Provider) -> bool {
    let dialect = deployment.dialect;
    // Azure's has no such path. Of Bedrock's models Claude's alone are counted.
    let anthropics =
        dialect == ANTHROPIC && !matches!(Cloud::of(provider.prefix()), Some(Cloud::Azure));
    let claudes = dialect == CONVERSE
        && deployment.model.as_deref().is_some_and(|model| model.contains("anthropic.claude"));
    let openais = dialect == RESPONSES && provider.prefix() == "openai";
    anthropics || claudes || openais || dialect == GEMINI
}

fn unserved(why: &impl ToString) -> Error {
    Error::new(ErrorKind::NotFound, why.to_string())
        .with_param("model")
        .with_code("model_not_found")
}

fn json(value: &serde_json::Value) -> Result<RawJson, String> {
    RawJson::of(value).map_err(|error| error.to_string())
}

fn header(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "a header's value has characters that a header cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a model can do: what the catalogue says, and over it the configuration.
fn capabilities(provider: &Provider, model: &str, info: &ModelInfo) -> Arc<Capabilities> {
    let mut known = ziggurat_providers::capabilities(provider.prefix(), model);
    let most = info.max_output_tokens.or(info.max_tokens);
    if info.supports.is_empty() && most.is_none() {
        return known;
    }
    let capabilities = Arc::make_mut(&mut known);
    capabilities.max_output = most.or(capabilities.max_output);
    for (name, supported) in &info.supports {
        match name.as_str() {
            "reasoning" => capabilities.reasoning = *supported,
            "response_schema" => capabilities.structured_output = *supported,
            "assistant_prefill" => capabilities.prefill = *supported,
            "tool_choice" => capabilities.forced_tools = *supported,
            _ => {}
        }
    }
    known
}

/// What a model costs: what the catalogue says, and over it the configuration.
fn price(
    catalogue: &Catalogue,
    provider: &Provider,
    model: &str,
    info: &ModelInfo,
) -> Option<Price> {
    let known = catalogue.find(provider.prefix(), model);
    let mut price = known.map(|model| model.price).unwrap_or_default();
    for (name, dollars) in &info.prices {
        // Written out in full, a float has the digits that its author wrote.
        ziggurat_providers::set_rate(&mut price, name, &dollars.to_string());
    }
    (!price.is_unknown()).then_some(price)
}

#[cfg(test)]
mod tests;
