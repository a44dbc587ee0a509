//! The child process: how the service starts, hears and ends it, and what it does.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use evidence::id::ProbeId;
use evidence::time::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{
    DEADLINE, Examined, Examiner, ExaminerError, Frame, FrameError, Task, Told, answer, giving_up,
};
use crate::examine::{Plan, Question};
use crate::host::AllowedFile;

/// The running program, also after its file was replaced by another version.
const PROGRAM: &str = "/proc/self/exe";
/// The command that makes the program the child.
pub const COMMAND: &str = "examine";

/// How long a child may take to end once it has said all, or was told to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Examines in a process of its own for each task.
pub struct Apart {
    program: PathBuf,
    arguments: Vec<String>,
    deadline: Duration,
    settings: Vec<AllowedFile>,
    own_listeners: bool,
    /// Children that were ended and are still in the kernel, in a read of a file system that does not answer.
    stuck: Mutex<Vec<Child>>,
}

impl Apart {
    /// Examines with this very program.
    #[must_use]
    pub fn new(settings: Vec<AllowedFile>, own_listeners: bool) -> Apart {
        Apart {
            program: PROGRAM.into(),
            arguments: vec![COMMAND.to_owned()],
            deadline: DEADLINE,
            settings,
            own_listeners,
            stuck: Mutex::new(Vec::new()),
        }
    }

    /// Asks one task; every probe that the child begins is put to `begun`.
    fn ask(
        &self,
        task: &Task,
        bundle: &[u8],
        memory: &[u8],
        begun: &mut Vec<ProbeId>,
    ) -> Result<(Told, Vec<u8>), ExaminerError> {
        self.reap();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(ExaminerError::Start)?;
        let talked = match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => talk(
                input,
                Hearing {
                    output,
                    deadline: self.deadline,
                    until: Instant::now(),
                },
                (task, bundle, memory),
                begun,
            ),
            _ => Err(Broken::Frame(FrameError::Ended)),
        };
        if talked.is_err() {
            end(&child);
        }
        self.bury(child);
        talked.map_err(|broken| broken.blame(begun.last()))
    }

    /// Takes the exit status of a child that ends, and keeps one that cannot.
    fn bury(&self, mut child: Child) {
        if !ended(&child) {
            end(&child);
        }
        if matches!(child.try_wait(), Ok(None)) {
            self.stuck
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(child);
        }
    }

    fn reap(&self) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// Ends the child with the programs it runs.
fn end(child: &Child) {
    if let Some(pid) = pid(child) {
        let _ = kill_process_group(pid, Signal::KILL);
        ended(child);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Whether the child ends within [`PATIENCE`].
fn ended(child: &Child) -> bool {
    let Some(handle) = pid(child).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    let until = Instant::now() + PATIENCE;
    loop {
        match wait_for(&handle, until) {
            Ok(ready) => return ready,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Waits until there is something to read; false if there was nothing until then.
fn wait_for(what: &impl AsFd, until: Instant) -> Result<bool, Errno> {
    let left = until.saturating_duration_since(Instant::now());
    let wait = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    Ok(poll(&mut [PollFd::new(what, PollFlags::IN)], Some(&wait))? > 0)
}

/// Why a conversation broke off.
#[derive(Debug)]
enum Broken {
    Overran,
    Frame(FrameError),
    Nonsense(String),
}

impl Broken {
    fn blame(self, last: Option<&ProbeId>) -> ExaminerError {
        match (self, last) {
            (Broken::Overran, Some(probe)) => ExaminerError::Overran(probe.clone()),
            (Broken::Frame(FrameError::Ended), Some(probe)) => ExaminerError::Died(probe.clone()),
            (Broken::Overran, None) => ExaminerError::Silent("no answer in time".to_owned()),
            (Broken::Frame(error), _) => ExaminerError::Silent(error.to_string()),
            (Broken::Nonsense(problem), _) => ExaminerError::Silent(problem),
        }
    }
}

/// What the child says, each word of it within the deadline after the last.
struct Hearing {
    output: ChildStdout,
    deadline: Duration,
    until: Instant,
}

impl Read for Hearing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match wait_for(&self.output, self.until) {
                Ok(true) => return self.output.read(into),
                Ok(false) => return Err(io::ErrorKind::TimedOut.into()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Hearing {
    fn frame(&mut self) -> Result<Vec<u8>, Broken> {
        self.until = Instant::now() + self.deadline;
        match Frame::read(self) {
            Ok(Frame(bytes)) => Ok(bytes),
            Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Broken::Overran)
            }
            Err(error) => Err(Broken::Frame(error)),
        }
    }
}

fn talk(
    mut input: ChildStdin,
    mut hearing: Hearing,
    (task, bundle, memory): (&Task, &[u8], &[u8]),
    begun: &mut Vec<ProbeId>,
) -> Result<(Told, Vec<u8>), Broken> {
    let task = serde_json::to_vec(task).map_err(|error| Broken::Nonsense(error.to_string()))?;
    // The child reads all three before it says anything, so neither side waits for the other.
    for part in [&task[..], bundle, memory] {
        Frame::write(&mut input, part).map_err(Broken::Frame)?;
    }
    drop(input);
    loop {
        let told = serde_json::from_slice(&hearing.frame()?)
            .map_err(|error| Broken::Nonsense(error.to_string()))?;
        match told {
            Told::Begun(probe) => begun.push(probe),
            told => return Ok((told, hearing.frame()?)),
        }
    }
}

impl Examiner for Apart {
    fn plan(&self, bundle: &[u8]) -> Result<Plan, ExaminerError> {
        match self.ask(&Task::Plan, bundle, b"", &mut Vec::new())?.0 {
            Told::Fits(plan) => Ok(plan),
            Told::Unfit(problem) => Err(ExaminerError::Unfit(problem)),
            other => Err(unexpected(&other)),
        }
    }

    fn examine(
        &self,
        question: &Question,
        bundle: &[u8],
        memory: &[u8],
    ) -> Result<Examined, ExaminerError> {
        giving_up(question, |question, begun| {
            let task = Task::Examine {
                question: Box::new(question.clone()),
                settings: self.settings.clone(),
                own_listeners: self.own_listeners,
            };
            match self.ask(&task, bundle, memory, begun)? {
                (Told::Found(finding), memory) => Ok(Examined {
                    finding: *finding,
                    memory: (!memory.is_empty()).then_some(memory),
                }),
                (Told::Unfit(problem), _) => Err(ExaminerError::Unfit(problem)),
                (other, _) => Err(unexpected(&other)),
            }
        })
    }
}

fn unexpected(told: &Told) -> ExaminerError {
    ExaminerError::Silent(format!("it said {told:?}").chars().take(200).collect())
}

/// What the child does: one task from standard input, the answer to standard output.
///
/// # Errors
/// [`FrameError`] if the service went away.
pub fn serve(
    input: &mut impl Read,
    output: &mut impl Write,
    clock: &dyn Clock,
) -> Result<(), FrameError> {
    let task = Frame::read(input)?.0;
    let (bundle, memory) = (Frame::read(input)?.0, Frame::read(input)?.0);
    let mut tell = |told: &Told| {
        let bytes = serde_json::to_vec(told).map_err(io::Error::from)?;
        Frame::write(output, &bytes)
    };
    let answered = match serde_json::from_slice(&task) {
        Ok(task) => answer(task, &bundle, &memory, clock, &mut |probe| {
            // A service that went away is found out at the end.
            let _ = tell(&Told::Begun(probe.clone()));
        }),
        Err(error) => Err(format!("not a task: {error}")),
    };
    let (told, memory) = answered.unwrap_or_else(|problem| (Told::Unfit(problem), None));
    tell(&told)?;
    Frame::write(output, &memory.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use evidence::fact::FactSet;
    use evidence::outcome::Reason;

    use super::*;
    use crate::examine::Seen;
    use crate::watch::WatchState;

    /// A child that reads what it is asked and then does this.
    fn child(does: &str) -> Apart {
        Apart {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), format!("/bin/cat >/dev/null; {does}")],
            deadline: Duration::from_millis(500),
            ..Apart::new(Vec::new(), false)
        }
    }

    fn ask(does: &str) -> Result<(Told, Vec<u8>), ExaminerError> {
        child(does).ask(&Task::Plan, b"{}", b"", &mut Vec::new())
    }

    const BEGUN: &str = r#"printf '\000\000\000\020{"Begun":"sshd"}'"#;

    #[test]
    fn who_hangs_is_named_and_ended() {
        let began = Instant::now();
        let error = ask(&format!("{BEGUN}; /bin/sleep 60")).unwrap_err();
        assert!(
            matches!(&error, ExaminerError::Overran(probe) if probe.as_str() == "sshd"),
            "{error:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(30));
        let error = ask("/bin/sleep 60").unwrap_err();
        assert!(matches!(error, ExaminerError::Silent(_)), "{error:?}");
    }

    #[test]
    fn who_brings_the_process_down_is_named() {
        let error = ask(&format!("{BEGUN}; kill -SEGV $$")).unwrap_err();
        assert!(
            matches!(&error, ExaminerError::Died(probe) if probe.as_str() == "sshd"),
            "{error:?}"
        );
        let nonsense = ask(r"printf '\000\000\000\003abc'").unwrap_err();
        assert!(matches!(nonsense, ExaminerError::Silent(_)), "{nonsense:?}");
        let bomb = ask(r"printf '\377\377\377\377'").unwrap_err();
        assert!(matches!(bomb, ExaminerError::Silent(_)), "{bomb:?}");
    }

    #[test]
    fn the_probe_to_blame_is_an_error_and_the_others_are_asked_again() {
        let question = Question {
            checks: ["sshd.root_login".parse().unwrap()].into(),
            unless_as: Some(Seen::new()),
            watching: WatchState::default(),
            given_up: FactSet::new(),
        };
        let sshd: ProbeId = "sshd".parse().unwrap();
        let mut asked = 0;
        let error = giving_up(&question, |question, _| {
            asked += 1;
            if asked == 2 {
                let facts = &question.given_up[&sshd];
                assert_eq!(facts.error(), Some(Reason::Timeout));
                return Err(ExaminerError::Silent("enough".to_owned()));
            }
            assert!(question.given_up.is_empty());
            Err(ExaminerError::Overran(sshd.clone()))
        });
        assert!(matches!(error, Err(ExaminerError::Silent(_))));
        assert_eq!(asked, 2);
    }

    #[test]
    fn a_host_that_hangs_everywhere_is_no_endless_round() {
        let question = Question {
            checks: Default::default(),
            unless_as: None,
            watching: WatchState::default(),
            given_up: FactSet::new(),
        };
        let mut asked = 0;
        let error = giving_up(&question, |_, _| {
            asked += 1;
            Err(ExaminerError::Died(format!("p{asked}").parse().unwrap()))
        });
        assert!(matches!(error, Err(ExaminerError::Died(_))));
        assert_eq!(asked, 6);
    }
}
