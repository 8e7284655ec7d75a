//! What a translation could not carry, and what is done about it.

use std::borrow::Cow;
use std::fmt;

use crate::{Error, ErrorKind, Str};

/// Something that the target could not express as the caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The caller's own field: `frequency_penalty`, `messages[2].content[0]`.
    pub path: Cow<'static, str>,
    /// Why, in a few words.
    pub reason: Cow<'static, str>,
    /// What was done.
    pub action: LossAction,
}

/// What was done about a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossAction {
    /// Left out.
    Dropped,
    /// Changed to the nearest value that the target takes.
    Clamped,
    /// Expressed by other means.
    Emulated,
    /// The call was refused because of it.
    Refused,
}

impl fmt::Display for LossAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "dropped",
            Self::Clamped => "clamped",
            Self::Emulated => "emulated",
            Self::Refused => "refused",
        })
    }
}

/// `path=action`, the form of the header `x-ziggurat-losses`.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.action)
    }
}

/// How much may be lost on the way to another dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossPolicy {
    /// Nothing: harmless losses are refused as well (`drop_params: false`).
    Refuse,
    /// What is harmless to lose is dropped and reported; what changes the meaning is refused.
    #[default]
    Default,
    /// Doubtful losses pass too, reported (`drop_params: true`).
    Allow,
}

/// How serious a loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The answer means the same without it (`seed`, `user`).
    Harmless,
    /// The answer may differ from what was asked for (`logprobs`, a forced tool that is merely suggested).
    Doubtful,
    /// The answer would be to another question (an image that nobody sees).
    Grave,
}

/// How many losses of one call are told. A request of many parts must not cost more than its parts do.
const MOST: usize = 256;

/// The policy of one call and the losses found under it.
///
/// ```
/// use ziggurat_core::{LossPolicy, Losses, Severity};
///
/// let mut losses = Losses::under(LossPolicy::Default);
/// losses.drop(Severity::Harmless, "seed", "the target has no such field").unwrap();
/// assert_eq!(losses.found()[0].to_string(), "seed=dropped");
/// assert!(losses.drop(Severity::Grave, "messages[0].content[1]", "no images").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Losses {
    policy: LossPolicy,
    pass: Vec<Str>,
    found: Vec<Loss>,
}

impl Losses {
    /// No losses yet, under this policy.
    #[must_use]
    pub fn under(policy: LossPolicy) -> Self {
        Self { policy, pass: Vec::new(), found: Vec::new() }
    }

    /// Names of the caller's parameters that are sent on as they are, even if the target is not known to take them
    /// (`allowed_openai_params`).
    #[must_use]
    pub fn passing(mut self, names: &[Str]) -> Self {
        self.pass = names.to_vec();
        self
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> LossPolicy {
        self.policy
    }

    /// Whether the caller's parameter `name` is to be sent on as it is.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        self.pass.iter().any(|pass| pass == name)
    }

    /// Reports that `path` is left out.
    ///
    /// # Errors
    ///
    /// When the policy does not allow a loss of this severity: a 400 that names the caller's field.
    pub fn drop(
        &mut self,
        severity: Severity,
        path: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<(), Error> {
        self.report(severity, path.into(), reason.into(), LossAction::Dropped)
    }

    /// Reports that `path` is changed to the nearest value that the target takes: harmless.
    ///
    /// # Errors
    ///
    /// Under [`LossPolicy::Refuse`].
    pub fn clamp(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<(), Error> {
        self.report(Severity::Harmless, path.into(), reason.into(), LossAction::Clamped)
    }

    /// Reports that `path` is expressed by other means. Emulation keeps the meaning, so it is never refused.
    pub fn emulate(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.note(Loss { path: path.into(), reason: reason.into(), action: LossAction::Emulated });
    }

    /// Takes note of a loss without asking the policy: nothing can be refused any more.
    ///
    /// Of very many losses the last entry says that there are more.
    pub fn note(&mut self, loss: Loss) {
        let loss = match self.found.len() {
            MOST => return,
            len if len == MOST - 1 => Loss { path: "*".into(), reason: "and more".into(), ..loss },
            _ => loss,
        };
        if !self.found.contains(&loss) {
            self.found.push(loss);
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> &[Loss] {
        &self.found
    }

    /// What was found, taken out.
    #[must_use]
    pub fn into_found(self) -> Vec<Loss> {
        self.found
    }

    fn report(
        &mut self,
        severity: Severity,
        path: Cow<'static, str>,
        reason: Cow<'static, str>,
        action: LossAction,
    ) -> Result<(), Error> {
        let allowed = match (self.policy, severity) {
            (_, Severity::Grave) | (LossPolicy::Refuse, _) => false,
            (LossPolicy::Default, severity) => severity == Severity::Harmless,
            (LossPolicy::Allow, _) => true,
        };
        if !allowed {
            let message =
                format!("`{path}` is not supported by the model this call goes to: {reason}");
            return Err(Error::new(ErrorKind::Unsupported, message).with_param(path));
        }
        self.note(Loss { path, reason, action });
        Ok(())
    }
}

impl Loss {
    /// A loss.
    pub fn new(
        path: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
        action: LossAction,
    ) -> Self {
        Self { path: path.into(), reason: reason.into(), action }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_what_may_be_lost() {
        use Severity::{Doubtful, Grave, Harmless};
        let allowed =
            |policy, severity| Losses::under(policy).drop(severity, "seed", "no field").is_ok();
        for (policy, harmless, doubtful) in [
            (LossPolicy::Refuse, false, false),
            (LossPolicy::Default, true, false),
            (LossPolicy::Allow, true, true),
        ] {
            assert_eq!(allowed(policy, Harmless), harmless, "{policy:?}");
            assert_eq!(allowed(policy, Doubtful), doubtful, "{policy:?}");
            assert!(!allowed(policy, Grave), "{policy:?}");
        }
    }

    #[test]
    fn many_losses_are_told_up_to_a_bound() {
        let mut losses = Losses::default();
        for index in 0..1000 {
            losses.emulate(format!("messages[{index}]"), "changed");
        }
        assert_eq!(losses.found().len(), MOST);
        assert_eq!(losses.found()[MOST - 1].to_string(), "*=emulated");
    }

    #[test]
    fn a_refusal_names_the_callers_field() {
        let error = Losses::under(LossPolicy::Refuse)
            .drop(Severity::Harmless, "logit_bias", "the target has no such field")
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.param(), Some("logit_bias"));
    }
}
