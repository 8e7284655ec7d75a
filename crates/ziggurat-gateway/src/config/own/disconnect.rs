//! `ziggurat.disconnect`: what becomes of a call whose caller has left.

use std::time::Duration;

use crate::config::fallbacks::Reference;
use crate::config::node::Kind;
use crate::config::read::{At, Reader};

/// `ziggurat.disconnect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisconnectSettings {
    /// `default`, or the one policy that is written.
    pub default: Disconnect,
    /// `models`: of single models, by the names callers use.
    pub models: Vec<(Reference, Disconnect)>,
}

/// What becomes of a call whose caller has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// `cut`: it is cancelled, at the provider too.
    #[default]
    Cut,
    /// `drain`: it is read to its end, so that its usage is known and a cache is filled.
    Drain {
        /// `tokens`: at most so many more pieces.
        tokens: Option<u64>,
        /// `time`: at most for so long.
        time: Option<Duration>,
    },
}

// === impl DisconnectSettings ===

impl DisconnectSettings {
    pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let is_policy = match at.node.kind() {
            Kind::Mapping(entries) => entries.iter().any(|entry| &*entry.key.text == "drain"),
            _ => true,
        };
        if is_policy {
            let default = Disconnect::read(reader, at)?;
            return Some(Self { default, models: Vec::new() });
        }
        let mut fields = reader.fields(at)?;
        let default = fields.read("default", Disconnect::read).unwrap_or_default();
        let models = fields.read("models", |reader, at| {
            let mut models = Vec::new();
            for (key, value) in reader.entries(at, "a mapping from models to policies")? {
                let model = Reference::new(&*key.text, value.path.clone(), &key.place);
                models.extend(Disconnect::read(reader, &value).map(|policy| (model, policy)));
            }
            Some(models)
        });
        fields.finish(&[], |_| None);
        Some(Self { default, models: models.unwrap_or_default() })
    }

    /// The policy for a model.
    #[must_use]
    pub fn of(&self, model: &str) -> Disconnect {
        let own = self.models.iter().find(|(named, _)| named.name == model);
        own.map_or(self.default, |(_, policy)| *policy)
    }
}

impl Disconnect {
    fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let Kind::Mapping(_) = at.node.kind() else {
            let words = [("cut", Self::Cut), ("drain", Self::Drain { tokens: None, time: None })];
            return reader.choice(at, &words);
        };
        let mut fields = reader.fields(at)?;
        let drain = fields.require("drain", "a mapping of `tokens` and `time`", |reader, at| {
            let mut fields = reader.fields(at)?;
            let tokens = fields.read("tokens", Reader::count);
            let time = fields.read("time", Reader::timeout);
            fields.finish(&[], |_| None);
            Some(Self::Drain { tokens, time })
        });
        fields.finish(&[], |_| None);
        drain
    }
}
