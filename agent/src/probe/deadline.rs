//! Deadlines of probes. A read may never return: a file server that is gone, a file system of a user whose process does
//! not answer. Whoever waits for it cannot be interrupted, so probes run on a thread that can be given up: the probe's
//! checks become errors with reason `timeout`, the others go on with a new thread.
//!
//! A thread that was given up ends when its read returns. Until then its probe is not started again: as many threads wait
//! as there are probes that hang, however many rounds there are.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Instant;

use evidence::fact::Facts;
use evidence::outcome::Reason;
use evidence::time::Timestamp;
use serde_json::Value;

use super::{Memory, Observation, Registered};
use crate::host::traced::Traced;
use crate::host::{Begun, Detached, Host};
use crate::watch::Reads;

/// What a probe asks of the thread that waits for it.
enum Message {
    Recall(String, SyncSender<Option<Value>>),
    Remember(String, Value),
    Done(Box<(Facts, Reads)>),
}

/// One probe to observe with.
struct Job {
    probe: Registered,
    host: Box<dyn Host + Send>,
    now: Timestamp,
    goes_on: bool,
    until: Instant,
    answers: mpsc::Sender<Message>,
    begun: Begun,
}

/// The memory of the round, asked from the probe's thread. After the deadline nobody answers: nothing was remembered,
/// and what is to be remembered is forgotten with the facts.
struct Asked<'m> {
    answers: &'m mpsc::Sender<Message>,
    goes_on: bool,
}

impl Memory for Asked<'_> {
    fn recall(&self, key: &str) -> Option<Value> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.answers
            .send(Message::Recall(key.to_owned(), sender))
            .ok()?;
        receiver.recv().ok().flatten()
    }

    fn remember(&mut self, key: &str, value: Value) {
        // The facts are not waited for any more, so neither is this.
        let _ = self.answers.send(Message::Remember(key.to_owned(), value));
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }
}

/// Observes on a thread of its own, one probe after the other.
#[derive(Default)]
pub(super) struct Bench {
    thread: Option<mpsc::Sender<Job>>,
}

impl Bench {
    /// Facts of one probe, by its deadline.
    pub(super) fn observe(
        &mut self,
        probe: Registered,
        host: &dyn Host,
        memory: &mut dyn Memory,
        now: Timestamp,
    ) -> (Facts, Reads) {
        let began = Instant::now();
        let until = began + probe.deadline;
        let (facts, mut reads) = match host.detached(until) {
            None => here(probe, host, memory, now),
            Some(Detached { host, running }) => match running.begin(probe.id) {
                None => (
                    failed(
                        probe,
                        Reason::Timeout,
                        "has not answered since an earlier round",
                    ),
                    Reads::default(),
                ),
                Some(begun) => {
                    let (answers, receiver) = mpsc::channel();
                    let job = Job {
                        probe,
                        host,
                        now,
                        goes_on: memory.goes_on(),
                        until,
                        answers,
                        begun,
                    };
                    self.on_thread(job, &receiver, memory)
                }
            },
        };
        reads.took = began.elapsed();
        (facts, reads)
    }

    fn on_thread(
        &mut self,
        job: Job,
        receiver: &Receiver<Message>,
        memory: &mut dyn Memory,
    ) -> (Facts, Reads) {
        let (probe, until) = (job.probe, job.until);
        if let Err(error) = self.hand_over(job) {
            let why = format!("has no thread to run on: {error}");
            return (failed(probe, Reason::Timeout, &why), Reads::default());
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (reason, why) = match receiver.recv_timeout(left) {
                Ok(Message::Recall(key, answer)) => {
                    // The probe may have been given up on between question and answer only by ending.
                    let _ = answer.send(memory.recall(&key));
                    continue;
                }
                Ok(Message::Remember(key, value)) => {
                    memory.remember(&key, value);
                    continue;
                }
                // What is told after the deadline may rest on answers that were refused.
                Ok(Message::Done(done)) if Instant::now() < until => return *done,
                Ok(Message::Done(_)) | Err(RecvTimeoutError::Timeout) => {
                    let why = format!(
                        "did not end within {:?}: a file system or a program does not answer",
                        probe.deadline
                    );
                    (Reason::Timeout, why)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let why = "broke off: a fault of the agent, see its log".to_owned();
                    (Reason::Unparsable, why)
                }
            };
            self.thread = None;
            return (failed(probe, reason, &why), Reads::default());
        }
    }

    fn hand_over(&mut self, job: Job) -> std::io::Result<()> {
        let job = match self.thread.take() {
            None => job,
            Some(thread) => match thread.send(job) {
                Ok(()) => {
                    self.thread = Some(thread);
                    return Ok(());
                }
                Err(mpsc::SendError(job)) => job,
            },
        };
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || jobs.into_iter().for_each(Job::run))?;
        // The thread has just begun to wait for it.
        let _ = sender.send(job);
        self.thread = Some(sender);
        Ok(())
    }
}

impl Job {
    fn run(self) {
        let mut memory = Asked {
            answers: &self.answers,
            goes_on: self.goes_on,
        };
        let done = here(self.probe, &*self.host, &mut memory, self.now);
        drop(self.begun);
        // Nobody waits after the deadline.
        let _ = self.answers.send(Message::Done(Box::new(done)));
    }
}

/// Observes on this thread, however long it takes.
fn here(
    probe: Registered,
    host: &dyn Host,
    memory: &mut dyn Memory,
    now: Timestamp,
) -> (Facts, Reads) {
    let mut reads = Reads::default();
    let facts = {
        let traced = Traced::new(host, &mut reads);
        probe.facts(&mut Observation::new(&traced, memory, probe.id, now))
    };
    (facts, reads)
}

fn failed(probe: Registered, reason: Reason, why: &str) -> Facts {
    Facts::unobservable(reason, &format!("probe {} {why}", probe.id), &[])
}

#[cfg(test)]
mod tests;
