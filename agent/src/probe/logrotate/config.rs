//! The files that logrotate's rules are for, logrotate(8).
//!
//! A rule begins with paths or patterns, quoted or not, over one or several lines, and holds its directives in braces;
//! scripts in it run to `endscript`. `include` names a file or a directory, of which names with a taboo ending are left
//! out.

use super::super::{Observation, Unobservable};
use crate::host::FileKind;

const MAIN: &str = "/etc/logrotate.conf";
/// Endings of files that package managers and editors leave behind.
const TABOO: [&str; 17] = [
    ",v",
    ".bak",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-old",
    "~",
];
const SCRIPTS: [&str; 5] = [
    "prerotate",
    "postrotate",
    "firstaction",
    "lastaction",
    "preremove",
];

/// Patterns of file names, as rules give them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    /// Reads the main file and what it includes; `None` if there is no main file.
    pub(super) fn read(
        observation: &mut Observation<'_>,
    ) -> Result<Option<Patterns>, Unobservable> {
        let Some(text) = observation.text(MAIN)? else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for item in items(&text).map_err(|problem| Unobservable::unparsable(MAIN, problem))? {
            match item {
                Item::Pattern(pattern) => found.push(pattern),
                Item::Include(path) => include(observation, &path, &mut found)?,
            }
        }
        found.sort();
        found.dedup();
        Ok(Some(Patterns(found)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A rule is for this file, or it is a rotated copy of one that a rule is for.
    pub(super) fn cover(&self, path: &str) -> bool {
        let is_covered = |path: &str| self.0.iter().any(|pattern| matches(pattern, path));
        is_covered(path) || original(path).is_some_and(is_covered)
    }
}

/// Included files include nothing themselves in any distribution; one that did would be read by logrotate, so it is
/// refused rather than left out.
fn include(
    observation: &mut Observation<'_>,
    path: &str,
    found: &mut Vec<String>,
) -> Result<(), Unobservable> {
    let is_directory = observation
        .stat(path)?
        .is_some_and(|stat| stat.kind == FileKind::Directory);
    let files = if is_directory {
        let entries = observation.list(path)?.unwrap_or_default();
        entries
            .into_iter()
            .filter(|entry| entry.kind != FileKind::Directory)
            .filter(|entry| !TABOO.iter().any(|ending| entry.name.ends_with(ending)))
            .map(|entry| format!("{}/{}", path.trim_end_matches('/'), entry.name))
            .collect()
    } else {
        vec![path.to_owned()]
    };
    for file in files {
        let text = observation.text(&file)?.unwrap_or_default();
        for item in items(&text).map_err(|problem| Unobservable::unparsable(&file, problem))? {
            match item {
                Item::Pattern(pattern) => found.push(pattern),
                Item::Include(_) => {
                    return Err(Unobservable::unparsable(
                        &file,
                        "an include within an include",
                    ));
                }
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Pattern(String),
    Include(String),
}

fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut script = false;
    for line in text.lines().map(str::trim) {
        let first = line.split_whitespace().next().unwrap_or_default();
        if script {
            script = first != "endscript";
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if inside {
            script = SCRIPTS.contains(&first);
            inside = !line.ends_with('}');
        } else if line.starts_with(['/', '"', '\'', '~', '*', '{']) {
            let (paths, rest) = line
                .split_once('{')
                .map_or((line, None), |(a, b)| (a, Some(b)));
            found.extend(words(paths)?.into_iter().map(Item::Pattern));
            inside = rest.is_some_and(|rest| !rest.trim_end().ends_with('}'));
        } else if first == "include" {
            let path = line
                .split_whitespace()
                .nth(1)
                .ok_or("include without a path")?;
            found.push(Item::Include(path.to_owned()));
        }
    }
    if inside || script {
        return Err("a rule without end".to_owned());
    }
    Ok(found)
}

/// Words parted by white space, with quotes around those that hold some.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if first == '"' || first == '\'' {
            rest.get(1..)
                .and_then(|inner| inner.split_once(first))
                .ok_or("a quote without end")?
        } else {
            rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
        };
        found.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(found)
}

/// The file that a rotated copy comes from: `syslog` of `syslog.2.gz` and `syslog-20261124`.
fn original(path: &str) -> Option<&str> {
    let plain = [".gz", ".xz", ".bz2", ".zst"]
        .iter()
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path);
    let cut = plain.rfind(['.', '-'])?;
    let number = plain.get(cut + 1..)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    plain.get(..cut).filter(|_| is_number)
}

/// glob(7): `*`, `?` and `[…]` match within one part of a path.
fn matches(pattern: &str, path: &str) -> bool {
    let parts: Vec<&str> = pattern.split('/').collect();
    let names: Vec<&str> = path.split('/').collect();
    let pairs = parts.iter().zip(&names);
    parts.len() == names.len()
        && pairs.into_iter().all(|(part, name)| {
            part_matches(
                &part.chars().collect::<Vec<_>>(),
                &name.chars().collect::<Vec<_>>(),
            )
        })
}

/// Goes back to the last `*` only, so the work is bounded by the product of the lengths.
fn part_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let one = pattern
            .get(p..)
            .and_then(|rest| one_character(rest, name[n]));
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one {
            p += length;
            n += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// How much of the pattern stands for this character, if it does.
fn one_character(pattern: &[char], character: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|c| *c == ']')? + 1;
            let set = rest.get(..end)?;
            let (negated, set) = match set {
                ['!' | '^', set @ ..] => (true, set),
                set => (false, set),
            };
            (in_set(set, character) != negated).then_some(end + 2)
        }
        [first, ..] => (*first == character).then_some(1),
        [] => None,
    }
}

fn in_set(set: &[char], character: char) -> bool {
    match set {
        [low, '-', high, rest @ ..] => {
            (*low..=*high).contains(&character) || in_set(rest, character)
        }
        [one, rest @ ..] => *one == character || in_set(rest, character),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_and_scripts_are_not() {
        let text = "weekly\ninclude /etc/logrotate.d\n# /var/log/no {\n/var/log/a\n\"/var/log/with space\" /var/log/b/*.log\n{\n  rotate 4\n  postrotate\n    /usr/bin/reload {\n  endscript\n}\n/var/log/c { daily }\n/var/log/d {\n}\n";
        let found = items(text).unwrap();
        let pattern = |text: &str| Item::Pattern(text.to_owned());
        assert_eq!(
            found,
            [
                Item::Include("/etc/logrotate.d".to_owned()),
                pattern("/var/log/a"),
                pattern("/var/log/with space"),
                pattern("/var/log/b/*.log"),
                pattern("/var/log/c"),
                pattern("/var/log/d"),
            ]
        );
        for text in [
            "/var/log/a {\n",
            "\"/var/log/a {\n}",
            "include\n",
            "/a {\npostrotate\n}\n",
        ] {
            assert!(items(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_stay_within_a_directory() {
        assert!(matches("/var/log/*.log", "/var/log/app.log"));
        assert!(!matches("/var/log/*.log", "/var/log/app/app.log"));
        assert!(matches("/var/log/a[0-9]?", "/var/log/a7x"));
        assert!(!matches("/var/log/a[!0-9]", "/var/log/a7"));
        assert!(!matches("/var/log/a[", "/var/log/a"));
        assert!(!part_matches(
            &"*a".repeat(50).chars().collect::<Vec<_>>(),
            &['b'; 5000]
        ));
    }

    #[test]
    fn rotated_copies_count_for_their_original() {
        let patterns = Patterns(vec!["/var/log/syslog".to_owned()]);
        for path in [
            "/var/log/syslog",
            "/var/log/syslog.1",
            "/var/log/syslog.12.gz",
            "/var/log/syslog-20261124",
        ] {
            assert!(patterns.cover(path), "{path}");
        }
        assert!(!patterns.cover("/var/log/syslog.big"));
    }
}
