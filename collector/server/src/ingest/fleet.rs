//! The fleet as the log says it is: a state machine over entries.
//!
//! The sequencer applies each entry as it makes it, `rebuild` applies them all again, and both arrive at the same rows.
//! A batch that could not be committed is undone ([`Fleet::rollback`]).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crypto::{Digest, KeyId};
use evidence::bundle::Bundle;
use evidence::id::{AgentId, CheckId, GroupId};
use evidence::outcome::Judgement;
use store::standing::Latest;
use store::{AgentState, Batch, Standing};
use wire::decision::{BundleActivated, Enrolled};
use wire::leaf::{Kind, Leaf};
use wire::statement::{AgentStatement, Round};

use super::project::{self, BundleInfo};
use crate::oversight::Assignment;

mod oversee;

use oversee::Before;

/// Which bundle is in force for which groups, from when on.
#[derive(Debug, Clone)]
struct Activation {
    digest: Digest,
    groups: Vec<GroupId>,
    at: i64,
}

/// All agents, bundles and counters.
#[derive(Default)]
pub struct Fleet {
    agents: BTreeMap<AgentId, i64>,
    rows: HashMap<i64, (Standing, Latest)>,
    keys: BTreeMap<KeyId, i64>,
    bundles: HashMap<Digest, Arc<BundleInfo>>,
    activations: Vec<Activation>,
    assignments: BTreeMap<GroupId, Assignment>,
    dec: u64,
    undo: Undo,
}

#[derive(Default)]
struct Undo {
    rows: HashMap<i64, Option<(Standing, Latest)>>,
    keys: Vec<KeyId>,
    bundles: Vec<Digest>,
    activations: usize,
    dec: u64,
}

impl Fleet {
    /// The fleet as the projections hold it.
    #[must_use]
    pub fn load(
        standings: Vec<Standing>,
        mut latest: BTreeMap<i64, Latest>,
        keys: BTreeMap<KeyId, i64>,
    ) -> Fleet {
        let mut fleet = Fleet {
            keys,
            ..Fleet::default()
        };
        for standing in standings {
            fleet.agents.insert(standing.agent, standing.row);
            let latest = latest.remove(&standing.row).unwrap_or_default();
            fleet.rows.insert(standing.row, (standing, latest));
        }
        fleet
    }

    /// Adds a bundle's content, which entries name by digest.
    pub fn add_bundle(&mut self, digest: Digest, bundle: Bundle) {
        if let Entry::Vacant(free) = self.bundles.entry(digest) {
            free.insert(Arc::new(BundleInfo::new(digest, bundle)));
            self.undo.bundles.push(digest);
        }
    }

    /// Sets the number of decisions so far, and the activations among them with their reception, at start. Every bundle
    /// must be known.
    pub fn set_decisions(&mut self, dec: u64, activations: Vec<(BundleActivated, i64)>) {
        self.dec = dec;
        self.activations = activations
            .into_iter()
            .map(|(one, at)| Activation {
                digest: one.sha256,
                groups: one.grps,
                at,
            })
            .collect();
        self.assign();
    }

    /// What each group is assigned by all activations so far.
    fn assign(&mut self) {
        self.assignments.clear();
        for place in 0..self.activations.len() {
            self.assign_by(place);
        }
    }

    fn assign_by(&mut self, place: usize) {
        let Activation { digest, groups, at } = &self.activations[place];
        let Some(bundle) = self.bundles.get(digest) else {
            return;
        };
        for group in groups {
            let before = self.assignments.get(group);
            let assignment = Assignment::after(before, bundle.clone(), *at);
            self.assignments.insert(group.clone(), assignment);
        }
    }

    /// From here on, changes can be undone.
    pub fn begin(&mut self) {
        self.undo = Undo {
            activations: self.activations.len(),
            dec: self.dec,
            ..Undo::default()
        };
    }

    /// Undoes everything since [`Fleet::begin`].
    pub fn rollback(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        for (row, before) in undo.rows {
            match before {
                Some(before) => {
                    self.rows.insert(row, before);
                }
                None => {
                    if let Some((standing, _)) = self.rows.remove(&row) {
                        self.agents.remove(&standing.agent);
                    }
                }
            }
        }
        for key in undo.keys {
            self.keys.remove(&key);
        }
        for digest in undo.bundles {
            self.bundles.remove(&digest);
        }
        if self.activations.len() > undo.activations {
            self.activations.truncate(undo.activations);
            self.assign();
        }
        self.dec = undo.dec;
    }

    /// Number of decisions so far.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.dec
    }

    /// Where an agent stands.
    #[must_use]
    pub fn standing(&self, agent: &AgentId) -> Option<&Standing> {
        let row = self.agents.get(agent)?;
        self.rows.get(row).map(|(standing, _)| standing)
    }

    /// The checks of any bundle that the collector judges.
    #[must_use]
    pub fn overseen_checks(&self) -> BTreeSet<CheckId> {
        let own = self.bundles.values();
        own.flat_map(|bundle| bundle.overseer.checks().keys().cloned())
            .collect()
    }

    /// Tells the outcomes that the collector judges apart from those of hosts, at start.
    pub fn set_overseen(&mut self, overseen: Vec<(i64, CheckId, Judgement, i64)>) {
        for (row, check, judgement, from) in overseen {
            if let Some((_, latest)) = self.rows.get_mut(&row) {
                latest.open.remove(&check);
                latest.overseen.insert(check, (judgement, from));
            }
        }
    }

    /// Every agent.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.rows.values().map(|(standing, _)| standing)
    }

    /// What the projections hold about an agent's latest rounds.
    #[must_use]
    pub fn latest(&self, row: i64) -> Option<&Latest> {
        self.rows.get(&row).map(|(_, latest)| latest)
    }

    /// The agent that ever had this key.
    #[must_use]
    pub fn agent_of_key(&self, key: &KeyId) -> Option<&Standing> {
        let row = self.keys.get(key)?;
        self.rows.get(row).map(|(standing, _)| standing)
    }

    /// A bundle by digest.
    #[must_use]
    pub fn bundle(&self, digest: &Digest) -> Option<&Arc<BundleInfo>> {
        self.bundles.get(digest)
    }

    /// Every bundle known.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<BundleInfo>> {
        self.bundles.values()
    }

    /// Whether a bundle was ever activated for a group.
    #[must_use]
    pub fn is_in_force(&self, digest: &Digest, group: &GroupId) -> bool {
        self.activations
            .iter()
            .any(|one| one.digest == *digest && one.groups.contains(group))
    }

    /// The bundle that agents of a group are to use: the last one activated for it.
    #[must_use]
    pub fn assigned(&self, group: &GroupId) -> Option<&Arc<BundleInfo>> {
        Some(&self.assignments.get(group)?.bundle)
    }

    /// The groups that have a bundle.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> = self
            .activations
            .iter()
            .flat_map(|one| one.groups.iter().cloned())
            .collect();
        groups.sort();
        groups.dedup();
        groups
    }

    /// The row that the next new agent gets.
    #[must_use]
    pub fn next_row(&self) -> i64 {
        self.rows.keys().copied().max().unwrap_or(0) + 1
    }

    /// Applies an agent's statement that was placed next in its chain.
    pub fn statement(
        &mut self,
        idx: u64,
        leaf: &Leaf,
        statement: &AgentStatement,
        batch: &mut Batch,
    ) {
        let common = statement.common();
        let Some(row) = self.agents.get(&common.agent.id).copied() else {
            return;
        };
        self.touch(row);
        let before = self.before(row, leaf.rx, batch);
        self.place(row, idx, leaf, statement, batch);
        self.conclude(row, idx, leaf.rx, before, batch);
    }

    fn place(
        &mut self,
        row: i64,
        idx: u64,
        leaf: &Leaf,
        statement: &AgentStatement,
        batch: &mut Batch,
    ) {
        let common = statement.common();
        let Fleet {
            rows,
            bundles,
            keys,
            undo,
            ..
        } = self;
        let Some((standing, latest)) = rows.get_mut(&row) else {
            return;
        };
        standing.next_seq = common.chain.seq + 1;
        standing.prev = leaf.pae;
        standing.last_idx = Some(idx);
        standing.last_rx = Some(leaf.rx);
        standing.last_end = Some(common.time.end.unix_ms());
        standing.version = Some(common.agent.version.clone());
        standing.seen_size = common.seen.size;
        match statement {
            AgentStatement::Round(round) => {
                apply_round(idx, leaf.rx, round, standing, latest, bundles, batch)
            }
            AgentStatement::Gap(_) => standing.gaps += 1,
            AgentStatement::Rotate(rotate) => {
                standing.epoch = rotate.new.epoch;
                standing.key = rotate.new.key;
                standing.spki = rotate.new.spki;
                standing.ev += 1;
                keys.insert(rotate.new.key, row);
                undo.keys.push(rotate.new.key);
                batch
                    .keys
                    .push((rotate.new.key, row, rotate.new.epoch, idx));
            }
        }
    }

    /// Applies an enrolment.
    pub fn enrolled(&mut self, idx: u64, leaf: &Leaf, enrolled: &Enrolled, batch: &mut Batch) {
        let row = self
            .agents
            .get(&enrolled.agent)
            .copied()
            .unwrap_or_else(|| self.next_row());
        self.touch(row);
        let earlier = self.before(row, leaf.rx, batch);
        let before = self.rows.get(&row).map(|(standing, _)| standing.clone());
        let standing = Standing {
            row,
            agent: enrolled.agent,
            epoch: enrolled.epoch,
            key: enrolled.spki.key_id(),
            spki: enrolled.spki,
            group: enrolled.grp.clone(),
            state: AgentState::Active,
            next_seq: enrolled.next.seq,
            prev: enrolled.next.prev,
            ev: before.as_ref().map_or(0, |before| before.ev) + 1,
            enrolled_idx: before.as_ref().map_or(idx, |before| before.enrolled_idx),
            enrolled_ms: before.as_ref().map_or(leaf.rx, |before| before.enrolled_ms),
            ended_ms: None,
            last_idx: before.as_ref().and_then(|before| before.last_idx),
            last_rx: before.as_ref().and_then(|before| before.last_rx),
            last_end: before.as_ref().and_then(|before| before.last_end),
            version: before.as_ref().and_then(|before| before.version.clone()),
            bundle: before.as_ref().and_then(|before| before.bundle),
            gaps: before.as_ref().map_or(0, |before| before.gaps),
            seen_size: before.as_ref().map_or(0, |before| before.seen_size),
        };
        self.agents.insert(enrolled.agent, row);
        self.keys.insert(standing.key, row);
        self.undo.keys.push(standing.key);
        batch.keys.push((standing.key, row, standing.epoch, idx));
        let latest = self
            .rows
            .remove(&row)
            .map(|(_, latest)| latest)
            .unwrap_or_default();
        self.rows.insert(row, (standing, latest));
        self.conclude(row, idx, leaf.rx, earlier, batch);
    }

    /// Applies the end of an agent's key or host, or a refusal: what `ev` counts.
    pub fn key_event(
        &mut self,
        kind: Kind,
        idx: u64,
        leaf: &Leaf,
        agent: &AgentId,
        batch: &mut Batch,
    ) {
        let Some(row) = self.agents.get(agent).copied() else {
            return;
        };
        self.touch(row);
        let ended = match kind {
            Kind::Revoke => Some(AgentState::Revoked),
            Kind::Retire => Some(AgentState::Retired),
            Kind::Fork => Some(AgentState::Forked),
            _ => None,
        };
        let before = match ended {
            Some(_) => self.before(row, leaf.rx, batch),
            None => Before::default(),
        };
        let Some((standing, latest)) = self.rows.get_mut(&row) else {
            return;
        };
        standing.ev += 1;
        let Some(ended) = ended else {
            return;
        };
        standing.state = ended;
        standing.ended_ms = Some(leaf.rx);
        let bundle = standing
            .bundle
            .and_then(|(digest, _)| self.bundles.get(&digest));
        batch
            .intervals
            .extend(project::end(latest, row, leaf.rx, bundle.map(Arc::as_ref)));
        self.conclude(row, idx, leaf.rx, before, batch);
    }

    /// Applies a decision that changes nothing here.
    pub fn decision(&mut self) {
        self.dec += 1;
    }

    /// Applies the decision to put a bundle in force, which must be known.
    pub fn activated(
        &mut self,
        idx: u64,
        leaf: &Leaf,
        activated: &BundleActivated,
        batch: &mut Batch,
    ) {
        self.dec += 1;
        let concerned = |(standing, _): &&(Standing, Latest)| {
            standing.state != AgentState::Retired && activated.grps.contains(&standing.group)
        };
        let hosts = self.rows.values().filter(concerned);
        let mut hosts: Vec<i64> = hosts.map(|(standing, _)| standing.row).collect();
        hosts.sort_unstable();
        let mut befores = Vec::with_capacity(hosts.len());
        for row in hosts {
            self.touch(row);
            befores.push((row, self.before(row, leaf.rx, batch)));
        }
        self.activations.push(Activation {
            digest: activated.sha256,
            groups: activated.grps.clone(),
            at: leaf.rx,
        });
        self.assign_by(self.activations.len() - 1);
        for (row, before) in befores {
            self.conclude(row, idx, leaf.rx, before, batch);
        }
    }

    /// Adds the agents that changed to a batch, once each.
    pub fn collect(&self, batch: &mut Batch) {
        batch.agents.extend(
            self.undo
                .rows
                .keys()
                .filter_map(|row| Some(self.rows.get(row)?.0.clone())),
        );
    }

    fn touch(&mut self, row: i64) {
        let before = self.rows.get(&row).cloned();
        self.undo.rows.entry(row).or_insert(before);
    }
}

fn apply_round(
    idx: u64,
    rx: i64,
    round: &Round,
    standing: &mut Standing,
    latest: &mut Latest,
    bundles: &HashMap<Digest, Arc<BundleInfo>>,
    batch: &mut Batch,
) {
    let before = standing
        .bundle
        .filter(|(digest, _)| *digest != round.bundle.sha256)
        .and_then(|(digest, _)| bundles.get(&digest));
    standing.bundle = Some((round.bundle.sha256, round.bundle.version));
    let Some(bundle) = bundles.get(&round.bundle.sha256) else {
        return;
    };
    let projected = project::round(
        latest,
        standing.row,
        idx,
        rx,
        round,
        bundle,
        before.map(Arc::as_ref),
    );
    batch.intervals.extend(projected.intervals);
    batch.judged.extend(projected.judged);
    batch.facts.extend(projected.facts);
}
