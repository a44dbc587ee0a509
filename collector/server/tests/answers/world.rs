//! A collector without a network: the real sequencer, store and questions, and hosts that sign rounds at times of the
//! test's choice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use collector::ingest::admit::{self, Keyring};
use collector::ingest::body_budget::BodyBudget;
use collector::ingest::refusal::Refusal;
use collector::ingest::sequencer::{
    self, Accepted, ActivateCommand, Command, EndCommand, EnrolCommand, Published, SigningKeys,
};
use collector::queries::ledger::Address;
use collector::queries::{Library, Viewer};
use crypto::{Digest, SeededRandom, SigningKey};
use evidence::bundle::Bundle;
use evidence::evaluate::Evaluator;
use evidence::fact::{FactSet, Facts};
use evidence::id::{CheckId, ProbeId};
use evidence::time::{Clock, FixedClock, Timestamp};
use ledger::key::Skey;
use serde_json::{Value, json};
use store::Store;
use store::people::EnrolmentToken;
use tokio::sync::{mpsc, oneshot};
use wire::decision::{Actor, Enrolled, Next};
use wire::disclosure::{Disclosure, Salt};
use wire::enrolment::Hints;
use wire::envelope::{BUNDLE_TYPE, Envelope, STATEMENT_TYPE};
use wire::leaf::Kind;
use wire::statement::{
    Agent, AgentStatement, BundleRef, Chain, Common, Coverage, Round, Seen, Times,
};
use wire::submission::Submission;

/// Where people reach the collector.
pub fn address() -> Address {
    Address("https://assay.example:8443".to_owned())
}

pub const HOUR: Duration = Duration::from_secs(3600);

pub struct World {
    folder: tempfile::TempDir,
    pub store: Store,
    pub library: Library,
    pub published: Published,
    pub clock: Arc<FixedClock>,
    pub log_key: ledger::key::Vkey,
    queue: mpsc::Sender<Command>,
    running: tokio::task::JoinHandle<()>,
    keys: Arc<SigningKeys>,
    keyring: Arc<Keyring>,
    policy: SigningKey,
    bundles: BTreeMap<u64, Bundle>,
}

/// A host with a key of its own.
pub struct Host {
    key: SigningKey,
    seq: u64,
    prev: Digest,
    disclosed: BTreeMap<ProbeId, Disclosure>,
}

/// One check in JSON. It reads `facts.<probe>.value` and passes if that is `good`.
pub fn check(probe: &str, severity: &str, cadence: &str, primary: &[&str]) -> Value {
    json!({
        "title": format!("{probe} is good"), "topic": "Test", "severity": severity, "cadence": cadence,
        "profile": "all", "probes": [probe], "params": {"wanted": "good"},
        "rules": [
            {"if": format!("facts.{probe}.value == 'absent'"), "then": "not_applicable", "reason": "absent"},
            {"if": format!("facts.{probe}.value == params.wanted"), "then": "pass"},
        ],
        "else": {"then": "fail", "reason": "weaker_than_policy"},
        "expected": "the value is {wanted}", "observed": format!("facts.{probe}.value"),
        "reads": "r", "decides": "d", "shows": "s", "does_not_show": "n", "remediation": "    mend it\n", "ask": "a",
        "controls": {"27001:2022": {"primary": primary}},
    })
}

impl World {
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let clock = Arc::new(FixedClock::at("2026-11-01T00:00:00.000Z".parse().unwrap()));
        let mut random = SeededRandom::new(7);
        let policy = SigningKey::generate(&mut random);
        let log = Skey::new(
            "log.test/answers".parse().unwrap(),
            SigningKey::generate(&mut random),
        );
        let log_key = log.vkey();
        let keys = Arc::new(SigningKeys {
            log,
            decision: SigningKey::generate(&mut random),
        });
        let started = sequencer::start(
            store.clone(),
            keys.clone(),
            policy.verifying_key(),
            folder.path().join("checkpoint"),
            clock.clone(),
            Box::new(random),
        )
        .await
        .unwrap();
        let running = tokio::spawn(started.sequencer.run(started.commands));
        World {
            folder,
            store,
            library: Library::new().unwrap(),
            published: started.published,
            clock,
            log_key,
            queue: started.queue,
            running,
            keys,
            keyring: started.keyring,
            policy,
            bundles: BTreeMap::new(),
        }
    }

    /// Stops the collector and starts it anew on the same database.
    pub async fn restart(&mut self) {
        let (nobody, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.queue, nobody));
        (&mut self.running).await.unwrap();
        let started = sequencer::start(
            self.store.clone(),
            self.keys.clone(),
            self.policy.verifying_key(),
            self.folder.path().join("checkpoint"),
            self.clock.clone(),
            Box::new(SeededRandom::new(8)),
        );
        let started = started.await.unwrap();
        self.running = tokio::spawn(started.sequencer.run(started.commands));
        self.queue = started.queue;
        self.keyring = started.keyring;
        self.published = started.published;
        self.library = Library::new().unwrap();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn viewer(&self) -> Viewer {
        Viewer {
            person: "ada".to_owned(),
            search: String::new(),
            origin: self.log_key.name().to_string(),
        }
    }

    async fn submit(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<Accepted, Refusal>>) -> Command,
    ) -> Accepted {
        self.answer_to(command).await.unwrap()
    }

    async fn answer_to(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<Accepted, Refusal>>) -> Command,
    ) -> Result<Accepted, Refusal> {
        let (sender, answer) = oneshot::channel();
        assert!(self.queue.send(command(sender)).await.is_ok());
        answer.await.unwrap()
    }

    pub async fn activate(&mut self, version: u64, groups: &[&str], checks: &[(&str, Value)]) {
        let checks: serde_json::Map<String, Value> = checks
            .iter()
            .map(|(id, check)| ((*id).to_owned(), check.clone()))
            .collect();
        let bundle = json!({"v": 1, "version": version, "engine": "cel/1", "checks": checks});
        let bundle: Bundle = serde_json::from_value(bundle).unwrap();
        let bytes = bundle.to_bytes().unwrap();
        let command = ActivateCommand {
            envelope: Envelope::sign(BUNDLE_TYPE, bytes, &[&self.policy]),
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            by: Actor::collector(),
            reason: "for the test".to_owned(),
        };
        self.submit(|answer| Command::Activate(Box::new(command), answer))
            .await;
        self.bundles.insert(version, bundle);
    }

    pub async fn enrol(&self, name: &str, group: &str) -> Host {
        let seed = *Digest::of(name.as_bytes()).as_bytes();
        let key = SigningKey::from_seed(&seed);
        let id = key.verifying_key().key_id();
        let token = format!("token-{name}");
        let made = EnrolmentToken {
            id: token.clone(),
            digest: Digest::of(token.as_bytes()),
            group: group.parse().unwrap(),
            uses: 1,
            expires: self.now().plus_ms(1_000_000),
            created: self.now(),
            by: "cli".to_owned(),
            revoked: false,
        };
        self.store.add_enrolment_token(&made).await.unwrap();
        let command = EnrolCommand {
            enrolled: Enrolled {
                agent: id,
                epoch: 1,
                spki: key.verifying_key(),
                grp: group.parse().unwrap(),
                how: format!("token {token}"),
                nonce: Digest::of(b"nonce"),
                pop: key.sign(b"possession"),
                next: Next::FIRST,
            },
            by: Actor::collector(),
            token,
            hints: Hints {
                hostname: name.to_owned(),
                os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
                agent_version: "1".to_owned(),
                machine: None,
            },
        };
        self.submit(|answer| Command::Enrol(Box::new(command), answer))
            .await;
        Host {
            key,
            seq: 0,
            prev: Digest::ZERO,
            disclosed: BTreeMap::new(),
        }
    }

    pub async fn end(&self, host: &Host, kind: Kind) {
        let command = EndCommand {
            agent: host.agent(),
            kind,
            by: Actor::collector(),
            reason: "given back".to_owned(),
        };
        self.submit(|answer| Command::End(command, answer)).await;
    }

    /// The host judges every check of a bundle now, its probes having seen these values; `None` is a failed probe.
    pub async fn round(&self, host: &mut Host, version: u64, seen: &[(&str, Option<&str>)]) -> u64 {
        let bundle = self.bundles[&version].clone().for_hosts();
        let end = self.now();
        self.deliver(host, version, &bundle, seen, end)
            .await
            .unwrap()
            .index
    }

    /// A round of these checks of a bundle that ended at `end` by the host's clock.
    pub async fn deliver(
        &self,
        host: &mut Host,
        version: u64,
        checks: &Bundle,
        seen: &[(&str, Option<&str>)],
        end: Timestamp,
    ) -> Result<Accepted, Refusal> {
        let bundle = &self.bundles[&version];
        let facts = seen
            .iter()
            .map(|(probe, value)| (probe.parse().unwrap(), facts(*value)));
        let facts: FactSet = facts.collect();
        let ids: Vec<&CheckId> = checks.checks.keys().collect();
        let evaluator = Evaluator::new(bundle);
        let outcomes = evaluator.judge(ids, &facts, end).unwrap();
        let fresh = host.disclose(&facts);
        let round = Round {
            common: host.next(end),
            bundle: BundleRef {
                sha256: bundle.digest().unwrap(),
                version,
            },
            coverage: Coverage::of(&outcomes),
            outcomes,
            facts: host
                .disclosed
                .iter()
                .filter(|(probe, _)| facts.contains_key(*probe))
                .map(|(probe, disclosure)| (probe.clone(), disclosure.digest()))
                .collect(),
        };
        let payload = AgentStatement::Round(Box::new(round)).to_payload().unwrap();
        let envelope = Envelope::sign(STATEMENT_TYPE, payload, &[&host.key]);
        host.prev = envelope.digest();
        let submission = Submission {
            envelope,
            disclosures: fresh,
        };
        let body = store::compress(&submission.to_bytes().unwrap(), &[]).unwrap();
        let mut room = BodyBudget::new(1024).room();
        let verified = admit::open(&self.keyring, &body, None, &mut room).unwrap();
        self.answer_to(|answer| Command::Statement(Box::new(verified), answer))
            .await
    }

    /// The checks of a bundle.
    pub fn bundle(&self, version: u64) -> Bundle {
        self.bundles[&version].clone()
    }
}

fn facts(value: Option<&str>) -> Facts {
    let Some(value) = value else {
        return Facts::unobservable(
            evidence::outcome::Reason::PermissionDenied,
            "may not read it",
            &[],
        );
    };
    let members = json!({"value": value, "sources": [{"at": "/etc/test"}]});
    Facts::new(members.as_object().unwrap().clone())
}

impl Host {
    pub fn agent(&self) -> Digest {
        self.key.verifying_key().key_id()
    }

    pub fn id(&self) -> String {
        self.agent().to_hex()
    }

    /// Disclosures of what changed.
    fn disclose(&mut self, facts: &FactSet) -> Vec<Disclosure> {
        let mut fresh = Vec::new();
        for (probe, facts) in facts {
            if self
                .disclosed
                .get(probe)
                .is_some_and(|known| known.facts() == facts)
            {
                continue;
            }
            let salt = Digest::of_parts(&[
                self.agent().as_bytes(),
                &self.seq.to_be_bytes(),
                probe.as_str().as_bytes(),
            ]);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&salt.as_bytes()[..16]);
            let made =
                Disclosure::new(Salt::from_random(bytes), probe.clone(), facts.clone()).unwrap();
            self.disclosed.insert(probe.clone(), made.clone());
            fresh.push(made);
        }
        fresh
    }

    fn next(&mut self, now: Timestamp) -> Common {
        self.seq += 1;
        Common {
            agent: Agent {
                id: self.agent(),
                key: self.agent(),
                epoch: 1,
                version: "1".to_owned(),
                binary: Digest::of(b"binary"),
            },
            chain: Chain {
                seq: self.seq,
                prev: self.prev,
                boot: "boot".to_owned(),
                mono_ms: self.seq,
            },
            time: Times {
                start: now,
                end: now,
            },
            seen: Seen {
                origin: "log.test/answers".to_owned(),
                size: 0,
                root: ledger::hash::EMPTY_ROOT.to_base64(),
            },
        }
    }
}
