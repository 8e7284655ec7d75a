//! Cache marks: four at most, so the first ones give way to the last.

use ziggurat_core::{CacheMark, Chat, Content, Error, Losses, Part, Severity, ToolKind};

use super::Scene;
use crate::fields::Field;
use crate::json::Object;

/// How many marks a request may hold.
const MOST: usize = 4;

/// How many marks of a section are left out, counted from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    skip: usize,
}

/// The marks of a request by section, in the order in which the provider reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) tools: Budget,
    pub(super) system: Budget,
    pub(super) messages: Budget,
}

impl Marks {
    /// Counts the marks and decides which of them stay.
    pub(super) fn plan(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
        let name = scene.names.name(Field::CacheAuto);
        let tools = chat.tools.iter().filter(|tool| tool.cache.is_some());
        // What is carried as it is keeps its marks, too.
        let fixed_tools = tools.clone().filter(|tool| matches!(tool.kind, ToolKind::Server { .. }));
        let tools = tools.count() - fixed_tools.clone().count();
        let system = count(&chat.system);
        let messages = chat.messages.iter().fold(Count::default(), |sum, message| {
            let more = count(&message.parts);
            Count { free: sum.free + more.free, fixed: sum.fixed + more.fixed }
        });
        let fixed = fixed_tools.count()
            + system.fixed
            + messages.fixed
            + usize::from(chat.cache.auto.is_some());
        let mut skip =
            (tools + system.free + messages.free).saturating_sub(MOST.saturating_sub(fixed));
        if skip > 0 {
            let reason = format!("{MOST} marks are taken, the last ones stay");
            losses.drop(Severity::Harmless, name, reason)?;
        }
        let mut section = |marks: usize| {
            let here = skip.min(marks);
            skip -= here;
            Budget { skip: here }
        };
        Ok(Self {
            tools: section(tools),
            system: section(system.free),
            messages: section(messages.free),
        })
    }
}

impl Budget {
    /// Writes a mark, if it stays.
    pub(super) fn write(&mut self, mark: Option<CacheMark>, object: &mut Object<'_>) {
        let Some(mark) = mark else { return };
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        write(mark, object);
    }
}

/// Writes a mark.
pub(super) fn write(mark: CacheMark, object: &mut Object<'_>) {
    let mut inner = Object::begin(object.member("cache_control"));
    inner.text("type", "ephemeral");
    match mark {
        CacheMark::FiveMinutes => inner.text("ttl", "5m"),
        CacheMark::OneHour | CacheMark::TwelveHours => inner.text("ttl", "1h"),
        // Half an hour is what OpenAI calls its shortest time, as five minutes are here.
        _ => {}
    }
    inner.end();
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    free: usize,
    fixed: usize,
}

fn count(parts: &[Part]) -> Count {
    let mut sum = Count::default();
    for part in parts {
        if part.cache.is_some() {
            match part.content {
                Content::Opaque { .. } => sum.fixed += 1,
                // Thinking takes no mark.
                Content::Reasoning { .. } => {}
                _ => sum.free += 1,
            }
        }
        if let Content::ToolResult { parts, .. } = &part.content {
            let inner = count(parts);
            sum.free += inner.free;
            sum.fixed += inner.fixed;
        }
    }
    sum
}
