//! `vertex_*`, and what Microsoft Entra is asked with: who asks for a model in a cloud, where a key does not say.

use ziggurat_core::Secret;

use super::fields::Fields;
use super::read::{At, Reader};

/// Where a model of Vertex's is, and who asks for it. What is not given, Google's own chain of credentials and the environment say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GoogleConfig {
    /// `vertex_project`, else that of the credentials.
    pub project: Option<String>,
    /// `vertex_location`: a region, `us`, `eu` or `global`.
    pub location: Option<String>,
    /// `vertex_credentials`: the JSON of a service account or of `gcloud`, or the path of a file that holds it.
    pub credentials: Option<Secret>,
}

/// Who asks for a model of Azure's that no key is given for.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EntraConfig {
    /// `azure_ad_token`: a token that somebody else keeps fresh.
    pub token: Option<Secret>,
    /// `tenant_id`.
    pub tenant: Option<String>,
    /// `client_id`.
    pub client: Option<String>,
    /// `client_secret`.
    pub secret: Option<Secret>,
}

impl GoogleConfig {
    /// Reads what `litellm_params` says of Google Cloud.
    pub(super) fn read(params: &mut Fields<'_, '_, '_>) -> Self {
        let project = params.read("vertex_project", Reader::word);
        let location = params.read("vertex_location", Reader::word);
        // A file's text has spaces and line breaks, which no key has.
        let file = |reader: &mut Reader<'_>, at: &At<'_>| reader.word(at).map(Secret::new);
        let credentials = params.read("vertex_credentials", file);
        Self {
            project: project.or(params.read("vertex_ai_project", Reader::word)),
            location: location.or(params.read("vertex_ai_location", Reader::word)),
            credentials: credentials.or(params.read("vertex_ai_credentials", file)),
        }
    }
}

impl EntraConfig {
    /// Reads what `litellm_params` says of Microsoft Entra.
    pub(super) fn read(params: &mut Fields<'_, '_, '_>) -> Self {
        Self {
            token: params.read("azure_ad_token", Reader::secret),
            tenant: params.read("tenant_id", Reader::word),
            client: params.read("client_id", Reader::word),
            secret: params.read("client_secret", Reader::secret),
        }
    }
}
