//! Checking the record without trusting whoever keeps it: no collector, no database, only files and two keys.
//!
//! [`log`] reads a whole log and rebuilds its root from the entries; [`leaves`] recounts what the entries say of each
//! other. [`round`] takes one exported round: the log includes it, the agent signed it; [`perform`] judges its facts
//! again by its bundle and compares every outcome; [`validity`] reads the whole log to say whether the key that signed it
//! was the agent's at its place. Each step of either is one line of a [`report::Report`]; nothing is
//! verified unless every step held.
//!
//! What is read is hostile until shown otherwise: sizes are bounded before decoding ([`input`], [`source`]), links are
//! refused, and what goes to a terminal is escaped.
//!
//! Not here: packs, samples and policies of witnesses.

pub mod input;
pub mod leaves;
pub mod log;
pub mod perform;
pub mod report;
pub mod round;
pub mod source;
pub mod validity;
