//! `assay-agent run`, `enrol` and `status`: the commands that have a configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use agent::chain::Acknowledged;
use agent::collector::Collector;
use agent::config::{Config, Log, LogFormat, LogLevel};
use agent::enrol;
use agent::examiner::{self, Apart};
use agent::identity::Enrolment;
use agent::in_force;
use agent::machine;
use agent::spool::Spool;
use agent::state::StateDir;
use anyhow::Context as _;
use crypto::{Digest, SystemRandom};
use evidence::id::AgentId;
use evidence::time::SystemClock;
use serde_json::json;
use wire::enrolment::Hints;
use zeroize::Zeroizing;

use super::{Exit, WrongUsage, print};

/// Longest token.
const MAX_TOKEN_BYTES: u64 = 4096;
/// How long the last blocking work may hold up the end.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// The configuration file; `configs/agent.toml` explains every key.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EnrolArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file that holds the token, or `-` for standard input. A token is never an argument: others could read it there.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The agent (64 hex digits) that lost its key and comes back with a new one.
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config)?;
    config.verify_ca(&arguments.config)?;
    start_log(config.log);
    let runtime = runtime()?;
    let ended = runtime.block_on(agent::daemon::run(config));
    // A probe that hangs in the kernel must not hold up the end.
    runtime.shutdown_timeout(SHUTDOWN);
    ended?;
    Ok(Exit::Done)
}

/// Never run by a person: the service starts it, asks one thing and reads the answer.
pub(crate) fn examine() -> anyhow::Result<Exit> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    examiner::serve(&mut input, &mut output, &SystemClock::new())
        .context("this command answers the agent's service only")?;
    Ok(Exit::Done)
}

pub(crate) fn enrol(arguments: &EnrolArguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config)?;
    config.verify_ca(&arguments.config)?;
    let agent = arguments
        .agent
        .as_deref()
        .map(|id| AgentId::from_hex(id).map_err(|error| WrongUsage(format!("--agent: {error}"))))
        .transpose()?;
    let token = token(&arguments.token_file)?;
    let state = StateDir::open(&config.state)?;
    let _lock = state.lock()?;
    let enrolment = runtime()?.block_on(enrol::enrol(
        &state,
        &mut Collector::new(config.collector, &config.ca),
        &token,
        agent,
        hints(),
        &Apart::new(Vec::new(), false),
        &mut SystemRandom,
    ))?;
    print(&format!(
        "enrolled as {} in group {}, epoch {}, log {}\n",
        enrolment.agent, enrolment.group, enrolment.epoch, enrolment.origin
    ))?;
    Ok(Exit::Done)
}

pub(crate) fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config)?;
    let state = StateDir::open(&config.state)?;
    let Some(enrolment) = Enrolment::load(&state)? else {
        print(if arguments.json {
            "{\"enrolled\":false}\n"
        } else {
            "not enrolled\n"
        })?;
        return Ok(Exit::Done);
    };
    let acknowledged = Acknowledged::load(&state)?;
    let (waiting, bytes, oldest) = Spool::look(&state, acknowledged.seq)?;
    let bundle = in_force::stored_reference(&state, &enrolment.policy_key)?;
    let text = if arguments.json {
        let status = json!({
            "enrolled": true,
            "agent": enrolment.agent,
            "group": enrolment.group,
            "epoch": enrolment.epoch,
            "collector": config.collector.as_str(),
            "log_key": enrolment.log_key,
            "acknowledged": acknowledged.seq,
            "seen": acknowledged.seen,
            "spool": {"statements": waiting, "bytes": bytes, "oldest": oldest},
            "bundle": bundle,
        });
        format!("{}\n", serde_json::to_string_pretty(&status)?)
    } else {
        let bundle = bundle.map_or("none yet".to_owned(), |bundle| {
            format!("version {}, {}", bundle.version, bundle.sha256)
        });
        let since = oldest.map_or(String::new(), |oldest| format!(", the oldest of {oldest}"));
        format!(
            "agent         {}\ngroup         {}, epoch {}\ncollector     {}\nlog           {}\nacknowledged  \
             statement {}; the log had {} entries\nwaiting       {waiting} statements, {bytes} bytes{since}\nbundle        \
             {bundle}\n",
            enrolment.agent,
            enrolment.group,
            enrolment.epoch,
            config.collector,
            enrolment.log_key,
            acknowledged.seq,
            acknowledged.seen.size,
        )
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// One thread: the agent waits most of the time, and threads cost memory.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build()
}

fn token(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_TOKEN_BYTES)
            .read_to_string(&mut text)
            .context("cannot read the token from standard input")?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut text))
            .with_context(|| format!("cannot read the token file {}", path.display()))?;
    }
    let token = Zeroizing::new(text.trim().to_owned());
    anyhow::ensure!(
        !token.is_empty(),
        "the token file {} is empty",
        path.display()
    );
    Ok(token)
}

fn hints() -> Hints {
    Hints {
        hostname: machine::hostname(),
        os: machine::os_name(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine::id().map(|id| Digest::of_parts(&[b"assay-machine/v1\n", id.as_bytes()])),
    }
}

fn start_log(log: Log) {
    use tracing::level_filters::LevelFilter;
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
