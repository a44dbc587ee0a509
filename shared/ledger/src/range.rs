//! Proving that the leaves of a range are all there: none missing, none added, in order.
//!
//! For the leaves [a, b) of a tree of size n: the frontier of the first a leaves, the hashes of all leaves of the range,
//! and a consistency proof from b to n. Appending the leaves to the frontier gives the root at b; the proof ties it to
//! the trusted root at n. Neither the frontier nor the proof need be trusted: any other leaf gives another root.
//!
//! Not here: reading leaves, and which range an auditor wants.

use crypto::Digest;

use crate::frontier::Frontier;
use crate::proof::{ProofError, verify_consistency};

/// Checks that `leaf_hashes` are exactly the leaves from `left.size()` on, without a gap, in the tree of `size` leaves
/// under `root`. Returns the frontier at the end of the range.
///
/// # Errors
/// [`ProofError`] if the proof does not show that; an empty range at the start of the log is refused, for it shows nothing.
pub fn verify_range(
    left: Frontier,
    leaf_hashes: &[Digest],
    size: u64,
    root: &Digest,
    consistency: &[Digest],
) -> Result<Frontier, ProofError> {
    let mut end = left;
    end.extend(leaf_hashes.iter().copied());
    verify_consistency(end.size(), size, &end.root(), root, consistency)?;
    Ok(end)
}
