//! The password field of shadow(5) and passwd(5): state, scheme and cost. The hash itself is never kept.

use schemars::JsonSchema;
use serde::Serialize;

/// What a password field lets happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::probe) enum State {
    /// Nothing in it: whoever asks is let in where PAM says `nullok`.
    Empty,
    /// Begins with `!` or `*`: no password fits.
    Locked,
    /// Text that no hashing method produces: no password fits.
    Unusable,
    /// A hash that a password can fit.
    Hash,
}

/// Hashing scheme, by the prefixes of crypt(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::probe) enum Scheme {
    /// `$y$`.
    Yescrypt,
    /// `$gy$`.
    GostYescrypt,
    /// `$7$`.
    Scrypt,
    /// `$6$`.
    Sha512,
    /// `$5$`.
    Sha256,
    /// `$2b$` and `$2y$`.
    Bcrypt,
    /// `$2a$` and `$2x$`, whose hashes may stem from a faulty implementation.
    BcryptLegacy,
    /// `$1$`.
    Md5,
    /// `$md5`.
    SunMd5,
    /// `$sha1`.
    Sha1,
    /// `$3$`.
    Nt,
    /// `_`.
    Bsdi,
    /// No prefix: the traditional 56-bit scheme.
    Des,
    /// A prefix that crypt(5) does not describe.
    Unknown,
}

/// A password field, classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) struct Password {
    /// What it lets happen.
    pub(in crate::probe) state: State,
    /// Scheme of a hash.
    pub(in crate::probe) scheme: Option<Scheme>,
    /// Rounds of SHA-crypt.
    pub(in crate::probe) rounds: Option<i64>,
    /// Logarithm to base 2 of the rounds of bcrypt.
    pub(in crate::probe) log_rounds: Option<i64>,
    /// Memory that one guess at yescrypt or scrypt takes, KiB.
    pub(in crate::probe) memory_kib: Option<i64>,
}

/// Rounds of SHA-crypt when the hash names none (crypt(5)).
const DEFAULT_ROUNDS: i64 = 5000;
/// The alphabet of crypt(5), in the order of its values.
const ALPHABET: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Password {
    /// Classifies the text of a password field.
    pub(in crate::probe) fn classify(field: &str) -> Password {
        let state = match field.chars().next() {
            None => State::Empty,
            Some('!' | '*') => State::Locked,
            Some('$' | '_') => State::Hash,
            Some(_) if is_traditional(field) => State::Hash,
            Some(_) => State::Unusable,
        };
        let mut password = Password {
            state,
            scheme: None,
            rounds: None,
            log_rounds: None,
            memory_kib: None,
        };
        if state == State::Hash {
            password.describe(field);
        }
        password
    }

    fn describe(&mut self, hash: &str) {
        let scheme = scheme(hash);
        let setting = hash
            .trim_start_matches('$')
            .split_once('$')
            .map_or("", |(_, rest)| rest);
        match scheme {
            Scheme::Sha256 | Scheme::Sha512 => self.rounds = sha_rounds(setting),
            Scheme::Bcrypt | Scheme::BcryptLegacy => {
                self.log_rounds = setting.split('$').next().and_then(|cost| cost.parse().ok());
            }
            Scheme::Yescrypt | Scheme::GostYescrypt => self.memory_kib = yescrypt_memory(setting),
            Scheme::Scrypt => self.memory_kib = scrypt_memory(setting),
            _ => {}
        }
        self.scheme = Some(scheme);
    }
}

/// A password field that is classified as this one and holds nothing of it but scheme and cost.
pub(crate) fn redacted_password(field: &str) -> String {
    let password = Password::classify(field);
    match password.state {
        State::Empty => String::new(),
        State::Locked => field.chars().take_while(|c| "!*".contains(*c)).collect(),
        // `x` in passwd(5) refers to shadow(5).
        State::Unusable if matches!(field, "x" | "NP") => field.to_owned(),
        State::Unusable => "no-hash".to_owned(),
        State::Hash => redacted_hash(field),
    }
}

fn redacted_hash(hash: &str) -> String {
    let mut parts = hash.split('$').skip(1);
    let (prefix, setting) = (parts.next().unwrap_or_default(), parts.next());
    let setting = setting.unwrap_or_default();
    match scheme(hash) {
        Scheme::Yescrypt | Scheme::GostYescrypt => format!("${prefix}${setting}$redacted$redacted"),
        // One character of log2 N, five each of r and p; the salt follows at once.
        Scheme::Scrypt => {
            let cost: String = setting.chars().take(11).collect();
            format!("$7${cost}redacted$redacted")
        }
        Scheme::Sha512 | Scheme::Sha256 if setting.starts_with("rounds=") => {
            format!("${prefix}${setting}$redacted$redacted")
        }
        Scheme::Bcrypt | Scheme::BcryptLegacy => format!("${prefix}${setting}$redacted"),
        Scheme::Sha512 | Scheme::Sha256 | Scheme::Md5 | Scheme::Nt | Scheme::Sha1 => {
            format!("${prefix}$redacted$redacted")
        }
        Scheme::SunMd5 => "$md5$redacted$redacted".to_owned(),
        Scheme::Bsdi => "_redacted".to_owned(),
        // As long as the shortest hash of this scheme.
        Scheme::Des => "redactedredac".to_owned(),
        Scheme::Unknown => "$redacted".to_owned(),
    }
}

fn scheme(hash: &str) -> Scheme {
    let Some(rest) = hash.strip_prefix('$') else {
        return if hash.starts_with('_') {
            Scheme::Bsdi
        } else {
            Scheme::Des
        };
    };
    // Sun's MD5 and NetBSD's SHA-1 carry their parameters before the next dollar sign.
    if rest.starts_with("md5") {
        return Scheme::SunMd5;
    }
    match rest.split('$').next().unwrap_or_default() {
        "y" => Scheme::Yescrypt,
        "gy" => Scheme::GostYescrypt,
        "7" => Scheme::Scrypt,
        "6" => Scheme::Sha512,
        "5" => Scheme::Sha256,
        "2b" | "2y" => Scheme::Bcrypt,
        "2a" | "2x" => Scheme::BcryptLegacy,
        "1" => Scheme::Md5,
        "sha1" => Scheme::Sha1,
        "3" => Scheme::Nt,
        _ => Scheme::Unknown,
    }
}

/// Traditional hashes have two characters of salt and eleven for each block of eight characters (more than one block is
/// pam_unix's bigcrypt).
fn is_traditional(field: &str) -> bool {
    field.len() >= 13
        && (field.len() - 2).is_multiple_of(11)
        && field.chars().all(|c| ALPHABET.contains(c))
}

fn sha_rounds(setting: &str) -> Option<i64> {
    match setting.strip_prefix("rounds=") {
        Some(rest) => rest.split('$').next()?.parse().ok(),
        None => Some(DEFAULT_ROUNDS),
    }
}

fn value(c: char) -> Option<u32> {
    ALPHABET.find(c).and_then(|at| u32::try_from(at).ok())
}

/// 128 bytes times N times r, as both scrypt and yescrypt define it.
fn memory_kib(log_n: u32, r: u32) -> Option<i64> {
    let bytes = 128_u64
        .checked_mul(1_u64.checked_shl(log_n)?)?
        .checked_mul(r.into())?;
    i64::try_from(bytes / 1024).ok()
}

/// `$7$`: one character of log2 N, five of r with the lowest bits first.
fn scrypt_memory(setting: &str) -> Option<i64> {
    let mut chars = setting.chars();
    let log_n = value(chars.next()?)?;
    let mut r: u32 = 0;
    for position in 0..5 {
        r |= value(chars.next()?)?.checked_shl(6 * position)?;
    }
    memory_kib(log_n, r)
}

/// `$y$`: flavour, log2 N and r in yescrypt's numbers of variable length.
fn yescrypt_memory(setting: &str) -> Option<i64> {
    let mut chars = setting.split('$').next()?.chars();
    variable(&mut chars, 0)?;
    let log_n = variable(&mut chars, 1)?;
    let r = variable(&mut chars, 1)?;
    memory_kib(log_n, r)
}

/// A number of yescrypt: the first character says how many follow, the highest bits come first.
fn variable(chars: &mut std::str::Chars<'_>, least: u32) -> Option<u32> {
    let first = value(chars.next()?)?;
    let (mut start, mut end, mut bits) = (0_u32, 47_u32, 0_u32);
    let mut number = least;
    while first > end {
        number = number.checked_add((end + 1 - start).checked_shl(bits)?)?;
        start = end + 1;
        end = start + 62_u32.checked_sub(end)? / 2;
        bits += 6;
    }
    number = number.checked_add((first - start).checked_shl(bits)?)?;
    while bits > 0 {
        bits -= 6;
        number = number.checked_add(value(chars.next()?)?.checked_shl(bits)?)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Salt and hash of every sample are cut: only what stands before them matters.
    #[test]
    fn schemes_and_costs_are_told_by_their_prefix() {
        let of = |field: &str| {
            let found = Password::classify(field);
            let cost = found.rounds.or(found.log_rounds).or(found.memory_kib);
            (found.scheme, cost)
        };
        for (field, scheme, cost) in [
            ("$y$j9T$salt$hash", Scheme::Yescrypt, Some(16384)),
            ("$y$j75$salt$hash", Scheme::Yescrypt, Some(1024)),
            ("$gy$j9T$salt$hash", Scheme::GostYescrypt, Some(16384)),
            ("$7$CU..../....salt$hash", Scheme::Scrypt, Some(65536)),
            ("$6$salt$hash", Scheme::Sha512, Some(5000)),
            ("$6$rounds=1000$salt$hash", Scheme::Sha512, Some(1000)),
            ("$6$rounds=lots$salt$hash", Scheme::Sha512, None),
            ("$5$salt$hash", Scheme::Sha256, Some(5000)),
            ("$2b$12$saltandhash", Scheme::Bcrypt, Some(12)),
            ("$2a$05$saltandhash", Scheme::BcryptLegacy, Some(5)),
            ("$1$salt$hash", Scheme::Md5, None),
            ("$3$$hash", Scheme::Nt, None),
            ("$md5,rounds=5000$salt$$hash", Scheme::SunMd5, None),
            ("$sha1$24680$salt$hash", Scheme::Sha1, None),
            ("_J9..salthash1234567", Scheme::Bsdi, None),
            ("abJnggxhB/yWI", Scheme::Des, None),
            ("$9$salt$hash", Scheme::Unknown, None),
            ("$", Scheme::Unknown, None),
            ("$y$", Scheme::Yescrypt, None),
            ("$y$zzzzzzzzzzzz$", Scheme::Yescrypt, None),
        ] {
            assert_eq!(of(field), (Some(scheme), cost), "{field}");
            let redacted = redacted_password(field);
            assert_eq!(of(&redacted), (Some(scheme), cost), "{redacted}");
            assert!(!redacted.contains("hash") && !redacted.contains("salt"));
        }
    }

    #[test]
    fn what_no_password_fits_is_no_hash() {
        for (field, state) in [
            ("", State::Empty),
            ("!", State::Locked),
            ("!*", State::Locked),
            ("*LK*", State::Locked),
            ("!$6$salt$hash", State::Locked),
            ("x", State::Unusable),
            ("NP", State::Unusable),
            ("no-password-here", State::Unusable),
            ("abcdefghijklmn", State::Unusable),
            ("\u{fffd}\u{fffd}\u{fffd}", State::Unusable),
        ] {
            let found = Password::classify(field);
            assert_eq!((found.state, found.scheme), (state, None), "{field}");
            let redacted = redacted_password(field);
            assert_eq!(Password::classify(&redacted), found, "{redacted}");
        }
    }
}
