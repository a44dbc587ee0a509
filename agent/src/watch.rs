//! Drift in seconds: what the kernel can watch triggers the probes that read it, between their cadences.
//!
//! Nothing is listed by hand. Each round tells where every probe really read ([`Reads`]); from that come the places that
//! are watched: each name on the way to a file, each link and its target, the place where an absent file would appear, the
//! directory that was listed. So files replaced by rename, deleted and made anew, and directories that come later are seen.
//!
//! | source | watched by |
//! |---|---|
//! | files, links and directories | inotify(7) on their directories, events sorted by name |
//! | mounts | poll(2) on `/proc/self/mountinfo` (proc(5)) |
//! | network devices, addresses, routes, rules | rtnetlink(7) multicast groups |
//! | units of systemd | inotify on `/run/systemd/units`, where PID 1 keeps a link for each unit that runs, on the unit directories, and on the generators' directory, which a daemon-reload makes anew |
//!
//! D-Bus is not spoken: a client library is a third of the agent's memory, and PID 1 would wake the agent for every unit
//! there is. The multicast group of the audit system is not joined: it carries every audited event of the host with no
//! filter below the reader, so a busy host would make a busy agent; audit rules keep their cadence, their files are watched.
//!
//! **Bounds**, since users can change some of these files in a loop. Events are fetched at most ten times a second, in
//! between the kernel merges them; a directory with more than [`STORM`] events at once is let go for [`PAUSE`]. A probe is
//! looked at as [`Pace`] allows: bursts are free, then one look in five minutes, never more than a fifth of the time. A
//! look that finds the facts as they were makes no round. An overflow of the queue, a limit of watches, a directory let go:
//! the probes concerned keep their cadence, the facts of the probe `watch` say so, and the watch is taken up again.

mod events;
mod pace;
mod places;
mod reads;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evidence::id::ProbeId;
use evidence::time::Timestamp;
use rustix::fs::inotify;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use pace::Pace;
pub use places::Plan;
pub use reads::{Reads, Source};
pub use table::Table;

/// More events than this of one directory, fetched at once, are a storm.
pub const STORM: usize = 2_000;
/// How long a storm or an overflow is left alone.
pub const PAUSE: Duration = Duration::from_secs(60);

/// Why a probe is not triggered by changes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// It walks whole file systems.
    Walk,
    /// It asks only what the kernel cannot watch.
    NotWatchable,
    /// It reads more places than are worth a watch.
    TooManyPlaces,
    /// The host's limit of watches is reached (`fs.inotify.max_user_watches`), or there is no inotify at all.
    WatchLimit,
    /// The queue of events overflowed a moment ago.
    Overflow,
    /// One of its directories changes without end; it is let go for a moment.
    Storm,
}

/// What the facts say of watching: only states that last, so that facts change only when they do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchState {
    /// Probes that a change triggers within seconds.
    pub watched: Vec<String>,
    /// Probes that are looked at by their cadence only, and why.
    pub by_cadence: BTreeMap<String, Fallback>,
}

/// The watch of a running agent.
pub struct Watch {
    inotify: Option<Arc<OwnedFd>>,
    table: Mutex<Table>,
    /// There may be something to look at.
    pub wake: Notify,
}

impl Watch {
    /// A watch that knows no place yet. Without inotify (`fs.inotify.max_user_instances`) it watches no files.
    #[must_use]
    pub fn new() -> Watch {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = match inotify::init(flags) {
            Ok(inotify) => Some(Arc::new(inotify)),
            Err(error) => {
                tracing::warn!(%error, "no inotify; files keep their cadence (fs.inotify.max_user_instances)");
                None
            }
        };
        Watch {
            inotify,
            table: Mutex::new(Table::default()),
            wake: Notify::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that what these probes read is watched. May block as long as their reads did, so it belongs where
    /// probes run. `since` is when they began: what changed later is looked at once more.
    pub fn follow(&self, reads: BTreeMap<ProbeId, Reads>, since: Timestamp) {
        let now = Instant::now();
        let skipped: BTreeMap<ProbeId, Fallback> = {
            let table = self.table();
            reads
                .keys()
                .filter_map(|probe| Some((probe.clone(), table.paused(probe, now)?)))
                .collect()
        };
        let mut plan = Plan::new(self.inotify.clone(), since);
        for (probe, reads) in &reads {
            match skipped.get(probe) {
                Some(fallback) => plan.leave(probe, *fallback),
                None => plan.add(probe, reads),
            }
        }
        let unused = {
            let mut table = self.table();
            for (probe, reads) in &reads {
                table.pace.looked(probe, reads.took, now);
            }
            table.take(plan, now)
        };
        self.let_go(&unused);
        self.wake.notify_one();
    }

    fn let_go(&self, watches: &[i32]) {
        for watch in watches {
            if let Some(inotify) = &self.inotify {
                // It may be gone together with its directory.
                let _ = inotify::remove_watch(inotify, *watch);
            }
        }
    }

    /// The probes whose sources changed and that may be looked at now.
    #[must_use]
    pub fn ready(&self) -> BTreeSet<ProbeId> {
        self.table().pace.ready(Instant::now())
    }

    /// When [`Watch::ready`] may have something, as far as is known.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.table().pace.next()
    }

    /// The look at these probes came to nothing: they are looked at again.
    pub fn again(&self, probes: &BTreeSet<ProbeId>) {
        let (mut table, now) = (self.table(), Instant::now());
        for probe in probes {
            table.pace.changed(probe, now);
        }
    }

    /// Whether a look at the probe takes too long to be triggered, even by another probe of the same check.
    #[must_use]
    pub fn is_walk(&self, probe: &ProbeId) -> bool {
        self.table().is_walk(probe)
    }

    /// What there is to say about watching.
    #[must_use]
    pub fn state(&self) -> WatchState {
        self.table().state()
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}
