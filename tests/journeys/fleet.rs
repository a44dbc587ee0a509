//! Two Debian hosts with the agent installed, a collector outside, and everything between a changed file and a page.

mod records;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use acceptance::fleet::{AGENT, Fleet, Outcomes, ROOT_BY_SSH, bring};
use acceptance::honest::assert_errors_are_honest;
use acceptance::machine::Machine;
use acceptance::person::Person;
use acceptance::process::told;
use evidence::baseline;
use evidence::outcome::{Judgement, Outcome};
use serde_json::Value;

/// How long it may take until a tenth of the time is not observed.
const OBSERVED: Duration = Duration::from_secs(300);

/// The check that takes the service several rounds.
const PACKAGE_FILES: &str = "pkg.files.verified";

/// What the agent says when an administrator runs it by hand, outside the confines of its unit.
fn unconfined(host: &Machine) -> Outcomes {
    let output = host.exec(&[AGENT, "check", "--format", "json"]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    outcomes
        .map(|one| {
            let text = |member: &str| one[member].as_str();
            let judgement = Judgement {
                outcome: text("outcome").unwrap().parse().unwrap(),
                reason: text("reason").map(|reason| reason.parse().unwrap()),
            };
            (text("check").unwrap().parse().unwrap(), judgement)
        })
        .collect()
}

/// How a control stands: its verdict, and on which hosts each of its primary checks fails.
#[derive(Debug, PartialEq)]
struct Status {
    verdict: String,
    failing: BTreeMap<String, Vec<String>>,
}

impl Status {
    async fn ask(person: &Person, number: &str) -> Status {
        let answer = person.ask(&format!("/api/v1/controls/{number}")).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let failing = answer["primary"].as_array().unwrap().iter().map(|check| {
            let hosts = check["failing"].as_array().unwrap().iter();
            (
                text(&check["id"]),
                hosts.map(|host| text(&host["name"])).collect(),
            )
        });
        Status {
            verdict: text(&answer["verdict"]),
            failing: failing
                .filter(|(_, hosts): &(_, Vec<_>)| !hosts.is_empty())
                .collect(),
        }
    }

    /// Waits until enough was observed for a verdict: the seconds before a host's first round count as not observed.
    async fn once_observed(person: &Person, number: &str) -> Status {
        let started = Instant::now();
        loop {
            let status = Status::ask(person, number).await;
            if status.verdict != "insufficient_evidence" {
                return status;
            }
            assert!(started.elapsed() < OBSERVED, "{status:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn is(&self, verdict: &str, failing: &[(&str, &str)]) {
        let failing = failing
            .iter()
            .map(|(check, host)| ((*check).to_owned(), vec![(*host).to_owned()]))
            .collect();
        let verdict = verdict.to_owned();
        assert_eq!(*self, Status { verdict, failing });
    }
}

/// The control that both changes concern, and no other failure of a plain host does.
const CONTROL: &str = "A.8.2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_on_one_host_is_on_the_page_after_one_round() {
    let fleet = Fleet::start().await;
    let [web, db] = &fleet.hosts;
    for host in [web, db] {
        bring(host);
    }
    judge_plain_hosts(&fleet.hosts);
    for host in [web, db] {
        close_cron(host);
    }
    fleet.install();
    let person = Person::sign_in(&fleet.collector, fleet.folder.path(), "alice").await;
    for host in [web, db] {
        fleet.next_round(host, 0).await;
        let (mut judged, mut by_hand) = (fleet.outcomes(host).await, unconfined(host));
        // The service spreads the hashing of packages over its rounds; who runs a check by hand waits for all of it.
        let package_files = PACKAGE_FILES.parse().unwrap();
        judged.remove(&package_files);
        let package_files = by_hand.remove(&package_files);
        assert_eq!(package_files.map(|is| is.outcome), Some(Outcome::Pass));
        assert_eq!(judged, by_hand, "{}: the unit hides nothing", host.name());
    }
    let well = [fleet.outcomes(web).await, fleet.outcomes(db).await];
    Status::once_observed(&person, CONTROL)
        .await
        .is("operating", &[]);

    web.write_file(ROOT_BY_SSH, "PermitRootLogin yes\n", 0o644)
        .unwrap();
    web.run(&["systemctl", "reload", "ssh"]).unwrap();
    fleet.another_round(web).await;
    let by_ssh = fleet.outcomes(web).await;
    assert_eq!(
        changed(&well[0], &by_ssh),
        [("sshd.root", Outcome::Pass, Outcome::Fail)]
    );
    // Whether seconds of one host are a deviation depends on how long the others were observed.
    let status = Status::ask(&person, CONTROL).await;
    let verdict = status.verdict.clone();
    assert!(verdict.starts_with("operating"), "{status:?}");
    status.is(&verdict, &[("sshd.root", "web01")]);

    let mut passwd = web.read_file("/etc/passwd").unwrap();
    passwd.extend_from_slice(b"toor:x:0:0::/root:/bin/bash\n");
    web.write_file("/etc/passwd", passwd, 0o644).unwrap();
    fleet.another_round(web).await;
    let second_root = fleet.outcomes(web).await;
    let twin = changed(&by_ssh, &second_root);
    assert!(
        twin.contains(&("account.uid0.unique", Outcome::Pass, Outcome::Fail)),
        "{twin:?}"
    );
    assert!(
        twin.iter().all(|(check, ..)| check.starts_with("account.")),
        "{twin:?}"
    );
    // Its severity is critical: while it is open the control does not operate, however short that is.
    let status = Status::ask(&person, CONTROL).await;
    status.is(
        "not_operating",
        &[("account.uid0.unique", "web01"), ("sshd.root", "web01")],
    );
    records::page_names_the_host_alone(&fleet, &person).await;
    fleet.another_round(db).await;
    assert_eq!(
        changed(&well[1], &fleet.outcomes(db).await),
        [],
        "the other host is as it was"
    );
    records::every_outcome_is_in_a_round_that_verifies(&fleet).await;
}

/// What an administrator sees of a host as Debian left it, before it is in anyone's care.
fn judge_plain_hosts(hosts: &[Machine; 2]) {
    let checks = baseline::bundle().unwrap().for_hosts().checks;
    let plain = hosts.each_ref().map(unconfined);
    print_table(hosts, &plain);
    for (host, outcomes) in hosts.iter().zip(&plain) {
        assert!(
            outcomes.keys().eq(checks.keys()),
            "{}: every check is answered",
            host.name()
        );
        assert_errors_are_honest(host.name(), outcomes, &[]);
    }
}

/// What Debian leaves open of the control that is looked at, closed as the check's remediation says.
fn close_cron(host: &Machine) {
    const ROOT_ALONE: &str = "printf 'root\\n' > /etc/cron.allow && chown root:crontab /etc/cron.allow \
        && chmod 0640 /etc/cron.allow && chmod 0600 /etc/crontab \
        && chmod 0700 /etc/cron.d /etc/cron.*ly";
    host.run(&["sh", "-c", ROOT_ALONE]).unwrap();
}

fn print_table(hosts: &[Machine; 2], outcomes: &[Outcomes; 2]) {
    println!(
        "{:32} {:36} {:36}",
        "check",
        hosts[0].name(),
        hosts[1].name()
    );
    for check in outcomes[0].keys() {
        let told = outcomes.each_ref().map(|outcomes| {
            let Judgement { outcome, reason } = outcomes[check];
            format!("{outcome} {}", reason.map_or("", |reason| reason.as_str()))
        });
        println!("{check:32} {:36} {:36}", told[0], told[1]);
    }
}

/// Compares a host's files over several rounds: it comes to its end by itself.
const OVER_ROUNDS: &str = "pkg.files.verified";

/// The checks whose outcome differs, with both.
fn changed<'a>(before: &Outcomes, after: &'a Outcomes) -> Vec<(&'a str, Outcome, Outcome)> {
    let both = after
        .iter()
        .map(|(check, now)| (check.as_str(), before[check].outcome, now.outcome));
    both.filter(|(check, before, now)| before != now && *check != OVER_ROUNDS)
        .collect()
}
