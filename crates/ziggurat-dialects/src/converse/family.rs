//! Whose model it is: what Converse has no field for goes to each in its own words.

/// Families of models that differ in what they take beside Converse's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    Nova,
    GptOss,
    Mistral,
    Cohere,
    /// Others, which take nothing beside Converse's own fields.
    Other,
}

impl Family {
    /// The family of a model by its id, its inference profile's, or its ARN. A profile of somebody's own does not tell: most are
    /// for Claude.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let has = |word: &str| crate::hints::contains(name, word);
        const OTHERS: [&str; 10] = [
            "amazon.", "meta.", "ai21.", "deepseek", "qwen", "google.", "minimax", "moonshot",
            "nvidia", "zai.",
        ];
        match () {
            () if has("anthropic") || has("claude") => Self::Claude,
            () if has("amazon.nova") => Self::Nova,
            () if has("openai.") || has("gpt-oss") => Self::GptOss,
            () if has("mistral") => Self::Mistral,
            () if has("cohere.") => Self::Cohere,
            () if OTHERS.iter().any(|other| has(other)) => Self::Other,
            () => Self::Claude,
        }
    }
}

/// A model's own id, of one that names a profile over regions (`eu.anthropic.…`): tokens are counted by the model alone.
pub(super) fn bare(model: &str) -> &str {
    match model.find(".anthropic.") {
        Some(dot) if !model.starts_with("arn:") => &model[dot + 1..],
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_by_the_model_itself() {
        let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5";
        for (model, expected) in [
            ("eu.anthropic.claude-sonnet-4-5", "anthropic.claude-sonnet-4-5"),
            ("us-gov.anthropic.claude-3", "anthropic.claude-3"),
            ("anthropic.claude-3", "anthropic.claude-3"),
            ("eu.amazon.nova-pro-v1:0", "eu.amazon.nova-pro-v1:0"),
            (arn, arn),
        ] {
            assert_eq!(bare(model), expected);
        }
    }

    #[test]
    fn ids_profiles_and_arns_tell_the_family() {
        for (model, family) in [
            ("anthropic.claude-haiku-4-5-20251001-v1:0", Family::Claude),
            ("global.anthropic.claude-sonnet-5", Family::Claude),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-5",
                Family::Claude,
            ),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", Family::Claude),
            ("eu.amazon.nova-2-lite-v1:0", Family::Nova),
            ("amazon.titan-text-express-v1", Family::Other),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("cohere.command-r-plus-v1:0", Family::Cohere),
            ("us.meta.llama3-3-70b-instruct-v1:0", Family::Other),
            ("us.deepseek.r1-v1:0", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
