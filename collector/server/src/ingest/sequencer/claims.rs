//! What a statement claims, held against the log: the checkpoint seen, the bundle, the facts.

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::id::ProbeId;
use wire::statement::{AgentStatement, Round};

use super::Sequencer;
use crate::ingest::admit::VerifiedEnvelope;
use crate::ingest::refusal::Refusal;

impl Sequencer {
    /// Holds what a statement claims against the log: the checkpoint seen, and for a round its bundle and facts.
    pub(super) async fn check_claims(
        &mut self,
        standing: &store::Standing,
        verified: &VerifiedEnvelope,
    ) -> Result<(), Refusal> {
        let seen = &verified.statement.common().seen;
        // What this batch appends was seen by nobody yet.
        let size = self.edge.size();
        if seen.size > size {
            return Err(Refusal::SeenAhead {
                seen: seen.size,
                size,
            });
        }
        if seen.size < standing.seen_size {
            return Err(Refusal::SeenBackwards);
        }
        let root = self
            .tiles
            .root(&self.store, seen.size, size)
            .await
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        if seen.origin != self.keys.log.name().as_str() || seen.root != root.to_base64() {
            tracing::error!(agent = %standing.agent, size = seen.size, "an agent has seen another history of this log");
            return Err(Refusal::SeenOther);
        }
        match &verified.statement {
            AgentStatement::Round(round) => self.check_round(standing, round, verified).await,
            AgentStatement::Gap(_) => Ok(()),
            AgentStatement::Rotate(rotate)
                if self.fleet.agent_of_key(&rotate.new.key).is_some() =>
            {
                Err(Refusal::KeyTaken("the new key was used before"))
            }
            AgentStatement::Rotate(_) => Ok(()),
        }
    }

    async fn check_round(
        &self,
        standing: &store::Standing,
        round: &Round,
        verified: &VerifiedEnvelope,
    ) -> Result<(), Refusal> {
        if !self
            .fleet
            .is_in_force(&round.bundle.sha256, &standing.group)
        {
            return Err(Refusal::BundleNotInForce);
        }
        let bundle = self
            .fleet
            .bundle(&round.bundle.sha256)
            .ok_or(Refusal::BundleNotInForce)?;
        if bundle.version != round.bundle.version {
            return Err(Refusal::RoundContent(
                "the bundle named has another version".to_owned(),
            ));
        }
        if standing
            .bundle
            .is_some_and(|(_, version)| round.bundle.version < version)
        {
            return Err(Refusal::BundleOlder);
        }
        check_content(round, &bundle.bundle)?;
        let missing = self.missing_facts(standing.row, round, verified).await?;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Refusal::DisclosureMissing(missing))
        }
    }

    /// Probes whose facts were neither sent along nor are held.
    async fn missing_facts(
        &self,
        row: i64,
        round: &Round,
        verified: &VerifiedEnvelope,
    ) -> Result<Vec<ProbeId>, Refusal> {
        let latest = self.fleet.latest(row);
        let unknown: Vec<(ProbeId, Digest)> = round
            .facts
            .iter()
            .filter(|(probe, digest)| {
                let held =
                    latest.and_then(|latest| latest.facts.get(*probe)) == Some(digest.digest());
                let sent = verified
                    .disclosures
                    .iter()
                    .any(|disclosure| disclosure.digest() == **digest);
                !held && !sent
            })
            .map(|(probe, digest)| (probe.clone(), *digest.digest()))
            .collect();
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        self.store
            .holds_disclosures(&unknown)
            .await
            .map_err(Refusal::Store)
    }
}

/// A round's checks are of its bundle, and its facts are of exactly the probes that these checks read.
fn check_content(round: &Round, bundle: &Bundle) -> Result<(), Refusal> {
    let mut probes = std::collections::BTreeSet::new();
    for check in round.outcomes.keys() {
        let known = bundle
            .checks
            .get(check)
            .ok_or_else(|| Refusal::RoundContent(format!("check {check} is not in the bundle")))?;
        if !known.judged_by.is_host() {
            return Err(Refusal::RoundContent(format!(
                "check {check} is judged by the collector, not by hosts"
            )));
        }
        probes.extend(&known.probes);
    }
    if !round.facts.keys().eq(probes) {
        return Err(Refusal::RoundContent(
            "facts are not those of exactly the probes that the round's checks read".to_owned(),
        ));
    }
    Ok(())
}
