//! What a configuration sets for one connection: sshd's two passes over its files (servconf.c).
//!
//! At start sshd reads everything outside `Match` blocks; for each connection it reads again and takes what blocks that
//! match say in place of it. An included file sees the state of the block it stands in, and ends its own blocks.

use std::collections::BTreeMap;

use super::config::{Action, ConfigError, Configuration};
use super::criteria::Connection;
use super::keyword::{Keyword, Kind};
use super::package::Version;

/// Deepest nesting of included files (SERVCONF_MAX_DEPTH).
const MAX_DEPTH: usize = 16;
/// Most lines read in one pass: files that include each other over and over reach it.
const MAX_LINES: usize = 100_000;

/// What is set, by the keyword's canonical name.
pub(super) type Settings = BTreeMap<&'static str, Vec<String>>;

/// A setting from the daemon's command line, which comes before every file.
pub(super) type Given = (&'static Keyword, Vec<String>);

/// What is set for every connection, before any `Match`.
///
/// # Errors
/// [`ConfigError`] where sshd refuses to start.
pub(super) fn global(
    configuration: &Configuration,
    given: &[Given],
    version: &Version,
) -> Result<Settings, ConfigError> {
    let mut pass = Pass::new(configuration, None, version);
    for (keyword, words) in given {
        pass.set(keyword, words);
    }
    pass.file(0, InFile::default(), &mut true, 0)?;
    Ok(pass.settings)
}

/// What is set for one connection: `global` with what matching blocks say instead.
///
/// # Errors
/// As [`global`].
pub(super) fn for_connection(
    configuration: &Configuration,
    global: &Settings,
    connection: &Connection,
    version: &Version,
) -> Result<Settings, ConfigError> {
    let mut pass = Pass::new(configuration, Some(connection), version);
    let outside_blocks = InFile {
        match_only: true,
        never: false,
    };
    pass.file(0, outside_blocks, &mut false, 0)?;
    let mut settings = global.clone();
    settings.extend(
        pass.settings
            .into_iter()
            .filter(|(name, _)| pass.overrides.contains(name)),
    );
    Ok(settings)
}

/// How a file is being read (SSHCFG_MATCH_ONLY and SSHCFG_NEVERMATCH).
#[derive(Debug, Clone, Copy, Default)]
struct InFile {
    /// Second pass, no block seen yet.
    match_only: bool,
    /// Included from a block that does not match: none of its own blocks does.
    never: bool,
}

struct Pass<'c> {
    configuration: &'c Configuration,
    connection: Option<&'c Connection>,
    version: &'c Version,
    settings: Settings,
    overrides: Vec<&'static str>,
    lines: usize,
}

impl<'c> Pass<'c> {
    fn new(
        configuration: &'c Configuration,
        connection: Option<&'c Connection>,
        version: &'c Version,
    ) -> Pass<'c> {
        Pass {
            configuration,
            connection,
            version,
            settings: Settings::new(),
            overrides: Vec::new(),
            lines: 0,
        }
    }

    fn set(&mut self, keyword: &'static Keyword, words: &[String]) {
        if keyword.kind == Kind::Other {
            return;
        }
        let name = match keyword.name {
            // One setting under two names since 8.7; before, each had a value of its own.
            "challengeresponseauthentication" if self.version.at_least(8, 7) => {
                "kbdinteractiveauthentication"
            }
            name => name,
        };
        if keyword.in_match && !self.overrides.contains(&name) {
            self.overrides.push(name);
        }
        let value = self.settings.entry(name).or_default();
        if keyword.kind == Kind::Append || value.is_empty() {
            value.extend_from_slice(words);
        }
    }

    fn file(
        &mut self,
        number: usize,
        mut how: InFile,
        active: &mut bool,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let Some(file) = self.configuration.files.get(number) else {
            return Ok(());
        };
        if depth > MAX_DEPTH {
            return Err(ConfigError::new(
                &file.path,
                0,
                "files are included too deeply",
            ));
        }
        for directive in &file.directives {
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(ConfigError::new(
                    &file.path,
                    0,
                    "files are included too often",
                ));
            }
            match &directive.action {
                Action::Set(keyword, words) => {
                    if *active {
                        self.set(keyword, words);
                    } else if !keyword.in_match && self.connection.is_none() {
                        return Err(ConfigError::new(
                            &file.path,
                            directive.line,
                            "this keyword is not allowed within a Match block",
                        ));
                    }
                }
                Action::Match(criteria) => {
                    *active = !how.never && self.holds(criteria);
                    how.match_only = false;
                }
                Action::Include(files) => {
                    let included = InFile {
                        match_only: how.match_only,
                        never: !how.match_only && !*active,
                    };
                    for other in files {
                        let mut inner = *active;
                        self.file(*other, included, &mut inner, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// At start only `Match all`, and `Match version`, can hold.
    fn holds(&self, criteria: &super::criteria::Criteria) -> bool {
        match self.connection {
            Some(connection) => criteria.hold(connection, self.version),
            None => criteria
                .0
                .iter()
                .all(|criterion| criterion.holds_for_nobody(self.version)),
        }
    }
}
