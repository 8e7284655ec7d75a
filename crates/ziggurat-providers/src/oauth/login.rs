//! Who asks for a token, and how.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use ring::signature::RsaKeyPair;
use ziggurat_core::{Body, Error, Secret};

use super::failed;
use super::jwt::Assertion;

/// Who asks for tokens, and where. No secret of it prints.
#[derive(Clone)]
pub struct Login(pub(super) How);

#[derive(Clone)]
pub(super) enum How {
    /// A service account of Google's asserts who it is.
    Assertion {
        endpoint: Uri,
        email: String,
        key_id: Option<String>,
        key: Arc<RsaKeyPair>,
        scope: String,
    },
    /// A form with these fields is posted.
    Form { endpoint: Uri, fields: Vec<(&'static str, Secret)> },
    /// A server of the cloud's own gives tokens to whoever asks from inside.
    Metadata { endpoint: Uri, header: (HeaderName, HeaderValue) },
}

/// What Azure's models are asked under.
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// The grant of an assertion (RFC 7523, section 2.1).
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Login {
    /// An application that is registered with Microsoft Entra, by its secret.
    #[must_use]
    pub fn entra(tenant: &str, client: &str, secret: Secret) -> Self {
        let endpoint = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        let fields = vec![
            ("grant_type", Secret::new("client_credentials")),
            ("client_id", Secret::new(client)),
            ("client_secret", secret),
            ("scope", Secret::new(AZURE_SCOPE)),
        ];
        let endpoint = endpoint.parse().unwrap_or_default();
        Self(How::Form { endpoint, fields })
    }

    /// The same at another address: that of another cloud, or of a test.
    #[must_use]
    pub fn at(mut self, address: Uri) -> Self {
        match &mut self.0 {
            How::Assertion { endpoint, .. }
            | How::Form { endpoint, .. }
            | How::Metadata { endpoint, .. } => *endpoint = address,
        }
        self
    }

    /// The request for a token.
    pub(super) fn request(&self, now: SystemTime) -> Result<Request<Body>, Error> {
        let (endpoint, fields) = match &self.0 {
            How::Metadata { endpoint, header: (name, value) } => {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = endpoint.clone();
                request.headers_mut().insert(name, value.clone());
                return Ok(request);
            }
            How::Form { endpoint, fields } => (endpoint, form(fields)),
            How::Assertion { endpoint, email, key_id, key, scope } => {
                let audience = endpoint.to_string();
                let assertion = Assertion {
                    issuer: email,
                    key_id: key_id.as_deref(),
                    scope,
                    audience: &audience,
                };
                let signed = Secret::new(assertion.sign(key, now)?);
                let fields = [("grant_type", Secret::new(ASSERTION)), ("assertion", signed)];
                (endpoint, form(&fields))
            }
        };
        if endpoint.authority().is_none() {
            return Err(failed("the token endpoint's address is no URL"));
        }
        let mut request = Request::new(Body::from(fields));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        Ok(request)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, endpoint) = match &self.0 {
            How::Assertion { endpoint, .. } => ("Assertion", endpoint),
            How::Form { endpoint, .. } => ("Form", endpoint),
            How::Metadata { endpoint, .. } => ("Metadata", endpoint),
        };
        f.debug_tuple(kind).field(endpoint).finish()
    }
}

/// Fields as a form has them.
fn form(fields: &[(&'static str, Secret)]) -> String {
    use std::fmt::Write as _;

    let mut out = String::new();
    for (name, value) in fields {
        let separator = if out.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{separator}{name}=");
        for byte in value.expose().bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A text is no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLogin(pub(super) String);

impl fmt::Display for BadLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadLogin {}
