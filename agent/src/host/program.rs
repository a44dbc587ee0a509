//! Running a program of the host: absolute path, empty environment, no input, a deadline and an output cap.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{HostError, PROGRAM_DEADLINE};

/// Most bytes of output taken from a program.
const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Absolute path; never searched for.
    pub path: &'static str,
    /// Arguments.
    pub args: Vec<String>,
    /// Longest run time.
    pub deadline: Duration,
}

impl Program {
    /// A program with the usual deadline.
    #[must_use]
    pub fn new(path: &'static str, args: &[&str]) -> Program {
        Program {
            path,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            deadline: PROGRAM_DEADLINE,
        }
    }

    /// Path and arguments as one line: how it is recorded as a source and in recordings.
    #[must_use]
    pub fn line(&self) -> String {
        std::iter::once(self.path)
            .chain(self.args.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What a program said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramOutput {
    /// Exit code; 128 + n if ended by signal n.
    pub exit: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl ProgramOutput {
    /// Standard output as text, with bytes that are no UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub(super) fn run(program: &Program) -> Result<ProgramOutput, HostError> {
    let line = program.line();
    let mut command = Command::new(program.path);
    command
        .args(&program.args)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => HostError::ToolMissing(program.path.to_owned()),
        std::io::ErrorKind::PermissionDenied => HostError::Permission(line.clone()),
        _ => HostError::Io(line.clone(), error.to_string()),
    })?;
    let mut running = Running {
        child,
        ended: false,
    };
    running.collect(&line, Instant::now() + program.deadline, program.deadline)
}

/// A child that is killed with its whole process group unless it was waited for.
struct Running {
    child: Child,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

impl Running {
    fn collect(
        &mut self,
        line: &str,
        end: Instant,
        deadline: Duration,
    ) -> Result<ProgramOutput, HostError> {
        let io = |error: &dyn std::fmt::Display| HostError::Io(line.to_owned(), error.to_string());
        let mut pipes = [
            self.child.stdout.take().map(std::os::fd::OwnedFd::from),
            self.child.stderr.take().map(std::os::fd::OwnedFd::from),
        ];
        let mut bytes = [Vec::new(), Vec::new()];
        while pipes.iter().any(Option::is_some) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(HostError::Timeout(line.to_owned(), deadline));
            }
            let open: Vec<usize> = (0..2).filter(|i| pipes[*i].is_some()).collect();
            let mut fds: Vec<PollFd<'_>> = open
                .iter()
                .filter_map(|i| pipes[*i].as_ref())
                .map(|fd| PollFd::new(fd, PollFlags::IN))
                .collect();
            let timeout = Timespec::try_from(left).map_err(|error| io(&error))?;
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(io(&error)),
            }
            let ready: Vec<usize> = open
                .iter()
                .zip(&fds)
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|(i, _)| *i)
                .collect();
            for i in ready {
                let Some(pipe) = &pipes[i] else { continue };
                let mut chunk = [0; 16 * 1024];
                let n = rustix::io::read(pipe, &mut chunk).map_err(|error| io(&error))?;
                if bytes[i].len() + n > MAX_OUTPUT_BYTES {
                    return Err(HostError::TooLarge(
                        format!("the output of {line}"),
                        MAX_OUTPUT_BYTES,
                    ));
                }
                bytes[i].extend_from_slice(&chunk[..n]);
                if n == 0 {
                    pipes[i] = None;
                }
            }
        }
        self.wait(line, end, deadline, bytes)
    }

    /// Both pipes are closed; a child that lives on nevertheless is waited for until the deadline.
    fn wait(
        &mut self,
        line: &str,
        end: Instant,
        deadline: Duration,
        bytes: [Vec<u8>; 2],
    ) -> Result<ProgramOutput, HostError> {
        use std::os::unix::process::ExitStatusExt as _;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        if let Some(pidfd) = &pidfd {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left)
                .map_err(|error| HostError::Io(line.to_owned(), error.to_string()))?;
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            if poll(&mut fds, Some(&timeout)) == Ok(0) {
                return Err(HostError::Timeout(line.to_owned(), deadline));
            }
        }
        let status = self
            .child
            .wait()
            .map_err(|error| HostError::Io(line.to_owned(), error.to_string()))?;
        self.ended = true;
        let exit = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let [stdout, stderr] = bytes;
        Ok(ProgramOutput {
            exit,
            stdout,
            stderr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_exit_code_arrive() {
        let output = run(&Program::new(
            "/bin/sh",
            &["-c", "echo out; echo err >&2; exit 3"],
        ))
        .unwrap();
        assert_eq!(
            (
                output.exit,
                output.stdout.as_slice(),
                output.stderr.as_slice()
            ),
            (3, b"out\n".as_slice(), b"err\n".as_slice())
        );
    }

    #[test]
    fn the_environment_is_empty() {
        let output = run(&Program::new("/usr/bin/env", &[])).unwrap();
        assert_eq!(
            output.text(),
            "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        );
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let mut program = Program::new("/bin/sh", &["-c", "sleep 600 & wait"]);
        program.deadline = Duration::from_millis(100);
        let start = Instant::now();
        assert!(matches!(run(&program), Err(HostError::Timeout(..))));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn output_is_capped_and_absence_is_said() {
        assert!(matches!(
            run(&Program::new("/bin/cat", &["/dev/zero"])),
            Err(HostError::TooLarge(..))
        ));
        assert!(matches!(
            run(&Program::new("/usr/bin/no-such-program", &[])),
            Err(HostError::ToolMissing(_))
        ));
    }
}
