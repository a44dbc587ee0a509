//! A collector for tests: the agent's endpoints over TLS on a loopback port, with a log kept in memory.
//!
//! Its proofs are made by the definitions of RFC 6962, not by the code that verifies them.

mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use crypto::{Digest, Random as _, Signature, SigningKey, SystemRandom, VerifyingKey};
use evidence::bundle::Bundle;
use evidence::check::CheckFile;
use evidence::id::GroupId;
use evidence::time::Timestamp;
use ledger::checkpoint::Checkpoint;
use ledger::hash::leaf_hash;
use ledger::key::Skey;
use ledger::tlog_proof::TlogProof;
use wire::decision::{Actor, Decision, Enrolled, Next};
use wire::disclosure::DisclosureDigest;
use wire::enrolment::{Challenge, EnrolAnswer, EnrolRequest, possession};
use wire::envelope::{BUNDLE_TYPE, Envelope, STATEMENT_TYPE};
use wire::leaf::{Concerns, Counters, Kind, Leaf};
use wire::problem::{PROBLEM_TYPE, Problem};
use wire::receipt::{RECEIPT_TYPE, Receipt};
use wire::statement::AgentStatement;
use wire::submission::{BUNDLE_HEADER, DICTIONARY_HEADER, Submission};

pub const TOKEN: &str = "a-token-that-must-not-be-seen";
const ORIGIN: &str = "log.test";

/// What the next requests meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The statement is taken and the answer lost.
    LostAnswer,
    /// 429 with `Retry-After` of so many seconds.
    Busy(u64),
    /// The consistency proof is another.
    WrongConsistency,
    /// 422 with this code.
    Refused(&'static str),
    /// An answer of something in between.
    Stranger,
}

/// A statement in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    pub seq: u64,
    pub pae: Digest,
    pub statement: AgentStatement,
}

struct Agent {
    key: VerifyingKey,
    id: Digest,
    next: Next,
}

pub struct Log {
    leaves: Vec<Vec<u8>>,
    key: Skey,
    policy: SigningKey,
    decision: SigningKey,
    bundles: BTreeMap<Digest, Vec<u8>>,
    pub bundle: Digest,
    agent: Option<Agent>,
    nonces: BTreeSet<Digest>,
    facts: BTreeSet<DisclosureDigest>,
    payloads: HashMap<Digest, Vec<u8>>,
    pub statements: Vec<Logged>,
    pub requests: Vec<Instant>,
    pub bytes: Vec<usize>,
    pub faults: Vec<Fault>,
    /// Chain breaks: what no agent of ours may ever cause.
    pub forks: Vec<String>,
}

struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
}

pub struct Fake {
    shared: Arc<Shared>,
    pub folder: tempfile::TempDir,
    pub config: PathBuf,
}

const CHECK: &str = r#"
id = "demo.live"
title = "t"
topic = "t"
severity = "low"
cadence = "*/15 * * * *"
profile = "all"
probes = ["system"]
rules = [ { if = "facts.system.live", then = "pass" } ]
else = { then = "fail", reason = "missing" }
expected = "e"
observed = "facts.system.live"
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
[controls."27001:2022"]
primary = ["A.8.9"]
"#;

impl Fake {
    /// Starts on a free port.
    pub fn start() -> Fake {
        let mut log = Log {
            leaves: Vec::new(),
            key: Skey::new(
                ORIGIN.parse().unwrap(),
                SigningKey::generate(&mut SystemRandom),
            ),
            policy: SigningKey::generate(&mut SystemRandom),
            decision: SigningKey::generate(&mut SystemRandom),
            bundles: BTreeMap::new(),
            bundle: Digest::ZERO,
            agent: None,
            nonces: BTreeSet::new(),
            facts: BTreeSet::new(),
            payloads: HashMap::new(),
            statements: Vec::new(),
            requests: Vec::new(),
            bytes: Vec::new(),
            faults: Vec::new(),
            forks: Vec::new(),
        };
        log.publish(1);
        let shared = Arc::new(Shared {
            log: Mutex::new(log),
            changed: Condvar::new(),
        });
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &certificate).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let config = folder.path().join("agent.toml");
        let text = format!(
            "collector = \"https://{address}\"\nca = {ca:?}\nstate = {:?}\n",
            folder.path().join("state")
        );
        std::fs::write(&config, text).unwrap();
        let router = router(shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let tls = axum_server::tls_rustls::RustlsConfig::from_pem(
                    certificate.into_bytes(),
                    key.into_bytes(),
                )
                .await
                .unwrap();
                axum_server::from_tcp_rustls(listener, tls)
                    .unwrap()
                    .serve(router.into_make_service())
                    .await
                    .unwrap();
            });
        });
        Fake {
            shared,
            folder,
            config,
        }
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Waits until the log is as wanted.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Log) -> bool) {
        let (log, timed) = self
            .shared
            .changed
            .wait_timeout_while(self.log(), Duration::from_secs(90), |log| !wanted(log))
            .unwrap();
        assert!(
            !timed.timed_out(),
            "{what}: not within 90 s; {} statements, {} requests",
            log.statements.len(),
            log.requests.len()
        );
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        let started = Instant::now();
        let ended = |_: &mut Log| started.elapsed() < time;
        drop(
            self.shared
                .changed
                .wait_timeout_while(self.log(), time, ended),
        );
    }
}

impl Log {
    /// Publishes a bundle of this version, to be used from now on.
    pub fn publish(&mut self, version: u64) {
        let file = CheckFile::parse("demo.live.toml", CHECK).unwrap();
        let schemas = evidence::baseline::schemas().unwrap();
        let bundle = Bundle::from_files(version, "test", &[file], &schemas).unwrap();
        let bytes = bundle.to_bytes().unwrap();
        self.bundle = Digest::of(&bytes);
        let file = Envelope::sign(BUNDLE_TYPE, bytes, &[&self.policy]).to_file();
        self.bundles.insert(self.bundle, file.unwrap());
    }

    fn append(&mut self, leaf: &Leaf) -> u64 {
        self.leaves.push(leaf.to_bytes().unwrap());
        self.leaves.len() as u64 - 1
    }

    fn hashes(&self) -> Vec<Digest> {
        self.leaves.iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    fn receipt(&self, index: u64, seen: u64) -> Receipt {
        let hashes = self.hashes();
        let checkpoint = Checkpoint {
            origin: ORIGIN.parse().unwrap(),
            size: hashes.len() as u64,
            root: tree::root(&hashes),
        };
        let index_in_memory = usize::try_from(index).unwrap();
        let proof = TlogProof {
            extra: Some(self.leaves[index_in_memory].clone()),
            index,
            hashes: tree::path(index_in_memory, &hashes),
            checkpoint: checkpoint.sign(&self.key).unwrap().to_bytes(),
        };
        let consistency = match usize::try_from(seen).unwrap() {
            0 => Vec::new(),
            seen => tree::subproof(seen, &hashes, true),
        };
        Receipt {
            proof: String::from_utf8(proof.to_bytes()).unwrap(),
            consistency: consistency.iter().map(Digest::to_base64).collect(),
        }
    }

    fn leaf(&self, kind: Kind, envelope: &Envelope, statement: Option<(u64, GroupId)>) -> Leaf {
        let agent = self.agent.as_ref().unwrap();
        let concerns = Concerns {
            agent: agent.id,
            epoch: 1,
            statement,
        };
        let counters = Counters {
            rx: 0,
            dec: 0,
            ev: 0,
        };
        Leaf::of(kind, envelope, Some(concerns), counters).unwrap()
    }

    fn take(&mut self, body: &[u8], dictionary: Option<Digest>) -> Result<Receipt, Problem> {
        let refuse =
            |status, code: &str| Err(Problem::new(status, code, code, "refused by a test"));
        let known = match dictionary {
            Some(digest) => match self.payloads.get(&digest) {
                Some(payload) => payload.clone(),
                None => return refuse(409, "dictionary_unknown"),
            },
            None => Vec::new(),
        };
        let bytes = zstd::bulk::Decompressor::with_dictionary(&known)
            .and_then(|mut one| one.decompress(body, 8 << 20))
            .unwrap();
        let submission = Submission::parse(&bytes).unwrap();
        let statement = AgentStatement::parse(&submission.envelope.payload).unwrap();
        let agent = self.agent.as_ref().unwrap();
        submission
            .envelope
            .verify(STATEMENT_TYPE, &[&agent.key])
            .unwrap();
        let pae = submission.envelope.digest();
        let common = statement.common().clone();
        if let Some(at) = self.statements.iter().position(|one| one.pae == pae) {
            return Ok(self.receipt(at as u64 + 1, common.seen.size));
        }
        let first = match &statement {
            AgentStatement::Gap(gap) => gap.gap.from,
            _ => common.chain.seq,
        };
        if first != agent.next.seq || common.chain.prev != agent.next.prev {
            if first > agent.next.seq {
                return refuse(409, "out_of_order");
            }
            self.forks.push(format!("{first} after {:?}", agent.next));
            return refuse(403, "fork");
        }
        let mut facts = self.facts.clone();
        facts.extend(submission.disclosures.iter().map(|one| one.digest()));
        if let AgentStatement::Round(round) = &statement
            && !round.facts.values().all(|digest| facts.contains(digest))
        {
            return refuse(409, "disclosure_missing");
        }
        self.facts = facts;
        let kind = match &statement {
            AgentStatement::Gap(_) => Kind::Gap,
            _ => Kind::Round,
        };
        let seq = common.chain.seq;
        let leaf = self.leaf(kind, &submission.envelope, Some((seq, group())));
        let index = self.append(&leaf);
        self.statements.push(Logged {
            seq,
            pae,
            statement,
        });
        self.payloads = HashMap::from([(pae, submission.envelope.payload)]);
        if let Some(agent) = &mut self.agent {
            agent.next = Next {
                seq: seq + 1,
                prev: pae,
            };
        }
        Ok(self.receipt(index, common.seen.size))
    }

    /// Forgets all facts, as a collector that lost its bodies.
    pub fn forget_facts(&mut self) {
        self.facts.clear();
    }

    fn enrol(&mut self, request: &EnrolRequest) -> Result<EnrolAnswer, Problem> {
        let refuse = |code: &str| Err(Problem::new(403, code, code, "refused by a test"));
        if request.token != TOKEN {
            return refuse("bad_token");
        }
        assert!(self.nonces.remove(&request.nonce));
        let key = request.spki.key_id();
        let proven = possession(ORIGIN, &key, &request.nonce);
        request.spki.verify(&proven, &request.pop).unwrap();
        self.agent = Some(Agent {
            key: request.spki,
            id: key,
            next: Next::FIRST,
        });
        let decision = Decision {
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            origin: ORIGIN.to_owned(),
            by: Actor::collector(),
            at: Timestamp::from_unix_ms(0),
            reason: "test".to_owned(),
            content: Enrolled {
                agent: key,
                epoch: 1,
                spki: request.spki,
                grp: group(),
                how: "token".to_owned(),
                nonce: request.nonce,
                pop: Signature::from_bytes(*request.pop.as_bytes()),
                next: Next::FIRST,
            },
        };
        let envelope = decision.sign(&[&self.decision]).unwrap();
        let leaf = self.leaf(Kind::Enrol, &envelope, None);
        let index = self.append(&leaf);
        Ok(EnrolAnswer {
            agent: key,
            epoch: 1,
            group: group(),
            log_key: self.key.vkey().to_string(),
            policy_key: self.policy.verifying_key(),
            next: Next::FIRST,
            receipt: self.receipt(index, 0),
            bundle: self.bundle,
        })
    }
}

fn group() -> GroupId {
    "test".parse().unwrap()
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/agent/v1/challenge", post(challenge))
        .route("/agent/v1/enrol", post(enrol))
        .route("/agent/v1/statements", post(statements))
        .route("/agent/v1/bundles/{digest}", get(bundles))
        .with_state(shared)
}

async fn challenge(State(shared): State<Arc<Shared>>) -> Response {
    let nonce = Digest::from_bytes(SystemRandom.bytes32());
    shared.log.lock().unwrap().nonces.insert(nonce);
    let origin = ORIGIN.to_owned();
    axum::Json(Challenge { origin, nonce }).into_response()
}

async fn enrol(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request: EnrolRequest = serde_json::from_slice(&body).unwrap();
    match shared.log.lock().unwrap().enrol(&request) {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(problem) => refusal(&problem, None),
    }
}

async fn bundles(State(shared): State<Arc<Shared>>, Path(digest): Path<String>) -> Response {
    let digest = Digest::from_hex(&digest).unwrap();
    match shared.log.lock().unwrap().bundles.get(&digest) {
        Some(bytes) => bytes.clone().into_response(),
        None => refusal(&Problem::new(404, "not_found", "not found", ""), None),
    }
}

fn refusal(problem: &Problem, retry_after: Option<u64>) -> Response {
    let status = axum::http::StatusCode::from_u16(problem.status).unwrap();
    let body = serde_json::to_vec(problem).unwrap();
    let mut response = (status, [("content-type", PROBLEM_TYPE)], body).into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert("retry-after", seconds.to_string().parse().unwrap());
    }
    response
}

async fn statements(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut log = shared.log.lock().unwrap();
    log.requests.push(Instant::now());
    log.bytes.push(body.len());
    let fault = log.faults.pop();
    let response = match fault {
        Some(Fault::Busy(seconds)) => {
            refusal(&Problem::new(429, "busy", "busy", ""), Some(seconds))
        }
        Some(Fault::Refused(code)) => refusal(&Problem::new(422, code, code, "by a test"), None),
        Some(Fault::Stranger) => (axum::http::StatusCode::BAD_REQUEST, "blocked").into_response(),
        _ => {
            let dictionary = headers
                .get(DICTIONARY_HEADER)
                .map(|value| Digest::from_hex(value.to_str().unwrap()).unwrap());
            match log.take(&body, dictionary) {
                Ok(mut receipt) => {
                    if fault == Some(Fault::WrongConsistency) {
                        receipt.consistency = vec![Digest::of(b"another history").to_base64()];
                    }
                    if fault == Some(Fault::LostAnswer) {
                        (axum::http::StatusCode::BAD_GATEWAY, "gone").into_response()
                    } else {
                        let body = serde_json::to_vec(&receipt).unwrap();
                        let bundle = log.bundle.to_hex();
                        let headers = [
                            ("content-type", RECEIPT_TYPE),
                            (BUNDLE_HEADER, bundle.as_str()),
                        ];
                        (headers, body).into_response()
                    }
                }
                Err(problem) => refusal(&problem, None),
            }
        }
    };
    drop(log);
    shared.changed.notify_all();
    response
}
