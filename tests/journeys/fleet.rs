//! Two Debian hosts with the agent installed, a collector outside, and everything between a changed file and a page.

mod records;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use acceptance::honest::assert_errors_are_honest;
use acceptance::machine::{Image, Machine, Network};
use acceptance::person::Person;
use acceptance::process::{Collector, told};
use acceptance::program;
use evidence::baseline;
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};
use serde_json::Value;
use store::Store;
use tempfile::TempDir;
use wire::leaf::Kind;

/// The sample configuration and the unit, as people copy them.
const SAMPLE: &str = include_str!("../../configs/agent.toml");
const UNIT: &str = include_str!("../../configs/assay-agent.service");
/// Where the unit expects the program.
const AGENT: &str = "/usr/local/bin/assay-agent";
/// What says who may enter as root by SSH; read before Debian's own lines.
const ROOT_BY_SSH: &str = "/etc/ssh/sshd_config.d/00-root.conf";
/// How long it may take until a tenth of the time is not observed.
const OBSERVED: Duration = Duration::from_secs(300);
/// How long a round may take to arrive; generous, because it only ends hopeless waiting.
const ARRIVAL: Duration = Duration::from_secs(180);

/// The hosts, the collector, and a look into its records.
struct Fleet {
    hosts: [Machine; 2],
    collector: Collector,
    store: Store,
    folder: TempDir,
}

impl Fleet {
    async fn start() -> Fleet {
        let network = Network::create().unwrap();
        let image = Image::debian("bookworm").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let ip = network.outer_address().into();
        let mut collector = Collector::configure(folder.path(), &data, ip);
        collector.start().await;
        let store = Store::open(&data).await.unwrap();
        let boot = |name| Machine::boot(&image, &network, name).unwrap();
        let hosts = std::thread::scope(|scope| {
            let first = scope.spawn(|| boot("web01"));
            let second = scope.spawn(|| boot("db01"));
            [first.join().unwrap(), second.join().unwrap()]
        });
        Fleet {
            hosts,
            collector,
            store,
            folder,
        }
    }

    /// Installs the agent as the README and the comments of the sample files say, on hosts that nobody enters as root by SSH.
    fn install(&self) {
        let token = self.collector.token("web", 2);
        let config = SAMPLE.replace("https://assay.example:8443", &self.collector.url);
        assert_ne!(config, SAMPLE);
        for host in &self.hosts {
            host.write_file(ROOT_BY_SSH, "PermitRootLogin no\n", 0o644)
                .unwrap();
            host.run(&["systemctl", "reload", "ssh"]).unwrap();
            host.run(&["mkdir", "/etc/assay"]).unwrap();
            host.write_file("/etc/assay/agent.toml", &config, 0o644)
                .unwrap();
            host.write_file("/etc/assay/ca.pem", self.collector.ca(), 0o644)
                .unwrap();
            host.write_file("/root/token", &token, 0o600).unwrap();
            host.write_file("/etc/systemd/system/assay-agent.service", UNIT, 0o644)
                .unwrap();
            host.run(&[
                "systemd-analyze",
                "verify",
                "/etc/systemd/system/assay-agent.service",
            ])
            .unwrap();
            let enrol = [
                "enrol",
                "--config",
                "/etc/assay/agent.toml",
                "--token-file",
                "/root/token",
            ];
            host.run(&[&[AGENT][..], &enrol].concat()).unwrap();
            host.run(&["rm", "/root/token"]).unwrap();
            host.run(&["systemctl", "enable", "--quiet", "--now", "assay-agent"])
                .unwrap();
        }
    }

    /// The agents' rows by the names of their hosts.
    async fn rows(&self) -> BTreeMap<String, i64> {
        let hosts = self.store.registered_hosts().await.unwrap();
        hosts
            .into_iter()
            .map(|host| (host.hostname.unwrap(), host.row))
            .collect()
    }

    /// The rounds of a host, by the index of their entries.
    async fn rounds(&self, host: &str) -> Vec<u64> {
        let row = self.rows().await.get(host).copied();
        let agents: BTreeMap<i64, _> = self
            .store
            .standings()
            .await
            .unwrap()
            .into_iter()
            .map(|standing| (standing.row, standing.agent))
            .collect();
        let entries = self.store.entries(0, 1000).await.unwrap();
        entries
            .iter()
            .filter(|entry| row.is_some_and(|row| entry.leaf.agent == agents.get(&row).copied()))
            .filter(|entry| entry.leaf.kind == Kind::Round)
            .map(|entry| entry.idx)
            .collect()
    }

    /// Waits for the round after the first `known` ones of a host.
    async fn next_round(&self, host: &Machine, known: usize) -> u64 {
        let started = Instant::now();
        loop {
            if let Some(index) = self.rounds(host.name()).await.get(known) {
                return *index;
            }
            assert!(
                started.elapsed() < ARRIVAL,
                "no round of {}: {}",
                host.name(),
                host.run(&["journalctl", "--unit", "assay-agent", "--no-pager"])
                    .unwrap()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Restarts a host's agent, which then judges everything, and waits for that one round.
    async fn another_round(&self, host: &Machine) -> u64 {
        let known = self.rounds(host.name()).await.len();
        host.run(&["systemctl", "restart", "assay-agent"]).unwrap();
        self.next_round(host, known).await
    }

    /// What is open for each check on a host.
    async fn outcomes(&self, host: &Machine) -> Outcomes {
        let row = self.rows().await[host.name()];
        self.store
            .latest()
            .await
            .unwrap()
            .remove(&row)
            .unwrap()
            .open
    }
}

/// The outcome of every check.
type Outcomes = BTreeMap<CheckId, Judgement>;

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

/// Copies the program that was just built.
fn bring(host: &Machine) {
    host.copy_in(&program("assay-agent"), AGENT).unwrap();
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
    fleet.install();
    let person = Person::sign_in(&fleet.collector, fleet.folder.path(), "alice").await;
    for host in [web, db] {
        fleet.next_round(host, 0).await;
        let judged = fleet.outcomes(host).await;
        assert_eq!(
            judged,
            unconfined(host),
            "{}: the unit hides nothing",
            host.name()
        );
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
    Status::ask(&person, CONTROL)
        .await
        .is("operating", &[("sshd.root", "web01")]);

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
    fleet.page_names_the_host_alone(&person).await;
    fleet.another_round(db).await;
    assert_eq!(
        changed(&well[1], &fleet.outcomes(db).await),
        [],
        "the other host is as it was"
    );
    fleet.every_outcome_is_in_a_round_that_verifies().await;
}

/// What an administrator sees of a host as Debian left it, before it is in anyone's care.
fn judge_plain_hosts(hosts: &[Machine; 2]) {
    let checks = baseline::bundle().unwrap().checks;
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

/// The checks whose outcome differs, with both.
fn changed<'a>(before: &Outcomes, after: &'a Outcomes) -> Vec<(&'a str, Outcome, Outcome)> {
    let both = after
        .iter()
        .map(|(check, now)| (check.as_str(), before[check].outcome, now.outcome));
    both.filter(|(_, before, now)| before != now).collect()
}
