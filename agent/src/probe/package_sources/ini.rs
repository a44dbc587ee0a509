//! Configuration in sections, as dnf, zypper, pacman and flatpak write it.

/// A section with its assignments in order; what stands before the first header is in a section without a name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    entries: Vec<(String, String)>,
}

impl Section {
    /// The value of the last assignment to a name, without regard to case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A truth as dnf and zypper write it; `None` if there is none or it is no truth.
    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        truth(self.get(name)?)
    }

    /// All assignments, in order.
    pub(super) fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// Assigns over what there is.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.entries.push((name.to_owned(), value.to_owned()));
    }

    /// Lets the assignments of another section override these.
    pub(super) fn extend(&mut self, other: Section) {
        self.entries.extend(other.entries);
    }
}

/// `1`, `yes`, `true`, `on` and their opposites, without regard to case.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" | "enabled" | "always" => Some(true),
        "0" | "no" | "false" | "off" | "disabled" | "never" => Some(false),
        _ => None,
    }
}

/// The sections of a text. A line that begins with white space goes on with the value above; a name without `=` has an
/// empty value.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    for line in text.lines() {
        let folded = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let Some(section) = sections.last_mut() else {
            break;
        };
        let header = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((name, _)) = header {
            sections.push(Section {
                name: name.trim().to_owned(),
                entries: Vec::new(),
            });
        } else if let (true, Some((_, value))) = (folded, section.entries.last_mut()) {
            value.push(' ');
            value.push_str(line);
        } else {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            section
                .entries
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keep_the_last_assignment_and_folded_lines() {
        let found = sections(
            "; c\n[main]\ngpgcheck = 1\nGpgCheck=0\n[baseos]\nbaseurl=http://a\n   http://b\n# x\nflag\n",
        );
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].truth("gpgcheck"), Some(false));
        assert_eq!(found[2].get("baseurl"), Some("http://a http://b"));
        assert_eq!(found[2].get("flag"), Some(""));
        assert_eq!(found[2].truth("flag"), None);
        assert_eq!(sections("[\n]=\n  folded\n").len(), 1);
    }
}
