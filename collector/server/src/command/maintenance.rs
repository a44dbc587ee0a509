//! `assay-collector backup` and `rebuild`.

use std::path::Path;

use anyhow::Context as _;
use store::Store;

use crate::folder::DataFolder;
use crate::ingest::replay;

/// Copies the database and the checkpoint to a new folder while the collector may be running. The checkpoint is copied
/// first, so that the copy of the database is never behind it. Keys are not copied: keep them apart.
///
/// # Errors
/// If the target exists or cannot be written.
pub async fn backup(data: &Path, out: &Path) -> anyhow::Result<()> {
    let store = Store::open(data).await?;
    std::fs::create_dir(out).with_context(|| format!("cannot make {}", out.display()))?;
    let checkpoint = data.join("checkpoint");
    if checkpoint.exists() {
        std::fs::copy(&checkpoint, out.join("checkpoint"))
            .with_context(|| format!("cannot copy {}", checkpoint.display()))?;
    }
    store.backup(&out.join(store::DATABASE_FILE)).await?;
    println!(
        "copied the database and the checkpoint to {}; the keys in {} are not part of it",
        out.display(),
        data.join("keys").display()
    );
    Ok(())
}

/// Drops and recomputes every projection.
///
/// # Errors
/// If the collector is running, or an entry cannot be read back.
pub async fn rebuild(data: &Path) -> anyhow::Result<()> {
    let folder = DataFolder::open(data)?;
    let _lock = folder.lock()?;
    let store = Store::open(data).await?;
    let entries = replay::rebuild(&store).await?;
    println!("recomputed every projection from {entries} entries");
    Ok(())
}
