//! What a round says about the machine it was made on, apart from any probe.

use std::io::Read as _;

use crypto::Digest;
use sysinfo::System;

/// Longest text read.
const MAX_TEXT: u64 = 4096;

/// This host's name, for people; it identifies nothing. Empty if it has none.
#[must_use]
pub fn hostname() -> String {
    System::host_name().unwrap_or_default()
}

/// The version of the running kernel, for people.
#[must_use]
pub fn kernel() -> Option<String> {
    System::kernel_version().ok()
}

/// The processor's architecture, for people: `x86_64`.
#[must_use]
pub fn architecture() -> String {
    System::cpu_arch()
}

/// The kernel's boot id (random(4)); empty where the kernel has none.
#[must_use]
pub fn boot_id() -> String {
    first_line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// This installation's id (machine-id(5)): secret, so only its digest may leave the host.
#[must_use]
pub fn id() -> Option<String> {
    first_line("/etc/machine-id").filter(|id| !id.is_empty())
}

/// The operating system's name as it calls itself (os-release(5)), for people.
#[must_use]
pub fn os_name() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| read(path));
    let name = text.as_deref().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    });
    name.unwrap_or_else(|| "Linux".to_owned())
}

fn first_line(path: &str) -> Option<String> {
    let text = read(path)?;
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Milliseconds since boot, suspend included (CLOCK_BOOTTIME).
#[must_use]
pub fn since_boot_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1000 + nanos / 1_000_000
}

/// SHA-256 of the running program, read through the kernel's own link to it.
///
/// # Errors
/// If the program cannot be read.
pub fn binary_digest() -> std::io::Result<Digest> {
    let mut file = std::fs::File::open("/proc/self/exe")?;
    let mut digest = crypto::DigestStream::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(digest.finish()),
            read => digest.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}
