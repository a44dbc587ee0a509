//! Tables of cron, crontab(5): which files the lines of root name.

use std::collections::BTreeSet;

/// Absolute paths in the commands of root. With a user in each line (`/etc/crontab`), lines of others are left out.
pub(super) fn of_table(text: &str, with_user: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
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
        found.extend(paths(&command.join(" ")));
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
/// run. Other arguments are data: that somebody may change those changes nothing in what root runs.
pub(super) fn paths(command: &str) -> BTreeSet<String> {
    command
        .split([';', '|', '&', '(', ')', '`', '{', '}', '\n'])
        .flat_map(of_simple_command)
        .collect()
}

fn of_simple_command(command: &str) -> Vec<String> {
    let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let mut words = command
        .split(blank)
        .filter(|word| !word.is_empty() && !is_assignment(word))
        .skip_while(|word| RESERVED.contains(word));
    let Some(program) = words.next() else {
        return Vec::new();
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    let given = match () {
        () if WRAPPERS.contains(&name) => usize::MAX,
        () if INTERPRETERS.contains(&name) || name.starts_with("python") => 1,
        () => 0,
    };
    let given = words
        .take_while(|word| !word.starts_with(['>', '<']))
        .filter(|word| word.starts_with('/'))
        .take(given);
    std::iter::once(program)
        .chain(given)
        .filter(|path| path.starts_with('/') && path.len() > 1)
        .filter(|path| !path.contains(['$', '*', '?', '[', '%', '\\', '<', '>']))
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect()
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
            of_table(text, true).into_iter().collect::<Vec<_>>(),
            expected
        );
        let own = of_table(
            "*/5 * * * * /srv/job \"$HOME\" >>/tmp/log\n@daily\n* *\n",
            false,
        );
        assert_eq!(own.into_iter().collect::<Vec<_>>(), ["/srv/job"]);
    }
}
