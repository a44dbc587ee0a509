//! Words of a configuration in the manner of nginx: directives that end with a semicolon, blocks in braces, comments
//! from a number sign to the end of the line, quotes.

/// Most words of one file.
const MAX_WORDS: usize = 200_000;

/// A piece of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A directive with its values.
    Directive(Vec<String>),
    /// The words before an opening brace.
    Open(Vec<String>),
    /// A closing brace.
    Close,
}

/// The pieces of a text.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '\\' => {
                let next = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            '"' | '\'' if word.is_none() => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        None => return Err("a quote that does not end".to_owned()),
                        Some('\\') => quoted.extend(chars.next()),
                        Some(end) if end == c => break,
                        Some(other) => quoted.push(other),
                    }
                }
                word = Some(quoted);
            }
            // `${name}` is a variable, not a block.
            '{' if word.as_deref().is_some_and(|word| word.ends_with('$')) => {
                let text = word.get_or_insert_default();
                text.push('{');
                while let Some(c) = chars.next_if(|c| !";{\n".contains(*c)) {
                    text.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            ';' | '{' | '}' => {
                words.extend(word.take());
                let done = std::mem::take(&mut words);
                match c {
                    ';' if done.is_empty() => {}
                    ';' => found.push(Piece::Directive(done)),
                    '{' => found.push(Piece::Open(done)),
                    _ => found.push(Piece::Close),
                }
            }
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
        count += 1;
        if count > MAX_WORDS * 8 {
            return Err("too long".to_owned());
        }
    }
    if word.is_some() || !words.is_empty() {
        return Err("a directive that does not end".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_directives_and_blocks() {
        let text = "# c; {\nhttp { server { listen 443 ssl; # x\n ssl_certificate \"/a b.pem\"; if ($x = \"}\") { return 301 https://${host}/; } } }";
        let found = pieces(text).unwrap();
        assert_eq!(found[0], Piece::Open(vec!["http".to_owned()]));
        assert_eq!(
            found[3],
            Piece::Directive(vec!["ssl_certificate".to_owned(), "/a b.pem".to_owned()])
        );
        assert_eq!(
            found.iter().filter(|piece| **piece == Piece::Close).count(),
            3
        );
        for wrong in ["\"", "a", "a b", "'\\"] {
            assert!(pieces(wrong).is_err(), "{wrong}");
        }
        assert!(pieces("").unwrap().is_empty());
        assert!(pieces("}}}").is_ok());
    }
}
