//! The command `assay-agent`.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run()
}
