//! From bytes of a stranger to an entry of the log, and back with a receipt.
//!
//! [`admit`] bounds, parses and verifies; only a `VerifiedEnvelope` reaches the [`sequencer`], the single writer, which
//! holds it against the agent's chain ([`chain`]), appends its leaf, projects it ([`fleet`], [`project`]) and commits all
//! of it in one transaction. The checkpoint is signed after the commit, kept outside the database ([`head`]), and only
//! then is anyone answered ([`proofs`]). What is refused is a [`refusal::Refusal`] with a stable code and a metric; what
//! was validly signed and refused is an entry too.

pub mod admit;
pub mod body_budget;
pub mod chain;
pub mod fleet;
pub mod head;
pub mod nonces;
pub mod project;
pub mod proofs;
pub mod reception;
pub mod refusal;
pub mod replay;
pub mod sequencer;
