//! The header of a journal file (systemd's journal file format): when its first and last entry were written.
//!
//! Signature `LPKSHHRH` at 0, size of the header at 88, number of entries at 152, time of the first entry at 184 and of
//! the last at 192 in microseconds since 1970; all little-endian.

use evidence::time::Timestamp;

/// As much of a file as holds what is read.
pub(in crate::probe) const HEADER_BYTES: usize = 200;

/// What a journal file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) struct Header {
    /// First and last entry; `None` of a file without entries.
    pub(in crate::probe) span: Option<(Timestamp, Timestamp)>,
}

/// Reads a header; `None` if these bytes begin no journal file.
pub(in crate::probe) fn parse(bytes: &[u8]) -> Option<Header> {
    if bytes.get(..8)? != b"LPKSHHRH" {
        return None;
    }
    let number = |offset: usize| -> Option<u64> {
        let eight = bytes.get(offset..offset + 8)?;
        Some(u64::from_le_bytes(eight.try_into().ok()?))
    };
    if number(88)? < HEADER_BYTES as u64 {
        return None;
    }
    let time = |offset: usize| -> Option<Timestamp> {
        let milliseconds = i64::try_from(number(offset)? / 1000).ok()?;
        Some(Timestamp::from_unix_ms(milliseconds))
    };
    let (first, last) = (time(184)?, time(192)?);
    Some(Header {
        span: (number(152)? > 0).then_some((first, last)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_anything_else_refused() {
        let mut bytes = vec![0_u8; HEADER_BYTES];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[88..96].copy_from_slice(&256_u64.to_le_bytes());
        assert_eq!(parse(&bytes), Some(Header { span: None }));
        bytes[152] = 1;
        bytes[184..192].copy_from_slice(&1_795_503_600_000_000_u64.to_le_bytes());
        bytes[192..200].copy_from_slice(&1_795_503_660_000_000_u64.to_le_bytes());
        let (first, last) = parse(&bytes).unwrap().span.unwrap();
        assert_eq!(first, Timestamp::from_unix_seconds(1_795_503_600));
        assert_eq!(last.ms_since(first), 60_000);
        for length in 0..HEADER_BYTES {
            assert_eq!(parse(&bytes[..length]), None);
        }
        bytes[0] = b'X';
        assert_eq!(parse(&bytes), None);
    }
}
