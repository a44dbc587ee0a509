//! Lines of tmpfiles.d(5) as `systemd-tmpfiles --clean` sees them.

use std::collections::BTreeMap;

use crate::host::FileKind;
use crate::probe::quoted::quoted;
use crate::probe::{Observation, Unobservable};

/// Directories in order of precedence: of two files with one name the first counts.
const DIRECTORIES: [&str; 4] = [
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
];
/// Types that own a path: of several lines for one path the first counts.
const OWNING: &str = "fFdDvqQpLcbC";

/// One line that names a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The file it stands in.
    pub(super) file: String,
    kind: char,
    /// Applied at boot alone (`!`): a deletion by age never sees it.
    boot_only: bool,
    path: String,
    /// The age at which content is deleted; absent without one, and where files of the first level stay (`~`).
    pub(super) keep_seconds: Option<i64>,
}

/// Every line that counts, in the order of the files' names.
pub(super) fn read(observation: &mut Observation<'_>) -> Result<Vec<Line>, Unobservable> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for directory in DIRECTORIES {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") && entry.kind != FileKind::Directory {
                let path = format!("{directory}/{}", entry.name);
                files.entry(entry.name).or_insert(path);
            }
        }
    }
    let mut lines = Vec::new();
    for path in files.values() {
        let target = observation.host().read_link(path).unwrap_or_default();
        if target == "/dev/null" {
            continue;
        }
        for line in observation.text(path)?.unwrap_or_default().lines() {
            if let Some(line) =
                parse(path, line).map_err(|problem| Unobservable::unparsable(path, problem))?
            {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// One line; `None` for comments, types without a meaning here, and what systemd-tmpfiles passes over.
fn parse(file: &str, line: &str) -> Result<Option<Line>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let fields: Vec<&str> = line.split_whitespace().map(unquoted).collect();
    let (Some(types), Some(path)) = (fields.first(), fields.get(1)) else {
        return Ok(None);
    };
    let mut letters = types.chars();
    let Some(kind) = letters.next() else {
        return Ok(None);
    };
    let ages = "dDevqQCxX".contains(kind);
    if !ages && !OWNING.contains(kind) {
        return Ok(None);
    }
    let path = expanded(path);
    let keep_seconds = match fields.get(5) {
        Some(age) if ages => {
            age_of(age).map_err(|()| format!("{path}: no age: {}", quoted(age)))?
        }
        _ => None,
    };
    Ok(Some(Line {
        file: file.to_owned(),
        kind,
        boot_only: letters.any(|letter| letter == '!'),
        path,
        keep_seconds,
    }))
}

fn unquoted(field: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = field
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner;
        }
    }
    field
}

/// The path with the specifiers of temporary places put in, and no `/` at its end or twice.
fn expanded(path: &str) -> String {
    let path = path.replace("%T", "/tmp").replace("%V", "/var/tmp");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

/// An age field: `-`, `10d`, `1w2d`, `mM:4w`, `~30d`.
fn age_of(field: &str) -> Result<Option<i64>, ()> {
    if field == "-" {
        return Ok(None);
    }
    let (keeps_first_level, field) = field
        .strip_prefix('~')
        .map_or((false, field), |rest| (true, rest));
    let span = match field.split_once(':') {
        Some((by, span)) if !by.is_empty() && by.chars().all(|c| "aAbBcCmM".contains(c)) => span,
        Some(_) => return Err(()),
        None => field,
    };
    let seconds = seconds(span).ok_or(())?;
    Ok((!keeps_first_level).then_some(seconds))
}

/// A time span of systemd.time(7), in whole seconds, rounded up; a number without a unit is seconds.
fn seconds(span: &str) -> Option<i64> {
    let mut rest = span;
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: i64 = number.parse().ok()?;
        let microseconds: i64 = match unit {
            "us" | "usec" | "µs" => 1,
            "ms" | "msec" => 1_000,
            "" | "s" | "sec" | "second" | "seconds" => 1_000_000,
            "m" | "min" | "minute" | "minutes" => 60_000_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000_000,
            "d" | "day" | "days" => 86_400_000_000,
            "w" | "week" | "weeks" => 604_800_000_000,
            "M" | "month" | "months" => 2_629_800_000_000,
            "y" | "year" | "years" => 31_557_600_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(microseconds)?)?;
        rest = after;
    }
    Some(total / 1_000_000 + i64::from(total % 1_000_000 != 0))
}

/// The line that deletes by age from a place: the first that owns the path, or the first of type `e`, which stands
/// beside it; of the two the one that deletes sooner.
pub(super) fn cleaning<'l>(lines: &'l [Line], path: &str) -> Option<&'l Line> {
    let first = |types: &'static str| {
        lines
            .iter()
            .find(move |line| !line.boot_only && line.path == path && types.contains(line.kind))
    };
    [first(OWNING), first("e")]
        .into_iter()
        .flatten()
        .filter(|line| line.keep_seconds.is_some())
        .min_by_key(|line| line.keep_seconds)
}

/// At boot, lines marked `!` count as well.
pub(super) fn emptied_at_boot(lines: &[Line], path: &str) -> bool {
    lines
        .iter()
        .find(|line| line.path == path && OWNING.contains(line.kind))
        .is_some_and(|line| line.kind == 'D')
}

/// A line of type `x` or `X` for all that lies in the place; one for the place itself spares nothing in it.
pub(super) fn excluded(lines: &[Line], path: &str) -> bool {
    lines.iter().any(|line| {
        "xX".contains(line.kind)
            && !line.boot_only
            && line
                .path
                .strip_prefix(path)
                .is_some_and(|rest| matches!(rest, "/*" | "/**"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        text.lines()
            .filter_map(|line| parse("f", line).unwrap())
            .collect()
    }

    #[test]
    fn ages_are_read_as_systemd_does() {
        for (field, expected) in [
            ("-", Ok(None)),
            ("10d", Ok(Some(864_000))),
            ("1w2d", Ok(Some(777_600))),
            ("0", Ok(Some(0))),
            ("5ms", Ok(Some(1))),
            ("mM:4w", Ok(Some(2_419_200))),
            ("~30d", Ok(None)),
            ("", Err(())),
            ("d", Err(())),
            ("10 d", Err(())),
            ("x:10d", Err(())),
            ("1.5d", Err(())),
            ("99999999999999999999d", Err(())),
            ("9223372036854775807y", Err(())),
            ("é", Err(())),
        ] {
            assert_eq!(age_of(field), expected, "{field}");
        }
    }

    #[test]
    fn the_first_line_for_a_path_counts_and_one_for_boot_alone_does_not() {
        let text = "D! /tmp 1777 root root 1d\nq /tmp/ 1777 root root 10d\nd /tmp 1777 root root 5d\n# d /tmp\nq";
        let found = lines(text);
        assert_eq!(
            cleaning(&found, "/tmp").unwrap().keep_seconds,
            Some(864_000)
        );
        assert!(emptied_at_boot(&found, "/tmp"));
        assert!(cleaning(&found, "/var/tmp").is_none());
        assert!(cleaning(&lines("D /tmp 1777 root root -\nd /tmp - - - 5d"), "/tmp").is_none());
        let beside = lines("D /tmp 1777 root root -\ne \"%T\" - - - 5d");
        assert_eq!(cleaning(&beside, "/tmp").unwrap().kind, 'e');
    }

    #[test]
    fn only_what_takes_out_everything_excludes_a_place() {
        assert!(excluded(&lines("x /tmp/*"), "/tmp"));
        assert!(excluded(&lines("X /tmp/*"), "/tmp"));
        assert!(!excluded(&lines("x /tmp\nX /tmp"), "/tmp"));
        assert!(!excluded(
            &lines("x /tmp/systemd-private-%b-*\nx /tmpfoo"),
            "/tmp"
        ));
        assert!(!excluded(&lines("x /var/tmp/*"), "/tmp"));
    }
}
