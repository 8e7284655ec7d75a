//! Where Bedrock's models are, and who asks for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ziggurat_core::{Credentials, Dialect};
use ziggurat_dialects::CONVERSE;
use ziggurat_providers::aws::{Aws, Login, region_of};

use crate::config::{AwsConfig, DeploymentConfig};

/// Where regions are named that no entry names, the first that is set wins.
pub(super) const REGIONS: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];

/// Whether requests in this dialect are signed for AWS, unless there is a key.
pub(super) fn is_signed(dialect: Dialect) -> bool {
    dialect == CONVERSE
}

/// Where one model is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// Its name there.
    pub(super) model: &'a str,
    pub(super) region: String,
    pub(super) address: String,
}

impl<'a> Place<'a> {
    /// Finds it: the region is that of the model's ARN, of what stands before the model's name (`us-west-2/`), of the entry, or of
    /// the environment; the address is the entry's, or that of the region.
    pub(super) fn of(
        entry: &DeploymentConfig,
        model: &'a str,
        around: Option<&str>,
    ) -> Result<Self, String> {
        let model = ["converse/", "converse_like/"]
            .iter()
            .find_map(|how| model.strip_prefix(how))
            .unwrap_or(model);
        let (before, model) = match model.split_once('/') {
            Some((region, rest)) if is_region(region) => (Some(region), rest),
            _ => (None, model),
        };
        let given = entry.aws.endpoint.as_ref().or(entry.api_base.as_ref());
        let region = region_of(model)
            .or(before)
            .or(entry.aws.region.as_deref())
            .or_else(|| given.and_then(|address| region_in(address)))
            .or(around)
            .ok_or_else(|| {
                let names = REGIONS.join(" or ");
                format!("the region of Bedrock is not known: set `aws_region_name` or {names}")
            })?
            .to_owned();
        let address = match given {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None => format!("https://bedrock-runtime.{region}.amazonaws.com"),
        };
        Ok(Self { model, region, address })
    }
}

/// Whether a text is the name of a region: `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let mut words = text.split('-');
    let ends = text.rsplit('-').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    words.next().is_some_and(|first| first.len() == 2) && text.split('-').count() >= 3 && ends
}

/// The region that is part of an address: of Bedrock's own, or of an endpoint in somebody's own network.
fn region_in(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("bedrock-runtime")?;
    rest.split('.').find(|word| is_region(word))
}

/// Who asks, by region: one for all models of an entry, so that what was fetched is kept.
#[derive(Debug, Default)]
pub(super) struct Signers(Mutex<HashMap<String, Arc<Aws>>>);

impl Signers {
    /// Whoever signs requests to this region.
    pub(super) fn of(&self, entry: &AwsConfig, region: &str) -> Arc<dyn Credentials> {
        let mut signers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match signers.get(region) {
            Some(signer) => Arc::clone(signer) as Arc<dyn Credentials>,
            None => {
                let signer = Arc::new(Aws::new(region, login(entry)));
                signers.insert(region.to_owned(), Arc::clone(&signer));
                signer
            }
        }
    }
}

fn login(entry: &AwsConfig) -> Login {
    let mut login = match (&entry.access_key_id, &entry.secret_access_key) {
        (Some(id), Some(secret)) => {
            Login::keys(id.expose(), secret.clone(), entry.session_token.clone())
        }
        _ => Login::chain(),
    };
    if let Some(profile) = &entry.profile {
        login = login.profile(profile.as_str());
    }
    if let Some(role) = &entry.role {
        let session = entry.session_name.as_deref().map(Into::into);
        login = login.role(role.as_str(), session);
        if let Some(id) = &entry.external_id {
            login = login.external_id(id.expose());
        }
        if let Some(token) = &entry.web_identity_token {
            login = login.web_identity(token.clone());
        }
    }
    match &entry.sts_endpoint {
        Some(address) => login.sts_endpoint(address.as_str()),
        None => login,
    }
}

/// What is wrong with what an entry says of AWS.
pub(super) fn fault(entry: &AwsConfig) -> Option<&'static str> {
    let pair = (entry.access_key_id.is_some(), entry.secret_access_key.is_some());
    match pair {
        (true, false) => Some("`aws_access_key_id` needs `aws_secret_access_key`"),
        (false, true) => Some("`aws_secret_access_key` needs `aws_access_key_id`"),
        _ if entry.web_identity_token.is_some() && entry.role.is_none() => {
            Some("`aws_web_identity_token` needs `aws_role_name`, the role that it is for")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_their_shape_and_in_addresses() {
        for (text, is) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-2", true),
            ("anthropic.claude-v2", false),
            ("converse", false),
            ("us", false),
        ] {
            assert_eq!(is_region(text), is, "{text}");
        }
        for (address, region) in [
            ("https://bedrock-runtime.eu-west-3.amazonaws.com", Some("eu-west-3")),
            ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("https://vpce-1-2.bedrock-runtime.us-east-2.vpce.amazonaws.com", Some("us-east-2")),
            ("http://127.0.0.1:9", None),
        ] {
            assert_eq!(region_in(address), region, "{address}");
        }
    }
}
