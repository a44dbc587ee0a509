//! What a source of packages says about its verification (sources.list(5), apt-secure(8)).

use super::configuration::truth;
use super::stanza::Stanza;

/// What a source says about its verification; what it leaves out, apt's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Options that take away from it, in the words of the one-line form, each with its value: `trusted=yes`.
    pub weakened: Vec<String>,
    /// Options that let old indexes be replayed: `check-valid-until=no`.
    pub replay: Vec<String>,
    /// Key files or fingerprints that alone count; without any, every key that apt has counts.
    pub signed_by: Option<String>,
}

/// Options that take away from verification if they are true, and those that do if they are false.
const WEAKENING: [&str; 4] = [
    "trusted",
    "allow-insecure",
    "allow-weak",
    "allow-downgrade-to-insecure",
];
const GUARDS: [&str; 2] = ["check-valid-until", "check-date"];
/// The fields of a deb822 stanza that have a say.
const FIELDS: [&str; 7] = [
    "trusted",
    "allow-insecure",
    "allow-weak",
    "allow-downgrade-to-insecure",
    "check-valid-until",
    "check-date",
    "signed-by",
];

impl Trust {
    /// Takes an option; the value is a truth as apt reads it, and anything else is no truth.
    pub(super) fn take(&mut self, name: &str, value: &str) {
        let truth = truth(value);
        if WEAKENING.contains(&name) && truth == Some(true) {
            self.weakened.push(format!("{name}={value}"));
        } else if GUARDS.contains(&name) && truth != Some(true) {
            self.replay.push(format!("{name}={value}"));
        } else if name == "signed-by" {
            self.signed_by = Some(if value.contains("BEGIN PGP") {
                "an embedded key".to_owned()
            } else {
                value.split_whitespace().collect::<Vec<_>>().join(" ")
            });
        }
    }

    /// From the fields of a deb822 stanza, whose names ignore case.
    pub(super) fn of_stanza(stanza: &Stanza) -> Trust {
        let mut trust = Trust::default();
        for name in FIELDS {
            if let Some(value) = stanza.get(name) {
                trust.take(name, value);
            }
        }
        trust
    }
}
