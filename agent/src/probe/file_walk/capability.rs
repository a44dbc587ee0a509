//! The extended attribute `security.capability`: struct vfs_cap_data of linux/capability.h, capabilities(7).

use crate::probe::capability;

const EFFECTIVE: u32 = 1;

/// Capabilities of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// As setcap(8) takes them, for example `cap_net_raw=ep`; permitted and inheritable sets that differ one after the
    /// other.
    pub text: String,
    /// The user id, outside, of root in the user namespace that they hold in; 0 is this host's own.
    pub root: u32,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Capabilities, String> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let wrong = || "capabilities of unknown form".to_owned();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let (permitted, inheritable, magic, root) = match *words.as_slice() {
        [magic, p, i] if magic >> 24 == 1 => (wide(p, 0), wide(i, 0), magic, 0),
        [magic, p, i, p2, i2] if magic >> 24 == 2 => (wide(p, p2), wide(i, i2), magic, 0),
        [magic, p, i, p2, i2, root] if magic >> 24 == 3 => (wide(p, p2), wide(i, i2), magic, root),
        _ => return Err(wrong()),
    };
    let effective = if magic & EFFECTIVE != 0 { "e" } else { "" };
    let both = permitted & inheritable;
    let sets = [
        (both, format!("{effective}ip")),
        (permitted & !both, format!("{effective}p")),
        (inheritable & !both, "i".to_owned()),
    ];
    let shown: Vec<String> = sets
        .iter()
        .filter(|(set, _)| *set != 0)
        .map(|(set, flags)| format!("{}={flags}", names(*set)))
        .collect();
    let mut text = if shown.is_empty() {
        "=".to_owned()
    } else {
        shown.join(" ")
    };
    if root != 0 {
        text = format!("{text} [rootid={root}]");
    }
    Ok(Capabilities { text, root })
}

fn names(set: u64) -> String {
    let names = capability::names(set).into_iter();
    let names: Vec<String> = names.map(|name| format!("cap_{name}")).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As setcap(8) 2.66 wrote them and getcap(8) showed them.
    #[test]
    fn sets_are_read_as_getcap_shows_them() {
        let bytes = hex::decode("0100000200200000000000000000000000000000").unwrap();
        let found = parse(&bytes).unwrap();
        assert_eq!((found.text.as_str(), found.root), ("cap_net_raw=ep", 0));
        let bytes = hex::decode("000000020004000000300000000000000000000000").unwrap();
        assert!(parse(&bytes).is_err());
        let bytes = hex::decode("010000030020000000000000000000000000000040420f00").unwrap();
        let found = parse(&bytes).unwrap();
        assert_eq!(found.text, "cap_net_raw=ep [rootid=1000000]");
        assert_eq!(found.root, 1_000_000);
    }

    #[test]
    fn other_bytes_are_refused_and_none_panics() {
        for length in 0..40 {
            for first in [0, 1, 2, 3, 0xff] {
                let mut bytes = vec![0xff; length];
                if let Some(byte) = bytes.get_mut(3) {
                    *byte = first;
                }
                let form = matches!((length, first), (12, 1) | (20, 2) | (24, 3));
                assert_eq!(parse(&bytes).is_ok(), form, "{length} {first}");
            }
        }
    }
}
