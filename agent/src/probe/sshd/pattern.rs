//! The patterns of sshd_config(5), PATTERNS of ssh_config(5), and of glob(7) for `Include`.

use std::net::IpAddr;

/// What a list of patterns says of a name or address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    /// A pattern matches and no negated one does.
    Yes,
    /// A negated pattern matches.
    Negated,
    /// None matches.
    No,
}

/// Matches `*` and `?` against a whole name.
pub(super) fn matches(name: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // One state a pattern character, moved along together: no pattern makes this slower than length by length.
    let mut states = vec![false; pattern.len() + 1];
    states[0] = true;
    skip_stars(&pattern, &mut states);
    for c in name.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, element) in pattern.iter().enumerate().filter(|(at, _)| states[*at]) {
            match element {
                '*' => next[at] = true,
                '?' => next[at + 1] = true,
                literal => next[at + 1] |= *literal == c,
            }
        }
        skip_stars(&pattern, &mut next);
        states = next;
    }
    states[pattern.len()]
}

/// A star may match nothing.
fn skip_stars(pattern: &[char], states: &mut [bool]) {
    for (at, element) in pattern.iter().enumerate() {
        if *element == '*' && states[at] {
            states[at + 1] = true;
        }
    }
}

/// Matches a comma-separated list with `!`; a match of a negated pattern decides at once.
pub(super) fn list(name: &str, patterns: &str) -> Matched {
    let mut found = Matched::No;
    for item in patterns.split(',') {
        let (negated, pattern) = negation(item);
        if matches(name, pattern) {
            if negated {
                return Matched::Negated;
            }
            found = Matched::Yes;
        }
    }
    found
}

/// Splits `!` off.
pub(super) fn negation(item: &str) -> (bool, &str) {
    match item.strip_prefix('!') {
        Some(pattern) => (true, pattern),
        None => (false, item),
    }
}

/// An address pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AddressPattern {
    /// A network (or a single address) and its prefix length.
    Network(IpAddr, u8),
    /// Wildcards over the text form.
    Wildcard(String),
}

impl AddressPattern {
    /// Reads one pattern without `!`.
    ///
    /// # Errors
    /// A sentence for what sshd refuses: a prefix that is too long or a network with host bits.
    pub(super) fn parse(text: &str) -> Result<AddressPattern, String> {
        if text.is_empty() {
            return Err("an empty address pattern".to_owned());
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            // inet_aton(3) reads 127.1 and 0x7f000001 as addresses; rather than guess, such spellings are refused.
            if !text.contains(['*', '?', ':', '/'])
                && text
                    .split('.')
                    .all(|part| part.starts_with(|c: char| c.is_ascii_digit()))
            {
                return Err("an unusual spelling of an address".to_owned());
            }
            return Ok(AddressPattern::Wildcard(text.to_owned()));
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let Some(prefix) = prefix else {
            return Ok(AddressPattern::Network(address, longest));
        };
        let length = prefix
            .parse::<u8>()
            .ok()
            .filter(|length| *length <= longest)
            .ok_or("an address has no usable prefix length")?;
        if first(address, length) != address {
            return Err("an address has bits set behind its prefix".to_owned());
        }
        Ok(AddressPattern::Network(address, length))
    }

    fn matches(&self, text: &str, address: Option<IpAddr>) -> bool {
        match self {
            AddressPattern::Network(network, length) => address.is_some_and(|address| {
                address.is_ipv4() == network.is_ipv4() && first(address, *length) == *network
            }),
            AddressPattern::Wildcard(pattern) => matches(text, pattern),
        }
    }
}

/// Matches an address against a list.
///
/// # Errors
/// As [`AddressPattern::parse`].
pub(super) fn address_list(text: &str, patterns: &str) -> Result<Matched, String> {
    let address = text.parse().ok();
    let mut found = Matched::No;
    for item in patterns.split(',') {
        let (negated, pattern) = negation(item);
        if AddressPattern::parse(pattern)?.matches(text, address) {
            if negated {
                return Ok(Matched::Negated);
            }
            found = Matched::Yes;
        }
    }
    Ok(found)
}

/// The first address of the network of that prefix length.
pub(super) fn first(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

/// The last address of the network of that prefix length.
pub(super) fn last(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let hosts = u32::MAX.checked_shr(u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(v4) | hosts).into())
        }
        IpAddr::V6(v6) => {
            let hosts = u128::MAX
                .checked_shr(u32::from(length.min(128)))
                .unwrap_or(0);
            IpAddr::V6((u128::from(v6) | hosts).into())
        }
    }
}

/// Matches one part of a path by glob(7): `*`, `?`, `[…]`, backslash; a leading dot only by a leading dot.
pub(super) fn glob_part(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    glob(&name, &pattern)
}

fn glob(name: &[char], pattern: &[char]) -> bool {
    // Backtracks to the last star only, which suffices because a later star matches whatever an earlier one could.
    let (mut n, mut p) = (0, 0);
    let mut star = None;
    loop {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) if n < name.len() => {
                if let Some(next) = one(name.get(n).copied(), pattern, p) {
                    n += 1;
                    p = next;
                    continue;
                }
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match star {
            Some((at, from)) if from < name.len() => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
}

/// The position behind one pattern element if it matches the character.
fn one(c: Option<char>, pattern: &[char], p: usize) -> Option<usize> {
    let c = c?;
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match bracket(c, pattern, p) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            None => (c == '[').then_some(p + 1),
        },
        '\\' => {
            let literal = pattern.get(p + 1).copied().unwrap_or('\\');
            (literal == c).then_some(p + 2)
        }
        literal => (*literal == c).then_some(p + 1),
    }
}

/// Whether a bracket expression matches, and where it ends; `None` if it does not end.
fn bracket(c: char, pattern: &[char], p: usize) -> Option<(bool, usize)> {
    let mut at = p + 1;
    let negated = matches!(pattern.get(at), Some('!' | '^'));
    if negated {
        at += 1;
    }
    let start = at;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > start {
            return Some((found != negated, at + 1));
        }
        if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|c| *c != ']') {
            let high = *pattern.get(at + 2)?;
            found |= low <= c && c <= high;
            at += 3;
        } else {
            found |= low == c;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_match_c() {
        for (name, pattern, expected) in [
            ("bob", "b*b", true),
            ("bob", "b?b", true),
            ("bob", "bo", false),
            ("", "", true),
            ("", "*", true),
            ("abcabc", "*abc", true),
            ("a", "**a**", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(name, pattern), expected, "{name} {pattern}");
        }
        assert!(!matches(
            &"a".repeat(2000),
            &format!("{}b", "a*".repeat(500))
        ));
        assert_eq!(list("bob", "*,!bob"), Matched::Negated);
        assert_eq!(list("bob", "!bob,*"), Matched::Negated);
        assert_eq!(list("al", "!bob"), Matched::No);
    }

    #[test]
    fn addresses_match_by_prefix_or_text() {
        assert_eq!(
            address_list("10.1.2.3", "10.0.0.0/8,!10.1.0.0/16"),
            Ok(Matched::Negated)
        );
        assert_eq!(
            address_list("10.2.2.3", "10.0.0.0/8,!10.1.0.0/16"),
            Ok(Matched::Yes)
        );
        assert_eq!(address_list("2001:db8::1", "0.0.0.0/0"), Ok(Matched::No));
        assert_eq!(
            address_list("2001:db8::1", "2001:DB8::/32"),
            Ok(Matched::Yes)
        );
        assert_eq!(address_list("192.168.1.7", "192.168.1.*"), Ok(Matched::Yes));
        assert!(address_list("10.1.2.3", "10.1.2.3/8").is_err());
        assert!(address_list("10.1.2.3", "10.0.0.0/33").is_err());
        assert!(address_list("10.1.2.3", "10.1").is_err());
        assert!(address_list("10.1.2.3", "").is_err());
        assert_eq!(
            last("10.0.0.0".parse().unwrap(), 8),
            "10.255.255.255".parse::<IpAddr>().unwrap()
        );
        assert_eq!(
            first("::1".parse().unwrap(), 0),
            "::".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn file_names_match_as_in_glob() {
        for (name, pattern, expected) in [
            ("a.conf", "*.conf", true),
            (".a.conf", "*.conf", false),
            ("a.conf~", "*.conf", false),
            ("50-x.conf", "[0-9]*.conf", true),
            ("x.conf", "[!0-9]*.conf", true),
            ("[x", "[x", true),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
            ("aXbXc", "a*b*c", true),
            ("ab", "a*b*c", false),
        ] {
            assert_eq!(glob_part(name, pattern), expected, "{name} {pattern}");
        }
    }
}
