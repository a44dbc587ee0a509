//! The formats of settings: text to values by name. Nothing is expanded, included or run.

use std::collections::BTreeMap;

use crate::host::SettingsFormat;

/// Values by name, in the order of the file.
type Settings = BTreeMap<String, Vec<String>>;

/// Deepest nesting of TOML and JSON that is followed.
const MAX_DEPTH: usize = 16;

/// The settings of a text; `None` if it is not written in this format.
pub(super) fn settings(format: SettingsFormat, text: &str) -> Option<Settings> {
    match format {
        SettingsFormat::Ini => ini(text),
        SettingsFormat::KeyValue => key_value(text),
        SettingsFormat::Toml => {
            let mut found = Settings::new();
            toml_values(
                "",
                &toml::Value::Table(toml::from_str(text).ok()?),
                &mut found,
                0,
            );
            Some(found)
        }
        SettingsFormat::Json => {
            let mut found = Settings::new();
            json_values("", &serde_json::from_str(text).ok()?, &mut found, 0);
            Some(found)
        }
        SettingsFormat::Sysctl => sysctl(text),
        SettingsFormat::Sshd => Some(sshd(text)),
    }
}

/// A name as [`settings`] spells it.
pub(super) fn spelled(format: SettingsFormat, name: &str) -> String {
    match format {
        SettingsFormat::Sshd => name.to_ascii_lowercase(),
        SettingsFormat::Sysctl => name.replace('/', "."),
        _ => name.to_owned(),
    }
}

fn add(found: &mut Settings, name: String, value: &str) {
    found.entry(name).or_default().push(value.to_owned());
}

fn joined(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

fn ini(text: &str) -> Option<Settings> {
    let mut found = Settings::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            section = rest.split_once(']')?.0.trim();
            continue;
        }
        // A name without a value is a flag, as in my.cnf(5).
        let (name, value) = match line.find(['=', ':']) {
            Some(at) => (line.get(..at)?, line.get(at + 1..)?),
            None => (line, ""),
        };
        add(
            &mut found,
            joined(section, name.trim()),
            unquoted(value.trim()),
        );
    }
    Some(found)
}

/// A value without the one pair of quotes around it.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    value
}

fn key_value(text: &str) -> Option<Settings> {
    let mut found = Settings::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        // A file with other lines is a program, whose settings only a shell could tell.
        let (name, value) = line.split_once('=')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        add(&mut found, name.to_owned(), &shell_word(value)?);
    }
    Some(found)
}

/// The first word of a shell's right-hand side; `None` if quotes do not end or a shell would expand something.
fn shell_word(text: &str) -> Option<String> {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            ('$' | '`', None | Some('"')) => return None,
            ('\\', None | Some('"')) => word.push(chars.next()?),
            (' ' | '\t', None) => {
                let rest = chars.as_str().trim_start();
                return (rest.is_empty() || rest.starts_with('#')).then_some(word);
            }
            (c, _) => word.push(c),
        }
    }
    quote.is_none().then_some(word)
}

fn toml_values(name: &str, value: &toml::Value, found: &mut Settings, depth: usize) {
    let text = match value {
        toml::Value::Table(members) if depth < MAX_DEPTH => {
            if !name.is_empty() {
                found.entry(name.to_owned()).or_default();
            }
            for (member, value) in members {
                toml_values(&joined(name, member), value, found, depth + 1);
            }
            return;
        }
        toml::Value::Array(items) if depth < MAX_DEPTH => {
            found.entry(name.to_owned()).or_default();
            for item in items.iter().filter(|item| !item.is_table()) {
                toml_values(name, item, found, depth + 1);
            }
            return;
        }
        toml::Value::Table(_) | toml::Value::Array(_) => return,
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    add(found, name.to_owned(), &text);
}

fn json_values(name: &str, value: &serde_json::Value, found: &mut Settings, depth: usize) {
    use serde_json::Value;
    let text = match value {
        Value::Object(members) if depth < MAX_DEPTH => {
            if !name.is_empty() {
                found.entry(name.to_owned()).or_default();
            }
            for (member, value) in members {
                json_values(&joined(name, member), value, found, depth + 1);
            }
            return;
        }
        Value::Array(items) if depth < MAX_DEPTH => {
            found.entry(name.to_owned()).or_default();
            for item in items.iter().filter(|item| !item.is_object()) {
                json_values(name, item, found, depth + 1);
            }
            return;
        }
        Value::Object(_) | Value::Array(_) => return,
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    };
    add(found, name.to_owned(), &text);
}

/// sysctl.d(5): a leading `-` ignores errors; names may use slashes.
fn sysctl(text: &str) -> Option<Settings> {
    let mut found = Settings::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=')?;
        let name = name.trim().trim_start_matches('-').replace('/', ".");
        add(&mut found, name, value.trim());
    }
    Some(found)
}

/// Keywords in any case, then blanks or one `=`, then the value; what stands in a block holds only there.
fn sshd(text: &str) -> Settings {
    let mut found = Settings::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line
            .find(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let name = name.to_ascii_lowercase();
        if name == "match" || name == "host" {
            break;
        }
        let value = rest.trim_start();
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        add(&mut found, name, unquoted(value));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [SettingsFormat; 6] = [
        SettingsFormat::Ini,
        SettingsFormat::KeyValue,
        SettingsFormat::Toml,
        SettingsFormat::Json,
        SettingsFormat::Sysctl,
        SettingsFormat::Sshd,
    ];

    fn values(format: SettingsFormat, text: &str, name: &str) -> Option<Vec<String>> {
        settings(format, text)?.remove(&spelled(format, name))
    }

    #[test]
    fn each_format_is_read_as_its_programs_do() {
        for (format, text, name, expected) in [
            (
                SettingsFormat::Ini,
                "a=0\n[s]\n# a=1\na = \"two words\" \n;b=1\nb: 3",
                "s.a",
                &["two words"][..],
            ),
            (SettingsFormat::Ini, "a=0\n[s]\nb: 3", "s.b", &["3"]),
            (SettingsFormat::Ini, "a=0\na=1", "a", &["0", "1"]),
            (
                SettingsFormat::Ini,
                "[mysqld]\nskip-networking",
                "mysqld.skip-networking",
                &[""],
            ),
            (
                SettingsFormat::KeyValue,
                "# c\nexport A='x y' # c\nB=\"1\\\"2\"",
                "A",
                &["x y"],
            ),
            (
                SettingsFormat::KeyValue,
                "A=1\nB=\"1\\\"2\"",
                "B",
                &["1\"2"],
            ),
            (
                SettingsFormat::Toml,
                "[a.b]\nc = [1, 2]\nd = true",
                "a.b.c",
                &["1", "2"],
            ),
            (SettingsFormat::Toml, "[a.b]\nd = true", "a.b.d", &["true"]),
            (SettingsFormat::Toml, "[a.b]\nd = true", "a.b", &[]),
            (
                SettingsFormat::Json,
                r#"{"a":{"b":[true,"x",{"c":1}]}}"#,
                "a.b",
                &["true", "x"],
            ),
            (SettingsFormat::Json, r#"{"a":1.5}"#, "a", &["1.5"]),
            (
                SettingsFormat::Sysctl,
                "-net/ipv4/ip_forward = 0\n;x",
                "net.ipv4.ip_forward",
                &["0"],
            ),
            (
                SettingsFormat::Sshd,
                "PORT 22\nport=23\nMatch User x\nPort 24",
                "Port",
                &["22", "23"],
            ),
        ] {
            let found = values(format, text, name);
            assert_eq!(
                found.as_deref(),
                Some(
                    expected
                        .iter()
                        .map(|&v| v.to_owned())
                        .collect::<Vec<_>>()
                        .as_slice()
                ),
                "{format:?} {text}"
            );
        }
    }

    #[test]
    fn what_a_shell_would_compute_is_not_told() {
        for text in [
            "A=$(cat /etc/x)",
            "A=`x`",
            "A=\"$B\"",
            "A='x",
            "if true; then A=1; fi",
            "A=1 B=2",
            "echo x",
        ] {
            assert_eq!(settings(SettingsFormat::KeyValue, text), None, "{text}");
        }
        assert_eq!(
            values(SettingsFormat::KeyValue, "A='$B'", "A"),
            Some(vec!["$B".to_owned()])
        );
    }

    #[test]
    fn comments_and_other_sections_set_nothing() {
        assert_eq!(values(SettingsFormat::Ini, "[t]\na=1", "s.a"), None);
        assert_eq!(values(SettingsFormat::Sshd, "#Port 22", "port"), None);
        assert_eq!(
            values(SettingsFormat::Sshd, "Match all\nPort 22", "port"),
            None
        );
        assert_eq!(settings(SettingsFormat::Json, "{\"a\":1"), None);
        assert_eq!(settings(SettingsFormat::Ini, "[a"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}", lines in "([\\[\\]a=:\"'\\\\# $]{0,8}\n){0,12}") {
            for format in ALL {
                let _ = settings(format, &text);
                let _ = settings(format, &lines);
            }
        }
    }
}
