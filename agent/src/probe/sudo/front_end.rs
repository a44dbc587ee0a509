//! sudo.conf(5): which policy plugin sudo loads, and the options it gives to it.

use crate::probe::{Observation, Unobservable};

const PATH: &str = "/etc/sudo.conf";
/// The policy plugin's symbol and, without its directory, the file it is shipped in.
const SYMBOL: &str = "sudoers_policy";
const FILE: &str = "sudoers.so";
const DEFAULT_SUDOERS: &str = "/etc/sudoers";

/// What decides who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrontEnd {
    /// The main file of rules.
    pub sudoers: String,
    /// Another plugin decides, of whose rules nothing is known.
    pub foreign: Option<String>,
}

/// Reads sudo.conf; without the file or a line about a policy sudo loads its own plugin with its own file.
///
/// # Errors
/// [`Unobservable`] if the file exists and cannot be read.
pub(super) fn read(observation: &mut Observation<'_>) -> Result<FrontEnd, Unobservable> {
    Ok(parse(&observation.text(PATH)?.unwrap_or_default()))
}

fn parse(text: &str) -> FrontEnd {
    let mut found = FrontEnd {
        sudoers: DEFAULT_SUDOERS.to_owned(),
        foreign: None,
    };
    let (mut ours, mut other) = (false, None);
    for line in text.replace("\\\n", " ").lines() {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let is_plugin = |word: &str| word.eq_ignore_ascii_case("Plugin");
        if !words.next().is_some_and(is_plugin) {
            continue;
        }
        let (Some(symbol), Some(file)) = (words.next(), words.next()) else {
            continue;
        };
        if symbol == SYMBOL && file.rsplit('/').next() == Some(FILE) {
            ours = true;
            for option in words {
                if let Some(path) = option.strip_prefix("sudoers_file=") {
                    found.sudoers = path.to_owned();
                }
            }
        } else if symbol.contains("policy") {
            other = Some(symbol.to_owned());
        }
    }
    // Only one policy plugin can be loaded.
    found.foreign = other.filter(|_| !ours);
    found
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_file_of_rules_is_the_one_that_the_plugin_is_given() {
        for (text, sudoers, foreign) in [
            ("", "/etc/sudoers", None),
            (
                "# Plugin sudoers_policy sudoers.so sudoers_file=/x\nSet probe_interfaces false\n",
                "/etc/sudoers",
                None,
            ),
            (
                "plugin sudoers_policy \\\n /usr/libexec/sudo/sudoers.so sudoers_mode=0400 sudoers_file=/opt/x # why\nPlugin sudoers_io sudoers.so\n",
                "/opt/x",
                None,
            ),
            (
                "Plugin sample_policy sample_plugin.so\n",
                "/etc/sudoers",
                Some("sample_policy"),
            ),
        ] {
            let found = parse(text);
            assert_eq!(found.sudoers, sudoers, "{text}");
            assert_eq!(found.foreign.as_deref(), foreign, "{text}");
        }
    }
}
