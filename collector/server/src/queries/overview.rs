//! How do the hosts stand against Annex A, and what changed?

mod changes;

use std::collections::{BTreeMap, BTreeSet};

use ::store::reading::Change;
use ::store::{AgentState, Store};
use assess::current::Standing;
use assess::deviation::{self, Deviation};
use assess::figure::{Figures, Share};
use assess::record::{CheckNo, HostNo, Records};
use assess::rules::Rules;
use assess::status::{self, Verdict};
use catalogue::{Class, Theme};
use changes::changes;
use evidence::check::Role;
use evidence::outcome::Severity;
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{AsOf, Paper, Period, Portion, Viewer};
use super::fleet::{self, Current, Fleet};
use super::words::theme_name;
use super::{Library, QueryError};
use crate::pages::frame::Section;
use crate::pages::overview as page;
use crate::pages::part::{self, Figure, Observed, Tile, count, counted};
use crate::pages::{OverviewPage, route};

/// "Lately", in days.
const LATELY_DAYS: i64 = 7;
/// Changes of each kind that are listed.
const CHANGES: usize = 8;
/// Changes of each kind that are counted, at most.
const COUNTED: u32 = 100_000;
/// Characters of an observed value in a list.
const OBSERVED_CHARS: usize = 120;

/// How the fleet stands against Annex A.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Overview {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The period that verdicts and deviations are of.
    pub period: Period,
    /// Hosts that are enrolled and not retired.
    pub hosts: u64,
    /// Rounds in the ledger.
    pub rounds: u64,
    /// The controls, in the standard's order.
    pub controls: Vec<ControlVerdict>,
    /// The figures of the period.
    pub figures: OverviewFigures,
    /// The same over the period before; none if no host was in scope then.
    pub before: Option<PeriodFigures>,
    /// How many changed lately; the lists hold the first few of each.
    pub changed: ChangeCounts,
    /// Checks that began to fail lately, newest first.
    pub newly_failing: Vec<OutcomeChange>,
    /// Checks that stopped failing lately, newest first.
    pub newly_fixed: Vec<OutcomeChange>,
    /// Hosts that are silent for longer than their cadences explain, longest silence first.
    pub silent: Vec<SilentHost>,
    /// How many days "lately" is.
    pub lately_days: i64,
}

/// One control and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlVerdict {
    /// Its number in ISO/IEC 27001:2022.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its theme: `organizational`, `people`, `physical`, `technological`.
    #[schema(value_type = String)]
    pub theme: Theme,
    /// What host evidence can say: `automated`, `partial`, `manual`.
    #[schema(value_type = String)]
    pub class: Class,
    /// Its verdict over the period.
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// Hosts on which a primary check fails now, whatever the period says.
    pub hosts_failing: u64,
}

/// The figures at the top of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OverviewFigures {
    /// Figures over the period.
    pub period: PeriodFigures,
    /// Checks on hosts that hold a judged outcome now, of those assigned.
    pub coverage: Portion,
    /// Checks on hosts whose last outcome is not older than twice its cadence, of those assigned.
    pub freshness: Portion,
    /// Hosts on which a deviation is open.
    pub hosts_deviating: u64,
    /// Open deviations that are critical.
    pub critical_open: u64,
    /// Open deviations that lasted longer than their severity allows.
    pub beyond_limit: u64,
    /// Open deviations, as last seen, on hosts that are not retired but whose agent has ended: silence mends nothing.
    pub last_seen: u64,
}

/// Figures that every period has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeriodFigures {
    /// Controls that operated, of those with host evidence.
    pub operating: Portion,
    /// Host-time of controls that was observed, in all of it, in milliseconds.
    pub observed: Portion,
    /// Deviations open at its end.
    pub open_deviations: u64,
}

/// How much changed lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeCounts {
    /// Checks on hosts that began to fail.
    pub newly_failing: u64,
    /// Checks on hosts that stopped failing.
    pub newly_fixed: u64,
    /// Hosts that are silent for longer than their cadences explain, or were never heard.
    pub silent: u64,
}

/// A check on a host whose outcome changed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutcomeChange {
    /// The host's id: key id of its first key.
    pub host: String,
    /// The host's name.
    pub host_name: String,
    /// The check.
    #[schema(value_type = String)]
    pub check: evidence::id::CheckId,
    /// The check's title.
    pub title: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// How it stands now.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// What was observed; none if the facts were erased.
    pub observed: Option<serde_json::Value>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A host from which nothing came for longer than its cadences explain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SilentHost {
    /// Its id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// When it was last heard; none if never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
}

/// How do the hosts stand against Annex A over the last `days` days, and what changed?
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn overview(
    store: &Store,
    library: &Library,
    days: u32,
    now: Timestamp,
) -> Result<Overview, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let rules = Rules::default();
    let period = Period::last_days(days, now, fleet.first_enrolled());
    let earlier = period.before();
    let reach = fleet::fails_from(earlier.from, &rules);
    let intervals = store.intervals_since(earlier.from, reach, None).await?;
    let intervals = fleet.up_to_now(store, intervals).await?;
    let records = fleet.records(period.record(), &intervals);
    let (mut controls, figures) = assess(&fleet, library, &records, &rules);
    let before = period.known_from.is_none() && fleet.first_enrolled().is_some();
    let before = before.then(|| {
        let records = fleet.records(earlier, &intervals);
        assess(&fleet, library, &records, &rules).1
    });
    let standings = fleet.standings(&intervals);
    failing_now(&fleet, library, &standings, &mut controls);
    let now_figures = Figures::of(standings.iter().map(|current| current.standing));
    let open = open_deviations(&records, &rules);
    let deviating: BTreeSet<HostNo> = open.iter().map(|d| d.host).collect();
    let rounds = store.kinds(fleet.as_of.entries).await?;
    let (newly_failing, failing_number) =
        changes(store, &fleet, &intervals, Change::Failing).await?;
    let (newly_fixed, fixed_number) = changes(store, &fleet, &intervals, Change::Fixed).await?;
    let (silent, silent_number) = silent(&fleet);
    Ok(Overview {
        hosts: fleet.in_scope().count() as u64,
        rounds: rounds.get(&wire::leaf::Kind::Round).copied().unwrap_or(0),
        controls,
        figures: OverviewFigures {
            period: figures,
            coverage: now_figures.coverage.into(),
            freshness: now_figures.freshness.into(),
            hosts_deviating: deviating.len() as u64,
            critical_open: open
                .iter()
                .filter(|d| d.severity == Severity::Critical)
                .count() as u64,
            beyond_limit: open.iter().filter(|d| d.beyond_ms > 0).count() as u64,
            last_seen: open.iter().filter(|d| has_ended(&fleet, d.host)).count() as u64,
        },
        before,
        changed: ChangeCounts {
            newly_failing: failing_number,
            newly_fixed: fixed_number,
            silent: silent_number,
        },
        newly_failing,
        newly_fixed,
        silent,
        lately_days: LATELY_DAYS,
        as_of: fleet.as_of,
        period,
    })
}

/// The verdict of every control, and the figures that come of them.
fn assess(
    fleet: &Fleet,
    library: &Library,
    records: &Records,
    rules: &Rules,
) -> (Vec<ControlVerdict>, PeriodFigures) {
    let mut operating = Share::default();
    let mut observed = Share::default();
    let mut controls = Vec::new();
    for control in library.catalogue.controls() {
        let verdict = if control.class == Class::Manual {
            status::of_documents(false)
        } else {
            let primary = fleet.checks_of(&control.id, Role::Primary);
            let status = status::of_control(records, control.class, &primary, rules);
            operating.whole += 1;
            operating.of += u64::from(status.verdict == Verdict::Operating);
            let unobserved = status.time.unobserved();
            observed.of += unobserved.whole - unobserved.of;
            observed.whole += unobserved.whole;
            status.verdict
        };
        controls.push(ControlVerdict {
            id: control.number().to_owned(),
            title: control.title.clone(),
            theme: control.theme,
            class: control.class,
            verdict,
            hosts_failing: 0,
        });
    }
    let figures = PeriodFigures {
        operating: operating.into(),
        observed: observed.into(),
        open_deviations: open_deviations(records, rules).len() as u64,
    };
    (controls, figures)
}

/// Counts, control by control, the hosts on which a primary check fails now: known from the first round on, when the
/// period is still too short for a verdict.
fn failing_now(
    fleet: &Fleet,
    library: &Library,
    standings: &[Current<'_>],
    controls: &mut [ControlVerdict],
) {
    let mut failing: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for current in standings.iter().filter(|c| c.standing == Standing::Fail) {
        let hosts = failing.entry(current.check.as_str()).or_default();
        hosts.insert(current.host.row);
    }
    for (control, verdict) in library.catalogue.controls().iter().zip(controls) {
        let primary = fleet.checks_of(&control.id, Role::Primary);
        let checks = primary.iter().map(|check| &fleet.checks[check.0 as usize]);
        let hosts: BTreeSet<i64> = checks
            .filter_map(|check| failing.get(check.as_str()))
            .flatten()
            .copied()
            .collect();
        verdict.hosts_failing = hosts.len() as u64;
    }
}

/// The deviations of every check that are open at the end of the records' period.
fn open_deviations(records: &Records, rules: &Rules) -> Vec<Deviation> {
    let of_check = |check: CheckNo| deviation::of_check(records, check, rules);
    let all = records.check_numbers().flat_map(of_check);
    all.filter(|found| found.to.is_none()).collect()
}

/// Whether nothing can come from a host any more though it is still on the register.
fn has_ended(fleet: &Fleet, host: HostNo) -> bool {
    let host = fleet.hosts.get(host.0 as usize);
    host.is_some_and(|host| host.state != AgentState::Active)
}

fn silent(fleet: &Fleet) -> (Vec<SilentHost>, u64) {
    let mut silent: Vec<SilentHost> = fleet
        .in_scope()
        .filter(|host| host.last_rx.is_none() || fleet.is_silent(host))
        .map(|host| SilentHost {
            host: host.agent.to_hex(),
            name: fleet::name(host),
            last: host.last_rx,
        })
        .collect();
    silent.sort_by(|left, right| (left.last, &left.name).cmp(&(right.last, &right.name)));
    let number = silent.len() as u64;
    silent.truncate(CHANGES);
    (silent, number)
}

impl From<(Viewer, Overview)> for OverviewPage {
    fn from((viewer, answer): (Viewer, Overview)) -> OverviewPage {
        let paper = Paper {
            scope: counted(answer.hosts, "host"),
            period: Some(answer.period.clone()),
            parameters: "default targets and limits".to_owned(),
            rows: counted(answer.controls.len() as u64, "control"),
        };
        let themes = Theme::ALL.iter().map(|theme| page::Theme {
            name: theme_name(*theme).to_owned(),
            tiles: answer
                .controls
                .iter()
                .filter(|control| control.theme == *theme)
                .map(tile)
                .collect(),
        });
        let change = |change: &OutcomeChange| page::Change {
            host: change.host_name.clone(),
            check_title: change.title.clone(),
            severity: change.severity.into(),
            standing: change.standing.into(),
            observed: match &change.observed {
                Some(value) => Observed::line(value, OBSERVED_CHARS),
                None => "facts not held".to_owned(),
            },
            since: answer.as_of.when(change.since),
            href: route::outcome(&change.host, change.check.as_str()),
        };
        OverviewPage {
            frame: answer
                .as_of
                .frame(viewer, "Overview", Section::Overview, paper),
            period: answer.period.words(),
            periods: answer.period.choices(route::OVERVIEW),
            hosts: answer.hosts,
            rounds: answer.rounds,
            figures: figures(&answer),
            themes: themes.collect(),
            changed: page::Changed {
                failing: answer.changed.newly_failing,
                fixed: answer.changed.newly_fixed,
                silent: answer.changed.silent,
            },
            newly_failing: answer.newly_failing.iter().map(change).collect(),
            newly_fixed: answer.newly_fixed.iter().map(change).collect(),
            newly_silent: answer
                .silent
                .iter()
                .map(|silent| page::Silence {
                    host: silent.name.clone(),
                    href: route::host(&silent.host),
                    last: silent.last.map(|last| answer.as_of.when(last)),
                })
                .collect(),
            lately: format!("in the last {} days", answer.lately_days),
        }
    }
}

fn tile(control: &ControlVerdict) -> Tile {
    Tile {
        number: control.id.trim_start_matches("A.").to_owned(),
        title: control.title.clone(),
        class: control.class.into(),
        verdict: control.verdict.into(),
        failing: control.hosts_failing,
        href: route::control(&control.id),
    }
}

fn figures(answer: &Overview) -> Vec<Figure> {
    if answer.hosts == 0 {
        return Vec::new();
    }
    let (figures, period) = (&answer.figures, &answer.figures.period);
    let share = |portion: Portion| part::Share::from(portion);
    let as_of = answer.as_of.last_round.map(|last| answer.as_of.when(last));
    let days = answer.period.days;
    let before = |words: fn(&PeriodFigures) -> String| {
        let then = answer.before.as_ref();
        then.map_or_else(String::new, |figures| {
            format!("{} in the {days} days before", words(figures))
        })
    };
    let figure =
        |label: &str, value: String, of: String, coverage: String, before: String| Figure {
            label: label.to_owned(),
            value,
            of,
            coverage,
            as_of,
            before,
        };
    vec![
        figure(
            "Controls operating",
            share(period.operating).percent(),
            format!(
                "{} host-evidenced controls",
                share(period.operating).ratio()
            ),
            format!("observed {}", share(period.observed).percent()),
            before(|then| part::Share::from(then.operating).percent()),
        ),
        figure(
            "Coverage",
            share(figures.coverage).percent(),
            format!("{} checks on hosts judged", share(figures.coverage).ratio()),
            String::new(),
            String::new(),
        ),
        figure(
            "Freshness",
            share(figures.freshness).percent(),
            format!(
                "{} checks on hosts within twice their cadence",
                share(figures.freshness).ratio()
            ),
            String::new(),
            String::new(),
        ),
        figure(
            "Open deviations",
            count(period.open_deviations),
            format!(
                "on {} of {}; {} critical",
                count(figures.hosts_deviating),
                counted(answer.hosts, "host"),
                count(figures.critical_open)
            ),
            beyond_words(figures),
            match &answer.before {
                Some(then) => format!("{} at the period's start", count(then.open_deviations)),
                None => String::new(),
            },
        ),
    ]
}

fn beyond_words(figures: &OverviewFigures) -> String {
    let mut words = match figures.beyond_limit {
        0 => "none beyond its limit".to_owned(),
        some => format!("{} beyond their limit", count(some)),
    };
    if figures.last_seen > 0 {
        let seen = count(figures.last_seen);
        words.push_str(&format!("; {seen} as last seen before the agent ended"));
    }
    words
}
