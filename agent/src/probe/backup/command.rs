//! Command lines of restic(1) and borg(1) as they stand in units, cron tables and scripts.

use super::{Job, Tool};

/// Options of restic that take a value in the next word.
const RESTIC_VALUES: [&str; 33] = [
    "-r",
    "--repo",
    "--repository-file",
    "-p",
    "--password-file",
    "--password-command",
    "--tag",
    "-H",
    "--host",
    "--exclude-file",
    "--iexclude",
    "--iexclude-file",
    "--exclude-if-present",
    "--exclude-larger-than",
    "--files-from",
    "--files-from-verbatim",
    "--files-from-raw",
    "--parent",
    "--time",
    "-o",
    "--option",
    "--limit-upload",
    "--limit-download",
    "--cache-dir",
    "--key-hint",
    "--pack-size",
    "--read-concurrency",
    "--compression",
    "--retry-lock",
    "--group-by",
    "--stdin-filename",
    "--cacert",
    "--tls-client-cert",
];
/// Options of borg that take a value in the next word.
const BORG_VALUES: [&str; 17] = [
    "--exclude-from",
    "--pattern",
    "--patterns-from",
    "-C",
    "--compression",
    "--exclude-if-present",
    "--comment",
    "--filter",
    "--files-cache",
    "-c",
    "--checkpoint-interval",
    "--remote-path",
    "--rsh",
    "--umask",
    "--lock-wait",
    "--timestamp",
    "--chunker-params",
];

/// The backup that a line starts, if it starts one. A path with a variable, or one that is read from elsewhere, leaves
/// the paths open.
pub(super) fn parse(line: &str, configured_in: &str) -> Option<Job> {
    let words = words(line);
    let at = words.iter().position(|word| tool(word).is_some())?;
    let tool = tool(words.get(at)?)?;
    let environment = words.get(..at).unwrap_or_default();
    let rest = words.get(at + 1..).unwrap_or_default();
    let verb = match tool {
        Tool::Restic => "backup",
        _ => "create",
    };
    if !rest.iter().any(|word| word == verb) {
        return None;
    }
    let mut job = Job {
        configured_in: configured_in.to_owned(),
        tool,
        scheduled: false,
        paths: Some(Vec::new()),
        excludes: Vec::new(),
        one_file_system: false,
        // restic knows no repository without encryption.
        encrypted: (tool == Tool::Restic).then_some(true),
        repositories: Vec::new(),
    };
    job.repositories.extend(repository_variable(environment));
    let mut plain = Vec::new();
    read_options(&mut job, rest, &mut plain);
    let verb_at = plain.iter().position(|word| word == verb)?;
    let mut paths: Vec<String> = plain.split_off(verb_at + 1);
    if tool == Tool::Borg {
        if paths.is_empty() {
            return None;
        }
        let archive = paths.remove(0);
        let repository = archive.split("::").next().unwrap_or_default();
        if !repository.is_empty() {
            job.repositories = vec![repository.to_owned()];
        }
    }
    resolve(&mut job, paths);
    Some(job)
}

fn tool(word: &str) -> Option<Tool> {
    let program = word.trim_start_matches(['-', '@', ':', '+', '!']);
    match program.rsplit('/').next()? {
        "restic" => Some(Tool::Restic),
        "borg" => Some(Tool::Borg),
        _ => None,
    }
}

/// The repository among assignments before the command.
pub(super) fn repository_variable(words: &[String]) -> Option<String> {
    words.iter().find_map(|word| {
        let word = word.trim_start_matches(['"', '\'']);
        ["RESTIC_REPOSITORY=", "BORG_REPO="]
            .iter()
            .find_map(|name| word.strip_prefix(name))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
    })
}

fn read_options(job: &mut Job, words: &[String], plain: &mut Vec<String>) {
    let values: &[&str] = match job.tool {
        Tool::Restic => &RESTIC_VALUES,
        _ => &BORG_VALUES,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let is_exclude = matches!(name, "-e" | "--exclude");
        let value = if inline.is_none() && (values.contains(&name) || is_exclude) {
            words.next().cloned()
        } else {
            inline
        };
        match (name, value) {
            ("-x" | "--one-file-system", _) => job.one_file_system = true,
            ("-r" | "--repo", Some(value)) => job.repositories.push(value),
            (_, Some(value)) if is_exclude => job.excludes.extend(exclude(&value)),
            // What is listed elsewhere is not looked at: the paths stay open.
            (name, _) if name.starts_with("--files-from") || name.contains("pattern") => {
                job.paths = None;
            }
            (name, _) if name.starts_with('-') && name.len() > 1 => {}
            _ => plain.push(word.clone()),
        }
    }
}

/// The directory that a pattern leaves out, if it is an absolute one without wildcards, or all that is in one.
pub(super) fn exclude(pattern: &str) -> Option<String> {
    let pattern = pattern
        .strip_prefix("pp:")
        .or_else(|| pattern.strip_prefix("sh:"))
        .unwrap_or(pattern);
    let mut whole = pattern;
    while let Some(shorter) = ["/**", "/*", "/"]
        .iter()
        .find_map(|end| whole.strip_suffix(end))
    {
        whole = shorter;
    }
    let is_plain = whole.starts_with('/') && !whole.contains(['*', '?', '[', '{', '$']);
    is_plain.then(|| whole.to_owned())
}

fn resolve(job: &mut Job, paths: Vec<String>) {
    let is_open = |path: &String| {
        !path.starts_with('/') || path.contains(['$', '*', '?', '`', '%']) || path.contains("/../")
    };
    let Some(known) = &mut job.paths else {
        return;
    };
    if paths.is_empty() || paths.iter().any(is_open) {
        job.paths = None;
        return;
    }
    known.extend(paths.into_iter().map(|path| {
        let shorter = path.trim_end_matches('/');
        if shorter.is_empty() {
            "/".to_owned()
        } else {
            shorter.to_owned()
        }
    }));
}

/// Words as a shell parts them, up to the end of the command.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for c in line.chars() {
        match (quote, c) {
            _ if escaped => {
                word.get_or_insert_default().push(c);
                escaped = false;
            }
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ';' | '|' | '&' | '>' | '<') => {
                found.extend(word.take());
                // What comes before an operator is another command unless ours was already there.
                if found.iter().any(|word: &String| tool(word).is_some()) {
                    return found;
                }
                found.clear();
            }
            (None, '#') if word.is_none() => return found,
            (None, c) if c.is_whitespace() => found.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Job> {
        parse(line, "/x")
    }

    #[test]
    fn restic_lines_are_read() {
        let job = of("/usr/bin/restic -r sftp:b@h:/r backup --exclude=/var/cache --exclude '*.tmp' -x --tag daily /etc /home/ /var").unwrap();
        assert_eq!(job.paths.unwrap(), ["/etc", "/home", "/var"]);
        assert_eq!(job.excludes, ["/var/cache"]);
        assert!(job.one_file_system);
        assert_eq!(job.repositories, ["sftp:b@h:/r"]);
        let job = of("cd / && RESTIC_REPOSITORY=/srv/r nice restic backup / > /dev/null").unwrap();
        assert_eq!(
            (job.repositories, job.paths),
            (vec!["/srv/r".to_owned()], Some(vec!["/".to_owned()]))
        );
    }

    #[test]
    fn what_cannot_be_made_out_stays_open() {
        assert_eq!(of("restic backup $DIRS").unwrap().paths, None);
        assert_eq!(
            of("restic backup --files-from /etc/list").unwrap().paths,
            None
        );
        assert_eq!(
            of("restic backup --files-from /etc/list /etc")
                .unwrap()
                .paths,
            None
        );
        assert_eq!(of("restic backup relative").unwrap().paths, None);
    }

    #[test]
    fn other_commands_are_no_backups() {
        for line in [
            "restic forget --prune",
            "restic check",
            "borg prune x",
            "echo restic",
            "# restic backup /",
            "",
            "'",
            "restic",
            "ls; rm backup",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn borg_lines_are_read() {
        let job = of("borg create --stats -C zstd,3 --exclude '/home/*/.cache' -e /var/tmp/* ssh://b@h/./r::{now} /etc /home").unwrap();
        assert_eq!(job.paths.unwrap(), ["/etc", "/home"]);
        assert_eq!(job.excludes, ["/var/tmp"]);
        assert_eq!(job.repositories, ["ssh://b@h/./r"]);
        assert_eq!(job.encrypted, None);
        assert!(of("borg create ::a /etc").unwrap().repositories.is_empty());
    }
}
