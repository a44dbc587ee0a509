use super::annex::CONTROLS;
use super::{DAY, HOSTS, HOUR, MINUTE, ago, frame};
use crate::pages::controls::{ControlRow, ControlsPage};
use crate::pages::frame::Section;
use crate::pages::overview::{Change, Changed, OverviewPage, PeriodChoice, Silence, Theme};
use crate::pages::part::{
    Choice, Class, Facet, Figure, Pager, Severity, Share, Standing, Tile, Verdict,
};
use crate::pages::route;

fn verdict(place: usize, class: Class) -> Verdict {
    match (class, place % 11) {
        (Class::Manual, _) => Verdict::DocumentsOnly,
        (_, 0) => Verdict::NotOperating,
        (_, 3 | 5) => Verdict::OperatingWithDeviations,
        (_, 7) => Verdict::InsufficientEvidence,
        _ => Verdict::Operating,
    }
}

pub fn periods(path: &str) -> Vec<PeriodChoice> {
    [7, 30, 90, 365]
        .into_iter()
        .map(|days| PeriodChoice {
            label: format!("{days} days"),
            href: route::with_query(path, &[("days", &days.to_string())]),
            chosen: days == 30,
        })
        .collect()
}

fn themes() -> Vec<Theme> {
    [
        ("Organizational", "5."),
        ("People", "6."),
        ("Physical", "7."),
        ("Technological", "8."),
    ]
    .into_iter()
    .map(|(name, prefix)| Theme {
        name: name.to_owned(),
        tiles: CONTROLS
            .iter()
            .enumerate()
            .filter(|(_, (number, _, _))| number.starts_with(prefix))
            .map(|(place, (number, title, class))| Tile {
                number: (*number).to_owned(),
                title: (*title).to_owned(),
                class: *class,
                verdict: verdict(place, *class),
                failing: if verdict(place, *class) == Verdict::NotOperating {
                    3
                } else {
                    0
                },
                href: route::control(&format!("A.{number}")),
            })
            .collect(),
    })
    .collect()
}

fn figures() -> Vec<Figure> {
    let figure = |label: &str, value: &str, of: &str, coverage: &str, before: &str| Figure {
        label: label.to_owned(),
        value: value.to_owned(),
        of: of.to_owned(),
        coverage: coverage.to_owned(),
        as_of: Some(ago(4 * MINUTE)),
        before: before.to_owned(),
    };
    vec![
        figure(
            "Controls operating",
            "71.7 %",
            "33 of 46 host-evidenced controls",
            "observed 98.1 %",
            "63 % in the 30 days before",
        ),
        figure(
            "Coverage",
            "98.1 %",
            "9,987 of 10,180 host-days observed",
            "",
            "97.4 % in the 30 days before",
        ),
        figure(
            "Freshness",
            "4 min",
            "since the newest round; 118 of 120 hosts on time",
            "",
            "2 hosts late a month ago",
        ),
        figure(
            "Open deviations",
            "37",
            "on 14 of 120 hosts; 3 critical",
            "6 beyond their limit",
            "41 a month ago",
        ),
    ]
}

fn change(place: usize, standing: Standing) -> Change {
    let checks = [
        (
            "sshd.root",
            "SSH root log-on is off",
            "PermitRootLogin yes",
            Severity::High,
        ),
        (
            "account.uid0.unique",
            "Only root has UID 0",
            "root, backdoor have uid 0",
            Severity::Critical,
        ),
        (
            "time.sync.offset",
            "Clock offset is within limit",
            "offset 4,212 ms",
            Severity::Medium,
        ),
        (
            "disk.encryption.swap",
            "Swap and hibernation image are encrypted or in RAM only",
            "/dev/sda3 is plain",
            Severity::High,
        ),
        (
            "log.audit.loss",
            "No audit events were lost",
            "lost 118 events",
            Severity::Medium,
        ),
    ];
    let (check, title, observed, severity) = checks[place % checks.len()];
    Change {
        host: HOSTS[(place * 2 + 1) % HOSTS.len()].to_owned(),
        check_title: title.to_owned(),
        severity,
        standing,
        observed: observed.to_owned(),
        since: ago(place as i64 * 5 * HOUR + 9 * MINUTE),
        href: route::outcome("3f2a", check),
    }
}

pub fn overview() -> OverviewPage {
    OverviewPage {
        frame: frame("Overview", Section::Overview),
        period: "the last 30 days".to_owned(),
        periods: periods("/"),
        hosts: 120,
        rounds: 10_301,
        figures: figures(),
        themes: themes(),
        changed: Changed {
            failing: 21,
            fixed: 3,
            silent: 2,
        },
        newly_failing: (0..5).map(|place| change(place, Standing::Fail)).collect(),
        newly_fixed: (1..4).map(|place| change(place, Standing::Pass)).collect(),
        newly_silent: vec![
            Silence {
                host: "laptop-ade".to_owned(),
                href: route::host("77"),
                last: Some(ago(3 * DAY)),
            },
            Silence {
                host: HOSTS[5].to_owned(),
                href: route::host("78"),
                last: None,
            },
        ],
        lately: "in the last 7 days".to_owned(),
    }
}

pub fn first_start() -> OverviewPage {
    let mut page = overview();
    page.hosts = 0;
    page.rounds = 0;
    page.frame.pulse.entries = 2;
    page.frame.pulse.last_round = None;
    page.figures.clear();
    page.changed = Changed::default();
    page.newly_failing.clear();
    page.newly_fixed.clear();
    page.newly_silent.clear();
    for tile in page.themes.iter_mut().flat_map(|theme| &mut theme.tiles) {
        if tile.verdict != Verdict::DocumentsOnly {
            tile.verdict = Verdict::InsufficientEvidence;
        }
    }
    page
}

pub fn facet(name: &str, choices: &[(&str, u64, bool)]) -> Facet {
    Facet {
        name: name.to_owned(),
        choices: choices
            .iter()
            .map(|(label, count, chosen)| Choice {
                label: (*label).to_owned(),
                count: *count,
                href: route::with_query("/hosts", &[("q", label)]),
                chosen: *chosen,
            })
            .collect(),
    }
}

pub fn controls() -> ControlsPage {
    let rows: Vec<ControlRow> = CONTROLS
        .iter()
        .enumerate()
        .map(|(place, (number, title, class))| {
            let failing = u64::from(matches!(
                verdict(place, *class),
                Verdict::NotOperating | Verdict::OperatingWithDeviations
            )) * (place as u64 % 7 + 1);
            ControlRow {
                id: format!("A.{number}"),
                title: (*title).to_owned(),
                class: *class,
                verdict: verdict(place, *class),
                operating: Share::new((86_000 - failing * 990) * HOUR as u64, 86_000 * HOUR as u64),
                unobserved: Share::new(1_640 * HOUR as u64, 87_640 * HOUR as u64),
                hosts_failing: failing,
                primary_checks: match class {
                    Class::Manual => 0,
                    _ => place as u64 % 5 + 1,
                },
                href: route::control(&format!("A.{number}")),
            }
        })
        .collect();
    ControlsPage {
        frame: frame("Controls", Section::Controls),
        period: "the last 30 days".to_owned(),
        facets: vec![
            facet(
                "Theme",
                &[
                    ("Organizational", 37, false),
                    ("People", 8, false),
                    ("Physical", 14, false),
                    ("Technological", 34, false),
                ],
            ),
            facet(
                "Class",
                &[
                    ("automated", 5, false),
                    ("partial", 41, false),
                    ("manual", 47, false),
                ],
            ),
        ],
        pager: Pager {
            shown: rows.len() as u64,
            total: rows.len() as u64,
            noun: "control".to_owned(),
            previous: None,
            next: None,
            export: Some("/controls.csv".to_owned()),
        },
        rows,
    }
}

#[test]
fn the_sentence_counts_what_did_not_operate() {
    assert_eq!(
        overview().answer(),
        "2 of 46 host-evidenced controls did not operate in the last 30 days; \
         8 operated with deviations, 3 lack sufficient evidence. Primary checks of 2 controls fail now."
    );
    assert_eq!(
        first_start().answer(),
        "No host is enrolled yet, so nothing is known about any control."
    );
    let mut page = overview();
    page.rounds = 0;
    assert_eq!(
        page.answer(),
        "120 hosts enrolled, and no round has been received yet."
    );
}

#[test]
fn the_sentence_says_all_only_when_it_is_all() {
    let mut page = overview();
    for tile in page.themes.iter_mut().flat_map(|theme| &mut theme.tiles) {
        if tile.verdict != Verdict::DocumentsOnly {
            tile.verdict = Verdict::Operating;
        }
        tile.failing = 0;
    }
    assert_eq!(
        page.answer(),
        "All 46 host-evidenced controls operated in the last 30 days. No primary check fails now."
    );
    let partial = page.themes[0]
        .tiles
        .iter_mut()
        .find(|tile| tile.class == Class::Partial);
    partial.unwrap().verdict = Verdict::InsufficientEvidence;
    assert_eq!(
        page.answer(),
        "45 of 46 host-evidenced controls operated in the last 30 days without a deviation; \
         1 lacks sufficient evidence. No primary check fails now."
    );
}

#[test]
fn what_a_list_leaves_out_is_counted() {
    let html = askama::Template::render(&overview()).unwrap();
    assert!(
        html.contains("And 16 more, which the hosts&#39; pages list."),
        "{html}"
    );
    assert_eq!(
        html.matches("more, which").count(),
        1,
        "whole lists say nothing"
    );
}
