//! The order of Debian package versions (deb-version(7)).

use std::cmp::Ordering;

/// Compares two versions as dpkg does: epoch, upstream version, revision; `~` sorts before the end of a part.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_upstream, a_revision) = parts(a);
    let (b_epoch, b_upstream, b_revision) = parts(b);
    compare_part(a_epoch, b_epoch)
        .then_with(|| compare_part(a_upstream, b_upstream))
        .then_with(|| compare_part(a_revision, b_revision))
}

/// Epoch, upstream version and revision; what is absent is empty, which sorts as 0 does.
fn parts(version: &str) -> (&[u8], &[u8], &[u8]) {
    let version = version.trim();
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

/// Runs of other characters and runs of digits are compared in turn, until one differs.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split_run(a, |byte| !byte.is_ascii_digit());
        let (b_text, b_rest) = split_run(b, |byte| !byte.is_ascii_digit());
        let (a_digits, a_next) = split_run(a_rest, u8::is_ascii_digit);
        let (b_digits, b_next) = split_run(b_rest, u8::is_ascii_digit);
        let order = compare_text(a_text, b_text).then_with(|| compare_number(a_digits, b_digits));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_next, b_next);
    }
    Ordering::Equal
}

fn split_run(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let length = bytes
        .iter()
        .position(|byte| !belongs(byte))
        .unwrap_or(bytes.len());
    bytes.split_at(length)
}

fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Compares digits as numbers of any size.
fn compare_number(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        digits
            .iter()
            .position(|digit| *digit != b'0')
            .unwrap_or(digits.len())
    };
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traps_of_version_order() {
        for (less, more) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0+deb12u1"),
            ("9.9", "1:0.1"),
            ("1.9", "1.10"),
            ("1.0-1", "1.0-1.1"),
            ("1.0a", "1.0+"),
            ("2.36-9+deb12u9", "2.36-9+deb12u10"),
            ("1.0-1~deb12u1", "1.0-1"),
            ("6.1.99-1", "6.1.119-1"),
        ] {
            assert_eq!(compare(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(compare(more, less), Ordering::Greater, "{more} {less}");
        }
        for (a, b) in [
            ("1.0", "0:1.0"),
            ("1.0-0", "1.0"),
            ("1.00", "1.0"),
            ("1.0-", "1.0"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        assert_eq!(compare("", "\u{fffd}"), Ordering::Less);
    }

    /// dpkg itself is the judge, over versions made of the pieces on which implementations differ.
    #[test]
    fn the_order_is_that_of_dpkg() {
        let dpkg = "/usr/bin/dpkg";
        assert!(
            std::path::Path::new(dpkg).exists(),
            "this test compares with {dpkg}; run it on Debian or Ubuntu"
        );
        let pieces = [
            "0", "1", "9", "10", "01", "a", "Z", "~", "+", ".", "-1", "-", "~~", "rc",
        ];
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let mut make = || {
            let mut version = String::new();
            if random(4) == 0 {
                version.push_str(["0:", "1:", "10:"][random(3)]);
            }
            version.push_str(["1", "2", "0"][random(3)]);
            for _ in 0..random(5) {
                version.push_str(pieces[random(pieces.len())]);
            }
            version.trim_end_matches('-').to_owned()
        };
        let pairs: Vec<(String, String)> = (0..400).map(|_| (make(), make())).collect();
        // One shell asks for all pairs: a process for each would be most of the time of the test.
        let script: String = pairs
            .iter()
            .map(|(a, b)| {
                format!("if {dpkg} --compare-versions '{a}' lt '{b}'; then echo l; elif {dpkg} --compare-versions '{a}' eq '{b}'; then echo e; else echo g; fi\n")
            })
            .collect();
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .stderr(std::process::Stdio::null())
            .output()
            .unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), pairs.len());
        for ((a, b), answer) in pairs.iter().zip(answers) {
            let ours = match compare(a, b) {
                Ordering::Less => "l",
                Ordering::Equal => "e",
                Ordering::Greater => "g",
            };
            assert_eq!(ours, answer, "{a} {b}");
        }
    }
}
