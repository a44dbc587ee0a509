//! What looks like a secret and therefore never leaves the host. Too much is withheld rather than too little.

/// Parts of names behind which secrets stand.
const NAMES: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "cookie",
    "salt",
    "seed",
    "private",
    "auth",
    "pin",
    "hash",
    "dsn",
    "connection",
];
/// Values that tell nothing but on or off, whatever their name: `PasswordAuthentication no`.
const PLAIN: &[&str] = &[
    "", "yes", "no", "true", "false", "on", "off", "0", "1", "none", "enabled", "disabled",
];
/// Longest value told.
const MAX_VALUE_BYTES: usize = 1024;

/// Whether a value must not be told.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    let value = value.trim();
    if PLAIN.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part))
        || value.len() > MAX_VALUE_BYTES
        || value.contains("-----BEGIN")
        || is_crypt_hash(value)
        || names_a_password(value)
}

/// crypt(5): `$id$salt$hash`.
fn is_crypt_hash(value: &str) -> bool {
    value.starts_with('$') && value.matches('$').count() >= 2
}

/// An address with `user:password@`, or words such as `password=…` within a value.
fn names_a_password(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let authority = |rest: &str| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        rest.get(..end)
            .is_some_and(|authority| authority.contains('@'))
    };
    lower.split("://").skip(1).any(authority)
        || ["pass", "pwd", "secret", "token", "key"]
            .iter()
            .any(|word| {
                lower.match_indices(word).any(|(start, _)| {
                    let rest = lower.get(start..).unwrap_or_default();
                    let after = rest.trim_start_matches(|c: char| {
                        c.is_ascii_alphanumeric() || c == '_' || c == '-'
                    });
                    after.trim_start().starts_with(['=', ':'])
                })
            })
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn secrets_are_known_by_name_or_value() {
        for (name, value) in [
            ("db.password", "x"),
            ("DB_PASSWD", "x"),
            ("apiKey", "abc"),
            ("session_token", "abc"),
            ("url", "postgres://app:hunter2@db/app"),
            ("url", "redis://:hunter2@cache:6379"),
            ("dsn", "host=db password=hunter2"),
            ("options", "user=app;Password = hunter2"),
            ("extra", "--api-key=abc"),
            ("line", "-----BEGIN PRIVATE KEY-----"),
            ("root", "$6$abc$def"),
            ("root", "$y$j9T$abc$def"),
            ("long", &"x".repeat(1025)),
        ] {
            assert!(is_secret(name, value), "{name} {value}");
        }
    }

    #[test]
    fn what_is_no_secret_is_told() {
        for (name, value) in [
            ("passwordauthentication", "no"),
            ("server.port", "8443"),
            ("url", "https://db.example/app?x=1"),
            ("mail", "ops@example.com"),
            ("net.ipv4.ip_forward", "0"),
            ("log.level", "info"),
            ("ciphers", "aes256-gcm@openssh.com,aes128-gcm@openssh.com"),
        ] {
            assert!(!is_secret(name, value), "{name} {value}");
        }
    }
}
