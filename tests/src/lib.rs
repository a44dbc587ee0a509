//! What the acceptance tests stand on: real Debian hosts, and whatever else a journey through the whole product needs.
//!
//! Nothing here is skipped where something is missing. A machine that lacks a program, a privilege or a kernel feature makes
//! the test fail with a message that says so.

pub mod machine;
pub mod simulated;
pub mod world;
