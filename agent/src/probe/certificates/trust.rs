//! The roots that this system trusts.

use std::collections::BTreeSet;

use x509_parser::pem::Pem;

use crate::host::HostError;
use crate::probe::{Observation, Unobservable};

/// The list of roots by distribution: Debian, Alpine, Arch; Red Hat; SUSE.
const LISTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_ROOTS: usize = 5000;

/// Names of the roots, as encoded.
#[derive(Debug, Default)]
pub(super) struct Roots {
    subjects: BTreeSet<Vec<u8>>,
}

impl Roots {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Roots, Unobservable> {
        for path in LISTS {
            let bytes = match observation.host().read(path, MAX_BYTES) {
                Ok(bytes) => bytes,
                Err(HostError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            observation.note(path);
            return Ok(Roots::parse(&bytes));
        }
        Ok(Roots::default())
    }

    /// The roots of a list in PEM; what is none is passed over.
    pub(super) fn parse(bytes: &[u8]) -> Roots {
        let subjects = Pem::iter_from_buffer(bytes)
            .take(MAX_ROOTS)
            .filter_map(Result::ok)
            .filter_map(|pem| Some(pem.parse_x509().ok()?.subject().as_raw().to_vec()))
            .collect();
        Roots { subjects }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    pub(super) fn contain(&self, name: &[u8]) -> bool {
        self.subjects.contains(name)
    }
}
