//! All mutations of one root.

use std::path::{Path, PathBuf};
use std::time::Instant;

use acceptance::machine::Layers;
use evidence::evaluate::Outcomes;

use super::plan::{Mutation, Plan};
use super::root::{self, Judge, words};
use super::tally::Tally;

/// Applies every mutation of a root to it, each alone, and holds the outcomes against what it says.
///
/// # Panics
/// Naming each miss and each false alarm.
pub fn judge(name: &str) {
    let start = Instant::now();
    let plan = Plan::load();
    let root = &plan.roots[name];
    let folder = memory_folder();
    let layers =
        root::layers(name, root, &folder).unwrap_or_else(|error| panic!("root {name}: {error}"));
    let mounted = layers.mounted(&folder.join("untouched")).unwrap();
    let judge = Judge::new(&root.params).approving(mounted.root(), &root.params);
    let untouched = judge.judge(mounted.root(), |_| true);
    mounted.unmount().unwrap();
    if std::env::var_os(root::SHOW).is_some() {
        for (check, judgement) in &untouched {
            println!("{name}: {check}: {}", words(judgement));
        }
    }
    let mut tally = Tally::new(&root.family);
    let chosen = std::env::var("ASSAY_TEST_MUTATION").ok();
    for mutation in plan.of_root(name) {
        if chosen
            .as_ref()
            .is_some_and(|id| !mutation.id.contains(id.as_str()))
        {
            continue;
        }
        match mutated(&layers, &folder, mutation, &judge) {
            Ok(outcomes) => tally.count(mutation, &untouched, &outcomes),
            Err(problem) => tally.unusable(mutation, &problem),
        }
    }
    tally.show(start.elapsed());
    assert!(tally.is_clean(), "{}", tally.problems());
}

fn mutated(
    layers: &Layers,
    folder: &Path,
    mutation: &Mutation,
    judge: &Judge,
) -> Result<Outcomes, String> {
    let place = folder.join(&mutation.id);
    let mounted = layers.mounted(&place).map_err(|error| error.to_string())?;
    for edit in &mutation.edits {
        edit.apply(mounted.root())?;
    }
    let outcomes = judge.judge(mounted.root(), |check| {
        mutation.turns.contains_key(check) || mutation.tempts.contains(check)
    });
    mounted.unmount().map_err(|error| error.to_string())?;
    std::fs::remove_dir_all(&place).map_err(|error| error.to_string())?;
    Ok(outcomes)
}

/// A folder in memory, mounted where the test runner keeps temporary files. The mount goes with the process' own namespace
/// however the process ends, and the folder under it is always the same: a test that is killed leaves nothing behind.
fn memory_folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    let status = std::process::Command::new("/usr/bin/mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(status.success(), "cannot mount a tmpfs");
    folder
}
