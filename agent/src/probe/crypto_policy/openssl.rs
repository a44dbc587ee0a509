//! OpenSSL's configuration file, config(5SSL), as far as it decides about TLS: only what the chain `openssl_conf` →
//! `ssl_conf` → `system_default` leads to takes effect, and a value that the library does not know is passed over.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

/// Deepest nesting of included files, and most of them.
const MAX_DEPTH: usize = 8;
const MAX_INCLUDED: usize = 64;

/// A version of the protocol as MinProtocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    /// No limit at all.
    None,
    /// SSL 3.0.
    Ssl3,
    /// TLS 1.0.
    Tls1_0,
    /// TLS 1.1.
    Tls1_1,
    /// TLS 1.2.
    Tls1_2,
    /// TLS 1.3.
    Tls1_3,
}

/// What the system default sets; nothing where the library's compiled defaults stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effective {
    pub min_protocol: Option<Protocol>,
    pub security_level: Option<i64>,
}

/// Assignments by section, in order: OpenSSL executes those of TLS one after the other.
type Sections = BTreeMap<String, Vec<(String, String)>>;

/// What a configuration makes effective; `None` if the file is not there.
pub(super) fn effective(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Option<Effective>, Unobservable> {
    if observation.stat(path)?.is_none() {
        return Ok(None);
    }
    let mut reader = Reader {
        sections: Sections::new(),
        section: "default".to_owned(),
        left: MAX_INCLUDED,
    };
    reader.file(observation, path, 0)?;
    Ok(Some(of_sections(&reader.sections)))
}

fn of_sections(sections: &Sections) -> Effective {
    let last = |section: &str, name: &str| {
        sections
            .get(section)?
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let system_default = last("default", "openssl_conf")
        .and_then(|init| last(&init, "ssl_conf"))
        .and_then(|ssl| last(&ssl, "system_default"));
    let mut effective = Effective::default();
    let commands = system_default.and_then(|section| sections.get(&section));
    for (name, value) in commands.into_iter().flatten() {
        // `TLS.MinProtocol`: what stands before the last dot only keeps names apart.
        let command = name.rsplit('.').next().unwrap_or(name);
        if command.eq_ignore_ascii_case("MinProtocol") {
            effective.min_protocol = protocol(value).or(effective.min_protocol);
        } else if command.eq_ignore_ascii_case("CipherString") {
            effective.security_level = security_level(value).or(effective.security_level);
        }
    }
    effective
}

/// The names that SSL_CONF_cmd(3) knows for TLS, in this very case; those of DTLS set nothing for TLS.
fn protocol(value: &str) -> Option<Protocol> {
    match value {
        "None" => Some(Protocol::None),
        "SSLv3" => Some(Protocol::Ssl3),
        "TLSv1" => Some(Protocol::Tls1_0),
        "TLSv1.1" => Some(Protocol::Tls1_1),
        "TLSv1.2" => Some(Protocol::Tls1_2),
        "TLSv1.3" => Some(Protocol::Tls1_3),
        _ => None,
    }
}

/// The level of the last `@SECLEVEL=n` of a cipher string, 0 to 5.
fn security_level(ciphers: &str) -> Option<i64> {
    ciphers
        .split([':', ',', ' '])
        .flat_map(|word| word.split('@').skip(1))
        .filter_map(|word| word.strip_prefix("SECLEVEL="))
        .filter_map(|level| level.parse().ok())
        .filter(|level| (0..=5).contains(level))
        .last()
}

struct Reader {
    sections: Sections,
    section: String,
    left: usize,
}

impl Reader {
    fn file(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        if depth > MAX_DEPTH || self.left == 0 {
            return Err(Unobservable::unparsable(path, "includes too many files"));
        }
        self.left -= 1;
        let text = observation.required_text(path)?;
        for line in lines(&text) {
            if let Some(included) = include(&line) {
                let included = self.expand(&included);
                self.include(observation, path, &included, depth)?;
            } else {
                self.line(&line);
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        observation: &mut Observation<'_>,
        from: &str,
        included: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        if !included.starts_with('/') {
            let problem = format!("includes {included:.200}, which is no absolute path");
            return Err(Unobservable::unparsable(from, problem));
        }
        let is_directory = observation
            .stat(included)?
            .is_some_and(|stat| stat.kind == FileKind::Directory);
        if !is_directory {
            return self.file(observation, included, depth + 1);
        }
        for entry in observation.list(included)?.unwrap_or_default() {
            if entry.name.ends_with(".cnf") || entry.name.ends_with(".conf") {
                self.file(
                    observation,
                    &format!("{included}/{}", entry.name),
                    depth + 1,
                )?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix('[') {
            self.section = rest.split(']').next().unwrap_or(rest).trim().to_owned();
            return;
        }
        let Some((name, value)) = line.split_once('=') else {
            return;
        };
        let (section, name) = match name.trim().split_once("::") {
            Some((section, name)) => (section.to_owned(), name.to_owned()),
            None => (self.section.clone(), name.trim().to_owned()),
        };
        let value = self.expand(&unquote(value.trim()));
        self.sections
            .entry(section)
            .or_default()
            .push((name, value));
    }

    /// Puts values in place of `$name`, `${name}`, `$(name)` and `$section::name`.
    fn expand(&self, value: &str) -> String {
        let mut expanded = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let (name, tail) = match after.chars().next() {
                Some(open @ ('{' | '(')) => {
                    let close = if open == '{' { '}' } else { ')' };
                    after[1..].split_once(close).unwrap_or((&after[1..], ""))
                }
                _ => {
                    let end = after
                        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
                        .unwrap_or(after.len());
                    after.split_at(end)
                }
            };
            let (section, name) = name.split_once("::").unwrap_or((&self.section, name));
            let known = [section, "default"].iter().find_map(|section| {
                let assignments = self.sections.get(*section)?;
                assignments.iter().rev().find(|(known, _)| known == name)
            });
            expanded.push_str(known.map_or("", |(_, value)| value));
            rest = tail;
            // A value that grows by its own expansion is no value anybody means.
            if expanded.len() > 64 * 1024 {
                return String::new();
            }
        }
        expanded.push_str(rest);
        expanded
    }
}

/// The path of a line `.include path` or `.include = path`.
fn include(line: &str) -> Option<String> {
    let rest = line.strip_prefix(".include")?;
    let rest = rest.trim_start();
    let path = rest.strip_prefix('=').unwrap_or(rest).trim();
    (!path.is_empty()).then(|| unquote(path))
}

/// Lines without comments and blank ones; a backslash at the end joins a line with the next.
fn lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut joined = String::new();
    for line in text.lines() {
        let line = without_comment(line);
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        let whole = whole.trim();
        if !whole.is_empty() {
            found.push(whole.to_owned());
        }
    }
    if !joined.trim().is_empty() {
        found.push(joined.trim().to_owned());
    }
    found
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (None, '#') => return line[..at].trim_end(),
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    line.trim_end()
}

fn unquote(value: &str) -> String {
    let mut plain = String::new();
    let mut escaped = false;
    for c in value.chars() {
        match c {
            _ if escaped => {
                plain.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' | '\'' | '`' => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Effective {
        let mut reader = Reader {
            sections: Sections::new(),
            section: "default".to_owned(),
            left: 1,
        };
        for line in lines(text) {
            reader.line(&line);
        }
        of_sections(&reader.sections)
    }

    const CHAIN: &str =
        "openssl_conf = init # x\n[init]\nssl_conf=ssl\n[ssl]\nsystem_default = tls\n[tls]\n";

    #[test]
    fn only_what_the_chain_reaches_counts() {
        let weak = "MinProtocol = TLSv1\nCipherString = DEFAULT:@SECLEVEL=0\n";
        let found = of(&format!("{CHAIN}{weak}"));
        assert_eq!(found.min_protocol, Some(Protocol::Tls1_0));
        assert_eq!(found.security_level, Some(0));
        let dead = of(&format!(
            "openssl_conf = init\n[init]\n[system_default_sect]\n{weak}"
        ));
        assert_eq!(dead, Effective::default());
        let commented = of(&format!("#{CHAIN}{weak}").replacen("\n[tls]", "\n[tls2]", 1));
        assert_eq!(commented, Effective::default());
    }

    #[test]
    fn values_that_openssl_does_not_know_set_nothing() {
        let found = of(&format!(
            "{CHAIN}TLS.MinProtocol = TLSv1.2\nDTLS.MinProtocol = DTLSv1.2\nMinProtocol = tlsv1\nCipherString = @SECLEVEL=2:kEECDH:-aDSS\n"
        ));
        assert_eq!(found.min_protocol, Some(Protocol::Tls1_2));
        assert_eq!(found.security_level, Some(2));
        assert_eq!(security_level("DEFAULT@SECLEVEL=1"), Some(1));
        assert_eq!(security_level("DEFAULT@SECLEVEL=9"), None);
    }

    #[test]
    fn variables_comments_and_joined_lines_are_read_as_openssl_does() {
        let text = "low = TLSv1.1\n".to_owned()
            + &CHAIN.replace("= tls\n", "= \\\n  tls\n")
            + "mine = \"x#y\"\nminprotocol = $low # TLSv1.3\n";
        assert_eq!(of(&text).min_protocol, Some(Protocol::Tls1_1));
        let elsewhere = format!("{CHAIN}[other]\ntls::MinProtocol = ${{low}}None\n");
        assert_eq!(of(&elsewhere).min_protocol, Some(Protocol::None));
    }

    #[test]
    fn hostile_text_ends() {
        for text in [
            "[",
            "=",
            "$",
            "a=${",
            "a=$($(\n",
            "\\\n\\",
            "[[]]\n=\n.include",
            "a = '\n#",
        ] {
            assert_eq!(of(text), Effective::default(), "{text:?}");
        }
        let mut growing = "a = xxxxxxxxxxxxxxxx\n".to_owned();
        for _ in 0..200 {
            growing.push_str("a = $a$a\n");
        }
        assert_eq!(of(&growing), Effective::default());
    }
}
