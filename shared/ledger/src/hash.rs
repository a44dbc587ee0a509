//! Leaf and node hashes (RFC 6962 §2.1, the same as RFC 9162 §2.1.1), always SHA-256.
//!
//! A leaf is `SHA256(0x00 ‖ entry)`, a node `SHA256(0x01 ‖ left ‖ right)`; the first byte keeps a leaf from ever being
//! taken for a node. The tree over no entry is `SHA256("")`. Not here: the shape of the tree ([`crate::frontier`]).

use crypto::Digest;

/// The root of the tree of size 0, `SHA256("")`.
pub const EMPTY_ROOT: Digest = Digest::from_bytes([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// The hash of one log entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&[0x00], entry])
}

/// The hash of a node over its two children.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

/// The root over adjacent perfect subtrees, the largest first: they join from the right. `None` without any.
pub(crate) fn join_from_the_right(subtrees: &[Digest]) -> Option<Digest> {
    let (last, others) = subtrees.split_last()?;
    Some(
        others
            .iter()
            .rev()
            .fold(*last, |right, left| node_hash(left, &right)),
    )
}

/// The root of a perfect subtree over `hashes`, whose number must be a power of two. `None` otherwise.
pub(crate) fn perfect_root(hashes: &[Digest]) -> Option<Digest> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks_exact(2)
            .map(|pair| node_hash(&pair[0], &pair[1]))
            .collect();
    }
    row.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_digest_of_nothing() {
        assert_eq!(EMPTY_ROOT, Digest::of(b""));
    }

    #[test]
    fn an_entry_that_looks_like_a_node_is_still_a_leaf() {
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let forged = [left.as_bytes().as_slice(), right.as_bytes()].concat();
        assert_ne!(leaf_hash(&forged), node_hash(&left, &right));
    }
}
