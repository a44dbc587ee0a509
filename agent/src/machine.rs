//! What a round says about the machine it was made on, apart from any probe.

use std::io::Read as _;

use crypto::Digest;

/// Longest text taken from the kernel.
const MAX_TEXT: u64 = 256;

/// This host's name (uname(2)), for people; it identifies nothing.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The kernel's boot id (random(4)); empty where the kernel has none.
#[must_use]
pub fn boot_id() -> String {
    let mut text = String::new();
    if let Ok(file) = std::fs::File::open("/proc/sys/kernel/random/boot_id") {
        // An unreadable boot id is said as an empty one.
        let _ = file.take(MAX_TEXT).read_to_string(&mut text);
    }
    text.trim().to_owned()
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
