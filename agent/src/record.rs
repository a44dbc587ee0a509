//! Recording a host: exactly what the probes read of it, so that its judgement can be repeated anywhere.
//!
//! The probes run once over a host whose answers are kept ([`crate::host::traced`]); what was kept is written in the form
//! of [`crate::host::recorded`]. Nothing is read for the recording's sake but the links on the way to what was read.
//!
//! No secret gets in, by the way it is made and not by care:
//! - What a probe reads as a secret (`/etc/shadow` and its like) is kept as lines of a password file whose password field
//!   is replaced by one that the probes classify alike; salt and hash are gone.
//! - In everything else, password hashes, private keys, passwords in addresses and values of settings that are named as
//!   secrets are replaced before anything is written, whatever file they stand in ([`redaction`]).
//! - The machine's id becomes one and the same on every recording. Of encrypted devices the probes read only the header,
//!   never the area of the key slots.
//!
//! Names of accounts, hosts and addresses stay: judgements rest on them. A recording is as confidential as its host.

mod document;
mod kept;
pub mod redaction;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use evidence::bundle::{Bundle, BundleError};
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::Judgement;
use evidence::time::Timestamp;

use crate::examine;
use crate::host::recorded::RecordingError;
use crate::host::traced::Traced;
use crate::host::{Host, RecordedHost};
use crate::probe::{self, VolatileMemory};

/// Why a host was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The checks could not be judged.
    #[error("the checks could not be judged")]
    Judging(#[from] BundleError),
    /// The folder is not empty, or cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The recording cannot be written down.
    #[error("the recording cannot be written as TOML")]
    Form(#[from] toml::ser::Error),
    /// What was written cannot be read again.
    #[error("the recording cannot be replayed")]
    Replay(#[from] RecordingError),
}

/// What became of a recording.
#[derive(Debug)]
pub struct Summary {
    /// The document.
    pub path: PathBuf,
    /// Paths in it.
    pub paths: usize,
    /// Programs in it.
    pub programs: usize,
    /// Bytes written, side files included.
    pub bytes: u64,
    /// What could not be kept, for people.
    pub left_out: Vec<String>,
    /// Checks that the recording judges otherwise than the host, with both: host first.
    pub differing: BTreeMap<CheckId, (Judgement, Judgement)>,
    /// Probes that see something else in the recording, where they read it apart.
    pub differing_facts: Vec<ProbeId>,
}

/// Records what the probes of all checks of `bundle` read of `host` into the new folder `folder`, then judges the recording
/// and the host alike.
///
/// # Errors
/// [`RecordError`] if the folder is not empty or cannot be written, or the recording cannot be read again.
pub fn record(
    host: &dyn Host,
    bundle: &Bundle,
    now: Timestamp,
    folder: &Path,
) -> Result<Summary, RecordError> {
    let evaluator = Evaluator::new(bundle);
    let mut kept = kept::Kept::new(host);
    let facts = {
        let traced = Traced::new(host, &mut kept);
        observe(&traced, bundle, now)
    };
    let judged = evaluator.judge(bundle.checks.keys(), &facts, now)?;
    let mut written = document::write(kept, now, &judged, folder)?;
    let replayed = RecordedHost::load(&written.path)?;
    let again = observe(&replayed, bundle, replayed.now());
    written.differing_facts = differing_facts(&facts, &again);
    let again = evaluator.judge(bundle.checks.keys(), &again, now)?;
    written.differing = differing(&judged, &again);
    Ok(written)
}

fn observe(host: &dyn Host, bundle: &Bundle, now: Timestamp) -> FactSet {
    let checks = bundle.checks.keys().cloned().collect();
    let probes = examine::probes_of(bundle, &checks);
    probe::observe_all(host, &mut VolatileMemory::default(), now, &probes)
}

fn differing(one: &Outcomes, other: &Outcomes) -> BTreeMap<CheckId, (Judgement, Judgement)> {
    one.iter()
        .filter_map(|(id, judgement)| {
            let replayed = other.get(id)?;
            (judgement != replayed).then(|| (id.clone(), (*judgement, *replayed)))
        })
        .collect()
}

/// Digests of what was redacted differ among the sources, and only there.
fn differing_facts(one: &FactSet, other: &FactSet) -> Vec<ProbeId> {
    let without_sources = |facts: &FactSet, probe: &ProbeId| {
        let mut members = facts.get(probe)?.members().clone();
        members.remove("sources");
        Some(members)
    };
    one.keys()
        .filter(|probe| without_sources(one, probe) != without_sources(other, probe))
        .cloned()
        .collect()
}
