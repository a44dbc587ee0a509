//! The recorded hosts that answer what the hostile bytes do not, each loaded once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agent::host::RecordedHost;
use agent::probe::{self, Registered, VolatileMemory};
use evidence::baseline;
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::schema::FactSchemas;

use crate::between::{Asked, Between};

/// Where the recordings are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/hosts");

/// The checks and probes of the program, with every recorded host asked for so far.
pub struct Hosts {
    evaluator: Evaluator,
    schemas: FactSchemas,
    probes: BTreeMap<&'static str, Registered>,
    /// The checks that judge a probe's facts.
    checks: BTreeMap<ProbeId, Vec<CheckId>>,
    /// The probes whose facts those checks judge.
    companions: BTreeMap<ProbeId, BTreeSet<ProbeId>>,
    loaded: Mutex<BTreeMap<String, Arc<Known>>>,
}

/// A recorded host with what its other probes found.
pub struct Known {
    /// The host.
    pub host: RecordedHost,
    facts: Mutex<BTreeMap<ProbeId, FactSet>>,
}

/// Why there are no hosts to ask.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct HostsError {
    what: String,
    problem: String,
}

impl HostsError {
    fn new(what: impl Into<String>, problem: impl ToString) -> HostsError {
        HostsError {
            what: what.into(),
            problem: problem.to_string(),
        }
    }
}

impl Hosts {
    /// The ones of this program.
    ///
    /// # Errors
    /// [`HostsError`] if the checks that come with the program do not compile.
    pub fn shared() -> Result<&'static Hosts, &'static HostsError> {
        static HOSTS: OnceLock<Result<Hosts, HostsError>> = OnceLock::new();
        HOSTS.get_or_init(Hosts::new).as_ref()
    }

    fn new() -> Result<Hosts, HostsError> {
        let checks = |error: &dyn std::fmt::Display| HostsError::new("configs/checks", error);
        let bundle = baseline::bundle().map_err(|error| checks(&error))?;
        let evaluator = Evaluator::new(&bundle);
        let schemas =
            baseline::schemas().map_err(|error| HostsError::new("the schemas of facts", error))?;
        let probes = probe::registry()
            .into_iter()
            .map(|probe| (probe.id(), probe))
            .collect();
        let (checks, companions) = by_probe(&bundle);
        Ok(Hosts {
            evaluator,
            schemas,
            probes,
            checks,
            companions,
            loaded: Mutex::default(),
        })
    }

    /// Every recording's name.
    ///
    /// # Errors
    /// [`HostsError`] for a folder or recording that cannot be read.
    pub fn recordings(&self) -> Result<Vec<String>, HostsError> {
        let mut found = Vec::new();
        collect(Path::new(FOLDER), &mut found)?;
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|path| path.strip_prefix(FOLDER).ok())
            .map(|path| path.with_extension("").display().to_string())
            .collect();
        names.sort();
        Ok(names)
    }

    /// A recorded host.
    ///
    /// # Errors
    /// [`HostsError`] if there is no such recording.
    pub fn known(&self, recording: &str) -> Result<Arc<Known>, HostsError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(recording) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(Known {
            host: load(recording)?,
            facts: Mutex::default(),
        });
        loaded.insert(recording.to_owned(), Arc::clone(&known));
        Ok(known)
    }

    /// What each probe wanted asks of a recorded host that is a recording for it, and is answered.
    ///
    /// # Errors
    /// [`HostsError`] if there is no such recording.
    pub fn asked(
        &self,
        recording: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<&'static str, Asked>, HostsError> {
        let host = load(recording)?;
        let judged = host.expect.keys().filter_map(|id| id.parse().ok());
        let checks: BTreeSet<CheckId> = judged.collect();
        let concerned = |probe: &&Registered| {
            let id: Option<ProbeId> = probe.id().parse().ok();
            let judging = id.and_then(|id| self.checks.get(&id));
            judging.is_some_and(|judging| judging.iter().any(|check| checks.contains(check)))
        };
        let mut asked = BTreeMap::new();
        let wanted = self.probes.values().filter(|probe| wanted(probe.id()));
        for probe in wanted.filter(concerned) {
            let between = Between::noting(&host);
            let mut memory = VolatileMemory::default();
            let mut observation =
                probe::Observation::new(&between, &mut memory, probe.id(), host.now());
            probe.facts(&mut observation);
            asked.insert(probe.id(), between.asked());
        }
        Ok(asked)
    }

    /// A probe by its id.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Registered> {
        self.probes.get(id)
    }

    /// The type of a probe's facts.
    #[must_use]
    pub fn schema(&self, probe: &ProbeId) -> Option<&evidence::schema::FactType> {
        self.schemas.get(probe)
    }

    /// Judges with the checks of `probe`, over `facts` in which that probe saw something hostile.
    ///
    /// # Errors
    /// [`HostsError`] if judging ended abnormally.
    pub fn judge(&self, known: &Known, probe: &ProbeId, facts: FactSet) -> Result<(), HostsError> {
        let Some(checks) = self.checks.get(probe) else {
            return Ok(());
        };
        let mut all = self.companions_of(known, probe);
        all.extend(facts);
        let now = known.host.now();
        let judged = self
            .evaluator
            .judge(checks, &all, now)
            .and_then(|_| self.evaluator.observe(checks, &all, now))
            .and_then(|_| self.evaluator.learn(checks, &all, now));
        judged
            .map(|_| ())
            .map_err(|error| HostsError::new(format!("judging {probe}"), error))
    }

    /// What the other probes of the same checks found on this host, undisturbed.
    fn companions_of(&self, known: &Known, probe: &ProbeId) -> FactSet {
        let mut facts = known.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = facts.entry(probe.clone()).or_insert_with(|| {
            let wanted = self.companions.get(probe).into_iter().flatten();
            let mut memory = VolatileMemory::default();
            probe::observe_all(&known.host, &mut memory, known.host.now(), wanted)
        });
        found.clone()
    }
}

type ByProbe<T> = BTreeMap<ProbeId, T>;

fn by_probe(bundle: &Bundle) -> (ByProbe<Vec<CheckId>>, ByProbe<BTreeSet<ProbeId>>) {
    let mut checks: ByProbe<Vec<CheckId>> = BTreeMap::new();
    let mut companions: ByProbe<BTreeSet<ProbeId>> = BTreeMap::new();
    for (id, check) in &bundle.checks {
        for probe in &check.probes {
            checks.entry(probe.clone()).or_default().push(id.clone());
            let others = check.probes.iter().filter(|other| *other != probe).cloned();
            companions.entry(probe.clone()).or_default().extend(others);
        }
    }
    (checks, companions)
}

fn load(recording: &str) -> Result<RecordedHost, HostsError> {
    let path = Path::new(FOLDER).join(format!("{recording}.toml"));
    RecordedHost::load(&path).map_err(|error| HostsError::new(recording, error))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), HostsError> {
    let unreadable = |error: std::io::Error| HostsError::new(folder.display().to_string(), error);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
    Ok(())
}
