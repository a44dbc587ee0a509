//! What a look is judged by: the checks of this program, or those of a file or folder, with the parameters that people
//! approved.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use evidence::approved::Approved;
use evidence::baseline;
use evidence::bundle::{Bundle, MAX_BUNDLE_BYTES, MAX_CHECKS};
use evidence::check::CheckFile;
use wire::envelope::{Envelope, MAX_ENVELOPE_BYTES};

/// Version and name of a bundle that is made of loose check files and never signed.
const TRIAL: (u64, &str) = (1, "trial");
/// Largest file of checks or parameters.
const MAX_FILE_BYTES: usize = MAX_BUNDLE_BYTES;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct PolicyArguments {
    /// Judge by this instead of the program's own checks: a check file (.toml), a folder of them, or a bundle. The
    /// signature of a bundle is not looked at: this is for trying checks.
    #[arg(long, value_name = "FILE|DIR")]
    bundle: Option<PathBuf>,
    /// Set the parameters that this file holds, as `assay-agent baseline` writes it and a person approved it.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// The bundle that these arguments ask for, every expression checked against this program's probes.
///
/// # Errors
/// Says file, line and what is wrong.
pub(crate) fn bundle(arguments: &PolicyArguments) -> anyhow::Result<Bundle> {
    let mut bundle = match &arguments.bundle {
        None => baseline::bundle().context("the checks of this program")?,
        Some(path) => read(path)?,
    };
    if let Some(path) = &arguments.baseline {
        let text = text(path)?;
        Approved::parse(&path.display().to_string(), &text)?
            .apply(&mut bundle, &baseline::schemas()?)?;
    }
    Ok(bundle)
}

fn read(path: &Path) -> anyhow::Result<Bundle> {
    if path.is_dir() {
        return of_files(&check_files(path)?);
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return of_files(&[path.to_owned()]);
    }
    let bytes = bounded(path, MAX_ENVELOPE_BYTES)?;
    let payload = Envelope::parse_file(&bytes).map_or(bytes, |envelope| envelope.payload);
    let bundle = Bundle::parse(&payload)
        .and_then(|bundle| bundle.check_types(&baseline::schemas()?).map(|()| bundle))
        .with_context(|| {
            format!(
                "{}: expected a check file whose name ends in .toml, a folder of them, or a bundle",
                path.display()
            )
        })?;
    Ok(bundle)
}

/// The check files of a folder, by name.
fn check_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    anyhow::ensure!(
        !files.is_empty(),
        "{}: no file here ends in .toml, as check files do",
        folder.display()
    );
    anyhow::ensure!(
        files.len() <= MAX_CHECKS,
        "{}: {} check files are more than a bundle may hold ({MAX_CHECKS})",
        folder.display(),
        files.len()
    );
    files.sort();
    Ok(files)
}

fn of_files(paths: &[PathBuf]) -> anyhow::Result<Bundle> {
    let files = paths
        .iter()
        .map(|path| Ok(CheckFile::parse(&path.display().to_string(), &text(path)?)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (version, name) = TRIAL;
    Ok(Bundle::from_files(
        version,
        name,
        &files,
        &baseline::schemas()?,
    )?)
}

fn text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(bounded(path, MAX_FILE_BYTES)?)
        .with_context(|| format!("{}: not UTF-8", path.display()))
}

/// A file of at most `most` bytes.
fn bounded(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).with_context(failed)?.len();
    anyhow::ensure!(
        size <= most as u64,
        "{}: longer than the {most} bytes that are read",
        path.display()
    );
    fs::read(path).with_context(failed)
}
