//! The independent client of a log: `tests/oracles/sumdb.go`, on Go's golang.org/x/mod/sumdb as Debian packages it.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::succeeded;

/// Where Debian's packages put the compiler and the library.
const GO: &str = "/usr/bin/go";
const GO_PATH: &str = "/usr/share/gocode";

/// The client, built.
pub struct Oracle(PathBuf);

impl Oracle {
    /// Builds the client into `folder`.
    ///
    /// # Panics
    /// If Go or its library is missing, or it does not build.
    #[must_use]
    pub fn build(folder: &Path) -> Oracle {
        let library = Path::new(GO_PATH).join("src/golang.org/x/mod/sumdb/tlog");
        assert!(
            Path::new(GO).exists() && library.exists(),
            "Go is missing: run tests/run, which installs golang-go and golang-golang-x-mod-dev"
        );
        let program = folder.join("sumdb");
        let build = Command::new(GO)
            .args(["build", "-o"])
            .arg(&program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("oracles/sumdb.go"))
            .env("GO111MODULE", "off")
            .env("GOPATH", GO_PATH)
            .env("GOFLAGS", "")
            .env("GOCACHE", folder.join("cache"))
            .output()
            .unwrap();
        let _ = succeeded(&build);
        Oracle(program)
    }

    /// What it says of a log in a folder that holds `checkpoint` and `tile/`.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn judge(&self, log_key: &str, folder: &Path) -> Output {
        let mut command = Command::new(&self.0);
        command.arg(log_key).arg(folder).output().unwrap()
    }
}
