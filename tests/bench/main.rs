//! Figures, not verdicts: what a check costs beside its peers, what ingest takes and keeps, how soon a change is known.
//! `cargo bench -p acceptance` after `cargo build --release --workspace`; each figure is printed with what it was measured
//! by. `cargo bench -p acceptance -- drift` prints one part.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing to print"
)]

mod check;
mod drift;
mod floor;
mod ingest;

fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    println!(
        "machine: {} processors, {}",
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        cpu()
    );
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let parts: [(&str, fn()); 3] = [
        ("check", check::run),
        ("ingest", ingest::run),
        ("drift", drift::run),
    ];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            part();
        }
    }
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    model.trim_start_matches(['\t', ' ', ':']).to_owned()
}
