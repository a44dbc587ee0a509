//! `assay-agent baseline`: what a host would have approved, written down for a person.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use agent::examine;
use agent::host::Host as _;
use agent::probe::VolatileMemory;
use anyhow::Context as _;
use evidence::approved::review;
use evidence::evaluate::Evaluator;
use evidence::id::CheckId;
use evidence::learn::NotLearnt;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};

use super::policy::{self, PolicyArguments};
use super::{Exit, check, print, target};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is a proposal. Read it line by line, take out what should not be on the host (and mend the host), and judge by \
what is left: `assay-agent check --baseline FILE`. Exit codes: 0 written, 2 written without the checks that could not be \
looked at (run as root), or not written.")]
pub(crate) struct Arguments {
    /// Where to write it; `-` is standard output. A file that is there is never overwritten: it may be an approved one.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Look at the unpacked root file system in this directory instead of this host.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(flatten)]
    policy: PolicyArguments,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let bundle = policy::bundle(&arguments.policy)?;
    let checks: BTreeSet<CheckId> = bundle
        .checks
        .iter()
        .filter(|(_, check)| !check.learns.is_empty())
        .map(|(id, _)| id.clone())
        .collect();
    let host = target::host(arguments.root.as_deref())?;
    let clock = SystemClock::new();
    let started = clock.now();
    let mut memory = VolatileMemory::default();
    let observed = examine::observe(&host, &bundle, &checks, &mut memory, &clock);
    let learnt = Evaluator::of(&bundle, &checks).learn(&checks, &observed.facts, observed.end)?;
    let place = match &arguments.root {
        Some(root) if !host.is_live() => format!(" unpacked in {}", root.display()),
        _ => String::new(),
    };
    let about = [
        format!(
            "What assay-agent found on {} ({}){place}, {started}.",
            check::hostname(&host, host.is_live()),
            check::os_name(&host, &observed.facts)
        ),
        String::new(),
        "This is a proposal and approves nothing: it lists what is there, right or wrong. Go through it line by".to_owned(),
        "line, take out what should not be there and mend the host. What is left is the approved baseline:".to_owned(),
        String::new(),
        "    assay-agent check --baseline FILE".to_owned(),
    ];
    write(&arguments.out, &review(&about, &bundle, &learnt))?;
    let unseen = learnt
        .values()
        .filter_map(|learnt| learnt.as_ref().err())
        .filter(|why| {
            !matches!(
                why,
                NotLearnt::NotApplicable(_) | NotLearnt::Unobservable(Reason::OfflineRoot)
            )
        })
        .count();
    if unseen > 0 {
        anstream::eprintln!(
            "assay-agent: {unseen} of {} checks could not be looked at; the end of the file says why",
            learnt.len()
        );
        return Ok(Exit::Error);
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return Ok(print(text)?);
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                "{} is there already and may be an approved baseline; name another file",
                path.display()
            ),
            _ => anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
        })?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
