//! `assay-collector export`: evidence as files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use ledger::checkpoint::SignedCheckpoint;
use ledger::key::Vkey;
use store::Store;

use super::Place;
use crate::export;

/// Subcommands about exports.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Write one round with its proof, key, bundle and facts to a new folder.
    Round {
        /// Which collector.
        #[command(flatten)]
        place: Place,
        /// Index of its entry in the log.
        #[arg(long)]
        index: u64,
        /// The folder to write to; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Runs a subcommand.
///
/// # Errors
/// If the entry is no round, or the folder cannot be written.
pub async fn run(command: ExportCommand) -> anyhow::Result<()> {
    let ExportCommand::Round { place, index, out } = command;
    let data = place.existing()?;
    let store = Store::open(&data).await?;
    let checkpoint = checkpoint(&data, &place.checkpoint_file()?)?;
    let files = export::round(&store, &checkpoint, index).await?;
    write(&out, &files)?;
    println!("wrote round {index} to {}; verify it with", out.display());
    let out = out.display();
    println!(
        "  assay-verify round {out}/round.dsse.json --proof {out}/round.tlog-proof --key {} --agent-key {out}/agent.pem --policy-key {out}/policy.pem --bundle {out}/bundle.dsse.json --disclosures {out}/disclosures --log https://COLLECTOR/log --ca {}",
        data.join("log.vkey").display(),
        data.join("keys/ca.pem").display()
    );
    println!(
        "where COLLECTOR is its address and port: the whole log shows whether the key was revoked before. log.vkey and policy.pem in the folder are what this collector says; an auditor compares them with the ones kept elsewhere"
    );
    Ok(())
}

/// The newest checkpoint that was signed, verified by the log's public key.
fn checkpoint(data: &Path, newest: &Path) -> anyhow::Result<SignedCheckpoint> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let key = String::from_utf8(read(&data.join("log.vkey"))?)?;
    let key: Vkey = key.trim_end().parse()?;
    Ok(SignedCheckpoint::open(&read(newest)?, &key, &[])?)
}

fn write(out: &Path, files: &export::Files) -> anyhow::Result<()> {
    std::fs::create_dir(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (path, bytes) in files {
        let path = out.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
