//! Real Debian hosts: booted by their own systemd in namespaces of this machine, on a network of their own.
//!
//! A host is a copy of an [`Image`] under systemd-nspawn(1), which needs neither a hypervisor nor a systemd on the outer machine.
//! It has its own processes, users, network, machine id and ssh host keys; the kernel, its clock and `/sys` are the outer machine's.
//!
//! ```no_run
//! use acceptance::machine::{Image, Machine, Network};
//! let network = Network::create()?;
//! let host = Machine::boot(&Image::debian("bookworm")?, &network, "web01")?;
//! let sshd = host.run(&["systemctl", "is-active", "ssh"])?;
//! # Ok::<(), acceptance::machine::MachineError>(())
//! ```
//!
//! Dropping a [`Machine`] pulls its plug and removes all it had. What a killed test leaves is removed by the next
//! [`Network::create`].

mod archive;
mod error;
mod files;
mod image;
mod layer;
mod network;
mod pacman;
mod program;
mod remains;
mod rpm;
mod supervisor;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crypto::{Random as _, SystemRandom};

pub use error::MachineError;
pub use image::{Image, install};
pub use layer::{Layers, Mounted, run_inside};
pub use network::Network;
pub use pacman::PacmanRepository;
pub use rpm::{Installer, Package, Repository};

use network::Seat;
use remains::Remains;
use supervisor::Supervisor;

/// How long a program may run inside a host. Generous, because it only ends hopeless waiting.
const EXEC_LIMIT: Duration = Duration::from_secs(300);

/// The exit status of timeout(1) for a command that it had to stop.
const TIMED_OUT: i32 = 124;

/// A running host.
#[derive(Debug)]
pub struct Machine {
    name: String,
    address: Ipv4Addr,
    disk: PathBuf,
    supervisor: Supervisor,
    remains: Remains,
    /// Keeps the network up as long as a host is on it.
    _network: Network,
}

impl Machine {
    /// Boots a copy of `image` as host `name` on `network` and waits until its systemd has started everything.
    ///
    /// The host may be `degraded` afterwards: ask [`Machine::exec`] for `systemctl --failed`.
    ///
    /// # Errors
    /// A missing program or privilege, a name that is no host name, a host that does not come up (with its console).
    pub fn boot(image: &Image, network: &Network, name: &str) -> Result<Machine, MachineError> {
        check_name(name)?;
        let Seat {
            machine,
            address,
            record,
        } = network.take_seat()?;
        let folder = image::machine_folder(&machine)?;
        let socket = record.with_extension("notify");
        let remains = Remains::begin(record, &machine, folder.clone())?;
        let root = folder.join("root");
        image.copy_to(&root)?;
        give_identity(&root, name)?;
        let start = supervisor::Start {
            machine: &machine,
            name,
            root: &root,
            console: &folder.join("console.log"),
            socket: &socket,
            bridge: &network.device(),
            control_groups: remains.control_groups(),
        };
        let supervisor = Supervisor::start(&start)?;
        let mut host = Machine {
            name: name.to_owned(),
            address,
            disk: root,
            supervisor,
            remains,
            _network: network.clone(),
        };
        host.supervisor.wait_for_leader()?;
        host.connect(network)?;
        host.supervisor.wait_until_ready()?;
        host.check_state()?;
        Ok(host)
    }

    /// The host's name, as it knows itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's address on its network.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The host's root file system as a folder of the outer machine: its disk, without what it mounts while it runs.
    #[must_use]
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// Runs a program inside the host as root and returns how it ended and what it printed. Its name is looked up there.
    ///
    /// # Errors
    /// The program could not be run at all, or ran longer than five minutes. A failing program is no error here.
    pub fn exec(&self, argv: &[&str]) -> Result<Output, MachineError> {
        let mut command = self.entered("timeout")?;
        let output = command
            .args(argv)
            .output()
            .map_err(MachineError::io("run", "nsenter"))?;
        if output.status.code() == Some(TIMED_OUT) {
            return Err(MachineError::TooSlow {
                name: self.name.clone(),
                command: argv.join(" "),
                limit: EXEC_LIMIT,
            });
        }
        Ok(output)
    }

    /// Runs a program inside the host as root and returns what it printed; anything but success is an error.
    ///
    /// # Errors
    /// As [`Machine::exec`], and a program that fails.
    pub fn run(&self, argv: &[&str]) -> Result<String, MachineError> {
        let output = self.exec(argv)?;
        program::succeeded(&format!("{} on host {}", argv.join(" "), self.name), output)
    }

    /// Writes a file inside the host, by truncating it if it is there, and sets its mode. Its folder must exist.
    ///
    /// Links are followed as the host itself would follow them, never out of it.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn write_file(
        &self,
        path: &str,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<(), MachineError> {
        files::write(self.supervisor.leader(), path, contents.as_ref(), mode)
    }

    /// Reads a file inside the host, of at most 64 MiB.
    ///
    /// # Errors
    /// What the kernel refused, or a longer file.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, MachineError> {
        files::read(self.supervisor.leader(), path)
    }

    /// Copies a file of the outer machine, such as a program just built, to `path` inside the host, with its mode.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn copy_in(&self, from: &Path, path: &str) -> Result<(), MachineError> {
        files::copy_in(self.supervisor.leader(), from, path)
    }

    /// nsenter(1) into all namespaces of the host's first process, with a limit on the time.
    fn entered(&self, limiter: &'static str) -> Result<Command, MachineError> {
        let mut command = program::command(limiter)?;
        command
            .arg("--kill-after=5")
            .arg(EXEC_LIMIT.as_secs().to_string())
            .arg(program::find("nsenter")?)
            .arg("--target")
            .arg(self.supervisor.leader().to_string())
            .args(["--all", "--root", "--wd", "--"]);
        Ok(command)
    }

    /// Gives the host's network device its address and makes the outer machine its gateway, with the outer machine's ip(8).
    fn connect(&self, network: &Network) -> Result<(), MachineError> {
        let leader = self.supervisor.leader().to_string();
        let ip = program::find("ip")?.to_string_lossy().into_owned();
        let address = format!("{}/24", self.address);
        let gateway = network.outer_address().to_string();
        for arguments in [
            &["address", "add", &address, "dev", "host0"][..],
            &["link", "set", "host0", "up"],
            &["route", "add", "default", "via", &gateway],
        ] {
            program::run(
                "nsenter",
                &[&["--target", &leader, "--net", "--", &ip], arguments].concat(),
            )?;
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), MachineError> {
        let output = self.exec(&["systemctl", "is-system-running", "--wait"])?;
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match state.as_str() {
            "running" | "degraded" => Ok(()),
            _ => Err(self
                .supervisor
                .failed(format!("its systemd says {state:?}"))),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.remains.clear() {
            eprintln!("cannot clear host {}: {error}", self.name);
        }
        self.supervisor.reap();
    }
}

fn check_name(name: &str) -> Result<(), MachineError> {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let inner_hyphens = !name.starts_with('-') && !name.ends_with('-');
    if letters && inner_hyphens && (1..=63).contains(&name.len()) {
        Ok(())
    } else {
        Err(MachineError::HostName {
            name: name.to_owned(),
        })
    }
}

/// What the first boot of an installed server makes: a name, a machine id (machine-id(5)) and ssh host keys.
fn give_identity(root: &Path, name: &str) -> Result<(), MachineError> {
    image::write(root, "etc/hostname", &format!("{name}\n"))?;
    image::write(
        root,
        "etc/hosts",
        &format!("127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n"),
    )?;
    image::write(
        root,
        "etc/machine-id",
        &format!("{}\n", hex::encode(SystemRandom.bytes16())),
    )?;
    program::run(
        "ssh-keygen",
        &[
            "-q".as_ref(),
            "-A".as_ref(),
            "-f".as_ref(),
            root.as_os_str(),
        ],
    )?;
    Ok(())
}
