//! How sshd(8) cuts its configuration into words: two tokenizers with different quoting rules (misc.c).

use super::config::ConfigError;
use crate::probe::quoted::quoted;

/// Characters that separate words.
const WHITESPACE: &[u8] = b" \t\r\n";

/// One line of a configuration, cut into keyword and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// 1-based number in its file.
    pub number: usize,
    /// The keyword in lower case.
    pub keyword: String,
    /// Its arguments, unquoted.
    pub arguments: Vec<String>,
    /// What follows the keyword as written: `Match` cuts it differently.
    pub rest: String,
}

/// Cuts a file into lines; comments and empty lines are left out.
pub(super) fn lines(path: &str, text: &str) -> Result<Vec<Line>, ConfigError> {
    if text.contains('\0') {
        return Err(ConfigError::new(path, 0, "contains a NUL byte"));
    }
    let mut lines = Vec::new();
    for (i, raw) in text.split('\n').enumerate() {
        if let Some(line) = line(path, i + 1, raw)? {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// Cuts one line, as it stands in a file or after `-o`.
pub(super) fn line(path: &str, number: usize, raw: &str) -> Result<Option<Line>, ConfigError> {
    let text = raw
        .trim_start_matches([' ', '\t', '\r'])
        .trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
    let mut rest = Some(text.to_owned());
    let mut keyword = delimited(&mut rest);
    if keyword.as_deref() == Some("") {
        keyword = delimited(&mut rest);
    }
    let Some(keyword) = keyword.filter(|word| !word.is_empty() && !word.starts_with('#')) else {
        return Ok(None);
    };
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        return Err(ConfigError::new(
            path,
            number,
            format!("no argument after {}", quoted(&keyword)),
        ));
    };
    let arguments =
        words(&rest).ok_or_else(|| ConfigError::new(path, number, "a quote is not closed"))?;
    Ok(Some(Line {
        number,
        keyword: keyword.to_ascii_lowercase(),
        arguments,
        rest,
    }))
}

/// The next word by the older rules: `=` separates once, and a quoted part ends the word.
pub(super) fn delimited(rest: &mut Option<String>) -> Option<String> {
    let text = rest.take()?;
    let is_space = |c: char| u8::try_from(c).is_ok_and(|byte| WHITESPACE.contains(&byte));
    let Some((at, found)) = text
        .char_indices()
        .find(|(_, c)| is_space(*c) || *c == '"' || *c == '=')
    else {
        return Some(text);
    };
    let (head, tail) = (text.get(..at)?, text.get(at + found.len_utf8()..)?);
    if found == '"' {
        let (inner, after) = tail.split_once('"')?;
        *rest = Some(after.trim_start_matches(is_space).to_owned());
        return Some(format!("{head}{inner}"));
    }
    let mut after = tail.trim_start_matches(is_space);
    if found != '='
        && let Some(more) = after.strip_prefix('=')
    {
        after = more.trim_start_matches(is_space);
    }
    *rest = Some(after.to_owned());
    Some(head.to_owned())
}

/// Words by the newer rules: both quotes, backslash escapes, `#` at the start of a word ends the line. `None` if a
/// quote is not closed.
pub(in crate::probe) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
        match chars.peek() {
            None | Some('#') => return Some(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = chars.next_if(|next| {
                        matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                    });
                    word.push(escaped.unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(raw: &str) -> Option<(String, Vec<String>)> {
        line("f", 1, raw)
            .unwrap()
            .map(|line| (line.keyword, line.arguments))
    }

    #[test]
    fn keyword_and_words_part_as_sshd_parts_them() {
        let is = |raw: &str, keyword: &str, words: &[&str]| {
            assert_eq!(
                cut(raw),
                Some((
                    keyword.to_owned(),
                    words.iter().map(|w| (*w).to_owned()).collect()
                )),
                "{raw}"
            );
        };
        is("PermitRootLogin no", "permitrootlogin", &["no"]);
        is("\tPermitRootLogin=no  \r", "permitrootlogin", &["no"]);
        is("PermitRootLogin = no # why", "permitrootlogin", &["no"]);
        is(
            "AllowUsers \"a b\" 'c' d\\ e",
            "allowusers",
            &["a b", "c", "d e"],
        );
        is("\"PermitRootLogin\" no", "permitrootlogin", &["no"]);
        is("AllowUsers a#b #c", "allowusers", &["a#b"]);
        assert_eq!(cut("# PermitRootLogin yes"), None);
        assert_eq!(cut("   "), None);
        assert!(line("f", 1, "PermitRootLogin").is_err());
        assert!(line("f", 1, "AllowUsers \"a").is_err());
    }
}
