//! `ziggurat.rate_limits`: how much callers may ask for.

use std::num::NonZeroU64;

use crate::config::fallbacks::Reference;
use crate::config::read::{At, Reader};

/// `ziggurat.rate_limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSettings {
    /// `global`: of all calls together.
    pub global: Option<Quota>,
    /// `key`: of each key.
    pub key: Option<Quota>,
    /// `user`: of each user.
    pub user: Option<Quota>,
    /// `team`: of each team.
    pub team: Option<Quota>,
    /// `organization`: of each organisation.
    pub organization: Option<Quota>,
    /// `model`: of each model.
    pub model: Option<Quota>,
    /// `key_and_model`: of each key at each model.
    pub key_and_model: Option<Quota>,
    /// `models`: of single models, by the names callers use; over `model`.
    pub models: Vec<(Reference, Quota)>,
}

/// How much of something there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// `requests_per_minute`, or `rpm`.
    pub requests_per_minute: Option<NonZeroU64>,
    /// `tokens_per_minute`, or `tpm`: in and out.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// `input_tokens_per_minute`, or `itpm`.
    pub input_tokens_per_minute: Option<NonZeroU64>,
    /// `output_tokens_per_minute`, or `otpm`.
    pub output_tokens_per_minute: Option<NonZeroU64>,
    /// `requests_per_day`, or `rpd`.
    pub requests_per_day: Option<NonZeroU64>,
    /// `tokens_per_day`, or `tpd`.
    pub tokens_per_day: Option<NonZeroU64>,
    /// `parallel`, or `max_parallel_requests`: calls in flight.
    pub parallel: Option<NonZeroU64>,
}

impl RateLimitSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let settings = Self {
            global: fields.read("global", Quota::read),
            key: fields.read("key", Quota::read),
            user: fields.read("user", Quota::read),
            team: fields.read("team", Quota::read),
            organization: fields.read("organization", Quota::read),
            model: fields.read("model", Quota::read),
            key_and_model: fields.read("key_and_model", Quota::read),
            models: fields
                .read("models", |reader, at| {
                    let mut models = Vec::new();
                    for (key, value) in reader.entries(at, "a mapping from models to limits")? {
                        let model = Reference::new(&*key.text, value.path.clone(), &key.place);
                        models.extend(Quota::read(reader, &value).map(|quota| (model, quota)));
                    }
                    Some(models)
                })
                .unwrap_or_default(),
        };
        fields.finish(&[], |_| None);
        Some(settings)
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Quota {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let mut number = |name, short| {
            let long = fields.read(name, amount);
            fields
                .read(short, |reader, at| {
                    if long.is_some() {
                        reader.error(at, format!("another name for `{name}`, which is given too"));
                    }
                    amount(reader, at)
                })
                .or(long)
        };
        let quota = Self {
            requests_per_minute: number("requests_per_minute", "rpm"),
            tokens_per_minute: number("tokens_per_minute", "tpm"),
            input_tokens_per_minute: number("input_tokens_per_minute", "itpm"),
            output_tokens_per_minute: number("output_tokens_per_minute", "otpm"),
            requests_per_day: number("requests_per_day", "rpd"),
            tokens_per_day: number("tokens_per_day", "tpd"),
            parallel: number("parallel", "max_parallel_requests"),
        };
        fields.finish(&[], |_| None);
        Some(quota)
    }
}

fn amount(reader: &mut Reader<'_>, at: &At<'_>) -> Option<NonZeroU64> {
    let amount = reader.whole(at, 1..=1_000_000_000_000, "an integer above 0")?;
    NonZeroU64::new(amount)
}
