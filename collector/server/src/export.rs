//! One round as files that `assay-verify round` checks without us.
//!
//! `round.dsse.json`, `round.tlog-proof` (with the leaf as `extra`), `agent.pem`, `bundle.dsse.json` and
//! `disclosures/<digest>`; beside them `log.vkey` and `policy.pem`, the keys that the log itself names, for whoever has not
//! got them by a way of their own.

use ledger::checkpoint::SignedCheckpoint;
use store::{Store, StoreError};
use wire::decision::{Decision, Enrolled, KeyInForce, Keys};
use wire::disclosure::DisclosureDigest;
use wire::envelope::{Envelope, EnvelopeError, EnvelopeSignature, STATEMENT_TYPE};
use wire::leaf::{Kind, Leaf};
use wire::statement::AgentStatement;

use crate::ingest::proofs::{ProofsError, Tiles};

/// Why a round cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no entry of that index, or it is no round.
    #[error("entry {0} is no round; an export is of a round")]
    NotARound(u64),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A proof could not be made.
    #[error(transparent)]
    Proofs(#[from] ProofsError),
    /// The envelope cannot be written.
    #[error("the envelope of entry {index} cannot be written")]
    Envelope {
        /// The entry.
        index: u64,
        /// What is wrong.
        #[source]
        source: EnvelopeError,
    },
    /// A body was erased or is damaged.
    #[error("entry {index}: {problem}")]
    Body {
        /// The entry.
        index: u64,
        /// What is missing.
        problem: String,
    },
}

/// Path and content of each file of an export.
pub type Files = Vec<(String, Vec<u8>)>;

/// The files of one round under a signed checkpoint.
///
/// # Errors
/// [`ExportError`] if it is no round, or something of it is missing.
pub async fn round(
    store: &Store,
    checkpoint: &SignedCheckpoint,
    index: u64,
) -> Result<Files, ExportError> {
    let body = |problem: String| ExportError::Body { index, problem };
    let entry = store
        .entry(index)
        .await?
        .filter(|entry| entry.leaf.kind == Kind::Round)
        .ok_or(ExportError::NotARound(index))?;
    let payload = store
        .payload(index)
        .await?
        .ok_or_else(|| body("its envelope was erased".to_owned()))?;
    let AgentStatement::Round(round) =
        AgentStatement::parse(&payload).map_err(|error| body(error.to_string()))?
    else {
        return Err(ExportError::NotARound(index));
    };
    let envelope = envelope(&entry.leaf, payload);
    let proof = Tiles::default()
        .proof(store, checkpoint, index, Some(&entry.bytes))
        .await?;
    let bundle = store
        .bundle(&round.bundle.sha256)
        .await?
        .ok_or_else(|| body("its bundle is missing".to_owned()))?;
    let keys = named_keys(store, index, &bundle).await?;
    let mut files = vec![
        (
            "log.vkey".to_owned(),
            format!("{}\n", keys.log).into_bytes(),
        ),
        ("policy.pem".to_owned(), keys.policy.into_bytes()),
        (
            "round.dsse.json".to_owned(),
            envelope
                .to_file()
                .map_err(|source| ExportError::Envelope { index, source })?,
        ),
        ("round.tlog-proof".to_owned(), proof.to_bytes()),
        (
            "agent.pem".to_owned(),
            agent_key(store, &entry.leaf).await?.into_bytes(),
        ),
        ("bundle.dsse.json".to_owned(), bundle),
    ];
    let digests: Vec<DisclosureDigest> = round.facts.values().copied().collect();
    let texts = store
        .disclosures(
            &digests
                .iter()
                .map(|digest| *digest.digest())
                .collect::<Vec<_>>(),
        )
        .await?;
    for (digest, text) in digests.iter().zip(texts) {
        let text = text.ok_or_else(|| body(format!("disclosure {digest} was erased")))?;
        files.push((format!("disclosures/{digest}"), text.into_bytes()));
    }
    Ok(files)
}

/// The envelope that a leaf commits to, from its payload.
#[must_use]
pub fn envelope(leaf: &Leaf, payload: Vec<u8>) -> Envelope {
    let first = EnvelopeSignature {
        key: Some(leaf.key),
        signature: leaf.sig,
    };
    let second = leaf.sig2.map(|signature| EnvelopeSignature {
        key: leaf.key2,
        signature,
    });
    Envelope {
        payload_type: STATEMENT_TYPE.to_owned(),
        payload,
        signatures: std::iter::once(first).chain(second).collect(),
    }
}

/// The key that signed a statement, from the entry that brought it.
async fn agent_key(store: &Store, leaf: &Leaf) -> Result<String, ExportError> {
    let missing = |index: u64| ExportError::Body {
        index,
        problem: "the key's entry is missing".to_owned(),
    };
    let index = store
        .index_of_key(&leaf.key)
        .await?
        .ok_or_else(|| missing(0))?;
    let payload = store.payload(index).await?.ok_or_else(|| missing(index))?;
    if let Ok(enrolled) = Decision::<Enrolled>::parse(&payload) {
        return Ok(enrolled.content.spki.to_pem());
    }
    match AgentStatement::parse(&payload) {
        Ok(AgentStatement::Rotate(rotate)) => Ok(rotate.new.spki.to_pem()),
        _ => Err(missing(index)),
    }
}

/// Keys as the log names them.
struct NamedKeys {
    /// The verifier key of the log, one line.
    log: String,
    /// The policy key that signed a bundle, PEM.
    policy: String,
}

/// The keys in force by the last `key` entry that names the signer of this bundle.
async fn named_keys(store: &Store, index: u64, bundle: &[u8]) -> Result<NamedKeys, ExportError> {
    let body = |problem: String| ExportError::Body { index, problem };
    let bundle = Envelope::parse_file(bundle)
        .map_err(|error| body(format!("its bundle is damaged: {error}")))?;
    let signer = bundle.signatures.first().and_then(|one| one.key);
    for entry in store.indices_of_kind(Kind::Key).await?.into_iter().rev() {
        let Some(payload) = store.payload(entry).await? else {
            continue;
        };
        let Ok(decision) = Decision::<Keys>::parse(&payload) else {
            continue;
        };
        let (mut log, mut policy) = (None, None);
        for key in decision.content.keys {
            match key {
                KeyInForce::Log { vkey } => log = Some(vkey),
                KeyInForce::Policy { spki } if signer == Some(spki.key_id()) => {
                    policy = Some(spki.to_pem());
                }
                _ => {}
            }
        }
        if let (Some(log), Some(policy)) = (log, policy) {
            return Ok(NamedKeys { log, policy });
        }
    }
    Err(body(
        "no entry of the log names the policy key that signed its bundle".to_owned(),
    ))
}

/// The files as one tar (ustar) that unpacks into one folder, sorted by path, with fixed times and owners, so that equal
/// content is equal bytes.
///
/// # Errors
/// What the writer says; never for paths of ours.
pub fn tar(folder: &str, mut files: Files) -> std::io::Result<Vec<u8>> {
    files.sort();
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in &files {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("{folder}/{path}"))?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        archive.append(&header, bytes.as_slice())?;
    }
    archive.into_inner()
}
