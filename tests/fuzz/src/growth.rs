//! Long answers made of the lines of short ones: for what costs more than the length of what it reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::place::{Place, join_grown, split};

/// About how long the answers are made, in bytes.
const LENGTH: usize = 256 * 1024;
/// Most different lines of the answers to one question.
const MAX_LINES: usize = 12;
/// What nests, or is the beginning of something that has no end.
const OPENINGS: &[&str] = &[
    "[", "{\"a\":", "(", "{", "<a>", "\"", "'", "\\", "\\\n", "/*", " ", "\n", "\0", "a", "#,",
    "#=", "!", "$(",
];

/// Inputs that grow every kind of line of these.
#[must_use]
pub fn grown(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut kinds: BTreeMap<Place, BTreeMap<String, String>> = BTreeMap::new();
    for (place, bytes) in seeds.iter().filter_map(|seed| split(seed)) {
        let lines = kinds.entry(anywhere(&place, &kinds)).or_default();
        for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
            if lines.len() < MAX_LINES && line.len() < 4096 {
                lines.entry(kind(line)).or_insert_with(|| line.to_owned());
            }
        }
    }
    let mut inputs = BTreeSet::new();
    for (place, lines) in &kinds {
        let mut units: BTreeSet<String> = OPENINGS.iter().map(|unit| (*unit).to_owned()).collect();
        let whole: String = lines.values().map(String::as_str).collect();
        units.extend(lines.values().flat_map(|line| numbered(line)));
        units.extend(numbered(&whole));
        for unit in units.iter().filter(|unit| !unit.is_empty()) {
            let times = LENGTH.div_ceil(unit.len());
            inputs.insert(join_grown(times, place, unit.as_bytes()));
        }
    }
    inputs.into_iter().collect()
}

/// The place of the first recording that has the same question of the same probe.
fn anywhere<T>(place: &Place, known: &BTreeMap<Place, T>) -> Place {
    let same = |other: &&Place| match (place, other) {
        (
            Place::Host {
                probe, question, ..
            },
            Place::Host {
                probe: other,
                question: asked,
                ..
            },
        ) => probe == other && question == asked,
        _ => *other == place,
    };
    known.keys().find(same).unwrap_or(place).clone()
}

/// Lines that begin alike are of one kind.
fn kind(line: &str) -> String {
    let word = |c: char| !c.is_alphanumeric();
    let first = line.trim_start().split(word).next().unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    format!("{indent} {first}")
}

/// A line with a running number behind its first word, its last one, or all of them.
fn numbered(line: &str) -> Vec<String> {
    let line = line.replace('#', ";");
    let is_end = |(at, byte): &(usize, u8)| {
        byte.is_ascii_alphanumeric()
            && !line
                .as_bytes()
                .get(at + 1)
                .is_some_and(u8::is_ascii_alphanumeric)
    };
    let ends: Vec<usize> = line
        .bytes()
        .enumerate()
        .filter(is_end)
        .map(|(at, _)| at + 1)
        .collect();
    let mark = |ends: &[usize]| {
        let mut marked = String::new();
        let mut done = 0;
        for end in ends {
            marked.push_str(line.get(done..*end).unwrap_or_default());
            marked.push('#');
            done = *end;
        }
        marked.push_str(line.get(done..).unwrap_or_default());
        marked
    };
    let first = ends.first().copied().into_iter().collect::<Vec<_>>();
    let last = ends.last().copied().into_iter().collect::<Vec<_>>();
    vec![line.clone(), mark(&first), mark(&last), mark(&ends)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered() {
        assert_eq!(
            numbered("a=b c\n"),
            ["a=b c\n", "a#=b c\n", "a=b c#\n", "a#=b# c#\n"]
        );
    }

    #[test]
    fn every_kind_of_line_grows() {
        let seed = b"a/b sshd content /x\nPort 22\nPort 23\nMatch all\n".to_vec();
        let inputs = grown(&[seed]);
        let texts: Vec<String> = inputs
            .iter()
            .map(|input| String::from_utf8_lossy(input).into_owned())
            .collect();
        assert!(
            texts
                .iter()
                .any(|text| text.ends_with("content /x\nPort# 22\n"))
        );
        assert!(
            texts
                .iter()
                .any(|text| text.ends_with("content /x\nMatch all#\n"))
        );
        assert!(!texts.iter().any(|text| text.ends_with("\nPort# 23\n")));
    }
}
