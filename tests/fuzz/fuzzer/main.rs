//! The fuzzer: libFuzzer around [`fuzz::run`]. Built and started by `tests/fuzz/run`.

#![no_main]

use std::path::Path;

use fuzz::hosts::Hosts;
use fuzz::place::line_length;
use fuzz::seeds::{Target, dictionary, names, seeds};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};

/// One mutation in so many makes the bytes grow by repetition, for what costs more than their length.
const GROWTH: u32 = 400;

fuzz_target!(init: prepare(), |input: &[u8]| -> Corpus {
    match fuzz::run(input) {
        Ok(fuzz::Done::Read(_)) => Corpus::Keep,
        Ok(fuzz::Done::Nothing) => Corpus::Reject,
        Err(violation) => panic!("{violation}"),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let Some(line) = data.get(..size).and_then(line_length) else {
        return size;
    };
    let (_, bytes) = data.split_at_mut(line + 1);
    let (length, most) = (size - line - 1, max_size.saturating_sub(line + 1));
    let length = if seed.is_multiple_of(GROWTH) && length > 0 {
        repeat(bytes, length, most)
    } else {
        fuzzer_mutate(bytes, length, most)
    };
    line + 1 + length
});

fn repeat(bytes: &mut [u8], length: usize, most: usize) -> usize {
    let most = most.min(bytes.len());
    for at in length..most {
        bytes[at] = bytes[at - length];
    }
    most.max(length.min(most))
}

/// With `ASSAY_FUZZ_NAMES`, prints the targets there are. With `ASSAY_FUZZ_SEEDS`, writes the corpus to start from for the
/// target that `ASSAY_FUZZ_TARGET` names, and its words, into that folder. Otherwise there is nothing to prepare.
fn prepare() {
    if std::env::var_os("ASSAY_FUZZ_NAMES").is_some() {
        for name in names() {
            println!("{name}");
        }
        std::process::exit(0);
    }
    let Some(folder) = std::env::var_os("ASSAY_FUZZ_SEEDS") else {
        return;
    };
    let target = std::env::var("ASSAY_FUZZ_TARGET").unwrap_or_default();
    let written = write_seeds(Path::new(&folder), &Target::named(&target));
    if let Err(problem) = written {
        eprintln!("{}: {problem}", Path::new(&folder).display());
        std::process::exit(1);
    }
    std::process::exit(0);
}

fn write_seeds(folder: &Path, target: &Target) -> Result<(), Box<dyn std::error::Error>> {
    let seeds = seeds(Hosts::shared()?, target)?;
    if seeds.is_empty() {
        return Err(format!("{target:?} has no seeds: name a probe, a reader or `all`").into());
    }
    let corpus = folder.join("corpus");
    std::fs::create_dir_all(&corpus)?;
    for entry in std::fs::read_dir(&corpus)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("seed-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{number}")), seed)?;
    }
    std::fs::write(folder.join("words"), dictionary(&seeds))?;
    Ok(())
}
