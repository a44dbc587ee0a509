//! Tables and scripts of cron that delete from the places for temporary data: tmpreaper(8), tmpwatch(8), find(1).

use crate::host::{FileKind, HostError};
use crate::probe::crontab::OF_ROOT;
use crate::probe::{Observation, Unobservable};

const MAX_BYTES: usize = 256 * 1024;

/// The tables and scripts with a line that deletes from one of the places.
pub(super) fn jobs(
    observation: &mut Observation<'_>,
    places: &[&str],
) -> Result<Vec<String>, Unobservable> {
    let mut found = Vec::new();
    for table in OF_ROOT {
        let files = match observation.host().list(table) {
            Ok(entries) => entries
                .into_iter()
                .filter(|entry| entry.kind != FileKind::Directory)
                .map(|entry| format!("{table}/{}", entry.name))
                .collect(),
            Err(HostError::NotFound(_)) => continue,
            Err(_) => vec![table.to_owned()],
        };
        for file in files {
            let Some(bytes) = observation.bytes(&file, MAX_BYTES)? else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            if text.lines().any(|line| deletes(line, places)) {
                found.push(file);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn deletes(line: &str, places: &[&str]) -> bool {
    let line = line.trim_start();
    if line.starts_with('#') {
        return false;
    }
    let has = |word: &str| {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .any(|part| part == word)
    };
    has("tmpreaper")
        || has("tmpwatch")
        || places.iter().any(|place| line.contains(place))
            && (has("rm") || has("-delete") || has("unlink"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_deletes_is_told_from_one_that_does_not() {
        for (line, expected) in [
            ("/usr/sbin/tmpwatch 10d /tmp", true),
            ("0 3 * * * root find /tmp -mtime +10 -delete", true),
            ("rm -rf /var/tmp/cache", true),
            ("# find /tmp -mtime +10 -delete", false),
            ("0 3 * * * root tar cf /tmp/a /etc", false),
            ("0 3 * * * root find /srv -delete", false),
        ] {
            assert_eq!(deletes(line, &["/tmp", "/var/tmp"]), expected, "{line}");
        }
    }
}
