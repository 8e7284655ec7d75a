//! The ways in which a stream may arrive.

use bytes::Bytes;

use crate::mutate::Mutator;

/// `data` in one piece, in single bytes, and in pieces of lengths that follow from its contents.
pub(crate) fn choppings(data: &[u8]) -> [Vec<Bytes>; 3] {
    let mut mutator = Mutator::new(seed(data));
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        // Mostly short, so that lines and characters are cut; now and then longer than an event.
        let most = [3, 20, 200][mutator.below(3)];
        let (piece, after) = rest.split_at((1 + mutator.below(most)).min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    let bytes = data.chunks(1).map(Bytes::copy_from_slice).collect();
    [vec![Bytes::copy_from_slice(data)], bytes, pieces]
}

/// A number that follows from `data`: what else varies is drawn from it, so that a file is all that is needed to see a
/// failure again (FNV-1a).
pub(crate) fn seed(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_by_chopping() {
        let data: Vec<u8> = (0..=255).collect();
        for pieces in choppings(&data) {
            assert_eq!(pieces.concat(), data);
        }
        let [whole, bytes, pieces] = choppings(&data);
        assert_eq!((whole.len(), bytes.len()), (1, 256));
        assert!(pieces.len() > 3);
    }
}
