//! Patterns of keys, as glob(7) of sysctl.d(5) takes them.

/// Whether a pattern of glob(7) with `*` and `?` matches a whole path; neither crosses a `/`. A class in brackets
/// matches nothing here, which leaves its key unset.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            let mut left = path;
            loop {
                if matches(rest, left) {
                    return true;
                }
                match left.split_first() {
                    Some((byte, after)) if *byte != b'/' => left = after,
                    _ => return false,
                }
            }
        }
        (Some((b'[', rest)), Some((byte, after))) if rest.contains(&b']') => {
            let end = rest.iter().skip(1).position(|byte| *byte == b']');
            let (set, rest) = rest.split_at(end.map_or(0, |at| at + 1));
            *byte != b'/' && in_set(set, *byte) && matches(rest.get(1..).unwrap_or_default(), after)
        }
        (Some((b'?', rest)), Some((byte, after))) => *byte != b'/' && matches(rest, after),
        (Some((wanted, rest)), Some((byte, after))) => wanted == byte && matches(rest, after),
        _ => false,
    }
}

/// A name that a pattern of names matches: of each set its first letter, the stars as they are.
pub(super) fn one_of(pattern: &str) -> String {
    let mut parts = pattern.split('[');
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((set, rest)) => {
                found.extend(set.chars().next());
                found.push_str(rest);
            }
            None => found.push_str(part),
        }
    }
    found
}

/// Whether a set of fnmatch(3), without its brackets, has a letter.
fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, set) = match set.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut left = set;
    let mut found = false;
    loop {
        left = match left {
            [first, b'-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                rest
            }
            [] => return found != negated,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_do_not_cross_directories() {
        assert!(matches(b"net/*/x", b"net/a/x"));
        assert!(!matches(b"net/*/x", b"net/a/b/x"));
        assert!(matches(b"*", b""));
        assert!(matches(b"a?c", b"abc") && !matches(b"a?c", b"a/c"));
        assert!(matches(b"[ab]", b"a"));
    }
}
