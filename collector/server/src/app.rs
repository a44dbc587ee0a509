//! The one App: everything that handlers share, built once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crypto::{Digest, Random, SigningKey, VerifyingKey};
use evidence::time::Clock;
use ledger::key::Vkey;
use metrics_exporter_prometheus::PrometheusHandle;
use store::Store;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::auth::throttle::Throttle;
use crate::ingest::admit::Keyring;
use crate::ingest::body_budget::BodyBudget;
use crate::ingest::nonces::Nonces;
use crate::ingest::refusal::Refusal;
use crate::ingest::sequencer::{Accepted, Command, Published};
use crate::queries::Library;

/// KB of bodies that may be held at once, as sent and decompressed: 256 MB whatever strangers send.
pub const BODY_BUDGET_KB: usize = 256 * 1024;
/// Passwords verified at once: argon2 takes 19 MB each.
const SIGN_INS_AT_ONCE: usize = 4;

/// What handlers share.
pub struct App {
    /// The database.
    pub store: Store,
    /// Where statements and decisions go.
    pub queue: mpsc::Sender<Command>,
    /// The keys of the fleet.
    pub keyring: Arc<Keyring>,
    /// The present checkpoint.
    pub published: Published,
    /// The log's verifier key.
    pub log_key: Vkey,
    /// The key that signs bundles.
    pub policy_key: VerifyingKey,
    /// The same to sign with, if it is kept here and not offline.
    policy: Option<SigningKey>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Room for the bodies of agents.
    pub bodies: BodyBudget,
    /// Passwords verified at once.
    pub sign_ins: Semaphore,
    /// How often sign-in may be tried.
    pub throttle: Throttle,
    /// The controls, and the bundles that answers were read with.
    pub library: Library,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    nonces: Mutex<Nonces>,
    random: Mutex<Box<dyn Random>>,
}

/// The key that signs bundles, with its secret half if that is kept here.
pub struct PolicyKeys {
    /// What verifies.
    pub verifying: VerifyingKey,
    /// What signs.
    pub signing: Option<SigningKey>,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "this is the one place where the parts meet"
    )]
    pub fn new(
        store: Store,
        queue: mpsc::Sender<Command>,
        keyring: Arc<Keyring>,
        published: Published,
        log_key: Vkey,
        policy: PolicyKeys,
        clock: Arc<dyn Clock>,
        library: Library,
        metrics: PrometheusHandle,
        random: Box<dyn Random>,
    ) -> App {
        App {
            store,
            queue,
            keyring,
            published,
            log_key,
            policy_key: policy.verifying,
            policy: policy.signing,
            clock,
            bodies: BodyBudget::new(BODY_BUDGET_KB),
            sign_ins: Semaphore::new(SIGN_INS_AT_ONCE),
            throttle: Throttle::default(),
            library,
            metrics,
            nonces: Mutex::default(),
            random: Mutex::new(random),
        }
    }

    /// The key to sign bundles with; `None` if it is kept offline.
    #[must_use]
    pub fn policy(&self) -> Option<&SigningKey> {
        self.policy.as_ref()
    }

    /// 32 random bytes.
    #[must_use]
    pub fn random32(&self) -> [u8; 32] {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes32()
    }

    /// Gives out a nonce for one enrolment.
    #[must_use]
    pub fn give_nonce(&self) -> Digest {
        let nonce = Digest::from_bytes(self.random32());
        self.nonces().give(nonce, self.clock.now());
        nonce
    }

    /// Takes a nonce back: it serves once, and soon.
    ///
    /// # Errors
    /// [`Refusal::Nonce`] if it was not given out, is spent or too old.
    pub fn take_nonce(&self, nonce: &Digest) -> Result<(), Refusal> {
        self.nonces().take(nonce, self.clock.now())
    }

    fn nonces(&self) -> MutexGuard<'_, Nonces> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a command to the sequencer and waits for its answer.
    ///
    /// # Errors
    /// [`Refusal`]: busy, stopped, or what the sequencer found.
    pub async fn submit(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<Accepted, Refusal>>) -> Command,
    ) -> Result<Accepted, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.queue
            .try_send(command(sender))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refusal::Busy,
                mpsc::error::TrySendError::Closed(_) => {
                    Refusal::Stopped("it is stopping".to_owned())
                }
            })?;
        answer
            .await
            .map_err(|_| Refusal::Stopped("it is stopping".to_owned()))?
    }
}
