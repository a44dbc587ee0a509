//! apk's order of versions (apk-package(5)):
//! `NUMBER{.NUMBER}[LETTER]{_SUFFIX[NUMBER]}[~HASH][-rREVISION]`.

use std::cmp::Ordering;

/// One part of a version. Parts of different kinds are ordered by where they stand: an earlier kind makes a version newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    First(&'a str),
    Number(&'a str),
    Letter(char),
    Suffix(Suffix),
    SuffixNumber(&'a str),
    Hash(&'a str),
    Revision(&'a str),
    End,
    /// What follows is no version.
    Invalid,
}

/// A suffix; those up to `Rc` come before the version without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suffix {
    Alpha,
    Beta,
    Pre,
    Rc,
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

impl Suffix {
    fn parse(word: &str) -> Option<Suffix> {
        Some(match word {
            "alpha" => Suffix::Alpha,
            "beta" => Suffix::Beta,
            "pre" => Suffix::Pre,
            "rc" => Suffix::Rc,
            "cvs" => Suffix::Cvs,
            "svn" => Suffix::Svn,
            "git" => Suffix::Git,
            "hg" => Suffix::Hg,
            "p" => Suffix::P,
            _ => return None,
        })
    }
}

/// Compares two versions.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Parts::new(a), Parts::new(b));
    loop {
        let (x, y) = (a.next_part(), b.next_part());
        if rank(x) != rank(y) {
            return by_kind(x, y);
        }
        if matches!(x, Part::End | Part::Invalid) {
            return Ordering::Equal;
        }
        let order = by_value(x, y);
        if order.is_ne() {
            return order;
        }
    }
}

fn by_kind(a: Part<'_>, b: Part<'_>) -> Ordering {
    let is_before = |part| matches!(part, Part::Suffix(suffix) if suffix <= Suffix::Rc);
    if is_before(a) {
        Ordering::Less
    } else if is_before(b) {
        Ordering::Greater
    } else {
        rank(b).cmp(&rank(a))
    }
}

fn rank(part: Part<'_>) -> u8 {
    match part {
        Part::First(_) => 0,
        Part::Number(_) => 1,
        Part::Letter(_) => 2,
        Part::Suffix(_) => 3,
        Part::SuffixNumber(_) => 4,
        Part::Hash(_) => 5,
        Part::Revision(_) => 6,
        Part::End => 7,
        Part::Invalid => 8,
    }
}

fn by_value(a: Part<'_>, b: Part<'_>) -> Ordering {
    match (a, b) {
        // With a zero before them, numbers are ordered as decimals are.
        (Part::Number(a), Part::Number(b)) if a.starts_with('0') || b.starts_with('0') => a.cmp(b),
        (Part::First(a), Part::First(b))
        | (Part::Number(a), Part::Number(b))
        | (Part::SuffixNumber(a), Part::SuffixNumber(b))
        | (Part::Revision(a), Part::Revision(b)) => {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        }
        (Part::Letter(a), Part::Letter(b)) => a.cmp(&b),
        (Part::Suffix(a), Part::Suffix(b)) => a.cmp(&b),
        (Part::Hash(a), Part::Hash(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

struct Parts<'a> {
    rest: &'a str,
    /// Rank of the part before; none before the first.
    last: Option<u8>,
}

impl<'a> Parts<'a> {
    fn new(version: &'a str) -> Parts<'a> {
        Parts {
            rest: version,
            last: None,
        }
    }

    fn next_part(&mut self) -> Part<'a> {
        let part = self.part().unwrap_or(Part::Invalid);
        self.last = Some(rank(part));
        part
    }

    fn part(&mut self) -> Option<Part<'a>> {
        let Some(last) = self.last else {
            return Some(Part::First(self.digits()?));
        };
        let Some(next) = self.rest.chars().next() else {
            return Some(Part::End);
        };
        match next {
            'a'..='z' if last <= 1 => {
                self.rest = self.rest.get(1..)?;
                Some(Part::Letter(next))
            }
            '.' if last <= 1 => {
                self.rest = self.rest.get(1..)?;
                Some(Part::Number(self.digits()?))
            }
            '0'..='9' if last == 3 => Some(Part::SuffixNumber(self.digits()?)),
            '_' if last <= 4 => {
                self.rest = self.rest.get(1..)?;
                let word = self.take(|c| c.is_ascii_lowercase());
                Some(Part::Suffix(Suffix::parse(word)?))
            }
            '~' if last < 5 => {
                self.rest = self.rest.get(1..)?;
                let hash = self.take(|c| matches!(c, '0'..='9' | 'a'..='f'));
                (!hash.is_empty()).then_some(Part::Hash(hash))
            }
            '-' if last < 6 => {
                self.rest = self.rest.strip_prefix("-r")?;
                Some(Part::Revision(self.digits()?))
            }
            _ => None,
        }
    }

    fn digits(&mut self) -> Option<&'a str> {
        let digits = self.take(|c| c.is_ascii_digit());
        (!digits.is_empty()).then_some(digits)
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !belongs(c))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `apk version -t` of apk 3.0.5 said of each pair of these versions: a row for each, with the
    /// outcomes against all of them in the same order before it.
    const COMPARED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/packages/apk-versions.txt"
    ));

    #[test]
    fn versions_are_ordered_as_apk_orders_them() {
        let rows: Vec<(&str, &str)> = COMPARED
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        assert!(rows.len() > 30);
        for (outcomes, a) in &rows {
            assert_eq!(outcomes.len(), rows.len());
            for (outcome, (_, b)) in outcomes.chars().zip(&rows) {
                let expected = match outcome {
                    '<' => Ordering::Less,
                    '=' => Ordering::Equal,
                    _ => Ordering::Greater,
                };
                assert_eq!(compare(a, b), expected, "{a} and {b}");
            }
        }
    }
}
