//! `model_list`: the deployments.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Secret;
use super::aws::AwsConfig;
use super::cloud::{EntraConfig, GoogleConfig};
use super::counts::{self, ErrorCounts};
use super::include;
use super::known;
use super::node::{Kind, Node};
use super::params::Parameters;
use super::problem::{Place, Problem, ProblemKind};
use super::read::{At, Reader};

/// One entry of `model_list`: a model at a provider, and the name that callers know it by.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeploymentConfig {
    /// `model_info.id`, or one made of the name, the model and its address; unique, and the same
    /// after a reload that changes none of these. No secret is in it.
    pub id: String,
    /// The name that callers use; entries that share one form a group. A `*` in it stands for any
    /// text.
    pub model_name: String,
    /// `litellm_params.model`, as it is written: `provider/model`, a bare model name, or a pattern
    /// whose `*` takes what the `*` of [`model_name`](Self::model_name) stood for.
    pub model: String,
    /// `custom_llm_provider`: the provider's prefix, when `model` shall not tell it.
    pub provider: Option<String>,
    /// `api_base` (or `base_url`): where the provider is, with or without a version suffix.
    pub api_base: Option<String>,
    /// `api_key`.
    pub api_key: Option<Secret>,
    /// `api_version`, such as Azure's.
    pub api_version: Option<String>,
    /// `organization`, such as OpenAI's.
    pub organization: Option<String>,
    /// `timeout`, else `request_timeout`; see [`Config::timeouts`](super::Config::timeouts).
    pub timeout: Option<Duration>,
    /// `stream_timeout`; see [`Config::timeouts`](super::Config::timeouts).
    pub stream_timeout: Option<Duration>,
    /// `num_retries`, else `max_retries`; see [`Config::retries`](super::Config::retries).
    pub num_retries: Option<u32>,
    /// `headers`, then `extra_headers`, which wins: headers to send. Names are in lower case.
    pub headers: Vec<(String, Secret)>,
    /// `extra_body`: members to put into the body whatever the caller sends.
    pub extra_body: Parameters,
    /// `drop_params`; see [`Config::loss_policy`](super::Config::loss_policy).
    pub drop_params: Option<bool>,
    /// `additional_drop_params`: parameters never to send.
    pub additional_drop_params: Vec<String>,
    /// `allowed_openai_params`: parameters to send although the model is not known to take them.
    pub allowed_openai_params: Vec<String>,
    /// `mock_response`: the text to answer with instead of calling anybody.
    pub mock_response: Option<String>,
    /// `rpm`: requests in a minute.
    pub rpm: Option<u64>,
    /// `tpm`: tokens in a minute.
    pub tpm: Option<u64>,
    /// `itpm`: input tokens in a minute.
    pub itpm: Option<u64>,
    /// `otpm`: output tokens in a minute.
    pub otpm: Option<u64>,
    /// `rpd`: requests in a day.
    pub rpd: Option<u64>,
    /// `tpd`: tokens in a day.
    pub tpd: Option<u64>,
    /// `weight` in the choice among the group; finite, 0 or above.
    pub weight: Option<f64>,
    /// `order`: only the deployments of the lowest that is available are chosen from.
    pub order: Option<i64>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `max_parallel_requests`.
    pub max_parallel_requests: Option<NonZeroU32>,
    /// `cooldown_time`: how long it is left alone after it failed; zero for never.
    pub cooldown_time: Option<Duration>,
    /// `region_name`.
    pub region: Option<String>,
    /// `aws_*`: where a model of Bedrock's is, and who asks for it.
    pub aws: AwsConfig,
    /// `vertex_*`: where a model of Vertex's is, and who asks for it.
    pub google: GoogleConfig,
    /// Who asks for a model of Azure's that has no key.
    pub entra: EntraConfig,
    /// Every other parameter: sent when the caller does not send one of the same name.
    pub defaults: Parameters,
    /// `model_info`.
    pub info: ModelInfo,
    /// The path of the entry, such as `model_list[3]`.
    pub path: String,
    /// Where `litellm_params.model` stands.
    pub place: Place,
}

/// `model_info`: what is known of a model, over what the catalogue says.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// `mode`: `chat`, `embedding`, …
    pub mode: Option<String>,
    /// `base_model`: the model to look up in the catalogue.
    pub base_model: Option<String>,
    /// `max_tokens`: the longest output, in tokens, where `max_output_tokens` is not given.
    pub max_tokens: Option<u64>,
    /// `max_input_tokens`: the context window, in tokens.
    pub max_input_tokens: Option<u64>,
    /// `max_output_tokens`: the longest output, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Prices by their names in LiteLLM's price map, in dollars per unit (`input_cost_per_token`,
    /// `cache_read_input_token_cost`, …); finite, 0 or above. Those that stand in
    /// `litellm_params` win.
    pub prices: BTreeMap<String, f64>,
    /// `supports_*`, without the `supports_`.
    pub supports: BTreeMap<String, bool>,
    /// `allowed_fails`: failures in a minute that it is forgiven.
    pub allowed_fails: Option<u32>,
    /// `allowed_fails_policy`: the same by the class of the error.
    pub allowed_fails_policy: Option<ErrorCounts>,
}

/// The ids that were given, and where.
#[derive(Debug, Default)]
pub(super) struct Ids(HashMap<String, Place>);

// === impl DeploymentConfig ===

impl DeploymentConfig {
    /// Whether `model_name` is a pattern.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.model_name.contains('*')
    }

    /// A problem with this deployment's model, at its place in the file.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        let path = format!("{}.litellm_params.model", self.path);
        Problem::new(ProblemKind::Value, &self.place, path, message)
    }

    /// That a key of `litellm_params` has no effect yet.
    #[must_use]
    pub fn unsupported(&self, key: &str) -> Problem {
        let path = format!("{}.litellm_params.{key}", self.path);
        let message = "is not supported yet and is ignored";
        Problem::new(ProblemKind::Unsupported, &self.place, path, message)
    }

    /// Reads an entry of `model_list`; `usual` is the mapping `default_litellm_params`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        at: &At<'_>,
        usual: Option<&Node>,
        ids: &mut Ids,
    ) -> Option<Self> {
        let mut entry = reader.fields(at)?;
        let name = entry.require("model_name", "a string", Reader::word);
        let deployment = entry.require("litellm_params", "a mapping", |reader, at| {
            match usual.and_then(|usual| include::merge(&[at.node.clone(), usual.clone()])) {
                Some(node) => params(reader, &At { node: &node, path: at.path.clone() }),
                None => params(reader, at),
            }
        });
        let id_and_info = entry.read("model_info", |reader, at| info(reader, at, ids));
        entry.finish(&[], |key| {
            if known::PARAMS_READ.contains(&key) || known::PARAMS.contains(&key) {
                Some("litellm_params")
            } else if known::MODEL_INFO_READ.contains(&key) || known::MODEL_INFO.contains(&key) {
                Some("model_info")
            } else {
                None
            }
        });

        let mut deployment = deployment?;
        if let Some((id, mut info)) = id_and_info {
            deployment.id = id.unwrap_or_default();
            info.prices.append(&mut deployment.info.prices);
            deployment.info = info;
        }
        deployment.model_name = name?;
        deployment.path.clone_from(&at.path);
        if deployment.model.contains('*') && !deployment.is_wildcard() {
            let message =
                "a model with `*` needs a model_name with `*`, from which it takes its name";
            reader.problems.error(deployment.problem(message));
        }
        Some(deployment)
    }

    /// Gives an id to every deployment that has none.
    pub(super) fn name_all(deployments: &mut [Self], ids: &mut Ids) {
        for deployment in deployments.iter_mut().filter(|deployment| deployment.id.is_empty()) {
            let base = deployment.derived_id();
            // Two alike but for their key are told apart by their order: no secret is hashed.
            let id = std::iter::once(base.clone())
                .chain((2_usize..).map(|number| format!("{base}-{number}")))
                .find(|id| !ids.0.contains_key(id));
            deployment.id = id.unwrap_or(base);
            ids.0.insert(deployment.id.clone(), deployment.place.clone());
        }
    }

    fn derived_id(&self) -> String {
        let parts = [
            Some(&self.model_name),
            self.provider.as_ref(),
            Some(&self.model),
            self.api_base.as_ref(),
            self.api_version.as_ref(),
            self.organization.as_ref(),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            // Lengths keep neighbours apart, and the absent apart from the empty.
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.map_or("", String::as_str));
        }
        // Those of other providers keep the ids that they had.
        let google = [&self.google.project, &self.google.location];
        for part in [&self.aws.region, &self.aws.endpoint].into_iter().chain(google).flatten() {
            hash.update(part);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads `litellm_params`.
fn params(reader: &mut Reader<'_>, at: &At<'_>) -> Option<DeploymentConfig> {
    let mut params = reader.fields(at)?;
    let model = params.get("model");
    let place = model.as_ref().map_or(at, |at| at).node.place().clone();
    let model = match &model {
        Some(at) => params.reader().word(at),
        None => params.require("model", "a string", |_, _| None),
    };
    let base = params.read("api_base", Reader::url);
    let base_url = params.read("base_url", |reader, at| {
        if base.is_some() {
            reader.error(at, "another name for `api_base`, which is given too");
        }
        reader.url(at)
    });
    let timeout = params.read("timeout", Reader::seconds);
    let request_timeout = params.read("request_timeout", Reader::seconds);
    let plain = params.read("headers", headers).unwrap_or_default();
    let extra = params.read("extra_headers", headers).unwrap_or_default();
    let num_retries = params.read("num_retries", counts::times);
    let max_retries = params.read("max_retries", counts::times);
    let order = i128::from(i64::MIN)..=i128::from(i64::MAX);
    let mut deployment = DeploymentConfig {
        id: String::new(),
        model_name: String::new(),
        model: model.clone().unwrap_or_default(),
        provider: params.read("custom_llm_provider", Reader::word),
        api_base: base.clone().or(base_url),
        api_key: params.read("api_key", api_key),
        api_version: params.read("api_version", Reader::word),
        organization: params.read("organization", Reader::word),
        timeout: timeout.or(request_timeout),
        stream_timeout: params.read("stream_timeout", Reader::seconds),
        num_retries: num_retries.or(max_retries),
        headers: over(plain, extra),
        extra_body: params.read("extra_body", Parameters::read).unwrap_or_default(),
        drop_params: params.read("drop_params", Reader::boolean),
        additional_drop_params: params
            .read("additional_drop_params", Reader::words)
            .unwrap_or_default(),
        allowed_openai_params: params
            .read("allowed_openai_params", Reader::words)
            .unwrap_or_default(),
        mock_response: params.read("mock_response", Reader::text),
        rpm: params.read("rpm", Reader::count),
        tpm: params.read("tpm", Reader::count),
        itpm: params.read("itpm", Reader::count),
        otpm: params.read("otpm", Reader::count),
        rpd: params.read("rpd", Reader::count),
        tpd: params.read("tpd", Reader::count),
        weight: params.read("weight", Reader::amount),
        order: params.read("order", |reader, at| reader.whole(at, order, "an integer")),
        tags: params.read("tags", Reader::words).unwrap_or_default(),
        max_parallel_requests: params.read("max_parallel_requests", Reader::positive_count),
        cooldown_time: params.read("cooldown_time", Reader::duration),
        region: params.read("region_name", Reader::word),
        aws: AwsConfig::default(),
        google: GoogleConfig::default(),
        entra: EntraConfig::default(),
        defaults: Parameters::default(),
        info: ModelInfo::default(),
        path: String::new(),
        place,
    };
    deployment.aws = AwsConfig::read(&mut params, deployment.region.as_ref());
    deployment.google = GoogleConfig::read(&mut params);
    deployment.entra = EntraConfig::read(&mut params);
    for name in known::PRICES {
        if let Some(price) = params.read(name, Reader::amount) {
            deployment.info.prices.insert((*name).to_owned(), price);
        }
    }
    deployment.defaults = Parameters::defaults(&mut params);
    model.is_some().then_some(deployment)
}

/// Reads `model_info`.
fn info(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    ids: &mut Ids,
) -> Option<(Option<String>, ModelInfo)> {
    let mut fields = reader.fields(at)?;
    let id = fields.read("id", |reader, at| {
        // LiteLLM takes numbers for ids.
        let id = match at.node.kind() {
            Kind::Integer(_) => at.node.text().to_owned(),
            _ => reader.word(at)?,
        };
        if let Some(first) = ids.0.get(&id) {
            reader.error(at, format!("the id is given already at {first}"));
        } else {
            ids.0.insert(id.clone(), at.node.place().clone());
        }
        Some(id)
    });
    let mut info = ModelInfo {
        mode: fields.read("mode", mode),
        base_model: fields.read("base_model", Reader::word),
        max_tokens: fields.read("max_tokens", Reader::count),
        max_input_tokens: fields.read("max_input_tokens", Reader::count),
        max_output_tokens: fields.read("max_output_tokens", Reader::count),
        prices: BTreeMap::new(),
        supports: BTreeMap::new(),
        allowed_fails: fields.read("allowed_fails", counts::fails),
        allowed_fails_policy: fields.read("allowed_fails_policy", ErrorCounts::allowed_fails),
    };
    fields.take_if(known::is_price, |reader, name, at| {
        info.prices.extend(reader.amount(at).map(|price| (name.to_owned(), price)));
    });
    fields.take_if(
        |key| key.starts_with("supports_"),
        |reader, name, at| {
            let name = name.trim_start_matches("supports_").to_owned();
            info.supports.extend(reader.boolean(at).map(|value| (name, value)));
        },
    );
    fields.suggest(known::PRICES);
    fields.finish(known::MODEL_INFO, |key| {
        known::PARAMS_READ.contains(&key).then_some("litellm_params")
    });
    Some((id, info))
}

fn mode(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let mode = reader.word(at)?;
    if !known::MODES.contains(&mode.as_str()) {
        let message = match reader.problems.nearest(&mode, known::MODES.iter().copied()) {
            Some(near) => format!("unknown mode, did you mean `{near}`?"),
            None => "unknown mode".to_owned(),
        };
        reader.problems.unknown(at.node.place(), at.path.clone(), message);
    }
    Some(mode)
}

/// Reads a key. People write an empty one for servers that ask for none.
fn api_key(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret> {
    match at.node.kind() {
        Kind::Text if at.node.text().is_empty() => None,
        _ => reader.secret(at),
    }
}

/// Headers that the transport writes itself.
const TRANSPORT: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<(String, Secret)>> {
    let entries = reader.entries(at, "a mapping of headers")?;
    let mut headers = Vec::new();
    for (key, value) in entries {
        let name = key.text.to_ascii_lowercase();
        if !is_token(&name) {
            reader.error(&value, "the key is no name of a header");
        } else if TRANSPORT.contains(&name.as_str()) {
            reader.error(&value, "the connection sets this header itself");
        } else if !value.node.is_null()
            && let Some(value) = reader.header_value(&value)
        {
            headers.push((name, value));
        }
    }
    Some(headers)
}

/// A token of RFC 9110, which is what a header's name is made of.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// Two sets of headers, the second of which wins.
fn over(mut under: Vec<(String, Secret)>, over: Vec<(String, Secret)>) -> Vec<(String, Secret)> {
    under.retain(|(name, _)| !over.iter().any(|(other, _)| other == name));
    under.extend(over);
    under
}
