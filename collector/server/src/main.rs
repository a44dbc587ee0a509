//! The command `assay-collector`.

use std::process::ExitCode;

fn main() -> ExitCode {
    collector::command::run()
}
