//! Where Google's clients find who they are (application-default credentials).

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use ziggurat_core::Secret;

use super::jwt::private_key;
use super::login::{BadLogin, How, Login};

/// What Google Cloud's models are asked under.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// The server that machines of Google Cloud ask who they are.
const METADATA: &str = "http://metadata.google.internal";
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// A file of credentials.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

impl Login {
    /// A file of Google's: the key of a service account, or what `gcloud auth application-default login` leaves.
    ///
    /// # Errors
    ///
    /// When the text is neither, or lacks something.
    pub fn google(json: &Secret) -> Result<Self, BadLogin> {
        let bad = |why: &str| BadLogin(format!("the credentials for Google {why}"));
        // What cannot be read is not repeated: it may be a key.
        let file: File =
            serde_json::from_str(json.expose()).map_err(|_| bad("are no JSON file of Google's"))?;
        let endpoint = file.token_uri.as_deref().unwrap_or(TOKENS);
        let endpoint: Uri =
            endpoint.parse().map_err(|_| bad("have a `token_uri` that is no URL"))?;
        match file.kind.as_str() {
            "service_account" => {
                let email = file.client_email.ok_or_else(|| bad("have no `client_email`"))?;
                let pem = file.private_key.ok_or_else(|| bad("have no `private_key`"))?;
                let key = private_key(&pem);
                let key = key.ok_or_else(|| bad("have a `private_key` that is no RSA key"))?;
                Ok(Self(How::Assertion {
                    endpoint,
                    email,
                    key_id: file.private_key_id,
                    key: Arc::new(key),
                    scope: SCOPE.to_owned(),
                }))
            }
            "authorized_user" => {
                let id = file.client_id.ok_or_else(|| bad("have no `client_id`"))?;
                let secret = file.client_secret.ok_or_else(|| bad("have no `client_secret`"))?;
                let token = file.refresh_token.ok_or_else(|| bad("have no `refresh_token`"))?;
                let fields = vec![
                    ("grant_type", Secret::new("refresh_token")),
                    ("client_id", Secret::new(id)),
                    ("client_secret", Secret::new(secret)),
                    ("refresh_token", Secret::new(token)),
                ];
                Ok(Self(How::Form { endpoint, fields }))
            }
            other => {
                let other: String = other.chars().take(40).collect();
                Err(bad(&format!("are of the kind {other:?}, which is not supported")))
            }
        }
    }

    /// The machine's own service account, asked of Google Cloud's metadata server. `host` is where it is, if not where it
    /// usually is (`GCE_METADATA_HOST`).
    #[must_use]
    pub fn google_metadata(host: Option<&str>) -> Self {
        let root = host.map_or_else(|| METADATA.to_owned(), |host| format!("http://{host}"));
        let endpoint = format!("{root}{METADATA_PATH}").parse().unwrap_or_default();
        let name = HeaderName::from_static("metadata-flavor");
        Self(How::Metadata { endpoint, header: (name, HeaderValue::from_static("Google")) })
    }

    /// Who Google's clients would be here: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, else the one that
    /// `gcloud` leaves, else the machine's own service account.
    ///
    /// # Errors
    ///
    /// When there is a file that cannot be read.
    pub fn google_default(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadLogin> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(path) = set("GOOGLE_APPLICATION_CREDENTIALS") {
            let text = std::fs::read_to_string(&path).map_err(|why| {
                BadLogin(format!(
                    "the file {path} with credentials for Google cannot be read: {why}"
                ))
            })?;
            return Self::google(&Secret::new(text));
        }
        let folder = set("CLOUDSDK_CONFIG")
            .or_else(|| set("HOME").map(|home| format!("{home}/.config/gcloud")));
        let left = folder.map(|folder| format!("{folder}/application_default_credentials.json"));
        match left.and_then(|path| std::fs::read_to_string(path).ok()) {
            Some(text) => Self::google(&Secret::new(text)),
            None => Ok(Self::google_metadata(set("GCE_METADATA_HOST").as_deref())),
        }
    }
}
