//! systemd-nspawn(1), the process that holds a host, and what it tells about the boot over sd_notify(3).

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use super::error::MachineError;
use super::program;

/// How long a host may take to come up. A boot takes a second; the rest is for machines that do much else.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// How often a silent boot is looked at, to see whether it died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Enters the control groups named before `--`, then becomes the command after it. The process must be there before the
/// supervisor's first look at them, and a child of ours cannot be moved between its fork and its start without unsafe code.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@""#;

/// What it takes to start a host.
pub(super) struct Start<'a> {
    /// Its name on the outer side.
    pub machine: &'a str,
    /// Its host name.
    pub name: &'a str,
    /// Its root file system.
    pub root: &'a Path,
    /// Where its console is written.
    pub console: &'a Path,
    /// Where the socket for its messages is made.
    pub socket: &'a Path,
    /// The network device to join.
    pub bridge: &'a str,
    /// The control groups to live in.
    pub control_groups: &'a [PathBuf],
}

/// The running systemd-nspawn of one host.
#[derive(Debug)]
pub(super) struct Supervisor {
    name: String,
    child: Child,
    console: PathBuf,
    messages: UnixDatagram,
    deadline: Instant,
    leader: u32,
    ready: bool,
}

impl Supervisor {
    pub(super) fn start(start: &Start<'_>) -> Result<Supervisor, MachineError> {
        let messages =
            UnixDatagram::bind(start.socket).map_err(MachineError::io("bind", start.socket))?;
        messages
            .set_read_timeout(Some(LOOK_EVERY))
            .map_err(MachineError::io("set up", start.socket))?;
        let output =
            File::create(start.console).map_err(MachineError::io("create", start.console))?;
        let errors = output
            .try_clone()
            .map_err(MachineError::io("open", start.console))?;
        let mut command = program::command("sh")?;
        command
            .env("NOTIFY_SOCKET", start.socket)
            // Debian hosts run on cgroup2 alone since Debian 11, whatever the outer machine still mounts.
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .args(["-c", ENTER, "sh"])
            .args(start.control_groups)
            .arg("--")
            .arg(program::find("systemd-nspawn")?)
            .arg("--directory")
            .arg(start.root)
            .arg(format!("--machine={}", start.machine))
            .arg(format!("--hostname={}", start.name))
            .arg(format!("--network-bridge={}", start.bridge))
            // No systemd on the outer machine: nobody to register with, no unit to be moved to.
            .args([
                "--register=no",
                "--keep-unit",
                "--notify-ready=yes",
                "--console=pipe",
            ])
            .args([
                "--resolv-conf=off",
                "--timezone=off",
                "--link-journal=no",
                "--boot",
            ])
            .stdout(output)
            .stderr(errors);
        let child = command
            .spawn()
            .map_err(MachineError::io("start", "systemd-nspawn"))?;
        Ok(Supervisor {
            name: start.name.to_owned(),
            child,
            console: start.console.to_owned(),
            messages,
            deadline: Instant::now() + BOOT_LIMIT,
            leader: 0,
            ready: false,
        })
    }

    /// The host's first process, by its number on the outer machine; 0 before it is known.
    pub(super) fn leader(&self) -> u32 {
        self.leader
    }

    /// Waits until the namespaces stand and the host's first process has begun.
    pub(super) fn wait_for_leader(&mut self) -> Result<(), MachineError> {
        while self.leader == 0 {
            self.hear()?;
        }
        Ok(())
    }

    /// Waits until the host's systemd says that it has started everything.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), MachineError> {
        while !self.ready {
            self.hear()?;
        }
        Ok(())
    }

    /// The error of a host that did not come up, with its console.
    pub(super) fn failed(&self, reason: String) -> MachineError {
        let console = fs::read(&self.console).unwrap_or_default();
        MachineError::Boot {
            name: self.name.clone(),
            reason,
            console: program::tail(&console),
        }
    }

    /// Collects the exit status of the dead process.
    pub(super) fn reap(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end the supervisor of host {}: {error}", self.name);
        }
    }

    /// Takes in one message, or the news that there was none for a while.
    fn hear(&mut self) -> Result<(), MachineError> {
        let mut message = [0; 4096];
        match self.messages.recv(&mut message) {
            Ok(length) => {
                self.understand(&String::from_utf8_lossy(&message[..length]));
                return Ok(());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(MachineError::io("hear from", "systemd-nspawn")(error)),
        }
        let ended = self
            .child
            .try_wait()
            .map_err(MachineError::io("look at", "systemd-nspawn"))?;
        if let Some(status) = ended {
            return Err(self.failed(format!("systemd-nspawn ended with {status}")));
        }
        if Instant::now() > self.deadline {
            return Err(self.failed(format!("it was not up after {BOOT_LIMIT:?}")));
        }
        Ok(())
    }

    fn understand(&mut self, message: &str) {
        for line in message.lines() {
            if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                self.leader = pid.parse().unwrap_or(0);
            }
            self.ready |= line == "READY=1";
        }
    }
}
