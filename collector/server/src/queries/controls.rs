//! How did each control of Annex A do, on how much evidence?

use std::collections::{BTreeMap, BTreeSet};

use ::store::Store;
use assess::current::Standing;
use assess::rules::Rules;
use assess::status::{self, Verdict};
use catalogue::{Class, Theme};
use evidence::check::Role;
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{AsOf, Paper, Period, Portion, Viewer};
use super::fleet::{self, Fleet};
use super::{Library, QueryError};
use crate::pages::controls::ControlRow;
use crate::pages::frame::Section;
use crate::pages::part::{self, Choice, Facet, Pager, counted};
use crate::pages::{ControlsPage, route};

/// What narrows the list; what is none does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlFilter {
    /// A theme's word.
    pub theme: Option<String>,
    /// A class's word.
    pub class: Option<String>,
    /// A verdict's word.
    pub verdict: Option<String>,
}

/// The controls over a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Controls {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The period.
    pub period: Period,
    /// The controls, in the standard's order, whatever the filter.
    pub controls: Vec<ControlSummary>,
}

/// How one control did over the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlSummary {
    /// Its number in ISO/IEC 27001:2022.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its theme.
    #[schema(value_type = String)]
    pub theme: Theme,
    /// What host evidence can say.
    #[schema(value_type = String)]
    pub class: Class,
    /// Its verdict.
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// Whether the verdict speaks of the host part only.
    pub host_part_only: bool,
    /// Passing host-time in observed host-time, in milliseconds.
    pub operating: Portion,
    /// Unobserved host-time in all host-time, in milliseconds.
    pub unobserved: Portion,
    /// Hosts on which a primary check fails now.
    pub hosts_failing: u64,
    /// Primary checks of it that are assigned to any host.
    pub primary_checks: u64,
}

/// How did each control do over the last `days` days?
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn controls(
    store: &Store,
    library: &Library,
    days: u32,
    now: Timestamp,
) -> Result<Controls, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let rules = Rules::default();
    let period = Period::last_days(days, now, fleet.first_enrolled());
    let reach = fleet::fails_from(period.from, &rules);
    let intervals = store.intervals_since(period.from, reach, None).await?;
    let intervals = fleet.up_to_now(store, intervals).await?;
    let records = fleet.records(period.record(), &intervals);
    let standings = fleet.standings(&intervals);
    let mut failing: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for current in standings.iter().filter(|c| c.standing == Standing::Fail) {
        let hosts = failing.entry(current.check.as_str()).or_default();
        hosts.insert(current.host.row);
    }
    let controls = library.catalogue.controls().iter().map(|control| {
        let primary = fleet.checks_of(&control.id, Role::Primary);
        let status = status::of_control(&records, control.class, &primary, &rules);
        let hosts: BTreeSet<i64> = primary
            .iter()
            .filter_map(|check| failing.get(fleet.checks[check.0 as usize].as_str()))
            .flatten()
            .copied()
            .collect();
        ControlSummary {
            id: control.number().to_owned(),
            title: control.title.clone(),
            theme: control.theme,
            class: control.class,
            verdict: match control.class {
                Class::Manual => status::of_documents(false),
                Class::Automated | Class::Partial => status.verdict,
            },
            host_part_only: status.host_part_only,
            operating: status.time.operating().into(),
            unobserved: status.time.unobserved().into(),
            hosts_failing: hosts.len() as u64,
            primary_checks: primary.len() as u64,
        }
    });
    let controls = controls.collect();
    Ok(Controls {
        as_of: fleet.as_of,
        period,
        controls,
    })
}

impl ControlFilter {
    fn admits(&self, control: &ControlSummary) -> bool {
        let is = |wanted: &Option<String>, word: &str| wanted.as_ref().is_none_or(|w| w == word);
        is(&self.theme, control.theme.as_str())
            && is(&self.class, control.class.as_str())
            && is(&self.verdict, control.verdict.as_str())
    }

    /// Address of the list under this filter.
    fn href(&self, days: u32) -> String {
        let text = |wanted: &Option<String>| wanted.clone().unwrap_or_default();
        let days = match days {
            Period::DEFAULT_DAYS => String::new(),
            other => other.to_string(),
        };
        route::with_query(
            route::CONTROLS,
            &[
                ("days", &days),
                ("theme", &text(&self.theme)),
                ("class", &text(&self.class)),
                ("verdict", &text(&self.verdict)),
            ],
        )
    }

    fn words(&self) -> String {
        let set: Vec<&str> = [&self.theme, &self.class, &self.verdict]
            .into_iter()
            .filter_map(|wanted| wanted.as_deref())
            .collect();
        match set.is_empty() {
            true => "no filter".to_owned(),
            false => set.join(", "),
        }
    }
}

/// One property of controls by which the list is narrowed.
struct Property {
    name: &'static str,
    of: fn(&ControlSummary) -> &'static str,
    field: fn(&mut ControlFilter) -> &mut Option<String>,
}

const PROPERTIES: [Property; 3] = [
    Property {
        name: "Theme",
        of: |control| control.theme.as_str(),
        field: |filter| &mut filter.theme,
    },
    Property {
        name: "Class",
        of: |control| control.class.as_str(),
        field: |filter| &mut filter.class,
    },
    Property {
        name: "Verdict",
        of: |control| control.verdict.as_str(),
        field: |filter| &mut filter.verdict,
    },
];

fn facet(answer: &Controls, filter: &ControlFilter, property: &Property) -> Facet {
    let mut widened = filter.clone();
    let chosen = (property.field)(&mut widened).take();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for control in answer.controls.iter().filter(|c| widened.admits(c)) {
        *counts.entry((property.of)(control)).or_default() += 1;
    }
    let mut choices: Vec<Choice> = counts
        .into_iter()
        .map(|(word, count)| {
            let is_chosen = chosen.as_deref() == Some(word);
            let mut narrowed = widened.clone();
            if !is_chosen {
                *(property.field)(&mut narrowed) = Some(word.to_owned());
            }
            Choice {
                label: word.replace('_', " "),
                count,
                href: narrowed.href(answer.period.days),
                chosen: is_chosen,
            }
        })
        .collect();
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.count));
    Facet {
        name: property.name.to_owned(),
        choices,
    }
}

impl From<(Viewer, Controls, ControlFilter)> for ControlsPage {
    fn from((viewer, answer, filter): (Viewer, Controls, ControlFilter)) -> ControlsPage {
        let total = answer.controls.len() as u64;
        let rows: Vec<ControlRow> = answer
            .controls
            .iter()
            .filter(|control| filter.admits(control))
            .map(row)
            .collect();
        let pager = Pager {
            shown: rows.len() as u64,
            total: rows.len() as u64,
            noun: "control".to_owned(),
            previous: None,
            next: None,
            export: None,
        };
        let paper = Paper {
            scope: counted(total, "control"),
            period: Some(answer.period.clone()),
            parameters: filter.words(),
            rows: pager.words(),
        };
        let facets = PROPERTIES.iter().map(|one| facet(&answer, &filter, one));
        ControlsPage {
            frame: answer
                .as_of
                .frame(viewer, "Controls", Section::Controls, paper),
            period: answer.period.words(),
            facets: facets.collect(),
            rows,
            pager,
        }
    }
}

fn row(control: &ControlSummary) -> ControlRow {
    ControlRow {
        id: control.id.clone(),
        title: control.title.clone(),
        class: control.class.into(),
        verdict: part::Verdict::from(control.verdict),
        operating: control.operating.into(),
        unobserved: control.unobserved.into(),
        hosts_failing: control.hosts_failing,
        primary_checks: control.primary_checks,
        href: route::control(&control.id),
    }
}
