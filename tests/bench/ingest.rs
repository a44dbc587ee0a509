//! Ingest of signed rounds over TLS, with the load generator on the same processors.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use acceptance::program;
use acceptance::simulated::SimulatedAgent;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};
use store::Store;

use super::floor;

/// Agents that send at once, and rounds of each.
const AGENTS: u64 = 256;
const ROUNDS: usize = 60;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .unwrap_or_else(|error| panic!("{error}"))
        .block_on(measure());
}

async fn measure() {
    println!(
        "\n== ingest over TLS: {AGENTS} agents, {ROUNDS} rounds each, load generator on the same processors"
    );
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = folder.path().join("collector.toml");
    let data = folder.path().join("data");
    std::fs::write(
        &config,
        format!(
            "data = {:?}\nlisten = \"127.0.0.1:{port}\"\norigin = \"bench.test\"\n",
            data.display().to_string()
        ),
    )
    .unwrap();
    let child = Command::new(program("assay-collector"))
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let collector = Killed(child);
    let url = format!("https://127.0.0.1:{port}");
    let client = connect(&data, &url).await;
    let store = Store::open(&data).await.unwrap();
    let (secret, _) = collector::command::token::create(
        &store,
        "load".parse().unwrap(),
        10_000,
        3_600_000,
        "bench",
    )
    .await
    .unwrap();
    let mut agents = Vec::new();
    let mut judge = None;
    for seed in 0..AGENTS {
        let agent = SimulatedAgent::enrol(&url, &client, &secret, seed + 1, judge.clone())
            .await
            .unwrap();
        judge = Some(agent.judge.clone());
        agents.push(agent);
    }
    // The first round of each sends its facts; the rest is unchanged.
    for agent in &mut agents {
        agent
            .deliver(SystemClock::new().now(), Reason::ToolMissing)
            .await;
    }
    let sample = sample(&mut agents[0]).await;
    let database_before = store.size_bytes().unwrap();
    let cpu_before = cpu_s(collector.0.id());
    let start = Instant::now();
    let mut tasks = Vec::new();
    for agent in agents {
        tasks.push(tokio::spawn(send_all(agent)));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu_s(collector.0.id()) - cpu_before;
    let rounds = latencies.len() as f64;
    drop(collector);
    report(
        &store,
        &sample,
        &mut latencies,
        rounds,
        wall,
        cpu,
        database_before,
    )
    .await;
}

struct Sample {
    payload: Vec<u8>,
    body: Vec<u8>,
    dictionary: Vec<u8>,
}

async fn sample(agent: &mut SimulatedAgent) -> Sample {
    let before = agent.signed_round(SystemClock::new().now(), Reason::ToolMissing);
    let receipt = agent.send(&before).await.unwrap();
    agent.accept(&before, &receipt);
    let next = agent.signed_round(SystemClock::new().now(), Reason::ToolMissing);
    let (body, _) = agent.body(&next);
    Sample {
        payload: next.envelope.payload,
        body,
        dictionary: before.envelope.payload,
    }
}

async fn send_all(mut agent: SimulatedAgent) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for _ in 0..ROUNDS {
        let submission = agent.signed_round(SystemClock::new().now(), Reason::ToolMissing);
        let start = Instant::now();
        let receipt = agent.send(&submission).await.unwrap();
        latencies.push(start.elapsed());
        agent.accept(&submission, &receipt);
    }
    latencies
}

async fn report(
    store: &Store,
    sample: &Sample,
    latencies: &mut [Duration],
    rounds: f64,
    wall: f64,
    cpu: f64,
    database_before: u64,
) {
    latencies.sort();
    let floor = floor::measure(&sample.payload, &sample.body, &sample.dictionary).await;
    let per_round_us = cpu * 1e6 / rounds;
    println!(
        "rounds accepted and receipted          {:>10.0} /s   ({rounds:.0} in {wall:.1} s; each receipt verified)",
        rounds / wall
    );
    println!(
        "receipt latency p50 / p99              {:>7.0} / {:.0} ms",
        ms(latencies, 50),
        ms(latencies, 99)
    );
    println!("collector CPU per round                {per_round_us:>10.0} us");
    println!(
        "floor: signature {:.0} + hash {:.0} + decompress {:.0} + row {:.0} us = {:.0} us",
        floor.signature_us,
        floor.hash_us,
        floor.decompress_us,
        floor.row_us,
        floor.total_us()
    );
    println!(
        "collector CPU / floor                  {:>10.1}",
        per_round_us / floor.total_us()
    );
    println!(
        "payload of a round                     {:>10} bytes",
        sample.payload.len()
    );
    println!(
        "unchanged round on the wire (body)     {:>10} bytes",
        sample.body.len()
    );
    let database = store.size_bytes().unwrap().saturating_sub(database_before);
    println!(
        "unchanged round in the database        {:>10.0} bytes (main file and write-ahead log grew by {database})",
        database as f64 / rounds
    );
}

fn ms(sorted: &[Duration], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

async fn connect(data: &std::path::Path, url: &str) -> reqwest::Client {
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(pem) = std::fs::read(data.join("keys/ca.pem")) else {
            continue;
        };
        let Ok(ca) = reqwest::Certificate::from_pem(&pem) else {
            continue;
        };
        let client = reqwest::Client::builder()
            .tls_certs_only([ca])
            .build()
            .unwrap();
        if client
            .get(format!("{url}/readyz"))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return client;
        }
    }
    panic!("the collector did not come up");
}

/// User and system CPU of a process so far, seconds (proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms).
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = after
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    // The state, a letter, is not among the numbers: field 14 is the eleventh of them.
    fields
        .get(10)
        .zip(fields.get(11))
        .map_or(0.0, |(user, system)| (user + system) / 100.0)
}

/// CPU of this process so far, seconds.
pub fn own_cpu_s() -> f64 {
    cpu_s(std::process::id())
}
