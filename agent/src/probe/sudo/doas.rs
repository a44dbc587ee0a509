//! doas.conf(5): one rule a line, the last that matches wins.

use crate::probe::quoted::quoted;

/// A `permit` line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// A user, or `:group`.
    pub identity: String,
    /// Who it may be run as; any user if the rule names none.
    pub target: String,
    /// The command with arguments, or `ALL`.
    pub command: String,
    /// `nopass`.
    pub without_password: bool,
    /// Line number.
    pub line: usize,
}

/// The `permit` lines; `deny` lines take away only and are left out.
///
/// # Errors
/// A sentence about the first line that does not fit; doas then refuses the whole file.
pub(super) fn permits(text: &str) -> Result<Vec<Permit>, String> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let flat = match (line.find('{'), line.rfind('}')) {
            // setenv { … } is the one construct with its own words.
            (Some(open), Some(close)) if open < close => {
                let before = line.get(..open).unwrap_or_default();
                format!("{before} {}", line.get(close + 1..).unwrap_or_default())
            }
            (None, None) => line.to_owned(),
            _ => return Err(format!("line {}: a brace is not closed", i + 1)),
        };
        let mut words = flat.split_whitespace();
        match words.next() {
            None | Some("deny") => continue,
            Some("permit") => {}
            Some(other) => return Err(format!("line {}: unexpected {}", i + 1, quoted(other))),
        }
        let mut without_password = false;
        let mut identity = None;
        for word in words.by_ref() {
            match word {
                "nopass" => without_password = true,
                "persist" | "keepenv" | "nolog" | "setenv" => {}
                other => {
                    identity = Some(other.to_owned());
                    break;
                }
            }
        }
        let rest: Vec<&str> = words.collect();
        let after = |word: &str| {
            rest.iter()
                .position(|known| *known == word)
                .and_then(|at| rest.get(at + 1..))
        };
        let command = after("cmd").map_or("ALL".to_owned(), |words| {
            words
                .iter()
                .filter(|word| **word != "args")
                .copied()
                .collect::<Vec<_>>()
                .join(" ")
        });
        found.push(Permit {
            identity: identity.ok_or_else(|| format!("line {}: nobody is named", i + 1))?,
            target: after("as")
                .and_then(|words| words.first())
                .map_or("ALL".to_owned(), |word| (*word).to_owned()),
            command,
            without_password,
            line: i + 1,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_read() {
        let found = permits("# c\npermit persist :wheel\npermit nopass setenv { A=b } ben as root cmd /bin/x args -y\ndeny eve\n").unwrap();
        assert_eq!(
            (
                found[0].identity.as_str(),
                found[0].command.as_str(),
                found[0].without_password
            ),
            (":wheel", "ALL", false)
        );
        assert_eq!(
            (
                found[1].identity.as_str(),
                found[1].command.as_str(),
                found[1].without_password
            ),
            ("ben", "/bin/x -y", true)
        );
        assert!(permits("allow x").is_err() && permits("permit").is_err());
    }
}
