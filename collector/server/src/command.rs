//! The subcommands of `assay-collector`.

pub mod bundle;
pub mod export;
pub mod maintenance;
pub mod quickstart;
pub mod serve;
pub mod token;
pub mod user;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, LogFormat};

/// Exit code of wrong usage (EX_USAGE of sysexits(3)).
const USAGE: u8 = 64;

/// Continuous, verifiable control evidence: the collector.
#[derive(Debug, Parser)]
#[command(
    name = "assay-collector",
    version,
    about,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector by a configuration file.
    Serve {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run a collector and an agent for this very host, with everything made on the way.
    Quickstart(quickstart::QuickstartArgs),
    /// Make, list and revoke tokens that let agents enrol.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Make accounts for people.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Try checks against recorded hosts, sign them, and put them in force for groups of hosts.
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Write evidence to files that assay-verify checks offline.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Write a consistent copy of the database and the checkpoint while the collector runs.
    Backup {
        #[command(flatten)]
        place: Place,
        /// The folder to write to; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Drop every projection and compute it again from the ledger. The collector must be stopped.
    Rebuild {
        #[command(flatten)]
        place: Place,
    },
}

/// Which collector: by its configuration file or its data folder.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    /// The data folder.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn folder(&self) -> anyhow::Result<PathBuf> {
        match (&self.config, &self.data) {
            (Some(config), _) => Ok(Config::load(config)?.data),
            (None, Some(data)) => Ok(data.clone()),
            (None, None) => anyhow::bail!("name the collector by --config FILE or --data DIR"),
        }
    }

    /// The data folder of a collector that was started before: a mistyped path must not look like an empty log.
    ///
    /// # Errors
    /// As [`Place::folder`], and if there is no database.
    pub fn existing(&self) -> anyhow::Result<PathBuf> {
        let data = self.folder()?;
        anyhow::ensure!(
            data.join(store::DATABASE_FILE).is_file(),
            "{} holds no database of a collector; name the folder of one that was started",
            data.display()
        );
        Ok(data)
    }

    /// Where the newest checkpoint is kept.
    ///
    /// # Errors
    /// As [`Place::folder`].
    pub fn checkpoint_file(&self) -> anyhow::Result<PathBuf> {
        match &self.config {
            Some(config) => Ok(Config::load(config)?.checkpoint_file()),
            None => Ok(self.folder()?.join("checkpoint")),
        }
    }
}

/// Parses the command line and runs what it says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("assay-collector: another TLS provider is installed");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("assay-collector: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("assay-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { config } => serve::run(&config).await,
        Command::Quickstart(args) => quickstart::run(args).await,
        Command::Token(command) => token::run(command).await,
        Command::User(command) => user::run(command).await,
        Command::Bundle(command) => bundle::run(command).await,
        Command::Export(command) => export::run(command).await,
        Command::Backup { place, out } => {
            maintenance::backup(&place.existing()?, &place.checkpoint_file()?, &out).await
        }
        Command::Rebuild { place } => maintenance::rebuild(&place.existing()?).await,
    }
}

/// Log lines on standard error, coloured on a terminal only; `RUST_LOG` sets what is said.
fn telemetry(format: LogFormat, default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
