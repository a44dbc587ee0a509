//! A collector as it runs in production: the program `assay-collector serve`, by a configuration file, in its own process.

#![expect(
    clippy::unwrap_used,
    reason = "only tests stand on this; one that cannot go on has failed"
)]

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program;

/// How long a start or a stop may take; generous, because it only ends hopeless waiting.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A collector's process, its configuration and what it says.
pub struct Collector {
    /// The data folder.
    pub data: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// `https://ADDRESS:PORT`.
    pub url: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Collector {
    /// Writes a configuration into `folder` for a collector with its data at `data` that listens on a free port of `ip`.
    ///
    /// # Panics
    /// If the folder cannot be written: the test has failed.
    #[must_use]
    pub fn configure(folder: &Path, data: &Path, ip: IpAddr) -> Collector {
        // Ask for a free port and give it back: a process that comes back must come back on the same one.
        let free = TcpListener::bind((ip, 0)).unwrap();
        let listen = SocketAddr::new(ip, free.local_addr().unwrap().port());
        let config = folder.join("collector.toml");
        let text = format!(
            "data = {:?}\nlisten = \"{listen}\"\norigin = \"log.test/assay\"\nnames = [\"{ip}\"]\n",
            data.display().to_string()
        );
        fs::write(&config, text).unwrap();
        Collector {
            data: data.to_owned(),
            config,
            url: format!("https://{listen}"),
            log: folder.join("collector.log"),
            child: None,
        }
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up, with what it said.
    pub async fn start(&mut self) {
        if let Err(status) = self.try_start().await {
            panic!("the collector ended at once ({status}): {}", self.said());
        }
    }

    /// Starts the process and waits until it is ready, or ends.
    ///
    /// # Errors
    /// How it ended.
    ///
    /// # Panics
    /// If it does neither.
    pub async fn try_start(&mut self) -> Result<(), ExitStatus> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = Command::new(program("assay-collector"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let child = self.child.insert(child);
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return Err(status);
            }
            if ready(&self.data, &self.url).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the collector did not come up: {}", self.said());
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// If it was not running.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// Runs another command of `assay-collector`, as an operator does beside the running one; returns what it printed.
    ///
    /// # Panics
    /// If it fails, with what it said.
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("assay-collector"))
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        succeeded(&output)
    }

    /// An enrolment token.
    ///
    /// # Panics
    /// If none is made.
    #[must_use]
    pub fn token(&self, group: &str, uses: u32) -> String {
        let uses = uses.to_string();
        let made = self.command(&[
            "token",
            "create",
            "--group",
            group,
            "--uses",
            &uses,
            "--expires",
            "1d",
        ]);
        made.trim().to_owned()
    }

    /// The certificate of the collector's own authority, PEM.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn ca(&self) -> Vec<u8> {
        fs::read(self.data.join("keys/ca.pem")).unwrap()
    }

    /// A client that trusts this collector alone.
    ///
    /// # Panics
    /// If its certificate cannot be used.
    #[must_use]
    pub fn client(&self) -> reqwest::Client {
        client(&self.ca())
    }

    /// Everything that the process has said so far, over all its starts.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What `assay-verify log` says of the log as this collector serves it.
    ///
    /// # Panics
    /// If the program cannot be run.
    #[must_use]
    pub fn verify_log(&self) -> Output {
        Command::new(program("assay-verify"))
            .arg("log")
            .arg(format!("{}/log", self.url))
            .arg("--key")
            .arg(self.data.join("log.vkey"))
            .arg("--ca")
            .arg(self.data.join("keys/ca.pem"))
            .output()
            .unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether the collector answers that it is ready.
async fn ready(data: &Path, url: &str) -> bool {
    let Ok(ca) = fs::read(data.join("keys/ca.pem")) else {
        return false;
    };
    let answer = client(&ca).get(format!("{url}/readyz")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// A client that trusts this authority alone and follows no redirect.
///
/// # Panics
/// If the certificate cannot be used: the test has failed.
#[must_use]
pub fn client(ca: &[u8]) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

/// What a program printed.
///
/// # Panics
/// If it did not succeed, with all it said.
#[must_use]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a program said, for messages.
#[must_use]
pub fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
