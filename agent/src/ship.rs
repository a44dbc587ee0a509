//! Shipping: the oldest statement first, forgotten only when its receipt was verified.
//!
//! One request at a time. A lost answer, a busy collector and a dead network are the same here: the statement stays and
//! is sent again, after a wait that grows and is spread by chance. What the collector will never take is set aside under
//! a signed gap; what says that this agent is not wanted any more, or that there are two histories, holds everything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crypto::{Digest, Random};
use evidence::json;
use evidence::time::Clock;
use tokio::sync::{Notify, mpsc};
use wire::envelope::MAX_ENVELOPE_BYTES;
use wire::receipt::{MAX_RECEIPT_BYTES, Receipt, ReceiptError, Subject, Verified};
use wire::statement::AgentStatement;
use wire::submission::{DICTIONARY_HEADER, SUBMISSION_TYPE};

use crate::backoff::{Backoff, jitter};
use crate::chain::{Chain, ChainError};
use crate::collector::{Answer, Collector, ContactError, Message};
use crate::disposition::{Disposition, disposition, problem};
use crate::examiner::Examiner;
use crate::in_force::{InForce, RefusedBundle};
use crate::spool::Stored;
use crate::state::{StateDir, StateError};

/// How often a collector that does not want this agent is asked again: between one and two of these.
const HOLD: Duration = Duration::from_secs(30 * 60);
/// Compression: small bodies against the round before, on a machine that has better to do.
const ZSTD_LEVEL: i32 = 3;
/// The receipt that did not hold, kept for a person.
const REFUSED_RECEIPT: &str = "refused-receipt.json";

/// Why a statement is not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// No answer.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// An answer that is no receipt.
    #[error("the collector's receipt cannot be read")]
    Form(#[source] json::JsonError),
    /// A receipt that does not hold.
    #[error("the receipt of statement {seq} does not hold; the statement is kept")]
    Receipt {
        /// The statement.
        seq: u64,
        /// What does not hold.
        #[source]
        source: ReceiptError,
    },
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The body could not be compressed.
    #[error("the body cannot be compressed")]
    Compression(#[source] std::io::Error),
    /// The body could not be written down.
    #[error("the body cannot be written down")]
    Submission(#[from] wire::submission::SubmissionError),
    /// The bundle that the collector asks to be used.
    #[error("bundle {wanted} is not taken over; the one in use stays")]
    Bundle {
        /// Asked for.
        wanted: Digest,
        /// Why not.
        #[source]
        source: RefusedBundle,
    },
    /// A bundle that the collector names and does not have.
    #[error("the collector names bundle {wanted} but answers {status} for it")]
    NoBundle {
        /// Asked for.
        wanted: Digest,
        /// HTTP status.
        status: u16,
    },
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The program that verifies a bundle stopped.
    #[error("verifying the bundle was interrupted")]
    Interrupted,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to send.
    Idle,
    /// Go on at once.
    Next,
    /// Go on after this time.
    Wait(Duration),
}

/// Sends what the spool holds.
pub struct Shipper {
    chain: Arc<Mutex<Chain>>,
    state: StateDir,
    collector: Collector,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
    examiner: Arc<dyn Examiner>,
    bundles: mpsc::UnboundedSender<InForce>,
    in_use: Option<Digest>,
    wanted: Digest,
    refused: Option<Digest>,
    backoff: Backoff,
}

/// What a shipper works with.
pub struct Parts {
    /// The chain whose statements it sends.
    pub chain: Arc<Mutex<Chain>>,
    /// The state folder.
    pub state: StateDir,
    /// Where they go.
    pub collector: Collector,
    /// The clock that dates gaps.
    pub clock: Arc<dyn Clock>,
    /// Chance, for the waits.
    pub random: Box<dyn Random>,
    /// Who holds a new bundle against this program.
    pub examiner: Arc<dyn Examiner>,
    /// Where new bundles go.
    pub bundles: mpsc::UnboundedSender<InForce>,
    /// The bundle in use.
    pub in_use: Option<Digest>,
}

impl Shipper {
    /// A shipper.
    #[must_use]
    pub fn new(parts: Parts) -> Shipper {
        let first = lock(&parts.chain).identity().enrolment.bundle;
        Shipper {
            wanted: parts.in_use.unwrap_or(first),
            chain: parts.chain,
            state: parts.state,
            collector: parts.collector,
            clock: parts.clock,
            random: parts.random,
            examiner: parts.examiner,
            bundles: parts.bundles,
            in_use: parts.in_use,
            refused: None,
            backoff: Backoff::default(),
        }
    }

    /// Sends until the process ends; `wake` says that there is something new.
    pub async fn run(mut self, wake: Arc<Notify>) {
        loop {
            match self.step().await {
                Step::Next => {}
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Idle => {
                    self.collector.rest();
                    wake.notified().await;
                }
            }
        }
    }

    /// Takes one step: a new bundle, or the oldest statement.
    pub async fn step(&mut self) -> Step {
        self.keep_bundle().await;
        let oldest = lock(&self.chain).oldest(&*self.clock);
        let stored = match oldest {
            Ok(Some(stored)) => stored,
            // Without a bundle there is no round that could wake this up.
            Ok(None) if self.in_use.is_none() => return self.wait(None),
            Ok(None) => return Step::Idle,
            Err(error) => {
                tell(&error.into());
                return self.wait(None);
            }
        };
        match self.deliver(&stored).await {
            Ok(step) => step,
            Err(error) => {
                tell(&error);
                self.wait(None)
            }
        }
    }

    /// Fetches the bundle that the collector wants used. Statements go on whatever comes of it.
    async fn keep_bundle(&mut self) {
        if self.in_use == Some(self.wanted) || self.refused == Some(self.wanted) {
            return;
        }
        if let Err(error) = self.fetch_bundle().await {
            tell(&error);
            match self.in_use {
                Some(in_use) if !matches!(error, ShipError::Bundle { .. }) => self.wanted = in_use,
                Some(_) => self.refused = Some(self.wanted),
                None => {}
            }
        }
    }

    fn wait(&mut self, asked: Option<Duration>) -> Step {
        Step::Wait(self.backoff.next(asked, &mut *self.random))
    }

    /// Sends a statement, again in another form if the collector asks for one, and acts on the answer.
    async fn deliver(&mut self, stored: &Stored) -> Result<Step, ShipError> {
        let dictionary = lock(&self.chain).dictionary();
        let mut answer = self.send(&stored.bytes, dictionary.as_ref()).await?;
        let mut refusal = self.refusal(&answer);
        if refusal == Some(Disposition::WithoutDictionary) && dictionary.is_some() {
            answer = self.send(&stored.bytes, None).await?;
            refusal = self.refusal(&answer);
        }
        if refusal == Some(Disposition::WithAllFacts) {
            let whole = lock(&self.chain).with_all_facts(stored).to_bytes()?;
            answer = self.send(&whole, None).await?;
            refusal = self.refusal(&answer);
            if refusal == Some(Disposition::WithAllFacts) {
                // What is asked for is not known here any more either.
                refusal = Some(Disposition::SetAside);
            }
        }
        match refusal {
            None => {
                self.acknowledge(stored, &answer)?;
                self.backoff.reset();
                Ok(answer.retry_after.map_or(Step::Next, |asked| {
                    Step::Wait(asked.min(HOLD) + jitter(Duration::from_secs(1), &mut *self.random))
                }))
            }
            Some(refusal) => self.refused(stored, &answer, refusal),
        }
    }

    fn refusal(&self, answer: &Answer) -> Option<Disposition> {
        (answer.status != 200).then(|| disposition(answer.status, problem(&answer.body).as_ref()))
    }

    async fn send(
        &mut self,
        bytes: &[u8],
        dictionary: Option<&(Digest, Vec<u8>)>,
    ) -> Result<Answer, ShipError> {
        let known = dictionary.map_or(&[][..], |(_, payload)| payload);
        let body = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, known)
            .and_then(|mut compressor| compressor.compress(bytes))
            .map_err(ShipError::Compression)?;
        let message = Message {
            content_type: SUBMISSION_TYPE,
            header: dictionary.map(|(digest, _)| (DICTIONARY_HEADER, digest.to_hex())),
            body: &body,
        };
        let answer = self
            .collector
            .post("/agent/v1/statements", message, MAX_RECEIPT_BYTES)
            .await?;
        tracing::debug!(status = answer.status, bytes = body.len(), "sent");
        if let Some(bundle) = answer.bundle {
            self.wanted = bundle;
        }
        Ok(answer)
    }

    fn acknowledge(&mut self, stored: &Stored, answer: &Answer) -> Result<(), ShipError> {
        let receipt: Receipt = json::parse(&answer.body).map_err(ShipError::Form)?;
        let mut chain = lock(&self.chain);
        let verified = match verify(&receipt, stored, &chain) {
            Ok(verified) => verified,
            Err(source) => {
                // Evidence against the collector, if it is no accident.
                self.state.write(REFUSED_RECEIPT, &answer.body)?;
                return Err(ShipError::Receipt {
                    seq: stored.seq,
                    source,
                });
            }
        };
        chain.acknowledge(stored, &verified.checkpoint)?;
        tracing::info!(
            seq = stored.seq,
            entry = verified.index,
            log_size = verified.checkpoint.size,
            "receipt verified"
        );
        Ok(())
    }

    fn refused(
        &mut self,
        stored: &Stored,
        answer: &Answer,
        refusal: Disposition,
    ) -> Result<Step, ShipError> {
        let problem = problem(&answer.body);
        let code = problem.as_ref().map_or("none", |problem| &problem.code);
        let detail = problem.as_ref().map_or("", |problem| &problem.detail);
        // A gap that is refused says that both sides disagree about what is in the log: no second gap mends that.
        let is_gap = matches!(stored.statement, AgentStatement::Gap(_));
        match refusal {
            Disposition::SetAside if !is_gap => {
                tracing::error!(
                    seq = stored.seq,
                    code,
                    detail,
                    "the collector refused a statement for good"
                );
                lock(&self.chain).set_aside(stored, code, &*self.clock)?;
                Ok(Step::Next)
            }
            Disposition::SetAside | Disposition::Hold => {
                tracing::error!(
                    seq = stored.seq,
                    status = answer.status,
                    code,
                    detail,
                    "the collector refuses this agent; everything is kept and it will be asked again, but a person must look"
                );
                Ok(Step::Wait(HOLD + jitter(HOLD, &mut *self.random)))
            }
            _ => {
                tracing::warn!(
                    seq = stored.seq,
                    status = answer.status,
                    code,
                    detail,
                    "the collector takes no statement now"
                );
                Ok(self.wait(answer.retry_after))
            }
        }
    }

    async fn fetch_bundle(&mut self) -> Result<(), ShipError> {
        let wanted = self.wanted;
        let path = format!("/agent/v1/bundles/{wanted}");
        let answer = self.collector.get(&path, MAX_ENVELOPE_BYTES).await?;
        if answer.status != 200 {
            return Err(ShipError::NoBundle {
                wanted,
                status: answer.status,
            });
        }
        let state = self.state.clone();
        let policy = lock(&self.chain).identity().enrolment.policy_key;
        let examiner = self.examiner.clone();
        let taken = tokio::task::spawn_blocking(move || {
            InForce::take_over(&state, &answer.body, wanted, &policy, &*examiner)
        });
        let in_force = taken
            .await
            .map_err(|_| ShipError::Interrupted)?
            .map_err(|source| ShipError::Bundle { wanted, source })?;
        tracing::info!(
            bundle = %in_force.reference.sha256,
            version = in_force.reference.version,
            checks = in_force.plan.checks.len(),
            "bundle taken over"
        );
        self.in_use = Some(wanted);
        // Nobody listens only when the agent is stopping.
        let _ = self.bundles.send(in_force);
        Ok(())
    }
}

/// Holds the receipt against the checkpoint that the statement itself has seen, which its consistency proof starts from.
fn verify(receipt: &Receipt, stored: &Stored, chain: &Chain) -> Result<Verified, ReceiptError> {
    let identity = chain.identity();
    let common = stored.statement.common();
    let subject = Subject {
        agent: &common.agent.id,
        epoch: common.agent.epoch,
        seq: stored.seq,
        envelope: &stored.submission.envelope,
    };
    receipt.verify(subject, &identity.log_key, &common.seen)
}

fn lock(chain: &Mutex<Chain>) -> MutexGuard<'_, Chain> {
    chain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs an error with its causes.
fn tell(error: &ShipError) {
    let mut causes = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    match error {
        ShipError::Contact(_) => tracing::warn!("{error}{causes}"),
        _ => tracing::error!("{error}{causes}"),
    }
}
