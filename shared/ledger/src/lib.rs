//! The transparency log as pure functions: Merkle tree, proofs, tiles, signed notes and checkpoints.
//!
//! Everything here works on bytes that somebody else read and returns bytes that somebody else writes: no file, no
//! socket, no clock and no randomness. So the collector that writes the log, the agent that checks a receipt and the
//! verifier that trusts neither run the same code, and an auditor can re-perform each step.
//!
//! One module per noun, each with its clause, byte layout and bounds:
//! [`hash`] and [`frontier`] build the tree (RFC 6962), [`proof`] verifies inclusion and consistency (RFC 9162),
//! [`plan`] says which tiles a proof needs and assembles it, [`range`] proves that no leaf of a range is missing,
//! [`tile`], [`bundle`] and [`edge`] are the files of a log (C2SP tlog-tiles), [`key`], [`note`], [`checkpoint`] and
//! [`cosignature`] are its signed head (C2SP signed-note, tlog-checkpoint, tlog-cosignature), and [`tlog_proof`] is the
//! text a person can keep (C2SP tlog-proof).
//!
//! Not here: what an entry says (crate `wire`), where tiles are stored (crate `store`), which witnesses suffice
//! (tlog-policy), the witness protocol, ML-DSA signatures, and the static-ct-api and old sumdb path layouts.

pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
pub mod edge;
pub mod frontier;
pub mod hash;
pub mod key;
pub mod note;
pub mod plan;
pub mod proof;
pub mod range;
pub mod tile;
pub mod tlog_proof;

/// The largest tree size that is read or written, 2^63 − 1: what a signed 64-bit database column holds.
pub const MAX_SIZE: u64 = i64::MAX as u64;
