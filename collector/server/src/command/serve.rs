//! `assay-collector serve`: runs until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use evidence::time::SystemClock;

use super::telemetry;
use crate::config::Config;
use crate::service;

/// Runs the collector.
///
/// # Errors
/// Why it does not start.
pub async fn run(config: &Path) -> anyhow::Result<()> {
    let path = config;
    let config = Config::load(path)?;
    config.verify_files(path)?;
    telemetry(config.log, "info");
    let mut service = service::start(&config, Arc::new(SystemClock::new())).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        signal = stop_signal() => signal?,
        part = service.failed() => anyhow::bail!("{part} ended by itself; start the collector again"),
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    service.stop().await;
    Ok(())
}

/// Returns when the process is asked to stop: SIGTERM, or Ctrl-C.
///
/// # Errors
/// If signals cannot be listened for.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
