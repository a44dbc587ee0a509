//! Why a host could not be made, booted or asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a host could not be made, booted or asked. Every variant fails the test that meets it.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A program of the outer machine is not installed.
    #[error(
        "{program} is not installed on this machine: run tests/run as root, it installs what the tests need"
    )]
    ProgramMissing {
        /// The name of the program.
        program: &'static str,
    },
    /// The test runs as an ordinary user.
    #[error("booting hosts needs root: run tests/run as root")]
    NotRoot,
    /// Reading or writing something on the outer machine failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A program ran and said no.
    #[error("{command} ended with {status}:\n{output}")]
    Program {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The outer machine's apt sources do not lead to an archive of the wanted suite.
    #[error(
        "the apt sources of this machine name no {wanted}: they must name its own Debian suite and that suite's security updates over http(s)"
    )]
    NoArchive {
        /// What was looked for.
        wanted: String,
    },
    /// The outer machine has no control group in which a host can live.
    #[error("no control group hierarchy for systemd: neither cgroup2 nor name=systemd is mounted")]
    NoControlGroup,
    /// All test networks are taken.
    #[error("all {networks} test networks are in use by running tests")]
    NoFreeNetwork {
        /// How many there are.
        networks: u8,
    },
    /// A test network has no address left.
    #[error("the test network is full: it holds {hosts} hosts")]
    NetworkFull {
        /// How many it holds.
        hosts: u8,
    },
    /// The name is no host name.
    #[error("{name:?} is no host name: one to 63 lower-case letters, digits and inner hyphens")]
    HostName {
        /// The name given.
        name: String,
    },
    /// The host did not come up.
    #[error("host {name} did not come up: {reason}\nend of its console:\n{console}")]
    Boot {
        /// The host's name.
        name: String,
        /// What was seen instead.
        reason: String,
        /// The end of its console.
        console: String,
    },
    /// A program inside a host ran longer than allowed and was killed.
    #[error("{command} on host {name} ran longer than {limit:?} and was killed")]
    TooSlow {
        /// The host's name.
        name: String,
        /// The program and its arguments.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// Processes of a host outlived SIGKILL.
    #[error("processes of {machine} survive SIGKILL: {pids:?}")]
    Survivors {
        /// The machine's name on the outer side.
        machine: String,
        /// The processes.
        pids: Vec<i32>,
    },
}

impl MachineError {
    /// Makes an error of an input or output failure; for `map_err`.
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> MachineError {
        let path = path.into();
        move |source| MachineError::Io {
            doing,
            path,
            source,
        }
    }
}
