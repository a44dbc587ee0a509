//! What is signed and what crosses the wire, byte for byte.
//!
//! - [`envelope`]: DSSE envelopes; signed bytes are verified as received, never re-serialised.
//! - [`statement`]: what agents sign (round, gap, rotation), an in-toto Statement each.
//! - [`decision`]: what the collector's decision key signs in the name of a person.
//! - [`leaf`]: the small record in the log that commits to an envelope.
//! - [`disclosure`]: the salted facts of one probe, beside the envelope.
//! - [`submission`], [`enrolment`], [`receipt`], [`problem`]: the conversation between agent and collector.
//!
//! Not here: sockets, storage, judging.

pub mod decision;
pub mod disclosure;
pub mod enrolment;
pub mod envelope;
pub mod leaf;
pub mod problem;
pub mod receipt;
pub mod statement;
pub mod submission;
