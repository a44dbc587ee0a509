//! Text on a page of fixed width.

/// Columns of the page: what fits a terminal as it opens, a mail and a ticket.
pub(crate) const WIDTH: usize = 80;

/// Text without control characters: what a host says about itself must not steer the terminal that shows it.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Characters that reorder or hide text around them.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text of at most `width` characters; what does not fit is cut off with a sign that it was.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// Lines of at most `width` characters, broken at spaces; a longer word is broken where it must be.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Paragraphs of prose wrapped and indented; lines that are indented already (commands to copy) stay as they are.
pub(crate) fn prose(text: &str, indent: usize) -> String {
    let mut page = String::new();
    let mut paragraph = String::new();
    let flush = |paragraph: &mut String, page: &mut String| {
        if !paragraph.is_empty() {
            for line in wrap(paragraph, WIDTH - indent) {
                page.push_str(&format!("{:indent$}{line}\n", ""));
            }
            paragraph.clear();
        }
    };
    for line in text.trim_end().lines() {
        if line.starts_with([' ', '\t']) {
            flush(&mut paragraph, &mut page);
            page.push_str(&format!("{:indent$}{line}\n", ""));
        } else if line.is_empty() {
            flush(&mut paragraph, &mut page);
            page.push('\n');
        } else {
            paragraph.push(' ');
            paragraph.push_str(line);
        }
    }
    flush(&mut paragraph, &mut page);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width_and_lose_nothing() {
        let text = "PermitRootLogin yes and a/very/long/path/that/fits/no/line ends";
        for width in [1, 7, 20, 80] {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width));
            let without_spaces = |text: &str| text.replace(' ', "");
            assert_eq!(without_spaces(&lines.concat()), without_spaces(text));
        }
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn what_a_host_says_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
    }

    #[test]
    fn a_cut_shows() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }

    #[test]
    fn commands_stay_whole_in_prose() {
        let page = prose("Set it:\n\n    sshd -T | grep x\n\nThen\nrestart.", 2);
        assert_eq!(
            page,
            "  Set it:\n\n      sshd -T | grep x\n\n  Then restart.\n"
        );
    }
}
