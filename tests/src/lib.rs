//! What the acceptance tests stand on: real Debian hosts, and whatever else a journey through the whole product needs.
//!
//! Nothing here is skipped where something is missing. A machine that lacks a program, a privilege or a kernel feature makes
//! the test fail with a message that says so.

pub mod browser;
pub mod fleet;
pub mod honest;
pub mod machine;
pub mod oracle;
pub mod person;
pub mod process;
pub mod simulated;
pub mod visitor;
pub mod world;

use std::path::PathBuf;

/// A program of this workspace, as built by the run that built this test.
///
/// # Panics
/// If it was not built: the test has failed.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let built = test
        .parent()
        .and_then(|deps| deps.parent())
        .map(|folder| folder.join(name))
        .unwrap_or_default();
    assert!(
        built.is_file(),
        "{} is not built: run tests/run, or `cargo build --workspace` first",
        built.display()
    );
    built
}
