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

/// A text of a check's definition: paragraphs, code within them, commands set apart for copying.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "part/prose.html")]
pub struct Prose {
    /// The text in blocks.
    pub blocks: Vec<Block>,
}

/// A block of a [`Prose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A paragraph to read.
    Paragraph(Vec<Piece>),
    /// Commands or lines of configuration to copy whole.
    Command(String),
}

/// A piece of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words to read.
    Words(String),
    /// A name, setting or value inside the words.
    Code(String),
}

impl Prose {
    /// Reads a text as check files write it: an empty line ends a paragraph, lines indented by
    /// four blanks are a command, and what stands between backticks is code.
    pub fn of(text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        let mut command: Vec<&str> = Vec::new();
        for line in text.lines().chain([""]) {
            let indented = line
                .strip_prefix("    ")
                .filter(|rest| !rest.trim().is_empty());
            let blank = line.trim().is_empty();
            if (indented.is_some() || blank) && !words.is_empty() {
                blocks.push(Block::Paragraph(pieces(&words.join(" "))));
                words.clear();
            }
            if indented.is_none() && !command.is_empty() {
                blocks.push(Block::Command(command.join("\n")));
                command.clear();
            }
            match indented {
                Some(rest) => command.push(rest.trim_end()),
                None if blank => {}
                None => words.push(line.trim()),
            }
        }
        Self { blocks }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// A paragraph cut at its backticks; an odd one out stays a backtick.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = next_code(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Words(before.to_owned()));
        }
        pieces.push(Piece::Code(code.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest.to_owned()));
    }
    pieces
}

fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

#[cfg(test)]
mod tests {
    use super::{Block, Piece, Prose};

    #[test]
    fn commands_are_set_apart_from_words() {
        let prose = Prose::of(
            "Set `PermitRootLogin no`,\nthen:\n\n    sshd -t\n    systemctl reload ssh\n\nDone.\n",
        );
        assert_eq!(
            prose.blocks,
            [
                Block::Paragraph(vec![
                    Piece::Words("Set ".into()),
                    Piece::Code("PermitRootLogin no".into()),
                    Piece::Words(", then:".into()),
                ]),
                Block::Command("sshd -t\nsystemctl reload ssh".into()),
                Block::Paragraph(vec![Piece::Words("Done.".into())]),
            ]
        );
        assert!(Prose::of(" \n").is_empty());
    }

    #[test]
    fn a_lone_backtick_stays_what_it_is() {
        assert_eq!(
            Prose::of("a ` b").blocks,
            [Block::Paragraph(vec![Piece::Words("a ` b".into())])]
        );
    }
}
