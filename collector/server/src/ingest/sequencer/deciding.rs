//! Entries that are decisions: enrolments, ends of agents, bundles put in force.

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::id::GroupId;
use wire::decision::{Actor, BundleActivated, Enrolled, Next, Retired, Revoked};
use wire::leaf::{Concerns, Kind};

use super::{ActivateCommand, Draft, EndCommand, EnrolCommand, Placed, Sequencer};
use crate::bundles::derive::BUILT_IN;
use crate::ingest::fleet::Fleet;
use crate::ingest::project::BundleInfo;
use crate::ingest::refusal::Refusal;

impl Sequencer {
    pub(super) async fn place_enrolment(
        &mut self,
        command: EnrolCommand,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let key = command.enrolled.spki.key_id();
        if let Some(owner) = self.fleet.agent_of_key(&key) {
            let same = owner.agent == command.enrolled.agent
                && owner.key == key
                && owner.state == store::AgentState::Active;
            if !same {
                return Err(Refusal::KeyTaken(
                    "this key was enrolled before; make a new one",
                ));
            }
            // The answer was lost on the way: the entry that enrolled this key.
            let agent = owner.agent;
            let idx = self.enrolment_of(&key, draft).await?;
            return self.placed(draft, idx, 0, &agent);
        }
        let (epoch, next) = match self.fleet.standing(&command.enrolled.agent) {
            Some(standing) if standing.state == store::AgentState::Active => {
                return Err(Refusal::KeyTaken(
                    "this agent has a valid key; revoke it first",
                ));
            }
            Some(standing) => (
                standing.epoch + 1,
                Next {
                    seq: standing.next_seq,
                    prev: standing.prev,
                },
            ),
            None if command.enrolled.agent == key => (1, Next::FIRST),
            None => return Err(Refusal::UnknownAgent),
        };
        self.check_token(&command.token, draft).await?;
        self.provide_bundle(&command.enrolled.grp, &command.by, draft)?;
        let enrolled = Enrolled {
            epoch,
            next,
            ..command.enrolled
        };
        let agent = enrolled.agent;
        let concerns = Concerns {
            agent,
            epoch,
            statement: None,
        };
        let (idx, leaf, decision) = self.decide(
            draft,
            command.by,
            "enrolled with a token",
            enrolled,
            Some(concerns),
        )?;
        self.fleet
            .enrolled(idx, &leaf, &decision.content, &mut draft.batch);
        draft.batch.hints.push((agent, command.hints));
        draft.batch.spent_tokens.push(command.token);
        self.placed(draft, idx, 0, &agent)
    }

    /// Only here are uses counted: whoever asks at the same time as others stands in line.
    async fn check_token(&self, token: &str, draft: &Draft) -> Result<(), Refusal> {
        let left = self
            .store
            .uses_left(token, self.clock.now())
            .await
            .map_err(Refusal::Store)?;
        let spent = draft.batch.spent_tokens.iter();
        if spent.filter(|spent| *spent == token).count() < left {
            Ok(())
        } else {
            Err(Refusal::Token)
        }
    }

    /// The first host of a group brings the newest bundle in force for it: of the program's own checks, because lists that
    /// people approved for one group say nothing about another.
    fn provide_bundle(
        &mut self,
        group: &GroupId,
        by: &Actor,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        if self.fleet.assigned(group).is_some() {
            return Ok(());
        }
        let built_in = |bundle: &BundleInfo| bundle.bundle.name.as_deref() == Some(BUILT_IN);
        let newest = self
            .fleet
            .bundles()
            .max_by_key(|bundle| (built_in(bundle), bundle.version))
            .cloned();
        let newest =
            newest.ok_or_else(|| Refusal::Stopped("no bundle was ever put in force".to_owned()))?;
        let content = BundleActivated {
            sha256: newest.digest,
            version: newest.version,
            grps: vec![group.clone()],
        };
        let (idx, leaf, decision) =
            self.decide(draft, by.clone(), "first host of the group", content, None)?;
        self.fleet
            .activated(idx, &leaf, &decision.content, &mut draft.batch);
        Ok(())
    }

    async fn enrolment_of(&self, key: &Digest, draft: &Draft) -> Result<u64, Refusal> {
        if let Some((_, _, _, idx)) = draft.batch.keys.iter().find(|(known, ..)| known == key) {
            return Ok(*idx);
        }
        let idx = self.store.index_of_key(key).await.map_err(Refusal::Store)?;
        idx.ok_or_else(|| Refusal::Stopped("the entry of a known key is missing".to_owned()))
    }

    pub(super) fn place_end(
        &mut self,
        command: EndCommand,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let standing = self
            .fleet
            .standing(&command.agent)
            .ok_or(Refusal::UnknownAgent)?
            .clone();
        if standing.state != store::AgentState::Active {
            return Err(Refusal::KeyEnded(standing.state.as_str()));
        }
        let (agent, epoch, key) = (standing.agent, standing.epoch, standing.key);
        let concerns = Some(Concerns {
            agent,
            epoch,
            statement: None,
        });
        let (idx, leaf) = match command.kind {
            Kind::Retire => {
                let (idx, leaf, _) = self.decide(
                    draft,
                    command.by,
                    &command.reason,
                    Retired { agent, epoch, key },
                    concerns,
                )?;
                (idx, leaf)
            }
            _ => {
                let (idx, leaf, _) = self.decide(
                    draft,
                    command.by,
                    &command.reason,
                    Revoked { agent, epoch, key },
                    concerns,
                )?;
                (idx, leaf)
            }
        };
        self.fleet
            .key_event(leaf.kind, idx, &leaf, &agent, &mut draft.batch);
        self.placed(draft, idx, 0, &agent)
    }

    pub(super) fn place_activation(
        &mut self,
        command: ActivateCommand,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let wrong = |problem: String| Refusal::RoundContent(problem);
        let bundle =
            Bundle::parse(&command.envelope.payload).map_err(|error| wrong(error.to_string()))?;
        let digest = Digest::of(&command.envelope.payload);
        check_version(&self.fleet, &bundle, &digest, &command.groups)?;
        let content = BundleActivated {
            sha256: digest,
            version: bundle.version,
            grps: command.groups,
        };
        let (idx, leaf, decision) =
            self.decide(draft, command.by, &command.reason, content, None)?;
        let file = command
            .envelope
            .to_file()
            .map_err(|error| wrong(error.to_string()))?;
        draft.batch.bundles.push(store::BundleRow {
            digest,
            version: bundle.version,
            envelope: file,
            activated_idx: idx,
        });
        self.fleet.add_bundle(digest, bundle);
        self.fleet
            .activated(idx, &leaf, &decision.content, &mut draft.batch);
        let entry = draft.batch.entries.last().map(|entry| entry.leaf.clone());
        Ok(Placed {
            index: idx,
            entry,
            seen: 0,
            bundle: Some(digest),
        })
    }
}

/// One version names one digest for ever, and no group goes back: its agents would refuse the older bundle.
fn check_version(
    fleet: &Fleet,
    bundle: &Bundle,
    digest: &Digest,
    groups: &[GroupId],
) -> Result<(), Refusal> {
    let newer = groups.iter().find_map(|group| {
        let version = fleet.assigned(group)?.version;
        (version > bundle.version).then_some((group, version))
    });
    if let Some((group, version)) = newer {
        return Err(Refusal::RoundContent(format!(
            "group {group} is on version {version}; give the content a version above that, not {}",
            bundle.version
        )));
    }
    let clash = fleet
        .bundles()
        .any(|known| known.version == bundle.version && known.digest != *digest);
    if clash {
        return Err(Refusal::RoundContent(format!(
            "version {} names another bundle already; give the new content a new version",
            bundle.version
        )));
    }
    Ok(())
}
