//! The collector and an agent are killed (SIGKILL) at random moments under load. Afterwards every statement that any
//! agent made is in the log exactly once, in order, and the log verifies.

#![cfg(test)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use acceptance::program;
use acceptance::simulated::SimulatedAgent;
use crypto::{Digest, Random as _, SeededRandom};
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};
use store::Store;
use wire::leaf::Kind;
use wire::statement::AgentStatement;
use wire::submission::Submission;

/// Times that the collector is killed, and the agent.
const COLLECTOR_KILLS: u64 = 60;
const AGENT_KILLS: u64 = 45;
/// Simulated agents that send without pause.
const SENDERS: u64 = 6;

/// Statements by number, each by its digest.
type Spooled = BTreeMap<u64, Digest>;

/// What the real agent says that it made.
struct Made {
    /// Its number of statements, by its own state.
    statements: u64,
    /// Of these, those that a kill left in its spool.
    spooled: Spooled,
}

/// A collector process on a fixed port.
struct Collector {
    config: PathBuf,
    url: String,
    child: Option<Child>,
}

impl Collector {
    fn new(folder: &Path) -> Collector {
        // Ask for a free port and give it back: the process must come back on the same one.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = folder.join("collector.toml");
        let text = format!(
            "data = {:?}\nlisten = \"127.0.0.1:{port}\"\norigin = \"crash.test\"\n",
            folder.join("data").display().to_string()
        );
        std::fs::write(&config, text).unwrap();
        Collector {
            config,
            url: format!("https://127.0.0.1:{port}"),
            child: None,
        }
    }

    fn start(&mut self) {
        let child = Command::new(program("assay-collector"))
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn pause(random: &mut SeededRandom, at_most_ms: u64) {
    let ms = u64::from(random.bytes16()[0]) * at_most_ms / 255;
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn wait_until_up(client: &reqwest::Client, url: &str) {
    for _ in 0..600 {
        let answer = client.get(format!("{url}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the collector did not come up within 30 s");
}

fn client(folder: &Path) -> reqwest::Client {
    let pem = std::fs::read(folder.join("data/keys/ca.pem")).unwrap();
    let ca = reqwest::Certificate::from_pem(&pem).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

/// Sends one round after the other; each again and again until its receipt came. Returns what it made, in order.
async fn send_until(
    mut agent: SimulatedAgent,
    stop: Arc<AtomicBool>,
    delivered: Arc<AtomicU64>,
) -> (Digest, Vec<Digest>) {
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let reason = if made.len() % 7 == 0 {
            Reason::Timeout
        } else {
            Reason::ToolMissing
        };
        let submission = agent.signed_round(SystemClock::new().now(), reason);
        made.push(submission.envelope.digest());
        loop {
            match agent.try_send(&submission).await {
                Some(Ok(receipt)) => {
                    agent.accept(&submission, &receipt);
                    delivered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Some(Err(problem)) => assert!(
                    matches!(problem.status, 429 | 503),
                    "an honest agent was refused: {problem:?}"
                ),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    (agent.id, made)
}

/// Puts a few quick checks in force for the group `real`: rounds are wanted here, and kills within them, many of both.
fn few_checks(folder: &Path) {
    const FEW: [&str; 4] = [
        "account.uid0.unique",
        "sshd.root",
        "log.permissions",
        "time.sync.active",
    ];
    let configs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/checks"));
    let checks = folder.join("checks");
    std::fs::create_dir(&checks).unwrap();
    for check in FEW {
        let file = format!("{check}.toml");
        std::fs::copy(configs.join(&file), checks.join(&file)).unwrap();
    }
    let bundle = folder.join("few.bundle.json");
    let config = folder.join("collector.toml");
    let password = folder.join("password");
    std::fs::write(&password, "a password for this test alone").unwrap();
    let mut person = Command::new(program("assay-collector"));
    person.args(["user", "create", "--name", "test", "--password-file"]);
    person.arg(&password).arg("--config").arg(&config);
    let mut sign = Command::new(program("assay-collector"));
    sign.args(["bundle", "sign", "--only"]).arg(&checks);
    sign.arg("--config").arg(&config).arg("--out").arg(&bundle);
    let mut activate = Command::new(program("assay-collector"));
    activate.args(["bundle", "activate"]).arg(&bundle);
    activate.args(["--group", "real", "--by", "test", "--reason", "few checks"]);
    activate.arg("--config").arg(&config);
    for mut command in [person, sign, activate] {
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }
}

/// How long the real agent takes from its start to the receipt of its first round, when nobody kills anything. It is
/// started twice: the first round is made before the agent knows which checks are in force for its group.
async fn time_of_a_round(config: &Path) -> Duration {
    until_acknowledged(config, 1).await;
    until_acknowledged(config, 2).await
}

async fn until_acknowledged(config: &Path, at_least: u64) -> Duration {
    let started = Instant::now();
    let mut child = agent(config).spawn().unwrap();
    loop {
        let status = status(config);
        if status["acknowledged"]
            .as_u64()
            .is_some_and(|seq| seq >= at_least)
        {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = started.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// What the agent tells of itself; null while it cannot.
fn status(config: &Path) -> serde_json::Value {
    let output = Command::new(program("assay-agent"))
        .args(["status", "--json", "--config"])
        .arg(config)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn agent(config: &Path) -> Command {
    let mut command = Command::new(program("assay-agent"));
    command
        .args(["run", "--config"])
        .arg(config)
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Starts the real agent again and again, and kills it at some moment of its round or soon after it. Returns what lay in
/// its spool after a kill, by number: what it had made, whatever the log says.
async fn kill_agents(config: PathBuf, spool: PathBuf, seed: u64, round: Duration) -> Spooled {
    let mut random = SeededRandom::new(seed);
    let at_most_ms = u64::try_from(round.as_millis()).unwrap() * 3;
    let mut spooled = Spooled::new();
    for _ in 0..AGENT_KILLS {
        let mut child = agent(&config).spawn().unwrap();
        pause(&mut random, at_most_ms).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for path in statements(&spool) {
            let submission = Submission::parse(&std::fs::read(path).unwrap()).unwrap();
            let made = AgentStatement::parse(&submission.envelope.payload).unwrap();
            let (seq, pae) = (made.common().chain.seq, submission.envelope.digest());
            let before = spooled.insert(seq, pae);
            assert!(
                before.is_none_or(|before| before == pae),
                "statement {seq} was made twice"
            );
        }
    }
    spooled
}

/// The files of statements in a spool.
fn statements(spool: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(spool).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "statement"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_torn_by_a_hundred_kills() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::new(folder.path());
    collector.start();
    let ca = folder.path().join("data/keys/ca.pem");
    for _ in 0..600 {
        if ca.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let client = client(folder.path());
    wait_until_up(&client, &collector.url).await;
    let store = Store::open(&folder.path().join("data")).await.unwrap();
    let (secret, _) =
        collector::command::token::create(&store, "load".parse().unwrap(), 100, 3_600_000, "test")
            .await
            .unwrap();

    few_checks(folder.path());
    let (real, _) =
        collector::command::token::create(&store, "real".parse().unwrap(), 1, 3_600_000, "test")
            .await
            .unwrap();
    let agent_config = enrol_real_agent(folder.path(), &collector.url, &real);
    let round = time_of_a_round(&agent_config).await;
    let stop = Arc::new(AtomicBool::new(false));
    let delivered = Arc::new(AtomicU64::new(0));
    let mut senders = Vec::new();
    for seed in 1..=SENDERS {
        let agent = SimulatedAgent::enrol(&collector.url, &client, &secret, seed, None)
            .await
            .unwrap();
        senders.push(tokio::spawn(send_until(
            agent,
            stop.clone(),
            delivered.clone(),
        )));
    }
    let spool = folder.path().join("agent/spool");
    let agents = tokio::spawn(kill_agents(agent_config.clone(), spool, 11, round));
    let mut random = SeededRandom::new(3);
    for _ in 0..COLLECTOR_KILLS {
        pause(&mut random, 700).await;
        collector.kill();
        collector.start();
        wait_until_up(&client, &collector.url).await;
    }
    let spooled = agents.await.unwrap();
    assert!(
        !spooled.is_empty(),
        "no kill found a statement in the spool"
    );
    stop.store(true, Ordering::Relaxed);
    let mut made: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for sender in senders {
        let (agent, statements) = sender.await.unwrap();
        made.insert(agent, statements);
    }
    let statements = finish_real_agent(folder.path(), &agent_config).await;
    let real = Made {
        statements,
        spooled,
    };
    assert!(
        delivered.load(Ordering::Relaxed) > 200,
        "there was load: {delivered:?} rounds"
    );
    check_ledger(&store, &made, real).await;
    verify_log(&collector.url, folder.path());
}

fn enrol_real_agent(folder: &Path, url: &str, secret: &str) -> PathBuf {
    let config = folder.join("agent.toml");
    let text = format!(
        "collector = {url:?}\nca = {:?}\nstate = {:?}\n",
        folder.join("data/keys/ca.pem").display().to_string(),
        folder.join("agent").display().to_string()
    );
    std::fs::write(&config, text).unwrap();
    let token = folder.join("token");
    std::fs::write(&token, secret).unwrap();
    let done = Command::new(program("assay-agent"))
        .args(["enrol", "--config"])
        .arg(&config)
        .arg("--token-file")
        .arg(&token)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    config
}

/// Lets the real agent deliver what it has, and returns how many statements it made by its own count.
async fn finish_real_agent(folder: &Path, config: &Path) -> u64 {
    let mut child = Command::new(program("assay-agent"))
        .arg("run")
        .arg("--config")
        .arg(config)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let spool = folder.join("agent/spool");
    let mut empty = 0;
    for _ in 0..1200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let waiting = statements(&spool).len();
        empty = if waiting == 0 { empty + 1 } else { 0 };
        if empty > 20 {
            break;
        }
    }
    assert!(empty > 20, "the agent delivers what it spooled");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = child.wait().unwrap();
    assert!(ended.success(), "the agent stops gracefully: {ended}");
    let set_aside = std::fs::read_dir(spool.join("quarantine")).unwrap().count();
    assert_eq!(set_aside, 0, "no kill damages a statement");
    let status = status(config);
    assert_eq!(status["spool"]["statements"], 0, "{status}");
    status["acknowledged"].as_u64().unwrap()
}

async fn check_ledger(store: &Store, made: &BTreeMap<Digest, Vec<Digest>>, agent: Made) {
    let mut chains: BTreeMap<Digest, Vec<(u64, Digest, u64)>> = BTreeMap::new();
    let mut next = 0;
    loop {
        let entries = store.entries(next, 500).await.unwrap();
        let Some(last) = entries.last() else { break };
        next = last.idx + 1;
        for entry in entries {
            assert_ne!(
                entry.leaf.kind,
                Kind::Gap,
                "entry {}: a statement was lost",
                entry.idx
            );
            if let (Some(agent), Some(seq)) = (entry.leaf.agent, entry.leaf.seq) {
                chains
                    .entry(agent)
                    .or_default()
                    .push((seq, entry.leaf.pae, entry.idx));
            }
        }
    }
    for (agent, statements) in made {
        let logged: Vec<Digest> = chains
            .get(agent)
            .unwrap()
            .iter()
            .map(|(_, pae, _)| *pae)
            .collect();
        assert_eq!(&logged, statements, "exactly once, in order");
    }
    for (agent, chain) in &chains {
        let mut prev = Digest::ZERO;
        for (i, (seq, pae, idx)) in chain.iter().enumerate() {
            assert_eq!(*seq, i as u64 + 1, "agent {agent}: no number is missing");
            let statement =
                AgentStatement::parse(&store.payload(*idx).await.unwrap().unwrap()).unwrap();
            assert_eq!(
                statement.common().chain.prev,
                prev,
                "agent {agent}: each names the one before"
            );
            prev = *pae;
        }
    }
    let real: Vec<_> = chains
        .iter()
        .filter(|(agent, _)| !made.contains_key(agent))
        .collect();
    assert_eq!(real.len(), 1);
    let logged = real[0].1;
    let numbers: Vec<u64> = logged.iter().map(|(seq, _, _)| *seq).collect();
    let counted: Vec<u64> = (1..=agent.statements).collect();
    assert_eq!(numbers, counted, "what the agent counted is what is logged");
    for (seq, pae) in &agent.spooled {
        let found = logged.iter().find(|(number, _, _)| number == seq);
        let found = found.map(|(_, found, _)| found);
        assert_eq!(found, Some(pae), "statement {seq} lay in the spool");
    }
    assert!(
        agent.statements >= AGENT_KILLS / 4,
        "the real agent made rounds between its kills: {}",
        agent.statements
    );
}

fn verify_log(url: &str, folder: &Path) {
    let key = std::fs::read_to_string(folder.join("data/log.vkey")).unwrap();
    let done = Command::new(program("assay-verify"))
        .args([
            "log",
            &format!("{url}/log"),
            "--key",
            key.trim_end(),
            "--ca",
        ])
        .arg(folder.join("data/keys/ca.pem"))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
