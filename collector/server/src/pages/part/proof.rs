use askama::Template;

use super::{Command, Pair};

/// Where a signed round stands in the ledger, and how to verify that without this server.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/proof.html")]
pub struct Proof {
    /// The entry's place in the ledger, from zero.
    pub index: u64,
    /// The leaf hash, as hexadecimal text.
    pub leaf_hash: String,
    /// Digest of the signed envelope, as hexadecimal text.
    pub envelope_digest: String,
    /// Further properties of the round: sequence number, signing key, host time, receipt time.
    pub properties: Vec<Pair>,
    /// The checkpoint that the inclusion is proven in, as its text.
    pub checkpoint: String,
    /// Address of the exported round as one file.
    pub archive_href: String,
    /// Its parts, each by itself.
    pub files: Vec<Download>,
    /// How to verify it offline.
    pub commands: Vec<Command>,
}

/// A file that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub what: String,
    /// Its address.
    pub href: String,
}
