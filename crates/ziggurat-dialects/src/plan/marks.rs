//! Cache marks: four at most, so the first ones give way to the last.

use ziggurat_core::{CacheMark, Chat, Content, Error, Losses, Part, Severity, ToolKind};

use super::Scene;
use crate::fields::Field;

/// How many marks a request may hold.
const MOST: usize = 4;

/// How many marks of a section are left out, counted from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    skip: usize,
}

/// The marks of a request by section, in the order in which the provider reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) tools: Budget,
    pub(crate) system: Budget,
    pub(crate) messages: Budget,
}

impl Marks {
    /// Counts the marks and decides which of them stay.
    pub(crate) fn plan(chat: &Chat, scene: &Scene<'_>, losses: &mut Losses) -> Result<Self, Error> {
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
    /// A mark, if it stays.
    pub(crate) fn take(&mut self, mark: Option<CacheMark>) -> Option<CacheMark> {
        let mark = mark?;
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(mark)
    }
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
