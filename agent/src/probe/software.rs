//! The software that package managers have installed.

use std::collections::BTreeSet;

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::packages::{self, Database, Manager, Namer, Package};
use super::system::OsRelease;
use super::{Observation, Probe, Unobservable};

/// Most bytes of names and package URLs together: facts of one probe travel as one piece of at most 1 MiB.
const MAX_TEXT_BYTES: usize = 900_000;
/// Most unfinished packages listed for a manager.
const MAX_UNFINISHED: usize = 50;

/// The probe `software`.
pub struct Software;

/// Facts of the installed packages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SoftwareFacts {
    /// The package databases found on this host.
    managers: Vec<ManagerFacts>,
    /// Names of the installed packages, each once.
    names: Vec<String>,
    /// Every installed package as a package URL with version, architecture and, where it differs, source package
    /// (`upstream`).
    packages: Vec<String>,
    /// Every database was read to its end and every package is listed.
    complete: bool,
}

/// One package database.
#[derive(Debug, Serialize, JsonSchema)]
struct ManagerFacts {
    /// Its manager.
    manager: Manager,
    /// Where it lies.
    database: String,
    /// Packages installed by it.
    packages: u64,
    /// Packages that are unpacked, but not configured, the first 50.
    unfinished: Vec<String>,
    /// Why its packages cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Why a database cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
struct Problem {
    /// The kind of reason.
    kind: ProblemKind,
    /// What happened.
    detail: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ProblemKind {
    /// The agent may not read it.
    PermissionDenied,
    /// It is damaged, or of a form that is not known.
    Unparsable,
    /// Its form is known, but not read here.
    Unsupported,
    /// It was being changed.
    Busy,
    /// Anything else.
    Other,
}

impl Probe for Software {
    const ID: &'static str = "software";
    type Facts = SoftwareFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SoftwareFacts, Unobservable> {
        let namer = Namer::new(&OsRelease::read(observation)?);
        let databases = packages::databases(observation)?;
        let mut listed = Listed::default();
        for database in &databases {
            for package in database.packages.iter().flatten() {
                listed.add(database.manager, package, &namer);
            }
        }
        let managers: Vec<ManagerFacts> = databases.iter().map(manager).collect();
        listed.packages.sort();
        Ok(SoftwareFacts {
            complete: listed.left_off == 0
                && managers.iter().all(|manager| manager.problem.is_none()),
            managers,
            names: listed.names.into_iter().collect(),
            packages: listed.packages,
        })
    }
}

#[derive(Default)]
struct Listed {
    names: BTreeSet<String>,
    packages: Vec<String>,
    bytes: usize,
    left_off: u64,
}

impl Listed {
    fn add(&mut self, manager: Manager, package: &Package, namer: &Namer) {
        let url = namer.name(manager, package);
        // Quotes and a comma each.
        self.bytes += url.len() + package.name.len() + 6;
        if self.bytes > MAX_TEXT_BYTES {
            self.left_off += 1;
            return;
        }
        self.names.insert(package.name.clone());
        self.packages.push(url);
    }
}

fn manager(database: &Database) -> ManagerFacts {
    let packages = database.packages.as_deref().unwrap_or_default();
    ManagerFacts {
        manager: database.manager,
        database: database.path.clone(),
        packages: packages.len() as u64,
        unfinished: packages
            .iter()
            .filter(|package| package.unfinished)
            .map(|package| package.name.clone())
            .take(MAX_UNFINISHED)
            .collect(),
        problem: database.packages.as_ref().err().map(|problem| Problem {
            kind: match problem.reason {
                Reason::PermissionDenied => ProblemKind::PermissionDenied,
                Reason::Unparsable => ProblemKind::Unparsable,
                Reason::ToolMissing => ProblemKind::Unsupported,
                Reason::Timeout => ProblemKind::Busy,
                _ => ProblemKind::Other,
            },
            detail: problem.detail.clone(),
        }),
    }
}
