//! Making proofs in two pure steps around one read: say which tiles are needed, then assemble the hashes.
//!
//! [`ProofPlan::inclusion`] (RFC 9162 §2.1.3.1) and [`ProofPlan::consistency`] (§2.1.4.1) work out the nodes of a proof
//! from the sizes alone; [`ProofPlan::tiles`] names the exact tiles that hold them, so that a store, synchronous or not,
//! reads them in one batch; [`ProofPlan::assemble`] turns their hashes into the proof. [`ProofPlan::root`] and
//! [`ProofPlan::frontier`] read a tree's root or frontier from tiles the same way.
//!
//! A node `(level, index)` covers the leaves `[index·2^level, (index+1)·2^level)` and lies in a tile of level
//! ⌊level / 8⌋, as one of its hashes or as the root over a power of two of them. Proof hashes at the right edge, which no
//! tile stores, are joined from several nodes. Not here: verifying ([`crate::proof`]) and reading tiles.

use std::collections::BTreeSet;

use crypto::Digest;

use crate::MAX_SIZE;
use crate::hash::{EMPTY_ROOT, join_from_the_right, perfect_root};
use crate::proof::ProofError;
use crate::tile::{FULL_WIDTH, TileKind, TilePath};

/// Why a plan cannot be made or carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no such proof.
    #[error("there is no such proof")]
    Impossible(#[source] ProofError),
    /// Larger than any log of ours.
    #[error("tree size {0} is above the limit of {MAX_SIZE}")]
    TooLarge(u64),
    /// A node beyond the tree, which no plan has.
    #[error("no tile holds {0:?}")]
    NoTile(Node),
    /// A tile that [`ProofPlan::tiles`] named was not found.
    #[error("{0} is missing from the log")]
    MissingTile(TilePath),
    /// A tile has another number of hashes than its path says.
    #[error("{path} has {found} hashes")]
    TileWidth {
        /// The tile.
        path: TilePath,
        /// How many hashes it has.
        found: usize,
    },
}

/// A perfect subtree: all leaves from `index · 2^level` on, 2^level of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its height; 0 is a leaf.
    pub level: u32,
    /// Its place within the row, from 0.
    pub index: u64,
}

/// Which hashes a proof consists of, and so which tiles it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    size: u64,
    /// For each hash of the result the perfect subtrees it joins, the largest first.
    hashes: Vec<Vec<Node>>,
}

impl ProofPlan {
    /// The inclusion proof of entry `index` in the tree of `size` entries.
    ///
    /// # Errors
    /// [`PlanError`] if the index is not in the tree, or the tree too large.
    pub fn inclusion(index: u64, size: u64) -> Result<ProofPlan, PlanError> {
        if index >= size {
            return Err(PlanError::Impossible(ProofError::IndexBeyondSize {
                index,
                size,
            }));
        }
        let (mut from, mut to) = (0, size);
        let mut siblings = Vec::new();
        while to - from > 1 {
            let split = from + split_of(to - from);
            if index < split {
                siblings.push((split, to));
                to = split;
            } else {
                siblings.push((from, split));
                from = split;
            }
        }
        siblings.reverse();
        ProofPlan::of(size, &siblings)
    }

    /// The consistency proof between the tree of `old` entries and the tree of `new` entries, read from the tiles of the
    /// new one. Empty if the sizes are equal or `old` is 0.
    ///
    /// # Errors
    /// [`PlanError`] if `old` is larger than `new`, or `new` too large.
    pub fn consistency(old: u64, new: u64) -> Result<ProofPlan, PlanError> {
        if old > new {
            return Err(PlanError::Impossible(ProofError::Shrunk { old, new }));
        }
        if old == 0 {
            return ProofPlan::of(new, &[]);
        }
        let (mut from, mut to) = (0, new);
        let mut parts = Vec::new();
        while to > old {
            let split = from + split_of(to - from);
            if old <= split {
                parts.push((split, to));
                to = split;
            } else {
                parts.push((from, split));
                from = split;
            }
        }
        // The old tree's last subtree is known to the reader only if it is the whole old tree.
        if from > 0 {
            parts.push((from, to));
        }
        parts.reverse();
        ProofPlan::of(new, &parts)
    }

    /// The root of the tree of `size` entries, as the one hash of the result.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] above [`MAX_SIZE`].
    pub fn root(size: u64) -> Result<ProofPlan, PlanError> {
        ProofPlan::of(size, &[(0, size)])
    }

    /// The hashes of the frontier of the first `size` entries (see [`crate::frontier::Frontier::from_parts`]), read from
    /// the tiles of a log of `log_size` entries.
    ///
    /// # Errors
    /// [`PlanError`] if the log is smaller than that, or too large.
    pub fn frontier(size: u64, log_size: u64) -> Result<ProofPlan, PlanError> {
        if size > log_size {
            return Err(PlanError::Impossible(ProofError::Shrunk {
                old: size,
                new: log_size,
            }));
        }
        let mut plan = ProofPlan::of(log_size, &[])?;
        plan.hashes = cover(0, size).into_iter().map(|node| vec![node]).collect();
        Ok(plan)
    }

    fn of(size: u64, ranges: &[(u64, u64)]) -> Result<ProofPlan, PlanError> {
        if size > MAX_SIZE {
            return Err(PlanError::TooLarge(size));
        }
        Ok(ProofPlan {
            size,
            hashes: ranges.iter().map(|(from, to)| cover(*from, *to)).collect(),
        })
    }

    /// The nodes that each hash of the result is joined from, the largest first.
    #[must_use]
    pub fn nodes(&self) -> &[Vec<Node>] {
        &self.hashes
    }

    /// The tiles to read, each once, in order: the widths are those of a log of the plan's size. A reader of a log that
    /// has grown since may give the full tile, or a wider one, for a partial one.
    #[must_use]
    pub fn tiles(&self) -> Vec<TilePath> {
        let nodes: BTreeSet<TilePath> = self
            .hashes
            .iter()
            .flatten()
            .filter_map(|node| place(*node, self.size).map(|(path, _)| path))
            .collect();
        nodes.into_iter().collect()
    }

    /// The hashes of the result, from the hashes of the tiles as `tile` gives them. It is asked for paths of
    /// [`ProofPlan::tiles`] only, and for some of them more than once.
    ///
    /// # Errors
    /// [`PlanError`] if a tile is missing or narrower than its path says. Wrong hashes are not noticed here: verify what
    /// comes out.
    pub fn assemble<'t>(
        &self,
        mut tile: impl FnMut(&TilePath) -> Option<&'t [Digest]>,
    ) -> Result<Vec<Digest>, PlanError> {
        let mut result = Vec::with_capacity(self.hashes.len());
        for nodes in &self.hashes {
            let mut subtrees = Vec::with_capacity(nodes.len());
            for node in nodes {
                let (path, span) = place(*node, self.size).ok_or(PlanError::NoTile(*node))?;
                let hashes = tile(&path).ok_or(PlanError::MissingTile(path))?;
                let root = hashes.get(span).and_then(perfect_root);
                subtrees.push(root.ok_or(PlanError::TileWidth {
                    path,
                    found: hashes.len(),
                })?);
            }
            result.push(join_from_the_right(&subtrees).unwrap_or(EMPTY_ROOT));
        }
        Ok(result)
    }
}

/// The largest power of two below `size`, which is at least 2 (RFC 9162 §2.1.1).
fn split_of(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The perfect subtrees that cover [from, to), the largest first. `from` must be a multiple of the largest one's size,
/// which every range of a proof is.
fn cover(mut from: u64, to: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    while from < to {
        let level = (to - from).ilog2();
        nodes.push(Node {
            level,
            index: from >> level,
        });
        from += 1 << level;
    }
    nodes
}

/// The tile that holds a node in a log of `size` entries, and which of its hashes the node is the root over.
fn place(node: Node, size: u64) -> Option<(TilePath, std::ops::Range<usize>)> {
    let within = node.level % 8;
    let kind = TileKind::Hashes(u8::try_from(node.level / 8).ok()?);
    let first = node.index << within;
    let width = u64::from(FULL_WIDTH);
    let path = TilePath::at_size(kind, first / width, size)?;
    let start = usize::try_from(first % width).ok()?;
    Some((path, start..start + (1 << within)))
}
