//! Whether programs and libraries are as their packages brought them.
//!
//! Hashing every program of a host takes seconds, so it is spread: a package is hashed once, and again only when the
//! status of one of its files (length, times, mode, owner) is not what it was then. Each round of a service hashes a bounded
//! amount, files that were written after their package was unpacked first, and the next round goes on where it stopped.
//! Until everything was hashed once the facts are not complete.

mod apk;
mod digest;
mod dpkg;
mod listing;
mod pacman;
mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crypto::DigestStream;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packages::{self, Manager};
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, Host, HostError, Stat};
use listing::{Item, Listing};

/// Most bytes hashed in one round, if the next one goes on; else somebody waits for this one to be complete.
const ROUND_BYTES: u64 = 96 << 20;
const AT_ONCE_BYTES: u64 = 768 << 20;
/// Most findings listed.
const MAX_FINDINGS: usize = 200;
/// A file changed less than this before it was hashed may change again without another time.
const SETTLED_MS: i64 = 2_000;

/// The probe `package_files`.
pub struct PackageFiles;

/// Facts of programs and libraries that packages brought.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PackageFilesFacts {
    /// Package databases whose files are verified.
    managers: Vec<Manager>,
    /// Package databases on this host whose files are not.
    uncovered: Vec<Manager>,
    /// Packages with programs or libraries.
    packages: u64,
    /// Those whose files were all hashed in the state that they are in now.
    verified: u64,
    /// Files that are not as their package brought them, the first 200.
    findings: Vec<Finding>,
    /// How many there are.
    found: u64,
    /// Files that the agent may not read.
    denied: u64,
    /// Every package is verified, and every file could be read.
    complete: bool,
}

/// One file that is not as it was brought.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
struct Finding {
    /// Where it is.
    path: String,
    /// Its package.
    package: String,
    /// What is wrong.
    kind: FindingKind,
}

/// What is wrong with a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
enum FindingKind {
    /// Its content is another, or a link stands in its place.
    Changed,
    /// It is not there.
    Missing,
    /// Every user may write to it, or it has permissions that its package does not give it.
    Permissions,
    /// A local diversion puts another file in its place.
    Diverted,
    /// Its package names it, but has no digest of it.
    Unlisted,
}

/// What was found out about a package, for as long as its files have this status.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Verified {
    state: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

/// How far a package that is larger than a round was hashed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Begun {
    package: String,
    state: String,
    items: usize,
    findings: Vec<Finding>,
}

/// What is remembered from round to round.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    verified: BTreeMap<String, Verified>,
    begun: Begun,
}

impl Probe for PackageFiles {
    const ID: &'static str = "package_files";
    type Facts = PackageFilesFacts;
    /// It hashes what it may in one round, however slow the disk.
    const DEADLINE: Duration = Duration::from_secs(300);

    fn observe(observation: &mut Observation<'_>) -> Result<PackageFilesFacts, Unobservable> {
        let present = packages::present(observation)?;
        let mut round = Round::new(observation);
        let databases = Databases {
            apk: apk::Database::open(observation)?,
            dpkg: dpkg::Database::open(observation)?,
            pacman: pacman::Database::open(observation)?,
            rpm: rpm::Database::open(observation)?,
        };
        databases.visit(observation.host(), None, &mut |listing| {
            round.survey(&listing)
        })?;
        let wanted: BTreeSet<String> = round.left.keys().cloned().collect();
        if !wanted.is_empty() {
            databases.visit(observation.host(), Some(&wanted), &mut |listing| {
                round.hash(&listing)
            })?;
        }
        let managers = databases.managers();
        let (facts, progress) = round.end(present, managers);
        observation.remember("progress", &progress);
        Ok(facts)
    }
}

struct Databases {
    apk: Option<apk::Database>,
    dpkg: Option<dpkg::Database>,
    pacman: Option<pacman::Database>,
    rpm: Option<rpm::Database>,
}

impl Databases {
    fn managers(&self) -> Vec<Manager> {
        let found = [
            self.apk.as_ref().map(|_| Manager::Apk),
            self.dpkg.as_ref().map(|_| Manager::Dpkg),
            self.pacman.as_ref().map(|_| Manager::Pacman),
            self.rpm.as_ref().map(|_| Manager::Rpm),
        ];
        found.into_iter().flatten().collect()
    }

    /// Visits the packages with programs or libraries, all or those wanted.
    fn visit(
        &self,
        host: &dyn Host,
        wanted: Option<&BTreeSet<String>>,
        each: &mut dyn FnMut(Listing) -> Result<(), Unobservable>,
    ) -> Result<(), Unobservable> {
        if let Some(dpkg) = &self.dpkg {
            dpkg.visit(host, wanted, each)?;
        }
        if let Some(apk) = &self.apk {
            apk.visit(host, wanted, each)?;
        }
        if let Some(pacman) = &self.pacman {
            pacman.visit(host, wanted, each)?;
        }
        if let Some(rpm) = &self.rpm {
            rpm.visit(host, wanted, each)?;
        }
        Ok(())
    }
}

/// One round.
struct Round<'h> {
    host: &'h dyn Host,
    now: Timestamp,
    live: bool,
    earlier: Progress,
    progress: Progress,
    /// Packages to be hashed, with the state that they were surveyed in.
    left: BTreeMap<String, String>,
    findings: BTreeSet<Finding>,
    packages: u64,
    denied: BTreeSet<String>,
    budget: u64,
    /// What of it may go to files that were written after their package was unpacked: where all were, as on a host that
    /// was restored, the rest must get its turn too.
    for_suspects: u64,
}

impl<'h> Round<'h> {
    fn new(observation: &Observation<'h>) -> Round<'h> {
        let budget = if observation.goes_on() {
            ROUND_BYTES
        } else {
            AT_ONCE_BYTES
        };
        Round {
            host: observation.host(),
            now: observation.now(),
            live: observation.is_live(),
            earlier: observation.recall("progress").unwrap_or_default(),
            progress: Progress::default(),
            left: BTreeMap::new(),
            findings: BTreeSet::new(),
            packages: 0,
            denied: BTreeSet::new(),
            budget,
            for_suspects: budget / 4,
        }
    }

    /// Looks at the status of a package's files: what is as it was verified needs no more; of the rest, files written
    /// after the package was unpacked are hashed at once.
    fn survey(&mut self, listing: &Listing) -> Result<(), Unobservable> {
        if listing.items.is_empty() && listing.unlisted.is_empty() {
            return Ok(());
        }
        self.packages += 1;
        let mut state = DigestStream::new();
        state.update(listing.version.as_bytes());
        let mut suspects = Vec::new();
        for item in &listing.items {
            match self.host.lstat(&item.path) {
                Ok(stat) => {
                    state.update(status_line(&item.path, &stat).as_bytes());
                    if self.is_suspect(listing, item, &stat) {
                        suspects.push(item);
                    }
                }
                Err(HostError::NotFound(_)) => state.update(b"missing"),
                Err(HostError::Permission(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let state = state.finish().to_hex();
        let known = self.earlier.verified.remove(&listing.package);
        match known.filter(|known| known.state == state) {
            Some(known) => {
                self.findings.extend(known.findings.iter().cloned());
                self.progress
                    .verified
                    .insert(listing.package.clone(), known);
            }
            None => {
                for item in suspects {
                    if self.for_suspects > 0 {
                        let before = self.budget;
                        let found = self.verify(listing, item)?;
                        self.findings.extend(found);
                        self.for_suspects = self.for_suspects.saturating_sub(before - self.budget);
                    }
                }
                self.left.insert(listing.package.clone(), state);
            }
        }
        Ok(())
    }

    fn is_suspect(&self, listing: &Listing, item: &Item, stat: &Stat) -> bool {
        let written = match (item.mtime, listing.unpacked) {
            (Some(seconds), _) => stat.mtime.unix_ms().div_euclid(1000) != seconds,
            (None, Some(unpacked)) => stat.mtime > unpacked.plus_ms(SETTLED_MS),
            (None, None) => false,
        };
        // The time of the last change of status cannot be set back, but means nothing on a copy of a root.
        let touched = listing
            .unpacked
            .is_some_and(|unpacked| self.live && stat.ctime > unpacked.plus_ms(3_600_000));
        let link = stat.kind == FileKind::Link && item.may_be_link;
        let other = !link && (stat.kind != FileKind::Regular || item.has_more_rights(stat));
        written || touched || other
    }

    /// Hashes the files of a package until the round's bytes are used up.
    fn hash(&mut self, listing: &Listing) -> Result<(), Unobservable> {
        if self.budget == 0 {
            return Ok(());
        }
        let Some(state) = self.left.get(&listing.package).cloned() else {
            return Ok(());
        };
        let begun = std::mem::take(&mut self.earlier.begun);
        let mut begun = if begun.package == listing.package && begun.state == state {
            begun
        } else {
            // Another package's beginning is kept for its turn.
            if self.left.contains_key(&begun.package) {
                self.earlier.begun = begun;
            }
            Begun {
                package: listing.package.clone(),
                state,
                ..Begun::default()
            }
        };
        let mut settled = true;
        for item in listing.items.iter().skip(begun.items) {
            if self.budget == 0 {
                self.findings.extend(begun.findings.iter().cloned());
                self.progress.begun = begun;
                return Ok(());
            }
            begun.findings.extend(self.verify(listing, item)?);
            begun.items += 1;
            settled &= !self.denied.contains(&item.path)
                && match self.host.lstat(&item.path) {
                    Ok(stat) => stat.ctime.plus_ms(SETTLED_MS) < self.now,
                    Err(error) => matches!(error, HostError::NotFound(_)),
                };
        }
        let unlisted = listing.unlisted.iter().map(|path| Finding {
            path: path.clone(),
            package: listing.package.clone(),
            kind: FindingKind::Unlisted,
        });
        begun.findings.extend(unlisted);
        self.findings.extend(begun.findings.iter().cloned());
        self.left.remove(&listing.package);
        // What changed just now, or could not be read, counts this once, and is hashed again next time.
        let state = if settled { begun.state } else { String::new() };
        self.progress.verified.insert(
            begun.package,
            Verified {
                state,
                findings: begun.findings,
            },
        );
        Ok(())
    }

    /// What is wrong with one file.
    fn verify(&mut self, listing: &Listing, item: &Item) -> Result<Vec<Finding>, Unobservable> {
        let finding = |kind: FindingKind| Finding {
            path: item.path.clone(),
            package: listing.package.clone(),
            kind,
        };
        if item.diverted {
            return Ok(vec![finding(FindingKind::Diverted)]);
        }
        let stat = match self.host.lstat(&item.path) {
            Ok(stat) => stat,
            Err(HostError::NotFound(_)) if item.may_be_missing => return Ok(Vec::new()),
            Err(HostError::NotFound(_)) => return Ok(vec![finding(FindingKind::Missing)]),
            Err(HostError::Permission(_)) => {
                self.denied.insert(item.path.clone());
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        if stat.kind == FileKind::Link && item.may_be_link {
            let target = self.host.read_link(&item.path)?;
            let same = digest::of_text(&target, &item.digest);
            return Ok(if same {
                Vec::new()
            } else {
                vec![finding(FindingKind::Changed)]
            });
        }
        if stat.kind != FileKind::Regular {
            return Ok(vec![finding(FindingKind::Changed)]);
        }
        let mut found = Vec::new();
        if item.has_more_rights(&stat) {
            found.push(finding(FindingKind::Permissions));
        }
        self.budget = self.budget.saturating_sub(stat.size.max(1));
        match digest::of_file(self.host, &item.path, &item.digest) {
            Ok(true) => {}
            Ok(false) => found.push(finding(FindingKind::Changed)),
            Err(HostError::Permission(_)) => {
                self.denied.insert(item.path.clone());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(found)
    }

    fn end(
        mut self,
        present: Vec<Manager>,
        managers: Vec<Manager>,
    ) -> (PackageFilesFacts, Progress) {
        if self.progress.begun.package.is_empty() {
            self.progress.begun = std::mem::take(&mut self.earlier.begun);
        }
        let facts = PackageFilesFacts {
            uncovered: present
                .into_iter()
                .filter(|manager| !managers.contains(manager))
                .collect(),
            managers,
            packages: self.packages,
            verified: self.progress.verified.len() as u64,
            found: self.findings.len() as u64,
            denied: self.denied.len() as u64,
            complete: self.left.is_empty() && self.denied.is_empty(),
            findings: self.findings.into_iter().take(MAX_FINDINGS).collect(),
        };
        (facts, self.progress)
    }
}

/// What changes when a file does.
fn status_line(path: &str, stat: &Stat) -> String {
    format!(
        "{path} {:?} {} {} {:o} {} {}\n",
        stat.kind,
        stat.size,
        stat.mtime.unix_ms(),
        stat.mode,
        stat.uid,
        stat.ctime.unix_ms(),
    )
}
