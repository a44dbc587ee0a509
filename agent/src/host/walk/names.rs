//! Paths as bytes, and how they are shown.

use std::fmt::Write as _;

/// A path as text: bytes outside UTF-8, control characters and backslashes become `\xNN`, so that no two paths look alike
/// and none can write to a terminal what it likes.
#[must_use]
pub fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                let mut bytes = [0; 4];
                escape(&mut text, c.encode_utf8(&mut bytes).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Appends a name to a path.
pub(super) fn push(path: &mut Vec<u8>, name: &[u8]) {
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// Order of a walk that takes the names of each directory in byte order: by the names, one by one.
pub(super) fn in_walk_order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    parts(a).cmp(parts(b))
}

/// The names of a path.
pub(super) fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
}

/// Whether `path` is `above` or lies below it.
pub(super) fn is_below(path: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn no_two_paths_look_alike_and_none_speaks_to_the_terminal() {
        assert_eq!(escaped("/größe".as_bytes()), "/größe");
        assert_eq!(escaped(b"/a\xff\xfeb"), "/a\\xff\\xfeb");
        assert_eq!(escaped(b"/a\\xff"), "/a\\x5cxff");
        assert_eq!(escaped(b"/\x1b[2J\n"), "/\\x1b[2J\\x0a");
        assert_eq!(escaped("\u{9b}1m".as_bytes()), "\\xc2\\x9b1m");
        assert_eq!(escaped(b"\xe2\x82"), "\\xe2\\x82");
    }

    #[test]
    fn a_walk_takes_a_directory_before_its_neighbour_with_a_longer_name() {
        assert_eq!(in_walk_order(b"/a/z", b"/a-b"), Ordering::Less);
        assert_eq!(in_walk_order(b"/a", b"/a/b"), Ordering::Less);
        assert_eq!(in_walk_order(b"/", b"/a"), Ordering::Less);
    }

    #[test]
    fn below_is_by_whole_names() {
        assert!(is_below(b"/var/lib", b"/var") && is_below(b"/var", b"/var"));
        assert!(is_below(b"/var", b"/") && !is_below(b"/variable", b"/var"));
    }
}
