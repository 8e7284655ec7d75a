//! What a call needs of a deployment.

use ziggurat_core::{Call, Chat, Content, OutputFormat, Part, Source};

/// Something that a deployment may be known not to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ability {
    /// Pictures in the prompt.
    Vision,
    /// Sound in the prompt.
    Audio,
    /// Moving pictures in the prompt.
    Video,
    /// Documents in the prompt.
    Documents,
    /// Tools.
    Tools,
    /// Answers of a given JSON schema.
    Schema,
}

/// Abilities, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities(u8);

/// What a call needs, as far as its body tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// About how many tokens the prompt has.
    pub(super) input: u64,
    /// About how many tokens it takes altogether.
    pub(super) tokens: u64,
    pub(super) abilities: Abilities,
}

const ALL: [Ability; 6] = [
    Ability::Vision,
    Ability::Audio,
    Ability::Video,
    Ability::Documents,
    Ability::Tools,
    Ability::Schema,
];

impl Ability {
    /// What does not work without it, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vision => "pictures",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Documents => "documents",
            Self::Tools => "tools",
            Self::Schema => "JSON schemas",
        }
    }
}

impl Abilities {
    pub(super) fn insert(&mut self, ability: Ability) {
        self.0 |= 1 << ability as u8;
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Ability> {
        ALL.into_iter().filter(move |ability| self.0 >> *ability as u8 & 1 == 1)
    }
}

impl FromIterator<Ability> for Abilities {
    fn from_iter<I: IntoIterator<Item = Ability>>(abilities: I) -> Self {
        let mut set = Self::default();
        for ability in abilities {
            set.insert(ability);
        }
        set
    }
}

impl Needs {
    /// What this call needs. A body that cannot be read needs nothing: whoever has to send it will say why it cannot.
    pub(super) fn of(call: &Call) -> Self {
        let Ok(chat) = call.payload().chat() else { return Self::default() };
        let input = chat.estimated_input_tokens();
        let tokens = input.saturating_add(chat.max_output_tokens.unwrap_or(0));
        Self { input, tokens, abilities: abilities(chat) }
    }
}

fn abilities(chat: &Chat) -> Abilities {
    let mut needed = Abilities::default();
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    for part in chat.system.iter().chain(parts) {
        look_at(part, &mut needed);
    }
    if !chat.tools.is_empty() {
        needed.insert(Ability::Tools);
    }
    if matches!(chat.output, OutputFormat::Schema(_)) {
        needed.insert(Ability::Schema);
    }
    needed
}

fn look_at(part: &Part, needed: &mut Abilities) {
    match &part.content {
        Content::Image { .. } => needed.insert(Ability::Vision),
        Content::Audio { .. } => needed.insert(Ability::Audio),
        Content::Video { .. } => needed.insert(Ability::Video),
        // Every model reads text.
        Content::Document { source: Source::Text { .. }, .. } => {}
        Content::Document { .. } => needed.insert(Ability::Documents),
        Content::ToolResult { parts, .. } => {
            for part in parts {
                look_at(part, needed);
            }
        }
        _ => {}
    }
}

/// Whether a deployment in this region may answer a call that must stay there. One whose region nobody knows may not.
pub(super) fn is_in(region: Option<&str>, wanted: &str) -> bool {
    let Some(region) = region else { return false };
    if region.eq_ignore_ascii_case(wanted) {
        return true;
    }
    // What the clouds call their regions: `eu-west-1`, `europe-west4`, `westeurope`; `us-east-1`, `eastus2`, `us-central1`.
    let region = region.to_ascii_lowercase();
    let words = || region.split(['-', '_', ' ']);
    match wanted.to_ascii_lowercase().as_str() {
        "eu" => region.contains("europe") || words().any(|word| word == "eu"),
        "us" => {
            let azure = |word: &str| {
                let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
                [
                    "eastus",
                    "westus",
                    "centralus",
                    "northcentralus",
                    "southcentralus",
                    "westcentralus",
                ]
                .contains(&word)
            };
            words().any(|word| word == "us" || azure(word))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_the_clouds_own_names() {
        for region in ["eu", "EU", "eu-west-1", "europe-west4", "westeurope", "eu.anthropic-eu"] {
            assert!(is_in(Some(region), "eu"), "{region}");
            assert!(!is_in(Some(region), "us"), "{region}");
        }
        for region in ["us", "us-east-1", "eastus2", "us-central1", "westus"] {
            assert!(is_in(Some(region), "us"), "{region}");
            assert!(!is_in(Some(region), "eu"), "{region}");
        }
        assert!(is_in(Some("ap-south-1"), "ap-south-1"));
        assert!(!is_in(Some("australiaeast"), "us"));
        assert!(!is_in(None, "eu"));
    }

    #[test]
    fn what_a_body_needs_is_read_from_it() {
        let call = Call::chat("m").user("12345678").max_output_tokens(100);
        let needs = Needs::of(&call);
        assert_eq!((needs.input, needs.tokens, needs.abilities.is_empty()), (8, 108, true));
        let source = Source::Url("https://x/y.png".into());
        let picture = Part::new(Content::Image { source, detail: None });
        let call =
            call.message(ziggurat_core::Message::new(ziggurat_core::Role::User, vec![picture]));
        let needs = Needs::of(&call);
        assert!(needs.abilities.iter().eq([Ability::Vision]));
    }
}
