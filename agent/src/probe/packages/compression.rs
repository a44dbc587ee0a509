//! Files that package managers publish compressed: what they are is told by their first bytes, as the managers do.

mod zchunk;

use std::io::Read;

use crate::host::Host;
use crate::probe::Unobservable;

/// Largest window of zstd as a power of two: 8 MiB, what zstd -19 uses; more is a bomb, not a list.
const MAX_WINDOW_LOG: u32 = 23;

/// The content of a file as a stream: gzip, zstd, or as it is.
///
/// # Errors
/// [`Unobservable`] if it cannot be opened, or has a compression that is not read (xz, bzip2, lzma).
pub fn open<'h>(host: &'h dyn Host, path: &str) -> Result<Box<dyn Read + 'h>, Unobservable> {
    let head = host.read_head(path, 6)?;
    let file = host.open(path)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(file)));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let wrong = |error| Unobservable::unparsable(path, error);
        let mut decoder = zstd::stream::read::Decoder::new(file).map_err(wrong)?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(wrong)?;
        return Ok(Box::new(decoder));
    }
    let is_other = [b"\xfd7zXZ\0".as_slice(), b"BZh", b"\x5d\0\0"]
        .into_iter()
        .any(|magic| head.starts_with(magic));
    if is_other {
        return Err(Unobservable::unparsable(
            path,
            "a compression that is not read: neither gzip nor zstd",
        ));
    }
    Ok(file)
}

/// The content of a file of zchunk as a stream.
///
/// # Errors
/// [`Unobservable`] if it cannot be opened, or its header is damaged.
pub fn open_zchunk<'h>(host: &'h dyn Host, path: &str) -> Result<Box<dyn Read + 'h>, Unobservable> {
    let file = std::io::BufReader::new(host.open(path)?);
    let zchunk =
        zchunk::Zchunk::new(file).map_err(|error| Unobservable::unparsable(path, error))?;
    Ok(Box::new(zchunk))
}
