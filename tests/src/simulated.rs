//! An agent in memory: it signs what it is told to, honest or not, at the speed of the processor.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{Digest, Random as _, SeededRandom, SigningKey};
use evidence::bundle::Bundle;
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::fact::{FactSet, Facts};
use evidence::id::ProbeId;
use evidence::outcome::Reason;
use evidence::time::Timestamp;
use ledger::key::Vkey;
use wire::disclosure::{Disclosure, Salt};
use wire::enrolment::{Challenge, EnrolAnswer, EnrolRequest, Hints, possession};
use wire::envelope::{BUNDLE_TYPE, Envelope, STATEMENT_TYPE};
use wire::problem::Problem;
use wire::receipt::{Receipt, Subject, Verified};
use wire::statement::{
    Agent, AgentStatement, BundleRef, Chain, Common, Coverage, Gap, GapRange, Round, Seen, Times,
};
use wire::submission::{DICTIONARY_HEADER, SUBMISSION_TYPE, Submission};

/// A bundle ready to judge by, shared by a fleet of simulated agents.
pub struct Judge {
    /// The bundle.
    pub bundle: Bundle,
    /// Its digest.
    pub digest: Digest,
    evaluator: Evaluator,
}

/// An agent in memory.
pub struct SimulatedAgent {
    /// Its key.
    pub key: SigningKey,
    /// Number of its next statement.
    pub seq: u64,
    /// Digest of its last statement.
    pub prev: Digest,
    /// The last checkpoint it verified.
    pub seen: Seen,
    /// The epoch of its key.
    pub epoch: u64,
    /// Its id.
    pub id: Digest,
    /// What it judges by.
    pub judge: Arc<Judge>,
    /// What probes observe; the others fail.
    pub observed: FactSet,
    log_key: Vkey,
    client: reqwest::Client,
    url: String,
    random: SeededRandom,
    facts: BTreeMap<ProbeId, Disclosure>,
    acknowledged: Option<(Digest, Vec<u8>)>,
}

/// What the collector answered to a statement.
pub type Answer = Result<Receipt, Problem>;

impl SimulatedAgent {
    /// Enrols a new agent; `seed` makes its key.
    ///
    /// # Errors
    /// The collector's problem document.
    ///
    /// # Panics
    /// If the collector does not answer as the protocol says: the test has failed.
    pub async fn enrol(
        url: &str,
        client: &reqwest::Client,
        token: &str,
        seed: u64,
        judge: Option<Arc<Judge>>,
    ) -> Result<SimulatedAgent, Problem> {
        let mut random = SeededRandom::new(seed);
        let key = SigningKey::generate(&mut random);
        let challenge: Challenge = client
            .post(format!("{url}/agent/v1/challenge"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let id = key.verifying_key().key_id();
        let pop = key.sign(&possession(&challenge.origin, &id, &challenge.nonce));
        let hints = Hints {
            hostname: format!("host-{seed}"),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            agent_version: "0.1.0".into(),
            machine: None,
        };
        let request = EnrolRequest {
            token: token.to_owned(),
            spki: key.verifying_key(),
            nonce: challenge.nonce,
            pop,
            agent: None,
            hints,
        };
        let response = client
            .post(format!("{url}/agent/v1/enrol"))
            .json(&request)
            .send()
            .await
            .unwrap();
        if !response.status().is_success() {
            return Err(response.json().await.unwrap());
        }
        let answer: EnrolAnswer = response.json().await.unwrap();
        let log_key: Vkey = answer.log_key.parse().unwrap();
        let nothing = Seen {
            origin: log_key.name().to_string(),
            size: 0,
            root: ledger::hash::EMPTY_ROOT.to_base64(),
        };
        let verified = answer.receipt.verify_entry(&log_key, &nothing).unwrap();
        let judge = match judge {
            Some(judge) => judge,
            None => Arc::new(Judge::fetch(url, client, &answer).await),
        };
        Ok(SimulatedAgent {
            key,
            seq: answer.next.seq,
            prev: answer.next.prev,
            seen: seen(&verified),
            epoch: answer.epoch,
            id: answer.agent,
            judge,
            observed: FactSet::new(),
            log_key,
            client: client.clone(),
            url: url.to_owned(),
            random,
            facts: BTreeMap::new(),
            acknowledged: None,
        })
    }

    /// What every statement of this agent says next.
    #[must_use]
    pub fn common(&self, end: Timestamp) -> Common {
        Common {
            agent: Agent {
                id: self.id,
                key: self.key.verifying_key().key_id(),
                epoch: self.epoch,
                version: "0.1.0".into(),
                binary: Digest::of(b"binary"),
            },
            chain: Chain {
                seq: self.seq,
                prev: self.prev,
                boot: "00000000-0000-4000-8000-000000000000".into(),
                mono_ms: 1,
            },
            time: Times { start: end, end },
            seen: self.seen.clone(),
        }
    }

    /// The next round, in which every probe without observed facts reports `reason`. Facts are sent along only when they changed.
    ///
    /// # Panics
    /// If the round cannot be written: the test has failed.
    pub fn round(&mut self, end: Timestamp, reason: Reason) -> (Round, Vec<Disclosure>) {
        let mut changed = Vec::new();
        let mut set = FactSet::new();
        let probes: std::collections::BTreeSet<ProbeId> = self
            .judge
            .bundle
            .checks
            .values()
            .flat_map(|check| check.probes.clone())
            .collect();
        for probe in probes {
            let failed = || Facts::unobservable(reason, "simulated", &[]);
            let facts = self.observed.get(&probe).cloned().unwrap_or_else(failed);
            if self
                .facts
                .get(&probe)
                .is_none_or(|known| *known.facts() != facts)
            {
                let salt = Salt::from_random(self.random.bytes16());
                let disclosure = Disclosure::new(salt, probe.clone(), facts.clone()).unwrap();
                changed.push(disclosure.clone());
                self.facts.insert(probe.clone(), disclosure);
            }
            set.insert(probe, facts);
        }
        let outcomes: Outcomes = self
            .judge
            .evaluator
            .judge(self.judge.bundle.checks.keys(), &set, end)
            .unwrap();
        let round = Round {
            common: self.common(end),
            bundle: BundleRef {
                sha256: self.judge.digest,
                version: self.judge.bundle.version,
            },
            coverage: Coverage::of(&outcomes),
            outcomes,
            facts: self
                .facts
                .iter()
                .map(|(probe, disclosure)| (probe.clone(), disclosure.digest()))
                .collect(),
        };
        (round, changed)
    }

    /// The disclosures of the latest facts, whether or not they were sent before.
    #[must_use]
    pub fn disclosures(&self) -> Vec<Disclosure> {
        self.facts.values().cloned().collect()
    }

    /// A gap over the statements from `from` on, which this agent pretends to have lost.
    #[must_use]
    pub fn gap(&self, end: Timestamp, lost: u64) -> Gap {
        let mut common = self.common(end);
        let (from, to) = (self.seq, self.seq + lost - 1);
        common.chain.seq = to + 1;
        Gap {
            common,
            gap: GapRange {
                from,
                to,
                reason: "expired".into(),
            },
        }
    }

    /// Signs a statement.
    ///
    /// # Panics
    /// If it cannot be written: the test has failed.
    #[must_use]
    pub fn sign(&self, statement: &AgentStatement, disclosures: Vec<Disclosure>) -> Submission {
        let payload = statement.to_payload().unwrap();
        Submission {
            envelope: Envelope::sign(STATEMENT_TYPE, payload, &[&self.key]),
            disclosures,
        }
    }

    /// The next round, signed.
    ///
    /// # Panics
    /// If it cannot be written: the test has failed.
    pub fn signed_round(&mut self, end: Timestamp, reason: Reason) -> Submission {
        let (round, changed) = self.round(end, reason);
        self.sign(&AgentStatement::Round(Box::new(round)), changed)
    }

    /// The body of a submission: compressed against the last acknowledged payload, if there is one.
    ///
    /// # Panics
    /// If it cannot be compressed: the test has failed.
    #[must_use]
    pub fn body(&self, submission: &Submission) -> (Vec<u8>, Option<Digest>) {
        let bytes = submission.to_bytes().unwrap();
        let (name, dictionary) = self
            .acknowledged
            .as_ref()
            .map(|(digest, payload)| (*digest, payload.as_slice()))
            .unzip();
        let body = zstd::bulk::Compressor::with_dictionary(3, dictionary.unwrap_or_default())
            .unwrap()
            .compress(&bytes)
            .unwrap();
        (body, name)
    }

    /// Sends a submission and returns what the collector says.
    ///
    /// # Panics
    /// If the collector does not answer as the protocol says: the test has failed.
    pub async fn send(&self, submission: &Submission) -> Answer {
        let (body, dictionary) = self.body(submission);
        match self.send_body(body, dictionary).await {
            Err(problem) if problem.code == "dictionary_unknown" => {
                let whole = zstd::bulk::compress(&submission.to_bytes().unwrap(), 3).unwrap();
                self.send_body(whole, None).await
            }
            answer => answer,
        }
    }

    /// As [`SimulatedAgent::send`], but a connection that breaks or an answer that is cut short is `None`.
    pub async fn try_send(&self, submission: &Submission) -> Option<Answer> {
        let whole = zstd::bulk::compress(&submission.to_bytes().ok()?, 3).ok()?;
        let request = self
            .client
            .post(format!("{}/agent/v1/statements", self.url))
            .header("content-type", SUBMISSION_TYPE)
            .body(whole);
        let response = request.send().await.ok()?;
        if response.status().is_success() {
            Some(Ok(response.json().await.ok()?))
        } else {
            Some(Err(response.json().await.ok()?))
        }
    }

    /// Sends any bytes as a submission.
    ///
    /// # Panics
    /// If the collector does not answer as the protocol says: the test has failed.
    pub async fn send_body(&self, body: Vec<u8>, dictionary: Option<Digest>) -> Answer {
        let mut request = self
            .client
            .post(format!("{}/agent/v1/statements", self.url))
            .header("content-type", SUBMISSION_TYPE)
            .body(body);
        if let Some(dictionary) = dictionary {
            request = request.header(DICTIONARY_HEADER, dictionary.to_hex());
        }
        let response = request.send().await.unwrap();
        if response.status().is_success() {
            Ok(response.json().await.unwrap())
        } else {
            Err(response.json().await.unwrap())
        }
    }

    /// Verifies the receipt of a submission and moves on.
    ///
    /// # Panics
    /// If the receipt does not hold: the test has failed.
    pub fn accept(&mut self, submission: &Submission, receipt: &Receipt) -> Verified {
        let seq = AgentStatement::parse(&submission.envelope.payload)
            .unwrap()
            .common()
            .chain
            .seq;
        let subject = Subject {
            agent: &self.id,
            epoch: self.epoch,
            seq,
            envelope: &submission.envelope,
        };
        let verified = receipt.verify(subject, &self.log_key, &self.seen).unwrap();
        self.seen = seen(&verified);
        self.advance(submission, seq);
        verified
    }

    /// Moves on without a receipt, as after a lost answer.
    pub fn advance(&mut self, submission: &Submission, seq: u64) {
        self.seq = seq + 1;
        self.prev = submission.envelope.digest();
        self.acknowledged = Some((self.prev, submission.envelope.payload.clone()));
    }

    /// Sends the next round and verifies its receipt.
    ///
    /// # Panics
    /// If it is refused: the test has failed.
    pub async fn deliver(&mut self, end: Timestamp, reason: Reason) -> Verified {
        let submission = self.signed_round(end, reason);
        let receipt = self
            .send(&submission)
            .await
            .unwrap_or_else(|problem| panic!("refused: {problem:?}"));
        self.accept(&submission, &receipt)
    }
}

impl Judge {
    async fn fetch(url: &str, client: &reqwest::Client, answer: &EnrolAnswer) -> Judge {
        let response = client
            .get(format!("{url}/agent/v1/bundles/{}", answer.bundle))
            .send()
            .await
            .unwrap();
        let envelope = Envelope::parse_file(&response.bytes().await.unwrap()).unwrap();
        envelope.verify(BUNDLE_TYPE, &[&answer.policy_key]).unwrap();
        let digest = Digest::of(&envelope.payload);
        assert_eq!(digest, answer.bundle);
        let bundle = Bundle::parse(&envelope.payload).unwrap().for_hosts();
        let evaluator = Evaluator::new(&bundle);
        Judge {
            bundle,
            digest,
            evaluator,
        }
    }
}

fn seen(verified: &Verified) -> Seen {
    let checkpoint = &verified.checkpoint;
    Seen {
        origin: checkpoint.origin.to_string(),
        size: checkpoint.size,
        root: checkpoint.root.to_base64(),
    }
}
