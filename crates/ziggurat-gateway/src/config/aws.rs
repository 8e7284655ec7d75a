//! `aws_*`: where a model of Bedrock's is, and who asks for it.

use ziggurat_core::Secret;

use super::fields::Fields;
use super::read::Reader;

/// Where a model of Bedrock's is, and who asks for it. What is not given, AWS's own chain of credentials and the environment say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AwsConfig {
    /// `aws_access_key_id`.
    pub access_key_id: Option<Secret>,
    /// `aws_secret_access_key`.
    pub secret_access_key: Option<Secret>,
    /// `aws_session_token`, of temporary keys.
    pub session_token: Option<Secret>,
    /// `aws_region_name`, else `region_name`.
    pub region: Option<String>,
    /// `aws_profile_name`, of AWS's own files.
    pub profile: Option<String>,
    /// `aws_role_name`: the ARN of a role to take on.
    pub role: Option<String>,
    /// `aws_session_name`, by which the role's owner knows us.
    pub session_name: Option<String>,
    /// `aws_external_id`, which the role's owner may ask for.
    pub external_id: Option<Secret>,
    /// `aws_web_identity_token`: a token, or the path of a file that holds one.
    pub web_identity_token: Option<Secret>,
    /// `aws_sts_endpoint`: where roles are asked for.
    pub sts_endpoint: Option<String>,
    /// `aws_bedrock_runtime_endpoint`: where Bedrock is.
    pub endpoint: Option<String>,
}

impl AwsConfig {
    /// Reads what `litellm_params` says of AWS.
    pub(super) fn read(params: &mut Fields<'_, '_, '_>, region: Option<&String>) -> Self {
        Self {
            access_key_id: params.read("aws_access_key_id", Reader::secret),
            secret_access_key: params.read("aws_secret_access_key", Reader::secret),
            session_token: params.read("aws_session_token", Reader::secret),
            region: params.read("aws_region_name", Reader::word).or_else(|| region.cloned()),
            profile: params.read("aws_profile_name", Reader::word),
            role: params.read("aws_role_name", Reader::word),
            session_name: params.read("aws_session_name", Reader::word),
            external_id: params.read("aws_external_id", Reader::secret),
            web_identity_token: params.read("aws_web_identity_token", Reader::secret),
            sts_endpoint: params.read("aws_sts_endpoint", Reader::url),
            endpoint: params.read("aws_bedrock_runtime_endpoint", Reader::url),
        }
    }
}
