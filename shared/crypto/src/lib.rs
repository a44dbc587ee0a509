//! Digests, keys and signatures: the only crate that names a cryptographic library for evidence.
//!
//! Everything signed in Assay is signed with Ed25519 and verified strictly (`verify_strict` of ed25519-dalek): small-order
//! and non-canonical keys are refused when they are parsed, so that two verifiers can never disagree about a hostile
//! agent's envelope. TLS is not here; rustls brings its own provider.

mod digest;
mod key;
mod random;

pub use digest::{Digest, DigestError, DigestStream};
pub use key::{KeyError, KeyId, Signature, SignatureError, SigningKey, VerifyingKey};
pub use random::{Random, SeededRandom, SystemRandom};
