use super::overview::periods;
use super::{DAY, HOSTS, HOUR, MINUTE, NOW, ago, frame};
use crate::pages::check::{CheckPage, CheckRow};
use crate::pages::control::{Basis, ControlCheck, ControlPage, Deviation, FailingHost};
use crate::pages::frame::Section;
use crate::pages::outcome::ControlLink;
use crate::pages::part::{
    Bucket, Class, Pager, Pair, Prose, Severity, Share, ShareStrip, Standing, Tally, Verdict,
};
use crate::pages::route;

fn control_check(id: &str, title: &str, severity: Severity, fail: u64) -> ControlCheck {
    ControlCheck {
        id: id.to_owned(),
        title: title.to_owned(),
        severity,
        hosts: Tally {
            pass: 112 - fail,
            fail,
            error: 1,
            unobserved: 2,
            excepted: 0,
            not_applicable: 5,
        },
        failing: (0..fail.min(5) as usize)
            .map(|place| FailingHost {
                name: HOSTS[place].to_owned(),
                href: route::outcome("3f2a", id),
                since: ago((place as i64 + 1) * 17 * HOUR),
            })
            .collect(),
        href: route::check(id),
    }
}

fn strip() -> ShareStrip {
    ShareStrip {
        id: "fleet".to_owned(),
        title: "A.8.5 over all hosts in scope, 30 days".to_owned(),
        from_ms: NOW - 30 * DAY,
        to_ms: NOW,
        buckets: (0..30)
            .filter(|day| *day != 3)
            .map(|day| {
                let fail = [0, 0, 24, 48, 170, 300, 410, 380, 96, 48][day as usize % 10];
                let unobserved = [0, 12, 0, 90, 24, 0][day as usize % 6];
                Bucket {
                    from_ms: NOW - (30 - day) * DAY,
                    to_ms: NOW - (29 - day) * DAY,
                    pass: (2_760 - fail - unobserved) * HOUR as u64,
                    fail: fail * HOUR as u64,
                    unobserved: unobserved * HOUR as u64,
                }
            })
            .collect(),
    }
}

pub fn partial() -> ControlPage {
    ControlPage {
        frame: frame("A.8.5 Secure authentication", Section::Controls),
        id: "A.8.5".to_owned(),
        title: "Secure authentication".to_owned(),
        attributes: vec![
            Pair::new("Theme", "technological"),
            Pair::new("Control type", "preventive"),
            Pair::new("Properties", "confidentiality, integrity, availability"),
            Pair::new("Concepts", "protect"),
            Pair::new("2013 edition", "A.9.4.2"),
        ],
        class: Class::Partial,
        strength: "strong".to_owned(),
        covers: "SSH and PAM settings, lockout, second factor on remote log-on".to_owned(),
        manual: vec![
            "authentication policy".to_owned(),
            "identity provider settings".to_owned(),
            "applications that authenticate by themselves".to_owned(),
        ],
        verdict: Verdict::OperatingWithDeviations,
        period: "the last 30 days".to_owned(),
        periods: periods("/controls/A.8.5"),
        basis: Some(Basis {
            operating: Share::new(78_912 * HOUR as u64, 82_104 * HOUR as u64),
            unobserved: Share::new(1_096 * HOUR as u64, 83_200 * HOUR as u64),
            target: "98 %".to_owned(),
            hosts: 120,
            hosts_failing: 14,
            deviations: 22,
            beyond_limit: 3,
            critical_open: 0,
            as_of: Some(ago(4 * MINUTE)),
        }),
        strip: Some(strip()),
        primary: vec![
            control_check(
                "sshd.auth.password",
                "SSH password log-on is off",
                Severity::High,
                0,
            ),
            control_check("sshd.root", "SSH root log-on is off", Severity::High, 14),
            control_check(
                "pam.lockout",
                "Repeated failures lock or slow the account",
                Severity::Medium,
                2,
            ),
        ],
        supporting: vec![control_check(
            "sshd.config.in_effect",
            "Running SSH daemon uses the configuration on disk",
            Severity::Medium,
            1,
        )],
        not_in_bundle: vec![
            "session.screen_lock".to_owned(),
            "net.vpn.remote".to_owned(),
        ],
        longest: vec![
            Deviation {
                host: HOSTS[5].to_owned(),
                check_title: "SSH root log-on is off".to_owned(),
                severity: Severity::High,
                from: ago(22 * DAY),
                to: None,
                lasted: "22 d".to_owned(),
                beyond: "15 d".to_owned(),
                href: route::outcome("3f2a", "sshd.root"),
            },
            Deviation {
                host: HOSTS[2].to_owned(),
                check_title: "Repeated failures lock or slow the account".to_owned(),
                severity: Severity::Medium,
                from: ago(19 * DAY),
                to: Some(ago(12 * DAY)),
                lasted: "7 d".to_owned(),
                beyond: String::new(),
                href: route::outcome("3f2b", "pam.lockout"),
            },
        ],
    }
}

pub fn manual() -> ControlPage {
    ControlPage {
        frame: frame("A.7.2 Physical entry", Section::Controls),
        id: "A.7.2".to_owned(),
        title: "Physical entry".to_owned(),
        attributes: vec![Pair::new("Theme", "physical")],
        class: Class::Manual,
        strength: String::new(),
        covers: String::new(),
        manual: vec!["access logs".to_owned(), "visitor records".to_owned()],
        verdict: Verdict::DocumentsOnly,
        basis: None,
        strip: None,
        primary: Vec::new(),
        supporting: Vec::new(),
        not_in_bundle: Vec::new(),
        longest: Vec::new(),
        periods: Vec::new(),
        ..partial()
    }
}

pub fn links() -> Vec<ControlLink> {
    [
        ("A.8.2", "Privileged access rights"),
        ("A.8.5", "Secure authentication"),
    ]
    .into_iter()
    .map(|(id, title)| ControlLink {
        id: id.to_owned(),
        title: title.to_owned(),
        primary: id == "A.8.2",
        href: route::control(id),
    })
    .collect()
}

pub const FIX: &str = "Set `PermitRootLogin` to `no` in a drop-in, where the first value wins:

    printf 'PermitRootLogin no\\n' > /etc/ssh/sshd_config.d/00-policy.conf
    sshd -t && systemctl reload ssh
";
pub const DECIDES: &str = "Passes if every context says a value that policy names. Fails if root may enter with a key or a password in any of them. Not applicable where `sshd` is not installed.";

pub fn check() -> CheckPage {
    CheckPage {
        frame: frame("SSH root log-on is off", Section::Controls),
        id: "sshd.root".to_owned(),
        title: "SSH root log-on is off".to_owned(),
        severity: Severity::High,
        probes: vec!["sshd.effective".to_owned()],
        cadence: "every hour, and when /etc/ssh changes".to_owned(),
        parameters: vec![Pair::new("allowed", "[\"no\"]")],
        rules: vec![
            Pair::new("!facts.sshd.installed", "not applicable, absent"),
            Pair::new(
                "facts.sshd.contexts.all(c, c.permitrootlogin in params.allowed)",
                "pass, ok",
            ),
            Pair::new("else", "fail, weaker_than_policy"),
        ],
        reads: Prose::of(
            "What `sshd -T` prints for the default context and one for each `Match` line.",
        ),
        decides: Prose::of(DECIDES),
        shows: Prose::of("Root cannot enter by SSH in any evaluated context."),
        does_not_show: Prose::of("The console, or any other way in."),
        ask: Prose::of("The rule for remote log-on of administrators."),
        fix: Prose::of(FIX),
        controls: links(),
        hosts: Tally {
            pass: 98,
            fail: 14,
            error: 1,
            unobserved: 2,
            excepted: 0,
            not_applicable: 5,
        },
        rows: HOSTS
            .iter()
            .enumerate()
            .map(|(place, host)| CheckRow {
                host: (*host).to_owned(),
                group: "web".to_owned(),
                standing: [Standing::Fail, Standing::Error, Standing::Pass][place / 2],
                reason: ["weaker_than_policy", "permission_denied", "ok"][place / 2].to_owned(),
                observed: [
                    "PermitRootLogin yes",
                    "sshd_config is not readable",
                    "PermitRootLogin no",
                ][place / 2]
                    .to_owned(),
                since: ago(place as i64 * DAY + HOUR),
                href: route::outcome("3f2a", "sshd.root"),
            })
            .collect(),
        pager: Pager {
            shown: 6,
            total: 120,
            noun: "host".to_owned(),
            previous: None,
            next: Some("/checks/sshd.root?after=6".to_owned()),
            export: None,
        },
    }
}

#[test]
fn the_verdict_comes_with_the_numbers_that_led_to_it() {
    let page = partial();
    assert_eq!(
        page.answer(),
        "This control operated with deviations in the last 30 days, host part only."
    );
    assert_eq!(
        page.because(),
        [
            "Operating rate 96.1 % (78,912 of 82,104 host-hours, observed), target 98 %.",
            "Not observed 1.3 % (1,096 of 83,200 host-hours); more than 10 % would be too little evidence.",
            "A primary check fails on 14 of 120 hosts in scope now.",
            "22 deviations, 3 of them for longer than their severity allows.",
        ]
    );
    assert_eq!(
        manual().answer(),
        "No host check can show this control; it rests on documents."
    );
    assert!(manual().because().is_empty());
}

#[test]
fn a_check_that_fails_nowhere_does_not_claim_to_pass_everywhere() {
    let mut page = check();
    assert_eq!(page.answer(), "This check fails on 14 of 120 hosts.");
    page.hosts.fail = 0;
    assert_eq!(
        page.answer(),
        "This check fails nowhere: 1 error · 2 unobserved · 98 pass · 5 not applicable."
    );
    page.hosts = Tally {
        pass: 3,
        ..Tally::default()
    };
    assert_eq!(page.answer(), "This check passes on all 3 hosts.");
}
