//! Who examines the host for the service: a process of its own for each look.
//!
//! The service holds the key, the chain and the connection, and waits. All that touches what others wrote (probes, their
//! parsers, the programs they ask) and all that is large (the bundle's expressions, the facts) lives in a short-lived child
//! of the same program, `assay-agent examine`, which knows no key. So what a hostile file does to a parser it does to no
//! key; what a look needs of memory is given back, with the threads of probes that hang; and a probe that brings its
//! process down costs its own checks only: it is given up for this round, and the look begins again.
//!
//! Question and answer are frames: a length in four bytes, big-endian, then as many bytes. The question is a [`Task`] as
//! JSON, the bundle's bytes and the text of what probes remember; the answer is one JSON [`Told`] for each probe begun and
//! one for the end, and last the text to remember, empty if it is what it was.

mod child;
mod frame;

use std::time::Duration;

use evidence::bundle::Bundle;
use evidence::fact::Facts;
use evidence::id::ProbeId;
use evidence::outcome::Reason;
use evidence::time::Clock;
use serde::{Deserialize, Serialize};

use crate::examine::{self, Finding, Plan, Question};
use crate::host::{AllowedFile, FileSystemHost};
use crate::remembered::Remembered;

pub use child::{Apart, COMMAND, serve};
pub use frame::{Frame, FrameError};

/// Most bytes of a frame: a bundle, what is remembered, or the facts of a round.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Longest time without a word of the child: longer than any probe's own deadline, which ends it before.
pub const DEADLINE: Duration = Duration::from_secs(400);
/// More probes than these do not hang or break in one round.
const MAX_GIVEN_UP: usize = 5;

/// What the child is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Hold the bundle against this program.
    Plan,
    /// Examine this host.
    Examine {
        /// What is asked.
        question: Box<Question>,
        /// The files of which named settings may be read.
        settings: Vec<AllowedFile>,
        /// Whether TLS listeners of this very host may be connected to.
        own_listeners: bool,
    },
}

/// What the child tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// This probe is asked now.
    Begun(ProbeId),
    /// The bundle fits.
    Fits(Plan),
    /// What came of the look.
    Found(Box<Finding>),
    /// The bundle cannot be used: why.
    Unfit(String),
}

/// A finding, with what probes remember afterwards.
#[derive(Debug)]
pub struct Examined {
    /// The finding.
    pub finding: Finding,
    /// The text to remember; `None` if it is what it was.
    pub memory: Option<Vec<u8>>,
}

/// Why there is no finding.
#[derive(Debug, thiserror::Error)]
pub enum ExaminerError {
    /// The bundle cannot be used with this program.
    #[error("{0}")]
    Unfit(String),
    /// The child could not be started.
    #[error("cannot start a process to examine this host")]
    Start(#[source] std::io::Error),
    /// A probe did not come back in time.
    #[error("probe {0} took longer than {seconds} s", seconds = DEADLINE.as_secs())]
    Overran(ProbeId),
    /// The child ended without a finding.
    #[error("the examining process ended while it asked probe {0}")]
    Died(ProbeId),
    /// The child ended, or said nothing for too long, and no probe is to blame.
    #[error("the examining process gave no answer: {0}")]
    Silent(String),
}

impl ExaminerError {
    /// The probe that is to blame, and what stands for its facts.
    fn blamed(&self) -> Option<(ProbeId, Facts)> {
        let (probe, reason) = match self {
            ExaminerError::Overran(probe) => (probe, Reason::Timeout),
            ExaminerError::Died(probe) => (probe, Reason::Unparsable),
            _ => return None,
        };
        let facts = Facts::unobservable(reason, &self.to_string(), &[]);
        Some((probe.clone(), facts))
    }
}

/// Whoever examines.
pub trait Examiner: Send + Sync {
    /// Holds a bundle (its JCS bytes) against this program.
    ///
    /// # Errors
    /// [`ExaminerError::Unfit`] saying what does not fit, or why nobody could look.
    fn plan(&self, bundle: &[u8]) -> Result<Plan, ExaminerError>;

    /// Examines this host by a bundle that fits; `memory` is what probes remember.
    ///
    /// # Errors
    /// [`ExaminerError`] if there is no finding. A probe that hangs or breaks is none: its facts say so.
    fn examine(
        &self,
        question: &Question,
        bundle: &[u8],
        memory: &[u8],
    ) -> Result<Examined, ExaminerError>;
}

/// Answers one task, as the child does. `begun` is told each probe before it is asked.
///
/// # Errors
/// What [`Told::Unfit`] says.
fn answer(
    task: Task,
    bundle: &[u8],
    memory: &[u8],
    clock: &dyn Clock,
    begun: &mut dyn FnMut(&ProbeId),
) -> Result<(Told, Option<Vec<u8>>), String> {
    let unfit = |error: &dyn std::fmt::Display| error.to_string();
    match task {
        Task::Plan => {
            let plan = examine::plan(bundle).map_err(|error| unfit(&error))?;
            Ok((Told::Fits(plan), None))
        }
        Task::Examine {
            question,
            settings,
            own_listeners,
        } => {
            let bundle = Bundle::parse_checked(bundle).map_err(|error| unfit(&error))?;
            let host = FileSystemHost::live().map_err(|error| unfit(&error))?;
            let host = host.with_own_listeners(own_listeners).allowing(settings);
            let mut memory = Remembered::of_text(memory);
            let found = examine::examine(*question, &bundle, &mut memory, &host, clock, begun)
                .map_err(|error| unfit(&error))?;
            Ok((Told::Found(Box::new(found)), memory.changed_text()))
        }
    }
}

/// Asks again without the probes that hang or break, until there is a finding or [`MAX_GIVEN_UP`] of them did: then the
/// host, and no single probe, has a trouble, and the service says so and tries again later.
fn giving_up(
    question: &Question,
    mut ask: impl FnMut(&Question, &mut Vec<ProbeId>) -> Result<Examined, ExaminerError>,
) -> Result<Examined, ExaminerError> {
    let mut question = question.clone();
    loop {
        let error = match ask(&question, &mut Vec::new()) {
            Ok(examined) => return Ok(examined),
            Err(error) => error,
        };
        let given_up = question.given_up.len();
        let Some((probe, facts)) = error.blamed().filter(|_| given_up < MAX_GIVEN_UP) else {
            return Err(error);
        };
        tracing::error!(%error, "given up for this round");
        question.given_up.insert(probe, facts);
    }
}

/// The examiner of tests: the same answers in the same process.
#[cfg(test)]
pub(crate) struct Here(pub std::sync::Arc<dyn Clock>);

#[cfg(test)]
impl Examiner for Here {
    fn plan(&self, bundle: &[u8]) -> Result<Plan, ExaminerError> {
        examine::plan(bundle).map_err(|error| ExaminerError::Unfit(error.to_string()))
    }

    fn examine(
        &self,
        question: &Question,
        bundle: &[u8],
        memory: &[u8],
    ) -> Result<Examined, ExaminerError> {
        let task = Task::Examine {
            question: Box::new(question.clone()),
            settings: Vec::new(),
            own_listeners: false,
        };
        match answer(task, bundle, memory, &*self.0, &mut |_| {}) {
            Ok((Told::Found(finding), memory)) => Ok(Examined {
                finding: *finding,
                memory,
            }),
            Ok(_) => Err(ExaminerError::Silent("another answer".to_owned())),
            Err(problem) => Err(ExaminerError::Unfit(problem)),
        }
    }
}
