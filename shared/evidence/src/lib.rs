//! The vocabulary of evidence, without I/O: what was observed, what is expected of it, and the pure judgement between
//! the two.
//!
//! A *probe* returns facts and never judges; a *check* is data that judges facts with CEL expressions; an *outcome* is
//! one of four and never collapsed. Anyone who holds a bundle and the facts of a round can repeat its outcomes with
//! [`evaluate::Evaluator`]: no clock, file, network or chance is an input.
//!
//! Not here: signatures and envelopes (`wire`), the probes (`agent`), what an outcome means for a control (`assess`).

pub mod approved;
pub mod baseline;
pub mod bundle;
pub mod cadence;
pub mod check;
pub mod check_schema;
pub mod evaluate;
pub mod expression;
pub mod fact;
pub mod id;
pub mod json;
pub mod learn;
pub mod outcome;
pub mod oversight;
pub mod schema;
pub mod time;
mod typing;
