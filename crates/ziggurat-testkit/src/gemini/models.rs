//! What each model takes, by its name.

use crate::json::{Json, obj};

/// The traits of a model that decide what is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) thinking: Thinking,
    /// Since the third generation: calls have ids and signatures, which must come back.
    pub(super) signs: bool,
    pub(super) max_output: u64,
}

/// How a model's thinking is steered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thinking {
    Never,
    /// By a number of tokens between these.
    Budget {
        least: i64,
        most: i64,
        off: bool,
    },
    /// By a word.
    Levels(&'static [&'static str]),
}

impl Model {
    /// The traits of a model of Google's, or `None` where the name is not one.
    pub(super) fn of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("gemini-")?;
        let (major, minor) = version(rest)?;
        let flash = rest.contains("flash");
        if major >= 3 {
            let all: &[&str] = &["MINIMAL", "LOW", "MEDIUM", "HIGH"];
            let minimal = flash && !matches!((major, minor), (3, 7 | 8));
            let levels = if minimal { all } else { &all[1..] };
            return Some(Self {
                thinking: Thinking::Levels(levels),
                signs: true,
                max_output: 65_536,
            });
        }
        if (major, minor) < (2, 5) {
            return Some(Self { thinking: Thinking::Never, signs: false, max_output: 8_192 });
        }
        let (least, most, off) = match () {
            () if rest.contains("pro") => (128, 32_768, false),
            () if rest.contains("flash-lite") => (512, 24_576, true),
            () => (0, 24_576, true),
        };
        let thinking = Thinking::Budget { least, most, off };
        Some(Self { thinking, signs: false, max_output: 65_536 })
    }
}

/// `3.5-flash` is (3, 5); `flash-latest` is the newest.
fn version(rest: &str) -> Option<(u32, u32)> {
    if rest.ends_with("-latest") && !rest.starts_with(|first: char| first.is_ascii_digit()) {
        return Some((3, 5));
    }
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The answer to `GET models`.
pub(super) fn list() -> Json {
    let names = ["gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.5-flash"];
    let entries = names.iter().filter_map(|name| Some(entry(name, &Model::of(name)?)));
    obj! { "models": Json::Array(entries.collect()) }
}

/// The answer to `GET models/{name}`.
pub(super) fn entry(name: &str, model: &Model) -> Json {
    let methods = ["generateContent", "countTokens"].map(Json::from);
    obj! {
        "name": format!("models/{name}"),
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576_u64,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": Json::Array(methods.into()),
        "thinking": !matches!(model.thinking, Thinking::Never),
    }
}

#[cfg(test)]
mod tests {
    use super::{Model, Thinking};

    #[test]
    fn names_decide_what_a_model_takes() {
        let of = |name| Model::of(name).unwrap();
        assert!(of("gemini-3.5-flash").signs && of("gemini-flash-latest").signs);
        assert!(matches!(of("gemini-3-pro").thinking, Thinking::Levels(["LOW", ..])));
        assert!(matches!(of("gemini-3.5-flash").thinking, Thinking::Levels(["MINIMAL", ..])));
        assert!(matches!(of("gemini-2.5-pro").thinking, Thinking::Budget { off: false, .. }));
        assert!(matches!(of("gemini-2.0-flash").thinking, Thinking::Never));
        assert!(Model::of("gpt-5").is_none() && Model::of("gemini-x").is_none());
    }
}
