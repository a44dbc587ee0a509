//! A signed bundle that somebody wants in force.

use crypto::{Digest, VerifyingKey};
use evidence::baseline;
use evidence::bundle::{Bundle, BundleError};
use wire::envelope::{BUNDLE_TYPE, Envelope, EnvelopeError};

/// Why a bundle cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// Not an envelope, or not signed by the policy key.
    #[error("not signed by the policy key in force")]
    Envelope(#[from] EnvelopeError),
    /// Its content does not fit the facts that agents of this version publish.
    #[error("the bundle cannot be used")]
    Content(#[from] BundleError),
}

/// A bundle that carries the policy key's signature, and whose expressions fit the published facts.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The signed file.
    pub envelope: Envelope,
    /// What it says.
    pub bundle: Bundle,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

impl Offer {
    /// Verifies the bytes of a bundle's file.
    ///
    /// # Errors
    /// [`OfferError`] naming check and fact of the first thing wrong.
    pub fn verify(file: &[u8], policy: &VerifyingKey) -> Result<Offer, OfferError> {
        let envelope = Envelope::parse_file(file)?;
        envelope.verify(BUNDLE_TYPE, &[policy])?;
        let bundle = Bundle::parse(&envelope.payload)?;
        bundle.check_types(&baseline::schemas()?)?;
        let digest = Digest::of(&envelope.payload);
        Ok(Offer {
            envelope,
            bundle,
            digest,
        })
    }
}
