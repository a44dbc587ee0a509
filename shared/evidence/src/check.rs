//! A check: what is expected of facts, as data. One TOML file each in `configs/checks/`.
//!
//! A file that lacks a member, has one too many or names a reason that does not exist is refused with its line; what
//! comes out cannot be half-filled. The texts are the documentation: `assay-agent explain`, the pages and the reference
//! say the same because they are the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cadence::Cadence;
use crate::id::{CheckId, ControlId, ProbeId};
use crate::outcome::{Judgement, Outcome, Reason, Severity};
use crate::oversight;

/// The parameter that says whether a person has approved the lists of a check; `false` means that there are none yet.
pub const APPROVED: &str = "baseline";

/// One check with everything that is said about it. Serialises to its member of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is checked, as a statement that is true when it passes.
    pub title: String,
    /// The group it is shown in, for example `SSH daemon`.
    pub topic: String,
    /// How much one failing host matters by default.
    pub severity: Severity,
    /// How often it is judged: a five-field cron line in UTC.
    pub cadence: String,
    /// The kind of host it is meant for: `all`, `server`, `workstation` or `physical`.
    pub profile: Profile,
    /// Who judges it: the `host` in its signed rounds, if nothing is said, or the `collector` from its ledger.
    #[serde(default, skip_serializing_if = "JudgedBy::is_host")]
    pub judged_by: JudgedBy,
    /// The probes whose facts it reads.
    #[schemars(with = "Vec<String>")]
    pub probes: Vec<ProbeId>,
    /// Policy: thresholds and lists, by name, with their defaults.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// What a host would learn on first sight: parameter name to the CEL expression, over `facts` and `params`, whose
    /// value is proposed for it. Nothing learnt holds before a person approved it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learns: BTreeMap<String, String>,
    /// The rules, in order; the first whose `if` is true decides.
    pub rules: Vec<Rule>,
    /// What holds if no rule decides.
    #[serde(rename = "else")]
    pub otherwise: Verdict,
    /// What is expected, in words; `{name}` stands for a parameter.
    pub expected: String,
    /// A CEL expression for what was found, shown beside `expected`; no part of the judgement.
    pub observed: String,
    /// Which sources are read, in plain language.
    pub reads: String,
    /// How it decides, in plain language.
    pub decides: String,
    /// What a pass shows.
    pub shows: String,
    /// What a pass does not show.
    pub does_not_show: String,
    /// How to mend a failure, with commands to copy.
    pub remediation: String,
    /// What an auditor asks for beside it.
    #[serde(default)]
    pub ask: String,
    /// The controls it supports, by edition.
    pub controls: BTreeMap<String, ControlLinks>,
}

/// The kind of host a check is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Every host.
    All,
    /// Servers.
    Server,
    /// Workstations.
    Workstation,
    /// Machines that are not virtual.
    Physical,
}

/// Who judges a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgedBy {
    /// The host, from what its probes observe; it signs the outcome.
    #[default]
    Host,
    /// The collector, from its ledger and its clock; no host can say anything about it.
    Collector,
}

impl JudgedBy {
    /// Whether the host judges.
    #[must_use]
    pub fn is_host(&self) -> bool {
        *self == JudgedBy::Host
    }
}

/// The controls of one edition that a check supports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlLinks {
    /// Controls whose object the check tests directly; only these carry a control's status.
    #[serde(default)]
    pub primary: Vec<String>,
    /// Controls that it merely supports.
    #[serde(default)]
    pub supporting: Vec<String>,
}

/// Whether a check carries a control or only supports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tests what the control is about.
    Primary,
    /// Adds to the picture, never turns a control green.
    Supporting,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A CEL expression over `facts`, `params` and `now` that yields a bool.
    #[serde(rename = "if")]
    pub condition: String,
    /// The outcome if it is true.
    pub then: Outcome,
    /// Why; absent only for a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The outcome of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The outcome.
    pub then: Outcome,
    /// Why; absent only for a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Verdict {
    /// The verdict as a judgement.
    #[must_use]
    pub const fn judgement(self) -> Judgement {
        Judgement {
            outcome: self.then,
            reason: self.reason,
        }
    }
}

impl Rule {
    /// The judgement if the condition holds.
    #[must_use]
    pub const fn judgement(&self) -> Judgement {
        Judgement {
            outcome: self.then,
            reason: self.reason,
        }
    }
}

impl Check {
    /// The controls with their role, edition by edition.
    ///
    /// Numbers that form no control id were refused when the check was read.
    #[must_use]
    pub fn control_links(&self) -> Vec<(ControlId, Role)> {
        let mut links = Vec::new();
        for (edition, numbers) in &self.controls {
            for (role, list) in [
                (Role::Primary, &numbers.primary),
                (Role::Supporting, &numbers.supporting),
            ] {
                links.extend(list.iter().filter_map(|number| {
                    Some((format!("{edition}/{number}").parse().ok()?, role))
                }));
            }
        }
        links
    }

    /// `expected` with its parameters filled in.
    #[must_use]
    pub fn expected_text(&self) -> String {
        let mut text = self.expected.clone();
        for (name, value) in &self.params {
            text = text.replace(&format!("{{{name}}}"), &plain(value));
        }
        text
    }

    /// Every verdict that a rule or `else` can reach.
    fn verdicts(&self) -> impl Iterator<Item = Judgement> + '_ {
        self.rules
            .iter()
            .map(Rule::judgement)
            .chain([self.otherwise.judgement()])
    }

    /// What makes this check unusable whatever its expressions say.
    ///
    /// # Errors
    /// A sentence naming the member.
    pub(crate) fn check_members(&self) -> Result<(), String> {
        if let Some(judgement) = self
            .verdicts()
            .find(|judgement| !judgement.is_well_formed())
        {
            return Err(format!(
                "a verdict of {} must {}have a reason",
                judgement.outcome,
                if judgement.outcome == Outcome::Pass {
                    "not "
                } else {
                    ""
                }
            ));
        }
        for (edition, numbers) in &self.controls {
            for number in numbers.primary.iter().chain(&numbers.supporting) {
                format!("{edition}/{number}")
                    .parse::<ControlId>()
                    .map_err(|error| error.to_string())?;
            }
        }
        self.cadence
            .parse::<Cadence>()
            .map_err(|error| error.to_string())?;
        if self.probes.is_empty() {
            return Err("probes must name at least one probe".to_owned());
        }
        self.check_judge()?;
        if let Some(name) = self
            .learns
            .keys()
            .find(|name| *name == APPROVED || !self.params.contains_key(*name))
        {
            return Err(format!(
                "learns.{name}: {}",
                if name == APPROVED {
                    "whether there is an approved list is said by people, not learnt"
                } else {
                    "there is no parameter of this name"
                }
            ));
        }
        if let Some(name) = self.learns.keys().next()
            && !self.params.get(APPROVED).is_some_and(Value::is_boolean)
        {
            return Err(format!(
                "learns.{name}: a check that learns needs the parameter `{APPROVED} = false`, which says that nobody has approved a list yet"
            ));
        }
        let mut params = Value::Object(self.params.clone().into_iter().collect());
        crate::json::check_signable(&params.take()).map_err(|problem| format!("params {problem}"))
    }
}

impl Check {
    /// Whoever judges must be the one who makes the facts.
    fn check_judge(&self) -> Result<(), String> {
        let by_collector = !self.judged_by.is_host();
        let other = self
            .probes
            .iter()
            .find(|probe| oversight::is_made_by_collector(probe.as_str()) != by_collector);
        match other {
            Some(probe) if by_collector => Err(format!(
                "the collector cannot judge what probe {probe} observes on a host; it judges {}",
                oversight::PROBES.join(", ")
            )),
            Some(probe) => Err(format!(
                "no host knows the facts {probe}, which the collector makes; say judged_by = \"collector\""
            )),
            None if by_collector && !self.learns.is_empty() => Err(
                "learns: a host proposes nothing for a check that the collector judges".to_owned(),
            ),
            None => Ok(()),
        }
    }
}

/// A JSON value as people write it: text without quotes, lists with commas.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// A check file, or a file of parameters, that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}{at}: {problem}", at = line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct CheckFileError {
    file: String,
    line: Option<usize>,
    problem: String,
}

impl CheckFileError {
    pub(crate) fn new(
        file: &str,
        line: Option<usize>,
        problem: impl Into<String>,
    ) -> CheckFileError {
        CheckFileError {
            file: file.to_owned(),
            line,
            problem: problem.into(),
        }
    }
}

/// A check as it stands in a file: with its id, and with the lines of its expressions for messages.
#[derive(Debug, Clone)]
pub struct CheckFile {
    /// The check's id, which is also the file's name without `.toml`.
    pub id: CheckId,
    /// The check.
    pub check: Check,
    file: String,
    text: String,
}

impl CheckFile {
    /// Reads the text of a check file; `file` is its path for messages.
    ///
    /// # Errors
    /// [`CheckFileError`] with file, line and what was expected.
    pub fn parse(file: &str, text: &str) -> Result<CheckFile, CheckFileError> {
        let at = |error: toml::de::Error| {
            let line = error.span().map(|span| line_of(text, span.start));
            CheckFileError::new(file, line, error.message())
        };
        let mut table: toml::Table = toml::from_str(text).map_err(at)?;
        let id = table
            .remove("id")
            .and_then(|id| id.as_str().map(str::to_owned))
            .ok_or_else(|| {
                CheckFileError::new(file, Some(1), "expected `id = \"…\"`, the check's id")
            })?;
        let id: CheckId = id
            .parse()
            .map_err(|error| CheckFileError::new(file, Some(1), format!("{error}")))?;
        let check: Check = Check::deserialize(toml::Value::Table(table)).map_err(|error| {
            // The table has lost its spans with the id; the text knows the line of the member named.
            let line = error
                .message()
                .split('`')
                .nth(1)
                .and_then(|name| find_line(text, name));
            CheckFileError::new(file, line, error.message())
        })?;
        check.check_members().map_err(|problem| {
            let line = problem
                .strip_prefix("learns.")
                .and_then(|rest| find_entry(text, "learns", rest.split(':').next()?))
                .or_else(|| find_line(text, "probes =").filter(|_| problem.contains("probe")));
            CheckFileError::new(file, line, problem)
        })?;
        Ok(CheckFile {
            id,
            check,
            file: file.to_owned(),
            text: text.to_owned(),
        })
    }

    /// An error at the line where `expression` stands.
    pub(crate) fn error_in(&self, expression: &str, problem: impl Into<String>) -> CheckFileError {
        let first = expression.trim().lines().next().unwrap_or_default();
        CheckFileError::new(&self.file, find_line(&self.text, first), problem)
    }
}

impl CheckFile {
    /// An error at the line where this member of this table stands.
    pub(crate) fn error_at(
        &self,
        table: &str,
        key: &str,
        problem: impl Into<String>,
    ) -> CheckFileError {
        CheckFileError::new(&self.file, find_entry(&self.text, table, key), problem)
    }
}

/// The line of `key = …` after the header `[table]`.
fn find_entry(text: &str, table: &str, key: &str) -> Option<usize> {
    let header = format!("[{table}]");
    let mut lines = text.lines().enumerate();
    lines.find(|(_, line)| line.trim() == header)?;
    lines
        .take_while(|(_, line)| !line.starts_with('['))
        .find(|(_, line)| {
            line.split_once('=')
                .is_some_and(|(name, _)| name.trim() == key)
        })
        .map(|(number, _)| number + 1)
}

/// The line, from 1, of a place in a text.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn find_line(text: &str, needle: &str) -> Option<usize> {
    text.find(needle).map(|offset| line_of(text, offset))
}
