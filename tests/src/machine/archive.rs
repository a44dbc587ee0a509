//! The Debian archive from which hosts are made: the one that the outer machine itself uses.
//!
//! No mirror is named here. The entry of `/etc/apt` for the outer machine's own suite and the one for its security updates
//! are taken over with the suite exchanged, so a machine behind a local mirror or a frozen snapshot makes its hosts from that.
//! Both forms of sources.list(5) are read.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::MachineError;
use super::program;

/// Where apt keeps the sources of this machine.
const SOURCES: &str = "/etc/apt/sources.list";
const SOURCES_FOLDER: &str = "/etc/apt/sources.list.d";
const OS_RELEASE: &str = "/etc/os-release";

/// Settings of the outer machine's apt without which its mirror may not be usable at all (frozen snapshots have expired
/// release files). They are given to apt while a root is made and never written into it.
const MIRROR_SETTINGS: [&str; 2] = ["Acquire::Check-Valid-Until", "Acquire::Check-Date"];

/// The archive entries of one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    /// The address of the suite itself, for debootstrap.
    pub mirror: String,
    /// The lines of the new root's sources.list.
    pub lines: Vec<String>,
}

impl Archive {
    /// The entries for `suite`, derived from this machine's own.
    pub(super) fn of_this_machine(suite: &str) -> Result<Archive, MachineError> {
        let mut entries = Vec::new();
        for path in source_files()? {
            let text = fs::read_to_string(&path).map_err(MachineError::io("read", &path))?;
            let deb822 = path
                .extension()
                .is_some_and(|extension| extension == "sources");
            entries.extend(if deb822 {
                parse_stanzas(&text)
            } else {
                parse_lines(&text)
            });
        }
        let release =
            fs::read_to_string(OS_RELEASE).map_err(MachineError::io("read", OS_RELEASE))?;
        let own = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .map(|name| name.trim_matches('"'))
            .ok_or_else(|| MachineError::NoArchive {
                wanted: format!("suite (no VERSION_CODENAME in {OS_RELEASE})"),
            })?;
        Archive::derive(&entries, own, suite)
    }

    fn derive(entries: &[Entry], own: &str, suite: &str) -> Result<Archive, MachineError> {
        let mut mirror = None;
        let mut secured = false;
        let mut lines = Vec::new();
        for entry in entries.iter().filter(|entry| entry.uri.starts_with("http")) {
            let renamed = if entry.suite == own {
                mirror.get_or_insert_with(|| entry.uri.clone());
                suite.to_owned()
            } else if entry.suite == format!("{own}-updates") {
                format!("{suite}-updates")
            } else if entry.suite == format!("{own}-security") {
                secured = true;
                format!("{suite}-security")
            } else {
                continue;
            };
            let line = format!("deb {} {renamed} {}", entry.uri, entry.components);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let mirror = mirror.ok_or_else(|| MachineError::NoArchive {
            wanted: format!("suite {own}"),
        })?;
        if !secured {
            return Err(MachineError::NoArchive {
                wanted: format!("suite {own}-security"),
            });
        }
        Ok(Archive { mirror, lines })
    }
}

/// The options with which the outer machine's apt treats its mirror, as arguments for apt-get.
pub(super) fn mirror_options() -> Result<Vec<String>, MachineError> {
    let dump = program::run("apt-config", &["dump"])?;
    Ok(dump
        .lines()
        .filter_map(|line| line.strip_suffix(';')?.split_once(' '))
        .filter(|(key, _)| MIRROR_SETTINGS.contains(key) || key.ends_with("::Proxy"))
        .map(|(key, value)| format!("--option={key}={}", value.trim_matches('"')))
        .collect())
}

/// One address with one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
    components: String,
}

fn source_files() -> Result<Vec<PathBuf>, MachineError> {
    let mut files = Vec::new();
    if Path::new(SOURCES).exists() {
        files.push(PathBuf::from(SOURCES));
    }
    if Path::new(SOURCES_FOLDER).exists() {
        for entry in
            fs::read_dir(SOURCES_FOLDER).map_err(MachineError::io("list", SOURCES_FOLDER))?
        {
            let path = entry
                .map_err(MachineError::io("list", SOURCES_FOLDER))?
                .path();
            if path
                .extension()
                .is_some_and(|extension| extension == "list" || extension == "sources")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `deb [option=value …] uri suite component …`, one entry a line.
fn parse_lines(text: &str) -> Vec<Entry> {
    text.lines()
        .filter_map(|line| {
            let line = line
                .split('#')
                .next()?
                .trim()
                .strip_prefix("deb ")?
                .trim_start();
            let line = match line.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => line,
            };
            let mut words = line.split_whitespace();
            let (uri, suite) = (words.next()?, words.next()?);
            let components = words.collect::<Vec<_>>().join(" ");
            Some(Entry {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                components,
            })
        })
        .collect()
}

/// Stanzas of `Types`, `URIs`, `Suites`, `Components`; a stanza with `Enabled: no` does not count.
fn parse_stanzas(text: &str) -> Vec<Entry> {
    let uncommented: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    uncommented
        .split(|line| line.trim().is_empty())
        .filter(|stanza| {
            field(stanza, "types")
                .split_whitespace()
                .any(|kind| kind == "deb")
        })
        .filter(|stanza| {
            !matches!(
                field(stanza, "enabled").trim(),
                "no" | "false" | "0" | "off" | "without" | "disable"
            )
        })
        .flat_map(|stanza| {
            let (uris, suites) = (field(stanza, "uris"), field(stanza, "suites"));
            let components = field(stanza, "components")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let mut entries = Vec::new();
            for uri in uris.split_whitespace() {
                for suite in suites.split_whitespace() {
                    entries.push(Entry {
                        uri: uri.to_owned(),
                        suite: suite.to_owned(),
                        components: components.clone(),
                    });
                }
            }
            entries
        })
        .collect()
}

/// The value of a field with its continuation lines; empty when the field is not there.
fn field(stanza: &[&str], name: &str) -> String {
    let mut value = String::new();
    let mut inside = false;
    for line in stanza {
        if line.starts_with([' ', '\t']) {
            if inside {
                value.push_str(line);
            }
            continue;
        }
        let Some((key, rest)) = line.split_once(':') else {
            continue;
        };
        inside = key.trim().eq_ignore_ascii_case(name);
        if inside {
            value.push_str(rest);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
# deb http://commented.example/debian bookworm main
deb [signed-by=/usr/share/keyrings/a.gpg arch=amd64] http://mirror.example/debian bookworm main contrib # ours
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb https://packages.example/apt cloud-sdk-bookworm main
deb cdrom:[Debian]/ bookworm main
";

    const STANZAS: &str = "\
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main contrib

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
";

    #[test]
    fn both_forms_lead_to_the_same_mirror() {
        let lines = Archive::derive(&parse_lines(LINES), "bookworm", "trixie").unwrap();
        assert_eq!(lines.mirror, "http://mirror.example/debian");
        assert_eq!(
            lines.lines,
            [
                "deb http://mirror.example/debian trixie main contrib",
                "deb http://mirror.example/security trixie-security main"
            ]
        );
        let stanzas = Archive::derive(&parse_stanzas(STANZAS), "bookworm", "bookworm").unwrap();
        assert_eq!(stanzas.mirror, lines.mirror);
        assert_eq!(
            stanzas.lines,
            [
                "deb http://mirror.example/debian bookworm main contrib",
                "deb http://mirror.example/debian bookworm-updates main contrib",
                "deb http://mirror.example/security bookworm-security main",
            ]
        );
    }

    #[test]
    fn a_machine_without_security_updates_is_refused() {
        let entries = parse_lines("deb http://mirror.example/debian bookworm main\n");
        let refused = Archive::derive(&entries, "bookworm", "bookworm");
        assert!(
            matches!(refused, Err(MachineError::NoArchive { wanted }) if wanted == "suite bookworm-security")
        );
    }
}
