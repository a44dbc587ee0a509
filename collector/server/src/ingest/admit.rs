//! Admission: from the bytes of a request to a [`VerifiedEnvelope`], the only thing the sequencer takes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crypto::{Digest, VerifyingKey};
use evidence::id::{AgentId, ProbeId};
use store::AgentState;
use wire::disclosure::Disclosure;
use wire::envelope::{Envelope, STATEMENT_TYPE};
use wire::statement::AgentStatement;
use wire::submission::{MAX_SUBMISSION_BYTES, Submission};

use super::body_budget::Room;
use super::fleet::Fleet;
use super::refusal::Refusal;

/// What admission knows of an agent.
#[derive(Debug, Clone)]
struct Known {
    row: i64,
    key: VerifyingKey,
    epoch: u64,
    state: AgentState,
    /// Digest and bytes of the last payload, the dictionary of the next submission.
    last: Option<(Digest, Arc<Vec<u8>>)>,
}

/// The keys of the fleet, as of the last commit. Readers take a short shared lock.
#[derive(Debug, Default)]
pub struct Keyring {
    agents: RwLock<HashMap<AgentId, Known>>,
    /// Payloads by the digest that a submission names as its dictionary.
    payloads: RwLock<HashMap<Digest, Arc<Vec<u8>>>>,
}

impl Keyring {
    /// Takes over every agent of the fleet.
    pub fn load(&self, fleet: &Fleet) {
        for standing in fleet.standings() {
            self.update(standing, None);
        }
    }

    /// Takes over one agent after a commit, with its last payload if a round was committed.
    pub fn update(&self, standing: &store::Standing, payload: Option<Arc<Vec<u8>>>) {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let before = agents.remove(&standing.agent).and_then(|known| known.last);
        let last = payload
            .map(|payload| (standing.prev, payload))
            .or_else(|| before.clone());
        let mut payloads = self
            .payloads
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((digest, _)) =
            before.filter(|before| last.as_ref().is_some_and(|last| last.0 != before.0))
        {
            payloads.remove(&digest);
        }
        if let Some((digest, payload)) = &last {
            payloads.insert(*digest, payload.clone());
        }
        agents.insert(
            standing.agent,
            Known {
                row: standing.row,
                key: standing.spki,
                epoch: standing.epoch,
                state: standing.state,
                last,
            },
        );
    }

    /// The payload of that digest, if it is some agent's last.
    #[must_use]
    pub fn payload(&self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
        self.payloads
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    fn known(&self, agent: &AgentId) -> Option<Known> {
        self.agents
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(agent)
            .cloned()
    }
}

/// A statement whose bytes were bounded, whose signature verifies under the agent's present key, and whose disclosures
/// are its own.
#[derive(Debug)]
pub struct VerifiedEnvelope {
    /// The envelope.
    pub envelope: Envelope,
    /// Its digest.
    pub pae: Digest,
    /// What it says.
    pub statement: AgentStatement,
    /// Row of its agent.
    pub row: i64,
    /// Facts that came with it.
    pub disclosures: Vec<Disclosure>,
}

/// Decompresses and verifies a body, bounded before and after.
///
/// A dictionary serves its own agent alone, and whoever names one without being that agent is told nothing else: a
/// stranger could otherwise have the payload of a host completed, and read from the kind of refusal what is in it.
///
/// # Errors
/// [`Refusal`] by what is wrong with it; with a dictionary always [`Refusal::DictionaryUnknown`] (sent again without, it
/// is told), unless there is no room.
pub fn open(
    keyring: &Keyring,
    body: &[u8],
    dictionary: Option<&Digest>,
    room: &mut Room,
) -> Result<VerifiedEnvelope, Refusal> {
    let mut read = |dictionary: &[u8]| {
        let bytes = inflate(body, dictionary)?;
        room.take(bytes.len())?;
        verify(keyring, &bytes)
    };
    let Some(name) = dictionary else {
        return read(&[]);
    };
    let payload = keyring.payload(name).ok_or(Refusal::DictionaryUnknown)?;
    let verified = read(&payload).map_err(|refusal| match refusal {
        Refusal::Busy => Refusal::Busy,
        _ => Refusal::DictionaryUnknown,
    })?;
    let agent = verified.statement.common().agent.id;
    let last = keyring.known(&agent).and_then(|known| known.last);
    if last.is_none_or(|(digest, _)| digest != *name) {
        return Err(Refusal::DictionaryUnknown);
    }
    Ok(verified)
}

fn inflate(body: &[u8], dictionary: &[u8]) -> Result<Vec<u8>, Refusal> {
    use std::io::Read as _;
    let mut reader = zstd::stream::read::Decoder::with_dictionary(body, dictionary)
        .map_err(|_| Refusal::Compression)?;
    // A window of 8 MB is all that a body of ours needs: a frame that asks for more is refused before it is allocated.
    reader
        .window_log_max(23)
        .map_err(|_| Refusal::Compression)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let n = reader.read(&mut chunk).map_err(|_| Refusal::Compression)?;
        if n == 0 {
            return Ok(bytes);
        }
        if bytes.len() + n > MAX_SUBMISSION_BYTES {
            return Err(Refusal::TooLarge);
        }
        bytes.extend_from_slice(&chunk[..n]);
    }
}

/// Verifies a submission that is not compressed.
///
/// # Errors
/// [`Refusal`] by what is wrong with it.
pub fn verify(keyring: &Keyring, bytes: &[u8]) -> Result<VerifiedEnvelope, Refusal> {
    let Submission {
        envelope,
        disclosures,
    } = Submission::parse(bytes).map_err(Refusal::Submission)?;
    let statement = AgentStatement::parse(&envelope.payload).map_err(Refusal::Statement)?;
    let agent = &statement.common().agent;
    let known = keyring.known(&agent.id).ok_or(Refusal::UnknownAgent)?;
    // The signature first: whoever cannot sign learns nothing of the key's state.
    let keys = match &statement {
        AgentStatement::Rotate(rotate) => vec![known.key, rotate.new.spki],
        _ => vec![known.key],
    };
    if agent.key != known.key.key_id() || agent.epoch != known.epoch {
        return Err(Refusal::WrongKey);
    }
    envelope
        .verify(STATEMENT_TYPE, &keys.iter().collect::<Vec<_>>())
        .map_err(Refusal::Signature)?;
    if known.state != AgentState::Active {
        return Err(Refusal::KeyEnded(known.state.as_str()));
    }
    // The hint of which key signed is not authenticated; what the leaf says must be what verified.
    let mut envelope = envelope;
    for (signature, key) in envelope.signatures.iter_mut().zip(&keys) {
        signature.key = Some(key.key_id());
    }
    check_disclosures(&statement, &disclosures)?;
    Ok(VerifiedEnvelope {
        pae: envelope.digest(),
        envelope,
        statement,
        row: known.row,
        disclosures,
    })
}

fn check_disclosures(
    statement: &AgentStatement,
    disclosures: &[Disclosure],
) -> Result<(), Refusal> {
    let AgentStatement::Round(round) = statement else {
        return if disclosures.is_empty() {
            Ok(())
        } else {
            Err(Refusal::DisclosureMismatch)
        };
    };
    let mut salts = BTreeSet::new();
    let mut probes: BTreeSet<&ProbeId> = BTreeSet::new();
    for disclosure in disclosures {
        let committed = round.facts.get(disclosure.probe()) == Some(&disclosure.digest());
        if !committed || !salts.insert(disclosure.salt()) || !probes.insert(disclosure.probe()) {
            return Err(Refusal::DisclosureMismatch);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused_at_the_bound() {
        let bomb = zstd::bulk::compress(&vec![0; 64 * 1024 * 1024], 19).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(inflate(&bomb, &[]), Err(Refusal::TooLarge)));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = zstd::bulk::compress(b"some text that is long enough to be cut", 1).unwrap();
        assert!(inflate(&whole, &[]).is_ok());
        for cut in 1..whole.len() {
            assert!(inflate(&whole[..cut], &[]).is_err(), "cut at {cut}");
        }
    }
}
