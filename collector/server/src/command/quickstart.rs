//! `assay-collector quickstart`: from nothing to a page about this very host.
//!
//! Everything is made under one folder: keys, authority, database, an account, and an agent beside the collector. A
//! second start goes on with what is there.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use crypto::{Digest, Random as _, SystemRandom};
use evidence::id::AgentId;
use evidence::outcome::Outcome;
use evidence::time::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use store::AgentState;
use tokio::process::{Child, Command};

use super::serve::stop_signal;
use super::{telemetry, token, user};
use crate::config::{Config, LogFormat};
use crate::folder::DataFolder;
use crate::service::{self, Service};

/// Name of the account that a quickstart makes.
const ACCOUNT: &str = "owner";
/// How long the sign-in link works, milliseconds.
const LINK_MS: i64 = 24 * 3_600_000;
/// How long the first round may take.
const FIRST_ROUND: Duration = Duration::from_secs(120);
/// How long the agent gets to stop by itself.
const AGENT_GRACE: Duration = Duration::from_secs(10);

/// Arguments of the subcommand.
#[derive(Debug, Args)]
pub struct QuickstartArgs {
    /// The folder of everything that is made.
    #[arg(long, value_name = "DIR", default_value = "assay-data")]
    data: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Stop once the first round of this start is in the ledger.
    #[arg(long)]
    exit_after_first_round: bool,
    /// What to print: a summary for people, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What a quickstart has brought up.
#[derive(Debug, Serialize)]
struct Summary {
    /// Where the pages are.
    url: String,
    /// The authority's certificate.
    ca: String,
    /// Signs the account in, once.
    signin: String,
    /// The agent's id.
    agent: String,
    /// The log's verifier key.
    log_key: String,
    /// Rounds in the ledger.
    rounds: u64,
    /// Number of checks by outcome.
    outcomes: BTreeMap<Outcome, u64>,
}

/// Runs the quickstart.
///
/// # Errors
/// Why something does not start.
pub async fn run(args: QuickstartArgs) -> anyhow::Result<()> {
    telemetry(LogFormat::Text, "warn");
    let folder = DataFolder::open(&args.data)?;
    let data = std::fs::canonicalize(folder.path())
        .with_context(|| format!("cannot use {}", args.data.display()))?;
    let agent_program = agent_program()?;
    let progress = Progress {
        shown: args.format == Format::Text,
    };
    progress.say("starting the collector");
    let config = Config {
        data: data.clone(),
        listen: args.listen,
        origin: origin(&data)?,
        url: None,
        checkpoint: None,
        tls: None,
        names: Vec::new(),
        log: LogFormat::Text,
    };
    let mut service = service::start(&config, Arc::new(SystemClock::new())).await?;
    let before = rounds(&service).await?;
    let agent_config = write_agent_config(&data, &service)?;
    if !data.join("agent/enrolment.json").exists() {
        progress.say("enrolling the agent of this host");
        enrol(&agent_program, &agent_config, &data, &service).await?;
    }
    let agent_id = enrolled_agent(&data)?;
    refuse_ended(&service, &agent_id, &data).await?;
    progress.say("running the agent's first round");
    let mut agent = Command::new(&agent_program)
        .arg("run")
        .arg("--config")
        .arg(&agent_config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", agent_program.display()))?;
    tokio::select! {
        arrived = wait_for_round(&service, before, &mut agent) => arrived?,
        ended = until_ended(&service, &agent_id, &data) => ended?,
    }
    let summary = summary(&service).await?;
    match args.format {
        Format::Json => println!("{}", serde_json::to_string(&summary)?),
        Format::Text => show(&service, &summary).await?,
    }
    if !args.exit_after_first_round {
        tokio::select! {
            signal = stop_signal() => signal?,
            part = service.failed() => bail!("{part} has ended; nothing is received any more"),
            ended = agent.wait() => {
                // Ctrl-C reaches both at once, and the agent may be the faster one.
                let ended = ended?;
                anyhow::ensure!(ended.success(), "the agent ended by itself: {ended}");
            }
        }
        progress.say("stopping");
    }
    stop_agent(&mut agent).await;
    service.stop().await;
    Ok(())
}

struct Progress {
    shown: bool,
}

impl Progress {
    fn say(&self, text: &str) {
        if self.shown {
            eprintln!("assay: {text} …");
        }
    }
}

/// The agent's program, which stands beside this one.
pub(super) fn agent_program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find my own program")?;
    let agent = own.with_file_name("assay-agent");
    anyhow::ensure!(
        agent.is_file(),
        "expected assay-agent beside {}: build it with `cargo build --release`",
        own.display()
    );
    Ok(agent)
}

/// The log's name: made once, of this log alone.
fn origin(data: &Path) -> anyhow::Result<String> {
    let path = data.join("origin");
    if let Ok(known) = std::fs::read_to_string(&path) {
        return Ok(known.trim_end().to_owned());
    }
    let made = format!(
        "quickstart.assay.example/{}",
        hex::encode(&SystemRandom.bytes16()[..6])
    );
    crate::ingest::head::write_durably(&path, format!("{made}\n").as_bytes())?;
    Ok(made)
}

fn write_agent_config(data: &Path, service: &Service) -> anyhow::Result<PathBuf> {
    let path = data.join("agent.toml");
    let ca = service
        .ca
        .as_ref()
        .context("a quickstart has its own authority")?;
    let text = format!(
        "# Made by `assay-collector quickstart`.\ncollector = {:?}\nca = {:?}\nstate = {:?}\n",
        url(service),
        ca.display().to_string(),
        data.join("agent").display().to_string()
    );
    crate::ingest::head::write_durably(&path, text.as_bytes())?;
    Ok(path)
}

/// Where this host reaches the collector. One that listens on every address is asked over loopback, which its
/// certificate names.
fn url(service: &Service) -> String {
    format!("https://{}", contact(service.address))
}

fn contact(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// The id of the agent that was enrolled in this folder.
fn enrolled_agent(data: &Path) -> anyhow::Result<AgentId> {
    #[derive(Deserialize)]
    struct Enrolment {
        agent: AgentId,
    }
    let path = data.join("agent/enrolment.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let enrolment: Enrolment = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no enrolment", path.display()))?;
    Ok(enrolment.agent)
}

/// An agent whose key has ended would be refused for as long as it runs: a person has to decide.
async fn refuse_ended(service: &Service, agent: &AgentId, data: &Path) -> anyhow::Result<()> {
    let standings = service.app.store.standings().await?;
    let standing = standings.iter().find(|standing| standing.agent == *agent);
    match standing.map(|standing| standing.state) {
        Some(AgentState::Active) => Ok(()),
        state => bail!(
            "the collector refuses the agent of this host, {agent}: it {}. To enrol this host anew, remove {} and start again",
            match state {
                Some(AgentState::Revoked) => "was revoked",
                Some(AgentState::Retired) => "was retired",
                Some(AgentState::Forked) =>
                    "signed two statements for one number, as a copy of it would",
                Some(AgentState::Active) | None => "is not known to this log",
            },
            data.join("agent").display()
        ),
    }
}

/// Returns when the agent's key has ended while its round was waited for.
async fn until_ended(service: &Service, agent: &AgentId, data: &Path) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        refuse_ended(service, agent, data).await?;
    }
}

async fn enrol(
    program: &Path,
    config: &Path,
    data: &Path,
    service: &Service,
) -> anyhow::Result<()> {
    let (secret, _) = token::create(
        &service.app.store,
        service::DEFAULT_GROUP.parse()?,
        1,
        3_600_000,
        "quickstart",
    )
    .await?;
    let token_file = data.join("keys/enrolment-token");
    let _ = std::fs::remove_file(&token_file);
    crate::folder::write_secret(&token_file, secret.as_bytes())?;
    let output = Command::new(program)
        .arg("enrol")
        .arg("--config")
        .arg(config)
        .arg("--token-file")
        .arg(&token_file)
        .stdin(Stdio::null())
        .output()
        .await;
    let _ = std::fs::remove_file(&token_file);
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "the agent could not enrol: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Number of rounds in the ledger.
async fn rounds(service: &Service) -> anyhow::Result<u64> {
    Ok(service.app.store.count_rounds().await?)
}

async fn wait_for_round(service: &Service, before: u64, agent: &mut Child) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let arrived = async {
        loop {
            tick.tick().await;
            if rounds(service).await? > before {
                return anyhow::Ok(());
            }
        }
    };
    tokio::select! {
        arrived = arrived => arrived,
        ended = agent.wait() => bail!("the agent ended before its first round: {}", ended?),
        () = tokio::time::sleep(FIRST_ROUND) => bail!("no round arrived within {FIRST_ROUND:?}"),
    }
}

async fn summary(service: &Service) -> anyhow::Result<Summary> {
    let standings = service.app.store.standings().await?;
    let agent = standings
        .iter()
        .max_by_key(|standing| standing.last_idx)
        .context("no agent is enrolled")?;
    let latest = service
        .app
        .store
        .latest()
        .await?
        .remove(&agent.row)
        .unwrap_or_default();
    let mut outcomes: BTreeMap<Outcome, u64> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, 0))
        .collect();
    for judgement in latest.open.values() {
        *outcomes.entry(judgement.outcome).or_default() += 1;
    }
    Ok(Summary {
        url: url(service),
        ca: service
            .ca
            .as_ref()
            .map(|ca| ca.display().to_string())
            .unwrap_or_default(),
        signin: format!("{}/sign-in/{}", url(service), sign_in_link(service).await?),
        agent: agent.agent.to_hex(),
        log_key: service.app.log_key.to_string(),
        rounds: rounds(service).await?,
        outcomes,
    })
}

/// A link that signs the quickstart's account in once.
async fn sign_in_link(service: &Service) -> anyhow::Result<String> {
    let store = &service.app.store;
    let now = SystemClock::new().now();
    let account = match store.account_by_name(ACCOUNT).await? {
        Some(account) => account,
        None => {
            let account = user::account(ACCOUNT, None);
            store.add_account(&account, now).await?;
            account
        }
    };
    let secret = URL_SAFE_NO_PAD.encode(SystemRandom.bytes32());
    store
        .add_sign_in_link(
            &Digest::of(secret.as_bytes()),
            &account.id,
            now.plus_ms(LINK_MS),
        )
        .await?;
    Ok(secret)
}

async fn show(service: &Service, summary: &Summary) -> anyhow::Result<()> {
    let bundle = evidence::baseline::bundle()?;
    let standings = service.app.store.standings().await?;
    let row = standings
        .iter()
        .max_by_key(|standing| standing.last_idx)
        .map(|standing| standing.row)
        .unwrap_or_default();
    let latest = service
        .app
        .store
        .latest()
        .await?
        .remove(&row)
        .unwrap_or_default();
    let mut topics: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for (check, judgement) in &latest.open {
        let Some(check) = bundle.checks.get(check) else {
            continue;
        };
        let column = [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Error,
            Outcome::NotApplicable,
        ]
        .iter()
        .position(|outcome| *outcome == judgement.outcome)
        .unwrap_or(0);
        topics.entry(&check.topic).or_default()[column] += 1;
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "This host",
        "● pass",
        "▲ fail",
        "◆ error",
        "○ not applicable",
    ]);
    for (topic, counts) in topics {
        table.add_row(
            std::iter::once(topic.to_owned()).chain(counts.iter().map(|count| {
                if *count == 0 {
                    String::new()
                } else {
                    count.to_string()
                }
            })),
        );
    }
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        table.force_no_tty();
    }
    println!("{table}");
    println!();
    println!("  Sign in once:   {}", summary.signin);
    println!(
        "  Pages:          {}   (certificate authority: {})",
        summary.url, summary.ca
    );
    println!("  Agent:          {}", summary.agent);
    println!("  Log key:        {}", summary.log_key);
    println!(
        "  Verify the log: assay-verify log {}/log --key '{}' --ca {}",
        summary.url, summary.log_key, summary.ca
    );
    println!();
    println!("Ctrl-C stops both; the same command goes on with the same data.");
    Ok(())
}

async fn stop_agent(agent: &mut Child) {
    if let Some(pid) = agent
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(AGENT_GRACE, agent.wait())
        .await
        .is_err()
    {
        let _ = agent.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::contact;

    #[test]
    fn a_collector_on_every_address_is_asked_over_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:8443", "127.0.0.1:8443"),
            ("[::]:8443", "[::1]:8443"),
            ("192.0.2.7:1", "192.0.2.7:1"),
        ] {
            let asked: std::net::SocketAddr = asked.parse().unwrap();
            assert_eq!(contact(listening.parse().unwrap()), asked);
        }
    }
}
