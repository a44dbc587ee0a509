//! Lines of traditional log files: the time and the program, nothing of the message.

use evidence::time::Timestamp;

/// The time a line begins with: ISO 8601 (rsyslog since Debian 12), or `Nov 24 07:00:00`, which names no year and is
/// taken as UTC in the last year that does not lie after `latest`.
pub(super) fn time(line: &str, latest: Timestamp) -> Option<Timestamp> {
    let first = line.split_whitespace().next()?;
    if let Ok(time) = first.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_unix_ms(time.as_millisecond()));
    }
    let stamp = line.get(..15)?;
    let year: i64 = latest.to_string().get(..4)?.parse().ok()?;
    // A day of grace: the line may be ahead by the zone.
    let bound = latest.plus_ms(86_400_000);
    [year + 1, year, year - 1].into_iter().find_map(|year| {
        let text = format!("{year} {stamp}");
        let civil = jiff::civil::DateTime::strptime("%Y %b %e %H:%M:%S", &text).ok()?;
        let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
        let time = Timestamp::from_unix_ms(instant.as_millisecond());
        (time <= bound).then_some(time)
    })
}

/// The program of a line, without its process number: `sshd` of `… host sshd[123]: …`.
pub(super) fn program(line: &str) -> Option<&str> {
    let words = if line.split_whitespace().next()?.contains('T') {
        2
    } else {
        4
    };
    let tag = line.split_whitespace().nth(words)?;
    let end = tag.find(['[', ':']).unwrap_or(tag.len());
    tag.get(..end).filter(|program| !program.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let latest: Timestamp = "2026-01-02T07:00:00.000Z".parse().unwrap();
        let iso = "2025-12-31T23:30:00.5+01:00 web1 sshd[812]: Accepted publickey";
        assert_eq!(
            time(iso, latest).unwrap().to_string(),
            "2025-12-31T22:30:00.500Z"
        );
        assert_eq!(program(iso), Some("sshd"));
        let old = "Dec  9 04:05:06 web1 sudo:   ops : COMMAND=/bin/ls";
        assert_eq!(
            time(old, latest).unwrap().to_string(),
            "2025-12-09T04:05:06.000Z"
        );
        assert_eq!(program(old), Some("sudo"));
        let new = "Jan  2 06:59:59 web1 su: x";
        assert_eq!(
            time(new, latest).unwrap().to_string(),
            "2026-01-02T06:59:59.000Z"
        );
    }

    #[test]
    fn other_text_has_no_time() {
        let latest = Timestamp::from_unix_seconds(1_795_503_600);
        for line in [
            "",
            "é",
            "Foo 99 99:99:99 x y",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "Nov 24 07:00:0é",
        ] {
            assert_eq!(time(line, latest), None, "{line}");
        }
        assert_eq!(program("a b"), None);
        assert_eq!(program("2026-01-01T00:00:00Z h [x"), None);
    }
}
