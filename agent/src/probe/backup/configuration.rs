//! Configuration files of borgmatic and rsnapshot.

use super::command::exclude;
use super::{Job, Tool};
use crate::probe::unit::units;
use crate::probe::{Observation, Unobservable};

const BORGMATIC: &str = "/etc/borgmatic/config.yaml";
const BORGMATIC_DIRECTORY: &str = "/etc/borgmatic.d";
const RSNAPSHOT: &str = "/etc/rsnapshot.conf";

pub(super) fn jobs(observation: &mut Observation<'_>) -> Result<Vec<Job>, Unobservable> {
    let mut found = borgmatic(observation)?;
    found.extend(rsnapshot(observation)?);
    Ok(found)
}

fn borgmatic(observation: &mut Observation<'_>) -> Result<Vec<Job>, Unobservable> {
    let mut paths = vec![BORGMATIC.to_owned()];
    for entry in observation.list(BORGMATIC_DIRECTORY)?.unwrap_or_default() {
        if entry.name.ends_with(".yaml") || entry.name.ends_with(".yml") {
            paths.push(format!("{BORGMATIC_DIRECTORY}/{}", entry.name));
        }
    }
    let mut jobs = Vec::new();
    for path in paths {
        // Passphrases stand in it: no digest of it is kept.
        if let Some(text) = super::place::text(observation, &path)? {
            observation.note(&path);
            let job = parse_borgmatic(&text, &path)
                .map_err(|problem| Unobservable::unparsable(&path, problem))?;
            jobs.push(job);
        }
    }
    if !jobs.is_empty() {
        let units = units(observation, &["borgmatic.timer"])?;
        let by_timer = units
            .values()
            .any(|unit| unit.enabled && !unit.masked && (unit.active || !observation.is_live()));
        let scheduled = by_timer || super::place::is_named_by_cron(observation, "borgmatic")?;
        jobs.iter_mut().for_each(|job| job.scheduled = scheduled);
    }
    Ok(jobs)
}

/// The few keys that matter, at the top or in the sections of older versions. Anchors and inclusions are refused, since
/// what they stand for is elsewhere.
fn parse_borgmatic(text: &str, path: &str) -> Result<Job, String> {
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    let mut job = Job {
        configured_in: path.to_owned(),
        tool: Tool::Borgmatic,
        scheduled: false,
        paths: None,
        excludes: Vec::new(),
        one_file_system: false,
        encrypted: None,
        repositories: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() || line == "---" {
            continue;
        }
        if line.starts_with("<<") || line.contains("!include") || line.contains(": *") {
            return Err(format!("line {}: what it includes is not read", number + 1));
        }
        if let Some(item) = line.strip_prefix("- ") {
            let item = item.trim();
            let value = item.strip_prefix("path:").unwrap_or(item);
            if let Some((_, items)) = lists.last_mut() {
                items.push(plain(value));
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name.trim() {
            "one_file_system" => job.one_file_system = value == "true",
            "encryption_passphrase" | "encryption_passcommand" => job.encrypted = Some(true),
            // Keys of one entry of a list, such as the label of a repository.
            "label" | "encryption" => {}
            name => lists.push((name.to_owned(), flow_list(value))),
        }
    }
    for (name, items) in lists {
        match name.as_str() {
            "source_directories" => {
                let open = items
                    .iter()
                    .any(|path| !path.starts_with('/') || path.contains('*'));
                job.paths = (!open && !items.is_empty()).then_some(items);
            }
            "repositories" => job.repositories.extend(items),
            "exclude_patterns" => job
                .excludes
                .extend(items.iter().filter_map(|item| exclude(item))),
            "patterns" | "patterns_from" if !items.is_empty() => {
                return Err("patterns in place of source directories are not read".to_owned());
            }
            _ => {}
        }
    }
    Ok(job)
}

fn without_comment(line: &str) -> &str {
    match line.find(" #") {
        Some(at) => &line[..at],
        None if line.trim_start().starts_with('#') => "",
        None => line,
    }
}

fn flow_list(value: &str) -> Vec<String> {
    let inner = value
        .strip_prefix('[')
        .and_then(|value| value.strip_suffix(']'));
    inner.map_or_else(Vec::new, |inner| {
        inner
            .split(',')
            .map(plain)
            .filter(|item| !item.is_empty())
            .collect()
    })
}

fn plain(value: &str) -> String {
    let value = value.trim().trim_matches(['"', '\'']);
    if value.len() > 1 {
        value.trim_end_matches('/').to_owned()
    } else {
        value.to_owned()
    }
}

fn rsnapshot(observation: &mut Observation<'_>) -> Result<Vec<Job>, Unobservable> {
    let Some(text) = observation.text(RSNAPSHOT)? else {
        return Ok(Vec::new());
    };
    let mut job = parse_rsnapshot(&text);
    job.scheduled = super::place::is_named_by_cron(observation, "rsnapshot")?;
    Ok(vec![job])
}

/// Fields are parted by tabs: `backup <tab> /home/ <tab> localhost/`.
fn parse_rsnapshot(text: &str) -> Job {
    let mut job = Job {
        configured_in: RSNAPSHOT.to_owned(),
        tool: Tool::Rsnapshot,
        scheduled: false,
        paths: None,
        excludes: Vec::new(),
        one_file_system: false,
        encrypted: Some(false),
        repositories: Vec::new(),
    };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line
            .split('\t')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .collect();
        match fields.as_slice() {
            ["snapshot_root", root, ..] => job.repositories.push((*root).to_owned()),
            ["one_fs", "1", ..] => job.one_file_system = true,
            ["exclude", pattern, ..] => job.excludes.extend(exclude(pattern)),
            // A source on another host is that host's backup, not this one's.
            ["backup", source, ..] if source.starts_with('/') => {
                job.paths.get_or_insert_default().push(plain(source));
            }
            _ => {}
        }
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borgmatic_of_both_forms_is_read() {
        let new = "source_directories:\n    - /home\n    - /etc/ # x\nrepositories:\n    - path: ssh://b@h/./r\n      label: far\n    - path: /srv/r\none_file_system: true\nexclude_patterns:\n    - '*.pyc'\n    - /home/*/.cache\n    - /etc/ssl\nencryption_passcommand: cat /root/p\n";
        let job = parse_borgmatic(new, "/x").unwrap();
        assert_eq!(job.paths.unwrap(), ["/home", "/etc"]);
        assert_eq!(job.repositories, ["ssh://b@h/./r", "/srv/r"]);
        assert_eq!(job.excludes, ["/etc/ssl"]);
        assert_eq!((job.one_file_system, job.encrypted), (true, Some(true)));
        let old = "location:\n    source_directories: [/home, /etc]\n    repositories:\n        - b@h:r\nstorage:\n    encryption_passphrase: \"x\"\n";
        let job = parse_borgmatic(old, "/x").unwrap();
        assert_eq!(job.paths.unwrap(), ["/home", "/etc"]);
        assert_eq!(job.repositories, ["b@h:r"]);
    }

    #[test]
    fn what_stands_elsewhere_is_refused() {
        assert!(parse_borgmatic("<<: !include /etc/x.yaml\n", "/x").is_err());
        assert!(parse_borgmatic("patterns:\n  - R /\n", "/x").is_err());
        assert_eq!(parse_borgmatic("", "/x").unwrap().paths, None);
        assert_eq!(parse_borgmatic("- \n:\n[", "/x").unwrap().paths, None);
    }

    #[test]
    fn rsnapshot_parts_by_tabs() {
        let job = parse_rsnapshot(
            "snapshot_root\t/var/cache/rsnapshot/\nbackup\t/home/\tlocalhost/\nbackup\troot@other:/etc/\tother/\n#backup\t/x/\ty/\nbackup /spaces/ x\none_fs\t1\n",
        );
        assert_eq!(job.paths.unwrap(), ["/home"]);
        assert!(job.one_file_system);
    }
}
