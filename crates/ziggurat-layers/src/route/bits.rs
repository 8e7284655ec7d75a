//! A set of small numbers, on the stack up to 256 of them.

use smallvec::SmallVec;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(SmallVec<[u64; 4]>);

/// The numbers of a set, in order.
pub(super) struct Numbers<'b> {
    words: std::slice::Iter<'b, u64>,
    /// What is left of the current word, whose first number is `base`.
    word: u64,
    base: usize,
}

impl Bits {
    /// A set that may hold the numbers below `len`.
    pub(super) fn none(len: usize) -> Self {
        Self(SmallVec::from_elem(0, len.div_ceil(64)))
    }

    /// The numbers below `len`.
    pub(super) fn all(len: usize) -> Self {
        let mut bits = Self::none(len);
        for (at, word) in bits.0.iter_mut().enumerate() {
            let left = len - at * 64;
            *word = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
        }
        bits
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word &= !(1 << (at % 64));
        }
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(one, other)| one & other != 0)
    }

    pub(super) fn keep(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(&other.0) {
            *one &= other;
        }
    }

    pub(super) fn cut(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(&other.0) {
            *one &= !other;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (one, other) in self.0.iter_mut().zip(&other.0) {
            *one |= other;
        }
    }

    /// The `n`th of them, counted from 0.
    pub(super) fn nth(&self, n: usize) -> Option<usize> {
        let mut n = n;
        for (at, word) in self.0.iter().enumerate() {
            let here = word.count_ones() as usize;
            if n < here {
                let mut word = *word;
                for _ in 0..n {
                    word &= word - 1;
                }
                return Some(at * 64 + word.trailing_zeros() as usize);
            }
            n -= here;
        }
        None
    }

    pub(super) fn iter(&self) -> Numbers<'_> {
        let mut words = self.0.iter();
        let word = words.next().copied().unwrap_or(0);
        Numbers { words, word, base: 0 }
    }
}

impl Clone for Bits {
    fn clone(&self) -> Self {
        // Not one by one, as the vector's own does it.
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            self.word = *self.words.next()?;
            self.base += 64;
        }
        let at = self.base + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_set() {
        for len in [1, 63, 64, 65, 100, 300] {
            let all = Bits::all(len);
            assert_eq!(all.len(), len);
            assert!(all.iter().eq(0..len));
            assert_eq!((all.nth(len - 1), all.nth(len)), (Some(len - 1), None));
        }
        let mut some = Bits::none(100);
        assert!(some.is_empty() && some.nth(0).is_none());
        for at in [3, 64, 99, 1000] {
            some.insert(at);
        }
        assert_eq!(some.iter().collect::<Vec<_>>(), [3, 64, 99]);
        assert_eq!((some.nth(1), some.contains(64), some.contains(65)), (Some(64), true, false));
        let mut rest = Bits::all(100);
        rest.cut(&some);
        assert!(!rest.meets(&some));
        rest.add(&some);
        assert_eq!(rest, Bits::all(100));
        rest.keep(&some);
        rest.remove(64);
        assert_eq!(rest.iter().collect::<Vec<_>>(), [3, 99]);
    }
}
