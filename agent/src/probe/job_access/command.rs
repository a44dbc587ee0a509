//! Tables of cron, crontab(5): which files the lines of root name.

use std::collections::BTreeSet;

/// What commands run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Absolute paths.
    pub(super) paths: BTreeSet<String>,
    /// A relative path was among them, and where it is looked for cannot be told.
    pub(super) relative: bool,
}

/// Paths in the commands of root. With a user in each line (`/etc/crontab`), lines of others are left out.
pub(super) fn of_table(text: &str, with_user: bool) -> Named {
    let mut found = Named::default();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') || is_assignment(line) {
            continue;
        }
        let times = if line.starts_with('@') { 1 } else { 5 };
        let mut words = line.split_whitespace().skip(times);
        if with_user {
            // With `-` before it the line is run without a note in the log; `user:group` is FreeBSD's and cronie's.
            let user = words.next().unwrap_or_default().trim_start_matches('-');
            if !matches!(user.split(':').next(), Some("root" | "0")) {
                continue;
            }
        }
        let command: Vec<&str> = words.collect();
        let named = paths(&command.join(" "));
        found.paths.extend(named.paths);
        found.relative |= named.relative;
    }
    found
}

/// A line like `PATH=/usr/bin`, `SHELL = /bin/sh`.
fn is_assignment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Programs that run what is named after them: everything that could be it counts.
const WRAPPERS: [&str; 25] = [
    "env",
    "nice",
    "ionice",
    "nohup",
    "timeout",
    "flock",
    "chronic",
    "sudo",
    "su",
    "exec",
    "chrt",
    "setsid",
    "time",
    "run-parts",
    "command",
    "cronic",
    "eval",
    "runuser",
    "run-one",
    "setpriv",
    "stdbuf",
    "systemd-cat",
    "systemd-inhibit",
    "systemd-run",
    "xargs",
];
/// Words of the shell that stand before a command.
const RESERVED: [&str; 8] = ["if", "then", "elif", "else", "while", "until", "do", "!"];
/// Programs that run the first file named after them.
const INTERPRETERS: [&str; 13] = [
    "sh", "bash", "dash", "ash", "zsh", "ksh", "perl", "php", "ruby", "node", "lua", ".", "source",
];

/// Absolute paths of what a command line runs: the programs, the scripts that interpreters are given, and what wrappers
/// run. Other arguments are data: that somebody may change those changes nothing in what root runs. A relative one is
/// looked for where one plain `cd /place &&` before it leads.
pub(super) fn paths(command: &str) -> Named {
    let mut found = Named::default();
    let changes = changes_of_directory(command);
    let mut directory = None;
    for simple in command.split([';', '|', '&', '(', ')', '`', '{', '}', '\n']) {
        let words = words(simple);
        if words.first() == Some(&"cd") {
            let place = words.get(1).copied().filter(|place| is_plain(place));
            directory = place.filter(|place| place.starts_with('/') && changes == 1);
            continue;
        }
        found.add(&words, directory, changes > 0);
    }
    found
}

/// How many `cd` a line has; one inside of a part of it that a subshell runs counts twice, for it ends there.
fn changes_of_directory(command: &str) -> usize {
    let inside = match command
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
    {
        Some((inside, behind)) if !behind.contains([';', '|', '&']) => inside,
        _ => command,
    };
    let count = inside
        .split(|c: char| c.is_whitespace() || ";|&(){}`\"'".contains(c))
        .filter(|word| *word == "cd")
        .count();
    match inside.contains(['(', '`']) {
        true => count * 2,
        false => count,
    }
}

fn words(command: &str) -> Vec<&str> {
    let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    command
        .split(blank)
        .filter(|word| !word.is_empty() && !is_assignment(word))
        .skip_while(|word| RESERVED.contains(word))
        .collect()
}

/// A path as it stands, without anything that the shell replaces.
fn is_plain(path: &str) -> bool {
    !path.contains(['$', '*', '?', '[', '%', '\\', '<', '>', '~'])
}

/// A relative path from a directory on, without `.` and `..`.
fn from(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Named {
    /// The words of one simple command.
    fn add(&mut self, words: &[&str], directory: Option<&str>, moved: bool) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let name = program.rsplit('/').next().unwrap_or_default();
        let interprets = INTERPRETERS.contains(&name) || name.starts_with("python");
        let given = match () {
            () if WRAPPERS.contains(&name) => usize::MAX,
            () if interprets => 1,
            () => 0,
        };
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .take_while(|word| !word.starts_with(['>', '<']))
            .collect();
        let absolute = arguments.iter().filter(|word| word.starts_with('/'));
        let mut run: Vec<&str> = std::iter::once(*program)
            .filter(|program| program.contains('/'))
            .chain(absolute.copied().take(given))
            .collect();
        let of_text = ["-c", "-m", "-e", "-r"];
        if interprets && moved && !arguments.iter().any(|word| of_text.contains(word)) {
            let script = arguments.iter().find(|word| !word.starts_with('-'));
            run.extend(script.filter(|script| !script.starts_with('/')));
        }
        for path in run {
            if path.starts_with('/') {
                if path.len() > 1 && is_plain(path) {
                    self.paths.insert(path.trim_end_matches('/').to_owned());
                }
            } else if is_plain(path) {
                match directory {
                    Some(directory) => {
                        self.paths.insert(from(directory, path));
                    }
                    None => self.relative |= moved || path.starts_with('.'),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_root_name_files() {
        let text = "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/bin\n# */5 * * * * root /no\n17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n25 6 * * * root test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }\n*/5 * * * * www-data /srv/no\n1 * * * * root if [ -x /opt/a ]; then ! /opt/then; fi\n1 * * * * root systemd-cat -t x /opt/cat\n@reboot root /opt/start --config=/no /no > /no 2>&1\n1 2 3 4 5 -root A=/no nice -n 10 /opt/quiet\n1 1 * * * root python3 -u /opt/run.py /no\n";
        let expected = [
            "/etc/cron.daily",
            "/etc/cron.hourly",
            "/opt/cat",
            "/opt/quiet",
            "/opt/run.py",
            "/opt/start",
            "/opt/then",
        ];
        assert_eq!(
            of_table(text, true).paths.into_iter().collect::<Vec<_>>(),
            expected
        );
        let own = of_table(
            "*/5 * * * * /srv/job \"$HOME\" >>/tmp/log\n@daily\n* *\n",
            false,
        );
        assert_eq!(own.paths.into_iter().collect::<Vec<_>>(), ["/srv/job"]);
    }

    #[test]
    fn relative_programs_are_looked_for_where_one_plain_cd_leads() {
        for (command, path) in [
            ("cd /srv/app && ./job", "/srv/app/job"),
            ("cd /srv/app/; ../bin/job --x /no", "/srv/bin/job"),
            ("(cd /srv/app && ./job) > /dev/null", "/srv/app/job"),
            ("(cd /srv/app && bin/job)", "/srv/app/bin/job"),
            (
                "cd /srv/app && php artisan schedule:run",
                "/srv/app/artisan",
            ),
            ("cd '/srv/app' && python3 -u ./run.py", "/srv/app/run.py"),
        ] {
            let found = paths(command);
            let known = found.paths.iter().map(String::as_str).collect::<Vec<_>>();
            assert_eq!((known, found.relative), (vec![path], false), "{command}");
        }
        for command in [
            "cd $HOME && ./job",
            "./job",
            "cd /a && cd b && ./job",
            "cd ~/x; sh job.sh",
            "(cd /a); ./job",
        ] {
            assert!(paths(command).relative, "{command}");
        }
        for command in [
            "cd / && run-parts --report /etc/cron.hourly",
            "test -e a/b",
            "job",
        ] {
            assert!(!paths(command).relative, "{command}");
        }
    }
}
