//! Fetching what the kernel tells: inotify(7), the table of mounts, rtnetlink(7).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{ReadFlags, Reader};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use super::reads::Source;
use super::{STORM, Watch};

/// An event is fetched this much later, with all that came meanwhile.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// After a fetch that left something.
const BREATH: Duration = Duration::from_secs(1);
/// Most events fetched at once: the usual length of the kernel's queue, and the event that says that it overflowed.
const MAX_EVENTS: usize = 16_384 + 1_000;
/// Bytes fetched by one read(2).
const BUFFER_BYTES: usize = 32 * 1024;
/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, _ROUTE and _RULE, RTMGRP_IPV6_IFADDR and _ROUTE, and the group of IPv6 rules
/// (linux/rtnetlink.h).
const NETWORK_GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | (1 << 18);
/// Most messages of the network fetched at once.
const MAX_MESSAGES: usize = 1_000;

/// What happened in one directory.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) names: BTreeSet<String>,
    pub(super) count: usize,
    /// The directory itself was moved, removed or unmounted.
    pub(super) gone: bool,
}

/// What was fetched at once, by watch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changes: BTreeMap<i32, Changes>,
    pub(super) overflow: bool,
}

/// Bytes of stack of the thread that waits.
const STACK_BYTES: usize = 256 * 1024;

/// What is waited for.
struct Sources {
    files: Option<Arc<OwnedFd>>,
    mounts: Option<File>,
    network: Option<OwnedFd>,
}

/// Which of them has something to tell.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    files: bool,
    mounts: bool,
    network: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "not to be woken for a while is what this thread is for"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

impl Watch {
    /// Waits on a thread of its own for what the kernel tells, until the process ends. What it cannot be asked for keeps
    /// its cadence.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(self: &Arc<Watch>) -> std::io::Result<()> {
        let watch = self.clone();
        let sources = Sources::open(self.inotify.clone());
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(STACK_BYTES);
        thread.spawn(move || watch.listen(&sources))?;
        Ok(())
    }

    fn listen(&self, sources: &Sources) {
        loop {
            let Some(told) = sources.wait() else {
                tracing::warn!("changes cannot be waited for; everything keeps its cadence");
                return;
            };
            pause(DEBOUNCE);
            let more = self.fetch(told, sources);
            self.wake.notify_one();
            if more {
                pause(BREATH);
            }
        }
    }

    /// Fetches what was told; says whether there is more.
    fn fetch(&self, told: Told, sources: &Sources) -> bool {
        let now = Instant::now();
        let mut more = false;
        if told.mounts {
            self.table().source_changed(Source::Mounts, now);
        }
        if told.network {
            more |= sources.network.as_ref().is_some_and(drain);
            self.table().source_changed(Source::Network, now);
        }
        if let Some(inotify) = sources.files.as_ref().filter(|_| told.files) {
            let (batch, left) = batch(inotify);
            more |= left;
            let gone = self.table().happened(&batch, now);
            self.let_go(&gone);
        }
        more
    }
}

impl Sources {
    fn open(files: Option<Arc<OwnedFd>>) -> Sources {
        let mounts = File::open("/proc/self/mountinfo")
            .inspect_err(|error| tracing::warn!(%error, "mounts are seen by cadence"))
            .ok();
        let network = subscribe()
            .inspect_err(
                |error| tracing::warn!(%error, "changes of the network are seen by cadence"),
            )
            .ok();
        Sources {
            files,
            mounts,
            network,
        }
    }

    /// `None` if there is nothing to wait for.
    fn wait(&self) -> Option<Told> {
        let files = self.files.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN));
        let mounts = self.mounts.as_ref().map(|fd| (fd.as_fd(), PollFlags::PRI));
        let network = self.network.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN));
        let open = [files, mounts, network];
        let mut fds: Vec<PollFd<'_>> = open
            .iter()
            .flatten()
            .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        if fds.is_empty() {
            return None;
        }
        loop {
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Err(_) => return None,
                Ok(_) => break,
            }
        }
        let mut happened = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut told = |source: bool| source && happened.next().unwrap_or_default();
        Some(Told {
            files: told(self.files.is_some()),
            mounts: told(self.mounts.is_some()),
            network: told(self.network.is_some()),
        })
    }
}

fn batch(inotify: impl AsFd) -> (Batch, bool) {
    let mut batch = Batch::default();
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(inotify, &mut buffer);
    for _ in 0..MAX_EVENTS {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::INTR) => continue,
            Err(_) => return (batch, false),
        };
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            batch.overflow = true;
            continue;
        }
        let changes = batch.changes.entry(event.wd()).or_default();
        changes.count += 1;
        let itself = ReadFlags::DELETE_SELF
            .union(ReadFlags::MOVE_SELF)
            .union(ReadFlags::UNMOUNT)
            .union(ReadFlags::IGNORED);
        changes.gone |= event.events().intersects(itself);
        if let Some(name) = event.file_name()
            && changes.count <= STORM
        {
            let name = name.to_string_lossy();
            if !changes.names.contains(&*name) {
                changes.names.insert(name.into_owned());
            }
        }
    }
    (batch, true)
}

/// A socket that hears of changes of devices, addresses, routes and rules; nothing is asked.
fn subscribe() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // NETLINK_ROUTE is protocol 0, the default.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, NETWORK_GROUPS))?;
    Ok(socket)
}

/// Takes what the socket holds; that something came is all that matters. Says whether there is more.
fn drain(socket: &OwnedFd) -> bool {
    let mut message = [0_u8; 512];
    for _ in 0..MAX_MESSAGES {
        match recv(socket, &mut message[..], RecvFlags::TRUNC) {
            // What was dropped for want of room is as good as heard.
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return false,
        }
    }
    true
}
