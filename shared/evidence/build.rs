//! Lists the files of `configs/checks/` so that they are part of the program.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let checks = Path::new(&manifest).join("../../configs/checks");
    println!("cargo::rerun-if-changed={}", checks.display());
    let mut names: Vec<String> = fs::read_dir(&checks)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    let mut code = String::from(
        "/// File name and text of every check.\npub const SOURCES: &[(&str, &str)] = &[\n",
    );
    for name in &names {
        let path = checks.join(name);
        code.push_str(&format!(
            "    ({:?}, include_str!({:?})),\n",
            format!("configs/checks/{name}"),
            path.display().to_string()
        ));
    }
    code.push_str("];\n");
    fs::write(
        Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("baseline.rs"),
        code,
    )
}
