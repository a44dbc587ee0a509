//! GRUB's menu: what starts if nobody chooses (GRUB manual, "Writing your own configuration file").
//!
//! The script is not run. Every value that `default` is given anywhere in it counts as one that it may have, and every
//! `set` for variables that command lines use; what is found in `grubenv` comes before.

use std::collections::BTreeMap;

/// Deepest nesting of submenus and functions.
const MAX_DEPTH: usize = 16;
/// Most entries of a menu.
const MAX_ENTRIES: usize = 2000;

/// What a menu says.
#[derive(Debug, Default)]
pub(super) struct Menu {
    top: Vec<Node>,
    defaults: Vec<String>,
    variables: BTreeMap<String, String>,
    /// `blscfg` stands in it: entries lie in files of their own.
    pub(super) has_entry_files: bool,
}

#[derive(Debug, Default)]
struct Node {
    title: String,
    id: String,
    /// Options of the last `linux` command.
    options: Option<String>,
    /// Entries of a submenu.
    children: Vec<Node>,
}

/// The variables of `grubenv`, grub-editenv(1): lines, filled up with `#`.
pub(super) fn environment(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether the menu takes in `custom.cfg`, the administrator's own, as that of Debian and its kin does in its last lines.
pub(super) fn includes_own_entries(text: &str) -> bool {
    commands(text).iter().any(|command| {
        let mut words = command.iter();
        words.any(|word| matches!(word.as_str(), "source" | "." | "configfile"))
            && words.any(|word| word.ends_with("/custom.cfg"))
    })
}

impl Menu {
    pub(super) fn parse(text: &str, environment: &BTreeMap<String, String>) -> Menu {
        let mut menu = Menu::default();
        // What is open: a menu node, or a block that is none.
        let mut open: Vec<Option<Node>> = Vec::new();
        let mut entries = 0;
        for command in commands(text) {
            let opens = command.last().is_some_and(|word| word == "{");
            match command.first().map(String::as_str) {
                Some("menuentry" | "submenu") if opens => {
                    entries += 1;
                    open.push(Some(Node::of_command(&command)));
                }
                Some("}") => menu.close(&mut open),
                Some("linux" | "linux16" | "linuxefi") => {
                    if let Some(node) = open.iter_mut().rev().flatten().next() {
                        let options = command.get(2..).unwrap_or_default().join(" ");
                        node.options = Some(options);
                    }
                }
                Some("blscfg") => menu.has_entry_files = true,
                Some("set") => menu.assign(command.get(1)),
                _ if opens => open.push(None),
                _ => {}
            }
            if entries > MAX_ENTRIES || open.len() > MAX_DEPTH {
                break;
            }
        }
        while !open.is_empty() {
            menu.close(&mut open);
        }
        menu.variables.extend(
            environment
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        menu
    }

    fn close(&mut self, open: &mut Vec<Option<Node>>) {
        let Some(Some(node)) = open.pop() else { return };
        match open.iter_mut().rev().flatten().next() {
            Some(above) => above.children.push(node),
            None => self.top.push(node),
        }
    }

    fn assign(&mut self, assignment: Option<&String>) {
        let Some((name, value)) = assignment.and_then(|text| text.split_once('=')) else {
            return;
        };
        if name == "default" {
            self.defaults.push(value.to_owned());
        } else if !value.is_empty() {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Values that `default` may have, with variables filled in.
    pub(super) fn defaults(&self) -> Vec<String> {
        let mut found: Vec<String> = self
            .defaults
            .iter()
            .map(|value| self.filled(value).trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        if found.is_empty() {
            found.push("0".to_owned());
        }
        found.sort();
        found.dedup();
        found
    }

    /// Command lines of the entries that start by default; GRUB takes the first if a default names none.
    pub(super) fn default_lines(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for default in self.defaults() {
            let chosen = chosen(&self.top, &default).or_else(|| chosen(&self.top, "0"));
            if let Some((title, options)) = chosen
                && !found.iter().any(|(known, _)| known == title)
            {
                found.push((title.to_owned(), self.filled(options)));
            }
        }
        found
    }

    /// `text` with its variables filled in; what is not set is empty.
    pub(super) fn filled(&self, text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            result.push_str(before);
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let (name, after) = match after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
            {
                Some((name, after)) => (name, after),
                None => {
                    after.split_at(after.find(|letter| !is_name(letter)).unwrap_or(after.len()))
                }
            };
            if let Some(value) = self.variables.get(name) {
                result.push_str(value);
            }
            rest = after;
        }
        result.push_str(rest);
        result
    }
}

/// The entry that a default names: by number, title or id at each level, levels parted by `>`.
fn chosen<'m>(level: &'m [Node], default: &str) -> Option<(&'m str, &'m str)> {
    let (first, rest) = match default.split_once('>') {
        Some((first, rest)) => (first, rest),
        None => (default, "0"),
    };
    let node = match first.parse::<usize>() {
        Ok(number) => level.get(number),
        Err(_) => level
            .iter()
            .find(|node| node.title == first || node.id == first),
    }?;
    if node.children.is_empty() {
        Some((&node.title, node.options.as_deref()?))
    } else {
        chosen(&node.children, rest)
    }
}

impl Node {
    fn of_command(command: &[String]) -> Node {
        let after = command
            .iter()
            .position(|word| word == "--id" || word == "$menuentry_id_option");
        let id = after.and_then(|at| command.get(at + 1));
        Node {
            title: command.get(1).cloned().unwrap_or_default(),
            id: id.cloned().unwrap_or_default(),
            ..Node::default()
        }
    }
}

/// The commands of a script as words: quotes taken off, variables left in, comments left out.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut command: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(letters.by_ref().take_while(|letter| *letter != '\''));
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => word.extend(letters.next()),
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => match letters.next() {
                Some('\n') | None => {}
                Some(letter) => word.get_or_insert_default().push(letter),
            },
            '$' if letters.peek() == Some(&'{') => {
                let word = word.get_or_insert_default();
                word.push('$');
                word.extend(letters.by_ref().take_while(|letter| *letter != '}'));
                word.push('}');
            }
            '#' if word.is_none() => while letters.next_if(|letter| *letter != '\n').is_some() {},
            ' ' | '\t' | '\r' => command.extend(word.take()),
            '\n' | ';' => {
                command.extend(word.take());
                if !command.is_empty() {
                    found.push(std::mem::take(&mut command));
                }
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    command.extend(word);
    if !command.is_empty() {
        found.push(command);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MENU: &str = r#"
# a comment with { and 'quotes
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="0"
fi
function load_video {
  insmod all_video
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	linux	/boot/vmlinuz-6.1.0-37-amd64 root=UUID=1 ro quiet $vt_handoff
	initrd	/boot/initrd.img-6.1.0-37-amd64
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian, with Linux 6.1.0-37' $menuentry_id_option 'gnulinux-6.1.0-37-advanced-1' {
		linux	/boot/vmlinuz-6.1.0-37-amd64 root=UUID=1 ro quiet
	}
	menuentry 'Debian, with Linux 6.1.0-37 (recovery mode)' $menuentry_id_option 'gnulinux-6.1.0-37-recovery-1' {
		linux	/boot/vmlinuz-6.1.0-37-amd64 root=UUID=1 ro single
	}
}
"#;

    fn lines(default: &str) -> Vec<String> {
        let text = MENU.replace("default=\"0\"", &format!("default=\"{default}\""));
        let menu = Menu::parse(&text, &BTreeMap::new());
        menu.default_lines()
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    #[test]
    fn the_default_is_found_by_number_title_or_id() {
        assert_eq!(lines("0"), ["root=UUID=1 ro quiet "]);
        assert_eq!(lines("Debian GNU/Linux"), ["root=UUID=1 ro quiet "]);
        assert_eq!(
            lines("gnulinux-advanced-1>gnulinux-6.1.0-37-recovery-1"),
            ["root=UUID=1 ro single"]
        );
        assert_eq!(lines("1>1"), ["root=UUID=1 ro single"]);
        assert_eq!(lines("1"), ["root=UUID=1 ro quiet"]);
        assert_eq!(lines("no such"), ["root=UUID=1 ro quiet "], "the first");
    }

    #[test]
    fn the_environment_sets_the_entry_of_one_boot() {
        let environment = environment("# GRUB Environment Block\nnext_entry=1>1\n####");
        let menu = Menu::parse(MENU, &environment);
        let lines: Vec<String> = menu
            .default_lines()
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        assert_eq!(lines, ["root=UUID=1 ro quiet ", "root=UUID=1 ro single"]);
    }

    #[test]
    fn the_administrators_own_entries_are_taken_in() {
        let last = "if [ -f  ${config_directory}/custom.cfg ]; then\n  source ${config_directory}/custom.cfg\nfi\n";
        assert!(includes_own_entries(last));
        assert!(!includes_own_entries(
            "# source $prefix/custom.cfg\nset a=1\n"
        ));
    }

    #[test]
    fn any_text_ends() {
        for text in [
            "",
            "}",
            "menuentry {",
            "menuentry 'a' {\n linux",
            "set default",
            "'",
            "\"\\",
            "${",
            "$",
            "submenu a {\nsubmenu b {\n",
            "linux a b",
        ] {
            let menu = Menu::parse(text, &BTreeMap::new());
            let _ = menu.default_lines();
        }
        let deep = "submenu a {\n".repeat(10_000);
        assert!(
            Menu::parse(&deep, &BTreeMap::new())
                .default_lines()
                .is_empty()
        );
        let menu = Menu::parse("set a=$b\nset b=1", &BTreeMap::new());
        assert_eq!(menu.filled("x${b}y$c${"), "x1y{");
    }
}
