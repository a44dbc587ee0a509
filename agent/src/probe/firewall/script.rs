//! Scripts of nft(8) as far as they tell whether something is filtered: chains with their hooks and policies, and of each
//! rule its verdict, its family and whether it asks for anything else.

use super::rule::{Base, ChainId, Condition, Family, Rule, Ruleset, Verdict};
use crate::host::FileKind;
use crate::probe::quoted::quoted;
use crate::probe::{Observation, Unobservable};

/// Deepest nesting of `include`.
const MAX_INCLUDES: usize = 8;
/// Most files read.
const MAX_FILES: usize = 64;

/// Reads a script and what it includes; a script that is not there loads nothing.
///
/// # Errors
/// [`Unobservable`] if a file cannot be read; inside, the form that is not understood.
pub(super) fn read(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Result<Ruleset, String>, Unobservable> {
    let mut reader = Reader::default();
    let read = reader.file(observation, path, 0)?;
    Ok(read.map(|()| reader.rules))
}

#[derive(Default)]
struct Reader {
    rules: Ruleset,
    files: usize,
}

/// A statement, or a block with a head.
enum Piece {
    Statement(String),
    Block(String, Vec<Piece>),
}

impl Reader {
    fn file(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        depth: usize,
    ) -> Result<Result<(), String>, Unobservable> {
        self.files += 1;
        if depth > MAX_INCLUDES || self.files > MAX_FILES {
            return Ok(Err(format!("{path}: too many files are included")));
        }
        let Some(text) = observation.text(path)? else {
            return Ok(Ok(()));
        };
        let mut letters = text.chars().peekable();
        let pieces = match pieces(&mut letters, 0) {
            Ok(pieces) => pieces,
            Err(problem) => return Ok(Err(format!("{path}: {problem}"))),
        };
        for piece in pieces {
            let read = match piece {
                Piece::Statement(text) if text.starts_with("include ") => {
                    self.include(observation, &text, path, depth)?
                }
                Piece::Statement(text) => self.statement(&text),
                Piece::Block(head, inner) => self.table(&head, inner),
            };
            if let Err(problem) = read {
                return Ok(Err(format!("{path}: {problem}")));
            }
        }
        Ok(Ok(()))
    }

    fn include(
        &mut self,
        observation: &mut Observation<'_>,
        text: &str,
        from: &str,
        depth: usize,
    ) -> Result<Result<(), String>, Unobservable> {
        let named = text["include ".len()..].trim().trim_matches(['"', '\'']);
        let path = if named.starts_with('/') {
            named.to_owned()
        } else {
            let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{}", named.trim_start_matches("./"))
        };
        let Some((directory, name)) = path.rsplit_once('/') else {
            return Ok(Err(format!("include {named}")));
        };
        let Some((start, end)) = name.split_once('*') else {
            return self.file(observation, &path, depth + 1);
        };
        if directory.contains(['*', '?', '[']) || end.contains(['*', '?', '[']) {
            return Ok(Err(format!(
                "include {named}: the pattern is not understood"
            )));
        }
        for entry in observation.list(directory)?.unwrap_or_default() {
            let fits = entry.name.starts_with(start)
                && entry.name.ends_with(end)
                && !entry.name.starts_with('.')
                && entry.kind != FileKind::Directory;
            if fits {
                let inner = format!("{directory}/{}", entry.name);
                if let Err(problem) = self.file(observation, &inner, depth + 1)? {
                    return Ok(Err(problem));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A statement outside of blocks.
    fn statement(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["flush", "ruleset", ..] => {
                self.rules.chains.clear();
                Ok(())
            }
            ["add" | "create", "table", ..]
            | ["table", ..]
            | ["define" | "undefine" | "redefine", ..] => Ok(()),
            ["delete" | "destroy", "table", named @ ..] => {
                self.delete(named);
                Ok(())
            }
            ["delete" | "destroy" | "flush", ..] => Ok(()),
            ["add" | "create", kind, ..] if !["rule", "chain"].contains(kind) => Ok(()),
            [] => Ok(()),
            _ => Err(format!(
                "a statement that begins with {} is not understood",
                quoted(words.first().copied().unwrap_or_default())
            )),
        }
    }

    /// Takes a table out with all its chains; by a handle it cannot be told which, so nothing is taken out.
    fn delete(&mut self, named: &[&str]) {
        let (family, table) = match named {
            [table] => ("ip", *table),
            [family, table] => (*family, *table),
            _ => return,
        };
        self.rules
            .chains
            .retain(|id, _| id.family != family || id.table != table);
    }

    fn table(&mut self, head: &str, pieces: Vec<Piece>) -> Result<(), String> {
        let mut words = head
            .split_whitespace()
            .filter(|word| !["add", "create"].contains(word));
        let (Some("table"), Some(first), second) = (words.next(), words.next(), words.next())
        else {
            return Err(format!(
                "a block that begins with {} is not understood",
                quoted(head.split(' ').next().unwrap_or_default())
            ));
        };
        let (family, table) = match second {
            Some(table) => (first, table),
            None => ("ip", first),
        };
        let dormant = pieces.iter().any(|piece| {
            matches!(piece, Piece::Statement(text) if text.starts_with("flags") && text.contains("dormant"))
        });
        for piece in pieces {
            let Piece::Block(head, inner) = piece else {
                continue;
            };
            let Some(name) = head.trim().strip_prefix("chain ") else {
                continue;
            };
            let id = ChainId {
                engine: "disk",
                family: family.to_owned(),
                table: table.to_owned(),
                name: name.trim().to_owned(),
            };
            if !dormant {
                self.chain(id, inner);
            }
        }
        Ok(())
    }

    fn chain(&mut self, id: ChainId, pieces: Vec<Piece>) {
        let chain = self.rules.chains.entry(id).or_default();
        for piece in pieces {
            let Piece::Statement(text) = piece else {
                continue;
            };
            // What stands in quotes is a comment, a prefix of the log or a name: no word of the language.
            let text: String = text.split('"').step_by(2).collect::<Vec<_>>().join(" _ ");
            let words: Vec<&str> = text
                .split([' ', '\t', ',', ':', '{', '}'])
                .filter(|word| !word.is_empty())
                .collect();
            match words.as_slice() {
                ["type", kind, "hook", hook, ..] => {
                    chain.base = Some(Base {
                        kind: (*kind).to_owned(),
                        hook: (*hook).to_owned(),
                        accepts: true,
                    });
                }
                ["policy", policy] => {
                    if let Some(base) = &mut chain.base {
                        base.accepts = *policy != "drop";
                    }
                }
                ["comment", ..] | ["devices" | "device" | "flags", ..] | [] => {}
                words => chain.rules.push(rule(words)),
            }
        }
    }
}

/// What a rule does, and that it asks for something unless it is its verdict alone.
fn rule(words: &[&str]) -> Rule {
    let mut verdict = Verdict::Continue;
    let mut conditions = Vec::new();
    let mut last = "";
    for word in words {
        match (last, *word) {
            (_, "drop" | "reject") => verdict = Verdict::Drop,
            (_, "accept") if verdict == Verdict::Continue => verdict = Verdict::Accept,
            (_, "return") if verdict == Verdict::Continue => verdict = Verdict::Return,
            ("jump", chain) if verdict != Verdict::Drop => {
                verdict = Verdict::Jump((*chain).to_owned())
            }
            ("goto", chain) if verdict != Verdict::Drop => {
                verdict = Verdict::Goto((*chain).to_owned())
            }
            ("ip", "saddr" | "daddr" | "protocol") => {
                conditions.push(Condition::Family(Family::Ipv4))
            }
            ("ip6", "saddr" | "daddr" | "nexthdr") => {
                conditions.push(Condition::Family(Family::Ipv6))
            }
            _ => {}
        }
        last = word;
    }
    let plain = [
        "drop", "reject", "accept", "return", "jump", "goto", "counter", "log",
    ];
    if !words.first().is_some_and(|word| plain.contains(word)) {
        conditions.push(Condition::Some);
    }
    Rule {
        conditions,
        verdict,
    }
}

/// Parts a text into statements and blocks. Braces of sets inside a rule belong to the rule.
fn pieces(
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    depth: usize,
) -> Result<Vec<Piece>, String> {
    if depth > 4 {
        return Err("blocks are nested too deep".to_owned());
    }
    let mut found = Vec::new();
    let mut text = String::new();
    let mut inner = 0_usize;
    let mut quote = None;
    while let Some(letter) = letters.next() {
        if let Some(end) = quote {
            text.push(letter);
            if letter == end || letter == '\n' {
                quote = None;
            }
            continue;
        }
        match letter {
            '"' => {
                quote = Some(letter);
                text.push(letter);
            }
            '#' => while letters.next_if(|letter| *letter != '\n').is_some() {},
            '\\' if letters.next_if_eq(&'\n').is_some() => text.push(' '),
            '{' if inner == 0 && opens_block(&text) => {
                let head = std::mem::take(&mut text).trim().to_owned();
                found.push(Piece::Block(head, pieces(letters, depth + 1)?));
            }
            '{' => {
                inner += 1;
                text.push(letter);
            }
            '}' if inner > 0 => {
                inner -= 1;
                text.push(letter);
            }
            '}' if depth > 0 => {
                push(&mut found, &mut text);
                return Ok(found);
            }
            '}' => return Err("a closing brace too many".to_owned()),
            '\n' if inner > 0 => text.push(' '),
            '\n' | ';' => push(&mut found, &mut text),
            other => text.push(other),
        }
    }
    if depth > 0 || inner > 0 {
        return Err("a block does not end".to_owned());
    }
    push(&mut found, &mut text);
    Ok(found)
}

fn push(found: &mut Vec<Piece>, text: &mut String) {
    let statement = std::mem::take(text);
    let statement = statement.trim();
    if !statement.is_empty() {
        found.push(Piece::Statement(statement.to_owned()));
    }
}

/// Whether what stands before a brace is the head of a block.
fn opens_block(text: &str) -> bool {
    let mut words = text
        .split_whitespace()
        .filter(|word| !["add", "create"].contains(word));
    let first = words.next().unwrap_or_default();
    let blocks = [
        "table",
        "chain",
        "set",
        "map",
        "flowtable",
        "counter",
        "quota",
        "limit",
        "secmark",
        "synproxy",
    ];
    match first {
        // A rule may begin with these words too; the object's block has nothing between its name and the brace.
        "counter" | "quota" | "limit" | "map" | "set" => words.count() == 1,
        "ct" => {
            matches!(words.next(), Some("helper" | "timeout" | "expectation")) && words.count() == 1
        }
        other => blocks.contains(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::firewall::walk::filters;

    fn rules(text: &str) -> Result<Ruleset, String> {
        let mut reader = Reader::default();
        let mut letters = text.chars().peekable();
        for piece in pieces(&mut letters, 0)? {
            match piece {
                Piece::Statement(text) => reader.statement(&text)?,
                Piece::Block(head, inner) => reader.table(&head, inner)?,
            }
        }
        Ok(reader.rules)
    }

    fn judged(text: &str) -> (bool, bool) {
        let rules = rules(text).unwrap();
        (filters(&rules, Family::Ipv4), filters(&rules, Family::Ipv6))
    }

    #[test]
    fn what_filters_is_told_from_what_does_not() {
        let shipped = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter;\n\t}\n}\n";
        assert_eq!(judged(shipped), (false, false), "Debian's shipped file");
        let base = |rules: &str| {
            format!(
                "table inet f {{\n chain input {{\n type filter hook input priority 0; policy accept;\n {rules}\n }}\n chain out {{ drop; }}\n}}\n"
            )
        };
        assert_eq!(judged(&base("").replace("accept", "drop")), (true, true));
        assert_eq!(
            judged(&base("tcp dport { 22,\n 80 } accept\n reject")),
            (true, true)
        );
        assert_eq!(judged(&base("ip saddr 0.0.0.0/0 drop")), (true, false));
        assert_eq!(judged(&base("jump out")), (true, true));
        assert_eq!(
            judged(&base("accept\n drop")),
            (false, false),
            "behind the end"
        );
        assert_eq!(judged(&base("# drop")), (false, false));
        assert_eq!(judged(&base("log prefix \"nft drop: \"")), (false, false));
        assert_eq!(
            judged(&base(
                "ct state vmap { established : accept, invalid : drop }"
            )),
            (true, true)
        );
        assert_eq!(
            judged(
                &base("")
                    .replace("table inet f {", "table inet f {\n flags dormant;")
                    .replace("accept", "drop")
            ),
            (false, false)
        );
        for last in [
            "flush ruleset",
            "delete table inet f",
            "destroy table inet f",
        ] {
            assert_eq!(
                judged(&format!("{}{last}\n", base("drop"))),
                (false, false),
                "{last}"
            );
        }
        assert_eq!(
            judged(&format!(
                "{}delete table ip f\nflush table inet f\n",
                base("drop")
            )),
            (true, true)
        );
        assert_eq!(
            judged(&base("drop").replace("table inet f", "table f")),
            (true, false)
        );
    }

    #[test]
    fn broken_scripts_are_said_to_be_broken() {
        for text in [
            "table inet f {",
            "}",
            "add rule inet f input drop",
            "table a { chain b { x { ",
            "frobnicate",
        ] {
            assert!(rules(text).is_err(), "{text}");
        }
        assert!(rules("").is_ok());
    }
}
