//! The syntax of apt.conf(5): `Name "value";`, `Name { … };`, `#clear Name;`, three kinds of comments.

/// Deepest nesting of blocks; apt itself keeps no more scopes.
const MAX_NESTING: usize = 100;

/// One thing that a configuration file asks for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Sets a value; a name that ends in `::` adds to a list.
    Set(String, String),
    /// Forgets a setting and all below it.
    Clear(String),
    /// Reads another file, or a directory if it ends in `/`.
    Include(String),
}

/// What apt, too, refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct SyntaxError {
    line: usize,
    problem: &'static str,
}

/// The statements of one file.
///
/// # Errors
/// [`SyntaxError`] with the line.
pub fn statements(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    let mut parser = Parser::default();
    let mut comments = Comments::default();
    let mut line = 0;
    for raw in text.split('\n') {
        line += 1;
        let raw = raw.replace('\t', "        ");
        let content = comments.strip(raw.trim_matches(is_space));
        parser
            .line(&content)
            .map_err(|problem| SyntaxError { line, problem })?;
    }
    if parser.pending.is_empty() {
        Ok(parser.statements)
    } else {
        Err(SyntaxError {
            line,
            problem: "unfinished statement at the end of the file",
        })
    }
}

/// isspace(3) in the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

#[derive(Default)]
struct Comments {
    inside: bool,
}

impl Comments {
    /// A line without its comments; quotes are counted on the line itself, whatever an earlier line left open.
    fn strip(&mut self, line: &str) -> String {
        let mut rest = line;
        if self.inside {
            match rest.find("*/") {
                Some(end) => rest = &rest[end + 2..],
                None => return String::new(),
            }
            self.inside = false;
        }
        rest = cut(rest, "//", |_| false);
        rest = cut(rest, "#", |after| {
            ["clear", "include", "x-apt-configure-index"]
                .iter()
                .any(|word| after.starts_with(word))
        });
        let mut kept = String::new();
        while let Some(start) = find_unquoted(rest, "/*", 2, |_| false) {
            kept.push_str(&rest[..start]);
            match rest[start + 2..].find("*/") {
                Some(end) => rest = &rest[start + 2 + end + 2..],
                None => {
                    self.inside = true;
                    return kept;
                }
            }
        }
        kept.push_str(rest);
        kept
    }
}

fn cut<'t>(line: &'t str, mark: &str, is_exempt: impl Fn(&str) -> bool) -> &'t str {
    find_unquoted(line, mark, 1, is_exempt).map_or(line, |start| &line[..start])
}

/// The first `mark` outside quotes whose rest is not exempt.
fn find_unquoted(
    line: &str,
    mark: &str,
    step: usize,
    is_exempt: impl Fn(&str) -> bool,
) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = line.get(from..)?.find(mark) {
        let at = from + found;
        let quoted = line[..at].bytes().filter(|byte| *byte == b'"').count() % 2 != 0;
        if !quoted && !is_exempt(&line[at + mark.len()..]) {
            return Some(at);
        }
        from = at + step;
    }
    None
}

#[derive(Default)]
struct Parser {
    statements: Vec<Statement>,
    /// The statement so far, when it goes over several lines.
    pending: String,
    /// The scope that statements stand in, and those around it.
    scope: String,
    outer: Vec<String>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let mut quoted = false;
        let mut start = 0;
        for (at, c) in line.char_indices() {
            if c == '"' {
                quoted = !quoted;
            }
            if !quoted && matches!(c, '{' | ';' | '}') {
                self.add(&line[start..at]);
                start = at + 1;
                self.end_statement(c)?;
            }
        }
        self.add(&line[start..]);
        Ok(())
    }

    fn add(&mut self, part: &str) {
        let part = part.trim_matches(is_space);
        if !self.pending.is_empty() && !part.is_empty() {
            self.pending.push(' ');
        }
        self.pending.push_str(part);
    }

    fn end_statement(&mut self, terminator: char) -> Result<(), &'static str> {
        let text = std::mem::take(&mut self.pending);
        if text.is_empty() {
            return match terminator {
                '{' => Err("a block starts with no name"),
                '}' => {
                    self.leave();
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let (mut tag, rest) = quote_word(&text).ok_or("malformed name")?;
        let (word, rest) = match cword(rest).or_else(|| quote_word(rest)) {
            Some((word, rest)) => (Some(word), rest),
            None if terminator == '{' => (None, rest),
            None => (Some(std::mem::take(&mut tag)), rest),
        };
        if !rest.is_empty() {
            return Err("something follows the value");
        }
        if terminator == '{' {
            if self.outer.len() >= MAX_NESTING {
                return Err("blocks nest too deep");
            }
            self.enter(&tag);
        }
        let item = match (self.scope.as_str(), terminator) {
            ("", _) => tag.clone(),
            (scope, '{') if !tag.is_empty() => scope.to_owned(),
            (scope, _) => format!("{scope}::{tag}"),
        };
        self.emit(&tag, item, word)?;
        if terminator == '}' {
            self.leave();
        }
        Ok(())
    }

    fn emit(&mut self, tag: &str, item: String, word: Option<String>) -> Result<(), &'static str> {
        if let Some(directive) = tag.strip_prefix('#') {
            if !self.scope.is_empty() {
                return Err("a directive inside a scope");
            }
            let word = word.unwrap_or_default();
            match directive {
                "clear" => self.statements.push(Statement::Clear(word)),
                "include" => self.statements.push(Statement::Include(word)),
                "x-apt-configure-index" => {}
                _ => return Err("an unknown directive"),
            }
        } else if tag.is_empty() && word.as_deref() == Some("#clear") {
            return Err("#clear needs a name");
        } else if let Some(word) = word {
            self.statements.push(Statement::Set(item, word));
        }
        Ok(())
    }

    fn enter(&mut self, tag: &str) {
        self.outer.push(self.scope.clone());
        if !self.scope.is_empty() {
            self.scope.push_str("::");
        }
        self.scope.push_str(tag);
    }

    fn leave(&mut self) {
        self.scope = self.outer.pop().unwrap_or_default();
    }
}

/// A word up to white space outside quotes and brackets, without its quotes and with `%41` decoded.
pub fn quote_word(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches(' ');
    if text.is_empty() {
        return None;
    }
    let bytes = text.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end).filter(|byte| !is_space(char::from(**byte))) {
        let closing = match byte {
            b'"' => Some('"'),
            b'[' => Some(']'),
            _ => None,
        };
        if let Some(closing) = closing {
            end += 1 + text.get(end + 1..)?.find(closing)?;
        }
        end += 1;
    }
    let mut word = Vec::new();
    let mut rest = text.get(..end)?.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) => {
                word.push(byte);
                rest = &after[2..];
            }
            None => {
                if *first != b'"' {
                    word.push(*first);
                }
                rest = after;
            }
        }
    }
    let word = String::from_utf8_lossy(&word).into_owned();
    Some((word, text.get(end..)?.trim_start_matches(is_space)))
}

/// The whole rest as quoted strings, joined as C joins them; white space between two becomes one space.
fn cword(text: &str) -> Option<(String, &str)> {
    if text.trim_start_matches(' ').is_empty() || text.len() >= 1024 {
        return None;
    }
    let mut word = String::new();
    let mut chars = text.chars();
    let mut after_space = false;
    while let Some(c) = chars.next() {
        if c == '"' {
            loop {
                match chars.next()? {
                    '"' => break,
                    inner => word.push(inner),
                }
            }
            after_space = false;
        } else if is_space(c) {
            if !after_space {
                word.push(' ');
            }
            after_space = true;
        } else {
            return None;
        }
    }
    Some((word, ""))
}
