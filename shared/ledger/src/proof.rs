//! Verifying inclusion and consistency proofs (RFC 9162 §2.1.3.2 and §2.1.4.2).
//!
//! A proof is a list of hashes, the one nearest to the leaf first. Stricter than the RFC's text, as the published test
//! vectors ask: an old size of 0 is refused (an empty tree proves nothing; [`verify_growth`] is for callers who start
//! from one), an index at or beyond the size is refused, and a hash too many is refused. Hashes have 32 bytes by type.
//!
//! Bound: a tree of at most [`MAX_SIZE`](crate::MAX_SIZE) leaves has proofs of at most [`MAX_PROOF_HASHES`] hashes. Not
//! here: making proofs ([`crate::plan`]).

use crypto::Digest;

use crate::hash::{EMPTY_ROOT, node_hash};

/// The longest proof that is read: ⌈log2 n⌉ + 1 hashes for the largest n.
pub const MAX_PROOF_HASHES: usize = 64;

/// Why a proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf lies beyond the tree.
    #[error("index {index} is not in a tree of size {size}")]
    IndexBeyondSize {
        /// The claimed index.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Nothing can be consistent with a smaller tree.
    #[error("a tree of size {old} cannot have grown to size {new}")]
    Shrunk {
        /// The size known before.
        old: u64,
        /// The size claimed now.
        new: u64,
    },
    /// Everything extends the empty tree, so a proof from it says nothing.
    #[error("a consistency proof from size 0 proves nothing")]
    FromEmpty,
    /// More or fewer hashes than the sizes ask for.
    #[error("the proof has {found} hashes, which does not fit the sizes")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another {which} root than the one given")]
    RootMismatch {
        /// `tree`, `old` or `new`.
        which: &'static str,
    },
}

/// Checks that the leaf with this hash is entry `index` of the tree of `size` leaves under `root`.
///
/// # Errors
/// [`ProofError`] if the proof does not show exactly that.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf_hash: &Digest,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    let wrong_length = ProofError::Length { found: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            (node, last) = climb_to_right_child(node, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if hash != *root {
        return Err(ProofError::RootMismatch { which: "tree" });
    }
    Ok(())
}

/// Checks that the tree of `new_size` leaves under `new_root` begins with the tree of `old_size` leaves under `old_root`.
///
/// # Errors
/// [`ProofError`] if the proof does not show exactly that; [`ProofError::FromEmpty`] for an old size of 0.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    let wrong_length = ProofError::Length { found: proof.len() };
    if old_size == 0 {
        return Err(ProofError::FromEmpty);
    }
    if old_size > new_size {
        return Err(ProofError::Shrunk {
            old: old_size,
            new: new_size,
        });
    }
    if old_size == new_size {
        return match (proof.is_empty(), old_root == new_root) {
            (false, _) => Err(wrong_length),
            (true, false) => Err(ProofError::RootMismatch { which: "new" }),
            (true, true) => Ok(()),
        };
    }
    // The old root itself is the first node when the old tree is perfect, and is then left out of the proof.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(wrong_length)?
    };
    let shift = (old_size - 1).trailing_ones();
    let (node, last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (old, new) = fold_both(*first, rest, node, last).ok_or(wrong_length)?;
    if old != *old_root {
        return Err(ProofError::RootMismatch { which: "old" });
    }
    if new != *new_root {
        return Err(ProofError::RootMismatch { which: "new" });
    }
    Ok(())
}

/// [`verify_consistency`], but a known size of 0 is fine: it goes with the empty root and an empty proof.
///
/// # Errors
/// [`ProofError`] if the proof does not show that the known tree is the beginning of the new one.
pub fn verify_growth(
    known_size: u64,
    new_size: u64,
    known_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if known_size > 0 {
        return verify_consistency(known_size, new_size, known_root, new_root, proof);
    }
    if !proof.is_empty() {
        return Err(ProofError::Length { found: proof.len() });
    }
    if *known_root != EMPTY_ROOT {
        return Err(ProofError::RootMismatch { which: "old" });
    }
    if new_size == 0 && *new_root != EMPTY_ROOT {
        return Err(ProofError::RootMismatch { which: "new" });
    }
    Ok(())
}

/// Both roots that a consistency proof leads to; `None` if it has a hash too many or too few.
fn fold_both(
    first: Digest,
    rest: &[Digest],
    mut node: u64,
    mut last: u64,
) -> Option<(Digest, Digest)> {
    let (mut old, mut new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            (node, last) = climb_to_right_child(node, last);
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some((old, new))
}

/// Goes up past the levels at which this node, the last of its row, has no sibling and so no hash in the proof.
fn climb_to_right_child(node: u64, last: u64) -> (u64, u64) {
    if node == 0 {
        return (node, last);
    }
    let levels = node.trailing_zeros();
    (node >> levels, last >> levels)
}
