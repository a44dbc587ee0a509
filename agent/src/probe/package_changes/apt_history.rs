//! Runs of unattended-upgrades in apt's history log, whose times are local and without a zone.

use evidence::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::probe::debian::stanza::Stanzas;
use crate::probe::{Observation, Unobservable};

const LOGS: [&str; 2] = ["/var/log/apt/history.log", "/var/log/apt/history.log.1.gz"];
const ZONE: &str = "/etc/localtime";
const MAX_ZONE_BYTES: usize = 64 * 1024;
/// Times in the log are whole seconds; files are written a moment before the end is.
const SLACK_MS: i64 = 2_000;

/// Periods in which unattended-upgrades worked.
#[derive(Debug, Default)]
pub(super) struct AutomaticRuns(Vec<(Timestamp, Timestamp)>);

impl AutomaticRuns {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<AutomaticRuns, Unobservable> {
        let mut runs = AutomaticRuns::default();
        if observation.stat(LOGS[0])?.is_none() {
            return Ok(runs);
        }
        let zone = match observation.bytes(ZONE, MAX_ZONE_BYTES)? {
            Some(bytes) => TimeZone::tzif("localtime", &bytes)
                .map_err(|error| Unobservable::unparsable(ZONE, error))?,
            None => TimeZone::UTC,
        };
        for path in LOGS {
            if observation.stat(path)?.is_none() {
                continue;
            }
            let file = observation.host().open(path)?;
            let read = if path.ends_with(".gz") {
                runs.take(flate2::read::MultiGzDecoder::new(file), &zone)
            } else {
                runs.take(file, &zone)
            };
            read.map_err(|error| Unobservable::unparsable(path, error))?;
        }
        Ok(runs)
    }

    /// Whether a file of a package was written in one of them.
    pub(super) fn contain(&self, at: Timestamp) -> bool {
        self.0
            .iter()
            .any(|(start, end)| *start <= at.plus_ms(SLACK_MS) && at <= end.plus_ms(SLACK_MS))
    }

    fn take(&mut self, log: impl std::io::Read, zone: &TimeZone) -> std::io::Result<()> {
        let mut stanzas = Stanzas::new(log, &["Start-Date", "End-Date", "Commandline"]);
        while let Some(stanza) = stanzas.next_stanza()? {
            let program = stanza.words("Commandline").next().unwrap_or_default();
            if program != "/usr/bin/unattended-upgrade" {
                continue;
            }
            let time = |field: &str| instant(stanza.get(field)?, zone);
            if let (Some(start), Some(end)) = (time("Start-Date"), time("End-Date")) {
                self.0.push((start, end));
            }
        }
        Ok(())
    }
}

/// `2026-11-10  06:18:15` in local time.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let local: DateTime = format!("{}T{}", words.next()?, words.next()?)
        .parse()
        .ok()?;
    let time = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    Some(Timestamp::from_unix_seconds(time.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_of_unattended_upgrades_count() {
        let log = "\nStart-Date: 2026-11-10  06:18:15\nCommandline: /usr/bin/unattended-upgrade\nUpgrade: a:amd64 (1, 2)\nEnd-Date: 2026-11-10  06:18:25\n\nStart-Date: 2026-11-11  10:00:00\nCommandline: apt install x\nEnd-Date: 2026-11-11  10:00:05\n";
        let mut runs = AutomaticRuns::default();
        runs.take(log.as_bytes(), &TimeZone::UTC).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(runs.contain(at("2026-11-10T06:18:20.000Z")));
        assert!(!runs.contain(at("2026-11-10T06:19:20.000Z")));
        assert!(!runs.contain(at("2026-11-11T10:00:02.000Z")));
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(
            instant("2026-11-10  06:18:15", &berlin),
            Some(at("2026-11-10T05:18:15.000Z"))
        );
        assert_eq!(instant("yesterday", &berlin), None);
    }
}
