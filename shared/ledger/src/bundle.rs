//! Entry bundles: the entries of a log as a file (C2SP tlog-tiles v0.1.0, "Log entries").
//!
//! A bundle repeats `uint16 big-endian length ‖ entry`, as many times as its path is wide, and nothing else. Bounds: an
//! entry is at most [`MAX_ENTRY_BYTES`], a bundle at most [`MAX_BUNDLE_BYTES`]. Not here: paths ([`crate::tile`]) and what
//! an entry says.

/// The longest entry that a length prefix of two bytes can announce.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// The longest bundle: 256 entries of the longest kind, each with its length.
pub const MAX_BUNDLE_BYTES: usize = 256 * (2 + MAX_ENTRY_BYTES);

/// Why entries make no bundle, or bytes are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry that a bundle cannot hold.
    #[error("an entry of {0} bytes is longer than {MAX_ENTRY_BYTES}")]
    EntryTooLong(usize),
    /// The file ends within an entry or its length.
    #[error("the bundle ends within entry {entry} of {expected}")]
    Truncated {
        /// The entry, counted from 0 within the bundle.
        entry: u16,
        /// How many the path says there are.
        expected: u16,
    },
    /// Bytes after the last entry.
    #[error("{extra} bytes follow the last of {expected} entries")]
    Trailing {
        /// How many bytes too many.
        extra: usize,
        /// How many entries the path says there are.
        expected: u16,
    },
}

/// The file that holds these entries, in this order.
///
/// # Errors
/// [`BundleError::EntryTooLong`] for an entry above [`MAX_ENTRY_BYTES`].
pub fn encode<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    let mut file = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length =
            u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong(entry.len()))?;
        file.extend_from_slice(&length.to_be_bytes());
        file.extend_from_slice(entry);
    }
    Ok(file)
}

/// The entries in the file of a bundle `width` entries wide.
///
/// # Errors
/// [`BundleError`] unless the file holds exactly `width` entries.
pub fn decode(file: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let mut rest = file;
    let mut entries = Vec::with_capacity(usize::from(width.min(256)));
    for entry in 0..width {
        let truncated = BundleError::Truncated {
            entry,
            expected: width,
        };
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return Err(truncated);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((bytes, after)) = after.split_at_checked(length) else {
            return Err(truncated);
        };
        entries.push(bytes);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(BundleError::Trailing {
            extra: rest.len(),
            expected: width,
        });
    }
    Ok(entries)
}
