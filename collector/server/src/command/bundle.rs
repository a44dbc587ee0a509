//! `assay-collector bundle`: checks of one's own, tried against recorded hosts, signed and put in force.

mod sign;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use crypto::{Random as _, SystemRandom};
use evidence::bundle::{MAX_BUNDLE_BYTES, MAX_CHECKS};
use evidence::check::CheckFile;
use evidence::id::GroupId;
use store::Store;
use wire::decision::Actor;
use wire::envelope::MAX_ENVELOPE_BYTES;

use super::Place;
use crate::auth::permission::{Permission, Role};
use crate::bundles::desk::{Answer, Desk, Request};
use crate::bundles::offer::Offer;
use crate::folder::DataFolder;

/// How long the running collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 500;

/// Subcommands about bundles.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Judge recorded hosts by the check files of a folder and hold the outcomes against what is expected.
    #[command(after_help = trial::HELP)]
    Test {
        /// The folder: check files, and hosts in `hosts/`.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Make a bundle of check files and approved parameters, and sign it with the policy key.
    Sign(sign::SignArgs),
    /// Put a signed bundle in force for groups of hosts: an entry of the log, by the collector that runs.
    Activate(ActivateArgs),
}

/// What to put in force, for whom, and who says so.
#[derive(Debug, Args)]
pub struct ActivateArgs {
    /// Which collector.
    #[command(flatten)]
    place: Place,
    /// The signed bundle, as `bundle sign` writes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A group of hosts; may be given several times.
    #[arg(long, value_name = "GROUP", required = true)]
    group: Vec<GroupId>,
    /// The account of the person who decides; its role must be isms_owner or admin.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why; the log keeps it for ever, so no personal data.
    #[arg(long)]
    reason: String,
}

/// Runs a subcommand.
///
/// # Errors
/// What is wrong with the files, with file and line, or what the collector refused.
pub async fn run(command: BundleCommand) -> anyhow::Result<()> {
    match command {
        BundleCommand::Test { folder } => trial::run(&folder),
        BundleCommand::Sign(args) => sign::run(args).await,
        BundleCommand::Activate(args) => activate(args).await,
    }
}

async fn activate(args: ActivateArgs) -> anyhow::Result<()> {
    let reason = args.reason.trim();
    let length = reason.chars().count();
    anyhow::ensure!(
        (1..=MAX_REASON_CHARS).contains(&length) && !reason.chars().any(char::is_control),
        "--reason has 1 to {MAX_REASON_CHARS} characters, none of them a control character"
    );
    let data = args.place.existing()?;
    let folder = DataFolder::open(&data)?;
    let (policy, _) = folder.policy_key(&mut SystemRandom)?;
    let text = text(&args.file, MAX_ENVELOPE_BYTES)?;
    let offer =
        Offer::verify(text.as_bytes(), &policy).with_context(|| args.file.display().to_string())?;
    anyhow::ensure!(
        folder.lock().is_err(),
        "no collector runs on {}; start it, then put the bundle in force",
        data.display()
    );
    let request = Request {
        bundle: text,
        groups: args.group.clone(),
        by: decider(&Store::open(&data).await?, &args.by).await?,
        reason: reason.to_owned(),
    };
    let id = uuid::Builder::from_random_bytes(SystemRandom.bytes16()).into_uuid();
    let answer = Desk::of(&data)
        .ask(&id.to_string(), &request, PATIENCE)
        .await
        .with_context(|| {
            format!(
                "no answer from the collector that runs on {}",
                data.display()
            )
        })?;
    let groups: Vec<&str> = args.group.iter().map(GroupId::as_str).collect();
    match answer {
        Answer::Entry(index) => {
            println!(
                "entry {index}: version {} ({}) is in force for {}",
                offer.bundle.version,
                offer.digest,
                groups.join(", ")
            );
            Ok(())
        }
        Answer::Refused(why) => anyhow::bail!("the collector refused the bundle: {why}"),
    }
}

/// The person who decides.
async fn decider(store: &Store, name: &str) -> anyhow::Result<Actor> {
    let account = store
        .account_by_name(name)
        .await?
        .filter(|account| !account.disabled)
        .with_context(|| format!("no account is called {name:?}; `user create` makes one"))?;
    let role: Role = account.role.parse()?;
    anyhow::ensure!(
        role.may(Permission::ManagePolicy),
        "{name} is {}; a bundle is put in force by an isms_owner or an admin",
        role.as_str()
    );
    Ok(Actor {
        user: account.id,
        role: account.role,
    })
}

/// The check files of a folder, by name.
fn check_files(folder: &Path) -> anyhow::Result<Vec<CheckFile>> {
    let paths = toml_files(folder)?;
    anyhow::ensure!(
        paths.len() <= MAX_CHECKS,
        "{}: {} check files are more than a bundle may hold ({MAX_CHECKS})",
        folder.display(),
        paths.len()
    );
    let read = |path: &PathBuf| {
        let text = text(path, MAX_BUNDLE_BYTES)?;
        Ok(CheckFile::parse(&path.display().to_string(), &text)?)
    };
    paths.iter().map(read).collect()
}

/// The TOML files of a folder, by name.
fn toml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The text of a file of at most `most` bytes.
fn text(path: &Path, most: usize) -> anyhow::Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).with_context(failed)?.len();
    anyhow::ensure!(
        size <= most as u64,
        "{}: longer than the {most} bytes that are read",
        path.display()
    );
    std::fs::read_to_string(path).with_context(failed)
}
