//! What a request to a model behind Anthropic Messages or Bedrock Converse comes to: which tools, how much thinking, which cache
//! marks, which parameters. The two differ in how they write it, and in little else.

mod marks;
mod params;
mod thinking;
mod tools;
mod turns;

use ziggurat_core::{Dialect, Target};

pub(crate) use marks::{Budget, Marks};
pub(crate) use params::Params;
pub(crate) use thinking::{Mode, Thinking, budget_of, effort_of, is_trace, strip_foreign, think};
pub(crate) use tools::{Choice, Tools};
pub(crate) use turns::{Abilities, Piece, Turn, turns};

use crate::Names;
use crate::tools::Rule;

/// Where a request goes, and in whose words its losses are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) names: Names,
    /// The dialect in which it is written.
    pub(crate) own: Dialect,
    /// What the names of tools may be there.
    pub(crate) tool_names: Rule,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(target: &'a Target<'a>, own: Dialect, tool_names: Rule) -> Self {
        Self { target, names: Names::of(target.source), own, tool_names }
    }

    /// Whether the caller speaks the same dialect: then what it says is its own business.
    pub(crate) fn is_own(&self) -> bool {
        self.target.source == Some(self.own)
    }
}
