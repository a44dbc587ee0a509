//! sshd's configuration files as sshd loads them: the main file and, by `Include`, others in byte order.

use std::collections::BTreeMap;

use crypto::Digest;

use super::criteria::Criteria;
use super::keyword::{self, Keyword, Kind};
use super::pattern;
use super::syntax::{self, Line};
use crate::host::HostError;
use crate::probe::quoted::quoted;
use crate::probe::{Observation, Unobservable};

/// Most files one configuration may have.
const MAX_FILES: usize = 256;
/// Most bytes of one file.
const MAX_BYTES: usize = 1024 * 1024;
/// The directory that a relative `Include` starts from.
const BASE: &str = "/etc/ssh";

/// A configuration that sshd would refuse, or that this reader does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{at}: {problem}; check it with sshd -t", at = if *line == 0 { String::new() } else { format!(" line {line}") })]
pub(super) struct ConfigError {
    path: String,
    line: usize,
    problem: String,
}

impl ConfigError {
    pub(super) fn new(path: &str, line: usize, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            path: path.to_owned(),
            line,
            problem: problem.into(),
        }
    }
}

impl From<ConfigError> for Unobservable {
    fn from(error: ConfigError) -> Unobservable {
        Unobservable::new(evidence::outcome::Reason::Unparsable, error.to_string())
    }
}

/// What a line does.
#[derive(Debug)]
pub(super) enum Action {
    /// Sets a keyword.
    Set(&'static Keyword, Vec<String>),
    /// Begins a block for connections that meet the criteria.
    Match(Criteria),
    /// Reads other files here.
    Include(Vec<usize>),
}

/// A line of a file with what it does.
#[derive(Debug)]
pub(super) struct Directive {
    /// 1-based line number.
    pub line: usize,
    /// What it does.
    pub action: Action,
}

/// A file of the configuration.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// Its path.
    pub path: String,
    /// The digest of its content.
    pub digest: Digest,
    /// Its lines, without comments.
    pub directives: Vec<Directive>,
}

/// A whole configuration. The main file is the first.
#[derive(Debug)]
pub(super) struct Configuration {
    /// Every file once.
    pub files: Vec<ConfigFile>,
    /// Directories that were searched for included files.
    pub directories: Vec<String>,
}

impl Configuration {
    /// Loads the main file at `path` and what it includes.
    ///
    /// # Errors
    /// [`Unobservable`] if a file cannot be read or sshd would refuse it.
    pub(super) fn load(
        observation: &mut Observation<'_>,
        path: &str,
    ) -> Result<Configuration, Unobservable> {
        let mut loader = Loader {
            observation,
            known: BTreeMap::new(),
            selected: BTreeMap::new(),
            loaded: Configuration {
                files: Vec::new(),
                directories: Vec::new(),
            },
        };
        loader.file(path)?;
        Ok(loader.loaded)
    }

    /// Every `Match` of every file.
    pub(super) fn criteria(&self) -> impl Iterator<Item = &Criteria> {
        self.files
            .iter()
            .flat_map(|file| &file.directives)
            .filter_map(|directive| match &directive.action {
                Action::Match(criteria) => Some(criteria),
                _ => None,
            })
    }
}

struct Loader<'o, 'h> {
    observation: &'o mut Observation<'h>,
    known: BTreeMap<String, usize>,
    selected: BTreeMap<String, Vec<usize>>,
    loaded: Configuration,
}

impl Loader<'_, '_> {
    fn file(&mut self, path: &str) -> Result<usize, Unobservable> {
        if let Some(known) = self.known.get(path) {
            return Ok(*known);
        }
        let text = match self.observation.bytes(path, MAX_BYTES)? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => {
                return Err(Unobservable::new(
                    evidence::outcome::Reason::Missing,
                    format!("{path} does not exist; sshd does not start without it"),
                ));
            }
        };
        if self.loaded.files.len() == MAX_FILES {
            return Err(Unobservable::unparsable(path, "too many included files"));
        }
        let number = self.loaded.files.len();
        self.known.insert(path.to_owned(), number);
        self.loaded.files.push(ConfigFile {
            path: path.to_owned(),
            digest: Digest::of(text.as_bytes()),
            directives: Vec::new(),
        });
        let mut directives = Vec::new();
        for line in syntax::lines(path, &text)? {
            let action = self.action(path, &line)?;
            directives.push(Directive {
                line: line.number,
                action,
            });
        }
        if let Some(file) = self.loaded.files.get_mut(number) {
            file.directives = directives;
        }
        Ok(number)
    }

    fn action(&mut self, path: &str, line: &Line) -> Result<Action, Unobservable> {
        match line.keyword.as_str() {
            "match" => Criteria::parse(&line.rest)
                .map(Action::Match)
                .map_err(|problem| ConfigError::new(path, line.number, problem).into()),
            "include" => self.include(path, line),
            _ => Ok(set(path, line).map(|(keyword, words)| Action::Set(keyword, words))?),
        }
    }

    fn include(&mut self, path: &str, line: &Line) -> Result<Action, Unobservable> {
        if line.arguments.is_empty() || line.arguments.iter().any(String::is_empty) {
            return Err(ConfigError::new(path, line.number, "Include without a file").into());
        }
        let mut files = Vec::new();
        for argument in &line.arguments {
            let selector = if argument.starts_with('/') {
                argument.clone()
            } else {
                format!("{BASE}/{argument}")
            };
            let found = match self.selected.get(&selector) {
                Some(found) => found.clone(),
                None => {
                    let mut found = Vec::new();
                    for path in self.expand(&selector)? {
                        found.push(self.file(&path)?);
                    }
                    self.selected.insert(selector, found.clone());
                    found
                }
            };
            files.extend(found);
        }
        Ok(Action::Include(files))
    }

    /// The files that a glob(7) pattern names, in byte order; directories read as empty files and are left out.
    fn expand(&mut self, selector: &str) -> Result<Vec<String>, Unobservable> {
        let mut found = vec![String::new()];
        for part in selector.split('/').filter(|part| !part.is_empty()) {
            let magic = part.contains(['*', '?', '[', '\\']);
            let mut next = Vec::new();
            for base in &found {
                if !magic {
                    next.push(format!("{base}/{part}"));
                    continue;
                }
                let directory = if base.is_empty() { "/" } else { base };
                if !self
                    .loaded
                    .directories
                    .iter()
                    .any(|known| known == directory)
                {
                    self.loaded.directories.push(directory.to_owned());
                }
                let names = self.observation.list(directory)?.unwrap_or_default();
                next.extend(
                    names
                        .iter()
                        .filter(|entry| pattern::glob_part(&entry.name, part))
                        .map(|entry| format!("{base}/{}", entry.name)),
                );
            }
            found = next;
        }
        found.sort();
        let mut files = Vec::new();
        for path in found {
            match self.observation.host().stat(&path) {
                Ok(stat) if stat.kind != crate::host::FileKind::Directory => files.push(path),
                Ok(_) => {}
                // glob(3) lists a dangling link, and sshd then stops because it cannot open it.
                Err(HostError::NotFound(_)) if self.observation.host().lstat(&path).is_ok() => {
                    files.push(path);
                }
                Err(HostError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(files)
    }
}

/// A keyword with its arguments, refused where sshd refuses them.
pub(super) fn set(path: &str, line: &Line) -> Result<(&'static Keyword, Vec<String>), ConfigError> {
    let wrong = |problem: String| ConfigError::new(path, line.number, problem);
    let keyword = keyword::find(&line.keyword)
        .ok_or_else(|| wrong(format!("no keyword is called {}", quoted(&line.keyword))))?;
    let words = &line.arguments;
    let single = || match words.as_slice() {
        [word] if !word.is_empty() => Ok(word.as_str()),
        [] | [_] => Err(wrong(format!("{} lacks its argument", line.keyword))),
        _ => Err(wrong(format!("{} has extra arguments", line.keyword))),
    };
    let value = match keyword.kind {
        Kind::Flag => match single()?.to_ascii_lowercase().as_str() {
            flag @ ("yes" | "no") => vec![flag.to_owned()],
            other => return Err(wrong(format!("{} is neither yes nor no", quoted(other)))),
        },
        Kind::Root => match single()?.to_ascii_lowercase().as_str() {
            "without-password" | "prohibit-password" => vec!["prohibit-password".to_owned()],
            word @ ("yes" | "no" | "forced-commands-only") => vec![word.to_owned()],
            other => {
                return Err(wrong(format!(
                    "PermitRootLogin cannot be {}",
                    quoted(other)
                )));
            }
        },
        Kind::Number => {
            let number = single()?;
            match number.parse::<i32>() {
                Ok(value) if value >= 0 => vec![value.to_string()],
                _ => return Err(wrong(format!("{} is no number", quoted(number)))),
            }
        }
        Kind::Word => {
            let word = single()?;
            // Patterns of algorithm names are for taking away; only key types may be patterns elsewhere.
            if ["ciphers", "macs", "kexalgorithms"].contains(&keyword.name)
                && !word.starts_with('-')
                && word.contains(['*', '?'])
            {
                return Err(wrong(format!("{} takes no pattern", line.keyword)));
            }
            vec![word.to_owned()]
        }
        Kind::Words | Kind::Append => {
            if words.is_empty() {
                return Err(wrong(format!("{} lacks its arguments", line.keyword)));
            }
            words.clone()
        }
        Kind::Other => Vec::new(),
    };
    Ok((keyword, value))
}
