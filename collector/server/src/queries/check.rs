//! What does one check read and decide, and how does it stand over the fleet?

use std::collections::BTreeMap;

use ::store::Store;
use assess::current::Standing;
use evidence::check::{Check, JudgedBy, plain};
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::{Judgement, Reason, Severity};
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{AsOf, Paper, Viewer};
use super::control::StandingCounts;
use super::fleet::{self, Fleet};
use super::outcome::page::control_links;
use super::outcome::{LinkedControl, controls};
use super::words::reason_code;
use super::{Library, QueryError};
use crate::pages::check::CheckRow;
use crate::pages::frame::Section;
use crate::pages::part::{Observed, Pager, Pair, Prose, counted, span};
use crate::pages::{CheckPage, route};

/// Hosts of one page of the list.
pub const PAGE: u64 = 50;
/// Characters of an observed value in a list.
const OBSERVED_CHARS: usize = 160;

/// One check over the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Its id.
    #[schema(value_type = String)]
    pub id: CheckId,
    /// Its title.
    pub title: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// The probes it reads.
    #[schema(value_type = Vec<String>)]
    pub probes: Vec<ProbeId>,
    /// `host`, or `collector` if it judges from its ledger and no host does.
    #[schema(value_type = String)]
    pub judged_by: JudgedBy,
    /// How often it is judged: a cron line in UTC.
    pub cadence: String,
    /// The longest time between two judgements that the line allows, in milliseconds.
    pub cadence_ms: i64,
    /// Its parameters in the newest bundle that holds it.
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<String, Value>,
    /// Its rules, in order.
    pub rules: Vec<RuleAnswer>,
    /// What it reads.
    pub reads: String,
    /// How it decides.
    pub decides: String,
    /// What a pass shows.
    pub shows: String,
    /// What a pass does not show.
    pub does_not_show: String,
    /// What an auditor asks for beside it.
    pub ask: String,
    /// How to mend a failure.
    pub remediation: String,
    /// The controls it carries or supports.
    pub controls: Vec<LinkedControl>,
    /// Hosts by how it stands on them.
    pub counts: StandingCounts,
    /// How many hosts come before the listed ones.
    pub offset: u64,
    /// The hosts, failing ones first.
    pub hosts: Vec<CheckOnHost>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleAnswer {
    /// The expression; `else` for what holds if no rule decides.
    pub condition: String,
    /// The outcome and its reason if it is true.
    #[schema(value_type = Object)]
    pub then: Judgement,
}

/// How the check stands on one host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckOnHost {
    /// The host's id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// How it stands.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Why the latest outcome is what it is; none for a pass, and if there is none.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// What was observed; none if nothing was, or the facts were erased.
    pub observed: Option<Value>,
    /// Since when it stands so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How does this check stand, on hosts from `offset` on?
///
/// # Errors
/// [`QueryError::NotFound`] if no bundle in force holds such a check; otherwise what the database says.
pub async fn check(
    store: &Store,
    library: &Library,
    id: &str,
    offset: u64,
    now: Timestamp,
) -> Result<CheckAnswer, QueryError> {
    let missing = || QueryError::not_found("check", id);
    let id: CheckId = id.parse().map_err(|_| missing())?;
    let fleet = Fleet::load(store, library, None, now).await?;
    let check = fleet.definition(&id).ok_or_else(missing)?;
    let open = store.open_intervals(Some(&id)).await?;
    let open = fleet.up_to_now(store, open).await?;
    let mut standings = fleet.standings(&open);
    standings.retain(|current| *current.check == id);
    let mut counts = StandingCounts::default();
    standings
        .iter()
        .for_each(|current| counts.add(current.standing));
    standings.sort_by_cached_key(|current| (current.standing, fleet::name(current.host)));
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut hosts = Vec::new();
    for current in standings.iter().skip(skipped).take(PAGE as usize) {
        let mut observed = match current.interval {
            Some(_) => fleet.observed(store, current.host, &[&id]).await?,
            None => BTreeMap::new(),
        };
        hosts.push(CheckOnHost {
            host: current.host.agent.to_hex(),
            name: fleet::name(current.host),
            group: current.host.group.to_string(),
            standing: current.standing,
            reason: current
                .interval
                .and_then(|interval| interval.judgement.reason),
            observed: observed.remove(&id),
            since: fleet.since(current),
        });
    }
    Ok(CheckAnswer {
        title: check.title.clone(),
        severity: check.severity,
        probes: check.probes.clone(),
        judged_by: check.judged_by,
        cadence: check.cadence.clone(),
        cadence_ms: fleet.cadence_ms(&id),
        parameters: check.params.clone(),
        rules: rules(check),
        reads: check.reads.clone(),
        decides: check.decides.clone(),
        shows: check.shows.clone(),
        does_not_show: check.does_not_show.clone(),
        ask: check.ask.clone(),
        remediation: check.remediation.clone(),
        controls: controls(library, check),
        counts,
        offset,
        hosts,
        id,
        as_of: fleet.as_of.clone(),
    })
}

fn rules(check: &Check) -> Vec<RuleAnswer> {
    let otherwise = RuleAnswer {
        condition: "else".to_owned(),
        then: check.otherwise.judgement(),
    };
    let rules = check.rules.iter().map(|rule| RuleAnswer {
        condition: rule.condition.clone(),
        then: rule.judgement(),
    });
    rules.chain([otherwise]).collect()
}

impl From<(Viewer, CheckAnswer)> for CheckPage {
    fn from((viewer, answer): (Viewer, CheckAnswer)) -> CheckPage {
        let pager = pager(&answer);
        let paper = Paper {
            scope: format!("{}, {}", answer.id, counted(pager.total, "host")),
            period: None,
            parameters: answer.cadence.clone(),
            rows: pager.words(),
        };
        let conclusion = |then: Judgement| match then.reason {
            None => then.outcome.to_string(),
            Some(reason) => format!("{}, {reason}", then.outcome),
        };
        CheckPage {
            frame: answer
                .as_of
                .frame(viewer, &answer.title, Section::Controls, paper),
            id: answer.id.to_string(),
            severity: answer.severity.into(),
            probes: answer.probes.iter().map(ToString::to_string).collect(),
            cadence: match answer.judged_by {
                JudgedBy::Host => format!(
                    "at least every {} ({}, UTC)",
                    span(answer.cadence_ms),
                    answer.cadence
                ),
                JudgedBy::Collector => {
                    "by the collector, whenever something enters the ledger and as time passes"
                        .to_owned()
                }
            },
            parameters: answer
                .parameters
                .iter()
                .map(|(name, value)| Pair::new(name, plain(value)))
                .collect(),
            rules: answer
                .rules
                .iter()
                .map(|rule| Pair::new(&rule.condition, conclusion(rule.then)))
                .collect(),
            reads: Prose::of(&answer.reads),
            decides: Prose::of(&answer.decides),
            shows: Prose::of(&answer.shows),
            does_not_show: Prose::of(&answer.does_not_show),
            ask: Prose::of(&answer.ask),
            fix: Prose::of(&answer.remediation),
            controls: control_links(&answer.controls),
            hosts: answer.counts.into(),
            rows: answer.hosts.iter().map(|host| row(&answer, host)).collect(),
            pager,
            title: answer.title,
        }
    }
}

fn pager(answer: &CheckAnswer) -> Pager {
    let total = answer.counts.total();
    let shown = answer.hosts.len() as u64;
    let end = answer.offset + shown;
    let href = |offset: u64| {
        let after = match offset {
            0 => String::new(),
            some => some.to_string(),
        };
        route::with_query(&route::check(answer.id.as_str()), &[("after", &after)])
    };
    Pager {
        shown,
        total,
        noun: "host".to_owned(),
        previous: (answer.offset > 0).then(|| href(answer.offset.saturating_sub(PAGE))),
        next: (end < total).then(|| href(end)),
        export: None,
    }
}

fn row(answer: &CheckAnswer, host: &CheckOnHost) -> CheckRow {
    CheckRow {
        host: host.name.clone(),
        group: host.group.clone(),
        standing: host.standing.into(),
        reason: match host.standing {
            Standing::Missing => String::new(),
            _ => reason_code(host.reason).to_owned(),
        },
        observed: match &host.observed {
            Some(value) => Observed::line(value, OBSERVED_CHARS),
            None if host.standing == Standing::Missing => "nothing received".to_owned(),
            None => "facts not held".to_owned(),
        },
        since: answer.as_of.when(host.since),
        href: route::outcome(&host.host, answer.id.as_str()),
    }
}
