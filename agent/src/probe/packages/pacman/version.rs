//! pacman's order of versions (vercmp(8)): epoch, version, and the release where both have one.

use std::cmp::Ordering;

/// Compares two versions written `EPOCH:VERSION-RELEASE`; an absent epoch is 0.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    segments(a.epoch, b.epoch)
        .then_with(|| segments(a.version, b.version))
        .then_with(|| match (a.release, b.release) {
            (Some(a), Some(b)) => segments(a, b),
            _ => Ordering::Equal,
        })
}

struct Parts<'a> {
    epoch: &'a str,
    version: &'a str,
    release: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Parts<'a> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (epoch, rest) = match text.split_at_checked(digits) {
            Some((epoch, rest)) if rest.starts_with(':') => (epoch, rest.get(1..).unwrap_or("")),
            _ => ("0", text),
        };
        let epoch = if epoch.is_empty() { "0" } else { epoch };
        match rest.rsplit_once('-') {
            Some((version, release)) => Parts {
                epoch,
                version,
                release: Some(release),
            },
            None => Parts {
                epoch,
                version: rest,
                release: None,
            },
        }
    }
}

/// Segments of digits or of letters, one after the other; what stands between them counts by its length only.
fn segments(mut a: &str, mut b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    while !a.is_empty() && !b.is_empty() {
        let (rest_a, rest_b) = (past_separators(a), past_separators(b));
        let separators = (a.len() - rest_a.len()).cmp(&(b.len() - rest_b.len()));
        (a, b) = (rest_a, rest_b);
        if a.is_empty() || b.is_empty() {
            break;
        }
        if separators.is_ne() {
            return separators;
        }
        let digits = a.starts_with(|c: char| c.is_ascii_digit());
        let ((x, left_a), (y, left_b)) = (take(a, digits), take(b, digits));
        if y.is_empty() {
            // A number is newer than a word.
            return if digits {
                Ordering::Greater
            } else {
                Ordering::Less
            };
        }
        let order = if digits {
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (left_a, left_b);
    }
    at_the_end(a, b)
}

/// A word that is left over makes a version older (`1.0rc` before `1.0`), anything else newer.
fn at_the_end(a: &str, b: &str) -> Ordering {
    let is_word = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if !is_word(b) => Ordering::Less,
        _ if is_word(a) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn past_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
}

fn take(text: &str, digits: bool) -> (&str, &str) {
    let end = text
        .find(|c: char| {
            if digits {
                !c.is_ascii_digit()
            } else {
                !c.is_ascii_alphabetic()
            }
        })
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Pairs of all of these are compared by us and by pacman's own program.
    const VERSIONS: [&str; 36] = [
        "1.0",
        "1.0-1",
        "1.0-2",
        "1.0-1.1",
        "1:1.0-1",
        "0:1.0-1",
        ":1.0-1",
        "2.0",
        "1.0a",
        "1.0b",
        "1.0beta",
        "1.0beta2",
        "1.0.beta",
        "1.0rc1",
        "1.0.rc1",
        "1.0.1",
        "1.0.a",
        "1.0..1",
        "1_0",
        "1+0",
        "1.0_",
        "1.0.",
        "01.00",
        "001",
        "1",
        "a",
        "a1",
        "1a1",
        "1.5.b-1",
        "1.5.1-1",
        "",
        "r1234.abcdef-1",
        "r999.abcdef-1",
        "20240101-1",
        "6.12.1.arch1-1",
        "6.12.1-1",
    ];

    #[test]
    fn versions_are_ordered_as_vercmp_orders_them() {
        let mut compared = 0;
        for a in VERSIONS {
            for b in VERSIONS {
                let output = Command::new("/usr/bin/vercmp")
                    .args([a, b])
                    .output()
                    .expect("vercmp is missing: install the package pacman-package-manager");
                let expected: i32 = String::from_utf8(output.stdout)
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap();
                assert_eq!(compare(a, b), expected.cmp(&0), "{a:?} and {b:?}");
                compared += 1;
            }
        }
        assert_eq!(compared, VERSIONS.len() * VERSIONS.len());
    }
}
