//! The bundle in use: signed by the pinned policy key, checked against this program's probes, never older than the last.
//!
//! What is refused here changes nothing: the agent goes on with the bundle it has (open for checking, closed for
//! changing). A bundle that this program's own probes do not fit, for example after an upgrade of the agent, is not used
//! either: a check that asks for a fact by an old name could pass everywhere.

use crypto::{Digest, VerifyingKey};
use serde::Deserialize;
use wire::envelope::{BUNDLE_TYPE, Envelope, EnvelopeError, MAX_ENVELOPE_BYTES};
use wire::statement::BundleRef;

use crate::examine::Plan;
use crate::examiner::{Examiner, ExaminerError};
use crate::state::{StateDir, StateError};

const FILE: &str = "bundle.dsse.json";

/// Why a bundle is not used.
#[derive(Debug, thiserror::Error)]
pub enum RefusedBundle {
    /// Not signed by the policy key that was pinned at enrolment.
    #[error("the bundle is not signed by the pinned policy key")]
    Envelope(#[from] EnvelopeError),
    /// Not the bundle that was asked for.
    #[error("asked for bundle {wanted}, got {found}")]
    Other {
        /// Asked for.
        wanted: Digest,
        /// Received.
        found: Digest,
    },
    /// Its content cannot be used with this program's probes, or nobody could hold it against them.
    #[error("the bundle cannot be used")]
    Content(#[from] ExaminerError),
    /// Older than the one in use, or another one of its version.
    #[error(
        "the bundle has version {found}; version {current} is in use and versions never go back"
    )]
    Older {
        /// Version offered.
        found: u64,
        /// Version in use.
        current: u64,
    },
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A bundle that was verified: its bytes for whoever judges by it, and what the service must know of it.
#[derive(Debug)]
pub struct InForce {
    /// The bytes that were signed.
    pub bundle: Vec<u8>,
    /// When which check is due, and what it reads.
    pub plan: Plan,
    /// How rounds name it.
    pub reference: BundleRef,
}

impl InForce {
    /// The bundle of this state folder; `None` if there is none yet.
    ///
    /// # Errors
    /// [`RefusedBundle`] if it is damaged, or does not fit this program.
    pub fn load(
        state: &StateDir,
        policy: &VerifyingKey,
        examiner: &dyn Examiner,
    ) -> Result<Option<InForce>, RefusedBundle> {
        match state.read(FILE, MAX_ENVELOPE_BYTES as u64)? {
            Some(bytes) => InForce::verify(&bytes, policy, examiner).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a bundle over that was asked for by digest, durably.
    ///
    /// # Errors
    /// [`RefusedBundle`]; the one in use stays.
    pub fn take_over(
        state: &StateDir,
        bytes: &[u8],
        wanted: Digest,
        policy: &VerifyingKey,
        examiner: &dyn Examiner,
    ) -> Result<InForce, RefusedBundle> {
        let offered = InForce::verify(bytes, policy, examiner)?;
        let found = offered.reference.sha256;
        if found != wanted {
            return Err(RefusedBundle::Other { wanted, found });
        }
        if let Some(current) = stored_reference(state, policy)? {
            let newer = offered.reference.version > current.version;
            if !newer && offered.reference != current {
                return Err(RefusedBundle::Older {
                    found: offered.reference.version,
                    current: current.version,
                });
            }
        }
        state.write(FILE, bytes)?;
        Ok(offered)
    }

    fn verify(
        bytes: &[u8],
        policy: &VerifyingKey,
        examiner: &dyn Examiner,
    ) -> Result<InForce, RefusedBundle> {
        let bundle = signed_payload(bytes, policy)?;
        let plan = examiner.plan(&bundle)?;
        Ok(InForce {
            reference: BundleRef {
                sha256: Digest::of(&bundle),
                version: plan.version,
            },
            bundle,
            plan,
        })
    }
}

/// Of a bundle, its version.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// What is known of the stored bundle even if it does not fit this program: its version still bounds the next one.
///
/// # Errors
/// [`RefusedBundle`] if the state folder cannot be read. A damaged file counts as none.
pub fn stored_reference(
    state: &StateDir,
    policy: &VerifyingKey,
) -> Result<Option<BundleRef>, RefusedBundle> {
    let Some(bytes) = state.read(FILE, MAX_ENVELOPE_BYTES as u64)? else {
        return Ok(None);
    };
    let reference = signed_payload(&bytes, policy).ok().and_then(|payload| {
        let Versioned { version } = serde_json::from_slice(&payload).ok()?;
        Some(BundleRef {
            sha256: Digest::of(&payload),
            version,
        })
    });
    Ok(reference)
}

fn signed_payload(bytes: &[u8], policy: &VerifyingKey) -> Result<Vec<u8>, EnvelopeError> {
    let envelope = Envelope::parse_file(bytes)?;
    envelope.verify(BUNDLE_TYPE, &[policy])?;
    Ok(envelope.payload)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crypto::{SeededRandom, SigningKey};
    use evidence::bundle::Bundle;
    use evidence::check::CheckFile;
    use evidence::time::SystemClock;

    use super::*;
    use crate::examiner::Here;

    const CHECK: &str = r#"
id = "demo.systemd"
title = "t"
topic = "t"
severity = "low"
cadence = "*/15 * * * *"
profile = "all"
probes = ["system"]
rules = [ { if = "facts.system.systemd", then = "pass" } ]
else = { then = "fail", reason = "missing" }
expected = "e"
observed = "facts.system.systemd"
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
[controls."27001:2022"]
primary = ["A.8.9"]
"#;

    fn bundle(version: u64) -> Bundle {
        let file = CheckFile::parse("demo.systemd.toml", CHECK).unwrap();
        Bundle::from_files(
            version,
            "test",
            &[file],
            &evidence::baseline::schemas().unwrap(),
        )
        .unwrap()
    }

    fn signed(bundle: &Bundle, key: &SigningKey) -> (Vec<u8>, Digest) {
        let bytes = bundle.to_bytes().unwrap();
        let digest = Digest::of(&bytes);
        let file = Envelope::sign(BUNDLE_TYPE, bytes, &[key]).to_file();
        (file.unwrap(), digest)
    }

    #[test]
    fn only_a_newer_bundle_of_the_policy_key_that_fits_is_taken() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let policy = key.verifying_key();
        let here = Here(Arc::new(SystemClock::new()));
        let (two, two_digest) = signed(&bundle(2), &key);
        InForce::take_over(&state, &two, two_digest, &policy, &here).unwrap();
        InForce::take_over(&state, &two, two_digest, &policy, &here).unwrap();

        let (one, one_digest) = signed(&bundle(1), &key);
        let older = InForce::take_over(&state, &one, one_digest, &policy, &here);
        assert!(matches!(
            older,
            Err(RefusedBundle::Older {
                found: 1,
                current: 2
            })
        ));

        let stranger = SigningKey::generate(&mut SeededRandom::new(2));
        let (three, three_digest) = signed(&bundle(3), &stranger);
        let forged = InForce::take_over(&state, &three, three_digest, &policy, &here);
        assert!(matches!(forged, Err(RefusedBundle::Envelope(_))));

        let mut typo = bundle(4);
        for check in typo.checks.values_mut() {
            check.rules[0].condition = "!has(facts.system.systemed)".to_owned();
        }
        let (typo, typo_digest) = signed(&typo, &key);
        let refused = InForce::take_over(&state, &typo, typo_digest, &policy, &here);
        let Err(RefusedBundle::Content(error)) = refused else {
            panic!("taken");
        };
        assert!(error.to_string().contains("demo.systemd"), "{error}");

        let (five, _) = signed(&bundle(5), &key);
        let other = InForce::take_over(&state, &five, two_digest, &policy, &here);
        assert!(matches!(other, Err(RefusedBundle::Other { .. })));

        let current = InForce::load(&state, &policy, &here).unwrap().unwrap();
        assert_eq!(current.reference.version, 2);
    }
}
