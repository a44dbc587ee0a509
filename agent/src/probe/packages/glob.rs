//! Patterns of file names with `*` and `?`, as fnmatch(3) without flags: both match a slash too.

/// Whether a pattern covers a whole name.
#[must_use]
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // The last star, and how much of the name it covers so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_names() {
        for (pattern, name, expected) in [
            ("*", "baseos", true),
            ("base*", "baseos", true),
            ("*os", "baseos", true),
            ("b?se*s", "baseos", true),
            ("base", "baseos", false),
            ("", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*d", "aXbYbZc", false),
            ("/usr/share/doc/*", "/usr/share/doc/a/b", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
