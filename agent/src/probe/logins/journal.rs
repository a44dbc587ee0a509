//! Log-ons in the journal: sessions of systemd-logind by account, else what sshd says of accepted connections.

use evidence::time::Timestamp;
use serde::Deserialize;

use super::super::journal::header::{self, HEADER_BYTES};
use super::super::nss::LocalAccount;
use super::super::{Observation, Unobservable};
use super::{Kind, Newest, Record, State};
use crate::host::{FileKind, HostError, Program};

/// Where journal files are, persistent first.
const DIRECTORIES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// SD_MESSAGE_SESSION_START of sd-messages.h: its entries have the account in the indexed field USER_ID.
const SESSION_START: &str = "MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66";

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    microseconds: String,
}

/// Asks for the newest log-on of each account; the journal's index answers without reading it all.
pub(super) fn read(
    observation: &mut Observation<'_>,
    accounts: &[LocalAccount],
    newest: &mut Newest,
) -> Result<Record, Unobservable> {
    let mut record = Record {
        kind: Kind::Journal,
        state: State::Absent,
        since: oldest(observation)?,
    };
    if record.since.is_none() {
        return Ok(record);
    }
    record.state = State::Read;
    if !observation.is_live() {
        record.state = State::Unreadable;
        return Ok(record);
    }
    for account in accounts {
        match last(observation, &account.name)? {
            Answer::At(at) => newest.add(&account.name, at, Kind::Journal),
            Answer::Never => {}
            Answer::Unknown => record.state = State::Unreadable,
        }
    }
    Ok(record)
}

enum Answer {
    At(Timestamp),
    Never,
    Unknown,
}

fn last(observation: &mut Observation<'_>, name: &str) -> Result<Answer, Unobservable> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Ok(Answer::Unknown);
    }
    let session = ask(observation, &[SESSION_START, &format!("USER_ID={name}")])?;
    if !matches!(session, Answer::Never) {
        return Ok(session);
    }
    // Without pam_systemd there are no sessions; names have no characters that mean something in patterns but the dot.
    let accepted = format!("^Accepted [^ ]+ for {} from ", name.replace('.', "\\."));
    ask(
        observation,
        &["-t", "sshd", "-t", "sshd-session", "--grep", &accepted],
    )
}

fn ask(observation: &mut Observation<'_>, matches: &[&str]) -> Result<Answer, Unobservable> {
    let common = [
        "-q",
        "--no-pager",
        "-r",
        "-n",
        "1",
        "-o",
        "json",
        "--output-fields=_PID",
        // Every user can write a message under any name; who wrote it is the journal's own word.
        "_UID=0",
    ];
    let args: Vec<&str> = common.iter().chain(matches).copied().collect();
    let Some(output) = observation.run(&Program::new(JOURNALCTL, &args))? else {
        return Ok(Answer::Unknown);
    };
    let text = output.text();
    let Some(line) = text.lines().next() else {
        // Nothing found is exit 0, or 1 where a pattern was given; complaints go to standard error.
        let quiet = output.stderr.iter().all(u8::is_ascii_whitespace);
        return Ok(if output.exit <= 1 && quiet {
            Answer::Never
        } else {
            Answer::Unknown
        });
    };
    let entry: Result<Entry, _> = serde_json::from_str(line);
    let microseconds = entry
        .ok()
        .and_then(|entry| entry.microseconds.parse::<i64>().ok());
    Ok(microseconds.map_or(Answer::Unknown, |us| {
        Answer::At(Timestamp::from_unix_ms(us / 1000))
    }))
}

/// The oldest entry of the system's journal files, from their headers. `None` without a file that holds entries.
fn oldest(observation: &mut Observation<'_>) -> Result<Option<Timestamp>, Unobservable> {
    let mut oldest: Option<Timestamp> = None;
    for directory in DIRECTORIES {
        let Some(machines) = observation.list(directory)? else {
            continue;
        };
        for machine in machines
            .iter()
            .filter(|entry| entry.kind == FileKind::Directory)
        {
            let machine = format!("{directory}/{}", machine.name);
            for file in observation.host().list(&machine)? {
                if !file.name.starts_with("system") || !file.name.contains(".journal") {
                    continue;
                }
                let header = match observation
                    .host()
                    .read_head(&format!("{machine}/{}", file.name), HEADER_BYTES)
                {
                    Ok(header) => header,
                    // Rotated away since the directory was listed.
                    Err(HostError::NotFound(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                // A file without entries tells nothing of the past.
                let first = header::parse(&header)
                    .and_then(|header| header.span)
                    .map(|(first, _)| first);
                oldest = [oldest, first].into_iter().flatten().min();
            }
        }
    }
    Ok(oldest)
}
