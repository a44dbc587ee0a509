//! The agent as a service: rounds when they are due, statements on their way, and an orderly end.
//!
//! One thread runs everything but the looks at the host, which are processes of their own ([`crate::examiner`]) with a thread
//! to wait for them. The first round after a start judges every check. Between the rounds that are due, a change of what
//! probes read ([`crate::watch`]) makes one of the checks concerned, if their facts are others than before. On SIGTERM a
//! round that is being made is waited for briefly; whatever happens then, the spool says what was signed
//! ([`crate::chain`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crypto::SystemRandom;
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::Outcome;
use evidence::time::{Clock, SystemClock, Timestamp};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, sleep, timeout};

use crate::chain::{Chain, ChainError, Program};
use crate::collector::Collector;
use crate::config::Config;
use crate::examine::{Planned, Seen};
use crate::examiner::{Apart, Examiner};
use crate::identity::Identity;
use crate::in_force::InForce;
use crate::machine;
use crate::round::{self, RoundError, Summary, Wanted};
use crate::schedule::Schedule;
use crate::ship::{Parts, Shipper};
use crate::state::{StateDir, StateError};
use crate::watch::Watch;

/// The wall clock is looked at this often at least: it may be set, and the machine may sleep.
const LOOK: Duration = Duration::from_secs(60);
/// After a round that could not be kept.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// How long a round may still take when the agent is told to stop.
const STOPPING: Duration = Duration::from_secs(10);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// No place in a log.
    #[error("{0} is not enrolled; run `assay-agent enrol` first")]
    NotEnrolled(String),
    /// What the operating system refused.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |source| DaemonError::System { action, source }
}

/// A running agent.
struct Daemon {
    state: StateDir,
    examiner: Arc<dyn Examiner>,
    clock: Arc<dyn Clock>,
    chain: Arc<Mutex<Chain>>,
    in_force: Option<Arc<InForce>>,
    schedule: Option<Schedule>,
    wake: Arc<Notify>,
    watch: Arc<Watch>,
    seen: Arc<Mutex<Seen>>,
    running: Option<Running>,
    not_before: Option<Instant>,
}

/// A round that is being made.
struct Running {
    checks: BTreeSet<CheckId>,
    /// When its checks were due; `None` if a change triggered it.
    due: Option<Timestamp>,
    /// The probes whose change triggered it.
    changed: BTreeSet<ProbeId>,
    task: JoinHandle<Result<Option<Summary>, RoundError>>,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// [`DaemonError`] if it cannot start.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let state = StateDir::open(&config.state)?;
    let _lock = state.lock()?;
    let identity = Identity::load(&state)?
        .ok_or_else(|| DaemonError::NotEnrolled(config.state.display().to_string()))?;
    let mut term = signal(SignalKind::terminate()).map_err(system("listen for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for signals"))?;
    let policy = identity.enrolment.policy_key;
    let examiner: Arc<dyn Examiner> = Arc::new(Apart::new(
        config.settings.clone(),
        config.observe.connect_to_own_listeners,
    ));
    let in_force = InForce::load(&state, &policy, &*examiner).unwrap_or_else(|error| {
        tracing::error!(%error, "the stored bundle is not used; asking the collector for one");
        None
    });
    let in_use = in_force.as_ref().map(|one| one.reference.sha256);
    let mut daemon = Daemon::open(&config, state, identity, examiner)?;
    let (sender, mut bundles) = mpsc::unbounded_channel();
    let shipper = tokio::spawn(
        Shipper::new(Parts {
            chain: daemon.chain.clone(),
            state: daemon.state.clone(),
            collector: Collector::new(config.collector, &config.ca),
            clock: daemon.clock.clone(),
            random: Box::new(SystemRandom),
            examiner: daemon.examiner.clone(),
            bundles: sender,
            in_use,
        })
        .run(daemon.wake.clone()),
    );
    if let Some(in_force) = in_force {
        daemon.judge_by(in_force);
    }
    daemon.watch.start().map_err(system("start a thread"))?;
    notify(&[NotifyState::Ready]);
    tracing::info!("ready");
    let mut watchdog = watchdog();
    loop {
        tokio::select! {
            () = stop(&mut term, &mut interrupt) => break,
            _ = watchdog.tick() => notify(&[NotifyState::Watchdog]),
            Some(in_force) = bundles.recv() => daemon.judge_by(in_force),
            () = daemon.step() => {}
        }
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    // Stopped between two awaits: a statement is either acknowledged or still in the spool.
    shipper.abort();
    daemon.finish().await;
    tracing::info!("stopped");
    Ok(())
}

async fn stop(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Ticks twice in the time that systemd allows, or almost never where no watchdog is set.
fn watchdog() -> tokio::time::Interval {
    let period = sd_notify::watchdog_enabled().map_or(Duration::from_secs(24 * 3600), |time| {
        (time / 2).max(Duration::from_millis(100))
    });
    interval_at(Instant::now() + period, period)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

impl Daemon {
    fn open(
        config: &Config,
        state: StateDir,
        identity: Identity,
        examiner: Arc<dyn Examiner>,
    ) -> Result<Daemon, DaemonError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let program = Program {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary: machine::binary_digest().map_err(system("read the running program"))?,
            boot: machine::boot_id(),
        };
        let enrolment = identity.enrolment.clone();
        let chain = Chain::open(state.clone(), identity, program, config.spool, &*clock)?;
        let (waiting, bytes, _) = chain.spool().load();
        tracing::info!(
            agent = %enrolment.agent,
            epoch = enrolment.epoch,
            group = %enrolment.group,
            next = chain.next().seq,
            waiting,
            bytes,
            "opened"
        );
        Ok(Daemon {
            state,
            examiner,
            clock,
            chain: Arc::new(Mutex::new(chain)),
            in_force: None,
            schedule: None,
            wake: Arc::new(Notify::new()),
            watch: Arc::new(Watch::new()),
            seen: Arc::new(Mutex::new(Seen::new())),
            running: None,
            not_before: None,
        })
    }

    /// Judges by this bundle from now on; all its checks are due at once.
    fn judge_by(&mut self, in_force: InForce) {
        let key = self
            .chain
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .identity()
            .enrolment
            .key;
        self.schedule = Some(Schedule::new(&in_force.plan, &key));
        self.in_force = Some(Arc::new(in_force));
    }

    /// Waits for the round that is being made, or until one is due, and starts it.
    ///
    /// Cancelled at any await without loss: what it waits for is in `self`.
    async fn step(&mut self) {
        if let Some(running) = &mut self.running {
            let ended = (&mut running.task).await;
            self.ended(ended);
            return;
        }
        let now = self.clock.now();
        if let Some(not_before) = self.not_before
            && Instant::now() < not_before
        {
            tokio::time::sleep_until(not_before).await;
            return;
        }
        let due = self.schedule.as_ref().map(|schedule| schedule.due(now));
        match (due, self.in_force.clone()) {
            (Some(due), Some(in_force)) if !due.is_empty() => {
                self.start(in_force, due, Some(now));
            }
            _ if self.start_what_changed() => {}
            _ => {
                let next = self.schedule.as_ref().and_then(|one| one.next(now));
                let wait = next.map_or(LOOK, |next| {
                    Duration::from_millis(u64::try_from(next.ms_since(now)).unwrap_or_default())
                });
                let changes = self.watch.next().map_or(LOOK, |next| {
                    next.saturating_duration_since(std::time::Instant::now())
                });
                tokio::select! {
                    () = sleep(wait.min(LOOK).min(changes)) => {}
                    () = self.watch.wake.notified() => {}
                }
            }
        }
    }

    /// Starts a look at the checks whose sources changed; says whether there are any.
    fn start_what_changed(&mut self) -> bool {
        let Some(in_force) = self.in_force.clone() else {
            return false;
        };
        let probes = self.watch.ready();
        let reads = |check: &Planned| {
            let mut own = check.probes.iter();
            own.clone().any(|probe| probes.contains(probe))
                && !own.any(|probe| self.watch.is_walk(probe))
        };
        let concerned = in_force.plan.checks.iter();
        let checks: BTreeSet<CheckId> = concerned
            .filter(|(_, check)| reads(check))
            .map(|(id, _)| id.clone())
            .collect();
        if checks.is_empty() {
            return false;
        }
        tracing::debug!(?probes, checks = checks.len(), "changed");
        self.start(in_force, checks, None);
        if let Some(running) = &mut self.running {
            running.changed = probes;
        }
        true
    }

    fn start(&mut self, in_force: Arc<InForce>, checks: BTreeSet<CheckId>, due: Option<Timestamp>) {
        let (examiner, chain) = (self.examiner.clone(), self.chain.clone());
        let (clock, state, wanted) = (self.clock.clone(), self.state.clone(), checks.clone());
        let (watch, seen) = (self.watch.clone(), self.seen.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = Wanted {
                examiner: &*examiner,
                in_force: &in_force,
                checks: &wanted,
                only_if_changed: due.is_none(),
                watching: watch.state(),
            };
            let random = &mut SystemRandom;
            let made = round::make(&wanted, &state, &mut seen, &chain, &*clock, random)?;
            watch.follow(made.reads, made.start);
            Ok(made.summary)
        });
        self.running = Some(Running {
            checks,
            due,
            changed: BTreeSet::new(),
            task,
        });
    }

    fn ended(
        &mut self,
        ended: Result<Result<Option<Summary>, RoundError>, tokio::task::JoinError>,
    ) {
        let Some(running) = self.running.take() else {
            return;
        };
        if !matches!(ended, Ok(Ok(_))) {
            self.watch.again(&running.changed);
        }
        match ended {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(summary))) => {
                tracing::info!(
                    seq = summary.seq,
                    pass = summary.count(Outcome::Pass),
                    fail = summary.count(Outcome::Fail),
                    error = summary.count(Outcome::Error),
                    not_applicable = summary.count(Outcome::NotApplicable),
                    observed_ms = summary.observed_ms,
                    triggered = running.due.is_none(),
                    "round"
                );
                if let (Some(schedule), Some(due)) = (&mut self.schedule, running.due) {
                    schedule.judged(&running.checks, due);
                }
                self.not_before = None;
                self.wake.notify_one();
            }
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "no round; trying again in a minute");
                self.not_before = Some(Instant::now() + AFTER_FAILURE);
            }
            Err(error) => {
                tracing::error!(%error, "the round broke off; trying again in a minute");
                self.not_before = Some(Instant::now() + AFTER_FAILURE);
            }
        }
    }

    /// Lets the round that is being made come to its end, for a while.
    async fn finish(&mut self) {
        if let Some(running) = &mut self.running
            && timeout(STOPPING, &mut running.task).await.is_err()
        {
            tracing::warn!("the round that was being made is given up; it has no number");
        }
    }
}
