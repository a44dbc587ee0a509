//! apt's merged configuration (apt.conf(5)), read as apt reads it: `apt.conf.d` in the order of names, then `apt.conf`.
//!
//! Proven equal to `apt-config dump` by a test over real and hostile files; what apt refuses is refused here too.

pub(super) mod parser;
mod tree;

use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

pub use tree::{Configuration, truth};

/// Directory of configuration parts.
const PARTS: &str = "/etc/apt/apt.conf.d";
/// The main file, read last.
const MAIN: &str = "/etc/apt/apt.conf";
/// Deepest nesting of `#include`.
const MAX_INCLUDES: usize = 10;
/// Most files, each counted as often as it is included.
const MAX_FILES: usize = 2000;

/// Settings that move apt's files elsewhere; with one of them set, what stands in the usual places is not in effect.
const MOVES: [&str; 12] = [
    "RootDir",
    "Dir",
    "Dir::Etc",
    "Dir::Etc::sourcelist",
    "Dir::Etc::sourceparts",
    "Dir::Etc::main",
    "Dir::Etc::parts",
    "Dir::Etc::preferences",
    "Dir::Etc::preferencesparts",
    "Dir::State",
    "Dir::State::lists",
    "Dir::State::status",
];

/// Reads what is configured on a host. Built-in defaults are not part of it.
///
/// # Errors
/// [`Unobservable`] if a file cannot be read, is not what apt accepts, or moves apt's own files elsewhere.
pub fn read(observation: &mut Observation<'_>) -> Result<Configuration, Unobservable> {
    let mut configuration = Configuration::default();
    let mut files = 0;
    read_directory(observation, &mut configuration, PARTS, 0, &mut files)?;
    read_file(observation, &mut configuration, MAIN, 0, &mut files)?;
    for name in MOVES {
        if configuration
            .value(name)
            .is_some_and(|value| !value.is_empty())
        {
            return Err(Unobservable::unparsable(
                PARTS,
                format!("{name} moves apt's files to another place, which is not followed"),
            ));
        }
    }
    Ok(configuration)
}

fn read_directory(
    observation: &mut Observation<'_>,
    configuration: &mut Configuration,
    directory: &str,
    depth: usize,
    files: &mut usize,
) -> Result<(), Unobservable> {
    for path in parts(observation, directory, &["conf", ""])? {
        read_file(observation, configuration, &path, depth, files)?;
    }
    Ok(())
}

/// The files of a directory that apt takes, in its order: names of letters, digits and `_-:.`, with an ending of
/// `endings` (`""` stands for no ending at all), that are regular files.
///
/// # Errors
/// [`Unobservable`] if the directory exists and cannot be listed.
pub fn parts(
    observation: &mut Observation<'_>,
    directory: &str,
    endings: &[&str],
) -> Result<Vec<String>, Unobservable> {
    let directory = directory.trim_end_matches('/');
    let mut paths = Vec::new();
    for entry in observation.list(directory)?.unwrap_or_default() {
        let path = format!("{directory}/{}", entry.name);
        let regular = match entry.kind {
            FileKind::Regular => true,
            FileKind::Link => observation
                .host()
                .stat(&path)
                .is_ok_and(|stat| stat.kind == FileKind::Regular),
            _ => false,
        };
        if regular && is_taken(&entry.name, endings) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_taken(name: &str, endings: &[&str]) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !name.starts_with('.')
        && !name.ends_with('.')
        && endings.contains(&ending)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte))
}

fn read_file(
    observation: &mut Observation<'_>,
    configuration: &mut Configuration,
    path: &str,
    depth: usize,
    files: &mut usize,
) -> Result<(), Unobservable> {
    *files += 1;
    if *files > MAX_FILES {
        return Err(Unobservable::unparsable(path, "includes too many files"));
    }
    let Some(bytes) = observation.bytes(path, crate::host::MAX_FILE_BYTES)? else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&bytes);
    let wrong = |problem: String| Unobservable::unparsable(path, problem);
    for statement in parser::statements(&text).map_err(|error| wrong(error.to_string()))? {
        match statement {
            parser::Statement::Set(name, value) => configuration
                .set(&name, value)
                .map_err(|error| wrong(error.to_string()))?,
            parser::Statement::Clear(name) => configuration.clear(&name),
            parser::Statement::Include(target) => {
                if depth >= MAX_INCLUDES {
                    return Err(wrong("includes nest too deep".to_owned()));
                }
                if !target.starts_with('/') {
                    return Err(wrong(format!(
                        "includes {target:?}, which is no absolute path"
                    )));
                }
                if target.ends_with('/') {
                    read_directory(observation, configuration, &target, depth + 1, files)?;
                } else if observation.stat(&target)?.is_none() {
                    return Err(wrong(format!("includes {target}, which does not exist")));
                } else {
                    read_file(observation, configuration, &target, depth + 1, files)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
