//! What each model takes: a small table by name.

use crate::json::{Json, obj};

/// The traits of a model that decide what is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    /// Takes no sampling parameters, and `max_completion_tokens` only.
    pub(super) reasons: bool,
    /// Takes sampling parameters after all when `reasoning_effort` is `none`.
    pub(super) samples_without_effort: bool,
    /// The values of `reasoning_effort`; empty where the parameter is unknown.
    pub(super) efforts: &'static [&'static str],
    pub(super) stop: bool,
    pub(super) audio: bool,
    /// `prompt_cache_options`, since gpt-5.6.
    pub(super) cache_options: bool,
    /// `prompt_cache_retention`, until gpt-5.
    pub(super) cache_retention: bool,
}

pub(super) const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

impl Model {
    /// The traits of a model of OpenAI's, or `None` where the name is not one.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let name = name.split(':').next().unwrap_or(name);
        if let Some(rest) = name.strip_prefix('o')
            && let Some(version) = leading_number(rest)
        {
            return Some(Self { stop: version < 3, ..Self::reasoning(&["low", "medium", "high"]) });
        }
        let plain = Self::plain(name.contains("audio"));
        if name.starts_with("chatgpt-") {
            return Some(plain);
        }
        let rest = name.strip_prefix("gpt-")?;
        let (major, minor) = version(rest);
        if major < 5 || name.starts_with("gpt-5-chat") {
            return Some(plain);
        }
        let efforts: &[&str] = match (major, minor) {
            (5, 0) => &["minimal", "low", "medium", "high"],
            (5, _) => &["none", "low", "medium", "high", "xhigh"],
            _ if ["gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra"]
                .iter()
                .any(|known| name.starts_with(known)) =>
            {
                &["none", "low", "medium", "high", "xhigh", "max"]
            }
            _ => &["low", "medium", "high", "xhigh", "max"],
        };
        Some(Self {
            samples_without_effort: major == 5 && minor > 0,
            cache_options: (major, minor) >= (5, 6),
            cache_retention: major < 6,
            ..Self::reasoning(efforts)
        })
    }

    /// A model of somebody else's server: it takes everything.
    pub(super) fn compatible() -> Self {
        Self { efforts: &EFFORTS, cache_options: true, ..Self::plain(true) }
    }

    fn plain(audio: bool) -> Self {
        Self {
            reasons: false,
            samples_without_effort: false,
            efforts: &[],
            stop: true,
            audio,
            cache_options: false,
            cache_retention: true,
        }
    }

    fn reasoning(efforts: &'static [&'static str]) -> Self {
        Self { reasons: true, efforts, stop: false, ..Self::plain(false) }
    }
}

/// `5.6-terra` is (5, 6); a name without a number is a plain model of old.
fn version(rest: &str) -> (u32, u32) {
    let major = leading_number(rest).unwrap_or(0);
    let minor = rest
        .trim_start_matches(|letter: char| letter.is_ascii_digit())
        .strip_prefix('.')
        .and_then(leading_number);
    (major, minor.unwrap_or(0))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The answer to `GET /v1/models`.
pub(super) fn list(more: &[String]) -> Json {
    let served = ["gpt-4.1", "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5.6", "gpt-6-sol", "o3"];
    let names = served.into_iter().chain(more.iter().map(String::as_str));
    obj! { "object": "list", "data": names.map(entry).collect::<Vec<_>>() }
}

/// The answer to `GET /v1/models/{id}`.
pub(super) fn entry(name: &str) -> Json {
    obj! { "id": name, "object": "model", "created": 1_767_323_045_u64, "owned_by": "system" }
}

#[cfg(test)]
mod tests {
    use super::Model;

    #[test]
    fn names_decide_what_a_model_takes() {
        let traits = |name: &str| {
            let model = Model::of(name).unwrap();
            (model.reasons, model.samples_without_effort, model.stop)
        };
        assert_eq!(traits("gpt-4.1-mini"), (false, false, true));
        assert_eq!(traits("gpt-4o"), (false, false, true));
        assert_eq!(traits("gpt-5-chat-latest"), (false, false, true));
        assert_eq!(traits("gpt-5"), (true, false, false));
        assert_eq!(traits("gpt-5.6-terra"), (true, true, false));
        assert_eq!(traits("gpt-6-sol"), (true, false, false));
        assert_eq!(traits("o1"), (true, false, true));
        assert_eq!(traits("o4-mini"), (true, false, false));
        assert_eq!(traits("ft:gpt-4.1:org::x"), (false, false, true));
        assert!(Model::of("claude-opus-5").is_none() && Model::of("omni").is_none());
        assert!(!Model::of("gpt-6-astra").unwrap().efforts.contains(&"none"));
        assert!(Model::of("gpt-6-luna").unwrap().efforts.contains(&"none"));
    }
}
