//! What the collector judges of a host, kept up with its entries: see [`crate::oversight`].

use std::sync::Arc;

use crypto::Digest;
use evidence::id::CheckId;
use evidence::outcome::Judgement;
use evidence::oversight::{COVERAGE, REPORTING};
use store::standing::Latest;
use store::{AgentState, Batch, IntervalChange, Standing};

use super::Fleet;
use crate::oversight::{Assignment, View};

/// What was so before an entry: if all of it still is, nothing has to be judged again.
#[derive(Default, PartialEq)]
pub(super) struct Before {
    known: bool,
    assigned: Option<Digest>,
    used: Option<Digest>,
    state: Option<AgentState>,
    gaps: u64,
    heard: bool,
    settled: bool,
    /// Less than a cadence had passed.
    on_time: bool,
    /// Interval changes written so far.
    written: usize,
}

impl Fleet {
    /// Writes what time alone has changed on a host until `at`, the reception of an entry that is about to be applied.
    pub(super) fn before(&mut self, row: i64, at: i64, batch: &mut Batch) -> Before {
        let Some((standing, latest)) = self.rows.get(&row) else {
            return Before::default();
        };
        let Some(assignment) = self.assignments.get(&standing.group) else {
            return Before::default();
        };
        let view = self.view(standing, latest, assignment);
        let mut turned = Vec::new();
        for (id, (judgement, from)) in &latest.overseen {
            for (moment, next) in view.turned(id, *judgement, *from, at) {
                turned.push((id.clone(), moment, next));
            }
        }
        let before = Before {
            known: !latest.overseen.is_empty(),
            assigned: Some(assignment.bundle.digest),
            used: standing.bundle.map(|(digest, _)| digest),
            state: Some(standing.state),
            gaps: standing.gaps,
            heard: standing.last_rx.is_some(),
            settled: view.is_settled(at),
            on_time: view.is_on_time(at),
            written: batch.intervals.len() + turned.len() * 2,
        };
        let idx = standing.last_idx.unwrap_or(standing.enrolled_idx);
        if let Some((_, latest)) = self.rows.get_mut(&row) {
            for (id, moment, next) in turned {
                turn(latest, row, &id, Some(next), moment, idx, batch);
            }
        }
        before
    }

    /// Judges a host after an entry was applied, unless nothing of what its checks ask about has changed.
    pub(super) fn conclude(
        &mut self,
        row: i64,
        idx: u64,
        at: i64,
        before: Before,
        batch: &mut Batch,
    ) {
        let Some((standing, latest)) = self.rows.get(&row) else {
            return;
        };
        let mut judged: Vec<(CheckId, Option<Judgement>)> = Vec::new();
        let assignment = self.assignments.get(&standing.group);
        let retired = standing.state == AgentState::Retired;
        if let Some(assignment) = assignment.filter(|_| !retired) {
            let view = self.view(standing, latest, assignment);
            let same = before.known
                && before.assigned == Some(assignment.bundle.digest)
                && before.used == standing.bundle.map(|(digest, _)| digest)
                && before.state == Some(standing.state)
                && before.gaps == standing.gaps
                && before.heard;
            let reports = same && before.on_time;
            let covers = same
                && before.settled
                && before.written == batch.intervals.len()
                && view.is_settled(at);
            for (id, check) in assignment.bundle.overseer.checks() {
                let unchanged = check.probes.iter().all(|probe| match probe.as_str() {
                    REPORTING => reports,
                    COVERAGE => covers,
                    _ => false,
                });
                if !unchanged {
                    judged.push((id.clone(), view.judge(id, at)));
                }
            }
        }
        let assigned = |id: &CheckId| {
            let own = assignment.filter(|_| !retired);
            own.is_some_and(|own| own.bundle.overseer.checks().contains_key(id))
        };
        let gone = latest.overseen.keys().filter(|id| !assigned(id));
        judged.extend(gone.map(|id| (id.clone(), None)));
        if let Some((_, latest)) = self.rows.get_mut(&row) {
            for (id, judgement) in judged {
                turn(latest, row, &id, judgement, at, idx, batch);
            }
        }
    }

    fn view<'f>(
        &'f self,
        standing: &'f Standing,
        latest: &'f Latest,
        assigned: &'f Assignment,
    ) -> View<'f> {
        let used = standing
            .bundle
            .and_then(|(digest, _)| self.bundles.get(&digest));
        View {
            key: standing.state,
            enrolled: standing.enrolled_ms,
            received: standing.last_rx,
            ended: standing.ended_ms,
            gaps: standing.gaps,
            used: used.map(Arc::as_ref),
            assigned,
            open: Some(&latest.open),
            judged: &latest.judged,
        }
    }
}

/// A check stands as `judgement` from `at` on, or not at all.
fn turn(
    latest: &mut Latest,
    row: i64,
    id: &CheckId,
    judgement: Option<Judgement>,
    at: i64,
    idx: u64,
    batch: &mut Batch,
) {
    let known = latest.overseen.get(id).map(|(known, _)| *known);
    if known == judgement {
        return;
    }
    if known.is_some() {
        batch.intervals.push(IntervalChange::Close {
            agent: row,
            check: id.clone(),
            to_ms: at,
        });
    }
    match judgement {
        Some(judgement) => {
            batch.intervals.push(IntervalChange::Open {
                agent: row,
                check: id.clone(),
                from_ms: at,
                judgement,
                first_idx: idx,
            });
            latest.overseen.insert(id.clone(), (judgement, at));
        }
        None => {
            latest.overseen.remove(id);
        }
    }
}
