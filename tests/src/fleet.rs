//! Two Debian hosts with the agent installed, a collector outside, and a look into its records.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use evidence::baseline;
use evidence::id::CheckId;
use evidence::outcome::Judgement;
use store::Store;
use tempfile::TempDir;
use wire::leaf::Kind;
use wire::statement::AgentStatement;

use crate::machine::{Image, Machine, Network};
use crate::process::Collector;
use crate::program;

/// The sample configuration and the unit, as people copy them.
const SAMPLE: &str = include_str!("../../configs/agent.toml");
const UNIT: &str = include_str!("../../configs/assay-agent.service");
/// Where the unit expects the program.
pub const AGENT: &str = "/usr/local/bin/assay-agent";
/// What says who may enter as root by SSH; read before Debian's own lines.
pub const ROOT_BY_SSH: &str = "/etc/ssh/sshd_config.d/00-root.conf";
/// How long a round may take to arrive; generous, because it only ends hopeless waiting.
const ARRIVAL: Duration = Duration::from_secs(180);

/// The outcome of every check.
pub type Outcomes = BTreeMap<CheckId, Judgement>;

/// The hosts, the collector, and a look into its records.
pub struct Fleet {
    /// The hosts.
    pub hosts: [Machine; 2],
    /// The collector.
    pub collector: Collector,
    /// Its records.
    pub store: Store,
    /// Where both keep their files.
    pub folder: TempDir,
}

impl Fleet {
    /// Boots the hosts and starts the collector.
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn start() -> Fleet {
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
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub fn install(&self) {
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
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn rows(&self) -> BTreeMap<String, i64> {
        let hosts = self.store.registered_hosts().await.unwrap();
        hosts
            .into_iter()
            .map(|host| (host.hostname.unwrap(), host.row))
            .collect()
    }

    /// The rounds of a host in which every check was judged, by the index of their entries: those that begin a run of the
    /// agent, not those that a change or a cadence made.
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn rounds(&self, host: &str) -> Vec<u64> {
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
        let checks = baseline::bundle().unwrap().for_hosts().checks.len();
        let own = entries
            .iter()
            .filter(|entry| row.is_some_and(|row| entry.leaf.agent == agents.get(&row).copied()))
            .filter(|entry| entry.leaf.kind == Kind::Round);
        let mut full = Vec::new();
        for entry in own {
            let payload = self.store.payload(entry.idx).await.unwrap().unwrap();
            if let AgentStatement::Round(round) = AgentStatement::parse(&payload).unwrap()
                && round.outcomes.len() == checks
            {
                full.push(entry.idx);
            }
        }
        full
    }

    /// Waits for the round after the first `known` ones of a host.
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn next_round(&self, host: &Machine, known: usize) -> u64 {
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
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn another_round(&self, host: &Machine) -> u64 {
        let known = self.rounds(host.name()).await.len();
        host.run(&["systemctl", "restart", "assay-agent"]).unwrap();
        self.next_round(host, known).await
    }

    /// What is open for each check that the host judges.
    ///
    /// # Panics
    /// If that fails: the test has failed.
    pub async fn outcomes(&self, host: &Machine) -> Outcomes {
        let row = self.rows().await[host.name()];
        let mut latest = self.store.latest().await.unwrap();
        let mut open = latest.remove(&row).unwrap().open;
        let checks = baseline::bundle().unwrap().for_hosts().checks;
        open.retain(|check, _| checks.contains_key(check));
        open
    }
}

/// Copies the program that was just built.
///
/// # Panics
/// If that fails: the test has failed.
pub fn bring(host: &Machine) {
    host.copy_in(&program("assay-agent"), AGENT).unwrap();
}
