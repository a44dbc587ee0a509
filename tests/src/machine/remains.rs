//! What a host leaves on the outer machine, and how it is cleared: its processes, control groups, folder and network device.
//!
//! A record of these is written before the first of them is made and removed after the last is gone. So a host is cleared when its
//! owner is dropped, also by a panic, and when the test's process was killed, by the next test that looks for abandoned records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::error::MachineError;
use super::image::remove_tree;

/// How long killed processes may take to be gone: they may have to finish a write first.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// Where systemd-nspawn leaves a folder per machine when it is killed.
const PROPAGATE: &str = "/run/systemd/nspawn/propagate";

/// What one host leaves behind; clears it when dropped.
#[derive(Debug)]
pub(super) struct Remains {
    record: PathBuf,
    left: Left,
    cleared: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Left {
    machine: String,
    folder: PathBuf,
    control_groups: Vec<PathBuf>,
}

impl Remains {
    /// Writes the record of a host that is about to be made; makes its control groups and its empty folder.
    pub(super) fn begin(
        record: PathBuf,
        machine: &str,
        folder: PathBuf,
    ) -> Result<Remains, MachineError> {
        let control_groups = own_control_groups()?
            .iter()
            .map(|group| group.join(machine))
            .collect();
        let left = Left {
            machine: machine.to_owned(),
            folder,
            control_groups,
        };
        let text = serde_json::to_vec(&left).map_err(|error| MachineError::Io {
            doing: "write",
            path: record.clone(),
            source: error.into(),
        })?;
        fs::write(&record, text).map_err(MachineError::io("write", &record))?;
        let remains = Remains {
            record,
            left,
            cleared: false,
        };
        for folder in remains
            .left
            .control_groups
            .iter()
            .chain([&remains.left.folder])
        {
            fs::create_dir_all(folder).map_err(MachineError::io("create", folder))?;
        }
        Ok(remains)
    }

    /// Takes up the record of a host whose test was killed. One that is incomplete was being written: nothing was made yet.
    pub(super) fn abandoned(record: PathBuf) -> Result<Option<Remains>, MachineError> {
        let text = fs::read(&record).map_err(MachineError::io("read", &record))?;
        let left = serde_json::from_slice(&text).ok();
        Ok(left.map(|left| Remains {
            record,
            left,
            cleared: false,
        }))
    }

    /// The control groups, one per hierarchy, that the host's supervisor has to enter before it starts.
    pub(super) fn control_groups(&self) -> &[PathBuf] {
        &self.left.control_groups
    }

    /// Kills every process of the host and removes everything it had.
    pub(super) fn clear(&mut self) -> Result<(), MachineError> {
        if self.cleared {
            return Ok(());
        }
        self.cleared = true;
        self.kill()?;
        for group in &self.left.control_groups {
            remove_groups(group)?;
        }
        remove_tree(&Path::new(PROPAGATE).join(&self.left.machine))?;
        remove_tree(&self.left.folder)?;
        fs::remove_file(&self.record).map_err(MachineError::io("remove", &self.record))
    }

    fn kill(&self) -> Result<(), MachineError> {
        let deadline = Instant::now() + DEATH_LIMIT;
        loop {
            let mut pids = Vec::new();
            for group in &self.left.control_groups {
                members(group, &mut pids)?;
            }
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(MachineError::Survivors {
                    machine: self.left.machine.clone(),
                    pids,
                });
            }
            for pid in pids {
                kill_and_wait(pid)
                    .map_err(MachineError::io("kill a process of", &self.left.folder))?;
            }
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("cannot clear what host {} left: {error}", self.left.machine);
        }
    }
}

/// Kills one process and waits up to a second until it is dead (a dead one that nobody has waited for counts as dead).
fn kill_and_wait(pid: i32) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        other => other?,
    };
    match pidfd_send_signal(&process, Signal::KILL) {
        Err(Errno::SRCH) => return Ok(()),
        other => other?,
    }
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&second))?;
    Ok(())
}

/// The processes of a control group and of all below it.
fn members(group: &Path, pids: &mut Vec<i32>) -> Result<(), MachineError> {
    let list = group.join("cgroup.procs");
    match fs::read_to_string(&list) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(MachineError::io("read", list)(error)),
    }
    for child in children(group)? {
        members(&child, pids)?;
    }
    Ok(())
}

/// Removes a control group and all below it, deepest first.
fn remove_groups(group: &Path) -> Result<(), MachineError> {
    for child in children(group)? {
        remove_groups(&child)?;
    }
    let deadline = Instant::now() + DEATH_LIMIT;
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // The kernel lets go of a group a moment after its last process died.
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                std::thread::yield_now()
            }
            other => return other.map_err(MachineError::io("remove", group)),
        }
    }
}

fn children(group: &Path) -> Result<Vec<PathBuf>, MachineError> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(MachineError::io("list", group))?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(MachineError::io("list", group))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// The control groups of this process in the hierarchies that systemd lives in: cgroup2, and `name=systemd` where the outer
/// machine still mounts version 1 (cgroups(7)). Two hosts must not share one, or each would tidy up the other's services.
fn own_control_groups() -> Result<Vec<PathBuf>, MachineError> {
    const MEMBERSHIP: &str = "/proc/self/cgroup";
    const MOUNTS: &str = "/proc/self/mounts";
    let membership =
        fs::read_to_string(MEMBERSHIP).map_err(MachineError::io("read", MEMBERSHIP))?;
    let mounts = fs::read_to_string(MOUNTS).map_err(MachineError::io("read", MOUNTS))?;
    let groups = groups_of(&membership, &mounts);
    if groups.is_empty() {
        Err(MachineError::NoControlGroup)
    } else {
        Ok(groups)
    }
}

fn groups_of(membership: &str, mounts: &str) -> Vec<PathBuf> {
    let mut groups = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(point), Some(kind), Some(options)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let controllers = match kind {
            "cgroup2" => "",
            "cgroup" if options.split(',').any(|option| option == "name=systemd") => "name=systemd",
            _ => continue,
        };
        let own = membership.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (of, path) = rest.split_once(':')?;
            (of == controllers).then_some(path)
        });
        if let Some(own) = own {
            groups
                .push(Path::new(point).join(own.trim_start_matches("/..").trim_start_matches('/')));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_on_hybrid_and_on_unified_machines() {
        let hybrid = groups_of(
            "9:name=systemd:/ci\n4:memory:/other\n0::/\n",
            "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
             cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
        );
        assert_eq!(
            hybrid,
            [
                Path::new("/sys/fs/cgroup/systemd/ci"),
                Path::new("/sys/fs/cgroup/unified")
            ]
        );
        let unified = groups_of(
            "0::/user.slice/a.scope\n",
            "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n",
        );
        assert_eq!(unified, [Path::new("/sys/fs/cgroup/user.slice/a.scope")]);
    }
}
