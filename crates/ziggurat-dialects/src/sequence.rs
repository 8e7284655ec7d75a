//! Parts one after the other, for dialects whose streams, or whose clients, cannot follow several at once.

use std::collections::VecDeque;

use ziggurat_core::{Error, ErrorKind, Event, PartId, PartKind, RawJson, Str};

/// The most bytes that wait for a part to end.
const MAX_WAITING: usize = 16 << 20;

/// Lets the parts of the first answer come one at a time: one that begins while another is open waits, and comes whole when
/// that has ended. What belongs to no part passes at once, and other answers do not come at all.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    open: Option<PartId>,
    waiting: VecDeque<Waiting>,
    /// Bytes that wait.
    held: usize,
}

/// A part that began while another was open.
#[derive(Debug)]
struct Waiting {
    part: PartId,
    kind: Box<PartKind>,
    text: String,
    signature: Option<Str>,
    citations: Vec<RawJson>,
    ended: bool,
}

impl Sequence {
    /// Takes an event, and gives those that may come by now.
    ///
    /// # Errors
    ///
    /// When more waits than memory is there for.
    pub(crate) fn push(
        &mut self,
        event: &Event,
        emit: &mut impl FnMut(&Event),
    ) -> Result<(), Error> {
        match event {
            Event::PartStart { part, kind } if part.choice == 0 => {
                if self.open.is_none() {
                    self.open = Some(*part);
                    emit(event);
                } else {
                    self.waiting.push_back(Waiting::new(*part, kind.clone()));
                }
                Ok(())
            }
            Event::Text { part, text: piece }
            | Event::Thinking { part, text: piece }
            | Event::Refusal { part, text: piece }
            | Event::Arguments { part, fragment: piece } => {
                if self.open == Some(*part) {
                    emit(event);
                    return Ok(());
                }
                let Some(waiting) = self.find(*part) else { return Ok(()) };
                waiting.text.push_str(piece);
                self.hold(piece.len())
            }
            Event::Signature { part, signature } => {
                if self.open == Some(*part) {
                    emit(event);
                } else if let Some(waiting) = self.find(*part) {
                    waiting.signature = Some(signature.clone());
                }
                Ok(())
            }
            Event::Citation { part, citation } => {
                if self.open == Some(*part) {
                    emit(event);
                    return Ok(());
                }
                let Some(waiting) = self.find(*part) else { return Ok(()) };
                waiting.citations.push((**citation).clone());
                self.hold(citation.get().len())
            }
            Event::PartEnd { part } => {
                if self.open == Some(*part) {
                    self.open = None;
                    emit(event);
                    self.advance(false, emit);
                } else if let Some(waiting) = self.find(*part) {
                    waiting.ended = true;
                }
                Ok(())
            }
            Event::Stop { choice, .. } | Event::Logprobs { choice, .. } if *choice != 0 => Ok(()),
            Event::PartStart { .. } => Ok(()),
            Event::End => {
                if let Some(part) = self.open.take() {
                    emit(&Event::PartEnd { part });
                }
                self.advance(true, emit);
                emit(event);
                Ok(())
            }
            _ => {
                emit(event);
                Ok(())
            }
        }
    }

    fn find(&mut self, part: PartId) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|waiting| waiting.part == part)
    }

    /// Counts what waits: memory is bounded.
    fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.held += bytes;
        if self.held > MAX_WAITING {
            let message = "the answer's parts run side by side for too long to be put in order";
            return Err(Error::new(ErrorKind::BadUpstream, message));
        }
        Ok(())
    }

    /// Lets the parts that waited take their turn, up to one that has not ended, or all of them.
    fn advance(&mut self, all: bool, emit: &mut impl FnMut(&Event)) {
        while self.open.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            let ended = next.ended || all;
            let part = next.part;
            self.held = self.held.saturating_sub(next.weight());
            next.replay(emit);
            if ended {
                emit(&Event::PartEnd { part });
            } else {
                self.open = Some(part);
            }
        }
    }
}

impl Waiting {
    fn new(part: PartId, kind: Box<PartKind>) -> Self {
        Self {
            part,
            kind,
            text: String::new(),
            signature: None,
            citations: Vec::new(),
            ended: false,
        }
    }

    fn weight(&self) -> usize {
        self.text.len() + self.citations.iter().map(|citation| citation.get().len()).sum::<usize>()
    }

    /// What was told of it so far, in the order in which it would have come.
    fn replay(self, emit: &mut impl FnMut(&Event)) {
        let Self { part, kind, text, signature, citations, .. } = self;
        let text = (!text.is_empty()).then(|| Str::from(text));
        let said = text.and_then(|text| match *kind {
            PartKind::Text => Some(Event::Text { part, text }),
            PartKind::Reasoning => Some(Event::Thinking { part, text }),
            PartKind::Refusal => Some(Event::Refusal { part, text }),
            PartKind::ToolCall { .. } => Some(Event::Arguments { part, fragment: text }),
            _ => None,
        });
        emit(&Event::PartStart { part, kind });
        if let Some(said) = said {
            emit(&said);
        }
        for citation in citations {
            emit(&Event::Citation { part, citation: Box::new(citation) });
        }
        if let Some(signature) = signature {
            emit(&Event::Signature { part, signature });
        }
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::ToolCallKind;

    use super::*;

    fn call(index: u16) -> Event {
        let kind = PartKind::ToolCall {
            id: format!("c{index}").into(),
            name: "f".into(),
            kind: ToolCallKind::Function,
        };
        Event::PartStart { part: PartId::first(index), kind: Box::new(kind) }
    }

    fn more(index: u16, fragment: &str) -> Event {
        Event::Arguments { part: PartId::first(index), fragment: fragment.into() }
    }

    fn end(index: u16) -> Event {
        Event::PartEnd { part: PartId::first(index) }
    }

    fn told(events: &[Event]) -> Vec<String> {
        let mut sequence = Sequence::default();
        let mut told = Vec::new();
        for event in events {
            sequence
                .push(event, &mut |event| {
                    told.push(match event {
                        Event::PartStart { part, .. } => format!("start {}", part.index),
                        Event::Arguments { part, fragment } => {
                            format!("{} {fragment}", part.index)
                        }
                        Event::PartEnd { part } => format!("end {}", part.index),
                        other => format!("{other:?}"),
                    });
                })
                .unwrap();
        }
        told
    }

    #[test]
    fn parts_that_interleave_come_one_by_one() {
        let events = [call(0), call(1), more(0, "a"), more(1, "b"), more(0, "c"), end(0)];
        let mut expected = vec!["start 0", "0 a", "0 c", "end 0", "start 1", "1 b"];
        assert_eq!(told(&events), expected);
        let later = [&events[..], &[more(1, "d"), end(1), Event::End]].concat();
        expected.extend(["1 d", "end 1", "End"]);
        assert_eq!(told(&later), expected);
    }

    #[test]
    fn the_end_lets_everything_come_that_waits() {
        let events = [call(0), call(1), more(1, "b"), Event::End];
        assert_eq!(told(&events), ["start 0", "end 0", "start 1", "1 b", "end 1", "End"]);
    }

    #[test]
    fn other_answers_do_not_come() {
        let part = PartId { choice: 1, index: 0 };
        let events = [
            Event::PartStart { part, kind: Box::new(PartKind::Text) },
            Event::Text { part, text: "x".into() },
            Event::PartEnd { part },
        ];
        assert!(told(&events).is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut sequence = Sequence::default();
        let piece = "x".repeat(1 << 20);
        let mut push = |event: &Event| sequence.push(event, &mut |_| {});
        push(&call(0)).unwrap();
        push(&call(1)).unwrap();
        let pushed = (0..17).try_for_each(|_| push(&more(1, &piece)));
        assert_eq!(pushed.unwrap_err().kind(), ErrorKind::BadUpstream);
    }
}
