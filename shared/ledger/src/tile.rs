//! Tiles: where a log's hashes and entries lie, by path (C2SP tlog-tiles v0.1.0).
//!
//! A tile is 256 consecutive hashes of one level, or the 256 entries under a level-0 tile. Hash i of tile n at level l
//! covers the entries `[(n·256 + i)·256^l, (n·256 + i + 1)·256^l)`. Only the last tile of a level may be partial, and a
//! partial tile is never hashed into the level above. A file of hashes is the hashes one after the other, 32 bytes each.
//!
//! Path: `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`; L is 0–63, W is 1–255 and there only for a partial tile,
//! N is in groups of three digits, all but the last with an `x` before them (1234067 is `x001/x234/067`). Each tile has
//! exactly one path: no leading zero, no group too many.
//!
//! Not here: the bytes of entries ([`crate::bundle`]), storage, and the layouts of sumdb (`tile/8/…`) and static-ct-api.

use std::fmt;
use std::str::FromStr;

use crypto::Digest;

/// How many hashes or entries a full tile has.
pub const FULL_WIDTH: u16 = 256;
/// The highest level that a path can name.
pub const MAX_LEVEL: u8 = 63;
/// The longest path that is read: an index of 20 digits in seven groups, a level and a width.
pub const MAX_PATH_BYTES: usize = 64;

/// Why a text or numbers name no tile, or bytes are not its hashes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not the one spelling of a tile's path.
    #[error("{0:?} is not a tile path such as tile/0/x001/234.p/17")]
    Path(String),
    /// A level above 63.
    #[error("tile level {0} is above {MAX_LEVEL}")]
    Level(u8),
    /// A width of 0 or above 256.
    #[error("tile width {0} is not within 1 to 256")]
    Width(u16),
    /// Another length than the path's width asks for.
    #[error("{path} should have {expected} bytes, found {found}")]
    Length {
        /// The tile.
        path: TilePath,
        /// 32 bytes for each hash.
        expected: usize,
        /// The length found.
        found: usize,
    },
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level; level 0 holds leaf hashes.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// The name of one tile: kind, index and width. Shown and parsed as its path below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TilePath {
    /// The tile of this kind, index (N) and width (W, 256 for a full one).
    ///
    /// # Errors
    /// [`TileError`] for a level above 63 or a width outside 1 to 256.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<TilePath, TileError> {
        if let TileKind::Hashes(level) = kind
            && level > MAX_LEVEL
        {
            return Err(TileError::Level(level));
        }
        if width == 0 || width > FULL_WIDTH {
            return Err(TileError::Width(width));
        }
        Ok(TilePath { kind, index, width })
    }

    /// Tile `index` of this kind as it is in a log of `size` entries; `None` if the log is too small to have it.
    #[must_use]
    pub fn at_size(kind: TileKind, index: u64, size: u64) -> Option<TilePath> {
        let hashes = count_at(kind, size);
        let full = hashes / u64::from(FULL_WIDTH);
        let width = match index.cmp(&full) {
            std::cmp::Ordering::Less => FULL_WIDTH,
            std::cmp::Ordering::Equal => (hashes % u64::from(FULL_WIDTH)) as u16,
            std::cmp::Ordering::Greater => 0,
        };
        TilePath::new(kind, index, width).ok()
    }

    /// What the tile holds.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// The tile's number within its level, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether nothing will ever be added to it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == FULL_WIDTH
    }

    /// The same tile once it is full: what a reader may ask for if the partial one is gone.
    #[must_use]
    pub fn full(&self) -> TilePath {
        TilePath {
            width: FULL_WIDTH,
            ..*self
        }
    }

    /// The index of its first entry or hash within the level.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.index.saturating_mul(u64::from(FULL_WIDTH))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => write!(f, "tile/entries/")?,
        }
        let digits = self.index.to_string();
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        let last = padded.len() - 3;
        for start in (0..last).step_by(3) {
            write!(f, "x{}/", &padded[start..start + 3])?;
        }
        f.write_str(&padded[last..])?;
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(path: &str) -> Result<TilePath, TileError> {
        let wrong = || TileError::Path(path.chars().take(MAX_PATH_BYTES).collect());
        if path.len() > MAX_PATH_BYTES {
            return Err(wrong());
        }
        let parsed = parse_loosely(path).ok_or_else(wrong)?;
        // One tile has one path: whatever would be written differently was not one.
        if parsed.to_string() != path {
            return Err(wrong());
        }
        Ok(parsed)
    }
}

/// Reads the numbers of a path without asking whether they are spelled as they should be.
fn parse_loosely(path: &str) -> Option<TilePath> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok()?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok()?),
        None => (rest, FULL_WIDTH),
    };
    let digits: String = number.chars().filter(|c| !matches!(c, 'x' | '/')).collect();
    TilePath::new(kind, digits.parse().ok()?, width).ok()
}

/// How many hashes (or entries) of this kind a log of `size` entries has: ⌊size / 256^level⌋.
#[must_use]
pub fn count_at(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Entries => size,
        TileKind::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or_default(),
    }
}

/// Every tile whose content differs between a log of `old` entries and the same log grown to `new`: hash tiles from level
/// 0 up, then entry bundles. From an old size of 0 these are all tiles of the log. Nothing if `new` is not larger.
pub fn changed(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    (0..8)
        .map(TileKind::Hashes)
        .chain([TileKind::Entries])
        .flat_map(move |kind| {
            let (before, after) = (count_at(kind, old), count_at(kind, new));
            let width = u64::from(FULL_WIDTH);
            let tiles = if after > before {
                before / width..after.div_ceil(width)
            } else {
                0..0
            };
            tiles.filter_map(move |index| TilePath::at_size(kind, index, new))
        })
}

/// The file of a tile of hashes.
#[must_use]
pub fn encode_hashes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|h| *h.as_bytes()).collect()
}

/// The hashes in the file of the tile at `path`.
///
/// # Errors
/// [`TileError::Length`] unless there are exactly as many as the path's width says.
pub fn decode_hashes(path: &TilePath, file: &[u8]) -> Result<Vec<Digest>, TileError> {
    let expected = 32 * usize::from(path.width());
    let (hashes, rest) = file.as_chunks::<32>();
    if file.len() != expected || !rest.is_empty() {
        return Err(TileError::Length {
            path: *path,
            expected,
            found: file.len(),
        });
    }
    Ok(hashes.iter().map(|h| Digest::from_bytes(*h)).collect())
}
