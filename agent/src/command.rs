//! The command line: what can be asked of the agent, and its exit codes.

mod baseline;
mod check;
mod explain;
mod page;
mod policy;
mod record;
mod run;
mod target;

use std::process::ExitCode;

use agent::examiner;
use clap::{Parser, Subcommand};

/// What a command ended with, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `check`: every check passed or is not applicable.
    Done,
    /// At least one check failed, whatever else happened.
    Fail,
    /// At least one check could not be judged and none failed; or the command itself could not be carried out.
    Error,
    /// The command line asks for something that does not exist (EX_USAGE of sysexits.h).
    Usage,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Fail => 1,
            Exit::Error => 2,
            Exit::Usage => 64,
        }
    }
}

/// A request that cannot be met as it was put: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// Observes this host, judges it by checks for ISO/IEC 27001:2022, and signs and ships what it found.
#[derive(Debug, Parser)]
#[command(name = "assay-agent", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check once on this host, or on an unpacked root file system, and show the outcomes.
    Check(check::Arguments),
    /// Write what this host, or an unpacked root file system, would have approved: accounts, keys, members, …
    Baseline(baseline::Arguments),
    /// Say what a check reads, how it decides, and what it does not show.
    Explain(explain::Arguments),
    /// Record what the probes read of this host, or of an unpacked root file system, without its secrets.
    Record(record::Arguments),
    /// Run as a service: observe, sign and ship until told to stop.
    Run(run::RunArguments),
    /// Make a key on this host and enrol it with a collector.
    Enrol(run::EnrolArguments),
    /// Show where this agent stands: its place, what waits in its spool, its bundle.
    Status(run::StatusArguments),
    /// Print the JSON Schema of the facts of every probe.
    Schema,
    /// Examine this host for the service that asks on standard input (see `agent::examiner`).
    #[command(hide = true, name = examiner::COMMAND)]
    Examine,
}

/// Reads the command line, carries the command out and tells of failures on standard error.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // A closed pipe is no reason to end differently.
            let _ = error.print();
            return ExitCode::from(code.code());
        }
    };
    let ended = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Baseline(arguments) => baseline::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Enrol(arguments) => run::enrol(&arguments),
        Command::Status(arguments) => run::status(&arguments),
        Command::Schema => schema(),
        Command::Examine => run::examine(),
    };
    let exit = ended.unwrap_or_else(|error| {
        anstream::eprintln!("assay-agent: {error:#}");
        if error.is::<WrongUsage>() {
            Exit::Usage
        } else {
            Exit::Error
        }
    });
    ExitCode::from(exit.code())
}

fn schema() -> anyhow::Result<Exit> {
    let text = serde_json::to_string_pretty(&agent::probe::schema_document())?;
    print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

/// Writes to standard output: colours only on a terminal and without `NO_COLOR`; a reader that went away is no failure.
fn print(text: &str) -> std::io::Result<()> {
    print_to(&mut anstream::stdout(), text)
}

/// As [`print`], for text without colours.
fn print_plain(text: &str) -> std::io::Result<()> {
    print_to(&mut std::io::stdout(), text)
}

fn print_to(output: &mut impl std::io::Write, text: &str) -> std::io::Result<()> {
    match output.write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The id of a check of the bundle.
///
/// # Errors
/// [`WrongUsage`] with the ids that come near.
fn known_check(
    bundle: &evidence::bundle::Bundle,
    text: &str,
) -> Result<evidence::id::CheckId, WrongUsage> {
    if let Some(id) = bundle.checks.keys().find(|id| id.as_str() == text) {
        return Ok(id.clone());
    }
    let family = text.split('.').next().unwrap_or_default();
    let near: Vec<&str> = bundle
        .checks
        .keys()
        .map(evidence::id::CheckId::as_str)
        .filter(|id| !family.is_empty() && id.starts_with(family))
        .collect();
    let hint = if near.is_empty() {
        "`assay-agent explain` without a name lists them all".to_owned()
    } else {
        format!("there are {}", near.join(", "))
    };
    Err(WrongUsage(format!("no check is called {text:?}; {hint}")))
}
