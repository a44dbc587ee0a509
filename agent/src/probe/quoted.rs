//! What a message may repeat of a file. A link or a slip of a hand can put any file where a probe expects
//! configuration, `/etc/shadow` and private keys among them, and outcomes leave the host.

use serde_json::Value;

/// Longest word that is repeated: the keywords of every configuration that probes read are shorter.
const MAX_WORD: usize = 32;
/// What stands in the place of a hash of a password.
const WITHHELD: &str = "(hash of a password, withheld)";
/// Names that crypt(5), or what Apache and LDAP made of it, put between the dollar signs before a salt.
const METHODS: [&str; 17] = [
    "1", "2", "2a", "2b", "2x", "2y", "3", "5", "6", "7", "y", "gy", "md5", "sha1", "apr1",
    "argon2i", "argon2id",
];
/// Fields of a line of shadow(5).
const SHADOW_FIELDS: usize = 9;
/// Fewest characters of salt and hash behind the name of a method.
const MIN_HASH: usize = 8;

/// A word of a file as a message may repeat it: a keyword in quotes, anything else by its length alone.
pub(super) fn quoted(word: &str) -> String {
    let is_keyword = !word.is_empty()
        && word.len() <= MAX_WORD
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_keyword {
        format!("{word:?}")
    } else {
        format!("a text of {} characters", word.chars().count())
    }
}

/// Facts without anything in them that has the form of a password's hash: no probe means to tell one.
pub(super) fn withhold(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(clean) = without_hashes(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(withhold),
        Value::Object(members) => members.values_mut().for_each(withhold),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with each hash replaced; `None` if it holds none.
pub(super) fn without_hashes(text: &str) -> Option<String> {
    let lines = without_shadow_lines(text);
    let hashes = without_crypt(lines.as_deref().unwrap_or(text));
    hashes.or(lines)
}

/// Lines of shadow(5) as a whole: a hash of the oldest form has nothing that tells it from a word.
fn without_shadow_lines(text: &str) -> Option<String> {
    if text.matches(':').count() < SHADOW_FIELDS - 1 {
        return None;
    }
    let mut clean = String::new();
    let mut found = false;
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')) {
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        let fields: Vec<&str> = word.split(':').collect();
        let days = fields.get(2..SHADOW_FIELDS - 1).unwrap_or_default();
        let is_line = fields.len() == SHADOW_FIELDS
            && fields.get(1).is_some_and(|hash| !hash.is_empty())
            && days
                .iter()
                .all(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        if is_line {
            clean.push_str(WITHHELD);
            clean.push_str(piece.get(word.len()..).unwrap_or_default());
            found = true;
        } else {
            clean.push_str(piece);
        }
    }
    found.then_some(clean)
}

fn without_crypt(text: &str) -> Option<String> {
    let mut clean = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        clean.push_str(before);
        match hash_length(from) {
            Some(length) => {
                clean.push_str(WITHHELD);
                rest = from.get(length..).unwrap_or_default();
                found = true;
            }
            None => {
                clean.push('$');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    clean.push_str(rest);
    found.then_some(clean)
}

/// How many bytes of a text that begins with `$` are a hash, if it begins with one.
fn hash_length(text: &str) -> Option<usize> {
    let (method, behind) = text.get(1..)?.split_once('$')?;
    if !METHODS.contains(&method) {
        return None;
    }
    let length = behind
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"./$=,+-".contains(byte))
        .count();
    (length >= MIN_HASH).then_some(method.len() + 2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keywords_are_repeated_and_nothing_else() {
        assert_eq!(quoted("PermitRootLogon"), "\"PermitRootLogon\"");
        for secret in [
            "root:$y$j9T$abcdefgh:19000:0:99999:7:::",
            "root:ab0123456789x:19000::::::",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
            "s3cret!",
            "",
        ] {
            assert!(
                quoted(secret).starts_with("a text of "),
                "{}",
                quoted(secret)
            );
        }
    }

    #[test]
    fn hashes_are_withheld_wherever_they_stand() {
        let mut facts = json!({
            "detail": "line 1: \"root:$6$salt$0123456789abcdefghijkl:19000\" is no keyword",
            "list": [{"a": "$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"}],
            "kept": ["$HOME/$6", "cost $2b$ 10", "a$6$short", "fe80::1:2:3:4:5:6", "a:b:c:d:e:f:g:h:i"],
            "old": "no rule: \"root:ab0123456789x:19000:0:99999:7:::\"",
        });
        withhold(&mut facts);
        assert_eq!(
            facts,
            json!({
                "detail": format!("line 1: \"root:{WITHHELD}:19000\" is no keyword"),
                "list": [{"a": WITHHELD}],
                "kept": ["$HOME/$6", "cost $2b$ 10", "a$6$short", "fe80::1:2:3:4:5:6", "a:b:c:d:e:f:g:h:i"],
                "old": format!("no rule: \"{WITHHELD}\""),
            })
        );
    }
}
