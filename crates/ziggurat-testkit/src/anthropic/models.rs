//! What each model takes: a table by family and version.

use crate::json::{Json, obj};

/// The traits of a model that decide what is refused.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Major and minor version.
    pub(super) version: (u32, u32),
    /// Takes `temperature`, `top_p` and `top_k`.
    pub(super) samples: bool,
    /// Continues a last message of the assistant.
    pub(super) prefill: bool,
    /// Takes `thinking` of type `enabled`, with a budget.
    pub(super) enabled: bool,
    pub(super) adaptive: bool,
    pub(super) disabled: Disabled,
    /// Takes a tool choice that forces a call.
    pub(super) forced: bool,
    /// Takes messages of role `system`.
    pub(super) system: bool,
    pub(super) max_output: u64,
}

/// Whether thinking can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disabled {
    Yes,
    /// Not with an effort above `high`.
    LowEffort,
    /// No; `between_tools` comes closest.
    No,
}

impl Model {
    /// The traits of a model of Anthropic's, or `None` where the name is not one.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (family, version) = parse(name)?;
        let disabled = match (family, version) {
            ("fable" | "mythos", _) | ("opus" | "sonnet", (5, 5)) => Disabled::No,
            ("opus", (5, 0)) | ("haiku", (5, 5)) => Disabled::LowEffort,
            _ => Disabled::Yes,
        };
        Some(Self {
            version,
            samples: version <= (4, 6),
            prefill: version <= (4, 5),
            enabled: version <= (4, 6),
            adaptive: version >= (4, 6),
            disabled,
            forced: version < (5, 1) || family == "haiku",
            system: version >= (4, 8),
            max_output: match (family, version) {
                (_, (3, 7)) => 64_000,
                (_, (3, 5)) => 8192,
                (_, (0..=3, _)) => 4096,
                ("opus", (4, 0 | 1)) => 32_000,
                (_, (4, 0..=5)) => 64_000,
                _ => 128_000,
            },
        })
    }

    /// Takes `output_config`, and refuses `temperature` beside `top_p`.
    pub(super) fn since_4_5(&self) -> bool {
        self.version >= (4, 5)
    }
}

/// The name of a model without its date, for what holds for all its snapshots.
pub(super) fn undated(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((start, date)) if is_date(date) => start,
        _ => name,
    }
}

/// `claude-opus-4-1-20250805` is `("opus", (4, 1))`, and so is `claude-4-1-opus`.
fn parse(name: &str) -> Option<(&str, (u32, u32))> {
    let mut family = None;
    let mut numbers = Vec::new();
    for word in undated(name).strip_prefix("claude-")?.split('-') {
        match word.parse::<u32>() {
            Ok(number) if numbers.len() < 2 && word.len() <= 2 => numbers.push(number),
            _ if word == "latest" => {}
            _ if ["opus", "sonnet", "haiku", "fable", "mythos"].contains(&word) => {
                family = Some(word);
            }
            _ => return None,
        }
    }
    let major = *numbers.first()?;
    Some((family?, (major, numbers.get(1).copied().unwrap_or(0))))
}

fn is_date(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The answer to `GET /v1/models`.
pub(super) fn list() -> Json {
    let served = [
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-opus-4-8",
        "claude-sonnet-4-6",
        "claude-haiku-4-5-20251001",
    ];
    let entries = served.iter().filter_map(|name| Some(entry(name, &Model::of(name)?)));
    obj! {
        "data": entries.collect::<Vec<_>>(),
        "has_more": false,
        "first_id": served.first().copied(),
        "last_id": served.last().copied(),
    }
}

/// The answer to `GET /v1/models/{id}`.
pub(super) fn entry(name: &str, model: &Model) -> Json {
    obj! {
        "type": "model",
        "id": name,
        "display_name": name.replace('-', " "),
        "created_at": "2026-01-02T03:04:05Z",
        "max_input_tokens": 200_000_u64,
        "max_tokens": model.max_output,
    }
}

#[cfg(test)]
mod tests {
    use super::{Disabled, Model};

    #[test]
    fn names_are_read_in_both_orders_and_with_dates() {
        let version = |name: &str| Model::of(name).unwrap().version;
        assert_eq!(version("claude-3-5-sonnet-20241022"), (3, 5));
        assert_eq!(version("claude-3-5-haiku-latest"), (3, 5));
        assert_eq!(version("claude-3-opus-20240229"), (3, 0));
        assert_eq!(version("claude-sonnet-4-20250514"), (4, 0));
        assert_eq!(version("claude-opus-4-1-20250805"), (4, 1));
        assert_eq!(version("claude-fable-5-1"), (5, 1));
        assert!(Model::of("claude-instant-1").is_none() && Model::of("gpt-4o").is_none());
        assert!(Model::of("claude-opus").is_none());
    }

    #[test]
    fn the_table_is_the_vendors() {
        let row = |name: &str| {
            let m = Model::of(name).unwrap();
            (m.samples, m.prefill, m.enabled, m.adaptive, m.disabled, m.forced, m.system)
        };
        use Disabled::{LowEffort, No, Yes};
        assert_eq!(row("claude-opus-4-1"), (true, true, true, false, Yes, true, false));
        assert_eq!(row("claude-haiku-4-5"), (true, true, true, false, Yes, true, false));
        assert_eq!(row("claude-sonnet-4-6"), (true, false, true, true, Yes, true, false));
        assert_eq!(row("claude-opus-4-7"), (false, false, false, true, Yes, true, false));
        assert_eq!(row("claude-opus-4-8"), (false, false, false, true, Yes, true, true));
        assert_eq!(row("claude-sonnet-5"), (false, false, false, true, Yes, true, true));
        assert_eq!(row("claude-opus-5"), (false, false, false, true, LowEffort, true, true));
        assert_eq!(row("claude-fable-5"), (false, false, false, true, No, true, true));
        assert_eq!(row("claude-mythos-5-1"), (false, false, false, true, No, false, true));
        assert_eq!(row("claude-opus-5-5"), (false, false, false, true, No, false, true));
        assert_eq!(row("claude-sonnet-5-5"), (false, false, false, true, No, false, true));
        assert_eq!(row("claude-haiku-5-5"), (false, false, false, true, LowEffort, true, true));
        let most = |name: &str| Model::of(name).unwrap().max_output;
        assert_eq!(most("claude-3-haiku-20240307"), 4096);
        assert_eq!(most("claude-haiku-4-5"), 64_000);
        assert_eq!(most("claude-opus-4-6"), 128_000);
    }
}
