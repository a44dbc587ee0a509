use askama::Template;

/// A command line that can be copied whole, with what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/command.html")]
pub struct Command {
    /// What it does, as a sentence.
    pub what: String,
    /// The command itself, one or more lines.
    pub line: String,
}

/// How to mend a failing outcome: the text of the check, its commands set apart for copying.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/fix.html")]
pub struct Fix {
    /// The text in pieces.
    pub pieces: Vec<Piece>,
}

/// A piece of a remediation text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words to read.
    Words(String),
    /// A name, setting or value inside the words.
    Code(String),
    /// A command to copy, on a line of its own.
    Command(String),
}

impl Fix {
    /// Reads a remediation text: what stands between backticks is code, and a code with a blank
    /// in it, or a whole line that starts with `$ ` or `# `, is a command to copy.
    pub fn of(text: &str) -> Self {
        let mut pieces = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                Some(command) => pieces.push(Piece::Command(command.to_owned())),
                None => read_line(line, &mut pieces),
            }
        }
        Self { pieces }
    }
}

fn read_line(line: &str, pieces: &mut Vec<Piece>) {
    for (place, part) in line.split('`').enumerate() {
        if part.is_empty() {
            continue;
        }
        pieces.push(match place % 2 {
            0 => Piece::Words(part.to_owned()),
            _ if part.contains(' ') => Piece::Command(part.to_owned()),
            _ => Piece::Code(part.to_owned()),
        });
    }
    pieces.push(Piece::Words(" ".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::{Fix, Piece};

    #[test]
    fn commands_are_set_apart_from_words() {
        let fix =
            Fix::of("Set `PermitRootLogin no`, then:\n$ systemctl reload ssh\nSee `sshd_config`.");
        assert_eq!(
            fix.pieces,
            [
                Piece::Words("Set ".into()),
                Piece::Command("PermitRootLogin no".into()),
                Piece::Words(", then:".into()),
                Piece::Words(" ".into()),
                Piece::Command("systemctl reload ssh".into()),
                Piece::Words("See ".into()),
                Piece::Code("sshd_config".into()),
                Piece::Words(".".into()),
                Piece::Words(" ".into()),
            ]
        );
        assert!(Fix::of("  ").pieces.is_empty());
    }
}
