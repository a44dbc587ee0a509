//! Roots as the plan describes them, made and hardened; and how the agent judges one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use acceptance::machine::{Image, Layers, MachineError, PacmanRepository, Repository, install};
use agent::examine;
use agent::host::{FileSystemHost, Host};
use agent::probe::VolatileMemory;
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::time::SystemClock;

use super::edit::Edit;
use super::plan::{Made, Packages, PacmanPackages, Params, Root};

/// Set to see what each root, untouched and changed, concludes: for writing mutations.
pub const SHOW: &str = "ASSAY_TEST_MUTATIONS_SHOW";

/// Checks that read every file of every package, seconds for each mutation: asked where a mutation names them only.
const COSTLY: [&str; 1] = ["pkg.files.verified"];

/// Why a root could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The outer machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// An edit that does not fit.
    #[error("hardening: {0}")]
    Edit(String),
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The layers of a root, hardened.
pub fn layers(name: &str, root: &Root, folder: &Path) -> Result<Layers, RootError> {
    let below = match &root.made {
        Made::Debian(suite) => Layers::of(Image::debian(suite)?.root()),
        Made::Packages(packages) => filled(name, folder, |place, root| {
            let content = content(place, &packages.content)?;
            let Packages {
                installer,
                packages,
                ..
            } = packages;
            let repository = Repository::build(place, &content, *installer, packages)?;
            Ok(repository.install(root, packages)?)
        })?,
        Made::Pacman(PacmanPackages {
            content: files,
            packages,
        }) => filled(name, folder, |place, root| {
            let content = content(place, files)?;
            let repository = PacmanRepository::build(place, &content, packages)?;
            Ok(repository.install(root, packages)?)
        })?,
        Made::ByHand => Layers::of(&empty(name, folder)?),
    };
    let installed = if root.packages.is_empty() {
        below
    } else {
        let recipe = root.packages.join("\n");
        below.with(&format!("{name}-packages"), &recipe, |mounted| {
            install(mounted, &root.packages).map_err(RootError::from)
        })?
    };
    // Cheap to make, so made each time: nothing of an earlier run can be left in it.
    let place = folder.join(format!("{name}-hardened"));
    let mounted = installed.mounted(&place)?;
    for edit in &root.edits {
        edit.apply(mounted.root()).map_err(RootError::Edit)?;
    }
    mounted.unmount()?;
    Ok(installed.below(&place.join("upper")))
}

fn empty(name: &str, folder: &Path) -> Result<PathBuf, RootError> {
    let empty = folder.join(format!("{name}-empty"));
    std::fs::create_dir_all(&empty)?;
    Ok(empty)
}

/// The layers of an empty root that `install` fills, with a folder for what it needs.
fn filled(
    name: &str,
    folder: &Path,
    install: impl FnOnce(&Path, &Path) -> Result<(), RootError>,
) -> Result<Layers, RootError> {
    let empty = empty(name, folder)?;
    let place = folder.join(format!("{name}-repository"));
    let mounted = Layers::of(&empty).mounted(&place.join("root"))?;
    install(&place, mounted.root())?;
    mounted.unmount()?;
    Ok(Layers::of(&empty).below(&place.join("root/upper")))
}

fn content(place: &Path, files: &[Edit]) -> Result<PathBuf, RootError> {
    let content = place.join("content");
    std::fs::create_dir_all(&content)?;
    for edit in files {
        edit.apply(&content).map_err(RootError::Edit)?;
    }
    Ok(content)
}

/// Judges roots by the default checks with a group's policy.
pub struct Judge {
    bundle: Bundle,
    evaluator: Evaluator,
}

impl Judge {
    /// A judge with these parameters in place of the defaults.
    pub fn new(params: &Params) -> Judge {
        let mut bundle = baseline::bundle().unwrap().for_hosts();
        for (check, values) in params {
            let id: CheckId = check.parse().unwrap();
            let Some(found) = bundle.checks.get_mut(&id) else {
                panic!("no check {check}");
            };
            for (name, value) in values {
                assert!(found.params.contains_key(name), "{check} has no {name}");
                found.params.insert(name.clone(), value.clone());
            }
        }
        Judge::of(bundle)
    }

    fn of(bundle: Bundle) -> Judge {
        bundle
            .check_types(&evidence::baseline::schemas().unwrap())
            .unwrap();
        let evaluator = Evaluator::new(&bundle);
        Judge { bundle, evaluator }
    }

    /// This judge with what the untouched root has approved, where a check compares with an approved list and the plan gives
    /// none: what `assay-agent baseline` proposes, accepted as it stands.
    pub fn approving(self, root: &Path, params: &Params) -> Judge {
        let host = FileSystemHost::offline(root).unwrap();
        let learning: BTreeSet<CheckId> = self
            .bundle
            .checks
            .iter()
            .filter(|(id, check)| !check.learns.is_empty() && !params.contains_key(id.as_str()))
            .map(|(id, _)| id.clone())
            .collect();
        let mut memory = VolatileMemory::default();
        let clock = SystemClock::new();
        let observed = examine::observe(&host, &self.bundle, &learning, &mut memory, &clock);
        let learnt = self
            .evaluator
            .learn(&learning, &observed.facts, observed.end)
            .unwrap();
        let mut bundle = self.bundle;
        for (id, learnt) in learnt {
            if let (Ok(learnt), Some(check)) = (learnt, bundle.checks.get_mut(&id)) {
                check.params.extend(learnt.params);
            }
        }
        Judge::of(bundle)
    }

    /// The outcomes for the root file system in `root`, as `assay-agent check --root` tells them.
    ///
    /// Of the costly checks only those that are `named`.
    pub fn judge(&self, root: &Path, named: impl Fn(&str) -> bool) -> Outcomes {
        let host = FileSystemHost::offline(root).unwrap();
        assert!(!host.is_live());
        let asked = |id: &&CheckId| !COSTLY.contains(&id.as_str()) || named(id.as_str());
        let checks = self.bundle.checks.keys().filter(asked).cloned().collect();
        let mut memory = VolatileMemory::default();
        let clock = SystemClock::new();
        let observed = examine::observe(&host, &self.bundle, &checks, &mut memory, &clock);
        let mut outcomes = self
            .evaluator
            .judge(&checks, &observed.facts, observed.end)
            .unwrap();
        if std::env::var_os(SHOW).is_some() {
            let shown = self
                .evaluator
                .observe(&checks, &observed.facts, observed.end);
            for (id, found) in shown.unwrap() {
                if matches!(outcomes[&id].outcome, Outcome::Fail | Outcome::Error) {
                    println!("{id}: {}: {found}", words(&outcomes[&id]));
                }
            }
        }
        for judgement in outcomes.values_mut() {
            if *judgement == Judgement::error(Reason::OfflineRoot) {
                judgement.outcome = Outcome::NotApplicable;
            }
        }
        outcomes
    }
}

/// An outcome in the words of the plan.
pub fn words(judgement: &Judgement) -> String {
    match judgement.reason {
        Some(reason) => format!("{} {reason}", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}
