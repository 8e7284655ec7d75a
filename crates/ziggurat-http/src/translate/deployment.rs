//! One model at one provider, with its address and credentials.

use std::borrow::Cow;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use ziggurat_core::{
    Capabilities, Content, Dialect, Error, LossPolicy, Operation, Price, RawJson, Secret, Str,
};
use ziggurat_dialects::{ANTHROPIC, Quirks, Variant};

use crate::front::escape;

/// One model at one provider: dialect, address, credentials, and how to treat what it cannot do.
///
/// ```
/// use ziggurat_core::{LossPolicy, Secret};
/// use ziggurat_dialects::OPENAI;
/// use ziggurat_http::Deployment;
///
/// let gpt = Deployment::new("gpt", OPENAI, "https://api.openai.com/v1".parse().unwrap())
///     .key(Secret::new("sk-…"))
///     .model("gpt-4.1")
///     .loss_policy(LossPolicy::Refuse);
/// assert!(!format!("{gpt:?}").contains("sk-"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// Its name, in headers and logs.
    pub id: Str,
    /// The dialect its provider speaks.
    pub dialect: Dialect,
    /// The model as the provider knows it; `None` sends the model that was asked for.
    pub model: Option<Str>,
    /// What the model can do.
    pub capabilities: Arc<Capabilities>,
    /// How losses are treated, unless the call says otherwise.
    pub loss_policy: LossPolicy,
    /// The caller's parameters that are sent on even if the model is not known to take them.
    pub allowed: Vec<Str>,
    /// Top-level parameters that are always left out.
    pub dropped: Vec<Str>,
    /// Top-level parameters, in OpenAI's terms, that are put in where the caller says nothing.
    pub defaults: Vec<(Str, RawJson)>,
    /// Top-level members that are set in every body, whatever the dialect.
    pub extra_body: Vec<(Str, RawJson)>,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// The largest event of a stream, in bytes.
    pub max_event: usize,
    /// The largest whole answer, in bytes.
    pub max_reply: u64,
    /// Whether the caller's own headers (`x-…`, `anthropic-beta`) are sent on.
    pub forward_headers: bool,
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    prefix: Str,
    query: Option<Str>,
    variant: Variant,
    headers: HeaderMap,
    key: Option<Secret>,
    /// What does not change from call to call, made once.
    ready: Ready,
}

#[derive(Clone, Debug)]
struct Ready {
    /// The addresses of a chat: whole, streamed.
    chat: [Option<Uri>; 2],
    /// Credential and content type.
    headers: Result<HeaderMap, Error>,
    /// The model's name as JSON.
    model: Option<RawJson>,
    /// Whether the path of a chat names the model, so that the body does not.
    in_path: bool,
    /// Whether that of a count of tokens does.
    count_in_path: bool,
}

impl Deployment {
    /// A deployment at this base address. A version that both the base and the dialect's path name (`/v1`) counts once.
    ///
    /// # Panics
    ///
    /// Never: an address without scheme or authority gives a deployment whose calls fail with a clear error.
    pub fn new(id: impl Into<Str>, dialect: Dialect, base: Uri) -> Self {
        let parts = base.into_parts();
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut deployment = Self {
            id: id.into(),
            dialect,
            model: None,
            capabilities: Arc::default(),
            loss_policy: LossPolicy::Default,
            allowed: Vec::new(),
            dropped: Vec::new(),
            defaults: Vec::new(),
            extra_body: Vec::new(),
            price: None,
            max_event: 16 << 20,
            max_reply: 256 << 20,
            forward_headers: false,
            scheme: parts.scheme.unwrap_or(Scheme::HTTPS),
            authority: parts.authority.unwrap_or_else(|| Authority::from_static("invalid.invalid")),
            prefix: path.path().trim_end_matches('/').into(),
            query: path.query().map(Into::into),
            variant: Variant::of(dialect),
            headers: HeaderMap::new(),
            key: None,
            ready: Ready {
                chat: [None, None],
                headers: Ok(HeaderMap::new()),
                model: None,
                in_path: false,
                count_in_path: false,
            },
        };
        deployment.refresh();
        deployment
    }

    /// Speaks the dialect as one provider does: its paths, headers, and what it takes otherwise.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.dialect = variant.dialect;
        self.extra_body.extend(variant.body.iter().cloned());
        self.variant = variant;
        self.refresh();
        self
    }

    /// With the provider's key.
    #[must_use]
    pub fn key(mut self, key: Secret) -> Self {
        self.key = Some(key);
        self.refresh();
        self
    }

    /// Sends this model's name, whatever was asked for.
    #[must_use]
    pub fn model(mut self, model: impl Into<Str>) -> Self {
        self.model = Some(model.into());
        self.refresh();
        self
    }

    /// With what the model can do.
    #[must_use]
    pub fn capabilities(mut self, capabilities: impl Into<Arc<Capabilities>>) -> Self {
        self.capabilities = capabilities.into();
        self
    }

    /// With a policy for losses.
    #[must_use]
    pub fn loss_policy(mut self, policy: LossPolicy) -> Self {
        self.loss_policy = policy;
        self
    }

    /// Sends these of the caller's parameters on even if the model is not known to take them.
    #[must_use]
    pub fn allow<I: IntoIterator<Item: Into<Str>>>(mut self, parameters: I) -> Self {
        self.allowed = parameters.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves these top-level parameters out of every call.
    #[must_use]
    pub fn drop_params<I: IntoIterator<Item: Into<Str>>>(mut self, parameters: I) -> Self {
        self.dropped = parameters.into_iter().map(Into::into).collect();
        self
    }

    /// Puts a parameter, in OpenAI's terms, in where the caller says nothing.
    #[must_use]
    pub fn default_param(mut self, name: impl Into<Str>, value: RawJson) -> Self {
        self.defaults.push((name.into(), value));
        self
    }

    /// Sets a top-level member in every body.
    #[must_use]
    pub fn extra_body(mut self, name: impl Into<Str>, value: RawJson) -> Self {
        self.extra_body.push((name.into(), value));
        self
    }

    /// Sends a header with every call; it stands in place of any other of its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With what its tokens cost.
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Bounds the events of a stream, in bytes.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Bounds whole answers, in bytes.
    #[must_use]
    pub fn max_reply(mut self, bytes: u64) -> Self {
        self.max_reply = bytes;
        self
    }

    /// Sends the caller's own headers on: those that begin with `x-`, but for credentials and what is about the way here, and
    /// `anthropic-beta`. Off unless told.
    #[must_use]
    pub fn forward_headers(mut self, on: bool) -> Self {
        self.forward_headers = on;
        self
    }

    /// Headers that every call gets.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Credential and content type, to begin a request's headers with.
    pub(super) fn base_headers(&self) -> Result<HeaderMap, Error> {
        self.ready.headers.clone()
    }

    /// Whether a request names the model in its path, and not in its body.
    pub(super) fn names_model_in_path(&self, operation: Operation) -> bool {
        match operation {
            Operation::CountTokens => self.ready.count_in_path,
            _ => self.ready.in_path,
        }
    }

    /// Whether the path names the model though the dialect has it in the body.
    pub(super) fn moves_model(&self, operation: Operation) -> bool {
        let paths = &self.variant.paths;
        let path = match operation {
            Operation::CountTokens => paths.count.as_ref(),
            _ => paths.chat.as_ref(),
        };
        path.is_some_and(|path| path.contains("{model}"))
    }

    /// The name of the model as JSON.
    pub(super) fn model_json(&self, asked: &str) -> RawJson {
        self.ready.model.clone().unwrap_or_else(|| RawJson::string(asked))
    }

    /// The name under which the provider knows the model.
    pub(super) fn model_for(&self, asked: &Str) -> Str {
        self.model.clone().unwrap_or_else(|| asked.clone())
    }

    /// How many texts one embeddings request may hold, as far as its dialect and model tell.
    #[must_use]
    pub fn most_inputs(&self) -> Option<usize> {
        let model = self.model.as_deref().unwrap_or_default();
        self.dialect.most_inputs(Operation::Embeddings, model)
    }

    /// Whether a medium that is named by its address has to be in the request itself here.
    #[must_use]
    pub fn inlines(&self, content: &Content) -> bool {
        // Claude reads addresses at its vendor's alone: what other clouds have of it names the model in the path.
        let elsewhere = self.dialect == ANTHROPIC && self.ready.in_path;
        elsewhere || self.dialect.inlines(content)
    }

    /// What the provider takes otherwise than its dialect's.
    pub(super) fn quirks(&self) -> Option<&Quirks> {
        Some(&*self.variant.quirks).filter(|quirks| !quirks.is_empty())
    }

    /// Where a call goes.
    pub(super) fn uri(
        &self,
        operation: Operation,
        model: &str,
        stream: bool,
    ) -> Result<Uri, Error> {
        if operation == Operation::Chat
            && let Some(uri) = &self.ready.chat[usize::from(stream)]
        {
            return Ok(uri.clone());
        }
        self.build(operation, model, stream)
    }

    fn build(&self, operation: Operation, model: &str, stream: bool) -> Result<Uri, Error> {
        let path = self.path(operation, model, stream);
        let mut query = self.query.as_deref().unwrap_or_default().to_owned();
        for (name, value) in &self.variant.query {
            let separator = if query.is_empty() { "" } else { "&" };
            query.push_str(&format!("{separator}{}={}", escape(name), escape(value)));
        }
        let query = Some(query.as_str()).filter(|query| !query.is_empty());
        let joined = join(&self.prefix, &path, query);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(joined)
            .build()
            .map_err(|error| {
                Error::invalid("the model's name does not fit into an address")
                    .with_param("model")
                    .with_source(error)
            })
    }

    fn path(&self, operation: Operation, model: &str, stream: bool) -> Cow<'_, str> {
        match self.variant.paths.find(operation, stream) {
            // Of the models there is a list; what is known of one of them stands below it.
            Some(path) if operation == Operation::Models && !model.is_empty() => {
                Cow::Owned(format!("{path}/{}", escape(model)))
            }
            Some(path) => Cow::Owned(path.replace("{model}", &escape(model))),
            None => self.dialect.path(operation, model, stream),
        }
    }

    fn refresh(&mut self) {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
        for (name, value) in &self.variant.headers {
            headers.insert(name, value.clone());
        }
        let authorized = match (&self.variant.key, &self.key) {
            (Some(header), Some(key)) => self
                .dialect
                .authorize(&mut headers, None)
                .and_then(|()| header.authorize(&mut headers, key)),
            (_, key) => self.dialect.authorize(&mut headers, key.as_ref()),
        };
        self.ready.headers = authorized.map(|()| headers);
        self.ready.model = self.model.as_deref().map(RawJson::string);
        // The address of a chat is the same for every call, unless the path holds the model and that is the caller's choice.
        const PROBE: &str = "ziggurat-probe";
        self.ready.count_in_path = self.path(Operation::CountTokens, PROBE, false).contains(PROBE);
        for stream in [false, true] {
            let in_path = self.path(Operation::Chat, PROBE, stream).contains(PROBE);
            self.ready.in_path = in_path;
            let model = match (&self.model, in_path) {
                (Some(model), _) => model.clone(),
                (None, false) => Str::new(),
                (None, true) => continue,
            };
            self.ready.chat[usize::from(stream)] = self.build(Operation::Chat, &model, stream).ok();
        }
    }
}

/// Joins a base path and a dialect's path, so that `/v1` + `/v1/messages` and `` + `/v1/messages` are the same.
fn join(prefix: &str, path: &str, query: Option<&str>) -> String {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_version =
        first.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let ends_with_it = prefix.rsplit('/').next() == Some(first);
    let path = if is_version && ends_with_it { &path[first.len() + 1..] } else { path };
    let separator = match (query, path.contains('?')) {
        (None, _) => "",
        (Some(_), false) => "?",
        (Some(_), true) => "&",
    };
    format!("{prefix}{path}{separator}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_counts_once() {
        assert_eq!(join("/v1", "/v1/messages", None), "/v1/messages");
        assert_eq!(join("", "/v1/messages", None), "/v1/messages");
        assert_eq!(join("/v1", "/chat/completions", None), "/v1/chat/completions");
        assert_eq!(join("/proxy/v1", "/v1/messages", Some("a=b")), "/proxy/v1/messages?a=b");
        assert_eq!(join("/v2", "/v1/messages", None), "/v2/v1/messages");
        assert_eq!(join("/vertex", "/vertex/x", None), "/vertex/vertex/x");
    }
}
