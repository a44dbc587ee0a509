//! What `augenrules --load` makes of /etc/audit/rules.d, augenrules(8).

use std::cmp::Ordering;

use super::road::FILE;
use crate::probe::{Observation, Unobservable};

const DIRECTORY: &str = "/etc/audit/rules.d";
/// Most files merged.
const MAX_FILES: usize = 500;

/// The lines that auditctl then reads. Without the directory, augenrules loads the file as it is.
pub(super) fn lines(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let Some(entries) = observation.list(DIRECTORY)? else {
        return Ok(split(&observation.text(FILE)?.unwrap_or_default()));
    };
    let mut names: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| name.ends_with(".rules") && !name.starts_with('.'))
        .collect();
    if names.len() > MAX_FILES {
        return Err(Unobservable::unparsable(
            DIRECTORY,
            format!("more than {MAX_FILES} files"),
        ));
    }
    names.sort_by(|left, right| by_version(left, right));
    let mut lines = Vec::new();
    for name in names {
        let text = observation.text(&format!("{DIRECTORY}/{name}"))?;
        lines.extend(split(&text.unwrap_or_default()));
    }
    Ok(merge(lines))
}

pub(super) fn split(text: &str) -> Vec<String> {
    text.lines()
        .map(str::to_owned)
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .collect()
}

/// The last `-D`, `-b` and `-f` come first, the last `-e` at the very end, all else stays in order.
fn merge(lines: Vec<String>) -> Vec<String> {
    let (mut delete, mut backlog, mut failure, mut enable) = (None, None, None, None);
    let mut rest = Vec::new();
    for line in lines {
        let trimmed = line.trim();
        if trimmed.starts_with("-e") {
            enable = Some(line);
        } else if trimmed == "-D" {
            delete = Some(line);
        } else if trimmed.starts_with("-f") {
            failure = Some(line);
        } else if trimmed.starts_with("-b") {
            backlog = Some(line);
        } else {
            rest.push(line);
        }
    }
    let first = [delete, backlog, failure].into_iter().flatten();
    first.chain(rest).chain(enable).collect()
}

/// As `ls -v` sorts: numbers within names by their value, all else by its bytes.
fn by_version(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left, right);
    loop {
        let (words_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (words_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        match words_a.cmp(words_b) {
            Ordering::Equal => {}
            other => return other,
        }
        if rest_a.is_empty() || rest_b.is_empty() {
            return rest_a.len().cmp(&rest_b.len()).then(left.cmp(right));
        }
        let (number_a, next_a) = number(rest_a);
        let (number_b, next_b) = number(rest_b);
        match number_a
            .len()
            .cmp(&number_b.len())
            .then(number_a.cmp(number_b))
        {
            Ordering::Equal => (a, b) = (next_a, next_b),
            other => return other,
        }
    }
}

/// The digits at the start without leading zeros, and what follows.
fn number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_lines_move_and_rules_stay() {
        let text = "-e 0\n-w /a\n# -D\n\n-D\n-f 1\n-b 64\n-e 2\n-D -k x\n-w /b\n-b 8192\n";
        assert_eq!(
            merge(split(text)),
            ["-D", "-b 8192", "-f 1", "-w /a", "-D -k x", "-w /b", "-e 2"]
        );
    }

    #[test]
    fn files_are_read_in_the_order_of_their_numbers() {
        let mut names = [
            "100-z.rules",
            "20-a.rules",
            "99-b.rules",
            "audit.rules",
            "9-x.rules",
        ];
        names.sort_by(|left, right| by_version(left, right));
        assert_eq!(
            names,
            [
                "9-x.rules",
                "20-a.rules",
                "99-b.rules",
                "100-z.rules",
                "audit.rules"
            ]
        );
    }
}
