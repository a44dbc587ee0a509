//! How systemd, or without it a start script, starts sshd: the options it is given.

use super::daemon::CommandLine;
use super::syntax;
use crate::probe::systemd_config;
use crate::probe::unit;
use crate::probe::{Observation, Unobservable};

/// Files from which start scripts take the daemon's options: Debian, Red Hat's family, SUSE, OpenRC.
const OPTION_FILES: [(&str, &str); 4] = [
    ("/etc/default/ssh", "SSHD_OPTS"),
    ("/etc/sysconfig/sshd", "OPTIONS"),
    ("/etc/sysconfig/ssh", "SSHD_OPTS"),
    ("/etc/conf.d/sshd", "SSHD_OPTS"),
];

/// Variables with their values; of two of one name the last counts.
pub(in crate::probe) type Environment = Vec<(String, String)>;

/// What a unit starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// sshd, with these options.
    Sshd(Vec<String>),
    /// Another program.
    Other(String),
    /// Nothing, or what cannot be cut into words.
    Nothing,
}

/// The options that the first of these services, or without one the start script, gives to sshd.
///
/// # Errors
/// [`Unobservable`] if a file of them cannot be read, or the service starts sshd by another program.
pub(super) fn options(
    observation: &mut Observation<'_>,
    services: &[&str],
) -> Result<CommandLine, Unobservable> {
    for service in services {
        let Some(text) = unit::text(observation, service)? else {
            continue;
        };
        match of_unit(observation, service, &text)? {
            Start::Sshd(words) => return Ok(CommandLine::new(words)),
            Start::Other(program) => {
                let problem = format!("it starts {program}, so sshd's options are not known");
                return Err(Unobservable::unparsable(service, problem));
            }
            Start::Nothing => {}
        }
    }
    let mut words = Vec::new();
    for (file, name) in OPTION_FILES {
        if let Some(text) = observation.text(file)? {
            let options = assignments(&text, true);
            words.extend(
                value(&options, name)
                    .and_then(syntax::words)
                    .unwrap_or_default(),
            );
        }
    }
    Ok(CommandLine::new(words))
}

/// What a unit of this text starts.
///
/// # Errors
/// [`Unobservable`] if a file of its environment cannot be read.
pub(super) fn of_unit(
    observation: &mut Observation<'_>,
    name: &str,
    text: &str,
) -> Result<Start, Unobservable> {
    Ok(Start::of(command_line(observation, name, text)?))
}

/// The program that a unit of this text starts and its arguments, with the variables of the manager, of the unit and of its
/// files put in; `None` for nothing, or what cannot be cut into words.
///
/// # Errors
/// [`Unobservable`] if a file of its environment cannot be read.
pub(in crate::probe) fn command_line(
    observation: &mut Observation<'_>,
    name: &str,
    text: &str,
) -> Result<Option<Vec<String>>, Unobservable> {
    let Some(command) = command(text) else {
        return Ok(None);
    };
    let mut environment = Environment::new();
    let manager = systemd_config::assignments(observation, "system.conf", "Manager")?;
    let of_manager = manager
        .iter()
        .filter(|(key, _)| key == "DefaultEnvironment");
    for (_, value) in of_manager {
        add_words(&mut environment, value);
    }
    // What systemd itself puts over them: Environment=, and over that the files of EnvironmentFile=.
    for (_, value) in settings(text).filter(|(key, _)| key == "Environment") {
        add_words(&mut environment, &value);
    }
    for file in environment_files(text) {
        if file.contains(['*', '?', '[', '%']) {
            let problem = "EnvironmentFile= with a pattern";
            return Err(Unobservable::unparsable(name, problem));
        }
        if let Some(text) = observation.text(&file)? {
            environment.extend(assignments(&text, false));
        }
    }
    Ok(expanded(&command, &environment))
}

/// The assignments of a unit, lines that go on joined.
fn settings(unit: &str) -> impl Iterator<Item = (String, String)> {
    let lines: Vec<(String, String)> = unit
        .replace("\\\n", " ")
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    lines.into_iter()
}

/// The last `ExecStart=`; an empty one takes back those before it.
fn command(unit: &str) -> Option<String> {
    let last = settings(unit).filter(|(key, _)| key == "ExecStart").last();
    last.map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

/// `NAME=value` words of `Environment=`; an empty line takes back what was set before.
fn add_words(environment: &mut Environment, line: &str) {
    if line.is_empty() {
        environment.clear();
    }
    for word in syntax::words(line).unwrap_or_default() {
        if let Some((name, value)) = word.split_once('=') {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// The files of `EnvironmentFile=`, in order; an empty one takes back those before it.
fn environment_files(unit: &str) -> Vec<String> {
    let mut files = Vec::new();
    for (_, value) in settings(unit).filter(|(key, _)| key == "EnvironmentFile") {
        match value.trim_start_matches('-') {
            "" => files.clear(),
            file => files.push(file.trim_matches('"').to_owned()),
        }
    }
    files
}

impl Start {
    fn of(words: Option<Vec<String>>) -> Start {
        let words = words.unwrap_or_default();
        match words.split_first() {
            None => Start::Nothing,
            Some((program, arguments)) if program.rsplit('/').next() == Some("sshd") => {
                Start::Sshd(arguments.to_vec())
            }
            Some((program, _)) => Start::Other(program.clone()),
        }
    }
}

/// A command line, with variables put in.
fn expanded(command: &str, environment: &Environment) -> Option<Vec<String>> {
    let program = command.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let renamed = command
        .get(..command.len() - program.len())
        .is_some_and(|signs| signs.contains('@'));
    let words = syntax::words(program)?;
    let (program, words) = words.split_first()?;
    let mut found = vec![program.clone()];
    for word in words.iter().skip(usize::from(renamed)) {
        match word.strip_prefix('$') {
            Some(name) if name.starts_with('{') => {
                let name = name.trim_matches(['{', '}']);
                found.push(value(environment, name).unwrap_or_default().to_owned());
            }
            Some(name) => found.extend(
                value(environment, name)
                    .and_then(syntax::words)
                    .unwrap_or_default(),
            ),
            None => found.push(word.clone()),
        }
    }
    found.retain(|word| !word.is_empty());
    Some(found)
}

/// The assignments of a file of environment variables (systemd.exec(5), `EnvironmentFile=`), or of a script that a shell
/// reads: the one difference that counts is that systemd passes over lines with `export`.
pub(in crate::probe) fn assignments(text: &str, by_shell: bool) -> Environment {
    let mut found = Environment::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let line = rest.find('\n').unwrap_or(rest.len());
        let equals = rest.find('=').unwrap_or(rest.len());
        if rest.starts_with(['#', ';']) || equals > line {
            rest = rest.get(line..).unwrap_or_default().trim_start();
            continue;
        }
        let name = rest.get(..equals).unwrap_or_default().trim();
        let name = match name.strip_prefix("export ") {
            Some(name) if by_shell => name.trim(),
            _ => name,
        };
        let (value, end) = right_hand_side(rest.get(equals + 1..).unwrap_or_default());
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            found.push((name.to_owned(), value));
        }
        rest = rest
            .get(equals + 1 + end..)
            .unwrap_or_default()
            .trim_start();
    }
    found
}

/// A value with its quotes and backslashes undone, and where it ends.
fn right_hand_side(text: &str) -> (String, usize) {
    let mut value = String::new();
    // What a quote or backslash holds stays, blanks outside of them at the end go.
    let mut kept = 0;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('\n', None) => {
                value.truncate(value.trim_end().len().max(kept));
                return (value, at);
            }
            (c, Some(open)) if c == open => {
                quote = None;
                kept = value.len();
            }
            ('"' | '\'', None) => quote = Some(c),
            ('\\', None | Some('"')) => match chars.next() {
                None | Some((_, '\n')) => {}
                Some((_, escaped)) => {
                    value.push(escaped);
                    kept = value.len();
                }
            },
            (' ' | '\t', None) if value.is_empty() => {}
            (c, _) => value.push(c),
        }
    }
    value.truncate(value.trim_end().len().max(kept));
    (value, text.len())
}

pub(in crate::probe) fn value<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    environment
        .iter()
        .rev()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sshd(words: &[&str]) -> Start {
        Start::Sshd(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn units_and_their_drop_ins_give_the_options_at_boot() {
        let environment = assignments(
            "# c\nSSHD_OPTS=\"-o PasswordAuthentication=yes -4\"\n",
            false,
        );
        let unit = "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
        let started = |text: &str| Start::of(expanded(&command(text).unwrap(), &environment));
        assert_eq!(
            started(unit),
            sshd(&["-D", "-o", "PasswordAuthentication=yes", "-4"])
        );
        let replaced = format!(
            "{unit}[Service]\nExecStart=\nExecStart=-@/usr/sbin/sshd sshd -D \\\n -f /etc/other\n"
        );
        assert_eq!(started(&replaced), sshd(&["-D", "-f", "/etc/other"]));
        let by_shell = format!("{unit}ExecStart=\nExecStart=/bin/sh -c \"exec sshd -D\"\n");
        assert_eq!(started(&by_shell), Start::Other("/bin/sh".to_owned()));
        assert_eq!(command(&format!("{unit}ExecStart=\n")), None);
    }

    #[test]
    fn the_unit_says_which_files_hold_its_environment() {
        let suse = "[Service]\nEnvironmentFile=-/etc/sysconfig/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n";
        assert_eq!(environment_files(suse), ["/etc/sysconfig/ssh"]);
        let added = format!("{suse}[Service]\nEnvironmentFile=/opt/app/ssh\n");
        assert_eq!(
            environment_files(&added),
            ["/etc/sysconfig/ssh", "/opt/app/ssh"]
        );
        let taken_back = format!("{suse}[Service]\nEnvironmentFile=\n");
        assert!(environment_files(&taken_back).is_empty());
    }

    #[test]
    fn a_file_of_variables_is_read_as_systemd_reads_it() {
        for (text, by_shell, expected) in [
            ("A=\\\n-o x\n", false, Some("-o x")),
            ("A='-o \"x y\"' \n", false, Some("-o \"x y\"")),
            ("A=\"a\\\nb\"c  \n", false, Some("abc")),
            ("A=one\nA=two", false, Some("two")),
            ("export A=x\n", false, None),
            ("export A=x\n", true, Some("x")),
            ("; A=x\n# A=y\n  no assignment\n", false, None),
            ("A=\n", false, Some("")),
            ("A=\"open\nB=1", false, Some("open\nB=1")),
        ] {
            let found = assignments(text, by_shell);
            assert_eq!(value(&found, "A"), expected, "{text}");
        }
    }

    #[test]
    fn the_last_line_of_the_environment_counts() {
        let mut environment = Environment::new();
        add_words(&mut environment, "A=1 \"B=x y\"");
        add_words(&mut environment, "A=2");
        assert_eq!(value(&environment, "A"), Some("2"));
        assert_eq!(value(&environment, "B"), Some("x y"));
        add_words(&mut environment, "");
        assert!(environment.is_empty());
    }
}
