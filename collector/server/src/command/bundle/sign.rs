//! `assay-collector bundle sign`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use crypto::{SigningKey, SystemRandom};
use evidence::approved::Approved;
use evidence::baseline;
use evidence::bundle::{Bundle, MAX_BUNDLE_BYTES};
use evidence::check::CheckFile;
use store::Store;

use super::{check_files, text};
use crate::bundles::derive::{BUILT_IN, is_kept_up};
use crate::folder::{DataFolder, read_secret};
use crate::service::sign_bundle;

/// What a bundle is made of, and the key that signs it.
#[derive(Debug, Args)]
#[command(after_help = "\
The bundle holds the program's own checks and those of DIR; a check of DIR replaces one of the same id. Its version is the \
one after the newest of the collector's log, or --version where the key lives apart from the collector.")]
pub struct SignArgs {
    /// The collector whose policy key signs, by its configuration file.
    #[arg(long, value_name = "FILE", group = "signer")]
    config: Option<PathBuf>,
    /// The collector whose policy key signs, by its data folder.
    #[arg(long, value_name = "DIR", group = "signer")]
    data: Option<PathBuf>,
    /// The policy key itself, as a PEM file, where it lives offline; needs --version.
    #[arg(long, value_name = "FILE", group = "signer", requires = "version")]
    key: Option<PathBuf>,
    /// A folder of check files.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// A file of approved parameters, as `assay-agent baseline` writes it; may be given several times.
    #[arg(long, value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Only the checks of DIR, without the program's own.
    #[arg(long, requires = "folder")]
    only: bool,
    /// A name for people.
    #[arg(long, default_value = "own")]
    name: String,
    /// The version; versions only rise.
    #[arg(long)]
    version: Option<u64>,
    /// Where to write the signed bundle.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes and signs a bundle.
///
/// # Errors
/// What is wrong with the files, with file and line, or that there is no key.
pub(super) async fn run(args: SignArgs) -> anyhow::Result<()> {
    let (key, newest) = signer(&args).await?;
    let version = match (args.version, newest) {
        (Some(version), Some(newest)) if version <= newest => {
            anyhow::bail!("the log holds version {newest} already; --version must be above it")
        }
        (Some(version), _) => version,
        (None, Some(newest)) => newest + 1,
        (None, None) => anyhow::bail!("say --version: without a collector nobody knows the newest"),
    };
    let bundle = bundle(&args, version)?;
    let envelope = sign_bundle(&bundle, &key)?;
    std::fs::write(&args.out, envelope.to_file()?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    println!(
        "{}: version {version}, {} checks, {}",
        args.out.display(),
        bundle.checks.len(),
        bundle.digest()?
    );
    Ok(())
}

/// The checks and parameters that the arguments name, held against the published facts.
fn bundle(args: &SignArgs, version: u64) -> anyhow::Result<Bundle> {
    let schemas = baseline::schemas()?;
    let own = match &args.folder {
        Some(folder) => check_files(folder)?,
        None => Vec::new(),
    };
    anyhow::ensure!(
        args.folder.is_none() || !own.is_empty(),
        "{}: no file here ends in .toml, as check files do",
        args.folder.as_deref().unwrap_or(&args.out).display()
    );
    let mut files: Vec<CheckFile> = if args.only {
        Vec::new()
    } else {
        baseline::check_files()?
    };
    files.retain(|file| own.iter().all(|other| other.id != file.id));
    files.extend(own);
    let mut bundle = Bundle::from_files(version, &args.name, &files, &schemas)?;
    anyhow::ensure!(
        !is_kept_up(&bundle),
        "a bundle called {BUILT_IN:?} would be replaced by the program's own; give it another --name"
    );
    for file in &args.baseline {
        let approved = text(file, MAX_BUNDLE_BYTES)?;
        Approved::parse(&file.display().to_string(), &approved)?.apply(&mut bundle, &schemas)?;
    }
    Ok(bundle)
}

/// The policy key, and the newest version of the collector's log if there is one.
async fn signer(args: &SignArgs) -> anyhow::Result<(SigningKey, Option<u64>)> {
    if let Some(path) = &args.key {
        let pem = read_secret(path)?.with_context(|| format!("{} is not there", path.display()))?;
        let key = SigningKey::from_pem(&pem).with_context(|| path.display().to_string())?;
        return Ok((key, None));
    }
    let place = super::Place {
        config: args.config.clone(),
        data: args.data.clone(),
    };
    let data = place.existing()?;
    let (_, key) = DataFolder::open(&data)?.policy_key(&mut SystemRandom)?;
    let key = key.with_context(|| {
        format!(
            "the policy key is not in {}; sign where it is, with --key FILE --version NUMBER",
            data.display()
        )
    })?;
    let versions = Store::open(&data).await?.bundles().await?;
    let newest = versions.iter().map(|(version, _)| *version).max();
    Ok((key, Some(newest.unwrap_or_default())))
}
