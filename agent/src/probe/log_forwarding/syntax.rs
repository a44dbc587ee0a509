//! The syntax of rsyslog.conf(5): legacy lines and RainerScript, as far as forwarding depends on it.
//!
//! What is not understood is an error with its line, never left out: a `stop` in it could hide messages from every
//! forwarder behind it.

use std::cell::Cell;
use std::collections::BTreeMap;

/// Deepest nesting of blocks.
const MAX_DEPTH: usize = 20;

/// A statement with the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `$Name value`.
    Directive(String, String),
    /// `name(parameter="value" …)`, with the block of a ruleset. Names are in lower case.
    Object(String, Parameters, Vec<Statement>),
    /// A selector or property filter with what is done.
    Rule(String, Vec<Statement>),
    /// `if … then … else …`.
    If(String, Vec<Statement>, Vec<Statement>),
    /// A legacy action: `@@host`, `/file`, `:omusrmsg:*`.
    Action(String),
    /// `stop` and `~`.
    Stop,
    /// `call name`.
    Call(String),
}

/// Parameters by name in lower case; lists are joined by commas.
pub(super) type Parameters = BTreeMap<String, String>;

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, String> {
    let mut reader = Reader {
        text,
        at: 0,
        counted: Cell::new((0, 0)),
    };
    let statements = reader.block(0)?;
    reader.blank()?;
    if reader.at < text.len() {
        return Err(format!("line {}: a closing brace too many", reader.line()));
    }
    Ok(statements)
}

/// Adds what stands behind `&` to the last rule: in a condition to its last branch. False if there is no rule.
fn continue_with(statements: &mut [Statement], action: Vec<Statement>) -> bool {
    match statements.last_mut().map(|last| &mut last.kind) {
        Some(Kind::Rule(_, actions)) => actions.extend(action),
        Some(Kind::If(_, then, otherwise)) => {
            let branch = if otherwise.is_empty() {
                then
            } else {
                otherwise
            };
            if !continue_with(branch, action.clone()) {
                branch.extend(action);
            }
        }
        _ => return false,
    }
    true
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Up to where line ends were counted, and how many there were: counted once, not again for every statement.
    counted: Cell<(usize, usize)>,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn line(&self) -> usize {
        let ends = |from: usize, to: usize| {
            let text = self.text.as_bytes().get(from..to).unwrap_or_default();
            text.iter().filter(|byte| **byte == b'\n').count()
        };
        let (at, known) = self.counted.get();
        let lines = known + ends(at, self.at) - ends(self.at, at);
        self.counted.set((self.at, lines));
        lines + 1
    }

    fn wrong<T>(&self, problem: &str) -> Result<T, String> {
        Err(format!("line {}: {problem}", self.line()))
    }

    /// White space and comments.
    fn blank(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with('#') {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                match trimmed.find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return self.wrong("a comment without end"),
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The rest of the line, without its end; a backslash joins it with the next.
    fn rest_of_line(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find('\n').unwrap_or(rest.len());
            let line = rest.get(..end).unwrap_or_default();
            self.at += (end + 1).min(rest.len());
            match line.trim_end().strip_suffix('\\') {
                Some(start) => whole.push_str(start),
                None => {
                    whole.push_str(line);
                    return whole.trim().to_owned();
                }
            }
            if self.rest().is_empty() {
                return whole.trim().to_owned();
            }
        }
    }

    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// Statements up to a closing brace, which is left, or the end.
    fn block(&mut self, depth: usize) -> Result<Vec<Statement>, String> {
        if depth > MAX_DEPTH {
            return self.wrong("blocks nest too deep");
        }
        let mut found: Vec<Statement> = Vec::new();
        loop {
            self.blank()?;
            let rest = self.rest();
            if rest.is_empty() || rest.starts_with('}') {
                return Ok(found);
            }
            if rest.starts_with(';') {
                self.at += 1;
            } else if let Some(continued) = rest.strip_prefix('&') {
                self.at += rest.len() - continued.len();
                // Behind a closed block it is a syntax error of the daemon's too.
                let before = self.text.get(..self.at).unwrap_or_default();
                let closed = before.trim_end_matches(['&', ' ', '\t', '\n', '\r']);
                let action = self.action(depth)?;
                if closed.ends_with('}') || !continue_with(&mut found, action) {
                    return self.wrong("& without a rule before it");
                }
            } else {
                found.extend(self.statement(depth)?);
            }
        }
    }

    fn statement(&mut self, depth: usize) -> Result<Option<Statement>, String> {
        let line = self.line();
        let made = |kind| Ok(Some(Statement { line, kind }));
        let rest = self.rest();
        if rest.starts_with('$') {
            let text = self.rest_of_line();
            let (name, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            let name = name.trim_start_matches('$').to_ascii_lowercase();
            let value = value.split('#').next().unwrap_or_default();
            return made(Kind::Directive(name, value.trim().to_owned()));
        }
        let word = self.word().to_ascii_lowercase();
        let after = self.rest().get(word.len()..).unwrap_or_default();
        match word.as_str() {
            "if" => self.conditional(line, depth).map(Some),
            "set" | "unset" | "reset" => {
                self.until(";")?;
                Ok(None)
            }
            "stop" => {
                self.at += word.len();
                made(Kind::Stop)
            }
            "continue" => {
                self.at += word.len();
                Ok(None)
            }
            "call" => {
                self.at += word.len();
                self.blank()?;
                let name = self.word().to_owned();
                self.at += name.len();
                made(Kind::Call(name))
            }
            "foreach" | "else" | "call_indirect" | "reload_lookup_table" => {
                self.wrong(&format!("{word} is not understood"))
            }
            _ if !word.is_empty() && after.trim_start().starts_with('(') => {
                self.object(line, depth).map(Some)
            }
            _ if rest.starts_with(['!', '+']) => {
                self.wrong("blocks of a program or host are not understood")
            }
            _ if is_action(rest) => Ok(self.action(depth)?.into_iter().next()),
            _ => self.rule(line, depth).map(Some),
        }
    }

    /// Up to and over `end`, outside of quotes.
    fn until(&mut self, end: &str) -> Result<String, String> {
        let rest = self.rest();
        let mut quote = None;
        for (at, character) in rest.char_indices() {
            let before = rest.get(..at).unwrap_or_default();
            match quote {
                Some(open) if character == open && !before.ends_with('\\') => quote = None,
                Some(_) => {}
                None if character == '"' || character == '\'' => quote = Some(character),
                None if rest.get(at..).is_some_and(|rest| rest.starts_with(end)) => {
                    // A word must stand alone.
                    let next = rest.get(at + end.len()..).unwrap_or_default();
                    let alone = before.ends_with([' ', '\t', '\n', ')'])
                        && next.starts_with([' ', '\t', '\n', '{', '\r']);
                    if end.len() > 1 && !alone {
                        continue;
                    }
                    self.at += at + end.len();
                    return Ok(before.to_owned());
                }
                None => {}
            }
        }
        self.wrong(&format!("{end} is missing"))
    }

    fn conditional(&mut self, line: usize, depth: usize) -> Result<Statement, String> {
        self.at += "if".len();
        let condition = self.until("then")?.trim().to_owned();
        let then = self.body(depth)?;
        self.blank()?;
        let otherwise = if self.word().eq_ignore_ascii_case("else") {
            self.at += "else".len();
            self.body(depth)?
        } else {
            Vec::new()
        };
        Ok(Statement {
            line,
            kind: Kind::If(condition, then, otherwise),
        })
    }

    /// A block in braces, or one statement.
    fn body(&mut self, depth: usize) -> Result<Vec<Statement>, String> {
        self.blank()?;
        if !self.rest().starts_with('{') {
            if depth > MAX_DEPTH {
                return self.wrong("blocks nest too deep");
            }
            return Ok(self.statement(depth + 1)?.into_iter().collect());
        }
        self.at += 1;
        let inside = self.block(depth + 1)?;
        if !self.rest().starts_with('}') {
            return self.wrong("a block without end");
        }
        self.at += 1;
        Ok(inside)
    }

    fn object(&mut self, line: usize, depth: usize) -> Result<Statement, String> {
        let name = self.word().to_ascii_lowercase();
        self.at += name.len();
        self.blank()?;
        self.at += 1;
        let parameters = parameters(&self.until(")")?);
        let parameters = parameters.map_err(|problem| format!("line {line}: {problem}"))?;
        let mut inside = Vec::new();
        if name == "ruleset" || name == "template" {
            self.blank()?;
            if self.rest().starts_with('{') {
                if name == "template" {
                    self.until("}")?;
                } else {
                    inside = self.body(depth)?;
                }
            }
        }
        Ok(Statement {
            line,
            kind: Kind::Object(name, parameters, inside),
        })
    }

    /// `selector action` or `:property, operation, "value" action`.
    fn rule(&mut self, line: usize, depth: usize) -> Result<Statement, String> {
        let filter = if self.rest().starts_with(':') {
            let operation = self.until(",")?;
            let compared = self.until(",")?;
            self.blank()?;
            let rest = self.rest();
            let value = rest
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            let Some(value) = value else {
                return self.wrong("a property filter without a value in quotes");
            };
            self.at += value.len() + 2;
            format!("{operation},{compared},\"{value}\"")
        } else {
            self.selector()
        };
        Ok(Statement {
            line,
            kind: Kind::Rule(filter, self.action(depth)?),
        })
    }

    /// Up to the first blank; a backslash at the end of a line joins the next one, as Debian 11 ships it.
    fn selector(&mut self) -> String {
        let mut selector = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find([' ', '\t', '\n']).unwrap_or(rest.len());
            let part = rest.get(..end).unwrap_or_default();
            self.at += end;
            let joined = part
                .trim_end_matches('\r')
                .strip_suffix('\\')
                .filter(|_| self.rest().starts_with('\n'));
            let Some(joined) = joined else {
                selector.push_str(part);
                return selector;
            };
            selector.push_str(joined);
            self.at += self.rest().len() - self.rest().trim_start().len();
        }
    }

    /// What a rule does, on the rest of its line or in a block.
    fn action(&mut self, depth: usize) -> Result<Vec<Statement>, String> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let (line, rest, word) = (self.line(), self.rest(), self.word());
        if rest.starts_with('{') {
            return self.body(depth);
        }
        let is_object = rest
            .get(word.len()..)
            .is_some_and(|after| after.trim_start().starts_with('('));
        if !word.is_empty() && is_object {
            return Ok(vec![self.object(line, depth)?]);
        }
        let start = self.at;
        let mut text = self.rest_of_line();
        // In a block the closing brace may stand on the same line.
        if depth > 0
            && let Some(cut) = text.find('}')
        {
            self.at = start + cut;
            text.truncate(cut);
        }
        let text = text
            .split(" #")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let kind = match text.as_str() {
            "" => return self.wrong("a rule without an action"),
            "~" | "stop" => Kind::Stop,
            _ => match text.strip_prefix("call ") {
                Some(name) => Kind::Call(name.trim().to_owned()),
                None => Kind::Action(text),
            },
        };
        Ok(vec![Statement { line, kind }])
    }
}

/// The beginning of a legacy action, as opposed to a selector.
fn is_action(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or_default();
    rest.starts_with(['/', '@', '|', '^', '~', '?', '>'])
        || rest.starts_with("-/")
        || rest.starts_with(":om") && !line.contains(',')
}

/// `name="value" name=["a", "b"]`.
fn parameters(text: &str) -> Result<Parameters, String> {
    let mut found = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            let end = rest.find('\n').unwrap_or(rest.len());
            rest = rest.get(end..).unwrap_or_default().trim_start();
            continue;
        }
        let (name, after) = rest.split_once('=').ok_or("a parameter without a value")?;
        let after = after.trim_start();
        let (value, behind) = if let Some(inner) = after.strip_prefix('[') {
            inner.split_once(']').ok_or("a list without end")?
        } else if let Some(inner) = after.strip_prefix('"') {
            inner.split_once('"').ok_or("a quote without end")?
        } else {
            return Err(format!(
                "{} is not followed by a value in quotes",
                name.trim()
            ));
        };
        let value = value
            .split('"')
            .filter(|part| !matches!(part.trim(), "" | ","));
        found.insert(
            name.trim().to_ascii_lowercase(),
            value.collect::<Vec<_>>().join(","),
        );
        rest = behind.trim_start();
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
