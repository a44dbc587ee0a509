//! Settings of pam_pwquality, pam_cracklib and pam_faillock: their files, and the arguments that count over them.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::{Observation, Unobservable};
use super::stack::Line;

/// What a module that tests new passwords asks of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct QualitySettings {
    /// `minlen`.
    min_length: i64,
    /// Length of the shortest password that can pass: `minlen` less the credits that kinds of characters earn.
    shortest: i64,
    /// `minclass`.
    min_classes: i64,
    /// Positive credits earned by digits, upper-case, lower-case and other characters together.
    credits: i64,
    /// `dictcheck`: words of the cracklib dictionary are refused.
    dictionary_check: bool,
    /// The cracklib dictionary is on disk.
    dictionary_present: bool,
    /// `enforcing`: a bad password is refused, not only remarked on.
    enforcing: bool,
    /// `enforce_for_root`: root is bound too.
    enforce_for_root: bool,
    /// `usercheck`: passwords with the user's name in them are refused.
    user_check: bool,
}

/// When and for how long pam_faillock locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct LockSettings {
    /// Failures until it locks; 0 is never.
    deny: i64,
    /// Seconds until it unlocks; 0 is never.
    unlock_time: i64,
    /// Seconds within which failures are counted together.
    fail_interval: i64,
    /// Root is locked too.
    even_deny_root: bool,
}

/// `name = value` assignments and bare names of files and arguments; the last one counts.
#[derive(Debug, Default)]
struct Assignments(Vec<(String, Option<String>)>);

impl Assignments {
    fn add_file(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            // Both libraries take blanks as well as `=` between name and value.
            let (name, value) = match line.split_once(['=', ' ', '\t']) {
                Some((name, rest)) => (name, Some(rest.trim_matches([' ', '\t', '=']))),
                None => (line, None),
            };
            self.0.push((
                name.trim().to_owned(),
                value.filter(|value| !value.is_empty()).map(str::to_owned),
            ));
        }
    }

    fn add_arguments(&mut self, line: &Line) {
        for argument in &line.args {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            self.0.push((name.to_owned(), value));
        }
    }

    fn last(&self, name: &str) -> Option<&Option<String>> {
        self.0
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    fn flag(&self, name: &str) -> bool {
        match self.last(name) {
            None => false,
            Some(None) => true,
            Some(Some(value)) => value != "0",
        }
    }

    fn number(&self, name: &str, default: i64) -> Result<i64, Unobservable> {
        match self.last(name) {
            None => Ok(default),
            Some(Some(value)) if value == "never" => Ok(0),
            Some(Some(value)) => value.parse().map_err(|_| wrong(name)),
            Some(None) => Err(wrong(name)),
        }
    }
}

fn wrong(name: &str) -> Unobservable {
    Unobservable::unparsable("/etc/security", format!("the value of {name} is no number"))
}

/// Directories of drop-ins and files of pwquality.conf(5); a later one counts over an earlier one.
const PWQUALITY_DROP_INS: &str = "/etc/security/pwquality.conf.d";
const PWQUALITY: &str = "/etc/security/pwquality.conf";
/// Where distributions keep the cracklib dictionary.
const DICTIONARIES: [&str; 5] = [
    "/var/cache/cracklib/cracklib_dict.pwd",
    "/usr/share/cracklib/pw_dict.pwd",
    "/usr/lib/cracklib_dict.pwd",
    "/usr/share/cracklib/cracklib-small.pwd",
    "/usr/share/cracklib/pw_dict.pwd.gz",
];

impl QualitySettings {
    /// Settings of a line of pam_pwquality.
    pub(super) fn pwquality(
        observation: &mut Observation<'_>,
        line: &Line,
    ) -> Result<QualitySettings, Unobservable> {
        let mut assignments = Assignments::default();
        for entry in observation.list(PWQUALITY_DROP_INS)?.unwrap_or_default() {
            if entry.name.ends_with(".conf")
                && let Some(text) =
                    observation.text(&format!("{PWQUALITY_DROP_INS}/{}", entry.name))?
            {
                assignments.add_file(&text);
            }
        }
        if let Some(text) = observation.text(PWQUALITY)? {
            assignments.add_file(&text);
        }
        assignments.add_arguments(line);
        QualitySettings::from(observation, &assignments, 8, 0)
    }

    /// Settings of a line of pam_cracklib, which has no file and gives one credit to each kind of character.
    pub(super) fn cracklib(
        observation: &mut Observation<'_>,
        line: &Line,
    ) -> Result<QualitySettings, Unobservable> {
        let mut assignments = Assignments::default();
        assignments.add_arguments(line);
        QualitySettings::from(observation, &assignments, 9, 1)
    }

    fn from(
        observation: &mut Observation<'_>,
        assignments: &Assignments,
        min_length: i64,
        credit: i64,
    ) -> Result<QualitySettings, Unobservable> {
        let mut credits: i64 = 0;
        for name in ["dcredit", "ucredit", "lcredit", "ocredit"] {
            credits = credits.saturating_add(assignments.number(name, credit)?.max(0));
        }
        let min_length = assignments.number("minlen", min_length)?;
        Ok(QualitySettings {
            min_length,
            shortest: min_length.saturating_sub(credits),
            min_classes: assignments.number("minclass", 0)?,
            credits,
            dictionary_check: assignments.number("dictcheck", 1)? != 0,
            dictionary_present: has_dictionary(observation, assignments)?,
            enforcing: assignments.number("enforcing", 1)? != 0,
            enforce_for_root: assignments.flag("enforce_for_root"),
            user_check: assignments.number("usercheck", 1)? != 0,
        })
    }
}

fn has_dictionary(
    observation: &mut Observation<'_>,
    assignments: &Assignments,
) -> Result<bool, Unobservable> {
    if let Some(Some(path)) = assignments.last("dictpath") {
        return Ok(observation.stat(&format!("{path}.pwd"))?.is_some()
            || observation.stat(&format!("{path}.pwd.gz"))?.is_some());
    }
    for path in DICTIONARIES {
        if observation.stat(path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl LockSettings {
    /// Settings of a line of pam_faillock.
    pub(super) fn faillock(
        observation: &mut Observation<'_>,
        line: &Line,
    ) -> Result<LockSettings, Unobservable> {
        let mut assignments = Assignments::default();
        let file = line
            .value("conf")
            .unwrap_or("/etc/security/faillock.conf")
            .to_owned();
        if let Some(text) = observation.text(&file)? {
            assignments.add_file(&text);
        }
        assignments.add_arguments(line);
        Ok(LockSettings {
            deny: assignments.number("deny", 3)?,
            unlock_time: assignments.number("unlock_time", 600)?,
            fail_interval: assignments.number("fail_interval", 900)?,
            even_deny_root: assignments.flag("even_deny_root"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Assignments;

    #[test]
    fn the_last_assignment_counts() {
        let mut found = Assignments::default();
        found.add_file("minlen = 20\n# minlen = 1\n  deny=3 # three\nunlock_time never\nminlen=8\neven_deny_root\nenforce_for_root = 0\nbad = many\n");
        assert_eq!(found.number("minlen", 9).unwrap(), 8);
        assert_eq!(found.number("deny", 9).unwrap(), 3);
        assert_eq!(found.number("unlock_time", 9).unwrap(), 0);
        assert_eq!(found.number("minclass", 9).unwrap(), 9);
        assert!(found.flag("even_deny_root") && !found.flag("enforce_for_root"));
        assert!(found.number("bad", 9).is_err() && found.number("even_deny_root", 9).is_err());
    }
}
