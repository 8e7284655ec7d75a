//! Who asks for models in clouds that take tokens: Google's Vertex and Azure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use ziggurat_core::{Credentials, Secret};
use ziggurat_http::Transport;
use ziggurat_providers::oauth::{Login, Tokens, Web};

use crate::config::{DeploymentConfig, EntraConfig, GoogleConfig};

/// What Google's clients look up to find out who they are.
const GOOGLE: [&str; 4] =
    ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "HOME", "GCE_METADATA_HOST"];
/// What Azure's clients look up.
const ENTRA: [&str; 5] = [
    "AZURE_AD_TOKEN",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_AUTHORITY_HOST",
];

/// Variables that say who asks.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    GOOGLE.into_iter().chain(ENTRA)
}

/// A cloud whose models are asked for with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloud {
    Google,
    Azure,
}

impl Cloud {
    /// By the provider's prefix.
    pub(super) fn of(prefix: &str) -> Option<Self> {
        match prefix {
            "vertex_ai" | "vertex_ai_beta" => Some(Self::Google),
            "azure" | "azure_ai" => Some(Self::Azure),
            _ => None,
        }
    }
}

/// Tokens by who asks: one for all models of an entry, so that what was fetched is kept.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<HashMap<Cloud, Arc<Tokens>>>);

impl std::hash::Hash for Cloud {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
    }
}

/// What goes into requests of an entry.
pub(super) enum Asker {
    /// A token that was given.
    Token(Secret),
    /// Tokens that are fetched.
    Tokens(Arc<dyn Credentials>),
}

impl Askers {
    /// Whoever asks for the models of an entry; `None` where nothing says who.
    ///
    /// # Errors
    ///
    /// When what is given cannot be used.
    pub(super) fn of(
        &self,
        cloud: Cloud,
        entry: &DeploymentConfig,
        variable: impl Fn(&str) -> Option<String>,
        transport: &Transport,
    ) -> Result<Option<Asker>, String> {
        if cloud == Cloud::Azure
            && let Some(token) = given_token(&entry.entra, &variable)
        {
            return Ok(Some(Asker::Token(token)));
        }
        let mut askers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = askers.get(&cloud) {
            return Ok(Some(Asker::Tokens(Arc::clone(tokens) as Arc<dyn Credentials>)));
        }
        let login = match cloud {
            Cloud::Google => Some(google(&entry.google, &variable)?),
            Cloud::Azure => entra(&entry.entra, &variable)?,
        };
        let Some(login) = login else { return Ok(None) };
        let tokens = Arc::new(Tokens::new(login, Web::over(transport.clone())));
        askers.insert(cloud, Arc::clone(&tokens));
        Ok(Some(Asker::Tokens(tokens)))
    }
}

fn google(
    entry: &GoogleConfig,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Login, String> {
    match credentials(entry)? {
        Some(json) => Login::google(&json),
        None => Login::google_default(variable),
    }
    .map_err(|bad| bad.to_string())
}

/// The JSON that `vertex_credentials` holds, or names a file of.
fn credentials(entry: &GoogleConfig) -> Result<Option<Secret>, String> {
    let Some(given) = &entry.credentials else { return Ok(None) };
    if given.expose().trim_start().starts_with('{') {
        return Ok(Some(given.clone()));
    }
    let text = std::fs::read_to_string(given.expose())
        .map_err(|why| format!("the file that `vertex_credentials` names cannot be read: {why}"))?;
    Ok(Some(Secret::new(text)))
}

/// The project of an entry of Vertex's: the one that is given, else that of its credentials.
pub(super) fn project(
    entry: &GoogleConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    entry.project.clone().or_else(|| {
        let json = match credentials(entry) {
            Ok(Some(json)) => json,
            _ => Secret::new(
                std::fs::read_to_string(variable("GOOGLE_APPLICATION_CREDENTIALS")?).ok()?,
            ),
        };
        let file: Value = serde_json::from_str(json.expose()).ok()?;
        let named = file.get("project_id").or_else(|| file.get("quota_project_id"))?;
        named.as_str().map(str::to_owned)
    })
}

fn given_token(entry: &EntraConfig, variable: &impl Fn(&str) -> Option<String>) -> Option<Secret> {
    let given = entry.token.clone();
    given.or_else(|| variable("AZURE_AD_TOKEN").filter(|t| !t.is_empty()).map(Secret::new))
}

fn entra(
    entry: &EntraConfig,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Login>, String> {
    let or = |given: &Option<String>, name: &str| {
        given.clone().or_else(|| variable(name)).filter(|value| !value.is_empty())
    };
    let tenant = or(&entry.tenant, "AZURE_TENANT_ID");
    let client = or(&entry.client, "AZURE_CLIENT_ID");
    let secret = entry.secret.clone();
    let secret = secret.or_else(|| variable("AZURE_CLIENT_SECRET").map(Secret::new));
    let (Some(tenant), Some(client), Some(secret)) = (tenant, client, secret) else {
        let said = entry.tenant.is_some() || entry.client.is_some() || entry.secret.is_some();
        return match said {
            true => Err("`tenant_id`, `client_id` and `client_secret` go together".to_owned()),
            false => Ok(None),
        };
    };
    let login = Login::entra(&tenant, &client, secret);
    // Other clouds than the public one, as Azure's own clients are told of them.
    let Some(host) = variable("AZURE_AUTHORITY_HOST").filter(|host| !host.is_empty()) else {
        return Ok(Some(login));
    };
    let host = if host.contains("://") { host } else { format!("https://{host}") };
    let address = format!("{}/{tenant}/oauth2/v2.0/token", host.trim_end_matches('/'));
    let address = address.parse().map_err(|_| "`AZURE_AUTHORITY_HOST` is no address".to_owned())?;
    Ok(Some(login.at(address)))
}
