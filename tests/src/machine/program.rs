//! Programs of the outer machine, found in the system's own folders only and run with a clean environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::error::MachineError;

/// Where Debian keeps programs.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How much of a failed program's output an error carries.
const OUTPUT_TAIL_BYTES: usize = 4096;

/// The absolute path of `program`.
pub(super) fn find(program: &'static str) -> Result<PathBuf, MachineError> {
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
        .ok_or(MachineError::ProgramMissing { program })
}

/// A command for `program` that sees of the environment only what its result may depend on: the way to the archive.
pub(super) fn command(program: &'static str) -> Result<Command, MachineError> {
    let mut command = Command::new(find(program)?);
    command
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(std::process::Stdio::null());
    for proxy in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Ok(value) = std::env::var(proxy) {
            command.env(proxy, value);
        }
    }
    Ok(command)
}

/// Runs `program` to its end and returns what it printed; anything but success is an error.
pub(super) fn run<A: AsRef<std::ffi::OsStr>>(
    program: &'static str,
    arguments: &[A],
) -> Result<String, MachineError> {
    let mut command = command(program)?;
    command.args(arguments);
    let output = command
        .output()
        .map_err(MachineError::io("run", find(program)?))?;
    succeeded(&format!("{command:?}"), output)
}

/// What a program printed, if it succeeded.
pub(super) fn succeeded(command: &str, output: Output) -> Result<String, MachineError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = output.stdout;
    said.extend_from_slice(&output.stderr);
    Err(MachineError::Program {
        command: command.to_owned(),
        status: output.status.to_string(),
        output: tail(&said),
    })
}

/// The end of a long text.
pub(super) fn tail(text: &[u8]) -> String {
    let from = text.len().saturating_sub(OUTPUT_TAIL_BYTES);
    String::from_utf8_lossy(&text[from..]).into_owned()
}
