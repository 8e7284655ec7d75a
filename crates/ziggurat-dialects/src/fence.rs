//! Markdown fences around answers that were asked for as JSON in words only.

/// Takes a fence off a text that comes in pieces. White space and what may be a fence are held back until more is known.
///
/// Inside a JSON string a line break is escaped, so that a fence at the beginning of a line can only be the closing one.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    state: State,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space, and perhaps a fence, has come.
    #[default]
    Start,
    /// There is no fence.
    Plain,
    /// The opening fence was taken off.
    Inside,
    /// The closing fence was taken off: nothing follows.
    Closed,
}

const FENCE: &str = "```";
/// The longest line that opens a fence, in bytes.
const LONGEST_OPENING: usize = 64;

impl Fence {
    /// Takes a piece and returns what can be shown by now.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        if self.state == State::Start {
            self.open();
        }
        match self.state {
            State::Start | State::Closed => {
                if self.state == State::Closed {
                    self.held.clear();
                }
                String::new()
            }
            State::Plain => std::mem::take(&mut self.held),
            State::Inside => self.inside(),
        }
    }

    /// The text has ended: returns what was held back.
    pub(crate) fn finish(mut self) -> String {
        if self.state == State::Inside {
            let end = self.held.trim_end();
            let kept = end.strip_suffix(FENCE).map_or(self.held.len(), str::len);
            self.held.truncate(kept);
        }
        self.held
    }

    /// A whole text without its fence.
    pub(crate) fn strip(text: &str) -> String {
        let mut fence = Self::default();
        let mut stripped = fence.push(text);
        stripped.push_str(&fence.finish());
        stripped
    }

    fn open(&mut self) {
        let text = self.held.trim_start();
        if FENCE.starts_with(text) {
            return;
        }
        let Some(line) = text.strip_prefix(FENCE) else {
            self.state = State::Plain;
            return;
        };
        match line.find('\n') {
            Some(end) => {
                self.held = line[end + 1..].to_owned();
                self.state = State::Inside;
            }
            None if line.len() > LONGEST_OPENING => self.state = State::Plain,
            None => {}
        }
    }

    fn inside(&mut self) -> String {
        if let Some(end) = self.held.find("\n```") {
            let shown = self.held[..end].to_owned();
            self.held.clear();
            self.state = State::Closed;
            return shown;
        }
        let sure = self.held.trim_end_matches(|c: char| c.is_whitespace() || c == '`').len();
        let held = self.held.split_off(sure);
        std::mem::replace(&mut self.held, held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fence_goes_and_other_text_stays() {
        for (text, stripped) in [
            ("```json\n{\"a\":1}\n```", "{\"a\":1}"),
            ("\n```\n{}\n```\n", "{}"),
            ("```json\n{}```", "{}"),
            ("```json\n{}\n```\nHope this helps!", "{}"),
            ("```json\n{\"a\":\"`b` \"}", "{\"a\":\"`b` \"}"),
            ("{\"a\":\"```\"}", "{\"a\":\"```\"}"),
            ("  {} \n", "  {} \n"),
            ("``", "``"),
            ("", ""),
        ] {
            assert_eq!(Fence::strip(text), stripped, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            text in "(```json\n)?[{}a`\n ]{0,20}(\n```)?[ \n]?",
            cuts in proptest::collection::vec(0usize..40, 0..6),
        ) {
            let whole = Fence::strip(&text);
            let mut cuts: Vec<_> =
                cuts.into_iter().filter(|cut| text.is_char_boundary(*cut) && *cut < text.len()).collect();
            cuts.sort_unstable();
            let mut fence = Fence::default();
            let mut shown = String::new();
            let mut start = 0;
            for cut in cuts {
                shown.push_str(&fence.push(&text[start..cut]));
                start = cut;
            }
            shown.push_str(&fence.push(&text[start..]));
            shown.push_str(&fence.finish());
            prop_assert_eq!(shown, whole);
        }
    }
}
