//! What does one check read and decide, and how does it stand over the fleet?

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ::store::Store;
use assess::current::Standing;
use evidence::check::{Check, Role};
use evidence::id::{CheckId, GroupId, ProbeId};
use evidence::outcome::{Reason, Severity};
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{AsOf, Paper, Viewer};
use super::control::StandingCounts;
use super::fleet::{self, Current, Fleet};
use super::{Library, QueryError};
use crate::pages::check::CheckRow;
use crate::pages::frame::Section;
use crate::pages::outcome::ControlLink;
use crate::pages::part::{Observed, Pager, Pair, Prose, counted, span};
use crate::pages::{CheckPage, route};

/// Hosts on one page.
const ROWS: usize = 100;
/// Characters of an observed value in a list.
const OBSERVED_CHARS: usize = 120;

/// One check and how it stands on the hosts that are to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Its id.
    #[schema(value_type = String)]
    pub id: CheckId,
    /// Its title.
    pub title: String,
    /// The group it is shown in.
    pub topic: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// The probes it reads.
    #[schema(value_type = Vec<String>)]
    pub probes: Vec<ProbeId>,
    /// When it runs: a cron line in UTC.
    pub cadence: String,
    /// The longest time between two runs, in milliseconds.
    pub longest_gap_ms: Option<i64>,
    /// Policy, in the bundle in force.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub parameters: BTreeMap<String, Value>,
    /// Its rules, in order; the last holds if no other does.
    pub rules: Vec<RuleText>,
    /// What is expected.
    pub expected: String,
    /// Which sources it reads.
    pub reads: String,
    /// How it decides, in words.
    pub decides: String,
    /// What a pass shows.
    pub shows: String,
    /// What a pass does not show.
    pub does_not_show: String,
    /// How to mend a failure.
    pub remediation: String,
    /// What an auditor asks for beside it.
    pub ask: String,
    /// The controls that it carries or supports.
    pub controls: Vec<LinkedControl>,
    /// Hosts by how it stands on them.
    pub hosts: StandingCounts,
    /// The hosts, failing ones first: one page of them.
    pub on: Vec<CheckOnHost>,
    /// Which page that is, from 1.
    pub page: u32,
    /// How many pages there are.
    pub pages: u32,
}

/// One rule of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleText {
    /// A CEL expression over facts, parameters and time; none for the rule that holds otherwise.
    pub condition: Option<String>,
    /// The outcome if it is true.
    pub outcome: String,
    /// Why.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
}

/// A control that a check carries or supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkedControl {
    /// Its number in ISO/IEC 27001:2022.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Whether the check carries it.
    #[schema(value_type = String)]
    pub role: Role,
}

/// How the check stands on one host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckOnHost {
    /// The host's id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Its group.
    #[schema(value_type = String)]
    pub group: GroupId,
    /// How it stands.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Why.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// What was observed; none if the facts are not held.
    #[schema(value_type = Option<Object>)]
    pub observed: Option<Value>,
    /// Since when; none if nothing was ever received.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

/// What is the check of this id, and how does it stand on the hosts of this page?
///
/// # Errors
/// [`QueryError::NotFound`] if no bundle in force has such a check; otherwise what the database says.
pub async fn check(
    store: &Store,
    library: &Library,
    id: &str,
    page: u32,
    now: Timestamp,
) -> Result<CheckAnswer, QueryError> {
    let missing = || QueryError::not_found("check", id);
    let check: CheckId = id.parse().map_err(|_| missing())?;
    let fleet = Fleet::load(store, library, None, now).await?;
    let definition = fleet.definition(&check).ok_or_else(missing)?;
    let open = store.open_intervals(Some(&check)).await?;
    let mut standings = fleet.standings(&open);
    standings.retain(|current| *current.check == check);
    let mut hosts = StandingCounts::default();
    standings
        .iter()
        .for_each(|current| hosts.add(current.standing));
    standings.sort_by_key(|current| {
        let since = current.interval.map(|interval| interval.from);
        (current.standing, Reverse(since), fleet::name(current.host))
    });
    let pages = u32::try_from(standings.len().div_ceil(ROWS)).unwrap_or(u32::MAX);
    let page = page.clamp(1, pages.max(1));
    let skipped = (page as usize - 1) * ROWS;
    let mut on = Vec::new();
    for current in standings.iter().skip(skipped).take(ROWS) {
        on.push(row(store, &fleet, &check, current).await?);
    }
    Ok(CheckAnswer {
        title: definition.title.clone(),
        topic: definition.topic.clone(),
        severity: definition.severity,
        probes: definition.probes.clone(),
        cadence: definition.cadence.clone(),
        longest_gap_ms: fleet.longest_gap_ms(&check),
        parameters: definition.params.clone(),
        rules: rules(definition),
        expected: definition.expected_text(),
        reads: definition.reads.clone(),
        decides: definition.decides.clone(),
        shows: definition.shows.clone(),
        does_not_show: definition.does_not_show.clone(),
        remediation: definition.remediation.clone(),
        ask: definition.ask.clone(),
        controls: linked(library, definition),
        hosts,
        on,
        page,
        pages,
        id: check,
        as_of: fleet.as_of,
    })
}

async fn row(
    store: &Store,
    fleet: &Fleet,
    check: &CheckId,
    current: &Current<'_>,
) -> Result<CheckOnHost, QueryError> {
    let mut observed = fleet.observed(store, current.host, &[check]).await?;
    Ok(CheckOnHost {
        host: current.host.agent.to_hex(),
        name: fleet::name(current.host),
        group: current.host.group.clone(),
        standing: current.standing,
        reason: current.interval.and_then(|found| found.judgement.reason),
        observed: current.interval.and_then(|_| observed.remove(check)),
        since: current.interval.map(|interval| interval.from),
    })
}

fn rules(definition: &Check) -> Vec<RuleText> {
    let otherwise = RuleText {
        condition: None,
        outcome: definition.otherwise.then.as_str().to_owned(),
        reason: definition.otherwise.reason,
    };
    let rules = definition.rules.iter().map(|rule| RuleText {
        condition: Some(rule.condition.clone()),
        outcome: rule.then.as_str().to_owned(),
        reason: rule.reason,
    });
    rules.chain([otherwise]).collect()
}

/// The controls of a check that the catalogue has.
pub(super) fn linked(library: &Library, definition: &Check) -> Vec<LinkedControl> {
    let links = definition.control_links().into_iter();
    links
        .filter_map(|(id, role)| {
            let control = library.catalogue.control(&id)?;
            Some(LinkedControl {
                id: control.number().to_owned(),
                title: control.title.clone(),
                role,
            })
        })
        .collect()
}

impl From<&LinkedControl> for ControlLink {
    fn from(control: &LinkedControl) -> ControlLink {
        ControlLink {
            id: control.id.clone(),
            title: control.title.clone(),
            primary: control.role == Role::Primary,
            href: route::control(&control.id),
        }
    }
}

impl From<(Viewer, CheckAnswer)> for CheckPage {
    fn from((viewer, answer): (Viewer, CheckAnswer)) -> CheckPage {
        let pager = pager(&answer);
        let paper = Paper {
            scope: format!("{}, {}", answer.id, counted(pager.total, "host")),
            period: None,
            parameters: "of the newest bundle in force".to_owned(),
            rows: pager.words(),
        };
        CheckPage {
            frame: answer
                .as_of
                .frame(viewer, &answer.title, Section::Controls, paper),
            severity: answer.severity.into(),
            probes: answer.probes.iter().map(ToString::to_string).collect(),
            cadence: match answer.longest_gap_ms {
                Some(ms) => format!("{} UTC, at most {} apart", answer.cadence, span(ms)),
                None => format!("{} UTC", answer.cadence),
            },
            parameters: answer
                .parameters
                .iter()
                .map(|(name, value)| Pair::new(name, value.to_string()))
                .collect(),
            rules: answer.rules.iter().map(rule_row).collect(),
            reads: Prose::of(&answer.reads),
            decides: Prose::of(&answer.decides),
            shows: Prose::of(&answer.shows),
            does_not_show: Prose::of(&answer.does_not_show),
            ask: Prose::of(&answer.ask),
            fix: Prose::of(&answer.remediation),
            controls: answer.controls.iter().map(ControlLink::from).collect(),
            hosts: answer.hosts.into(),
            rows: answer
                .on
                .iter()
                .map(|host| host_row(&answer, host))
                .collect(),
            pager,
            id: answer.id.to_string(),
            title: answer.title,
        }
    }
}

fn pager(answer: &CheckAnswer) -> Pager {
    let counts = answer.hosts;
    let path = route::check(answer.id.as_str());
    let at = |page: u32| route::with_query(&path, &[("page", &page.to_string())]);
    Pager {
        shown: answer.on.len() as u64,
        total: counts.pass
            + counts.fail
            + counts.error
            + counts.missing
            + counts.stale
            + counts.not_applicable,
        noun: "host".to_owned(),
        previous: (answer.page > 1).then(|| at(answer.page - 1)),
        next: (answer.page < answer.pages).then(|| at(answer.page + 1)),
        export: None,
    }
}

fn rule_row(rule: &RuleText) -> Pair {
    let condition = rule.condition.as_deref().unwrap_or("otherwise");
    let outcome = rule.outcome.replace('_', " ");
    Pair::new(
        condition,
        match rule.reason {
            Some(reason) => format!("then {outcome}, with reason {}", reason.as_str()),
            None => format!("then {outcome}"),
        },
    )
}

fn host_row(answer: &CheckAnswer, host: &CheckOnHost) -> CheckRow {
    CheckRow {
        host: host.name.clone(),
        group: host.group.to_string(),
        standing: host.standing.into(),
        reason: host.reason.unwrap_or(Reason::Ok).as_str().to_owned(),
        observed: match &host.observed {
            Some(value) => Observed::line(value, OBSERVED_CHARS),
            None => "nothing held".to_owned(),
        },
        since: answer.as_of.when(host.since.unwrap_or(answer.as_of.at)),
        href: route::outcome(&host.host, answer.id.as_str()),
    }
}
