//! The binary records of terminal log-ons: lastlog(5) and wtmp(5).

use evidence::time::Timestamp;

use super::super::nss::LocalAccount;
use super::super::{Observation, Unobservable};
use super::{Kind, Newest, Record, State};
use crate::host::HostError;

const LASTLOG: &str = "/var/log/lastlog";
/// Length of struct lastlog of glibc: a 32-bit time, a line of 32 bytes, a host of 256.
const LASTLOG_ENTRY: usize = 292;
/// wtmp and the file that logrotate(8) puts aside, oldest first.
const WTMP: [&str; 2] = ["/var/log/wtmp.1", "/var/log/wtmp"];
/// Most bytes of one wtmp that are read: its newest entries, some ten thousand.
const MAX_WTMP: usize = 4 * 1024 * 1024;
/// ut_type of a log-on.
const USER_PROCESS: i16 = 7;

/// The last log-on of each uid, at its place in the file: only those places are read, for the file is sparse and can
/// seem to be many gigabytes.
pub(super) fn lastlog(
    observation: &mut Observation<'_>,
    accounts: &[LocalAccount],
    newest: &mut Newest,
) -> Result<Record, Unobservable> {
    if observation.stat(LASTLOG)?.is_none() {
        return Ok(absent(Kind::Lastlog));
    }
    for account in accounts {
        let offset = u64::from(account.uid) * LASTLOG_ENTRY as u64;
        let entry = observation.host().read_at(LASTLOG, offset, LASTLOG_ENTRY)?;
        let seconds = entry
            .first_chunk::<4>()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if entry.len() == LASTLOG_ENTRY && seconds > 0 {
            newest.add(
                &account.name,
                Timestamp::from_unix_seconds(seconds.into()),
                Kind::Lastlog,
            );
        }
    }
    Ok(Record {
        kind: Kind::Lastlog,
        state: State::Read,
        since: None,
    })
}

fn absent(kind: Kind) -> Record {
    Record {
        kind,
        state: State::Absent,
        since: None,
    }
}

/// Log-ons of wtmp and its predecessor.
pub(super) fn wtmp(
    observation: &mut Observation<'_>,
    newest: &mut Newest,
) -> Result<Record, Unobservable> {
    let mut record = absent(Kind::Wtmp);
    for path in WTMP {
        let Some(stat) = observation.stat(path)? else {
            continue;
        };
        let bytes = match observation.host().read_tail(path, MAX_WTMP) {
            Ok(bytes) => bytes,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        record.state = State::Read;
        let Some(layout) = Layout::of(&bytes, stat.size) else {
            record.state = State::Unreadable;
            break;
        };
        for entry in layout.entries(&bytes) {
            if record.since.is_none_or(|since| entry.at < since) {
                record.since = Some(entry.at);
            }
            if entry.kind == USER_PROCESS {
                newest.add(&entry.user, entry.at, Kind::Wtmp);
            }
        }
    }
    Ok(record)
}

/// An entry of wtmp.
struct Entry {
    kind: i16,
    user: String,
    at: Timestamp,
}

/// struct utmp of glibc has 384 bytes on x86-64, and 400 on architectures that never had 32-bit times in it.
#[derive(Clone, Copy)]
struct Layout {
    length: usize,
    seconds: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        length: 384,
        seconds: 340,
    },
    Layout {
        length: 400,
        seconds: 344,
    },
];

impl Layout {
    /// The layout in which every entry has a type that exists; a file is a whole number of entries.
    fn of(bytes: &[u8], size: u64) -> Option<Layout> {
        LAYOUTS.into_iter().find(|layout| {
            size.is_multiple_of(layout.length as u64)
                && layout
                    .aligned(bytes)
                    .chunks_exact(layout.length)
                    .all(|entry| {
                        entry
                            .first_chunk::<2>()
                            .is_some_and(|kind| (0..=9).contains(&i16::from_le_bytes(*kind)))
                    })
        })
    }

    /// The end of `bytes` that holds whole entries.
    fn aligned<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(bytes.len() % self.length..).unwrap_or_default()
    }

    fn entries<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = Entry> + use<'b> {
        let layout = *self;
        self.aligned(bytes)
            .chunks_exact(self.length)
            .filter_map(move |entry| layout.entry(entry))
    }

    fn entry(self, bytes: &[u8]) -> Option<Entry> {
        let seconds = bytes.get(self.seconds..)?.first_chunk::<4>()?;
        let seconds = u32::from_le_bytes(*seconds);
        let user = bytes.get(44..76)?;
        let user = user.split(|byte| *byte == 0).next().unwrap_or_default();
        (seconds > 0).then(|| Entry {
            kind: bytes
                .first_chunk::<2>()
                .map_or(0, |kind| i16::from_le_bytes(*kind)),
            user: String::from_utf8_lossy(user).into_owned(),
            at: Timestamp::from_unix_seconds(seconds.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(length: usize, seconds_at: usize, kind: u8, seconds: u32) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[0] = kind;
        bytes[44..49].copy_from_slice(b"alice");
        bytes[seconds_at..seconds_at + 4].copy_from_slice(&seconds.to_le_bytes());
        bytes
    }

    #[test]
    fn both_layouts_are_told_apart() {
        for (length, at) in [(384, 340), (400, 344)] {
            let bytes = [entry(length, at, 7, 1000), entry(length, at, 8, 2000)].concat();
            let layout = Layout::of(&bytes, bytes.len() as u64).unwrap();
            let entries: Vec<_> = layout
                .entries(&bytes)
                .map(|e| (e.kind, e.user, e.at))
                .collect();
            assert_eq!(
                entries[0],
                (7, "alice".to_owned(), Timestamp::from_unix_seconds(1000))
            );
            assert_eq!(entries.len(), 2);
            // A tail may begin inside an entry.
            let tail = &bytes[10..];
            assert_eq!(layout.entries(tail).count(), 1);
        }
    }

    #[test]
    fn what_is_no_wtmp_is_not_read_as_one() {
        assert!(Layout::of(&[0xff; 768], 768).is_none());
        assert!(Layout::of(&[0; 100], 100).is_none());
        assert!(Layout::of(&[], 0).is_some());
    }
}
