//! What the encoder of a stream could not say.

use ziggurat_core::{Event, Loss, LossAction, Losses, PartKind};

/// Why a part that only its own dialect understands is left out.
const OPAQUE: &str = "only its own dialect understands it";

/// The losses of one stream. Each is told once.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    lost: Losses,
    /// Whether the answer began with its service tier.
    tier: bool,
}

impl Unsaid {
    /// Takes note of something that was left out.
    pub(crate) fn note(&mut self, path: &str, reason: &'static str) {
        let known = |loss: &Loss| loss.path == path && loss.reason == reason;
        if !self.lost.found().iter().any(known) {
            self.lost.note(Loss::new(path.to_owned(), reason, LossAction::Dropped));
        }
    }

    /// Takes note of a part that was left out.
    pub(crate) fn part(&mut self, kind: &PartKind) {
        match kind {
            PartKind::Opaque { kind, .. } => self.note(kind, OPAQUE),
            PartKind::Redacted(_) => self.note("thinking", "it is not meant to be read"),
            _ => self.note("content", "an answer holds no such part in the caller's dialect"),
        }
    }

    /// Looks at an event of a stream whose caller reads the service tier in its beginning, if at all.
    pub(crate) fn look(&mut self, event: &Event) {
        match event {
            Event::Start(start) => self.tier = start.service_tier.is_some(),
            Event::Usage(usage) if usage.tier.is_some() && !self.tier => {
                self.note("service_tier", "it is known at the end only, and told at the beginning");
            }
            _ => {}
        }
    }

    /// Further answers, where the first alone can be told.
    pub(crate) fn choice(&mut self, number: u16) {
        if number > 0 {
            self.note("choices", "only the first of several answers can be told");
        }
    }

    /// What was left out so far.
    pub(crate) fn found(&self) -> &[Loss] {
        self.lost.found()
    }
}
