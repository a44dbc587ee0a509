//! unattended-upgrades' own log. Its times are local and so not taken; the file's time says when a run last wrote.

use std::io::{BufRead, BufReader, Read};

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::probe::{Observation, Unobservable};

/// The log; rotated monthly, so it may not be there, or hold nothing yet.
const LOG: &str = "/var/log/unattended-upgrades/unattended-upgrades.log";
/// What rotation makes of it.
const ROTATED: [&str; 2] = [
    "/var/log/unattended-upgrades/unattended-upgrades.log.1",
    "/var/log/unattended-upgrades/unattended-upgrades.log.1.gz",
];
/// Most bytes of the end of the log, and of a rotated log after decompression.
const MAX_TAIL: usize = 256 * 1024;
const MAX_ROTATED: u64 = 64 * 1024 * 1024;
/// Longest line shown.
const MAX_SHOWN: usize = 200;

/// What the log says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that could be upgraded was, or there was nothing.
    Success,
    /// An error was logged.
    Error,
    /// It began, and no line says how it ended: skipped, interrupted or running.
    Unfinished,
    /// A timer started it, and nothing tells how it ended.
    Unknown,
    /// No run is in the log, or there is no log.
    None,
}

/// The last run in the log.
#[derive(Debug, PartialEq, Eq)]
pub struct LastRun {
    pub verdict: Verdict,
    pub line: Option<String>,
    pub logged: Option<Timestamp>,
}

impl LastRun {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<LastRun, Unobservable> {
        let mut reader = Reader::default();
        let mut logged = None;
        if let Some(stat) = observation.stat(LOG)?
            && stat.size > 0
        {
            let tail = observation.host().read_tail(LOG, MAX_TAIL)?;
            reader.read(tail.as_slice(), LOG)?;
            logged = Some(stat.mtime);
        }
        if reader.verdict == Verdict::None {
            for path in ROTATED {
                let Some(stat) = observation.stat(path)? else {
                    continue;
                };
                let file = observation.host().open(path)?;
                if path.ends_with(".gz") {
                    reader.read(flate2::read::MultiGzDecoder::new(file), path)?;
                } else {
                    reader.read(file, path)?;
                }
                logged = logged.or(Some(stat.mtime));
                break;
            }
        }
        Ok(LastRun {
            verdict: reader.verdict,
            line: reader.line,
            logged,
        })
    }
}

struct Reader {
    verdict: Verdict,
    line: Option<String>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            verdict: Verdict::None,
            line: None,
        }
    }
}

impl Reader {
    fn read(&mut self, log: impl Read, path: &str) -> Result<(), Unobservable> {
        let mut log = BufReader::new(log.take(MAX_ROTATED));
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = log
                .read_until(b'\n', &mut line)
                .map_err(|error| Unobservable::unparsable(path, error))?;
            if length == 0 {
                return Ok(());
            }
            self.take(String::from_utf8_lossy(&line).trim());
        }
    }

    /// Lines look like `2026-11-24 06:25:11,123 INFO All upgrades installed`; a run that follows begins anew.
    fn take(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(_), Some(level), Some(message)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return;
        };
        let verdict = if message.starts_with("Starting unattended upgrades script") {
            Some(Verdict::Unfinished)
        } else if matches!(level, "ERROR" | "CRITICAL") {
            Some(Verdict::Error)
        } else if self.verdict == Verdict::Unfinished
            && level == "INFO"
            && (message.starts_with("All upgrades installed")
                || message.starts_with("No packages found that can be upgraded unattended"))
        {
            Some(Verdict::Success)
        } else {
            None
        };
        if let Some(verdict) = verdict {
            self.verdict = verdict;
            self.line = Some(line.chars().take(MAX_SHOWN).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(log: &str) -> Verdict {
        let mut reader = Reader::default();
        reader.read(log.as_bytes(), "log").unwrap();
        reader.verdict
    }

    #[test]
    fn the_last_run_decides() {
        const START: &str = "2026-11-24 06:25:11,123 INFO Starting unattended upgrades script\n";
        const NONE: &str = "2026-11-24 06:25:12,123 INFO No packages found that can be upgraded unattended and no pending auto-removals\n";
        const DONE: &str = "2026-11-24 06:25:12,123 INFO All upgrades installed\n";
        const ERROR: &str = "2026-11-24 06:25:12,123 ERROR Installing the upgrades failed!\n";
        assert_eq!(verdict(""), Verdict::None);
        assert_eq!(
            verdict(DONE),
            Verdict::None,
            "an end without a start is no run"
        );
        assert_eq!(verdict(START), Verdict::Unfinished);
        assert_eq!(verdict(&format!("{START}{NONE}")), Verdict::Success);
        assert_eq!(
            verdict(&format!("{START}{DONE}{START}")),
            Verdict::Unfinished
        );
        assert_eq!(verdict(&format!("{START}{ERROR}{DONE}")), Verdict::Error);
        assert_eq!(
            verdict(&format!("{START}{ERROR}{START}{DONE}")),
            Verdict::Success
        );
        assert_eq!(verdict(&format!("{START}{DONE}{ERROR}")), Verdict::Error);
        assert_eq!(verdict("\u{0}\u{0} \n x y\n"), Verdict::None);
    }
}
