//! Where models are at Azure.

use ziggurat_core::{Operation, Str};
use ziggurat_dialects::{KeyHeader, Variant};

/// Puts a call for a model of Azure OpenAI into its place: the v1 route where the address or the version names it, else the
/// deployment's own path, with a version in the query.
pub(super) fn openai(address: &mut String, variant: &mut Variant) {
    let at = variant.query.iter().position(|(name, _)| name == "api-version");
    let version = at.map(|at| variant.query[at].1.clone()).unwrap_or_default();
    let root = below(address, "/openai/v1");
    let newest = matches!(version.as_str(), "v1" | "latest" | "preview");
    if root.is_some() || newest {
        *address = format!("{}/openai/v1", root.unwrap_or(until(address, "/openai")));
        variant.paths.chat = None;
        variant.paths.embeddings = None;
        variant.paths.models = None;
        // What is dated goes with the other route only.
        variant.query.retain(|(name, value)| name != "api-version" || value == "preview");
        return;
    }
    if let Some(rest) = below(address, "/chat/completions").map(str::to_owned) {
        *address = rest;
    }
    if address.contains("/openai/deployments/") {
        // The address names the deployment.
        let path = variant.dialect.path(Operation::Chat, "", false);
        variant.paths.chat = Some(Str::from(path.into_owned()));
        let path = variant.dialect.path(Operation::Embeddings, "", false);
        variant.paths.embeddings = Some(Str::from(path.into_owned()));
        return;
    }
    *address = until(address, "/openai").to_owned();
}

/// Puts a call for a model of Azure's other families into its place. `given` tells an address that somebody configured.
pub(super) fn foundry(address: &mut String, variant: &mut Variant) {
    let host = address.split("://").last().unwrap_or_default().split('/').next();
    let host = host.unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let is_in = |domain: &str| host.ends_with(domain);
    if is_in(".openai.azure.com") || below(address, "/openai/v1").is_some() {
        if below(address, "/openai/v1").is_none() {
            variant.paths.chat = Some(Str::from_static(DEPLOYMENT));
            variant.paths.embeddings = Some(Str::from_static(EMBEDDINGS));
        }
        openai(address, variant);
        return;
    }
    let full = below(address, "/chat/completions").map(str::to_owned);
    let root = full.unwrap_or_else(|| address.clone());
    let on_models = root.ends_with("/models");
    let root = root.strip_suffix("/models").unwrap_or(&root).to_owned();
    // Serverless endpoints of single models are servers of OpenAI's kind.
    if is_in(".models.ai.azure.com") || is_in(".inference.ai.azure.com") {
        variant.paths.chat = None;
        variant.paths.embeddings = None;
        variant.key = Some(KeyHeader::bearer());
        variant.query.clear();
        variant.headers.clear();
        let versioned = root.ends_with("/v1");
        *address = if versioned || on_models { root } else { format!("{root}/v1") };
        return;
    }
    *address = root;
}

/// The path of a deployment's chat, which it is the provider's data to name as well.
const DEPLOYMENT: &str = "/openai/deployments/{model}/chat/completions";
const EMBEDDINGS: &str = "/openai/deployments/{model}/embeddings";

/// What stands before this end of an address, where it has it.
fn below<'a>(address: &'a str, end: &str) -> Option<&'a str> {
    address.split('?').next().unwrap_or_default().strip_suffix(end)
}

fn until<'a>(address: &'a str, end: &str) -> &'a str {
    address.strip_suffix(end).unwrap_or(address)
}
