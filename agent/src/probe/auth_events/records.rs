//! Records of log-ons that are no logs: wtmp(5), sessions of logind, lastlog. Names and addresses in them are not read.

use evidence::time::Timestamp;

use super::super::{Observation, Unobservable};
use crate::host::HostError;

/// `struct utmp` with 32-bit times, as on x86-64; arm64 and newer ports have records of another length.
const RECORD_BYTES: usize = 384;
/// Records at the end that are looked through.
const RECORDS: usize = 256;
/// `ut_type` of a log-on.
const USER_PROCESS: u16 = 7;
/// Most sessions looked at.
const MAX_SESSIONS: usize = 1000;

/// The newest log-on; `None` if there is none or the records have another length.
pub(super) fn wtmp(observation: &mut Observation<'_>) -> Result<Option<Timestamp>, Unobservable> {
    const PATH: &str = "/var/log/wtmp";
    let Some(stat) = observation.stat(PATH)? else {
        return Ok(None);
    };
    if stat.size % RECORD_BYTES as u64 != 0 {
        return Ok(None);
    }
    let tail = match observation.host().read_tail(PATH, RECORDS * RECORD_BYTES) {
        Ok(tail) => tail,
        Err(HostError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(newest_log_on(&tail))
}

/// Type at 0, seconds at 340; in the machine's byte order, which is little-endian wherever records have this length.
fn newest_log_on(records: &[u8]) -> Option<Timestamp> {
    let (records, _) = records.as_chunks::<RECORD_BYTES>();
    let log_ons = records
        .iter()
        .filter(|record| u16::from_le_bytes([record[0], record[1]]) == USER_PROCESS);
    log_ons
        .map(|record| u32::from_le_bytes([record[340], record[341], record[342], record[343]]))
        .map(|seconds| Timestamp::from_unix_seconds(seconds.into()))
        .max()
}

/// The begin of the newest session of a user, from logind's state files.
pub(super) fn session(
    observation: &mut Observation<'_>,
) -> Result<Option<Timestamp>, Unobservable> {
    const DIRECTORY: &str = "/run/systemd/sessions";
    let mut newest = None;
    for entry in observation
        .list(DIRECTORY)?
        .unwrap_or_default()
        .iter()
        .filter(|entry| !entry.name.contains('.'))
        .take(MAX_SESSIONS)
    {
        let text = match observation
            .host()
            .read_beneath(DIRECTORY, &entry.name, 16 * 1024)
        {
            Ok(text) => text,
            // Ended since the directory was listed, or the pipe that keeps a session open.
            Err(HostError::NotFound(_) | HostError::NotRegular(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        newest = newest.max(begin(&String::from_utf8_lossy(&text)));
    }
    Ok(newest)
}

/// `REALTIME=` in microseconds, of a session of class `user`.
fn begin(state: &str) -> Option<Timestamp> {
    let value = |name: &str| {
        state
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    if value("CLASS") != Some("user") {
        return None;
    }
    let microseconds: i64 = value("REALTIME")?.parse().ok()?;
    Some(Timestamp::from_unix_ms(microseconds / 1000))
}

/// The last change of those files that hold anything.
pub(super) fn changed(
    observation: &mut Observation<'_>,
    paths: &[&str],
) -> Result<Option<Timestamp>, Unobservable> {
    let mut newest = None;
    for path in paths {
        let stat = observation.stat(path)?.filter(|stat| stat.size > 0);
        newest = newest.max(stat.map(|stat| stat.mtime));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, seconds: u32) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[..2].copy_from_slice(&kind.to_le_bytes());
        record[340..344].copy_from_slice(&seconds.to_le_bytes());
        record
    }

    #[test]
    fn only_log_ons_count() {
        // 2 is a boot, 8 the end of a session.
        let records = [
            record(2, 900),
            record(7, 100),
            record(7, 300),
            record(8, 500),
        ]
        .concat();
        assert_eq!(
            newest_log_on(&records),
            Some(Timestamp::from_unix_seconds(300))
        );
        assert_eq!(newest_log_on(&records[..383]), None);
        assert_eq!(newest_log_on(&[]), None);
    }

    #[test]
    fn sessions_of_services_do_not_count() {
        let state = "UID=1000\nCLASS=user\nREALTIME=1795500000000000\nSERVICE=sshd\n";
        assert_eq!(
            begin(state),
            Some(Timestamp::from_unix_seconds(1_795_500_000))
        );
        assert_eq!(begin(&state.replace("=user", "=greeter")), None);
        assert_eq!(begin("CLASS=user\nREALTIME=x"), None);
    }
}
