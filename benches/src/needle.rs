//! Searching a body that arrives in pieces, without keeping it.

use memchr::memmem::Finder;

/// Counts a word in a byte stream, wherever the stream was cut.
///
/// Matches do not overlap as long as the word has no border (a prefix that is also a suffix), which
/// holds for every word used here.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    /// The last `len - 1` bytes seen: as much of a match as an earlier piece can hold.
    tail: Vec<u8>,
    count: u64,
}

impl Needle {
    /// A counter for `word`, which must not be empty.
    pub fn new(word: &'static str) -> Self {
        debug_assert!(!word.is_empty(), "an empty word matches everywhere");
        Self { finder: Finder::new(word.as_bytes()), tail: Vec::with_capacity(64), count: 0 }
    }

    /// How often the word was seen so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the word was seen at all.
    pub fn found(&self) -> bool {
        self.count > 0
    }

    /// Forgets everything but the word.
    pub fn reset(&mut self) {
        self.tail.clear();
        self.count = 0;
    }

    /// Reads the next piece and returns where in it the first match that ends here ends.
    pub fn feed(&mut self, piece: &[u8]) -> Option<usize> {
        let word = self.finder.needle().len();
        let mut first = None;
        if !self.tail.is_empty() {
            // Both halves are shorter than the word, so that what is found here straddles the cut.
            let seam = self.tail.len();
            self.tail.extend_from_slice(&piece[..piece.len().min(word - 1)]);
            if let Some(at) = self.finder.find(&self.tail) {
                self.count += 1;
                first = Some(at + word - seam);
            }
            self.tail.truncate(seam);
        }
        for at in self.finder.find_iter(piece) {
            self.count += 1;
            first.get_or_insert(at + word);
        }
        self.remember(piece, word - 1);
        first
    }

    fn remember(&mut self, piece: &[u8], keep: usize) {
        if piece.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            let stale = (self.tail.len() + piece.len()).saturating_sub(keep);
            self.tail.drain(..stale);
            self.tail.extend_from_slice(piece);
        }
    }
}

/// Catches the bytes that follow a word: a member's value, without a parser.
#[derive(Debug, Clone)]
pub struct Capture {
    needle: Needle,
    value: Vec<u8>,
    most: usize,
}

impl Capture {
    /// Catches up to `most` bytes after the first `word`.
    pub fn new(word: &'static str, most: usize) -> Self {
        Self { needle: Needle::new(word), value: Vec::with_capacity(most), most }
    }

    /// What followed the word, if it was there.
    pub fn value(&self) -> Option<&[u8]> {
        self.needle.found().then_some(&self.value)
    }

    /// Forgets everything but the word.
    pub fn reset(&mut self) {
        self.needle.reset();
        self.value.clear();
    }

    /// Reads the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let rest = if self.needle.found() {
            piece
        } else {
            match self.needle.feed(piece) {
                Some(end) => &piece[end..],
                None => return,
            }
        };
        let room = self.most - self.value.len();
        self.value.extend_from_slice(&rest[..rest.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"a lattice, a lattice and one more lattice";

    #[test]
    fn a_word_is_counted_wherever_the_stream_was_cut() {
        for first in 0..=TEXT.len() {
            for second in first..=TEXT.len() {
                let mut needle = Needle::new("lattice");
                for piece in [&TEXT[..first], &TEXT[first..second], &TEXT[second..]] {
                    needle.feed(piece);
                }
                assert_eq!(needle.count(), 3, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_word_is_counted_in_single_bytes() {
        let mut needle = Needle::new("lattice");
        for piece in TEXT.chunks(1) {
            needle.feed(piece);
        }
        assert_eq!(needle.count(), 3);
        needle.reset();
        assert!(!needle.found());
    }

    #[test]
    fn a_value_is_caught_across_pieces() {
        let body = br#"{"stream":true,"x":1}"#;
        for size in 1..body.len() {
            let mut capture = Capture::new("\"stream\":", 6);
            for piece in body.chunks(size) {
                capture.feed(piece);
            }
            assert_eq!(capture.value(), Some(&b"true,\""[..]), "pieces of {size}");
        }
    }

    #[test]
    fn a_word_that_is_not_there_has_no_value() {
        let mut capture = Capture::new("\"stream\":", 6);
        capture.feed(br#"{"stream_options":{}}"#);
        assert_eq!(capture.value(), None);
    }
}
