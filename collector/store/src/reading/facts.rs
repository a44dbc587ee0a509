//! The facts that a host's latest rounds rest on.

use crypto::Digest;
use evidence::id::ProbeId;
use sqlx::Row as _;

use crate::ledger_read::digest;
use crate::standing::parse;
use crate::{Store, StoreError};

/// The facts of one probe on one host now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentFact {
    /// The probe.
    pub probe: ProbeId,
    /// Digest of the disclosure, which [`Store::disclosures`] has unless it was erased.
    pub digest: Digest,
    /// The round since which they are unchanged.
    pub since_idx: u64,
}

impl Store {
    /// The facts of every probe on one host now.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn current_facts(&self, row: i64) -> Result<Vec<CurrentFact>, StoreError> {
        let rows = sqlx::query(
            "SELECT probe, digest, since_idx FROM agent_fact WHERE agent = $1 ORDER BY probe",
        )
        .bind(row)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read the facts of a host"))?;
        rows.iter()
            .map(|row| {
                Ok(CurrentFact {
                    probe: parse("agent_fact", row.get("probe"))?,
                    digest: digest("agent_fact", row.get("digest"))?,
                    since_idx: row.get::<i64, _>("since_idx").cast_unsigned(),
                })
            })
            .collect()
    }
}
