//! Writing tiles: the partial tile at the right edge of each level, and what appending leaves makes of them.
//!
//! A log that grows must rewrite its last, partial tile of each level and write new ones to the right. The edge holds
//! just those partial tiles (at most 8 levels of 255 hashes), so that a batch is appended without reading anything else.
//! A full tile's root becomes one hash of the level above; a partial tile never does (C2SP tlog-tiles v0.1.0).
//!
//! Not here: entry bundles, which need the entries and not their hashes ([`crate::bundle`]), and storage.

use crypto::Digest;

use crate::MAX_SIZE;
use crate::frontier::Frontier;
use crate::hash::perfect_root;
use crate::tile::{FULL_WIDTH, TileKind, TilePath, count_at};

/// Levels that a log of [`MAX_SIZE`] entries can have.
const LEVELS: u8 = 8;

/// A tile of hashes as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTile {
    /// Where it belongs.
    pub path: TilePath,
    /// Its hashes, as many as the path is wide.
    pub hashes: Vec<Digest>,
}

/// Why stored tiles are not the edge of a log of that size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// A partial tile that the size calls for was not given, or not at its width.
    #[error(
        "the edge of a log of {size} entries needs {path}, which is missing or of another width"
    )]
    Missing {
        /// The size of the log.
        size: u64,
        /// The tile.
        path: TilePath,
    },
    /// Larger than any log of ours.
    #[error("tree size {0} is above the limit of {MAX_SIZE}")]
    TooLarge(u64),
}

/// The partial tiles of a log, by level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightEdge {
    size: u64,
    partial: Vec<Vec<Digest>>,
}

impl RightEdge {
    /// The edge of the empty log.
    #[must_use]
    pub fn new() -> RightEdge {
        RightEdge::default()
    }

    /// The partial hash tiles to read before a log of `size` entries can grow, from level 0 up.
    pub fn paths(size: u64) -> impl Iterator<Item = TilePath> {
        (0..LEVELS).filter_map(move |level| partial_tile(level, size))
    }

    /// The edge of a log of `size` entries, from its partial tiles as `tile` finds them.
    ///
    /// # Errors
    /// [`EdgeError`] if a tile of [`RightEdge::paths`] is missing or has another number of hashes than its path says.
    pub fn from_tiles(
        size: u64,
        mut tile: impl FnMut(&TilePath) -> Option<Vec<Digest>>,
    ) -> Result<RightEdge, EdgeError> {
        if size > MAX_SIZE {
            return Err(EdgeError::TooLarge(size));
        }
        let mut edge = RightEdge {
            size,
            partial: Vec::new(),
        };
        for level in 0..LEVELS {
            let hashes = match partial_tile(level, size) {
                None => Vec::new(),
                Some(path) => tile(&path)
                    .filter(|hashes| hashes.len() == usize::from(path.width()))
                    .ok_or(EdgeError::Missing { size, path })?,
            };
            edge.partial.push(hashes);
        }
        Ok(edge)
    }

    /// The number of entries in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The frontier of the same tree; its root is the log's root.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut hashes = Vec::new();
        for row in self.partial.iter().rev() {
            let mut rest = row.as_slice();
            while !rest.is_empty() {
                let (subtree, after) = rest.split_at(1 << rest.len().ilog2());
                hashes.extend(perfect_root(subtree));
                rest = after;
            }
        }
        Frontier::from_edge(self.size, hashes)
    }

    /// Appends leaves, given as their hashes, and returns every hash tile that is new or changed, ready to be written:
    /// exactly the hash tiles of [`crate::tile::changed`] for the two sizes.
    pub fn append(&mut self, leaf_hashes: &[Digest]) -> Vec<HashTile> {
        let old = self.size;
        let mut written = Vec::new();
        for leaf_hash in leaf_hashes {
            self.push(*leaf_hash, &mut written);
        }
        for level in 0..LEVELS {
            let kind = TileKind::Hashes(level);
            if count_at(kind, old) == count_at(kind, self.size) {
                continue;
            }
            if let (Some(path), Some(hashes)) = (
                partial_tile(level, self.size),
                self.partial.get(usize::from(level)),
            ) {
                written.push(HashTile {
                    path,
                    hashes: hashes.clone(),
                });
            }
        }
        written
    }

    /// Appends one leaf; tiles that it fills go to `written`.
    fn push(&mut self, leaf_hash: Digest, written: &mut Vec<HashTile>) {
        let mut carried = Some(leaf_hash);
        let position = self.size;
        self.size += 1;
        for level in 0..LEVELS {
            let Some(hash) = carried.take() else { break };
            if self.partial.len() <= usize::from(level) {
                self.partial.push(Vec::new());
            }
            let row = &mut self.partial[usize::from(level)];
            row.push(hash);
            if row.len() < usize::from(FULL_WIDTH) {
                break;
            }
            carried = perfect_root(row);
            let index = position >> (8 * (u32::from(level) + 1));
            let hashes = std::mem::take(row);
            if let Ok(path) = TilePath::new(TileKind::Hashes(level), index, FULL_WIDTH) {
                written.push(HashTile { path, hashes });
            }
        }
    }
}

/// The partial tile that a log of `size` entries has at `level`, if any.
fn partial_tile(level: u8, size: u64) -> Option<TilePath> {
    let kind = TileKind::Hashes(level);
    TilePath::at_size(kind, count_at(kind, size) / u64::from(FULL_WIDTH), size)
}
