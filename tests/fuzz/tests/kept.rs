//! Everything that the fuzzer ever found is read again.

#![cfg(test)]

use std::path::Path;

#[test]
fn what_was_found_is_held() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kept"));
    let mut read = 0;
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        match fuzz::run(&input) {
            Ok(fuzz::Done::Read(_)) => read += 1,
            Ok(fuzz::Done::Nothing) => broken.push(format!("{name}: nobody reads this any more")),
            Err(violation) => broken.push(format!("{name}: {violation}")),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(read > 0, "nothing is kept");
}
