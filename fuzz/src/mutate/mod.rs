//! Deterministic mutations: the same seed makes the same bytes on every machine.
//!
//! Half of them change bytes, half of them change the tree of a JSON text, as hardly any change of bytes leaves JSON that a
//! decoder looks at twice.

mod tree;

/// Bytes that mean something in JSON, SSE, NDJSON and binary frames.
const TELLING: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-0",
    b"1e999",
    b"18446744073709551616",
    b"data:",
    b"data: [DONE]\n\n",
    b"event: ",
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xf0\x9f\x98\x80",
];

/// Makes inputs out of inputs.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// A mutator whose whole course follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15 }
    }

    /// One to four small changes to `data`, which stays below `limit` bytes. `other` is a second
    /// input to splice from.
    pub fn mutate(&mut self, data: &mut Vec<u8>, other: &[u8], limit: usize) {
        for _ in 0..=self.below(4) {
            self.change(data, other);
            data.truncate(limit);
        }
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        if self.below(2) == 0 && tree::change(self, data, other) {
            return;
        }
        let at = self.below(data.len() + 1);
        let end = at + self.below(data.len() - at + 1);
        match self.below(9) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..end)),
            2 => {
                let word = TELLING[self.below(TELLING.len())];
                data.splice(at..at, word.iter().copied());
            }
            3 => {
                let word = TELLING[self.below(TELLING.len())];
                data.splice(at..end, word.iter().copied());
            }
            4 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            5 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = self.next().to_le_bytes()[0];
                }
            }
            6 => {
                let copy = data[at..end].to_vec();
                data.splice(end..end, copy);
            }
            7 => data[at..end].reverse(),
            _ => {
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1);
                data.splice(at..end, other[from..to].iter().copied());
            }
        }
    }

    /// A number below `bound`, which is not zero. The bias is of no matter here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A mutation for libFuzzer: of `data[..size]` in place, to at most `most` bytes. Returns how many they are.
#[cfg(fuzzing)]
pub fn for_libfuzzer(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    if seed % 2 == 0 {
        let mut changed = data[..size].to_vec();
        if tree::change(&mut Mutator::new(seed.into()), &mut changed, &[]) && changed.len() <= most
        {
            data[..changed.len()].copy_from_slice(&changed);
            return changed.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(seed: u64) -> Vec<Vec<u8>> {
        let mut mutator = Mutator::new(seed);
        let mut data = b"data: {\"a\":[1,2]}\n\n".to_vec();
        let step = |_| {
            mutator.mutate(&mut data, b"event: x\n\n", 4096);
            data.clone()
        };
        (0..500).map(step).collect()
    }

    #[test]
    fn the_same_seed_takes_the_same_course_and_another_seed_another() {
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
    }

    #[test]
    fn mutations_change_the_input_and_keep_to_the_limit() {
        let course = course(3);
        assert!(course.iter().all(|data| data.len() <= 4096));
        let distinct: std::collections::HashSet<_> = course.iter().collect();
        assert!(distinct.len() > 400, "only {} distinct inputs", distinct.len());
    }

    #[test]
    fn an_empty_input_is_no_obstacle() {
        let mut mutator = Mutator::new(4);
        for _ in 0..1000 {
            mutator.mutate(&mut Vec::new(), b"", 16);
        }
    }
}
