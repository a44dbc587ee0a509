//! Every page with sample data: what the tests look at, and what people look at as pictures.
//!
//! `cargo test -p assay-collector gallery` writes the pages with their assets to
//! `target/gallery/`, where a browser opens them as files; `chromium --headless --no-sandbox
//! --screenshot=P.png --window-size=1280,1600 file://…` makes a picture of one (390 wide for a
//! phone, `--blink-settings=preferredColorScheme=0` for the dark theme, `--print-to-pdf` for paper).

mod annex;
mod colour;
mod control;
mod host;
mod ledger;
mod outcome;
mod overview;
mod rules;

use askama::Template;

use super::frame::{Exhibit, Frame, Pulse, Section};
use super::part::{Standing, Stretch, Strip, When};
use super::problem::ProblemPage;
use super::search::{Hit, Hits, SearchPage};
use super::signin::{Notice, SignInPage};
use super::{asset, route};

/// 2026-11-24T14:02:00Z, the moment at which all sample pages are made.
const NOW: i64 = 1_795_528_920_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Names of hosts in the samples; the last of them is hostile.
const HOSTS: [&str; 6] = [
    "web-01.example.net",
    "web-02.example.net",
    "db-01.example.net",
    "ci-runner-7",
    "laptop-ade",
    "<script>alert(1)</script>\"'&",
];

fn ago(ms: i64) -> When {
    When::at(NOW - ms, NOW)
}

fn hex(seed: u64, digits: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    while text.len() < digits {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text.truncate(digits);
    text
}

fn frame(title: &str, section: Section) -> Frame {
    Frame {
        title: title.to_owned(),
        section,
        person: "ada".to_owned(),
        search: String::new(),
        pulse: Pulse {
            entries: 10_482,
            last_round: Some(ago(4 * MINUTE)),
            stale: false,
            bundle: hex(7, 64),
        },
        exhibit: Exhibit {
            source: "assay.example.net/log".to_owned(),
            scope: "all hosts that are enrolled and not retired".to_owned(),
            period: "2026-10-25 14:02 to 2026-11-24 14:02 UTC".to_owned(),
            parameters: "no filter".to_owned(),
            rows: "all".to_owned(),
            digest: format!("ledger size 10482, root {}", hex(11, 64)),
            at: ago(0),
        },
    }
}

/// A year of one check with the given stretches, each as days ago.
fn year(id: &str, title: &str, stretches: &[(Standing, &str, i64, i64)]) -> Strip {
    Strip {
        id: id.to_owned(),
        title: title.to_owned(),
        from_ms: NOW - 365 * DAY,
        to_ms: NOW,
        enrolled_ms: NOW - 365 * DAY,
        stretches: stretches
            .iter()
            .map(|(standing, reason, from, to)| Stretch {
                standing: *standing,
                reason: (*reason).to_owned(),
                from_ms: NOW - from * DAY,
                to_ms: NOW - to * DAY,
            })
            .collect(),
    }
}

fn search() -> SearchPage {
    let mut frame = frame("Search", Section::None);
    frame.search = "ssh <b>".to_owned();
    SearchPage {
        frame,
        groups: vec![
            Hits {
                kind: "Checks".to_owned(),
                hits: vec![Hit {
                    name: "sshd.root".to_owned(),
                    detail: "SSH root log-on is off".to_owned(),
                    href: route::check("sshd.root"),
                }],
            },
            Hits {
                kind: "Controls".to_owned(),
                hits: vec![Hit {
                    name: "A.8.5".to_owned(),
                    detail: "Secure authentication".to_owned(),
                    href: route::control("A.8.5"),
                }],
            },
        ],
    }
}

fn sign_in() -> SignInPage {
    SignInPage {
        notice: Notice::Refused,
        next: "/hosts".to_owned(),
    }
}

fn problem() -> ProblemPage {
    ProblemPage {
        status: 404,
        code: "not_found".to_owned(),
        title: "This page does not exist".to_owned(),
        detail: "There is no control A.9.1 in the 2022 edition of Annex A.".to_owned(),
        remedy: "Numbers of the 2013 edition are not used here; look the control up by its title."
            .to_owned(),
        request: "5f0f3c1e".to_owned(),
    }
}

/// Every sample page, rendered, with the name of its file.
fn all() -> Vec<(&'static str, String)> {
    vec![
        ("overview", overview::overview().render().unwrap()),
        ("overview-first", overview::first_start().render().unwrap()),
        ("controls", overview::controls().render().unwrap()),
        ("control", control::partial().render().unwrap()),
        ("control-manual", control::manual().render().unwrap()),
        ("check", control::check().render().unwrap()),
        ("hosts", host::hosts(100).render().unwrap()),
        ("hosts-none", host::hosts(0).render().unwrap()),
        ("host", host::host().render().unwrap()),
        ("host-full", host::full_host().render().unwrap()),
        ("outcome", outcome::failing().render().unwrap()),
        ("outcome-pass", outcome::passing().render().unwrap()),
        ("outcome-proposal", outcome::proposing().render().unwrap()),
        ("ledger", ledger::ledger().render().unwrap()),
        ("search", search().render().unwrap()),
        ("sign-in", sign_in().render().unwrap()),
        ("problem", problem().render().unwrap()),
    ]
}

#[test]
fn gallery() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/gallery");
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    for asset in asset::ALL {
        std::fs::write(folder.join(asset.path.trim_start_matches('/')), asset.body).unwrap();
    }
    for (name, html) in all() {
        // opened as files, pages find their assets beside them
        let local = html.replace("\"/assets/", "\"assets/");
        assert!(local.contains("href=\"assets/style.css?v="), "{name}");
        std::fs::write(folder.join(format!("{name}.html")), local).unwrap();
    }
}
