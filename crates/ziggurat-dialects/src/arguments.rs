//! What becomes of the arguments of a tool call that comes in a stream: they go on, are the answer, or hold free text.

use ziggurat_core::{
    Error, ErrorKind, Event, Origin, PartId, PartKind, Restore, Str, ToolCallKind,
};

use crate::tools::free_text;

/// The most bytes that are kept of arguments that cannot be passed on in pieces.
const MAX_KEPT: usize = 16 << 20;

/// The arguments of one call.
#[derive(Debug)]
pub(crate) enum Arguments {
    /// They go on piece by piece; `true` once one came.
    Stream(bool),
    /// They are the answer, as text; `true` once a piece came.
    Answer(bool),
    /// They hold free text, which is unpacked at the end.
    Custom(String),
}

impl Arguments {
    /// What becomes of the arguments of a call to `name`, and what the call is to its caller. Names are undone.
    pub(crate) fn begin(id: Str, name: Str, restore: &Restore) -> (Self, PartKind) {
        if restore.is_answer(&name) {
            return (Self::Answer(false), PartKind::Text);
        }
        let (kind, arguments) = match restore.is_custom(&name) {
            true => (ToolCallKind::Custom, Self::Custom(String::new())),
            false => (ToolCallKind::Function, Self::Stream(false)),
        };
        let name = restore.tool_name(&name).unwrap_or(name);
        (arguments, PartKind::ToolCall { id, name, kind })
    }

    /// Whether this is a call to its caller, too.
    pub(crate) fn is_call(&self) -> bool {
        !matches!(self, Self::Answer(_))
    }

    /// Takes a piece.
    ///
    /// # Errors
    ///
    /// When more has to be kept than there is room for.
    pub(crate) fn piece(
        &mut self,
        part: PartId,
        piece: &Str,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        match self {
            Self::Stream(seen) => {
                *seen = true;
                events.push(Event::Arguments { part, fragment: piece.clone() });
            }
            Self::Answer(seen) => {
                *seen = true;
                events.push(Event::Text { part, text: piece.clone() });
            }
            Self::Custom(kept) => {
                if kept.len() + piece.len() > MAX_KEPT {
                    let message =
                        format!("the arguments of a call are larger than {MAX_KEPT} bytes");
                    return Err(
                        Error::new(ErrorKind::BadUpstream, message).with_origin(Origin::Provider)
                    );
                }
                kept.push_str(piece);
            }
        }
        Ok(())
    }

    /// The arguments have ended. `whole` are those that came in one at the beginning, which count where no piece came.
    pub(crate) fn finish(self, part: PartId, whole: Option<Str>, events: &mut Vec<Event>) {
        match self {
            Self::Stream(false) => {
                events.extend(whole.map(|fragment| Event::Arguments { part, fragment }));
            }
            Self::Answer(false) => {
                let text = whole.unwrap_or(Str::from_static("{}"));
                events.push(Event::Text { part, text });
            }
            Self::Custom(kept) => {
                let kept = if kept.is_empty() { whole } else { Some(kept.into()) };
                if let Some(kept) = kept {
                    events.push(Event::Arguments { part, fragment: free_text(&kept) });
                }
            }
            Self::Stream(true) | Self::Answer(true) => {}
        }
    }
}
