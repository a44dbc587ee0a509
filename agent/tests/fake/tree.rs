//! Merkle trees computed naively from all leaves, by the definitions of RFC 9162.

use crypto::Digest;
use ledger::hash::{EMPTY_ROOT, node_hash};

/// The largest power of two below `n`.
pub(super) fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

pub(super) fn root(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => EMPTY_ROOT,
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(split(hashes.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

pub(super) fn path(index: usize, hashes: &[Digest]) -> Vec<Digest> {
    if hashes.len() <= 1 {
        return Vec::new();
    }
    let k = split(hashes.len());
    let (left, right) = hashes.split_at(k);
    let (mut proof, sibling) = if index < k {
        (path(index, left), root(right))
    } else {
        (path(index - k, right), root(left))
    };
    proof.push(sibling);
    proof
}

pub(super) fn subproof(m: usize, hashes: &[Digest], complete: bool) -> Vec<Digest> {
    if m == hashes.len() {
        return if complete {
            Vec::new()
        } else {
            vec![root(hashes)]
        };
    }
    let k = split(hashes.len());
    let (left, right) = hashes.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (subproof(m, left, complete), root(right))
    } else {
        (subproof(m - k, right, false), root(left))
    };
    proof.push(sibling);
    proof
}
