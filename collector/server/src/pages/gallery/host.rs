use super::overview::facet;
use super::{DAY, HOSTS, MINUTE, ago, frame, hex, year};
use crate::pages::frame::Section;
use crate::pages::host::{Chain, HostPage, OutcomeFilter, OutcomeRow, Topic};
use crate::pages::hosts::{HostRow, HostsPage};
use crate::pages::part::{Column, Direction, Pager, Pair, Severity, Share, Standing, Tally};
use crate::pages::route;

fn row(place: usize) -> HostRow {
    let silent = place % 17 == 5;
    HostRow {
        name: match place {
            0..6 => HOSTS[place].to_owned(),
            _ => format!("node-{place:03}.prod.example.net"),
        },
        href: route::host(&hex(place as u64, 64)),
        group: ["web", "database", "build", "laptops"][place % 4].to_owned(),
        system: ["Debian 12", "Ubuntu 24.04", "Debian 13"][place % 3].to_owned(),
        last_round: match place {
            9 => None,
            _ if silent => Some(ago(3 * DAY)),
            _ => Some(ago((place as i64 % 15 + 1) * MINUTE)),
        },
        silent,
        observed: Share::new(50 - u64::from(place % 8 == 2), 50),
        fails: [
            u64::from(place % 29 == 1),
            place as u64 % 5 / 3 * 2,
            place as u64 % 3,
            0,
        ],
        errors: u64::from(place % 8 == 2),
        bundle: hex(7, 8),
        agent: "0.1.0".to_owned(),
    }
}

fn columns() -> Vec<Column> {
    let column = |label: &str, numeric: bool, sorted: Option<Direction>| Column {
        label: label.to_owned(),
        href: Some(route::with_query("/hosts", &[("sort", label)])),
        sorted,
        numeric,
    };
    vec![
        column("Host", false, None),
        column("Group", false, None),
        column("System", false, None),
        column("Last round", false, None),
        column("Observed", true, None),
        column("Fails", false, Some(Direction::Descending)),
        column("Errors", true, None),
        Column::plain("Agent, bundle"),
    ]
}

pub fn hosts(rows: usize) -> HostsPage {
    let mut frame = frame("Hosts", Section::Hosts);
    frame.pulse.stale = rows == 0;
    HostsPage {
        frame,
        query: match rows {
            0 => "os:plan9".to_owned(),
            _ => String::new(),
        },
        query_problem: String::new(),
        facets: vec![
            facet(
                "Group",
                &[
                    ("web", 48, true),
                    ("database", 30, false),
                    ("build", 24, false),
                    ("laptops", 18, false),
                ],
            ),
            facet(
                "System",
                &[
                    ("Debian 12", 71, false),
                    ("Ubuntu 24.04", 30, false),
                    ("Debian 13", 19, false),
                ],
            ),
            facet(
                "State",
                &[
                    ("on time", 118, false),
                    ("silent", 1, false),
                    ("never heard", 1, false),
                ],
            ),
        ],
        columns: columns(),
        rows: (0..rows).map(row).collect(),
        pager: Pager {
            shown: rows as u64,
            total: if rows == 0 { 0 } else { 120 },
            noun: "host".to_owned(),
            previous: None,
            next: (rows > 0).then(|| "/hosts?after=100".to_owned()),
            export: Some("/hosts.csv".to_owned()),
        },
        enrolled: 120,
        failing: 14,
        silent: 1,
        never_seen: 1,
    }
}

fn outcome(place: usize, topic: &str, check: &str, title: &str, standing: Standing) -> OutcomeRow {
    let (reason, observed) = match standing {
        Standing::Fail => (
            "weaker_than_policy",
            "PermitRootLogin yes, PasswordAuthentication yes",
        ),
        Standing::Error => ("permission_denied", "/etc/shadow is not readable"),
        Standing::NotApplicable => ("absent", "no swap"),
        _ => ("ok", "as expected"),
    };
    let days = [2, 41, 365, 200][place % 4];
    let id = format!("{}{place}", topic.chars().next().unwrap());
    OutcomeRow {
        check: check.to_owned(),
        title: title.to_owned(),
        standing,
        reason: reason.to_owned(),
        severity: [
            Severity::High,
            Severity::Medium,
            Severity::Critical,
            Severity::Low,
        ][place % 4],
        observed: observed.to_owned(),
        proposed: (standing == Standing::Error).then_some(12),
        since: ago(days * DAY),
        strip: year(
            &id,
            title,
            &[
                (Standing::Pass, "ok", 340, 120),
                (Standing::Fail, "extra", 120, 118),
                (Standing::Pass, "ok", 118, days.min(100)),
                (standing, reason, days.min(100), 0),
            ],
        ),
        href: route::outcome("3f2a", check),
    }
}

fn topics() -> Vec<Topic> {
    use Standing::{Error, Excepted, Fail, NotApplicable, Pass, Stale};
    let topic = |name: &str, rows: &[(&str, &str, Standing)]| Topic {
        name: name.to_owned(),
        rows: rows
            .iter()
            .enumerate()
            .map(|(place, (check, title, standing))| outcome(place, name, check, title, *standing))
            .collect(),
    };
    vec![
        topic(
            "SSH daemon",
            &[
                ("sshd.root", "SSH root log-on is off", Fail),
                (
                    "sshd.crypto",
                    "SSH algorithms are on the allowed list",
                    Excepted,
                ),
                ("sshd.auth.password", "SSH password log-on is off", Pass),
                (
                    "sshd.access_scope",
                    "SSH access is limited to named users or groups",
                    Pass,
                ),
                (
                    "sshd.config.in_effect",
                    "Running SSH daemon uses the configuration on disk",
                    Pass,
                ),
            ],
        ),
        topic(
            "Accounts, privileges, authentication",
            &[
                (
                    "account.password.hash",
                    "Local password hashes use a strong scheme",
                    Error,
                ),
                ("account.uid0.unique", "Only root has UID 0", Pass),
                (
                    "account.dormant",
                    "No enabled local account is dormant",
                    Stale,
                ),
                (
                    "sudo.nopasswd",
                    "No unapproved passwordless privilege rules",
                    Pass,
                ),
            ],
        ),
        topic(
            "Encryption at rest",
            &[
                (
                    "disk.encryption.root",
                    "Root filesystem sits on encrypted storage",
                    Pass,
                ),
                (
                    "disk.encryption.swap",
                    "Swap and hibernation image are encrypted or in RAM only",
                    NotApplicable,
                ),
            ],
        ),
    ]
}

pub fn host() -> HostPage {
    let mut page = HostPage {
        frame: frame(HOSTS[5], Section::Hosts),
        href: route::host("3f2a"),
        name: HOSTS[0].to_owned(),
        key_id: hex(3, 64),
        identity: vec![
            Pair::new("Group", "web"),
            Pair::new("System", "Debian GNU/Linux 12 (bookworm)"),
            Pair::new("Kernel", "6.1.0-28-amd64"),
            Pair::new("Agent", "0.1.0"),
            Pair::new("Enrolled", "3 Mar 2026, 09:12 UTC by token web-2026"),
            Pair::new("Hardware", "Dell PowerEdge R650, 64 GB"),
        ],
        chain: Chain {
            rounds: 25_404,
            sequence: 25_404,
            gaps: 1,
            forks: 0,
            skew: "+0.4 s".to_owned(),
            last: Some(ago(4 * MINUTE)),
            silent: false,
        },
        tally: Tally::default(),
        proposals: 3,
        filter: OutcomeFilter {
            proposals: false,
            text: String::new(),
            outcome: String::new(),
            severity: String::new(),
        },
        topics: topics(),
        pager: Pager {
            shown: 11,
            total: 11,
            noun: "outcome".to_owned(),
            previous: None,
            next: None,
            export: None,
        },
    };
    for row in page.topics.iter().flat_map(|topic| &topic.rows) {
        page.tally.add(row.standing);
    }
    page
}

/// A host with as many outcomes as the default bundle has checks, each with a lively year.
pub fn full_host() -> HostPage {
    let mut page = host();
    for topic in &mut page.topics {
        let first = topic.rows.clone();
        while topic.rows.len() < 17 {
            let mut row = first[topic.rows.len() % first.len()].clone();
            row.href = route::outcome(&hex(3, 64), &row.check);
            topic.rows.push(row);
        }
    }
    page
}

#[test]
fn hosts_that_are_silent_are_in_the_sentence() {
    assert_eq!(
        hosts(100).answer(),
        "14 of 120 enrolled hosts have at least one failing check; 1 silent, 1 never heard."
    );
    let mut calm = hosts(1);
    (calm.failing, calm.silent, calm.never_seen) = (0, 0, 0);
    assert_eq!(
        calm.answer(),
        "No check fails on the 120 hosts enrolled; all reported as expected."
    );
    calm.silent = 3;
    assert!(calm.answer().ends_with("; 3 silent."));
}

#[test]
fn a_chain_tells_its_gaps_and_forks() {
    let mut page = host();
    assert_eq!(
        page.chain.words(),
        "25,404 rounds in one chain up to sequence 25,404: 1 signed gap, no fork; clock +0.4 s from the collector's."
    );
    page.chain.forks = 2;
    assert!(page.chain.words().contains("1 signed gap, 2 forks"));
    assert_eq!(
        page.answer(),
        "1 of 11 checks fails on web-01.example.net; 2 could not be established."
    );
    page.tally = Tally::default();
    assert_eq!(
        page.answer(),
        "Nothing is known about web-01.example.net yet."
    );
}
