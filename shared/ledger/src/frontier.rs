//! The right edge of a growing tree: what must be kept to append to it and to know its root.
//!
//! A tree of size n (RFC 6962 §2.1) is covered by one perfect subtree per set bit of n, the largest leftmost. Their
//! roots, in that order, are the frontier (elsewhere "compact range" from 0): at most 63 hashes. Appending a leaf
//! merges equal subtrees from the right as a binary counter carries.
//!
//! Bound: sizes up to [`MAX_SIZE`]. Not here: hashes below the frontier, which the tiles hold ([`crate::edge`]).

use crypto::Digest;

use crate::MAX_SIZE;
use crate::hash::{EMPTY_ROOT, join_from_the_right, node_hash};

/// Why stored parts are no frontier.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// One hash is kept per set bit of the size.
    #[error(
        "a tree of size {size} has a frontier of {} hashes, found {found}",
        size.count_ones()
    )]
    HashCount {
        /// The size they were said to belong to.
        size: u64,
        /// How many hashes there were.
        found: usize,
    },
    /// Larger than any log of ours.
    #[error("tree size {0} is above the limit of {MAX_SIZE}")]
    TooLarge(u64),
}

/// The frontier of a tree: its size and the roots of its perfect subtrees, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Digest>,
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// The frontier kept by somebody else: `hashes` as [`Frontier::hashes`] gave them.
    ///
    /// # Errors
    /// [`FrontierError`] if the number of hashes is not the number of set bits of `size`, or `size` is too large. Whether
    /// they are the right hashes shows only in [`Frontier::root`].
    pub fn from_parts(size: u64, hashes: Vec<Digest>) -> Result<Frontier, FrontierError> {
        if size > MAX_SIZE {
            return Err(FrontierError::TooLarge(size));
        }
        if usize::try_from(size.count_ones()) != Ok(hashes.len()) {
            return Err(FrontierError::HashCount {
                size,
                found: hashes.len(),
            });
        }
        Ok(Frontier { size, hashes })
    }

    /// The frontier read off the partial tiles, whose widths are the digits of the size.
    pub(crate) fn from_edge(size: u64, hashes: Vec<Digest>) -> Frontier {
        Frontier { size, hashes }
    }

    /// Appends one leaf, given as its hash ([`crate::hash::leaf_hash`]).
    pub fn push(&mut self, leaf_hash: Digest) {
        let mut carried = leaf_hash;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                carried = node_hash(&left, &carried);
            }
        }
        self.hashes.push(carried);
        self.size += 1;
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes to keep, the root of the largest subtree first: one per set bit of the size.
    #[must_use]
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    /// The root of the whole tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        join_from_the_right(&self.hashes).unwrap_or(EMPTY_ROOT)
    }
}

impl Extend<Digest> for Frontier {
    fn extend<I: IntoIterator<Item = Digest>>(&mut self, leaf_hashes: I) {
        for leaf_hash in leaf_hashes {
            self.push(leaf_hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    /// RFC 6962 §2.1, word for word: the definition that the frontier is a shortcut for.
    fn tree_hash(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => EMPTY_ROOT,
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&tree_hash(&leaves[..split]), &tree_hash(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_tree_hash_of_the_rfc_at_every_size() {
        let mut frontier = Frontier::new();
        let mut leaves = Vec::new();
        for n in 0..200_u64 {
            assert_eq!(frontier.root(), tree_hash(&leaves), "size {n}");
            assert_eq!(frontier.hashes().len(), n.count_ones() as usize);
            let again = Frontier::from_parts(n, frontier.hashes().to_vec()).unwrap();
            assert_eq!(again, frontier);
            leaves.push(leaf_hash(&n.to_be_bytes()));
            frontier.push(leaf_hash(&n.to_be_bytes()));
        }
    }

    #[test]
    fn parts_that_do_not_fit_the_size_are_refused() {
        let one = vec![leaf_hash(b"a")];
        assert_eq!(
            Frontier::from_parts(3, one.clone()),
            Err(FrontierError::HashCount { size: 3, found: 1 })
        );
        assert_eq!(
            Frontier::from_parts(1 << 63, one),
            Err(FrontierError::TooLarge(1 << 63))
        );
    }
}
