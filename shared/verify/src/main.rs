//! `assay-verify`: checks a log, or one round of it, from files alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ledger::tlog_proof::MAX_PROOF_BYTES;
use tokio::runtime::Runtime;
use verify::report::Report;
use verify::round::{Evidence, Files, MAX_PEM_BYTES};
use verify::source::{MAX_CA_BYTES, Source};
use verify::{input, log, round};
use wire::envelope::MAX_ENVELOPE_BYTES;

const NOT_VERIFIED: u8 = 1;
const USAGE: u8 = 64;

/// Checks Assay's record offline, trusting the two keys you give and nothing else.
///
/// Exit status: 0 verified, 1 not verified (each failure is named), 64 wrong usage.
#[derive(Parser)]
#[command(name = "assay-verify", version)]
struct Cli {
    /// How to print the result.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line for each step.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Reads a whole log, rebuilds its root and recounts its leaves.
    Log(LogArgs),
    /// Checks one exported round and, with bundle and disclosures, judges it again.
    Round(RoundArgs),
}

#[derive(Args)]
struct LogArgs {
    /// Folder with `checkpoint` and `tile/`, or an address such as https://host:8443/log.
    #[arg(value_name = "DIR|URL")]
    place: String,
    /// The log's verifier key, or a file with it.
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// PEM file of the CA that alone vouches for the server; without it the system's do.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Args)]
struct RoundArgs {
    /// The signed round, round.dsse.json.
    file: PathBuf,
    /// Its proof, round.tlog-proof.
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The log's verifier key, or a file with it.
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// The agent's public key, agent.pem; compare its key id with what you know of the agent.
    #[arg(long, value_name = "FILE")]
    agent_key: PathBuf,
    /// The bundle that the round was judged by, bundle.dsse.json.
    #[arg(long, value_name = "FILE", requires = "disclosures")]
    bundle: Option<PathBuf>,
    /// Folder with the facts of the round, one file for each probe.
    #[arg(long, value_name = "DIR", requires = "bundle")]
    disclosures: Option<PathBuf>,
    /// The policy key that signed the bundle, PEM.
    #[arg(long, value_name = "FILE", requires = "bundle")]
    policy_key: Option<PathBuf>,
    /// The whole log, a folder or an address: shows whether the key was enrolled, rotated or ended before this round.
    #[arg(long, value_name = "DIR|URL")]
    log: Option<String>,
    /// PEM file of the CA that alone vouches for the log's server; without it the system's do.
    #[arg(long, value_name = "FILE", requires = "log")]
    ca: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nothing can be done if even this cannot be printed.
            let _ = error.print();
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    let report = match &cli.command {
        Command::Log(args) => verify_log(args),
        Command::Round(args) => verify_round(args),
    };
    match cli.format {
        Format::Text => print!("{}", report.to_text()),
        Format::Json => print!("{}", report.to_json()),
    }
    if report.is_verified() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_VERIFIED)
    }
}

fn verify_log(args: &LogArgs) -> Report {
    let mut report = Report::new();
    let key = report.take("log key", input::vkey(&args.key));
    let opened = open_log(&mut report, &args.place, args.ca.as_deref());
    match (key, opened) {
        (Some(key), Some((source, runtime))) => runtime.block_on(log::verify(&source, &key)),
        _ => report,
    }
}

/// A log, and what waits for its files.
fn open_log(report: &mut Report, place: &str, ca: Option<&Path>) -> Option<(Source, Runtime)> {
    let ca = match ca {
        Some(path) => Some(report.take("CA", input::read(path, MAX_CA_BYTES))?),
        None => None,
    };
    let source = report.take("log", Source::open(place, ca.as_deref()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Some((source, report.take("log", runtime)?))
}

fn verify_round(args: &RoundArgs) -> Report {
    let mut report = Report::new();
    let mut file = |step, path: &Path, max| report.take(step, input::read(path, max));
    let envelope = file("envelope", &args.file, MAX_ENVELOPE_BYTES);
    let proof = file("proof", &args.proof, MAX_PROOF_BYTES);
    let agent_key = file("agent key", &args.agent_key, MAX_PEM_BYTES);
    let bundle = args
        .bundle
        .as_deref()
        .map(|path| file("bundle", path, MAX_ENVELOPE_BYTES));
    let policy_key = args
        .policy_key
        .as_deref()
        .map(|path| file("policy key", path, MAX_PEM_BYTES));
    let disclosures = args
        .disclosures
        .as_deref()
        .map(|folder| report.take("disclosures", input::disclosures(folder)));
    let key = report.take("log key", input::vkey(&args.key));
    let log = args
        .log
        .as_deref()
        .map(|place| open_log(&mut report, place, args.ca.as_deref()));
    // A file that was named and could not be read was reported: nothing is left out in silence.
    let (Some(envelope), Some(proof), Some(agent_key), Some(key)) =
        (&envelope, &proof, &agent_key, &key)
    else {
        return report;
    };
    if report.failures() > 0 {
        return report;
    }
    let evidence = match (&bundle, &disclosures) {
        (Some(Some(bundle)), Some(Some(disclosures))) => Some(Evidence {
            bundle,
            disclosures,
            policy_key: policy_key.as_ref().and_then(|key| key.as_deref()),
        }),
        _ => None,
    };
    let files = Files {
        envelope,
        proof,
        agent_key,
        evidence,
    };
    match log.flatten() {
        Some((source, runtime)) => runtime.block_on(round::verify_in_log(&files, key, &source)),
        None => round::verify(&files, key),
    }
}
