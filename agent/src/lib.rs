//! The agent: observes a host, judges what it saw by the bundle, signs the round and ships it.
//!
//! The road through this crate: a [`probe`] reads a [`host`] and returns facts; the bundle's checks judge them
//! (`evidence::evaluate`); the round is signed, spooled, shipped, and forgotten only when its receipt was verified.
//! Nothing here can be told by a collector to run a program or read a file: probes are code, checks are data.

pub mod backoff;
pub mod chain;
pub mod collector;
pub mod config;
pub mod daemon;
pub mod disclosed;
pub mod disposition;
pub mod enrol;
pub mod examine;
pub mod examiner;
pub mod host;
pub mod identity;
pub mod in_force;
pub mod machine;
pub mod probe;
pub mod record;
pub mod remembered;
pub mod round;
pub mod schedule;
pub mod ship;
pub mod spool;
pub mod state;
pub mod watch;
