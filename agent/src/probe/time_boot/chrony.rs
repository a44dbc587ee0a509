//! chrony.conf(5), with what it includes, and the options of chronyd(8).

use std::collections::BTreeMap;

use super::{Settings, options, program};
use crate::probe::packages::glob;
use crate::probe::time_sources::{SourceKind, TimeSource};
use crate::probe::{Observation, Unobservable};

/// Where distributions have chronyd look for its configuration: Debian and Alpine, then the others.
const FILES: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
/// Deepest `include`.
const MAX_DEPTH: usize = 8;
/// Most files read.
const MAX_FILES: usize = 200;

pub(super) fn settings(
    observation: &mut Observation<'_>,
    command: &[String],
) -> Result<Result<Settings, String>, Unobservable> {
    // Ubuntu starts it through a script that hands its options on.
    if !matches!(program(command), "chronyd" | "chronyd-starter.sh") {
        return Ok(Err(format!("what {} does to the clock", command.join(" "))));
    }
    let (options, directives) = options(command, "fFlLPtu");
    let mut settings = Settings::default();
    for (option, _) in &options {
        if let 'x' | 'q' | 'Q' | 't' | 'p' | 'v' = option {
            settings.idle = Some(format!(
                "chronyd -{option} does not go on setting the clock"
            ));
        }
    }
    let mut reader = Reader {
        files: 0,
        sources: Vec::new(),
    };
    let named = options
        .iter()
        .rfind(|(option, _)| *option == 'f')
        .map(|(_, file)| file.clone());
    let read = if directives.is_empty() {
        let file = match named {
            Some(file) => file,
            None => match default_file(observation)? {
                Ok(file) => file,
                Err(problem) => return Ok(Err(problem)),
            },
        };
        match observation.text(&file)? {
            Some(text) => reader.directives(observation, &text, 0)?,
            None => {
                settings.idle = Some(format!("{file}, its configuration, does not exist"));
                Ok(())
            }
        }
    } else {
        reader.directives(observation, &directives.join("\n"), 0)?
    };
    settings.sources = reader.sources;
    Ok(read.map(|()| settings))
}

fn default_file(observation: &mut Observation<'_>) -> Result<Result<String, String>, Unobservable> {
    let mut there = Vec::new();
    for file in FILES {
        if observation.stat(file)?.is_some() {
            there.push(file.to_owned());
        }
    }
    Ok(match there.as_slice() {
        [one] => Ok(one.clone()),
        [] => Ok(FILES.first().copied().unwrap_or_default().to_owned()),
        _ => Err(format!("which of {} chronyd reads", there.join(" and "))),
    })
}

struct Reader {
    files: usize,
    sources: Vec<TimeSource>,
}

impl Reader {
    fn directives(
        &mut self,
        observation: &mut Observation<'_>,
        text: &str,
        depth: usize,
    ) -> Result<Result<(), String>, Unobservable> {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((first, rest)) = words.split_first() else {
                continue;
            };
            if first.starts_with(['!', ';', '#', '%']) {
                continue;
            }
            let included = match first.to_ascii_lowercase().as_str() {
                "server" | "peer" => {
                    self.source(SourceKind::Server, rest);
                    continue;
                }
                "pool" => {
                    self.source(SourceKind::Pool, rest);
                    continue;
                }
                "refclock" => {
                    self.source(SourceKind::Refclock, rest);
                    continue;
                }
                "include" => match rest {
                    [pattern] => matching(observation, pattern)?,
                    _ => return Ok(Err("an include of chrony.conf without a file".to_owned())),
                },
                "confdir" => of_folders(observation, rest, ".conf")?,
                "sourcedir" => of_folders(observation, rest, ".sources")?,
                _ => continue,
            };
            for file in included {
                self.files += 1;
                if depth == MAX_DEPTH || self.files > MAX_FILES {
                    return Ok(Err(format!("chrony.conf: {file} was not followed")));
                }
                let text = observation.text(&file)?.unwrap_or_default();
                if let Err(problem) = self.directives(observation, &text, depth + 1)? {
                    return Ok(Err(problem));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A source that is never selected is none.
    fn source(&mut self, kind: SourceKind, words: &[&str]) {
        if let Some((name, options)) = words.split_first()
            && !options.contains(&"noselect")
        {
            self.sources.push(TimeSource {
                name: (*name).to_owned(),
                kind,
                nts: options.contains(&"nts"),
            });
        }
    }
}

/// The files that a pattern in the last part of a path covers, in byte order.
fn matching(observation: &mut Observation<'_>, pattern: &str) -> Result<Vec<String>, Unobservable> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let (folder, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if folder.contains(['*', '?', '[']) || last.contains('[') {
        return Err(Unobservable::unparsable(
            "chrony.conf",
            "include with a pattern that is not followed",
        ));
    }
    let entries = observation.list(folder)?.unwrap_or_default();
    Ok(entries
        .into_iter()
        .filter(|entry| !entry.name.starts_with('.') && glob(last, &entry.name))
        .map(|entry| format!("{folder}/{}", entry.name))
        .collect())
}

/// Files of several folders in the order of their names; of two with one name the folder named first counts.
fn of_folders(
    observation: &mut Observation<'_>,
    folders: &[&str],
    suffix: &str,
) -> Result<Vec<String>, Unobservable> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in folders {
        for entry in observation.list(folder)?.unwrap_or_default() {
            if entry.name.ends_with(suffix) && !entry.name.starts_with('.') {
                let path = format!("{}/{}", folder.trim_end_matches('/'), entry.name);
                files.entry(entry.name).or_insert(path);
            }
        }
    }
    Ok(files.into_values().collect())
}
