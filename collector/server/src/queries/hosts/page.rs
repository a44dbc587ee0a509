//! The list of hosts as a page.

use std::collections::BTreeMap;

use super::{HostFilter, HostOrder, HostSummary, Hosts, PAGE};
use crate::pages::frame::Section;
use crate::pages::hosts::HostRow;
use crate::pages::part::{Choice, Column, Direction, Facet, Pager, counted};
use crate::pages::{HostsPage, route};
use crate::queries::answer::{Paper, Viewer};

impl From<(Viewer, Hosts, HostFilter)> for HostsPage {
    fn from((viewer, answer, filter): (Viewer, Hosts, HostFilter)) -> HostsPage {
        let pager = pager(&answer, &filter);
        let paper = Paper {
            scope: counted(answer.enrolled, "host"),
            period: None,
            parameters: match filter.text.is_empty() {
                true => "no filter".to_owned(),
                false => filter.text.clone(),
            },
            rows: pager.words(),
        };
        HostsPage {
            frame: answer.as_of.frame(viewer, "Hosts", Section::Hosts, paper),
            query_problem: answer.filter_problem.clone().unwrap_or_default(),
            facets: vec![
                facet("Group", "group", &answer.groups, &filter),
                facet("System", "os", &answer.systems, &filter),
                facet("State", "state", &answer.states, &filter),
            ],
            columns: columns(&filter),
            rows: answer.hosts.iter().map(|host| row(&answer, host)).collect(),
            pager,
            enrolled: answer.enrolled,
            failing: answer.failing,
            silent: answer.silent,
            never_seen: answer.never_seen,
            query: filter.text,
        }
    }
}

fn href(text: &str, order: HostOrder, offset: u64) -> String {
    let sort = match order == HostOrder::default() {
        true => "",
        false => order.as_str(),
    };
    let after = match offset {
        0 => String::new(),
        some => some.to_string(),
    };
    route::with_query(
        route::HOSTS,
        &[("q", text), ("sort", sort), ("after", &after)],
    )
}

fn pager(answer: &Hosts, filter: &HostFilter) -> Pager {
    let shown = answer.hosts.len() as u64;
    let at = |offset: u64| href(&filter.text, filter.order, offset);
    let end = answer.offset + shown;
    Pager {
        shown,
        total: answer.matching,
        noun: "host".to_owned(),
        previous: (answer.offset > 0).then(|| at(answer.offset.saturating_sub(PAGE))),
        next: (end < answer.matching).then(|| at(end)),
        export: None,
    }
}

/// A facet whose choices are terms of the filter: a chosen one is taken away, another put in its place.
fn facet(name: &str, key: &str, counts: &BTreeMap<String, u64>, filter: &HostFilter) -> Facet {
    let prefix = format!("{key}:");
    let (mine, others): (Vec<&str>, Vec<&str>) = filter
        .text
        .split_whitespace()
        .partition(|term| term.starts_with(&prefix));
    let mut choices: Vec<Choice> = counts
        .iter()
        .map(|(value, count)| {
            let term = format!("{prefix}{}", value.replace(' ', "-").to_lowercase());
            let chosen = mine.contains(&term.as_str());
            let mut terms = others.clone();
            if !chosen {
                terms.push(&term);
            }
            Choice {
                label: match value.is_empty() {
                    true => "not told".to_owned(),
                    false => value.replace('-', " "),
                },
                count: *count,
                href: href(&terms.join(" "), filter.order, 0),
                chosen,
            }
        })
        .collect();
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.count));
    Facet {
        name: name.to_owned(),
        choices,
    }
}

fn columns(filter: &HostFilter) -> Vec<Column> {
    let names = [
        "Host",
        "Group",
        "System",
        "Last round",
        "Observed",
        "Fails",
        "Errors",
    ];
    let sortable = names.iter().zip(HostOrder::ALL).map(|(label, order)| {
        let descending = matches!(order, HostOrder::Fails | HostOrder::Errors);
        Column {
            label: (*label).to_owned(),
            href: Some(href(&filter.text, order, 0)),
            sorted: (filter.order == order).then_some(match descending {
                true => Direction::Descending,
                false => Direction::Ascending,
            }),
            numeric: matches!(order, HostOrder::Observed | HostOrder::Errors),
        }
    });
    sortable.chain([Column::plain("Agent, bundle")]).collect()
}

fn row(answer: &Hosts, host: &HostSummary) -> HostRow {
    let fails = host.fails;
    HostRow {
        name: host.name.clone(),
        href: route::host(&host.id),
        group: host.group.clone(),
        system: host.system.clone(),
        last_round: host.last_round.map(|last| answer.as_of.when(last)),
        silent: host.state == "silent",
        observed: host.observed.into(),
        fails: [
            fails.critical,
            fails.high,
            fails.medium,
            fails.low + fails.info,
        ],
        errors: host.errors,
        bundle: host
            .bundle
            .iter()
            .flat_map(|digest| digest.chars().take(8))
            .collect(),
        agent: host.agent.clone().unwrap_or_default(),
    }
}
