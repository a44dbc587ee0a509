//! The command `assay-agent`.

fn main() {}
