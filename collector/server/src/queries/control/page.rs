//! A control's answer as a page.

use catalogue::{Class, Strength};

use super::{CheckStanding, ControlAnswer, ControlDeviation, Step};
use crate::pages::frame::Section;
use crate::pages::part::{self, Bucket, Pair, ShareStrip, counted, span};
use crate::pages::{ControlPage, control as page, route};
use crate::queries::answer::{AsOf, Paper, Viewer};

impl From<(Viewer, ControlAnswer)> for ControlPage {
    fn from((viewer, answer): (Viewer, ControlAnswer)) -> ControlPage {
        let title = format!("{} {}", answer.id, answer.title);
        let hosts = answer.basis.as_ref().map_or(0, |basis| basis.hosts);
        let paper = Paper {
            scope: format!("{}, {}", answer.id, counted(hosts, "host")),
            period: Some(answer.period.clone()),
            parameters: "default targets and limits".to_owned(),
            rows: counted(answer.primary.len() as u64, "primary check"),
        };
        let path = route::control(&answer.id);
        let manual = answer.class == Class::Manual;
        ControlPage {
            frame: answer.as_of.frame(viewer, &title, Section::Controls, paper),
            attributes: vec![
                Pair::new("Theme", answer.theme.as_str()),
                Pair::new("Control type", answer.control_type.join(", ")),
                Pair::new("Properties", answer.properties.join(", ")),
                Pair::new("Concepts", answer.concepts.join(", ")),
            ],
            class: answer.class.into(),
            strength: answer.strength.map_or("", Strength::as_str).to_owned(),
            verdict: answer.verdict.into(),
            period: answer.period.words(),
            periods: match manual {
                true => Vec::new(),
                false => answer.period.choices(&path),
            },
            basis: page_basis(&answer),
            strip: strip(&answer),
            primary: answer
                .primary
                .iter()
                .map(|check| check_row(&answer.as_of, check))
                .collect(),
            supporting: answer
                .supporting
                .iter()
                .map(|check| check_row(&answer.as_of, check))
                .collect(),
            longest: answer
                .longest
                .iter()
                .map(|found| deviation_row(&answer.as_of, found))
                .collect(),
            id: answer.id,
            title: answer.title,
            covers: answer.covers,
            manual: answer.manual,
            not_in_bundle: answer.not_in_bundle,
        }
    }
}

fn page_basis(answer: &ControlAnswer) -> Option<page::Basis> {
    let basis = answer.basis.as_ref()?;
    Some(page::Basis {
        operating: basis.operating.into(),
        unobserved: basis.unobserved.into(),
        target: part::Share::new(u64::from(basis.target_per_mille), 1000).percent(),
        hosts: basis.hosts,
        hosts_failing: basis.hosts_failing,
        deviations: basis.deviations,
        beyond_limit: basis.beyond_limit,
        critical_open: basis.critical_open,
        as_of: answer.as_of.last_round.map(|last| answer.as_of.when(last)),
    })
}

fn strip(answer: &ControlAnswer) -> Option<ShareStrip> {
    if answer.steps.is_empty() {
        return None;
    }
    let bucket = |step: &Step| Bucket {
        from_ms: step.from.unix_ms(),
        to_ms: step.to.unix_ms(),
        pass: step.pass_ms,
        fail: step.fail_ms,
        unobserved: step.unobserved_ms,
    };
    Some(ShareStrip {
        id: "fleet".to_owned(),
        title: format!(
            "{} over all hosts in scope, {} days",
            answer.id, answer.period.days
        ),
        from_ms: answer.period.from.unix_ms(),
        to_ms: answer.period.to.unix_ms(),
        buckets: answer.steps.iter().map(bucket).collect(),
    })
}

fn check_row(as_of: &AsOf, check: &CheckStanding) -> page::ControlCheck {
    page::ControlCheck {
        id: check.id.to_string(),
        title: check.title.clone(),
        severity: check.severity.into(),
        hosts: check.hosts.into(),
        failing: check
            .failing
            .iter()
            .map(|host| page::FailingHost {
                name: host.name.clone(),
                href: route::outcome(&host.host, check.id.as_str()),
                since: as_of.when(host.since),
            })
            .collect(),
        href: route::check(check.id.as_str()),
    }
}

fn deviation_row(as_of: &AsOf, found: &ControlDeviation) -> page::Deviation {
    let words = |ms: u64| span(i64::try_from(ms).unwrap_or(i64::MAX));
    page::Deviation {
        host: found.host_name.clone(),
        check_title: found.title.clone(),
        severity: found.severity.into(),
        from: as_of.when(found.from),
        to: found.to.map(|to| as_of.when(to)),
        lasted: words(found.lasted_ms),
        beyond: match found.beyond_ms {
            0 => String::new(),
            ms => words(ms),
        },
        href: route::outcome(&found.host, found.check.as_str()),
    }
}
