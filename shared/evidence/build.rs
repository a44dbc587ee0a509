//! Lists the files of `configs/checks/` and `configs/facts/` so that they are part of the program.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let configs = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../../configs");
    let mut code = String::new();
    list(
        &mut code,
        "/// File name and text of every check.",
        "CHECKS",
        &configs.join("checks"),
        ".toml",
    )?;
    list(
        &mut code,
        "/// Probe and JSON Schema of every probe's facts.",
        "FACTS",
        &configs.join("facts"),
        ".json",
    )?;
    fs::write(Path::new(&variable("OUT_DIR")?).join("baseline.rs"), code)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(io::Error::other)
}

fn list(
    code: &mut String,
    doc: &str,
    name: &str,
    directory: &Path,
    ending: &str,
) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    code.push_str(&format!("{doc}\npub const {name}: &[(&str, &str)] = &[\n"));
    for path in paths {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if file.ends_with(ending) {
            let path = path.display().to_string();
            code.push_str(&format!("    ({file:?}, include_str!({path:?})),\n"));
        }
    }
    code.push_str("];\n");
    Ok(())
}
