//! The chain rule: where a statement belongs among those of its agent. Pure.

use crypto::Digest;
use store::Standing;
use wire::statement::AgentStatement;

/// What becomes of a validly signed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the next one.
    Next,
    /// It has a number that was passed: the log's statement of that number decides (same: known, other: fork, none: gap).
    Earlier,
    /// It is the next number after another statement: a fork.
    OtherPredecessor,
    /// Something before it is missing.
    Ahead,
}

/// The first number that a statement stands for: a gap stands for the numbers it declares lost and its own.
#[must_use]
pub fn first_number(statement: &AgentStatement) -> u64 {
    match statement {
        AgentStatement::Gap(gap) => gap.gap.from,
        other => other.common().chain.seq,
    }
}

/// Where a statement belongs.
#[must_use]
pub fn place(standing: &Standing, statement: &AgentStatement) -> Place {
    let first = first_number(statement);
    let chain = &statement.common().chain;
    if first == standing.next_seq {
        if chain.prev == standing.prev {
            Place::Next
        } else {
            Place::OtherPredecessor
        }
    } else if first > standing.next_seq {
        Place::Ahead
    } else {
        Place::Earlier
    }
}

/// What an earlier number means, given the log's statement of that number.
#[must_use]
pub fn earlier(pae: &Digest, logged: Option<Digest>) -> Earlier {
    match logged {
        Some(known) if known == *pae => Earlier::Known,
        Some(known) => Earlier::Fork(known),
        None => Earlier::InGap,
    }
}

/// The three meanings of an earlier number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// The very statement is in the log.
    Known,
    /// Another one is.
    Fork(Digest),
    /// None is: the agent declared it lost.
    InGap,
}
