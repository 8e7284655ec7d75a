//! Texts that end an answer, for providers that take none: the answer is cut where the first of them begins.

use ziggurat_core::{Choice, Content, Event, PartId, Stop, StopReason, Str};

/// Cuts a stream's first answer. What may be the beginning of a stop text is held back until more is known.
#[derive(Debug)]
pub(crate) struct Stops {
    stops: Vec<Str>,
    /// The text part that is open, and what is held back of it.
    part: Option<PartId>,
    held: String,
    /// Parts that are open; after the cut they still end.
    open: Vec<PartId>,
    hit: Option<Str>,
}

impl Stops {
    /// Cuts at these texts; `None` if there are none.
    pub(crate) fn at(stops: &[Str]) -> Option<Self> {
        let stops: Vec<Str> = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        (!stops.is_empty()).then(|| Self {
            stops,
            part: None,
            held: String::new(),
            open: Vec::new(),
            hit: None,
        })
    }

    /// Takes events as they were read, and leaves those that are to come by now.
    pub(crate) fn apply(&mut self, events: &mut Vec<Event>) {
        for event in std::mem::take(events) {
            self.one(event, events);
        }
    }

    fn one(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartStart { part, .. } => {
                if self.hit.is_none() {
                    self.open.push(part);
                    out.push(event);
                }
            }
            Event::PartEnd { part } => {
                if self.part == Some(part) {
                    self.flush(out);
                }
                if let Some(at) = self.open.iter().position(|open| *open == part) {
                    self.open.swap_remove(at);
                    out.push(event);
                }
            }
            Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Arguments { .. }
            | Event::Refusal { .. }
            | Event::Citation { .. }
            | Event::Signature { .. }
            | Event::Logprobs { .. }
                if self.hit.is_some() => {}
            Event::Text { part, text } => {
                if self.part != Some(part) {
                    self.flush(out);
                    self.part = Some(part);
                }
                self.text(part, &text, out);
            }
            Event::Stop { choice, mut stop } => {
                if let Some(sequence) = self.hit.clone().filter(|_| choice == 0) {
                    *stop = Stop::new(StopReason::StopSequence);
                    stop.sequence = Some(sequence);
                }
                out.push(Event::Stop { choice, stop });
            }
            event => out.push(event),
        }
    }

    fn text(&mut self, part: PartId, text: &Str, out: &mut Vec<Event>) {
        self.held.push_str(text);
        let text = if let Some((at, stop)) = first(&self.stops, &self.held) {
            self.hit = Some(stop.clone());
            self.part = None;
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            text
        } else {
            let sure = self.held.len() - undecided(&self.stops, &self.held);
            let held = self.held.split_off(sure);
            std::mem::replace(&mut self.held, held)
        };
        if !text.is_empty() {
            out.push(Event::Text { part, text: text.into() });
        }
    }

    /// What was held back was no stop text.
    fn flush(&mut self, out: &mut Vec<Event>) {
        if let Some(part) = self.part.take()
            && !self.held.is_empty()
        {
            out.push(Event::Text { part, text: std::mem::take(&mut self.held).into() });
        }
    }
}

/// Cuts a whole answer.
pub(crate) fn cut(stops: &[Str], choice: &mut Choice) {
    if stops.is_empty() {
        return;
    }
    let found = choice.parts.iter().enumerate().find_map(|(index, part)| {
        let (at, stop) = first(stops, part.as_text()?)?;
        Some((index, at, stop.clone()))
    });
    let Some((index, at, stop)) = found else { return };
    choice.parts.truncate(index + 1);
    if let Some(Content::Text { text, citations }) =
        choice.parts.last_mut().map(|part| &mut part.content)
    {
        *text = text.slice_ref(text.get(..at).unwrap_or_default());
        citations.clear();
    }
    choice.logprobs = None;
    choice.stop = Stop::new(StopReason::StopSequence);
    choice.stop.sequence = Some(stop);
}

/// The first stop text in a text, and where it begins.
fn first<'a>(stops: &'a [Str], text: &str) -> Option<(usize, &'a Str)> {
    let found = stops.iter().filter(|stop| !stop.is_empty());
    found.filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min_by_key(|(at, _)| *at)
}

/// How many bytes at the end of a text may be the beginning of a stop text.
fn undecided(stops: &[Str], text: &str) -> usize {
    let begins = |stop: &Str| {
        let longest = (stop.len() - 1).min(text.len());
        (1..=longest)
            .rev()
            .find(|length| stop.get(..*length).is_some_and(|beginning| text.ends_with(beginning)))
    };
    stops.iter().filter_map(begins).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ziggurat_core::{Part, PartKind};

    use super::*;

    fn stops(texts: &[&str]) -> Vec<Str> {
        texts.iter().map(|text| Str::from(*text)).collect()
    }

    fn told(stops: &[Str], pieces: &[&str]) -> (String, Option<Str>) {
        let part = PartId::first(0);
        let mut events = vec![Event::PartStart { part, kind: Box::new(PartKind::Text) }];
        events.extend(pieces.iter().map(|piece| Event::Text { part, text: Str::from(*piece) }));
        events.push(Event::PartEnd { part });
        let late = PartId::first(1);
        events.push(Event::PartStart { part: late, kind: Box::new(PartKind::Refusal) });
        events.push(Event::PartEnd { part: late });
        let stop = Box::new(Stop::new(StopReason::Stop));
        events.extend([Event::Stop { choice: 0, stop }, Event::End]);
        let mut filter = Stops::at(stops).unwrap();
        let mut out = Vec::new();
        for event in events {
            let mut one = vec![event];
            filter.apply(&mut one);
            out.append(&mut one);
        }
        let starts = out.iter().filter(|event| matches!(event, Event::PartStart { .. })).count();
        let ends = out.iter().filter(|event| matches!(event, Event::PartEnd { .. })).count();
        assert_eq!(starts, ends);
        let sequence = out.iter().find_map(|event| match event {
            Event::Stop { stop, .. } => Some(stop.sequence.clone()),
            _ => None,
        });
        let sequence = sequence.unwrap();
        assert_eq!(starts, if sequence.is_some() { 1 } else { 2 });
        let text = out.iter().filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        (text.collect(), sequence)
    }

    #[test]
    fn an_answer_is_cut_where_a_stop_text_begins() {
        let stops = stops(&["END", "\n\n"]);
        for (pieces, text, stop) in [
            (&["one E", "N", "D two"][..], "one ", Some("END")),
            (&["a\n", "\nb END"], "a", Some("\n\n")),
            (&["EN", "d E"], "ENd E", None),
            (&["END"], "", Some("END")),
        ] {
            let (told, hit) = told(&stops, pieces);
            assert_eq!((told.as_str(), hit.as_deref()), (text, stop), "{pieces:?}");
        }
    }

    #[test]
    fn a_whole_answer_is_cut_alike() {
        let parts = vec![Part::text("one"), Part::text("two END three"), Part::text("four")];
        let mut choice = Choice::new(0, parts, Stop::new(StopReason::ToolCalls));
        cut(&stops(&["END"]), &mut choice);
        assert_eq!(choice.parts.len(), 2);
        assert_eq!(choice.parts[1].as_text(), Some("two "));
        assert_eq!(choice.stop.reason, StopReason::StopSequence);
        assert_eq!(choice.stop.sequence.as_deref(), Some("END"));
        let whole = choice.clone();
        cut(&stops(&["x"]), &mut choice);
        assert_eq!(choice, whole);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[abä]{0,12}", cut in 0usize..12) {
            let stops = stops(&["ab", "ba", "ää"]);
            let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let whole = told(&stops, &[&text]);
            prop_assert_eq!(told(&stops, &[&text[..at], &text[at..]]), whole);
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
            prop_assert_eq!(told(&stops, &characters), told(&stops, &[&text]));
        }
    }
}
