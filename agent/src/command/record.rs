//! `assay-agent record`: a host in a folder, for tests and for reports of outcomes that are wrong.

use std::path::PathBuf;

use agent::record;
use anyhow::Context as _;
use evidence::baseline;
use evidence::time::{Clock as _, SystemClock};

use super::{Exit, print, target};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Passwords, hashes of passwords and private keys are taken out before anything is written; names of accounts, hosts and \
addresses stay, so keep the folder as confidential as the host. Exit codes: 0 the recording is judged as the host is, 2 it \
is not (the checks are named) or could not be made.")]
pub(crate) struct Arguments {
    /// The folder to write into: new, or empty.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Record the unpacked root file system in this directory instead of this host.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let bundle = baseline::bundle().context("the checks of this program")?;
    let bundle = bundle.for_hosts();
    let host = target::host(arguments.root.as_deref())?;
    let now = SystemClock::new().now();
    let summary = record::record(&host, &bundle, now, &arguments.folder)?;
    let mut text = format!(
        "{}: {} paths, {} programs, {} bytes\n",
        summary.path.display(),
        summary.paths,
        summary.programs,
        summary.bytes
    );
    for note in &summary.left_out {
        text.push_str(&format!("left out: {note}\n"));
    }
    for (check, (host, recording)) in &summary.differing {
        text.push_str(&format!(
            "differs: {check}: the host {}, the recording {}\n",
            said(host),
            said(recording)
        ));
    }
    print(&text)?;
    Ok(if summary.differing.is_empty() {
        Exit::Done
    } else {
        Exit::Error
    })
}

fn said(judgement: &evidence::outcome::Judgement) -> String {
    let reason = judgement.reason.map(|reason| format!(" {reason}"));
    format!("{}{}", judgement.outcome, reason.unwrap_or_default())
}
