//! `assay-agent check`: one look, without a collector or an identity.

mod json;
mod memory;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use agent::config::Config;
use agent::examine;
use agent::host::{AllowedFile, Host, RecordedHost};
use agent::probe::{self, VolatileMemory};
use clap::ValueEnum;
use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::check::Check;
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::time::{Clock, FixedClock, SystemClock, Timestamp};
use serde_json::Value;

use memory::LookMemory;

use super::policy::{self, PolicyArguments};
use super::{Exit, known_check, print, print_plain, target};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all checks pass or are not applicable, 1 a check fails (whatever else), 2 a check could not be judged \
and none fails, 64 wrong usage. Run as root to see everything: what an ordinary user may not read is an error with \
reason permission_denied.")]
pub(crate) struct Arguments {
    /// Table for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Judge the unpacked root file system in this directory as it would be after boot, instead of this host.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Judge the host of this recording, as `record` writes it, at the time it was recorded.
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    recorded: Option<PathBuf>,
    /// Connect to TLS listeners of this very host to see what they accept; no other host is ever asked.
    #[arg(long)]
    connect_to_own_listeners: bool,
    /// The agent's configuration: named settings are read as far as it allows them, else not at all.
    #[arg(long, value_name = "FILE", conflicts_with = "recorded")]
    config: Option<PathBuf>,
    /// Judge only this check; may be given several times.
    #[arg(long, value_name = "ID")]
    check: Vec<String>,
    /// Judge as if no look had been before, and keep nothing for the next. Else root's looks at this host remember, in
    /// /var/cache/assay, when an update was first seen and which programs were verified.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    policy: PolicyArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Everything there is to show.
pub(crate) struct Report {
    hostname: String,
    os: String,
    root: Option<PathBuf>,
    /// Whether the host is the one that this runs on.
    here: bool,
    live: bool,
    start: Timestamp,
    end: Timestamp,
    bundle: Bundle,
    digest: Digest,
    facts: FactSet,
    outcomes: Outcomes,
    observed: BTreeMap<CheckId, Value>,
}

impl Report {
    /// The outcomes with their checks.
    fn judged(&self) -> impl Iterator<Item = (&CheckId, &Check, Judgement)> {
        self.outcomes.iter().filter_map(|(id, judgement)| {
            self.bundle
                .checks
                .get(id)
                .map(|check| (id, check, *judgement))
        })
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.outcomes
            .values()
            .filter(|judgement| judgement.outcome == outcome)
            .count()
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let report = report(arguments)?;
    match arguments.format {
        Format::Table => print(&table::render(&report))?,
        Format::Json => print_plain(&json::render(&report)?)?,
    }
    Ok(if report.count(Outcome::Fail) > 0 {
        Exit::Fail
    } else if report.count(Outcome::Error) > 0 {
        Exit::Error
    } else {
        Exit::Done
    })
}

fn report(arguments: &Arguments) -> anyhow::Result<Report> {
    let bundle = policy::bundle(&arguments.policy)?;
    let digest = bundle.digest()?;
    let checks = wanted(&bundle, &arguments.check)?;
    let bundle = bundle.for_hosts();
    let (host, clock): (Box<dyn Host>, Box<dyn Clock>) = match &arguments.recorded {
        Some(recording) => {
            let host = RecordedHost::load(recording)?;
            let clock = FixedClock::at(host.now());
            (Box::new(host), Box::new(clock))
        }
        None => (
            Box::new(
                target::host(arguments.root.as_deref())?
                    .with_own_listeners(arguments.connect_to_own_listeners)
                    .allowing(settings(arguments)?),
            ),
            Box::new(SystemClock::new()),
        ),
    };
    let here = host.is_live() && arguments.recorded.is_none();
    let evaluator = Evaluator::of(&bundle, &checks);
    let remembers = here && !arguments.fresh && rustix::process::geteuid().is_root();
    let mut memory = LookMemory::of(remembers.then_some(Path::new(memory::FOLDER)));
    let observed = examine::observe(&*host, &bundle, &checks, &mut memory, &*clock);
    memory.keep();
    let judged = evaluator.report(&checks, &observed.facts, observed.end)?;
    let (mut outcomes, mut shown) = (Outcomes::new(), BTreeMap::new());
    for (id, (judgement, found)) in judged {
        outcomes.insert(id.clone(), judgement);
        shown.insert(id, found);
    }
    if !host.is_live() {
        outcomes.values_mut().for_each(tell_offline);
    }
    Ok(Report {
        hostname: hostname(&*host, here),
        os: os_name(&*host, &observed.facts),
        root: arguments.root.clone(),
        here,
        live: host.is_live(),
        start: observed.start,
        end: observed.end,
        digest,
        observed: shown,
        facts: observed.facts,
        outcomes,
        bundle,
    })
}

/// What the configuration allows to be read as settings.
fn settings(arguments: &Arguments) -> anyhow::Result<Vec<AllowedFile>> {
    Ok(match &arguments.config {
        Some(path) => Config::load(path)?.settings,
        None => Vec::new(),
    })
}

fn wanted(bundle: &Bundle, named: &[String]) -> anyhow::Result<BTreeSet<CheckId>> {
    if named.is_empty() {
        let own = bundle.checks.iter();
        let own = own.filter(|(_, check)| check.judged_by.is_host());
        return Ok(own.map(|(id, _)| id.clone()).collect());
    }
    named
        .iter()
        .map(|text| {
            let id = known_check(bundle, text)?;
            anyhow::ensure!(
                bundle.checks[&id].judged_by.is_host(),
                "{id} is judged by the collector, from its ledger: no host can say it of itself (`assay-agent explain {id}`)"
            );
            Ok(id)
        })
        .collect()
}

/// That only a live kernel can tell is no failure of the look at an image. Signed rounds never get here: they are live.
fn tell_offline(judgement: &mut Judgement) {
    if *judgement == Judgement::error(Reason::OfflineRoot) {
        judgement.outcome = Outcome::NotApplicable;
    }
}

pub(super) fn hostname(host: &dyn Host, here: bool) -> String {
    if here {
        return agent::machine::hostname();
    }
    let name = host.read("/etc/hostname", 1024).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

pub(super) fn os_name(host: &dyn Host, facts: &FactSet) -> String {
    let Ok(system) = "system".parse::<ProbeId>() else {
        return "unknown".to_owned();
    };
    let looked;
    let facts = match facts.get(&system) {
        Some(facts) => facts,
        None => {
            let now = Timestamp::from_unix_ms(0);
            looked = probe::observe_all(host, &mut VolatileMemory::default(), now, [&system]);
            match looked.get(&system) {
                Some(facts) => facts,
                None => return "unknown".to_owned(),
            }
        }
    };
    let name = facts.members().get("name").and_then(Value::as_str);
    name.unwrap_or("unknown").to_owned()
}
