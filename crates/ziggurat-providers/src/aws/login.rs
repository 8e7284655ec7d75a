//! From where keys come: given, or from the chain that all of AWS's clients look through.

use std::time::SystemTime;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::OnceCell;
use ziggurat_core::{Error, ErrorKind, Secret, Str};

use crate::cached::{Fetch, Fetched, Source};

/// From where keys come.
///
/// Keys that are given are used. Else it is the chain of AWS's clients: environment, profile (static keys, a process, single sign-on,
/// roles), web identity, container, instance. A role is taken on by whoever that makes us.
#[derive(Clone, Debug, Default)]
pub struct Login {
    keys: Option<(Str, Secret, Option<Secret>)>,
    profile: Option<Str>,
    role: Option<Role>,
    sts: Option<Str>,
}

/// A role to take on.
#[derive(Clone, Debug)]
struct Role {
    arn: Str,
    session: Str,
    external_id: Option<Str>,
    /// Who we are, by the word of another: a token, or the file that holds one.
    token: Option<Secret>,
}

/// What a session of a role is called where nobody says.
const SESSION: &str = "ziggurat";

impl Login {
    /// The chain of AWS's clients.
    #[must_use]
    pub fn chain() -> Self {
        Self::default()
    }

    /// These keys, with the token of a session if they are temporary.
    pub fn keys(id: impl Into<Str>, secret: Secret, token: Option<Secret>) -> Self {
        Self { keys: Some((id.into(), secret, token)), ..Self::default() }
    }

    /// The profile of this name, in AWS's own files.
    #[must_use]
    pub fn profile(mut self, name: impl Into<Str>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Takes on this role; `session` is what it is called in the owner's logs.
    #[must_use]
    pub fn role(mut self, arn: impl Into<Str>, session: Option<Str>) -> Self {
        let session = session.unwrap_or(Str::from_static(SESSION));
        self.role = Some(Role { arn: arn.into(), session, external_id: None, token: None });
        self
    }

    /// With an id that the role's owner asks for. Without a [role](Self::role) it says nothing.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<Str>) -> Self {
        if let Some(role) = &mut self.role {
            role.external_id = Some(id.into());
        }
        self
    }

    /// Takes the [role](Self::role) on by the word of an identity provider: a token, or the path of a file that holds one, which is
    /// read whenever it is needed.
    #[must_use]
    pub fn web_identity(mut self, token: Secret) -> Self {
        if let Some(role) = &mut self.role {
            role.token = Some(token);
        }
        self
    }

    /// Asks for roles at this address.
    #[must_use]
    pub fn sts_endpoint(mut self, address: impl Into<Str>) -> Self {
        self.sts = Some(address.into());
        self
    }
}

/// Looks keys up. What it takes to look is set up when it is first needed.
pub(crate) struct Chain {
    login: Login,
    region: Str,
    provider: OnceCell<SharedCredentialsProvider>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("login", &self.login).field("region", &self.region).finish()
    }
}

impl Chain {
    pub(super) fn new(login: Login, region: Str) -> Self {
        Self { login, region, provider: OnceCell::new() }
    }

    async fn look(&self) -> Result<Fetched<Keys>, Error> {
        let provider = self.provider.get_or_try_init(|| self.provider()).await?;
        let keys = provider.provide_credentials().await.map_err(|error| {
            let message = "no credentials for AWS could be found";
            Error::new(ErrorKind::Server, message).with_source(error)
        })?;
        let until = keys.expiry();
        Ok(Fetched { credential: keys, until })
    }

    async fn provider(&self) -> Result<SharedCredentialsProvider, Error> {
        let role = self.login.role.as_ref();
        if let Some((role, token)) = role.and_then(|role| Some((role, role.token.clone()?))) {
            let sts = aws_sdk_sts::Client::new(&self.sts(None).await);
            let role = role.clone();
            return Ok(SharedCredentialsProvider::new(WebIdentity { sts, role, token }));
        }
        let base = self.base().await;
        let Some(role) = role else { return Ok(base) };
        let config = self.sts(Some(base)).await;
        let mut taken = AssumeRoleProvider::builder(role.arn.as_str())
            .session_name(role.session.as_str())
            .region(self.region())
            .configure(&config);
        if let Some(id) = &role.external_id {
            taken = taken.external_id(id.as_str());
        }
        Ok(SharedCredentialsProvider::new(taken.build().await))
    }

    fn region(&self) -> Region {
        Region::new(self.region.to_string())
    }

    /// The keys that are there before any role is taken on.
    async fn base(&self) -> SharedCredentialsProvider {
        if let Some((id, secret, token)) = &self.login.keys {
            let token = token.as_ref().map(|token| token.expose().to_owned());
            let keys = Keys::new(id.as_str(), secret.expose(), token, None, "the configuration");
            return SharedCredentialsProvider::new(keys);
        }
        let config = ProviderConfig::default()
            .with_region(Some(self.region()))
            .with_http_client(http_client());
        let mut chain = DefaultCredentialsChain::builder().configure(config).region(self.region());
        if let Some(profile) = &self.login.profile {
            chain = chain.profile_name(profile);
        }
        SharedCredentialsProvider::new(chain.build().await)
    }

    /// How to ask for a role.
    async fn sts(&self, base: Option<SharedCredentialsProvider>) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(self.region())
            .http_client(http_client());
        loader = match base {
            Some(base) => loader.credentials_provider(base),
            None => loader.no_credentials(),
        };
        if let Some(address) = &self.login.sts {
            loader = loader.endpoint_url(address.as_str());
        }
        loader.load().await
    }
}

/// Takes a role on by the word of an identity provider.
#[derive(Debug)]
struct WebIdentity {
    sts: aws_sdk_sts::Client,
    role: Role,
    token: Secret,
}

impl WebIdentity {
    async fn take(&self) -> Result<Keys, CredentialsError> {
        // A path, or the token itself: no token is the name of a file that is there.
        let said = self.token.expose();
        let token = match tokio::fs::read_to_string(said).await {
            Ok(token) => token.trim().to_owned(),
            Err(_) => said.to_owned(),
        };
        let taken = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(self.role.arn.as_str())
            .role_session_name(self.role.session.as_str())
            .web_identity_token(token)
            .send()
            .await
            .map_err(CredentialsError::provider_error)?;
        let keys = taken.credentials.ok_or_else(|| {
            CredentialsError::unhandled("the role was taken on, and no keys were given")
        })?;
        let until = SystemTime::try_from(keys.expiration).map_err(CredentialsError::unhandled)?;
        Ok(Keys::new(
            keys.access_key_id,
            keys.secret_access_key,
            Some(keys.session_token),
            Some(until),
            "a web identity",
        ))
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> ProvideFuture<'a>
    where
        Self: 'a,
    {
        ProvideFuture::new(self.take())
    }
}

impl Source for Chain {
    type Credential = Keys;

    fn fetch(&self) -> Fetch<'_, Keys> {
        Box::pin(self.look())
    }
}

/// hyper over rustls, as everywhere else.
fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Tls::Rustls(CryptoMode::Ring)).build_https()
}
